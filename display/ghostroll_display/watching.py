"""Waits until the status record may have changed, at no cost; what cannot be watched is looked at now and then."""

import contextlib
import os
import select
import time
from pathlib import Path
from typing import Any

# Where there is no directory to watch (yet), or no inotify.
_LOOK_SECONDS = 2.0


class Watch:
    """The file at `path`: whoever replaces it, removes it, or brings its directory back, is noticed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = _signature(path)
        self._wake_reader, self._wake_writer = os.pipe()
        os.set_blocking(self._wake_reader, False)
        os.set_blocking(self._wake_writer, False)
        self._notices = _watched(path.parent)

    def close(self) -> None:
        """Watch no longer."""
        os.close(self._wake_reader)
        os.close(self._wake_writer)
        if self._notices is not None:
            self._notices.close()

    def wake(self) -> None:
        """End the wait; fit for a signal handler and for any thread."""
        with contextlib.suppress(OSError):  # a full pipe wakes as well, and a closed one has nobody to wake
            os.write(self._wake_writer, b"\0")

    def wait(self, seconds: float) -> None:
        """Return when the file has changed since the last time, when somebody calls `wake`, or when time is up."""
        end = time.monotonic() + seconds
        while not self._has_changed():
            left = end - time.monotonic()
            if left <= 0 or self._woken_within(left):
                return

    def _has_changed(self) -> bool:
        before, self._seen = self._seen, _signature(self._path)
        return self._seen != before

    def _woken_within(self, seconds: float) -> bool:
        """Wait for notices; return whether somebody called `wake`."""
        poll = select.poll()
        poll.register(self._wake_reader, select.POLLIN)
        if self._notices is None:
            seconds = min(seconds, _LOOK_SECONDS)
        else:
            poll.register(self._notices.fileno(), select.POLLIN)
        ready = {fd for fd, _ in poll.poll(seconds * 1000)}
        if self._notices is None:
            self._notices = _watched(self._path.parent)
        elif self._notices.fileno() in ready:
            self._take_notices()
        if self._wake_reader not in ready:
            return False
        os.read(self._wake_reader, 1024)
        return True

    def _take_notices(self) -> None:
        from inotify_simple import flags  # noqa: PLC0415 - not on every system

        gone = flags.IGNORED | flags.DELETE_SELF | flags.MOVE_SELF
        if any(notice.mask & gone for notice in self._notices.read(0)):
            self._notices.close()
            self._notices = _watched(self._path.parent)


def _watched(directory: Path) -> Any:
    """Return inotify's notices (inotify(7)) of a directory, or None where there is none of either."""
    try:
        from inotify_simple import INotify, flags  # noqa: PLC0415 - not on every system
    except ImportError:
        return None
    notices = INotify()
    try:
        notices.add_watch(
            directory,
            flags.MOVED_TO | flags.CLOSE_WRITE | flags.MOVED_FROM | flags.DELETE | flags.DELETE_SELF | flags.MOVE_SELF,
        )
    except OSError:
        notices.close()
        return None
    return notices


def _signature(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
