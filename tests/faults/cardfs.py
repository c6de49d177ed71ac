"""A program that is a card's filesystem (FUSE): it shows a directory, and at given places does what bad cards do.

Whoever tries to change anything is refused, and noted. `cards.inserted` starts it.
"""

import ctypes
import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import mfusepy

from tests.faults.cards import Fault

_MNT_DETACH = 2  # umount2(2)
_FACTS = ("st_mode", "st_nlink", "st_size", "st_uid", "st_gid", "st_ino")
_TIMES = ("st_atime", "st_mtime", "st_ctime")
_FREE = ("f_bsize", "f_frsize", "f_blocks", "f_bfree", "f_bavail", "f_files", "f_ffree", "f_favail", "f_namemax")


class FaultyCard(mfusepy.Operations):
    """The filesystem. Paths are as the library gives them: text with a leading slash, invalid UTF-8 as surrogates."""

    use_ns = True

    def __init__(self, source: str, place: str, notes: str, faults: list[Fault]) -> None:
        self._source = source
        self._place = place
        self._notes = notes
        self._faults = {(fault.kind, f"/{fault.path}"): fault for fault in faults}
        self._openings: dict[str, int] = {}
        self._lock = threading.Lock()
        self._is_covered = False

    def _fault(self, kind: str, path: str) -> Fault | None:
        return self._faults.get((kind, path))

    def _fail_if(self, kind: str, path: str) -> None:
        if self._fault(kind, path):
            raise mfusepy.FuseOSError(errno.EIO)

    def _real(self, path: str) -> str:
        return self._source + path

    # What a card's reader does

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:  # noqa: ARG002 - the library's signature
        self._fail_if("unlookable", path)
        try:
            facts = os.lstat(self._real(path))
        except OSError as error:
            raise mfusepy.FuseOSError(error.errno) from error
        found = {name: getattr(facts, name) for name in _FACTS}
        found |= {name: getattr(facts, f"{name}_ns") for name in _TIMES}
        if size := self._fault("size", path):
            found["st_size"] = size.value
        if moment := self._fault("time", path):
            found["st_mtime"] = moment.value * 10**9
        return found

    def readdir(self, path: str, fh: int) -> list[str]:  # noqa: ARG002
        self._fail_if("unlistable", path)
        self._end_at(path, range(1))
        return [".", "..", *os.listdir(self._real(path))]  # noqa: PTH208 - names, not paths

    def readlink(self, path: str) -> str:
        return os.readlink(self._real(path))  # noqa: PTH115 - the text as it is

    def statfs(self, path: str) -> dict[str, int]:  # noqa: ARG002
        facts = os.statvfs(self._source)
        return {name: getattr(facts, name) for name in _FREE}

    def open(self, path: str, flags: int) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_TRUNC | os.O_APPEND):
            self._refuse(f"open {path} with {flags:#o}")
        self._fail_if("unopenable", path)
        with self._lock:
            self._openings[path] = self._openings.get(path, 0) + 1
        other = self._fault("other", path)
        real = other.other if other and self._openings[path] > 1 else self._real(path)
        return os.open(real, os.O_RDONLY)

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        if slow := self._fault("slow", path):
            time.sleep(slow.value / 1000)
        if short := self._fault("short", path):
            size = min(size, short.value)
        if (bad := self._fault("unreadable", path)) and offset + size > bad.at:
            if offset >= bad.at:
                raise mfusepy.FuseOSError(errno.EIO)
            size = bad.at - offset
        content = os.pread(fh, size, offset)
        self._end_at(path, range(offset, offset + max(1, len(content))))
        return content

    def release(self, path: str, fh: int) -> int:  # noqa: ARG002
        os.close(fh)
        return 0

    # How a card ends

    def _end_at(self, path: str, span: range) -> None:
        for kind, ending in _ENDINGS.items():
            fault = self._fault(kind, path)
            if fault and fault.at in span:
                ending(self, fault)

    def _die(self, _: Fault) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def _go(self, _: Fault) -> None:
        ctypes.CDLL(None).umount2(os.fsencode(self._place), _MNT_DETACH)

    def _cover(self, fault: Fault) -> None:
        with self._lock:
            covered, self._is_covered = self._is_covered, True
        if not covered:
            subprocess.run(["mount", "--bind", fault.other, self._place], check=True)

    def _hang(self, _: Fault) -> None:
        time.sleep(3600)

    # What nobody may do

    def _refuse(self, what: str) -> None:
        with open(self._notes, "a", errors="surrogateescape") as notes:  # noqa: PTH123
            notes.write(what + "\n")
        raise mfusepy.FuseOSError(errno.EROFS)


_ENDINGS = {
    "dead": FaultyCard._die,
    "gone": FaultyCard._go,
    "covered": FaultyCard._cover,
    "stuck": FaultyCard._hang,
}
# What changes a filesystem, of struct fuse_operations (fuse.h).
_CHANGES = (
    "chmod chown create fallocate link mkdir mknod removexattr rename rmdir setxattr symlink truncate unlink utimens"
    " write"
).split()
for _change in _CHANGES:

    def _refused(self: FaultyCard, *what: Any, _change: str = _change) -> None:
        self._refuse(f"{_change} {what}")

    setattr(FaultyCard, _change, _refused)


def _serve(source: str, place: str, notes: str, description: str) -> None:
    faults = [Fault(**fault) for fault in json.loads(description)]
    card = FaultyCard(source, place, notes, faults)
    mfusepy.FUSE(card, place, foreground=True, direct_io=True, allow_other=True)


if __name__ == "__main__":
    _serve(*sys.argv[1:])
