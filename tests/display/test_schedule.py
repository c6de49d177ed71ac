"""When a panel is refreshed, in simulated time: a day of cards, bad networks and bad refreshes, second by second."""

import hashlib
import json
import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from PIL import Image

from ghostroll.status.model import CardState, CardStatus, Problem, State, Status
from ghostroll_display.models import MODELS, PanelModel
from ghostroll_display.schedule import Frame, Schedule, night, tidings

QUIET = 120.0
TONIGHT = date(2026, 5, 1)


def record(state: State = State.RUNNING, card: CardState = CardState.READING, **fields: Any) -> dict[str, Any]:
    status = Status(state=state, session_id="20260501-1", card=CardStatus(state=card), **fields)
    return asdict(status) | {"runs": []}


def frame(shade: int, told: dict[str, Any]) -> Frame:
    return Frame(Image.new("P", (8, 8), shade), tidings(told))


READING, SAFE = record(), record(card=CardState.SAFE)


def shown_first(told: dict[str, Any] = READING) -> Schedule:
    """A schedule with a first frame on the panel since second 0."""
    schedule = Schedule(QUIET)
    schedule.want(frame(0, told))
    assert schedule.seconds_to_wait(0, TONIGHT) == 0
    schedule.shown(frame(0, told), 0, TONIGHT)
    return schedule


def test_nothing_is_shown_before_there_is_something_to_show() -> None:
    assert Schedule(QUIET).seconds_to_wait(1000, TONIGHT) is None


def test_the_same_picture_is_not_shown_again() -> None:
    schedule = shown_first()
    schedule.want(frame(0, SAFE))
    assert schedule.seconds_to_wait(10_000, TONIGHT) is None


def test_progress_waits_until_the_panel_was_quiet_for_long_enough() -> None:
    schedule = shown_first()
    schedule.want(frame(1, READING))
    assert schedule.seconds_to_wait(1, TONIGHT) == QUIET - 1
    assert schedule.seconds_to_wait(QUIET, TONIGHT) == 0


@pytest.mark.parametrize(
    "news",
    [
        SAFE,
        record(card=CardState.EJECTED),
        record(card=CardState.REJECTED),
        record(State.DONE, CardState.SAFE, url="https://store/link"),
        record(State.ERROR, CardState.REMOVED, error=Problem(74, "The card failed.", "Plug it in again.")),
        record(State.INTERRUPTED),
        record() | {"session_id": "20260501-2"},
    ],
)
def test_what_an_owner_must_see_is_shown_at_once(news: dict[str, Any]) -> None:
    schedule = shown_first()
    schedule.want(frame(1, news))
    assert schedule.seconds_to_wait(1, TONIGHT) == 0


def test_a_second_error_is_news_and_a_new_link_too() -> None:
    for one, other in (
        (record(State.DONE, error=Problem(75, "One.", "")), record(State.DONE, error=Problem(75, "Other.", ""))),
        (record(State.DONE, url="https://store/1"), record(State.DONE, url="https://store/2")),
    ):
        schedule = shown_first(one)
        schedule.want(frame(1, other))
        assert schedule.seconds_to_wait(1, TONIGHT) == 0


def test_a_network_that_comes_and_goes_and_a_safe_card_that_is_pulled_are_progress() -> None:
    for before, after in (
        (SAFE, record(State.WAITING, CardState.SAFE)),
        (SAFE, record(card=CardState.REMOVED)),
    ):
        schedule = shown_first(before)
        schedule.want(frame(1, after))
        assert schedule.seconds_to_wait(1, TONIGHT) == QUIET - 1


def test_two_runs_that_take_turns_in_the_record_are_no_news() -> None:
    one, other = record(), SAFE | {"session_id": "20260501-2"}
    schedule = shown_first(one | {"runs": [one, other]})
    schedule.want(frame(1, other | {"runs": [other, one]}))
    assert schedule.seconds_to_wait(1, TONIGHT) == QUIET - 1


def test_the_latest_frame_wins() -> None:
    schedule = shown_first()
    schedule.want(frame(1, SAFE))
    schedule.want(frame(2, READING))
    assert schedule.wanted == frame(2, READING)


def test_a_frame_that_stands_is_rewritten_once_a_night() -> None:
    schedule = shown_first()
    assert schedule.seconds_to_wait(50_000, TONIGHT) is None
    tomorrow = TONIGHT + timedelta(days=1)
    assert schedule.seconds_to_wait(86_400, tomorrow) == 0
    schedule.shown(frame(0, READING), 86_430, tomorrow)
    assert schedule.seconds_to_wait(90_000, tomorrow) is None


def test_a_night_begins_at_four() -> None:
    assert night(datetime(2026, 5, 2, 3, 59, tzinfo=UTC)) == TONIGHT
    assert night(datetime(2026, 5, 2, 4, 0, tzinfo=UTC)) == TONIGHT + timedelta(days=1)


def test_a_failed_refresh_is_tried_again_with_growing_pauses_and_news_do_not_wait_for_them() -> None:
    schedule = shown_first()
    now, pauses = 0.0, []
    for _ in range(7):
        schedule.failed(frame(1, READING), now)
        schedule.want(frame(1, READING))
        pause = schedule.seconds_to_wait(now, TONIGHT)
        assert pause is not None
        pauses.append(pause)
        now += pause
    assert pauses == [30, 60, 120, 240, 480, 600, 600]
    schedule.failed(frame(1, READING), now)
    schedule.want(frame(2, SAFE))
    assert schedule.seconds_to_wait(now, TONIGHT) == 0


def test_after_a_failed_refresh_even_the_same_frame_is_shown_again() -> None:
    schedule = shown_first()
    schedule.failed(frame(1, SAFE), 10)
    schedule.want(frame(0, READING))
    assert schedule.seconds_to_wait(10, TONIGHT) == 0


# --- a day


@dataclass
class Day:
    """What came of a day: refreshes, by how each began, and the tidings with the seconds at which they stood there."""

    begun: list[float] = field(default_factory=list)
    failures: int = 0
    stood: list[tuple[float, object]] = field(default_factory=list)


def a_busy_day(chance: random.Random) -> Iterator[tuple[float, dict[str, Any]]]:
    """Forty cards: each is read, saved, waits for the network now and then, and is shared or fails."""
    now = 8 * 3600.0
    for number in range(40):
        base = {"session_id": f"20260501-{number}"}
        for part in range(chance.randrange(60, 400)):  # the record changes twice a second
            now += 0.5
            yield now, record(progress=part / 1000) | base
        for part in range(chance.randrange(20, 300)):
            now += 0.5
            state = chance.choices((State.RUNNING, State.WAITING), (5, 1))[0]
            yield now, record(state, CardState.SAFE, progress=part / 1000) | base
        now += 0.5
        if number % 7 == 3:
            yield now, record(State.ERROR, CardState.SAFE, error=Problem(77, f"Refused {number}.", "")) | base
        else:
            yield now, record(State.DONE, CardState.REMOVED, url=f"https://store/{number}") | base
        now += chance.randrange(60, 1500)


def lived(model: PanelModel, changes: list[tuple[float, dict[str, Any]]], chance: random.Random) -> Day:
    """Run a schedule through a day as the panel's thread does: a refresh blocks, and one in fifteen fails."""
    schedule, day = Schedule(model.quiet_seconds), Day()
    refresh_seconds = model.deadline_seconds / 2
    now, midnight = 0.0, datetime(2026, 5, 1, tzinfo=UTC)
    while True:
        while changes and changes[0][0] <= now:
            told = changes.pop(0)[1]
            drawn = hashlib.sha256(json.dumps(told).encode()).digest()
            schedule.want(Frame(Image.frombytes("P", (8, 4), drawn), tidings(told)))
        tonight = night(midnight + timedelta(seconds=now))
        pause = schedule.seconds_to_wait(now, tonight)
        if pause == 0 and schedule.wanted is not None:
            taken = schedule.wanted
            day.begun.append(now)
            now += refresh_seconds
            if chance.random() < 1 / 15:
                day.failures += 1
                schedule.failed(taken, now)
            else:
                schedule.shown(taken, now, tonight)
                day.stood.append((now, taken.tidings))
            continue
        due = now + (1800 if pause is None else min(pause, 1800))
        now = min(due, changes[0][0]) if changes else due
        if now > 30 * 3600:
            return day


@pytest.mark.parametrize("name", ["phat-black", "whatssd1683-red", "impressions", "spectra73"])
def test_in_a_day_the_panel_is_spared_and_nothing_that_matters_is_lost(name: str) -> None:
    model, chance = MODELS[name], random.Random(5)
    changes = list(a_busy_day(chance))
    assert len(changes) > 8000
    news = [
        change
        for before, change in zip([(0.0, {}), *changes], changes, strict=False)
        if tidings(before[1]) != tidings(change[1])
    ]
    day = lived(model, list(changes), random.Random(6))
    refresh = model.deadline_seconds / 2
    # What stood for as long as two refreshes and a retry take was on the panel, as soon as those were over.
    ends = [at for at, _ in news[1:]] + [30 * 3600.0]
    backoff = 3 * refresh + 60
    lasting = [(at, tidings(told)) for (at, told), end in zip(news, ends, strict=True) if end - at > backoff]
    assert len(lasting) > 30
    for at, told in lasting:
        assert any(shown == told and at < stood <= at + backoff for stood, shown in day.stood), (at, told)
    # Three pieces of news a card, what progress the pauses allow, the failed ones and the night's.
    progress = changes[-1][0] / model.quiet_seconds
    assert len(day.begun) <= len(news) + progress / 4 + 2 * day.failures + 2
    pauses = [later - earlier for earlier, later in zip(day.begun, day.begun[1:], strict=False)]
    assert min(pauses) >= refresh
