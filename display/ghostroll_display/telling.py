"""What the display tells systemd, and what it asks: ready, alive (sd_notify(3)), and whether the power goes off."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from ghostroll.status.systemd import ascii_fold

LIST_JOBS = ("systemctl", "list-jobs", "--no-legend", "--plain")
_ASK_SECONDS = 3.0
# A reboot comes back with a panel that is drawn anew; these do not.
_POWER_GOES = frozenset(("poweroff.target", "halt.target"))


class Systemd:
    """The service manager. Without `NOTIFY_SOCKET` nothing is told."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._notify: Any = None
        if "NOTIFY_SOCKET" in environment:
            import sdnotify  # noqa: PLC0415 - only under systemd

            self._notify = sdnotify.SystemdNotifier()
        microseconds = environment.get("WATCHDOG_USEC", "")
        self.feed_seconds = int(microseconds) / 2e6 if microseconds.isdigit() and int(microseconds) > 0 else None

    def tell(self, message: str) -> None:
        """Say that the display is ready and alive, and what it shows."""
        if self._notify is not None:
            self._notify.notify(f"READY=1\nWATCHDOG=1\nSTATUS={ascii_fold(message)}")

    def ending(self, seconds: float) -> None:
        """Say that the display ends, and ask for the time that a last refresh takes."""
        if self._notify is not None:
            self._notify.notify(f"STOPPING=1\nEXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")


def power_goes_off(list_jobs: Sequence[str] = LIST_JOBS) -> bool:
    """Whether the machine is on its way to being without power for long; False where that cannot be found out."""
    try:
        told = subprocess.run(list_jobs, capture_output=True, timeout=_ASK_SECONDS, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return False
    jobs = [line.split() for line in told.stdout.decode(errors="replace").splitlines()]
    return any(len(job) > 2 and job[1] in _POWER_GOES and job[2] == "start" for job in jobs)  # noqa: PLR2004
