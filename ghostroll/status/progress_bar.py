"""The progress bar on a terminal."""

import logging
import sys
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, Self

from ghostroll.base.log import logger
from ghostroll.status.model import Status

if TYPE_CHECKING:
    from tqdm import tqdm

_PARTS = 1000


class Bar:
    """A listener to status records that draws a bar on stderr; log lines go above it."""

    def __init__(self) -> None:
        from tqdm import tqdm  # noqa: PLC0415 - only on a terminal

        self._bar = tqdm(
            total=_PARTS, bar_format="{percentage:3.0f} % {bar:24} {desc}", leave=False, dynamic_ncols=True
        )
        self._direct = logger.handlers[0]
        self._above = _AboveBar(self._bar)
        self._above.setFormatter(self._direct.formatter)
        self._above.setLevel(self._direct.level)

    def __enter__(self) -> Self:
        logger.removeHandler(self._direct)
        logger.addHandler(self._above)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        logger.removeHandler(self._above)
        logger.handlers.insert(0, self._direct)
        self._bar.close()

    def __call__(self, status: Status) -> None:
        """Take a changed status."""
        left = f" ({_minutes(status.eta_seconds)} left)" if status.eta_seconds else ""
        self._bar.set_description_str(status.message + left, refresh=False)
        self._bar.update(round(status.progress * _PARTS) - self._bar.n)


class _AboveBar(logging.Handler):
    def __init__(self, bar: "tqdm[NoReturn]") -> None:
        super().__init__()
        self._bar = bar

    def emit(self, record: logging.LogRecord) -> None:
        self._bar.write(self.format(record), file=sys.stderr)


def _minutes(seconds: int) -> str:
    return f"{seconds // 60} min {seconds % 60} s" if seconds >= 60 else f"{seconds} s"  # noqa: PLR2004
