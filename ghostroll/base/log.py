"""Logging: one line an event, to stderr and to the session's own log.

Under systemd each line carries its priority as `<N>` (sd-daemon(3)), so that `journalctl -p` can filter.
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
    """Return `text` fit for a terminal, a log line or JSON: what could move the cursor or fool the eye is escaped."""
    return "".join(
        char.encode("unicode_escape").decode("ascii") if unicodedata.category(char) in _UNSAFE_CATEGORIES else char
        for char in text
    )


def is_under_journal() -> bool:
    """Tell whether stderr is the journal: systemd.exec(5), JOURNAL_STREAM."""
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
    logger.setLevel(logging.DEBUG)  # the session's own log takes everything
    logger.propagate = False


def _terminal_formatter() -> logging.Formatter:
    return logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S")


_session_log: ContextVar[Path | None] = ContextVar("session_log", default=None)


def thread(work: Callable[[], None], name: str) -> Thread:
    """Return a daemon thread for `work` whose log lines belong to the same session as its maker's."""
    return Thread(target=copy_context().run, args=(work,), name=name, daemon=True)


class _SessionLog(logging.FileHandler):
    """The session's own log. What the disk does not take of it stands on stderr alone, which is said once."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8", errors="backslashreplace", delay=True)
        self._has_failed = False

    def emit(self, record: logging.LogRecord) -> None:
        """Append a line; logging itself does not guard the opening."""
        try:
            super().emit(record)
        except OSError:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Keep what went wrong with a line from stderr, unless it is a bug."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._has_failed:
            self._has_failed = True
            logger.warning("The log %s cannot be written: %s.", printable(self.baseFilename), error.strerror)

    def close(self) -> None:
        """Close the file; a line that it did not take was spoken of when it came."""
        with contextlib.suppress(OSError):
            super().close()


@contextmanager
def also_to(path: Path) -> Iterator[None]:
    """Append the log lines of this thread, and of those it makes by `thread`, to the session log at `path` too."""
    belongs = _session_log.set(path)
    handler = _SessionLog(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S%z"))
    handler.addFilter(lambda _: _session_log.get() == path)
    logger.addHandler(handler)
    try:
        yield
    finally:
        _session_log.reset(belongs)
        logger.removeHandler(handler)
        handler.close()
