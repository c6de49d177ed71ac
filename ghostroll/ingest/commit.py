"""Making copies safe: flushed, renamed, read back and catalogued, several with one flush."""

import errno
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ghostroll.base import durable, log
from ghostroll.base.errors import disk_error
from ghostroll.base.log import logger, printable
from ghostroll.base.media_kind import MediaKind
from ghostroll.base.session_paths import Session
from ghostroll.card.media import has_picture_signature
from ghostroll.catalog import Catalog
from ghostroll.catalog.models import Original, RenderState, SavedFile
from ghostroll.ingest.copy import Copied
from ghostroll.ingest.names import fitting_path, numbered
from ghostroll.ingest.plan import PlannedFile
from ghostroll.status.recorder import StatusRecord

# How many copied files may wait for, and share, one flush.
_BATCH_FILES = 32
_BATCH_BYTES = 256 << 20


@dataclass
class Committer:
    """Takes copied files in a thread of its own, so that the card never waits for the disk's flush."""

    session: Session
    catalog: Catalog
    record: StatusRecord
    card_id: str
    stop: threading.Event
    verify: bool
    alive: Callable[[], None]
    saved: Callable[[], None]

    _settling: "queue.Queue[Copied | None]" = field(default_factory=lambda: queue.Queue(_BATCH_FILES), init=False)
    _on_their_way: set[str] = field(default_factory=set, init=False)
    _again: list[PlannedFile] = field(default_factory=list, init=False)
    _error: BaseException | None = field(default=None, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)

    def take(self, copied: Copied) -> None:
        """Have a copied file made safe soon; waits while there are too many."""
        if self._thread is None:
            self._thread = log.thread(self._settle, "settle")
            self._thread.start()
        self._on_their_way.add(copied.sha256)
        self._settling.put(copied)

    def has_taken(self, sha256: str) -> bool:
        """Tell whether a file of this content was taken, and not found to be wrong since."""
        return sha256 in self._on_their_way

    def drain(self) -> None:
        """Wait until all that was taken is settled, one way or the other."""
        if self._thread is not None:
            self._settling.put(None)
            self._thread.join()
            self._thread = None

    def raise_error(self) -> None:
        """Raise what ended the work."""
        if self._error:
            raise self._error

    def wrong_copies(self) -> list[PlannedFile]:
        """Return, once, the files whose copies do not match what was read."""
        again, self._again = self._again, []
        return again

    def _settle(self) -> None:
        while batch := self._next_batch():
            if self._error or self.stop.is_set():
                continue
            try:
                self._make_safe(batch)
            except OSError as error:
                self._error = disk_error(error)
            except BaseException as error:  # noqa: BLE001 - raised again in the reader's thread
                self._error = error

    def _next_batch(self) -> list[Copied]:
        """Wait for one copied file, then take all that are ready, within bounds; [] is the end."""
        batch: list[Copied] = []
        size_bytes = 0
        while not batch or (size_bytes < _BATCH_BYTES and not self._settling.empty()):
            copied = self._settling.get()
            if copied is None:
                if batch:
                    self._settling.put(None)
                break
            batch.append(copied)
            size_bytes += copied.planned.file.size_bytes
        return batch

    def _make_safe(self, batch: list[Copied]) -> None:
        paths = self._paths(batch)
        finals = [self.session.originals / path for path in paths]
        durable.move_into_place(zip((copied.temporary for copied in batch), finals, strict=True))
        safe = []
        for copied, path, final in zip(batch, paths, finals, strict=True):
            if self.stop.is_set():
                return  # what has no row is copied again
            matches, verified = self._read_back(copied, final)
            if matches:
                safe.append(_saved(copied, path, verified=verified))
            else:
                logger.warning("%s was not written correctly.", printable(copied.planned.file.path))
                final.unlink()
                self._on_their_way.discard(copied.sha256)
                self._again.append(copied.planned)
        beaten = self.catalog.record_saved(self.session.session_id, self.card_id, safe)
        for file in beaten:
            (self.session.originals / file.original.path).unlink()
        self._count(safe, len(beaten))
        self.saved()

    def _paths(self, batch: list[Copied]) -> list[str]:
        """Return where each goes below `originals/`: as on the card, but never over another original."""
        paths: list[str] = []
        for copied in batch:
            path = wanted = self._below_directories(fitting_path(copied.planned.file.path))
            number = 1
            while path in paths or self._is_taken(path):
                number += 1
                path = numbered(wanted, number)
            paths.append(path)
        return paths

    def _is_taken(self, path: str) -> bool:
        final = self.session.originals / path
        return final.is_dir() or self.catalog.has_original(self.session.session_id, path)

    def _below_directories(self, path: str) -> str:
        """Return `path`, its directories numbered where an original of another card already has such a name."""
        *directories, name = path.split("/")
        here = ""
        for directory in directories:
            wanted, number = f"{here}{directory}", 1
            free = wanted
            while (self.session.originals / free).is_file():
                number += 1
                free = numbered(wanted, number)
            here = f"{free}/"
        return here + name

    def _read_back(self, copied: Copied, final: Path) -> tuple[bool, bool]:
        """Return (whether the copy is right, whether the disk itself was asked)."""
        if not self.verify:
            return True, False
        try:
            sha256, from_disk = durable.sha256_from_disk(final, self.alive)
        except OSError as error:
            if error.errno == errno.EIO:
                return False, False
            raise
        return sha256 == copied.sha256, from_disk

    def _count(self, safe: list[SavedFile], beaten: int) -> None:
        self.record.add(
            ingested=len(safe) - beaten,
            skipped=beaten,
            new=-beaten,
            verified=sum(file.verified for file in safe) - beaten,
            saved=len(safe),
        )


def _saved(copied: Copied, path: str, *, verified: bool) -> SavedFile:
    planned = copied.planned
    is_picture = planned.name and (planned.file.kind is not MediaKind.OTHER or has_picture_signature(copied.head))
    original = Original(
        path=path,
        kind=planned.file.kind,
        size_bytes=planned.file.size_bytes,
        sha256=copied.sha256,
        name=planned.name if is_picture else None,
        render=RenderState.PENDING if is_picture else RenderState.NONE,
    )
    return SavedFile(original, planned.file.path, planned.file.mtime_ns, copied.sample_sha256, verified)
