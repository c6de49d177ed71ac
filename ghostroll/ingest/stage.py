"""Save a card: copy, flush, rename and read back each new file, then catalogue it.

Three threads overlap, so that reading never waits for a flush: the caller's thread copies, one hashes, and the
committer flushes, reads back and catalogues in batches.
"""

import os
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ghostroll.base import durable
from ghostroll.base.errors import CardEjected, FileFailed, Interrupted
from ghostroll.base.session_paths import Session
from ghostroll.card.media import CardFile
from ghostroll.card.volume import Volume
from ghostroll.catalog import Catalog
from ghostroll.catalog.models import Remembered
from ghostroll.ingest.commit import Committer
from ghostroll.ingest.copy import CardCopier, CopiedFile
from ghostroll.ingest.plan import PlannedFile
from ghostroll.status.recorder import StatusRecord

# PATH_MAX of Linux, less what a session may add to a card's path.
_MAX_PATH_BYTES = 4096 - 64

OnFailed = Callable[[str, str, str], None]


@dataclass
class Ingest:
    """Ingests planned files of one card into one session.

    `read` and `finish` may be called repeatedly, then `close`. Callbacks: `on_failed(path, step, reason)` for each
    file that failed, `on_saved()` for each batch, `is_eject_requested()` before each file.
    """

    volume: Volume
    session: Session
    catalog: Catalog
    record: StatusRecord
    on_failed: OnFailed
    stop: threading.Event
    verify: bool = True
    rehash: bool = False
    heartbeat: Callable[[], None] = lambda: None
    is_eject_requested: Callable[[], bool] = lambda: False
    on_saved: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self._copier = CardCopier(self.volume, self.record, self.stop)
        self._committer = Committer(
            self.session, self.catalog, self.record, self.volume.card_id, self.stop,
            self.verify, self.heartbeat, self.on_saved,
        )  # fmt: skip

    def read(self, files: Iterable[PlannedFile]) -> None:
        """Copy files, reporting each FileFailed. Raises CardFailed, CardEjected, DiskFailed, Interrupted."""
        for planned in files:
            if self.stop.is_set():
                raise Interrupted("The copy was interrupted.")
            if self.is_eject_requested():
                raise CardEjected("The card was ejected before all of it was saved.")
            self._committer.raise_error()
            try:
                self._read_one(planned)
            except FileFailed as error:
                self._report(planned.file, str(error))

    def finish(self) -> None:
        """Wait until every file read is committed. A mismatched copy is made once more, then reported."""
        self._commit_all()
        mismatched = self._committer.take_mismatched()
        if not mismatched:
            return
        self.record.add_bytes(total=sum(planned.file.size_bytes for planned in mismatched))
        self.read(mismatched)
        self._commit_all()
        for planned in self._committer.take_mismatched():
            self._report(planned.file, "the copy on the disk differs from the card: the disk may be failing")

    def close(self) -> None:
        """End the threads. After a stop or an error, copies that are not committed are dropped."""
        self._copier.close()
        self._committer.drain()

    def _commit_all(self) -> None:
        """Wait for the committer. Raises its error; Interrupted on a stop, when copies may have been dropped."""
        self._committer.drain()
        self._committer.raise_error()
        if self.stop.is_set():
            raise Interrupted("The copy was interrupted.")

    def _report(self, file: CardFile, reason: str) -> None:
        self.on_failed(file.path, "ingest", reason)

    def _read_one(self, planned: PlannedFile) -> None:
        file = planned.file
        if len(os.fsencode(self.session.thumbnails / file.path)) > _MAX_PATH_BYTES:
            raise FileFailed("its path is too long")
        temporary = self.session.new_temporary()
        try:
            copied = self._copier.copy(planned, temporary)
        except BaseException:
            _discard(temporary)
            raise
        known = self._is_known(copied.sha256)
        if not known and self._committer.has_submitted(copied.sha256):
            self._committer.drain()  # the duplicate must be committed before this copy is dropped
            self._committer.raise_error()
            known = self._is_known(copied.sha256)
        if known:
            _discard(temporary)
            self.record.add(skipped=1, new=-1, saved=1)
            self.catalog.remember([_remembered(self.volume, copied)])
            return
        self._committer.submit(copied)

    def _is_known(self, sha256: str) -> bool:
        """Tell whether a content is already saved; with `rehash`, only if its copy on disk is intact."""
        copy = self.catalog.saved_copy(sha256)
        if copy is None or not self.rehash:
            return copy is not None
        is_intact, from_disk = self._check_copy(self.session.sibling(copy[0]).originals / copy[1], sha256)
        if not is_intact:
            self.catalog.forget_copy(sha256)
        elif from_disk:
            self.catalog.set_verified(sha256)
        return is_intact

    def _check_copy(self, path: Path, sha256: str) -> tuple[bool, bool]:
        """Return (whether an earlier copy is intact, whether it was read from a disk and not from memory)."""
        if not self.verify:
            return path.is_file(), False
        try:
            found, from_disk = durable.sha256_from_disk(path, self.heartbeat)
        except OSError:
            return False, False
        return found == sha256, from_disk


def _remembered(volume: Volume, copied: CopiedFile) -> Remembered:
    file = copied.planned.file
    return Remembered(volume.card_id, file.path, file.size_bytes, file.mtime_ns, copied.sha256, copied.sample_sha256)


def _discard(temporary: Path) -> None:
    """Delete a temporary copy; one that cannot be deleted is removed with its directory later."""
    with suppress(OSError):
        temporary.unlink(missing_ok=True)
