"""Renderers that do to a worker what a bad picture or a bad day may do. Workers import them by name."""

import ctypes
import errno
import os
import signal
import time
from contextlib import suppress

from ghostroll.base.errors import FileFailed
from ghostroll.derivatives import Recipe, Rendered, Task

DONE = Rendered((3, 2), (3, 2), "aa", 1, "bb", 2, None, None)


def by_name(task: Task, _: Recipe) -> Rendered:
    """Do what the original's name says before its first "-", if anything."""
    misdeed = _MISDEEDS.get(task.original.name.partition("-")[0])
    if misdeed:
        misdeed(task)
    return DONE


def _segfault(_: Task) -> None:
    ctypes.string_at(0)


def _killed(_: Task) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _killed_once(task: Task) -> None:
    if not task.share.exists():
        task.share.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def _hang(task: Task) -> None:
    task.share.write_text(str(os.getpid()))
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    time.sleep(600)


def _memory(_: Task) -> None:
    bytearray(1 << 40)


def _bug(_: Task) -> None:
    raise ZeroDivisionError


def _refused(_: Task) -> None:
    raise FileFailed("not a picture")


def _full(task: Task) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(task.share))


def _babble(_: Task) -> None:
    _to_every_pipe(b"x" * 50_000 + b"\n")


def _lie(_: Task) -> None:
    _to_every_pipe(b'{"rendered": {"share_size": [1]}}\n')


def _to_every_pipe(data: bytes) -> None:
    for fd in range(3, 10):
        with suppress(OSError):
            os.write(fd, data)


_MISDEEDS = {
    "segfault": _segfault,
    "killed": _killed,
    "killedonce": _killed_once,
    "hang": _hang,
    "memory": _memory,
    "bug": _bug,
    "refused": _refused,
    "full": _full,
    "babble": _babble,
    "lie": _lie,
}
