"""Keeps a panel in step with the newest frame, in a thread of its own: a refresh takes up to a minute."""

import time
from collections.abc import Hashable
from datetime import date, datetime
from threading import Condition, Thread
from typing import Any

from PIL import Image

from ghostroll.base.log import logger
from ghostroll_display.errors import PanelFailed
from ghostroll_display.models import PanelModel
from ghostroll_display.panel import Panel
from ghostroll_display.schedule import Frame, Schedule, night, tidings

# So often a thread with nothing to do looks whether the night's rewrite is due: clocks are set meanwhile.
_LOOK_SECONDS = 1800.0
# What a refresh may take beside the panel's own time.
GRACE_SECONDS = 30.0


class Refresher:
    """A panel, and the frame that it should show."""

    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        self._schedule = Schedule(panel.model.quiet_seconds)
        self._changed = Condition()
        self._is_ending = False
        self._thread = Thread(target=self._run, name="panel", daemon=True)

    def start(self) -> None:
        """Begin to refresh the panel."""
        self._thread.start()

    def is_alive(self) -> bool:
        """Whether the thread is at work; where it should be and is not, there is a bug."""
        return self._thread.is_alive()

    def want(self, image: Image.Image, record: dict[str, Any], answer: Hashable = None) -> None:
        """Have the panel show `image`, which was drawn from `record` or to give an `answer`, as soon as it deserves."""
        with self._changed:
            self._schedule.want(Frame(image, (tidings(record), answer)))
            self._changed.notify()

    def end(self, last: Image.Image | None = None) -> None:
        """Let a refresh come to its end; begin no other, unless the `last` image is not there. Raises PanelFailed."""
        with self._changed:
            self._is_ending = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(self._panel.model.deadline_seconds + GRACE_SECONDS)
        if last is not None and not self._thread.is_alive() and not self._schedule.shows(last):
            self._panel.show(last)

    def _run(self) -> None:
        while frame := self._next():
            try:
                self._panel.show(frame.image)
            except PanelFailed as error:
                logger.error("%s It is tried again.", error)
                with self._changed:
                    self._schedule.failed(frame, time.monotonic())
            else:
                with self._changed:
                    self._schedule.shown(frame, time.monotonic(), _tonight())

    def _next(self) -> Frame | None:
        """Wait until a refresh is due; return its frame, or None at the end."""
        with self._changed:
            while not self._is_ending:
                pause = self._schedule.seconds_to_wait(time.monotonic(), _tonight())
                if pause == 0:
                    return self._schedule.wanted
                self._changed.wait(_LOOK_SECONDS if pause is None else min(pause, _LOOK_SECONDS))
        return None


def _tonight() -> date:
    return night(datetime.now().astimezone())


def blank(model: PanelModel) -> Image.Image:
    """Return the picture of a panel that shows nothing: what is stored for long is best white."""
    image = Image.new("P", model.size, model.colours.index("white"))
    image.putpalette([part for colour in model.palette for part in colour])
    return image
