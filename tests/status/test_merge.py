"""The one record that is read, where a link was or is being signed."""

from dataclasses import asdict
from typing import Any

from ghostroll.status.merge import SIGNING, merged
from ghostroll.status.model import CardState, CardStatus, Counts, Problem, State, Status

SAVED = CardStatus(label="EOS", state=CardState.SAFE, files=3, saved=3, safe_to_format=True)
OLD, NEW = "https://s3.example/old", "https://s3.example/new"


def record(second: int, state: State, card: CardStatus = CardStatus(), **told: Any) -> dict[str, Any]:  # noqa: B008 - frozen
    return asdict(Status(state=state, card=card, updated_at=f"2026-06-01T12:00:{second:02}Z", **told))


def board(**records: dict[str, Any]) -> dict[str, Any]:
    return merged({run_id.replace("sign", SIGNING).replace("_", "-"): told for run_id, told in records.items()})


def test_a_card_stays_in_view_while_a_link_is_signed() -> None:
    signing = record(2, State.RUNNING, url=OLD)
    for state in (State.DONE, State.WAITING):
        seen = board(run_1=record(1, state, SAVED, url=OLD), sign_1=signing)
        assert (seen["state"], seen["card"]) == ("running", asdict(SAVED))
    reading = record(1, State.RUNNING, CardStatus(state=CardState.READING))
    assert board(run_1=reading, sign_1=signing)["card"]["state"] == "reading"
    assert board(sign_1=signing)["card"]["state"] == "none"


def test_the_link_of_the_card_s_own_session_is_renewed_and_all_else_that_was_said_of_it_stays() -> None:
    card = record(1, State.DONE, SAVED, url=OLD, session_id="S1", counts=Counts(failed=3), message="The card.")
    signed = record(2, State.DONE, url=NEW, short_url="http://r/x", expires_at="2026-06-09", session_id="S1")
    seen = board(run_1=card, sign_1=signed)
    assert (seen["url"], seen["short_url"], seen["expires_at"]) == (NEW, "http://r/x", "2026-06-09")
    assert (seen["message"], seen["counts"]["failed"], seen["card"]) == ("The card.", 3, asdict(SAVED))
    assert len(seen["runs"]) == 2


def test_one_that_has_only_just_begun_takes_no_link_away() -> None:
    card = record(1, State.DONE, SAVED, url=OLD, session_id="S1")
    for session_id in ("S1", None):
        seen = board(run_1=card, sign_1=record(2, State.IDLE, session_id=session_id))
        assert (seen["state"], seen["url"], seen["card"]) == ("done", OLD, asdict(SAVED))


def test_the_link_of_another_session_is_shown_since_somebody_asked_for_it() -> None:
    card = record(1, State.DONE, SAVED, url=OLD, session_id="S1")
    seen = board(run_1=card, sign_1=record(2, State.DONE, url=NEW, session_id="S0"))
    assert (seen["url"], seen["session_id"], seen["card"]) == (NEW, "S0", asdict(SAVED))


def test_a_card_that_came_later_has_the_last_word() -> None:
    card = record(3, State.DONE, SAVED, url=OLD, session_id="S1")
    for signed in (
        record(2, State.DONE, url=NEW, session_id="S1"),
        record(2, State.IDLE, error=Problem(75, "No.", "")),
    ):
        seen = board(run_1=card, sign_1=signed)
        assert (seen["url"], seen["error"]) == (OLD, None)


def test_why_a_link_was_not_signed_stands_beside_whatever_is_shown() -> None:
    refused = record(2, State.IDLE, error=Problem(75, "No.", ""))
    for card in (CardStatus(), CardStatus(state=CardState.EJECTED), SAVED):
        for state in (State.IDLE, State.DONE):
            seen = board(watch=record(1, state, card, message="Before."), sign_1=refused)
            assert seen["error"] == refused["error"]
            assert seen["card"] == asdict(card)
    assert board(watch=record(3, State.IDLE), sign_1=refused)["error"] is None


def test_what_is_at_work_or_wrong_is_more_urgent() -> None:
    signed = record(2, State.DONE, url=NEW)
    for state in (State.ERROR, State.RUNNING, State.WAITING, State.INTERRUPTED):
        assert board(run_1=record(1, state, SAVED, url=OLD), sign_1=signed)["url"] == OLD


def test_the_last_of_several_that_were_signed_counts() -> None:
    card = record(1, State.DONE, SAVED, url=OLD, session_id="S1")
    seen = board(
        run_1=card,
        sign_b=record(2, State.IDLE, error=Problem(75, "No.", "")),
        sign_a=record(3, State.DONE, url=NEW, session_id="S1"),
    )
    assert (seen["url"], seen["error"]) == (NEW, None)


def test_a_card_that_is_read_goes_before_one_that_is_safe_whichever_was_heard_of_last() -> None:
    for seconds in ((1, 2), (2, 1)):
        reading = record(seconds[0], State.RUNNING, CardStatus(state=CardState.READING))
        seen = board(run_1=reading, run_2=record(seconds[1], State.RUNNING, SAVED))
        assert seen["card"]["state"] == "reading"


def test_a_second_refusal_is_told_from_the_first() -> None:
    ejected = record(1, State.IDLE, CardStatus(state=CardState.EJECTED))
    first, second = (record(at, State.IDLE, error=Problem(75, "No.", "")) for at in (2, 3))
    assert board(watch=ejected, sign_1=first)["updated_at"] != board(watch=ejected, sign_2=second)["updated_at"]
