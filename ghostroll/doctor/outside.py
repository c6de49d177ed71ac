"""Asking the system's own programs."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from types import MappingProxyType

_ANSWER_SECONDS = 8


def answer_of(
    name: str, *arguments: str, environment: Mapping[str, str] = MappingProxyType({}), seconds: int = _ANSWER_SECONDS
) -> str | None:
    """Return what a program prints; None where there is no such program, or it has nothing to say here."""
    program = shutil.which(name)
    if program is None:
        return None
    try:
        ended = subprocess.run(  # noqa: S603 - no shell reads them
            [program, *arguments],
            env={**os.environ, "LC_ALL": "C", **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ended.stdout.decode(errors="replace") if ended.returncode == 0 else None


def properties(text: str) -> dict[str, str]:
    """Return `NAME=value` lines as a dictionary, as `systemctl show` and `timedatectl show` print them."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
