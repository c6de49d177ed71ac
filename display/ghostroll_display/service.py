"""The display service: keeps `status.png` in step with `status.json`."""

import argparse
import io
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from ghostroll import config, durable, log, status
from ghostroll.errors import GhostrollError
from ghostroll.log import logger
from ghostroll_display import frame

# What status.png measures where no panel says otherwise: the commonest one of 7.3 inches.
DEFAULT_SIZE = (800, 480)
_POLL_SECONDS = 1.0
_EXIT_STATUS = "exit status: 0 done; 64 wrong usage; 73 the picture cannot be written; 78 a setting is wrong"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(64, f"{self.prog}: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the status, once or whenever it changes; return the exit code."""
    parser = _Parser(prog="ghostroll-display", description="Draws status.json to status.png.", epilog=_EXIT_STATUS)
    parser.add_argument("--once", action="store_true", help="draw the current status and end")
    parser.add_argument("--config", metavar="FILE", help="the configuration file (TOML)")
    options = parser.parse_args(arguments)
    log.setup()
    try:
        settings = config.load({}, os.environ, options.config).settings
        if settings.panel == "none":
            logger.info("No panel is wanted (panel = none): nothing is drawn.")
            return 0
        size = settings.panel_size or DEFAULT_SIZE
        draw_once(settings.status_path, settings.status_image_path, size)
        if not options.once:
            follow(settings.status_path, settings.status_image_path, size)
    except GhostrollError as error:
        logger.error("%s", f"{error} {error.hint}".strip())
        return error.exit_code
    except OSError as error:
        logger.error("The picture cannot be written: %s", error)
        return 73
    return 0


def draw_once(status_path: Path, image_path: Path, size: tuple[int, int]) -> None:
    """Draw the current status, whole or not at all; raises OSError."""
    picture = io.BytesIO()
    frame.draw(status.read(status_path), size).save(picture, "PNG")
    image_path.parent.mkdir(parents=True, exist_ok=True)
    durable.write_lightly(image_path, picture.getvalue())


def follow(status_path: Path, image_path: Path, size: tuple[int, int]) -> None:
    """Draw again whenever the record changes, until SIGTERM or SIGINT."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    seen = _changed_at(status_path)
    while not stop.wait(_POLL_SECONDS):
        now = _changed_at(status_path)
        if now != seen:
            seen = now
            draw_once(status_path, image_path, size)


def _changed_at(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None
