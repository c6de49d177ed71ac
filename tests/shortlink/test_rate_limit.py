"""How far guessing codes comes, in simulated time."""

import itertools
from pathlib import Path

import pytest

from ghostroll.shortlink import rate_limit
from ghostroll.shortlink.rate_limit import CLIENT_MOST, CLIENT_SECONDS_EACH, FULL_AGAIN_SECONDS, RateLimit
from ghostroll.shortlink.records import ALPHABET, LENGTH

WEEK_SECONDS = 7 * 86_400
SECURITY = (Path(__file__).parents[2] / "docs/security.md").read_text()


def tried(clients: int, seconds: float, every: float) -> int:
    """Return how many codes so many clients get to try who ask in turn, without a pause."""
    allowed = RateLimit(0.0)
    names = itertools.cycle(f"10.{number >> 8}.{number & 255}.1" for number in range(clients))
    made, now = 0, 0.0
    while now < seconds:
        name = next(names)
        if not allowed.are_over(name, now):
            allowed.wrong(name, now)
            made += 1
        now += every
    return made


def test_in_a_week_guessing_comes_as_far_as_the_docs_say() -> None:
    made = tried(5000, WEEK_SECONDS, every=5.0)
    assert 20_190 <= made <= 20_200
    assert len(ALPHABET) ** LENGTH == 887_503_681
    for page in (rate_limit.__doc__ or "", SECURITY):
        words = " ".join(page.split())
        assert "887,503,681" in words
        assert "20,200" in words
        assert f"{len(ALPHABET) ** LENGTH // 20_200:,}" in words


def test_one_client_alone_comes_a_quarter_as_far() -> None:
    made = tried(1, WEEK_SECONDS, every=10.0)
    assert 5_040 <= made <= CLIENT_MOST + WEEK_SECONDS // CLIENT_SECONDS_EACH


def test_who_has_waited_long_enough_starts_anew() -> None:
    allowed = RateLimit(0.0)
    for _ in range(CLIENT_MOST):
        allowed.wrong("10.0.0.1", 0.0)
    assert allowed.are_over("10.0.0.1", CLIENT_SECONDS_EACH - 1)
    assert not allowed.are_over("10.0.0.1", CLIENT_SECONDS_EACH)
    assert not allowed.are_over("10.0.0.2", 0.0)
    for _ in range(CLIENT_MOST):
        assert not allowed.are_over("10.0.0.1", FULL_AGAIN_SECONDS)
        allowed.wrong("10.0.0.1", FULL_AGAIN_SECONDS)
    assert allowed.are_over("10.0.0.1", FULL_AGAIN_SECONDS)


def test_many_addresses_take_no_memory_and_gain_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "_CLIENTS_MOST", 50)
    allowed = RateLimit(0.0)
    made = 0
    for number in range(10_000):
        if not allowed.are_over(str(number), 0.0):
            allowed.wrong(str(number), 0.0)
            made += 1
    assert made == rate_limit.ALL_MOST
    now = 0.0
    for number in range(200):  # one by one, as often as all together may
        now += rate_limit.ALL_SECONDS_EACH
        allowed.wrong(f"other {number}", now)
    assert len(allowed._clients) == 50


def test_no_two_characters_of_a_code_look_alike() -> None:
    assert not set("0o1il") & set(ALPHABET)
    assert len(set(ALPHABET)) == 31
    assert ALPHABET.islower()
