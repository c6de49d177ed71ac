"""Draw the panel's frame in a terminal, for `ghostroll status --panel`."""

from datetime import datetime

from ghostroll.base.config import Settings
from ghostroll_display import choice, terminal
from ghostroll_display.reading import Reader
from ghostroll_display.thumbnails import Thumbnails
from ghostroll_display.view import view


def show_in_terminal(settings: Settings) -> None:
    """Draw the frame of the panel in force, from the status as it is now, whether or not a display runs."""
    record = Reader(settings.status_path).read()
    model = choice.likely_model(settings)
    terminal.show(record, view(record), model, datetime.now().astimezone(), Thumbnails().load)
