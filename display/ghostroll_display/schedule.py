"""When a panel is refreshed: the latest frame wins, progress waits, what an owner must see does not.

A refresh takes up to a minute, flashes, and wears the panel out; a frame that stands for a year burns in.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from PIL.Image import Image

from ghostroll.status.model import CardState, State

# The night's rewrite comes at four, local time; until then it is still the night before.
_NIGHT_BEGINS = timedelta(hours=4)
# After a refresh that failed: half a minute, then twice as long each time.
_RETRY_SECONDS = 30.0
_RETRY_SECONDS_MOST = 600.0

_AT_WORK = (State.RUNNING, State.WAITING)


@dataclass(frozen=True)
class Frame:
    """A picture for the panel, and what it tells that matters."""

    image: Image
    tidings: Hashable

    def looks_like(self, image: Image) -> bool:
        """Whether the panel would show the same for another picture."""
        return self.image.size == image.size and self.image.tobytes() == image.tobytes()


def tidings(record: dict[str, Any]) -> Hashable:
    """Return what of a status record must be on the panel at once; two with the same differ in progress alone.

    With several runs all count: which of them the record shows first may change twice a second.
    """
    runs = record.get("runs")
    records = [run for run in runs if isinstance(run, dict)] if isinstance(runs, list) else []
    return frozenset(_of_one_run(run) for run in records or [record])


def _of_one_run(record: dict[str, Any]) -> str:
    state = record.get("state")
    card = _part(record, "card").get("state")
    return repr(
        (
            # A poor network goes and comes: that alone is progress.
            State.RUNNING if state in _AT_WORK else state,
            # That a card was pulled when it was safe, its owner knows.
            CardState.SAFE if card == CardState.REMOVED else card,
            record.get("session_id"),
            record.get("url"),
            _part(record, "error").get("message"),
        )
    )


def _part(record: dict[str, Any], name: str) -> dict[str, Any]:
    part = record.get(name)
    return part if isinstance(part, dict) else {}


def night(now: datetime) -> date:
    """Return the night that a local time belongs to, by the day on which it began."""
    return (now - _NIGHT_BEGINS).date()


class Schedule:
    """What the panel shows, what it should show, and when. Times are seconds of any clock that never goes back."""

    def __init__(self, quiet_seconds: float) -> None:
        self._quiet_seconds = quiet_seconds
        self._wanted: Frame | None = None
        self._shown: Frame | None = None
        self._shown_in: date | None = None
        self._ended_at = 0.0
        self._failed: Frame | None = None
        self._failures = 0

    @property
    def wanted(self) -> Frame | None:
        """The frame that should be on the panel."""
        return self._wanted

    def shows(self, image: Image) -> bool:
        """Whether the panel shows this picture, as far as is known."""
        return self._shown is not None and self._shown.looks_like(image)

    def want(self, frame: Frame) -> None:
        """Take a newer frame; what waited before it is forgotten."""
        self._wanted = frame

    def seconds_to_wait(self, now: float, tonight: date) -> float | None:
        """Return for how long the panel is left alone: 0 when a refresh is due, None when none is in sight."""
        if self._wanted is None:
            return None
        if self._failed is not None:
            pause = min(_RETRY_SECONDS * 2 ** (self._failures - 1), _RETRY_SECONDS_MOST)
            return self._rest_of(pause, now) if self._failed.tidings == self._wanted.tidings else 0.0
        if self._shown is None:
            return 0.0
        if self.shows(self._wanted.image):
            return 0.0 if tonight != self._shown_in else None
        return self._rest_of(self._quiet_seconds, now) if self._wanted.tidings == self._shown.tidings else 0.0

    def _rest_of(self, pause: float, now: float) -> float:
        return max(0.0, self._ended_at + pause - now)

    def shown(self, frame: Frame, now: float, tonight: date) -> None:
        """A refresh with this frame has ended well."""
        self._shown, self._shown_in, self._ended_at = frame, tonight, now
        self._failed, self._failures = None, 0

    def failed(self, frame: Frame, now: float) -> None:
        """A refresh with this frame has failed: nobody knows what the panel shows."""
        self._shown, self._ended_at = None, now
        self._failed, self._failures = frame, min(self._failures + 1, 10)
