"""Log one line per event to stderr and to the session's log.

Under systemd each line starts with its priority `<N>` (sd-daemon(3)), so that `journalctl -p` can filter.
"""

import contextlib
import logging
import os
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from pathlib import Path
from threading import Thread

logger = logging.getLogger("ghostroll")

# syslog(3) priorities.
_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
# Control, format (bidirectional overrides among them), surrogate, private use, line and paragraph separators.
_UNSAFE_CATEGORIES = frozenset(("Cc", "Cf", "Cs", "Co", "Zl", "Zp"))


def printable(text: str) -> str:
    """Escape control, bidirectional and other invisible characters, for terminals, logs and JSON."""
    return "".join(
        char.encode("unicode_escape").decode("ascii") if unicodedata.category(char) in _UNSAFE_CATEGORIES else char
        for char in text
    )


def is_under_journal() -> bool:
    """Tell whether stderr is connected to the journal (systemd.exec(5), JOURNAL_STREAM)."""
    device, _, inode = os.environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        stderr = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):
        return False
    return (device, inode) == (str(stderr.st_dev), str(stderr.st_ino))


class _JournalFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        priority = _PRIORITIES.get(record.levelno, 6)
        return "\n".join(f"<{priority}>{line}" for line in text.splitlines())


def setup(level: int = logging.INFO) -> None:
    """Send log lines of `level` and above to stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(_JournalFormatter("%(message)s") if is_under_journal() else _terminal_formatter())
    handler.setLevel(level)
    logger.handlers[:] = [handler]
    logger.setLevel(logging.DEBUG)  # the session log records all levels
    logger.propagate = False


def _terminal_formatter() -> logging.Formatter:
    return logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S")


_session_log: ContextVar[Path | None] = ContextVar("session_log", default=None)


def new_thread(work: Callable[[], None], name: str) -> Thread:
    """Return a daemon thread for `work`, not yet started, that logs to the caller's session log."""
    return Thread(target=copy_context().run, args=(work,), name=name, daemon=True)


class _SessionLog(logging.FileHandler):
    """The log file of a session. If it cannot be written, lines go to stderr only, with one warning."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8", errors="backslashreplace", delay=True)
        self._has_failed = False

    def emit(self, record: logging.LogRecord) -> None:
        """Append a line; logging.FileHandler does not catch errors of opening the file."""
        try:
            super().emit(record)
        except OSError:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Warn once of an OSError; anything else is a bug."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._has_failed:
            self._has_failed = True
            logger.warning("The log %s cannot be written: %s.", printable(self.baseFilename), error.strerror)

    def close(self) -> None:
        """Close the file, ignoring OSError: failed lines were reported when they were written."""
        with contextlib.suppress(OSError):
            super().close()


@contextmanager
def log_to_file(path: Path) -> Iterator[None]:
    """Also log to the file `path`, from this thread and from those that it creates by `new_thread`."""
    token = _session_log.set(path)
    handler = _SessionLog(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S%z"))
    handler.addFilter(lambda _: _session_log.get() == path)
    logger.addHandler(handler)
    try:
        yield
    finally:
        _session_log.reset(token)
        logger.removeHandler(handler)
        handler.close()
