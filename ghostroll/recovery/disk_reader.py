"""Reading originals again from the disk itself, with a stop and a meter: it may take hours."""

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
class Reading:
    """What a file's bytes are now. `head`: its first bytes."""

    sha256: str
    sample_sha256: str
    head: bytes
    size_bytes: int
    mtime_ns: int


@dataclass
class Reader:
    """Reads files past the page cache, and tells how far it is of `total_bytes`. `again` is what to do if stopped."""

    stop: threading.Event
    total_bytes: int = 0
    again: str = ""
    tell: Callable[[float], None] = lambda _: None
    _done_bytes: int = 0
    _logged_at: float = field(default_factory=time.monotonic)

    def read(self, path: Path) -> Reading:
        """Read one file whole; raises OSError, FileFailed for what is not a regular file, Interrupted on a stop."""
        # O_NONBLOCK: should the name have become a FIFO, opening it must not wait.
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            facts = os.fstat(fd)
            if not stat.S_ISREG(facts.st_mode):
                raise FileFailed("it is not a regular file")
            durable.drop_from_cache(fd)
            return self._read(fd, facts)
        finally:
            os.close(fd)

    def _read(self, fd: int, facts: os.stat_result) -> Reading:
        digest, sampler, head = hashlib.sha256(), SampleHash(), b""
        while chunk := os.read(fd, durable.CHUNK_BYTES):
            if self.stop.is_set():
                raise Interrupted("Interrupted before all was read.", hint=self.again)
            head = head or chunk[:SNIFF_BYTES]
            digest.update(chunk)
            sampler.update(chunk)
            self._count(len(chunk))
        return Reading(digest.hexdigest(), sampler.hexdigest(), head, facts.st_size, facts.st_mtime_ns)

    def _count(self, size_bytes: int) -> None:
        self._done_bytes += size_bytes
        if not self.total_bytes:
            return
        done = min(1.0, self._done_bytes / self.total_bytes)
        self.tell(done)
        now = time.monotonic()
        if now - self._logged_at > _LOG_SECONDS:
            self._logged_at = now
            logger.info("%d %% of %.1f GB read.", done * _PERCENT, self.total_bytes / 1e9)
