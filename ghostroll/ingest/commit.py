"""Commit copied files in batches: flush, rename, read back, catalogue."""

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
from ghostroll.card.media import CardFile, has_picture_signature
from ghostroll.catalog import Catalog
from ghostroll.catalog.models import Original, RenderState, SavedFile
from ghostroll.ingest.copy import CopiedFile
from ghostroll.ingest.names import numbered, truncated_path
from ghostroll.ingest.plan import PlannedFile
from ghostroll.status.recorder import StatusRecord

# A batch shares one flush; more files than this wait in the copier.
_BATCH_FILES = 32
_BATCH_BYTES = 256 << 20


@dataclass
class Committer:
    """Commits copied files in a background thread, so that reading the card never waits for a flush.

    `on_saved` is called after each batch.
    """

    session: Session
    catalog: Catalog
    record: StatusRecord
    card_id: str
    stop: threading.Event
    verify: bool
    heartbeat: Callable[[], None]
    on_saved: Callable[[], None]

    _queue: "queue.Queue[CopiedFile | None]" = field(default_factory=lambda: queue.Queue(_BATCH_FILES), init=False)
    _submitted: set[str] = field(default_factory=set, init=False)
    _mismatched: list[PlannedFile] = field(default_factory=list, init=False)
    _error: BaseException | None = field(default=None, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)

    def submit(self, copied: CopiedFile) -> None:
        """Queue a copied file; blocks while the queue is full."""
        if self._thread is None:
            self._thread = log.new_thread(self._run, "commit")
            self._thread.start()
        self._submitted.add(copied.sha256)
        self._queue.put(copied)

    def has_submitted(self, sha256: str) -> bool:
        """Tell whether a file of this content was submitted and its copy was not found to differ."""
        return sha256 in self._submitted

    def drain(self) -> None:
        """Wait until every submitted file is committed, mismatched or dropped, and end the thread."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def raise_error(self) -> None:
        """Raise the error that ended the thread, if any."""
        if self._error:
            raise self._error

    def take_mismatched(self) -> list[PlannedFile]:
        """Return and forget the files whose copies on disk differ from what was read."""
        mismatched, self._mismatched = self._mismatched, []
        return mismatched

    def _run(self) -> None:
        while batch := self._next_batch():
            if self._error or self.stop.is_set():
                continue
            try:
                self._commit(batch)
            except OSError as error:
                self._error = disk_error(error)
            except BaseException as error:  # noqa: BLE001 - raised again by raise_error
                self._error = error

    def _next_batch(self) -> list[CopiedFile]:
        """Wait for a copied file, and add those that are queued up to the batch limits; [] at the end."""
        batch: list[CopiedFile] = []
        size_bytes = 0
        while not batch or (size_bytes < _BATCH_BYTES and not self._queue.empty()):
            copied = self._queue.get()
            if copied is None:
                if batch:
                    self._queue.put(None)
                break
            batch.append(copied)
            size_bytes += copied.planned.file.size_bytes
        return batch

    def _commit(self, batch: list[CopiedFile]) -> None:
        paths = self._paths(batch)
        finals = [self.session.originals / path for path in paths]
        durable.flush_and_rename(zip((copied.temporary for copied in batch), finals, strict=True))
        safe = []
        for copied, path, final in zip(batch, paths, finals, strict=True):
            if self.stop.is_set():
                return  # files without a row are copied again
            matches, verified = self._read_back(copied, final)
            if matches:
                file = copied.planned.file
                original = new_original(file, path, copied.sha256, copied.planned.name, copied.head)
                safe.append(SavedFile(original, file.path, file.mtime_ns, copied.sample_sha256, verified))
            else:
                logger.warning("%s was not written correctly.", printable(copied.planned.file.path))
                final.unlink()
                self._submitted.discard(copied.sha256)
                self._mismatched.append(copied.planned)
        duplicates = self.catalog.record_saved(self.session.session_id, self.card_id, safe)
        for duplicate in duplicates:
            (self.session.originals / duplicate.original.path).unlink()
        self._count(safe, len(duplicates))
        self.on_saved()

    def _paths(self, batch: list[CopiedFile]) -> list[str]:
        """Return each file's path below `originals/`: as on the card, numbered if an original has that path."""
        paths: list[str] = []
        for copied in batch:
            path = wanted = self._below_directories(truncated_path(copied.planned.file.path))
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
        """Return `path`, numbering directories whose name is taken by an original of another card."""
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

    def _read_back(self, copied: CopiedFile, final: Path) -> tuple[bool, bool]:
        """Return (whether the copy matches, whether it was read from a disk and not from memory)."""
        if not self.verify:
            return True, False
        try:
            sha256, from_disk = durable.sha256_from_disk(final, self.heartbeat)
        except OSError as error:
            if error.errno == errno.EIO:
                return False, False
            raise
        return sha256 == copied.sha256, from_disk

    def _count(self, safe: list[SavedFile], duplicates: int) -> None:
        self.record.add(
            ingested=len(safe) - duplicates,
            skipped=duplicates,
            new=-duplicates,
            verified=sum(file.verified for file in safe) - duplicates,
            saved=len(safe),
        )


def new_original(file: CardFile, path: str, sha256: str, name: str | None, head: bytes) -> Original:
    """Return the row of a file saved at `path`; one of an unknown kind is a picture only by its first bytes, `head`."""
    is_picture = name is not None and (file.kind is not MediaKind.OTHER or has_picture_signature(head))
    return Original(
        path=path,
        kind=file.kind,
        size_bytes=file.size_bytes,
        sha256=sha256,
        name=name if is_picture else None,
        render=RenderState.PENDING if is_picture else RenderState.NONE,
    )
