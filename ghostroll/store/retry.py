"""Retry with growing pauses: how long, how often, and what counts as progress."""

import math
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ghostroll.base.errors import Interrupted, StoreUnreachable

T = TypeVar("T")


_FIRST_PAUSE_SECONDS = 0.5


_LONGEST_PAUSE_SECONDS = 10.0


# Once something got through, this many times the usual backoff until the next thing must.
_SLOW_TIMES = 3


# A last try begins this long before backoff is over, so that its outcome is known by then.
_LAST_TRY_SECONDS = 2.0


@dataclass
class Backoff:
    """Tries again while the store is out of reach, with growing pauses, until `seconds` after `begin`.

    Before `begin` there is no limit: as long as the card is being saved, the store may take its time.
    """

    seconds: float
    stop: threading.Event
    waiting: Callable[[StoreUnreachable | None], None]
    moved: Callable[[], None] = lambda: None
    _deadline: float | None = None
    _moved: bool = False  # since the last pause
    _failing: bool = False  # the last thing that the store was asked for

    def begin(self) -> None:
        """Start the time that is left."""
        self._deadline = time.monotonic() + self.seconds

    def all_is_ready(self) -> None:
        """Take note that everything to send is there: a store that did not fail owed nothing until now."""
        if self._deadline is not None and not self._failing:
            self._deadline = max(self._deadline, time.monotonic() + self.seconds)

    def made_progress(self) -> None:
        """Take note that something got through: a slow network gets more time than a dead one."""
        self._moved = True
        self._failing = False
        self.moved()
        if self._deadline is not None:
            self._deadline = max(self._deadline, time.monotonic() + _SLOW_TIMES * self.seconds)

    @property
    def is_over(self) -> bool:
        """Whether nobody should wait any longer, not even for a request that is under way."""
        return self._deadline is not None and time.monotonic() >= self._deadline

    def keep_trying(self, action: Callable[[], T]) -> T:
        """Return what `action` returns; raises StoreUnreachable once backoff is over, Interrupted on a stop."""
        pause = _FIRST_PAUSE_SECONDS / 2
        while True:
            try:
                result = action()
            except StoreUnreachable as error:
                self._failing = True
                if self._left() <= 0:
                    raise
                self.waiting(error)
                pause = _FIRST_PAUSE_SECONDS if self._moved else min(2 * pause, _LONGEST_PAUSE_SECONDS)
                self._moved = False
                self._pause(pause)
            else:
                self._failing = False
                self.waiting(None)
                return result

    def _pause(self, seconds: float) -> None:
        """Wait, with jitter so that several runs don't knock at once, but not past the last try."""
        seconds *= random.uniform(0.5, 1.0)  # noqa: S311 - not a secret
        if self.stop.wait(min(seconds, self._left())):
            raise Interrupted("The upload was interrupted.")

    def _left(self) -> float:
        """Return the seconds until the last try is to begin; none are left where it has begun."""
        if self._deadline is None:
            return math.inf
        return self._deadline - min(_LAST_TRY_SECONDS, self.seconds / 10) - time.monotonic()


@dataclass
class HighWaterMark:
    """Tells `made_progress` of each step that gets further than all tries before: a try that fails is no progress."""

    made_progress: Callable[[], None]
    _here: int = 0
    _best: int = 0

    def begin(self) -> None:
        """Begin another try."""
        self._here = 0

    def step(self) -> None:
        """Take note that one more part of this try got through."""
        self._here += 1
        if self._here > self._best:
            self._best = self._here
            self.made_progress()
