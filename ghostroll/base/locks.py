"""Locks on files and directories, by flock(2). A lock ends with the process that holds it, however that ends.

An exclusive lock needs no right to write: a file or directory that another user made serves as well.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ghostroll.base.session_paths import Session

_POLL_SECONDS = 0.05


def acquire(path: Path, *, mode: int | None = None, wait_seconds: float = 0.0) -> int | None:
    """Lock `path` exclusively and return the descriptor whose closing ends that; None where another holds the lock.

    With `mode`, a missing file is created with it. Raises OSError where `path` cannot be opened.
    """
    fd = _opened(path, mode)
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(fd)
                return None
            time.sleep(_POLL_SECONDS)
        except BaseException:
            os.close(fd)
            raise
        else:
            return fd


@contextmanager
def held(path: Path, *, mode: int | None = None) -> Iterator[None]:
    """Hold an exclusive lock on `path`, however long it takes to get it. `mode` and errors as for `acquire`."""
    fd = _opened(path, mode)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def is_held(path: Path) -> bool:
    """Tell whether anybody holds an exclusive lock on `path`; raises OSError where it cannot be opened."""
    fd = _opened(path, None)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def is_busy(session: Session) -> bool:
    """Tell whether a run is working on a session just now: it holds a lock on the session's directory."""
    try:
        return is_held(session.directory)
    except OSError:  # there is no such directory
        return False


def _opened(path: Path, mode: int | None) -> int:
    create = 0 if mode is None else os.O_CREAT
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | create, mode or 0)
