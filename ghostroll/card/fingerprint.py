"""Opening media files of a card, and the sample that recognises a file without reading it whole."""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from ghostroll.base.durable import drop_from_cache
from ghostroll.base.errors import FileFailed
from ghostroll.card.directories import open_without_atime
from ghostroll.card.media import CardFile
from ghostroll.card.volume import Volume

SAMPLE_BYTES = 64 * 1024


class Sampler:
    """Takes a file's chunks in order and gives the SHA-256 of its first and last 64 KiB."""

    def __init__(self) -> None:
        self._head = b""
        self._tail = b""
        self._size = 0

    def update(self, chunk: bytes) -> None:
        """Take the next bytes of the file."""
        missing = SAMPLE_BYTES - len(self._head)
        if missing:
            self._head += chunk[:missing]
        if len(chunk) >= missing + SAMPLE_BYTES:
            self._tail = chunk[-SAMPLE_BYTES:]
        else:
            self._tail = (self._tail + chunk[missing:])[-SAMPLE_BYTES:]
        self._size += len(chunk)

    def skip(self, size_bytes: int) -> None:
        """Pass over bytes that lie between head and tail."""
        self._size += size_bytes

    def hexdigest(self) -> str:
        """Return the sample of what was taken so far."""
        return hashlib.sha256(b"%d:" % self._size + self._head + self._tail).hexdigest()


@contextmanager
def opened(volume: Volume, file: CardFile) -> Iterator[int]:
    """Open a media file for reading, as a descriptor.

    Raises FileFailed for what is not the regular file of the size that was listed, OSError where the card fails.
    """
    # O_NONBLOCK: should the name have become a FIFO, opening it must not wait.
    fd = open_without_atime(volume.root / file.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        facts = os.fstat(fd)
        if not stat.S_ISREG(facts.st_mode):
            raise FileFailed("it is no longer a regular file")
        if facts.st_size != file.size_bytes:
            raise FileFailed(f"its size changed from {file.size_bytes} to {facts.st_size} bytes")
        try:
            yield fd
        finally:
            drop_from_cache(fd)
    finally:
        os.close(fd)


def sample_of(volume: Volume, file: CardFile) -> str:
    """Return the sample of a file on the card, reading at most 128 KiB; raises OSError or FileFailed."""
    sampler = Sampler()
    with opened(volume, file) as fd:
        sampler.update(_read_at(fd, 0))
        skipped = max(SAMPLE_BYTES, file.size_bytes - SAMPLE_BYTES) - SAMPLE_BYTES
        tail = _read_at(fd, SAMPLE_BYTES + skipped)
        sampler.skip(skipped)
        sampler.update(tail)
    return sampler.hexdigest()


def _read_at(fd: int, offset: int) -> bytes:
    """Read one end of a file; a filesystem in a program (FUSE) may give less at once than is there."""
    taken = b""
    while len(taken) < SAMPLE_BYTES and (chunk := os.pread(fd, SAMPLE_BYTES - len(taken), offset + len(taken))):
        taken += chunk
    return taken
