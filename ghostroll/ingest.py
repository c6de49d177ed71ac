"""Saving a card: each new file is copied, flushed, renamed, read back and only then catalogued.

Two threads share the work, so that the card never waits for the disk's flush: the reader copies and hashes,
the settler makes what was copied safe, several files with one flush. A third hashes while the reader reads.
"""

import errno
import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from ghostroll import durable, log
from ghostroll.card import Presence, Volume, presence
from ghostroll.catalog import Catalog
from ghostroll.errors import CardEjected, CardFailed, FileFailed, Interrupted, disk_error, on_disk
from ghostroll.hashing import Hasher
from ghostroll.log import logger, printable
from ghostroll.media import SNIFF_BYTES, CardFile, Kind, looks_like_still
from ghostroll.plan import KnownFile, PlannedFile, fitting_path, numbered
from ghostroll.record import StatusRecord
from ghostroll.rows import Original, Remembered, RenderState, SavedFile
from ghostroll.sample import Sampler, opened, sample_of
from ghostroll.session import Session

# How many copied files may wait for, and share, one flush.
_BATCH_FILES = 32
_BATCH_BYTES = 256 << 20
# PATH_MAX of Linux less the longest prefix that a session puts before a card's path.
_PATH_BYTES_MOST = 4096 - 64

Failed = Callable[[str, str, str], None]


@dataclass(frozen=True, slots=True)
class _Copied:
    planned: PlannedFile
    temporary: Path
    sha256: str
    sample_sha256: str
    head: bytes


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
    is_wanted_back: Callable[[], bool] = lambda: False
    saved: Callable[[], None] = lambda: None

    _settling: "queue.Queue[_Copied | None]" = field(default_factory=lambda: queue.Queue(_BATCH_FILES), init=False)
    _on_their_way: set[str] = field(default_factory=set, init=False)
    _again: list[PlannedFile] = field(default_factory=list, init=False)
    _error: BaseException | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._presence = self.volume.presence or _presence(self.volume)
        self._hasher = Hasher()
        self._settler: threading.Thread | None = None

    def read(self, files: Iterable[PlannedFile]) -> None:
        """Copy files from the card. Raises CardFailed, DiskFailed, Interrupted; one bad file is only reported."""
        for planned in files:
            if self.stop.is_set():
                raise Interrupted("The copy was interrupted.")
            if self.is_wanted_back():
                raise CardEjected("The card was ejected before all of it was saved.")
            self._raise_error()
            try:
                self._read_one(planned)
            except FileFailed as error:
                self._report(planned.file, str(error))

    def finish(self) -> None:
        """Wait until everything read is safe. A copy that does not match is made once more, then reported."""
        self._settle_all()
        again, self._again = self._again, []
        if not again:
            return
        self.record.add_bytes(total=sum(planned.file.size_bytes for planned in again))
        self.read(again)
        self._settle_all()
        for planned in self._again:
            self._report(planned.file, "the copy on the disk differs from the card: the disk may be failing")
        self._again.clear()

    def close(self) -> None:
        """End the threads; what is copied but not settled by now may be dropped."""
        self._hasher.close()
        self._drain()

    def _settle_soon(self, copied: _Copied) -> None:
        if self._settler is None:
            self._settler = log.thread(self._settle, "settle")
            self._settler.start()
        self._settling.put(copied)

    def _drain(self) -> None:
        if self._settler is not None:
            self._settling.put(None)
            self._settler.join()
            self._settler = None

    def _raise_error(self) -> None:
        if self._error:
            raise self._error

    def _settle_all(self) -> None:
        """Wait until everything read is settled; raises Interrupted where a stop may have had some of it dropped."""
        self._drain()
        self._raise_error()
        if self.stop.is_set():
            raise Interrupted("The copy was interrupted.")

    def _report(self, file: CardFile, reason: str) -> None:
        self.failed(file.path, "ingest", reason)

    # The reader

    def _read_one(self, planned: PlannedFile) -> None:
        file = planned.file
        if len(os.fsencode(self.session.thumbnails / file.path)) > _PATH_BYTES_MOST:
            raise FileFailed("its path is too long")
        temporary = self.session.new_temporary()
        try:
            copied = self._copy(planned, temporary)
        except BaseException:
            _drop(temporary)
            raise
        known = self._is_known(copied.sha256)
        if not known and copied.sha256 in self._on_their_way:
            self._drain()  # whether its twin is safe must be known before this one is dropped
            self._raise_error()
            known = self._is_known(copied.sha256)
        if known:
            _drop(temporary)
            self.record.add(skipped=1, new=-1, saved=1)
            self.catalog.remember([_memory(self.volume, copied)])
            return
        self._on_their_way.add(copied.sha256)
        self._settle_soon(copied)

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

    def _copy(self, planned: PlannedFile, temporary: Path) -> _Copied:
        """Copy one file to `temporary`, hashing it on the way."""
        file = planned.file
        sampler = Sampler()
        head = b""
        left = file.size_bytes
        self._check_presence()
        self._hasher.begin()
        try:
            with self._from_card(file) as source, on_disk(), _created(temporary) as target:
                while chunk := self._next_chunk(source):
                    head = head or chunk[:SNIFF_BYTES]
                    left -= len(chunk)
                    if left < 0:  # one that never ends would fill the disk
                        raise FileFailed(f"the card gives more than its {file.size_bytes} bytes")
                    self._hasher.feed(chunk)
                    sampler.update(chunk)
                    _write_all(target, chunk)
                    self.record.add_bytes(len(chunk))
                os.utime(target, ns=(file.mtime_ns, file.mtime_ns))
        finally:
            sha256 = self._hasher.end()
        self._check_presence()
        if left:
            raise FileFailed(f"the card gave {file.size_bytes - left} of {file.size_bytes} bytes")
        return _Copied(planned, temporary, sha256, sampler.hexdigest(), head)

    @contextmanager
    def _from_card(self, file: CardFile) -> Iterator[int]:
        """Open a file of the card; an error is the file's own as long as the card is there."""
        try:
            with opened(self.volume, file) as source:
                yield source
        except OSError as error:
            self._check_presence()
            raise FileFailed(f"the card cannot be read here ({error.strerror})") from error

    def _next_chunk(self, source: int) -> bytes:
        if self.stop.is_set():
            raise Interrupted("The copy was interrupted.")
        try:
            return os.read(source, durable.CHUNK_BYTES)
        except OSError as error:
            self._check_presence()
            raise FileFailed(f"the card cannot be read here ({error.strerror})") from error

    def _check_presence(self) -> None:
        """Raise CardFailed where another medium, or none, is behind the volume: its bytes can't be trusted."""
        if self._presence is None or _presence(self.volume) != self._presence:
            raise CardFailed("The card was taken out or changed while it was read.")

    # The settler

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

    def _next_batch(self) -> list[_Copied]:
        """Wait for one copied file, then take all that are ready, within bounds; [] is the end."""
        batch: list[_Copied] = []
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

    def _make_safe(self, batch: list[_Copied]) -> None:
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
        beaten = self.catalog.record_saved(self.session.session_id, self.volume.card_id, safe)
        for file in beaten:
            (self.session.originals / file.original.path).unlink()
        self._count(safe, len(beaten))
        self.saved()

    def _paths(self, batch: list[_Copied]) -> list[str]:
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

    def _read_back(self, copied: _Copied, final: Path) -> tuple[bool, bool]:
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


def _saved(copied: _Copied, path: str, *, verified: bool) -> SavedFile:
    planned = copied.planned
    is_picture = planned.name and (planned.file.kind is not Kind.OTHER or looks_like_still(copied.head))
    original = Original(
        path=path,
        kind=planned.file.kind,
        size_bytes=planned.file.size_bytes,
        sha256=copied.sha256,
        name=planned.name if is_picture else None,
        render=RenderState.PENDING if is_picture else RenderState.NONE,
    )
    return SavedFile(original, planned.file.path, planned.file.mtime_ns, copied.sample_sha256, verified)


def _memory(volume: Volume, copied: _Copied) -> Remembered:
    file = copied.planned.file
    return Remembered(volume.card_id, file.path, file.size_bytes, file.mtime_ns, copied.sha256, copied.sample_sha256)


def _presence(volume: Volume) -> Presence | None:
    try:
        return presence(volume)
    except OSError:
        return None


@contextmanager
def _created(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        yield fd
    finally:
        os.close(fd)


def _drop(temporary: Path) -> None:
    """Remove a copy that is not wanted; where the disk refuses, it goes with its directory."""
    with suppress(OSError):
        temporary.unlink(missing_ok=True)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def changed_files(volume: Volume, known: Iterable[KnownFile], stop: threading.Event) -> list[CardFile]:
    """Return the known files whose sample on the card is not the one remembered: they are not known after all."""
    changed = []
    for each in known:
        if stop.is_set():
            raise Interrupted("The check of the card was interrupted.")
        try:
            same = each.sampled or sample_of(volume, each.file) == each.sample_sha256
        except (OSError, FileFailed):
            same = False  # reading it whole will tell what is wrong
        if not same:
            changed.append(each.file)
    return changed
