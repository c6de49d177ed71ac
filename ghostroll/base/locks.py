"""Lock files and directories with flock(2). The kernel releases a lock when its process ends.

An exclusive lock needs no write permission, so files and directories of other users can be locked as well.
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
    """Lock `path` exclusively; return the descriptor that holds the lock until it is closed, None if it is taken.

    With `mode`, a missing file is created. Raises OSError if `path` cannot be opened.
    """
    fd = _open(path, mode)
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
    """Hold an exclusive lock on `path`, waiting for it without a limit. `mode` and errors as for `acquire`."""
    fd = _open(path, mode)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def is_held(path: Path) -> bool:
    """Tell whether `path` is locked exclusively. Raises OSError if it cannot be opened."""
    fd = _open(path, None)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def is_busy(session: Session) -> bool:
    """Tell whether a run holds the lock on a session's directory."""
    try:
        return is_held(session.directory)
    except OSError:  # no such directory
        return False


def _open(path: Path, mode: int | None) -> int:
    create = 0 if mode is None else os.O_CREAT
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | create, mode or 0)
