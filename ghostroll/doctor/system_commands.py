"""Run programs of the system and parse their output."""

import os
import shutil
import subprocess

_TIMEOUT_SECONDS = 8


def command_output(name: str, *arguments: str) -> str | None:
    """Return a program's stdout; None if it is missing, fails or exceeds the timeout."""
    program = shutil.which(name)
    if program is None:
        return None
    try:
        completed = subprocess.run(  # noqa: S603 - no shell
            [program, *arguments],
            env={**os.environ, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return completed.stdout.decode(errors="replace") if completed.returncode == 0 else None


def parse_properties(text: str) -> dict[str, str]:
    """Parse `NAME=value` lines, as printed by `systemctl show` and `timedatectl show`."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
