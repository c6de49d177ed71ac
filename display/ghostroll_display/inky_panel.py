"""An Inky panel behind a process: its drivers block, sleep through a stuck line, and may end the process they are in.

So each refresh is a child of its own, which a deadline ends. What the drivers import stays there, too.
"""

import contextlib
import io
import subprocess
import sys
from collections.abc import Sequence

from PIL import Image

from ghostroll.base.log import printable
from ghostroll_display.errors import PanelFailed
from ghostroll_display.models import MODELS, PanelModel

# -P: what lies in the working directory is none of our modules.
COMMAND = (sys.executable, "-P", "-m", "ghostroll_display.inky_drivers")
# A child imports numpy and a driver; generous for a Pi Zero with a cold disk.
_START_SECONDS = 20.0
_FIND_SECONDS = 10.0
# What sleeps inside the kernel ends when the kernel lets it, and is not waited for.
_KILL_SECONDS = 2.0
_REASON_CHARACTERS = 300


class InkyPanel:
    """A panel of this model. `command` runs the drivers."""

    def __init__(
        self, model: PanelModel, command: Sequence[str] = COMMAND, *, start_seconds: float = _START_SECONDS
    ) -> None:
        self.model = model
        self._command = command
        self._seconds = start_seconds + model.deadline_seconds

    def show(self, image: Image.Image) -> None:
        """Refresh the panel; return when the refresh has ended. Raises PanelFailed, at the latest at the deadline."""
        picture = io.BytesIO()
        image.save(picture, "PNG")
        _call((*self._command, "show", self.model.name), picture.getvalue(), self._seconds)


def find(command: Sequence[str] = COMMAND) -> PanelModel:
    """Return the model of the panel that is there, as its EEPROM says; raises PanelFailed."""
    name = _call((*command, "find"), b"", _START_SECONDS + _FIND_SECONDS).strip()
    if name not in MODELS:
        raise PanelFailed(f"The panel is none that is known here: {printable(name)}.")
    return MODELS[name]


def _call(command: Sequence[str], given: bytes, seconds: float) -> str:
    """Run the drivers; return what they print. Raises PanelFailed."""
    try:
        child = subprocess.Popen(  # noqa: S603 - our own program
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    except OSError as error:
        raise PanelFailed(f"The panel's driver cannot be started: {error.strerror}.") from error
    try:
        out, err = child.communicate(given, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise PanelFailed(f"The panel did not answer within {seconds:.0f} s.") from None
    finally:
        _end(child)
    if child.returncode != 0:
        raise PanelFailed(f"The panel's driver failed: {_reason(err.decode(errors='replace'), child.returncode)}.")
    return out.decode(errors="replace")


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(_KILL_SECONDS)
    for pipe in (child.stdin, child.stdout, child.stderr):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def _reason(told: str, code: int) -> str:
    """Return why a driver failed, from what it wrote to stderr: an exception's last line, or a message as it is."""
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    if any(line.startswith("Traceback") for line in lines):
        lines = lines[-1:]
    return printable(" ".join(lines))[:_REASON_CHARACTERS].rstrip(".") or f"exit status {code}"
