"""How long a store is waited for that does not answer, and that a slow machine is not taken for a slow store."""

import threading

import pytest

from ghostroll.base.errors import StoreUnreachable
from ghostroll.store.retry import Backoff


def backoff(seconds: float) -> Backoff:
    return Backoff(seconds, threading.Event(), lambda _: None)


def test_what_became_ready_late_has_the_whole_time() -> None:
    waiting = backoff(0.0)
    waiting.begin()
    assert waiting.is_over
    waiting.seconds = 3600.0
    waiting.all_is_ready()
    assert not waiting.is_over


def test_a_store_that_fails_is_given_no_more_time_for_what_became_ready_late() -> None:
    waiting = backoff(0.0)
    waiting.begin()

    def fail() -> None:
        raise StoreUnreachable("nobody")

    with pytest.raises(StoreUnreachable):
        waiting.keep_trying(fail)
    waiting.seconds = 3600.0
    waiting.all_is_ready()
    assert waiting.is_over


def test_before_the_card_is_saved_there_is_no_limit() -> None:
    waiting = backoff(0.0)
    waiting.all_is_ready()
    assert not waiting.is_over
