"""Copy a file from the card, hashing it on the way; the copy is refused if the medium changed."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ghostroll.base import durable
from ghostroll.base.errors import CardFailed, FileFailed, Interrupted, translate_disk_errors
from ghostroll.card.fingerprint import SampleHash, open_media_file
from ghostroll.card.media import SNIFF_BYTES, CardFile
from ghostroll.card.volume import Medium, Volume, current_medium
from ghostroll.ingest.hasher import Hasher
from ghostroll.ingest.plan import PlannedFile
from ghostroll.status.recorder import StatusRecord


@dataclass(frozen=True, slots=True)
class CopiedFile:
    """A file copied to `temporary`. `head` holds its first bytes; the hashes are of the bytes read from the card."""

    planned: PlannedFile
    temporary: Path
    sha256: str
    sample_sha256: str
    head: bytes


class CardCopier:
    """Copies files of one card, one at a time."""

    def __init__(self, volume: Volume, record: StatusRecord, stop: threading.Event) -> None:
        self.volume = volume
        self.record = record
        self.stop = stop
        self._medium = volume.medium or _current_medium(volume)
        self._hasher = Hasher()

    def close(self) -> None:
        """End the hashing thread."""
        self._hasher.close()

    def copy(self, planned: PlannedFile, temporary: Path) -> CopiedFile:
        """Copy a file to `temporary`, which must not exist.

        Raises FileFailed, CardFailed if the medium is gone, DiskFailed, Interrupted.
        """
        file = planned.file
        sampler = SampleHash()
        head = b""
        left = file.size_bytes
        self.check_medium()
        self._hasher.begin()
        try:
            with self._open_source(file) as source, translate_disk_errors(), _create(temporary) as target:
                while chunk := self._next_chunk(source):
                    head = head or chunk[:SNIFF_BYTES]
                    left -= len(chunk)
                    if left < 0:  # an endless file would fill the disk
                        raise FileFailed(f"the card gives more than its {file.size_bytes} bytes")
                    self._hasher.feed(chunk)
                    sampler.update(chunk)
                    _write_all(target, chunk)
                    self.record.add_bytes(len(chunk))
                os.utime(target, ns=(file.mtime_ns, file.mtime_ns))
        finally:
            sha256 = self._hasher.end()
        self.check_medium()
        if left:
            raise FileFailed(f"the card gave {file.size_bytes - left} of {file.size_bytes} bytes")
        return CopiedFile(planned, temporary, sha256, sampler.hexdigest(), head)

    @contextmanager
    def _open_source(self, file: CardFile) -> Iterator[int]:
        """Open a file of the card; an OSError becomes FileFailed, or CardFailed if the medium is gone."""
        try:
            with open_media_file(self.volume, file) as source:
                yield source
        except OSError as error:
            self.check_medium()
            raise FileFailed(f"the card cannot be read here ({error.strerror})") from error

    def _next_chunk(self, source: int) -> bytes:
        if self.stop.is_set():
            raise Interrupted("The copy was interrupted.")
        try:
            return os.read(source, durable.CHUNK_BYTES)
        except OSError as error:
            self.check_medium()
            raise FileFailed(f"the card cannot be read here ({error.strerror})") from error

    def check_medium(self) -> None:
        """Raise CardFailed if the medium behind the volume is gone or another one."""
        if self._medium is None or _current_medium(self.volume) != self._medium:
            raise CardFailed("The card was taken out or changed while it was read.")


def _current_medium(volume: Volume) -> Medium | None:
    try:
        return current_medium(volume)
    except OSError:
        return None


@contextmanager
def _create(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        yield fd
    finally:
        os.close(fd)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
