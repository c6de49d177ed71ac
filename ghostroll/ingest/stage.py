"""Saving a card: each new file is copied, flushed, renamed, read back and only then catalogued.

Two threads share the work, so that the card never waits for the disk's flush: the reader copies and hashes,
the settler makes what was copied safe, several files with one flush. A third hashes while the reader reads.
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
from ghostroll.ingest.copy import CardReader, Copied
from ghostroll.ingest.plan import PlannedFile
from ghostroll.status.recorder import StatusRecord

# PATH_MAX of Linux less the longest prefix that a session puts before a card's path.
_PATH_BYTES_MOST = 4096 - 64

Failed = Callable[[str, str, str], None]


@dataclass
class Ingest:
    """Reads the planned files of one card into one session. `failed` is told (path, step, reason) of each failure.

    `read` and `finish` may be called in turns; `close` ends it.
    """

    volume: Volume
    session: Session
    catalog: Catalog
    record: StatusRecord
    failed: Failed
    stop: threading.Event
    verify: bool = True
    rehash: bool = False
    alive: Callable[[], None] = lambda: None
    is_eject_requested: Callable[[], bool] = lambda: False
    saved: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self._reader = CardReader(self.volume, self.record, self.stop)
        self._settler = Committer(
            self.session, self.catalog, self.record, self.volume.card_id, self.stop,
            self.verify, self.alive, self.saved,
        )  # fmt: skip

    def read(self, files: Iterable[PlannedFile]) -> None:
        """Copy files from the card. Raises CardFailed, DiskFailed, Interrupted; one bad file is only reported."""
        for planned in files:
            if self.stop.is_set():
                raise Interrupted("The copy was interrupted.")
            if self.is_eject_requested():
                raise CardEjected("The card was ejected before all of it was saved.")
            self._settler.raise_error()
            try:
                self._read_one(planned)
            except FileFailed as error:
                self._report(planned.file, str(error))

    def finish(self) -> None:
        """Wait until everything read is safe. A copy that does not match is made once more, then reported."""
        self._settle_all()
        again = self._settler.wrong_copies()
        if not again:
            return
        self.record.add_bytes(total=sum(planned.file.size_bytes for planned in again))
        self.read(again)
        self._settle_all()
        for planned in self._settler.wrong_copies():
            self._report(planned.file, "the copy on the disk differs from the card: the disk may be failing")

    def close(self) -> None:
        """End the threads; what is copied but not settled by now may be dropped."""
        self._reader.close()
        self._settler.drain()

    def _settle_all(self) -> None:
        """Wait until everything read is settled; raises Interrupted where a stop may have had some of it dropped."""
        self._settler.drain()
        self._settler.raise_error()
        if self.stop.is_set():
            raise Interrupted("The copy was interrupted.")

    def _report(self, file: CardFile, reason: str) -> None:
        self.failed(file.path, "ingest", reason)

    def _read_one(self, planned: PlannedFile) -> None:
        file = planned.file
        if len(os.fsencode(self.session.thumbnails / file.path)) > _PATH_BYTES_MOST:
            raise FileFailed("its path is too long")
        temporary = self.session.new_temporary()
        try:
            copied = self._reader.copy(planned, temporary)
        except BaseException:
            _drop(temporary)
            raise
        known = self._is_known(copied.sha256)
        if not known and self._settler.has_taken(copied.sha256):
            self._settler.drain()  # whether its twin is safe must be known before this one is dropped
            self._settler.raise_error()
            known = self._is_known(copied.sha256)
        if known:
            _drop(temporary)
            self.record.add(skipped=1, new=-1, saved=1)
            self.catalog.remember([_memory(self.volume, copied)])
            return
        self._settler.take(copied)

    def _is_known(self, sha256: str) -> bool:
        """Tell whether a content was saved; when all is read anew, only a copy that is still whole counts."""
        copy = self.catalog.saved_copy(sha256)
        if copy is None or not self.rehash:
            return copy is not None
        whole, from_disk = self._copy_stands(self.session.sibling(copy[0]).originals / copy[1], sha256)
        if not whole:
            self.catalog.forget_copy(sha256)
        elif from_disk:
            self.catalog.set_verified(sha256)
        return whole

    def _copy_stands(self, path: Path, sha256: str) -> tuple[bool, bool]:
        """Return (whether an earlier copy is as the card's file, whether the disk itself was asked)."""
        if not self.verify:
            return path.is_file(), False
        try:
            found, from_disk = durable.sha256_from_disk(path, self.alive)
        except OSError:
            return False, False
        return found == sha256, from_disk


def _memory(volume: Volume, copied: Copied) -> Remembered:
    file = copied.planned.file
    return Remembered(volume.card_id, file.path, file.size_bytes, file.mtime_ns, copied.sha256, copied.sample_sha256)


def _drop(temporary: Path) -> None:
    """Remove a copy that is not wanted; where the disk refuses, it goes with its directory."""
    with suppress(OSError):
        temporary.unlink(missing_ok=True)
