"""Open media files, and hash a sample of a file: its size, first and last 64 KiB.

Equal samples mean that a file is probably known; only a SHA-256 of all bytes proves it.
"""

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


class SampleHash:
    """Incremental SHA-256 of a file's size, first and last 64 KiB, with the interface of hashlib."""

    def __init__(self) -> None:
        self._head = b""
        self._tail = b""
        self._size = 0

    def update(self, chunk: bytes) -> None:
        """Add the next bytes of the file."""
        missing = SAMPLE_BYTES - len(self._head)
        if missing:
            self._head += chunk[:missing]
        if len(chunk) >= missing + SAMPLE_BYTES:
            self._tail = chunk[-SAMPLE_BYTES:]
        else:
            self._tail = (self._tail + chunk[missing:])[-SAMPLE_BYTES:]
        self._size += len(chunk)

    def skip(self, size_bytes: int) -> None:
        """Count bytes between head and tail without reading them."""
        self._size += size_bytes

    def hexdigest(self) -> str:
        """Return the hash of the bytes added so far."""
        return hashlib.sha256(b"%d:" % self._size + self._head + self._tail).hexdigest()


@contextmanager
def open_media_file(volume: Volume, file: CardFile) -> Iterator[int]:
    """Yield a file descriptor for reading a media file.

    Raises FileFailed if it is no longer a regular file of the listed size, OSError if the card fails.
    """
    # O_NONBLOCK: opening must not block if the name is a FIFO by now.
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


def sample_sha256_of(volume: Volume, file: CardFile) -> str:
    """Return the sample hash of a file on the card, reading at most 128 KiB. Raises OSError, FileFailed."""
    sampler = SampleHash()
    with open_media_file(volume, file) as fd:
        sampler.update(_read_at(fd, 0))
        skipped = max(SAMPLE_BYTES, file.size_bytes - SAMPLE_BYTES) - SAMPLE_BYTES
        tail = _read_at(fd, SAMPLE_BYTES + skipped)
        sampler.skip(skipped)
        sampler.update(tail)
    return sampler.hexdigest()


def _read_at(fd: int, offset: int) -> bytes:
    """Read up to 64 KiB at `offset`; a FUSE filesystem may return less per read than there is."""
    data = b""
    while len(data) < SAMPLE_BYTES and (chunk := os.pread(fd, SAMPLE_BYTES - len(data), offset + len(data))):
        data += chunk
    return data
