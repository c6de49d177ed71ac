"""Filesystems that are mounted for a test, in a mount namespace that ends with the test's process."""

import ctypes
import os
import subprocess
import time
from functools import cache
from pathlib import Path

_CLONE_NEWNS = 0x00020000  # unshare(2)


class NotPossible(Exception):
    """This machine cannot do it; the message says why."""


def run(*command: str) -> None:
    """Run a program of the system; raises CalledProcessError."""
    subprocess.run(command, capture_output=True, check=True, text=True)


@cache
def own_mounts() -> None:
    """Keep what is mounted from here on to this process and its children: nothing stays, however it ends.

    Raises NotPossible where the system doesn't allow it.
    """
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNS) != 0:
        raise NotPossible(f"nothing can be mounted here: {os.strerror(ctypes.get_errno())}")
    run("mount", "--make-rprivate", "/")


def is_mounted(place: Path) -> bool:
    """Tell whether anything is mounted there; a dead filesystem too (proc_pid_mountinfo(5))."""
    return any(line.split()[4] == str(place) for line in Path("/proc/self/mountinfo").read_text().splitlines())


def unmount(place: Path, seconds: float = 10.0) -> None:
    """Unmount a disk; what was killed a moment ago may still be on it."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            run("umount", str(place))
        except subprocess.CalledProcessError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
