"""Telling systemd: ready, the status in a line, and that there is progress (sd_notify(3))."""

import os
import time
import unicodedata
from typing import Any

from ghostroll.status.model import Status

_TELL_SECONDS = 1.0


class SystemdNotifier:
    """A listener to status records. Without `NOTIFY_SOCKET` it does nothing.

    The watchdog is fed by progress, not by a timer: what hangs is noticed.
    """

    def __init__(self) -> None:
        self._notify = _notifier()
        self._ready = False
        self._progress: object = None
        self._told_at = 0.0

    def __call__(self, status: Status) -> None:
        """Take a changed status."""
        if self._notify is None:
            return
        lines = [f"STATUS={ascii_fold(status.message)}"]
        if not self._ready:
            self._ready = True
            lines.append("READY=1")
        progress = (status.state, status.step, status.counts, status.bytes, status.card.saved)
        if progress != self._progress:
            self._progress = progress
            lines.append("WATCHDOG=1")
        self._notify.notify("\n".join(lines))

    def heartbeat(self) -> None:
        """Reset the watchdog, at a limited rate, on progress that no count shows, such as a part of a large file."""
        now = time.monotonic()
        if self._notify is not None and now - self._told_at > _TELL_SECONDS:
            self._told_at = now
            self._notify.notify("WATCHDOG=1")


def ascii_fold(text: str) -> str:
    """Return `text` as one line of ASCII: sdnotify sends Latin-1, which systemd drops without a word."""
    folded = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return "".join(char if char.isprintable() else " " for char in folded)


def _notifier() -> Any:
    if "NOTIFY_SOCKET" not in os.environ:
        return None
    import sdnotify  # noqa: PLC0415 - only under systemd

    return sdnotify.SystemdNotifier()
