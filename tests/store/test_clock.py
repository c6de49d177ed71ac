"""The store's time: believed over ours where they differ, and only from a store."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from ghostroll.store.clock import StoreClock

NOON = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)


def answer(date: datetime | str, **more: str) -> dict[str, str]:
    text = date if isinstance(date, str) else format_datetime(date, usegmt=True)
    return {"date": text, "x-amz-request-id": "4442587FB7D0A2F9", **more}


@pytest.fixture
def our_now() -> list[datetime]:
    return [NOON]


@pytest.fixture
def clock(our_now: list[datetime]) -> StoreClock:
    return StoreClock(lambda: our_now[0])


def test_without_an_answer_ours_is_used(clock: StoreClock) -> None:
    assert clock.now() == NOON
    assert not clock.is_known


@pytest.mark.parametrize("seconds", [-9, 0, 9])
def test_a_small_difference_is_none(clock: StoreClock, seconds: int) -> None:
    clock.hear(answer(NOON + timedelta(seconds=seconds)))
    assert clock.is_known
    assert clock.now() == NOON


@pytest.mark.parametrize("ahead", [timedelta(days=-20_000), timedelta(seconds=-11), timedelta(hours=5)])
def test_a_difference_is_corrected_and_time_goes_on(
    clock: StoreClock, our_now: list[datetime], ahead: timedelta
) -> None:
    clock.hear(answer(NOON + ahead))
    our_now[0] += timedelta(seconds=90)
    assert clock.now() == NOON + ahead + timedelta(seconds=90)


def test_when_our_clock_is_set_ours_is_used_again(clock: StoreClock, our_now: list[datetime]) -> None:
    clock.hear(answer(NOON + timedelta(hours=5)))
    our_now[0] += timedelta(hours=5)
    clock.hear(answer(NOON + timedelta(hours=5)))
    assert clock.now() == our_now[0]


def test_a_refusal_tells_the_time_too_and_another_store_that_is_off_is_believed(clock: StoreClock) -> None:
    clock.hear(answer(NOON + timedelta(hours=1)))
    clock.hear(answer(NOON + timedelta(hours=2)))
    assert clock.now() == NOON + timedelta(hours=2)


@pytest.mark.parametrize(
    "headers",
    [
        {"date": "Mon, 01 Jan 1990 00:00:00 GMT"},
        {"x-amz-request-id": "1"},
        {"x-amz-request-id": "1", "date": "yesterday"},
        {"x-amz-request-id": "1", "date": "Mon, 99 Jan 2026 00:00:00 GMT"},
        {"x-amz-request-id": "1", "date": ""},
    ],
)
def test_the_time_of_anything_else_is_not_heard(clock: StoreClock, headers: dict[str, str]) -> None:
    clock.hear(headers)
    assert clock.now() == NOON
    assert not clock.is_known
