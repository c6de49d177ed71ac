"""The display service: keeps `status.png` and the panel in step with `status.json`."""

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NoReturn

from PIL import Image

from ghostroll.appliance.helper_requests import HelperRequests
from ghostroll.base import config, log
from ghostroll.base.config import Settings
from ghostroll.base.errors import GhostrollError
from ghostroll.base.log import logger
from ghostroll_display import choice, frame
from ghostroll_display.asking import Asking
from ghostroll_display.button import Button, open_button
from ghostroll_display.errors import PanelFailed, PictureFailed
from ghostroll_display.models import png_model
from ghostroll_display.panel import Panel, PngPanel, open_panel
from ghostroll_display.reading import Reader
from ghostroll_display.refreshing import GRACE_SECONDS, Refresher, blank
from ghostroll_display.screens import Screen, screen
from ghostroll_display.searching import Search
from ghostroll_display.telling import Systemd, power_goes_off
from ghostroll_display.thumbnails import Thumbnails
from ghostroll_display.view import view
from ghostroll_display.watching import Watch

# The record changes up to twice a second; nobody looks that often.
_DRAW_SECONDS = 1.0
# But who presses the button waits for an answer.
_PRESSED_SECONDS = 0.2
# So often a frame is drawn without a reason: links end, and days go by.
_REDRAW_SECONDS = 600.0
_EXIT_STATUS = (
    "exit status: 0 done; 64 wrong usage; 69 the panel does not answer; 73 the picture cannot be written; "
    "78 a setting is wrong"
)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(64, f"{self.prog}: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the status, once or whenever it changes; return the exit code."""
    parser = _Parser(
        prog="ghostroll-display", description="Draws status.json to status.png and the panel.", epilog=_EXIT_STATUS
    )
    parser.add_argument("--once", action="store_true", help="draw the current status and end")
    parser.add_argument("--config", metavar="FILE", help="the configuration file (TOML)")
    options = parser.parse_args(arguments)
    log.setup()
    try:
        settings = config.load({}, os.environ, options.config).settings
        if settings.panel == "none":
            logger.info("No panel is wanted (panel = none): nothing is drawn.")
            return 0
        display = Display(settings, open_panel(settings))
        if options.once:
            display.show_once()
        else:
            is_looked_for = display.panel is None and settings.panel == "auto"
            follow(display, settings, open_button(settings), Search() if is_looked_for else None)
    except GhostrollError as error:
        logger.error("%s", f"{error} {error.hint}".strip())
        return error.exit_code
    except BrokenPipeError:  # stdout's reader has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


class Display:
    """The picture, the panel where there is one, and the record that they show."""

    def __init__(self, settings: Settings, panel: Panel | None) -> None:
        self.panel = panel
        self._settings = settings
        self._reader = Reader(settings.status_path)
        self._asking = Asking(HelperRequests(settings.status_path.parent), time.monotonic)
        model = panel.model if panel else png_model(settings.panel_size or choice.DEFAULT_SIZE)
        self._picture = PngPanel(model, settings.status_image_path)
        self._thumbnails = Thumbnails()
        self._refresher = Refresher(panel) if panel else None
        self._complaint = ""
        self._choice = ""
        self._record: dict[str, Any] = {}
        self._answer: Screen | None = None
        self.button: Button | None = None

    @property
    def _has_lamp(self) -> bool:
        return self.button is not None and self.button.has_lamp

    @property
    def message(self) -> str:
        """What is shown, in a sentence."""
        return str(self._record.get("message") or "")

    @property
    def seconds_to_end(self) -> float:
        """The most that `end` takes: for the refresh that goes on, and for a white one."""
        return 2.0 * (self.panel.model.deadline_seconds + GRACE_SECONDS) if self.panel else GRACE_SECONDS

    def show_once(self) -> None:
        """Draw the current status; return when it is shown. Raises PanelFailed."""
        image = self._draw()
        self._picture.show(image)
        if self.panel:
            self.panel.show(image)

    def start(self) -> None:
        """Begin to refresh the panel."""
        if self._refresher:
            self._refresher.start()

    def take(self, panel: Panel) -> None:
        """Show everything on this panel from now on: it came after the display was started."""
        self.panel = panel
        self._picture = PngPanel(panel.model, self._settings.status_image_path)
        self._refresher = Refresher(panel)
        self._refresher.start()

    def hear(self) -> None:
        """Do what the button asks for; what is shown next tells."""
        for gesture in self.button.gestures() if self.button else ():
            self._asking.hear(gesture, self._record)

    def show(self) -> None:
        """Draw the current status, or an answer to the button, and have it shown.

        A picture that cannot be written does not stop the panel.
        """
        self._record = self._reader.read()
        had_answer, self._answer = self._answer, self._asking.answer(self._record)
        if self.button and had_answer and not self._answer:
            self.button.dark()
        image = self._drawn(self._answer)
        if self._refresher:
            if not self._refresher.is_alive():
                raise RuntimeError("the panel's thread has ended")
            if self._asking.only_acknowledges and self._has_lamp and self._picture.model.is_slow:
                self._refresher.want(self._drawn(), self._record)  # the lamp has answered already
            else:
                self._refresher.want(image, self._record, self._answer)
        complaint = ""
        try:
            self._picture.show(image)
        except PictureFailed as error:
            complaint = str(error)
        if complaint and complaint != self._complaint:
            logger.error("%s", complaint)
        self._complaint = complaint

    def seconds_to_wait(self) -> float:
        """Return for how long nothing changes of what is shown, unless the status or the button does."""
        left = self._asking.seconds_to_wait()
        return _REDRAW_SECONDS if left is None else min(_REDRAW_SECONDS, left)

    def _draw(self) -> Image.Image:
        self._record = self._reader.read()
        return self._drawn()

    def _drawn(self, answer: Screen | None = None) -> Image.Image:
        now = datetime.now().astimezone()
        self._tell_choice(choice.told(self._record, self._picture.model, now))
        return frame.draw(self._record, self._picture.model, now=now, load=self._thumbnails.load, answer=answer)

    def _tell_choice(self, choice_now: str) -> None:
        """Log which code is shown and why, once."""
        if choice_now and choice_now != self._choice:
            logger.info("%s", choice_now)
            self._choice = choice_now

    def end(self) -> None:
        """Leave the panel as it is; where it will be without power, with the link, which goes on serving, or white."""
        if self._refresher is None:
            return
        last = None
        if power_goes_off():
            image = self._draw()
            last = image if self._shows_link() else blank(self._picture.model)
        try:
            self._refresher.end(last)
        except PanelFailed as error:
            logger.error("The panel keeps what it shows: %s", error)

    def _shows_link(self) -> bool:
        return screen(view(self._record), datetime.now().astimezone()).shows_code


def follow(display: Display, settings: Settings, button: Button | None = None, search: Search | None = None) -> None:
    """Show the record whenever it changes, and heed the button, until SIGTERM or SIGINT.

    A panel that the `search` finds is taken.
    """
    stop = threading.Event()
    watch = Watch(settings.status_path)

    def end(*_: object) -> None:
        stop.set()
        watch.wake()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    display.button = button
    if button:
        button.wake = watch.wake
    systemd = Systemd()
    display.start()
    if search:
        search.wake = watch.wake
        search.start()
    while not stop.is_set():
        drawn_at = time.monotonic()
        if search and (panel := search.found()):
            display.take(panel)
        display.hear()
        display.show()
        systemd.tell(display.message)
        waits = (display.seconds_to_wait(), systemd.feed_seconds, button.seconds_to_wait() if button else None)
        watch.wait(min(seconds for seconds in waits if seconds is not None))
        is_pressed = button is not None and button.seconds_to_wait() is not None
        pause = _PRESSED_SECONDS if is_pressed else _DRAW_SECONDS
        stop.wait(max(0.0, drawn_at + pause - time.monotonic()))
    systemd.ending(display.seconds_to_end)
    if search:
        search.end()
    if button:
        button.close()
    display.end()
    watch.close()
