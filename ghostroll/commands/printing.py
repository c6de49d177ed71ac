"""What commands print: results on stdout, a progress bar on stderr."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from ghostroll.base.log import is_under_journal
from ghostroll.status.model import Status
from ghostroll.status.progress_bar import Bar


def on_terminal() -> bool:
    """Tell whether stderr is a terminal that somebody reads."""
    return sys.stderr.isatty() and not is_under_journal()


@contextmanager
def progress_bar(message: str) -> Iterator[Callable[[float], None]]:
    """Give what draws a bar from 0 to 1 on a terminal, and elsewhere nothing: the log tells it there."""
    if not on_terminal():
        yield lambda _: None
        return
    with Bar() as bar:
        yield lambda done: bar(Status(message=message, progress=done))


def print_lines(lines: Iterable[str]) -> None:
    """Print each line on stdout."""
    for line in lines:
        print(line)


def until(expires_at: Any) -> str:
    """Return the end of a link in words, in local time."""
    if not expires_at:
        return "-"
    moment = datetime.fromisoformat(expires_at)
    words = moment.astimezone().strftime("%Y-%m-%d %H:%M")
    return words if moment > datetime.now(UTC) else f"{words} (expired)"
