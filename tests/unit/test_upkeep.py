"""Links stay open, whatever happens to the clock."""

from datetime import UTC, datetime, timedelta

from ghostroll.upkeep import WallClock

NOON = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)


class Clocks:
    """A wall clock that may be set, and one that only counts."""

    def __init__(self) -> None:
        self.wall = NOON.timestamp()
        self.counted = 1000.0

    def tick(self, seconds: float) -> None:
        self.wall += seconds
        self.counted += seconds

    def watched(self) -> WallClock:
        return WallClock(lambda: self.wall, lambda: self.counted)


def test_a_clock_that_goes_on_has_not_jumped() -> None:
    clocks = Clocks()
    clock = clocks.watched()
    clocks.tick(90_000)
    assert not clock.has_jumped
    assert clock.moments() == (NOON + timedelta(seconds=90_000),) * 2


def test_a_clock_that_is_set_tells_both_times_once() -> None:
    clocks = Clocks()
    clock = clocks.watched()
    clocks.tick(100)
    clocks.wall += 40 * 86_400
    assert clock.has_jumped
    assert clock.moments() == (NOON + timedelta(seconds=100), NOON + timedelta(days=40, seconds=100))
    assert not clock.has_jumped
    clocks.tick(10)
    assert clock.moments() == (NOON + timedelta(days=40, seconds=110),) * 2


def test_a_clock_that_is_set_back_is_noticed_too_and_a_small_step_is_none() -> None:
    clocks = Clocks()
    clock = clocks.watched()
    clocks.wall -= 59
    assert not clock.has_jumped
    clocks.wall -= 3600
    assert clock.has_jumped
    before, now = clock.moments()
    assert before - now == timedelta(seconds=3659)
