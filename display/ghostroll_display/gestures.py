"""What a button's edges mean. Pure: levels and times go in, what its owner wants comes out.

Everything is done when the button is let go: a line that is stuck, by a short circuit or by what lies on it, never
asks for anything.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

# A contact bounces for a few milliseconds, a finger never comes and goes within these.
BOUNCE_SECONDS = 0.03
HOLD_SECONDS = 3.0
LONG_HOLD_SECONDS = 8.0
STUCK_SECONDS = 60.0


class Wish(StrEnum):
    """What a press asks for: short; held for 3 s; held for 8 s."""

    EJECT = "eject"
    SIGN_ANEW = "sign-anew"
    POWER_OFF = "power-off"


class Stage(StrEnum):
    """How far a press is."""

    DOWN = "down"
    WOULD = "would"  # be a wish, if the button were let go now
    IS = "is"  # let go: it is a wish
    STUCK = "stuck"  # held for so long that nobody holds it


@dataclass(frozen=True)
class Gesture:
    """Something to be told of a press."""

    stage: Stage
    wish: Wish = Wish.EJECT


_HELD = (
    (HOLD_SECONDS, Gesture(Stage.WOULD, Wish.SIGN_ANEW)),
    (LONG_HOLD_SECONDS, Gesture(Stage.WOULD, Wish.POWER_OFF)),
    (STUCK_SECONDS, Gesture(Stage.STUCK)),
)


class Recogniser:
    """Turns levels into gestures. Times are seconds of a clock that never goes back."""

    def __init__(self, *, is_down: bool, now: float) -> None:
        """Begin; a button that is down by now is taken for stuck until it is let go."""
        self._level = self._settled = is_down
        self._since = self._pressed_at = now
        self._told = len(_HELD)  # how many of `_HELD` were told of this press

    def see(self, *, is_down: bool, at: float) -> Iterator[Gesture]:
        """Take an edge; yield what is certain by then."""
        yield from self.until(at)
        if is_down != self._level:
            self._level, self._since = is_down, at

    def until(self, now: float) -> Iterator[Gesture]:
        """Yield what time alone has made certain."""
        if self._level != self._settled and now - self._since >= BOUNCE_SECONDS:
            if self._level:
                self._settled, self._pressed_at, self._told = True, self._since, 0
                yield Gesture(Stage.DOWN)
            else:
                yield from self._held_until(self._since)
                self._settled = False
                if self._told < len(_HELD):
                    yield Gesture(Stage.IS, (Wish.EJECT, Wish.SIGN_ANEW, Wish.POWER_OFF)[self._told])
        if self._settled and self._level:
            yield from self._held_until(now)

    def _held_until(self, moment: float) -> Iterator[Gesture]:
        while self._told < len(_HELD) and moment - self._pressed_at >= _HELD[self._told][0]:
            self._told += 1
            yield _HELD[self._told - 1][1]

    def seconds_to_wait(self, now: float) -> float | None:
        """Return when `until` may have something to tell, None where only an edge can bring it."""
        if self._level != self._settled:
            return max(0.0, self._since + BOUNCE_SECONDS - now)
        if self._settled and self._told < len(_HELD):
            return max(0.0, self._pressed_at + _HELD[self._told][0] - now)
        return None
