"""Copying one file off the card: read, hashed and written in one go, and refused if another medium answers."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ghostroll.base import durable
from ghostroll.base.errors import CardFailed, FileFailed, Interrupted, on_disk
from ghostroll.card.fingerprint import SampleHash, open_media_file
from ghostroll.card.media import SNIFF_BYTES, CardFile
from ghostroll.card.volume import Medium, Volume, current_medium
from ghostroll.ingest.hasher import Hasher
from ghostroll.ingest.plan import PlannedFile
from ghostroll.status.recorder import StatusRecord


@dataclass(frozen=True, slots=True)
class Copied:
    """A file that lies whole at `temporary`; `head` is how it begins, the hashes are of what the card gave."""

    planned: PlannedFile
    temporary: Path
    sha256: str
    sample_sha256: str
    head: bytes


class CardReader:
    """Copies files of one card, each to a temporary name."""

    def __init__(self, volume: Volume, record: StatusRecord, stop: threading.Event) -> None:
        self.volume = volume
        self.record = record
        self.stop = stop
        self._medium = volume.medium or _current_medium(volume)
        self._hasher = Hasher()

    def close(self) -> None:
        """End the thread that hashes."""
        self._hasher.close()

    def copy(self, planned: PlannedFile, temporary: Path) -> Copied:
        """Copy one file to `temporary`, hashing it on the way."""
        file = planned.file
        sampler = SampleHash()
        head = b""
        left = file.size_bytes
        self.check_medium()
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
        self.check_medium()
        if left:
            raise FileFailed(f"the card gave {file.size_bytes - left} of {file.size_bytes} bytes")
        return Copied(planned, temporary, sha256, sampler.hexdigest(), head)

    @contextmanager
    def _from_card(self, file: CardFile) -> Iterator[int]:
        """Open a file of the card; an error is the file's own as long as the card is there."""
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
        """Raise CardFailed where another medium, or none, is behind the volume: its bytes can't be trusted."""
        if self._medium is None or _current_medium(self.volume) != self._medium:
            raise CardFailed("The card was taken out or changed while it was read.")


def _current_medium(volume: Volume) -> Medium | None:
    try:
        return current_medium(volume)
    except OSError:
        return None


@contextmanager
def _created(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        yield fd
    finally:
        os.close(fd)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
