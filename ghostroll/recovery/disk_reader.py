"""Re-read originals from the disk, past the page cache, with progress and a stop: it may take hours."""

import hashlib
import os
import stat
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ghostroll.base import durable
from ghostroll.base.errors import FileFailed, Interrupted
from ghostroll.base.log import logger
from ghostroll.card.fingerprint import SampleHash
from ghostroll.card.media import SNIFF_BYTES

_LOG_SECONDS = 10.0
_PERCENT = 100


@dataclass(frozen=True, slots=True)
class ReadResult:
    """The hashes, first bytes (`head`), size and time of a file as read from the disk."""

    sha256: str
    sample_sha256: str
    head: bytes
    size_bytes: int
    mtime_ns: int


@dataclass
class DiskReader:
    """Reads files past the page cache.

    With `total_bytes`, progress goes to the log and, from 0 to 1, to `on_progress`. `retry_hint` is Interrupted's.
    """

    stop: threading.Event
    total_bytes: int = 0
    retry_hint: str = ""
    on_progress: Callable[[float], None] = lambda _: None
    _done_bytes: int = 0
    _logged_at: float = field(default_factory=time.monotonic)

    def read(self, path: Path) -> ReadResult:
        """Read and hash a file. Raises OSError, FileFailed if it is not a regular file, Interrupted on a stop."""
        # O_NONBLOCK: opening must not block if the name is a FIFO by now.
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            facts = os.fstat(fd)
            if not stat.S_ISREG(facts.st_mode):
                raise FileFailed("it is not a regular file")
            durable.drop_from_cache(fd)
            return self._read(fd, facts)
        finally:
            os.close(fd)

    def _read(self, fd: int, facts: os.stat_result) -> ReadResult:
        digest, sampler, head = hashlib.sha256(), SampleHash(), b""
        while chunk := os.read(fd, durable.CHUNK_BYTES):
            if self.stop.is_set():
                raise Interrupted("Interrupted before all was read.", hint=self.retry_hint)
            head = head or chunk[:SNIFF_BYTES]
            digest.update(chunk)
            sampler.update(chunk)
            self._count(len(chunk))
        return ReadResult(digest.hexdigest(), sampler.hexdigest(), head, facts.st_size, facts.st_mtime_ns)

    def _count(self, size_bytes: int) -> None:
        self._done_bytes += size_bytes
        if not self.total_bytes:
            return
        done = min(1.0, self._done_bytes / self.total_bytes)
        self.on_progress(done)
        now = time.monotonic()
        if now - self._logged_at > _LOG_SECONDS:
            self._logged_at = now
            logger.info("%d %% of %.1f GB read.", done * _PERCENT, self.total_bytes / 1e9)
