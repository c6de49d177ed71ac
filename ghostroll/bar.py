"""The progress bar on a terminal."""

from types import TracebackType
from typing import Self

from ghostroll.log import logger
from ghostroll.status import Status

_PARTS = 1000


class Bar:
    """A listener to status records that draws a bar on stderr; log lines go above it."""

    def __init__(self) -> None:
        from tqdm import tqdm  # noqa: PLC0415 - only on a terminal
        from tqdm.contrib.logging import logging_redirect_tqdm  # noqa: PLC0415

        self._bar = tqdm(
            total=_PARTS, bar_format="{percentage:3.0f} % {bar:24} {desc}", leave=False, dynamic_ncols=True
        )
        self._redirect = logging_redirect_tqdm(loggers=[logger])

    def __enter__(self) -> Self:
        self._redirect.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._redirect.__exit__(kind, error, trace)
        self._bar.close()

    def __call__(self, status: Status) -> None:
        """Take a changed status."""
        left = f" ({_minutes(status.eta_seconds)} left)" if status.eta_seconds else ""
        self._bar.set_description_str(status.message + left, refresh=False)
        self._bar.update(round(status.progress * _PARTS) - self._bar.n)


def _minutes(seconds: int) -> str:
    return f"{seconds // 60} min {seconds % 60} s" if seconds >= 60 else f"{seconds} s"  # noqa: PLR2004
