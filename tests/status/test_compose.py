"""The status as a function of records and facts: a table of cases, and what holds whatever the order of events."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ghostroll.status.compose import (
    INTERRUPTED_MESSAGE,
    Facts,
    Presence,
    Share,
    compose,
    has_news,
    is_disposable,
    run_views,
)
from ghostroll.status.model import CardState, CardStatus, Counts, Problem, State
from ghostroll.status.run_record import RunKind, RunRecord

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
LATER, BEFORE = "2026-06-08T12:00:00Z", "2026-05-31T12:00:00Z"
SAVED = CardStatus(label="EOS", device="/dev/sda1", state=CardState.SAFE, files=3, saved=3, safe_to_format=True)
READ_NOW = CardStatus(label="EOS", device="/dev/sda1", state=CardState.READING, files=3)
REJECTED = CardStatus(label="EOS", device="/dev/sda1", state=CardState.REJECTED, reason="No DCIM.")
NO_STORE = Problem(75, "The store is out of reach.", "Wait.")
PULLED = Problem(74, "The card was taken out.", "Put it in again.")


def record(kind: RunKind, serial: int, state: State, card: CardStatus = CardStatus(), **fields: Any) -> RunRecord:  # noqa: B008 - frozen
    made = RunRecord(kind=kind, serial=serial, state=state, card=card, has_ended=True, began_alone=True)
    return replace(made, **({"updated_at": f"2026-06-01T11:00:{serial:02}.000000Z"} | fields))


def card_run(serial: int, state: State, card: CardStatus = SAVED, **fields: Any) -> RunRecord:
    return record(RunKind.CARD, serial, state, card, **fields)


WATCH = record(RunKind.WATCH, 1, State.IDLE, message="Waiting.", has_ended=False)
LINK = Share("S1", "https://s3.example/S1", LATER, "http://pi/s1")
OTHER = Share("S2", "https://s3.example/S2", "2026-06-09T12:00:00Z", "http://pi/s2")


def shown(records: Mapping[str, RunRecord], *alive: str, **facts: Any) -> dict[str, Any]:
    return compose(records, Facts(NOW, frozenset(alive), **({"shares": ()} | facts)))


@dataclass(frozen=True)
class Case:
    """Records and facts, and the fields of the status that they must lead to; `card` is the card's state."""

    name: str
    records: dict[str, RunRecord]
    wanted: dict[str, Any]
    alive: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    runs: tuple[str, ...] | None = None  # messages


def at(presence: Presence, **facts: Any) -> dict[str, Any]:
    return {"cards": {"run": presence}} | facts


DONE = card_run(2, State.DONE, session_id="S1", message="The card.", url=LINK.url, short_url=LINK.short_url)
WAITING = card_run(2, State.WAITING, session_id="S1", message="Waits.", error=NO_STORE)
FAILED = card_run(
    2, State.ERROR, replace(SAVED, state=CardState.REMOVED), session_id="S1", error=PULLED, message="Bad."
)
NEXT = card_run(3, State.RUNNING, READ_NOW, has_ended=False, session_id="S2", message="Reading.")
RESUMED = record(RunKind.RESUME, 3, State.DONE, session_id="S1", message="Shared.", in_watch=True)
RENEWED = record(RunKind.RENEW, 3, State.DONE, session_id="S1", message="Signed.")
REFUSED = record(RunKind.RENEW, 3, State.IDLE, message="Not signed.", error=NO_STORE)

CASES = [
    Case("nothing was ever written", {}, {"state": "idle", "url": None, "card": "none"}),
    # The latest link
    Case(
        "idle shows the link that is valid the longest",
        {"watch": WATCH},
        {"state": "idle", "url": OTHER.url, "expires_at": OTHER.expires_at},
        ("watch",),
        {"shares": (OTHER, LINK)},
    ),
    Case("idle without a share", {"watch": WATCH}, {"url": None, "expires_at": None, "short_url": None}, ("watch",)),
    Case(
        "a link that has ended is not shown",
        {"watch": WATCH, "run": DONE},
        {"url": None, "expires_at": None, "card": "safe", "state": "done"},
        ("watch",),
        at(Presence.PRESENT, shares=(replace(LINK, expires_at=BEFORE),)),
    ),
    Case("a card has its own session's link", {"run": DONE}, {"url": LINK.url}, (), {"shares": (LINK, OTHER)}),
    Case(
        "a card with nothing new has the link of its earlier session",
        {"run": replace(DONE, session_id=None, link_session_id="S1")},
        {"url": LINK.url, "session_id": None},
        (),
        {"shares": (LINK, OTHER)},
    ),
    Case("a card that was not shared has none", {"run": WAITING}, {"url": None}, (), {"shares": (OTHER,)}),
    Case(
        "a link that was signed anew is everywhere the new one",
        {"run": DONE},
        {"url": "https://s3.example/new", "expires_at": LATER},
        (),
        {"shares": (replace(LINK, url="https://s3.example/new"),)},
    ),
    Case(
        "without a catalog, what the run has seen must do",
        {"run": replace(DONE, expires_at=LATER)},
        {"url": LINK.url, "expires_at": LATER},
        (),
        {"shares": None},
    ),
    Case(
        "… as long as it is valid",
        {"run": replace(DONE, expires_at=BEFORE)},
        {"url": None, "short_url": None},
        (),
        {"shares": None},
    ),
    # Short links
    Case("a short link that was seen to work", {"run": DONE}, {"short_url": "http://pi/s1"}, (), {"shares": (LINK,)}),
    Case(
        "the address has changed since",
        {"run": DONE},
        {"url": LINK.url, "short_url": None},
        (),
        {"shares": (replace(LINK, short_url="http://elsewhere/s1"),)},
    ),
    Case(
        "the steady loop has seen the new one work",
        {"run": DONE, "watch": replace(WATCH, url=LINK.url, short_url="http://elsewhere/s1")},
        {"short_url": "http://elsewhere/s1"},
        ("watch",),
        at(Presence.PRESENT, shares=(replace(LINK, short_url="http://elsewhere/s1"),)),
    ),
    Case(
        "the steady loop has seen it fail",
        {"run": DONE, "watch": replace(WATCH, url=LINK.url, short_url=None)},
        {"short_url": None, "url": LINK.url},
        ("watch",),
        at(Presence.PRESENT, shares=(LINK,)),
    ),
    # Cards
    Case("it stays in its reader", {"run": DONE}, {"card": "safe"}, (), at(Presence.PRESENT)),
    Case("nobody knows", {"run": DONE}, {"card": "safe"}, (), at(Presence.UNKNOWN)),
    Case("it was pulled", {"run": DONE}, {"card": "removed", "state": "done"}, (), at(Presence.GONE)),
    Case("it was ejected", {"run": DONE}, {"card": "ejected"}, (), at(Presence.EJECTED)),
    Case(
        "it was pulled while its pictures go up",
        {"run": replace(DONE, state=State.RUNNING, has_ended=False)},
        {"card": "removed", "state": "running"},
        ("run",),
        at(Presence.GONE),
    ),
    Case("it is read", {"run": NEXT}, {"card": "reading", "state": "running"}, ("run",), at(Presence.GONE)),
    Case(
        "its run died while it was read: it is not called safe",
        {"run": NEXT},
        {"card": "reading", "state": "interrupted", "message": INTERRUPTED_MESSAGE},
        (),
        at(Presence.PRESENT),
    ),
    Case("… and was pulled then", {"run": NEXT}, {"card": "removed"}, (), at(Presence.GONE)),
    Case("it is not taken", {"run": card_run(2, State.ERROR, REJECTED)}, {"card": "rejected", "state": "error"}),
    Case(
        "it is not taken, and out again: no problem any more",
        {"watch": WATCH, "run": card_run(2, State.ERROR, REJECTED, message="No DCIM.")},
        {"card": "none", "state": "idle"},
        ("watch",),
        at(Presence.GONE),
    ),
    Case("it was torn out while it was read", {"run": FAILED}, {"state": "error"}, (), at(Presence.GONE)),
    Case(
        "one was ejected that no run is about",
        {"watch": WATCH},
        {"card": "ejected", "state": "idle"},
        ("watch",),
        {"has_ejected_card": True},
    ),
    Case(
        "another card in the same reader",
        {"run": replace(DONE, state=State.ERROR, error=NO_STORE), "next": replace(NEXT, began_alone=False)},
        {"card": "removed", "state": "error"},
        ("next",),
        runs=("The card.", "Reading."),
    ),
    # A card that `watch` mounted: it goes back to waiting when the card is out
    Case(
        "back to waiting",
        {"watch": WATCH, "run": replace(DONE, in_watch=True)},
        {"state": "idle", "message": "Waiting.", "url": LINK.url},
        ("watch",),
        at(Presence.GONE, shares=(LINK,)),
    ),
    Case(
        "it was out before its pictures were shared: that is told",
        {"watch": WATCH, "run": replace(DONE, in_watch=True, card=replace(SAVED, state=CardState.REMOVED))},
        {"state": "done", "card": "removed", "url": LINK.url},
        ("watch",),
        at(Presence.GONE, shares=(LINK,)),
    ),
    Case(
        "a card of the appliance's units stays done when it is pulled",
        {"watch": WATCH, "run": DONE},
        {"state": "done", "card": "removed", "url": LINK.url},
        ("watch",),
        at(Presence.GONE, shares=(LINK,)),
    ),
    # Several runs
    Case("a later card replaces it", {"run": DONE, "next": NEXT}, {"message": "Reading."}, ("next",), runs=()),
    Case(
        "one that began while another was at work replaces nothing",
        {"run": FAILED, "next": replace(NEXT, began_alone=False)},
        {"message": "Bad.", "state": "error"},
        ("next",),
        runs=("Bad.", "Reading."),
    ),
    Case(
        "an error stays listed, and gives way, until the next card has succeeded",
        {"run": FAILED, "next": NEXT},
        {"message": "Reading.", "state": "running"},
        ("next",),
        runs=("Reading.", "Bad."),
    ),
    Case(
        "the next card has succeeded",
        {"run": FAILED, "next": replace(DONE, serial=3, session_id="S2")},
        {"message": "The card.", "state": "done"},
        runs=(),
    ),
    Case(
        "the same session goes on",
        {"run": FAILED, "next": replace(NEXT, session_id="S1")},
        {"message": "Reading."},
        ("next",),
        runs=(),
    ),
    Case(
        "of two at work first the card that must not be pulled",
        {"run": replace(DONE, state=State.RUNNING, has_ended=False), "next": replace(NEXT, began_alone=False)},
        {"card": "reading"},
        ("run", "next"),
        runs=("Reading.", "The card."),
    ),
    # Sharing later
    Case("it waits", {"watch": WATCH, "run": WAITING}, {"state": "waiting", "card": "safe"}, ("watch",)),
    Case(
        "it is being finished: its card is spoken of as long as it is in",
        {"run": WAITING, "resume": replace(RESUMED, state=State.RUNNING)},
        {"state": "running", "message": "Shared.", "card": "safe"},
        ("resume",),
        at(Presence.PRESENT),
        runs=(),
    ),
    Case(
        "it was finished, with its card in",
        {"watch": WATCH, "run": WAITING, "resume": RESUMED},
        {"state": "done", "message": "Shared.", "card": "safe", "url": LINK.url},
        ("watch",),
        at(Presence.PRESENT, shares=(LINK,), shared_sessions=frozenset({"S1"})),
        runs=(),
    ),
    *(
        Case(
            f"it was finished, with its card {presence}",
            {"watch": WATCH, "run": WAITING, "resume": RESUMED},
            {"state": "idle", "message": "Waiting.", "url": LINK.url},
            ("watch",),
            at(presence, shares=(LINK,), shared_sessions=frozenset({"S1"})),
        )
        for presence in (Presence.GONE, Presence.EJECTED)
    ),
    Case(
        "it was shared without a record of that",
        {"watch": WATCH, "run": WAITING},
        {"state": "idle", "url": LINK.url},
        ("watch",),
        {"shares": (LINK,), "shared_sessions": frozenset({"S1"})},
    ),
    Case(
        "what the card lacks is not made good by sharing the rest",
        {"run": FAILED},
        {"state": "error"},
        (),
        {"shares": (LINK,), "shared_sessions": frozenset({"S1"})},
    ),
    Case(
        "another session is finished: the error stays",
        {"run": FAILED, "resume": replace(RESUMED, state=State.RUNNING, session_id="S2")},
        {"state": "error"},
        ("resume",),
    ),
    Case(
        "an earlier session is finished beside a card that is done",
        {"run": DONE, "resume": replace(RESUMED, session_id="S0", in_watch=False)},
        {"message": "The card.", "card": "safe"},
        (),
        at(Presence.PRESENT),
        runs=("The card.", "Shared."),
    ),
    Case("killed while it waited", {"run": replace(WAITING, has_ended=False)}, {"state": "interrupted"}),
    Case("killed at work", {"run": replace(DONE, state=State.RUNNING)}, {"state": "interrupted"}),
    # No run could begin
    Case(
        "a start that failed is over when a run begins",
        {"start": record(RunKind.STARTUP, 1, State.ERROR), "resume": replace(RESUMED, state=State.RUNNING)},
        {"state": "running"},
        ("resume",),
        runs=(),
    ),
    *(
        Case(
            f"a refused configuration is shown until a card comes ({name})",
            {"configuration": record(RunKind.CONFIGURATION, 1, State.ERROR, message="Refused."), name: other},
            {"message": message},
        )
        for name, other, message in (
            ("resume", RESUMED, "Refused."),
            ("renew", RENEWED, "Refused."),
            ("run", DONE, "The card."),
        )
    ),
    # Signing anew
    Case(
        "a card stays in view while a link is signed",
        {"run": DONE, "renew": replace(RENEWED, state=State.RUNNING)},
        {"state": "running", "message": "Signed.", "card": "safe", "url": LINK.url},
        ("renew",),
        {"shares": (LINK,)},
    ),
    Case(
        "one that has only just begun takes no link away",
        {"run": DONE, "renew": replace(RENEWED, state=State.IDLE)},
        {"state": "done", "message": "The card.", "url": LINK.url},
        ("renew",),
        {"shares": (LINK,)},
    ),
    Case(
        "what was said of the card stays when its link was signed anew",
        {"run": replace(DONE, counts=Counts(failed=3)), "renew": RENEWED},
        {"message": "The card.", "card": "safe", "url": LINK.url, "counts": asdict(Counts(failed=3))},
        (),
        {"shares": (LINK,)},
        runs=("The card.", "Signed."),
    ),
    Case(
        "pictures that were deleted since are not shown",
        {"run": replace(DONE, thumbnails=("/gone.jpg",)), "renew": RENEWED},
        {"message": "The card.", "thumbnails": ()},
        (),
        {"shares": (LINK,)},
    ),
    Case(
        "the link of another session is shown, since somebody asked for it",
        {"run": DONE, "renew": replace(RENEWED, session_id="S2")},
        {"message": "Signed.", "card": "safe", "url": OTHER.url, "session_id": "S2"},
        (),
        {"shares": (LINK, OTHER)},
    ),
    Case(
        "… unless nobody did",
        {"run": DONE, "refresh": replace(RENEWED, kind=RunKind.REFRESH, session_id="S2")},
        {"message": "The card.", "url": LINK.url},
        (),
        {"shares": (LINK, OTHER)},
        runs=(),
    ),
    *(
        Case(
            f"why it was not signed stands beside what is {state}",
            {"run": replace(card_run(2, state, message="Before."), kind=kind), "renew": REFUSED},
            {"message": "Before.", "error": asdict(NO_STORE), "state": state},
            ("watch",),
        )
        for state, kind in ((State.DONE, RunKind.CARD), (State.IDLE, RunKind.WATCH))
    ),
    Case(
        "… until another is",
        {"run": DONE, "refused": REFUSED, "renew": replace(RENEWED, serial=4)},
        {"error": None, "url": LINK.url},
        (),
        {"shares": (LINK,)},
    ),
    Case(
        "… or another card comes",
        {"run": DONE, "refused": REFUSED, "next": replace(NEXT, serial=4)},
        {"error": None, "message": "Reading."},
        ("next",),
    ),
    *(
        Case(
            f"what is {state} is more urgent than a signed link",
            {"run": card_run(2, state, message="Before.", error=PULLED), "renew": RENEWED},
            {"message": "Before.", "state": state},
        )
        for state in (State.ERROR, State.WAITING, State.INTERRUPTED)
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_shown(case: Case) -> None:
    status = shown(case.records, *case.alive, **case.facts)
    seen = status | {"card": status["card"]["state"]}
    assert {name: seen[name] for name in case.wanted} == case.wanted
    if case.runs is not None:
        assert tuple(run["message"] for run in status["runs"]) == case.runs


def test_a_second_refusal_is_told_from_the_first() -> None:
    first, second = (shown({"watch": WATCH, "renew": replace(REFUSED, updated_at=at)}) for at in (LATER, "2026-07-01"))
    assert first["updated_at"] != second["updated_at"]


def test_the_later_of_two_in_the_same_state_is_shown() -> None:
    records = {name: card_run(2, State.RUNNING, updated_at=at) for name, at in (("a", LATER), ("b", BEFORE))}
    assert shown(records, "a", "b")["updated_at"] == LATER


def test_a_card_s_record_is_kept_until_the_next_card() -> None:
    records = {"run": WAITING, "resume": RESUMED}
    assert not is_disposable("run", records, frozenset())
    assert is_disposable("run", records | {"next": replace(NEXT, serial=4)}, frozenset({"next"}))
    assert not is_disposable("next", {"next": NEXT}, frozenset({"next"}))


def test_an_error_s_record_is_kept_until_something_newer_succeeded() -> None:
    assert not is_disposable("run", {"run": FAILED, "next": NEXT}, frozenset({"next"}))
    assert is_disposable("run", {"run": FAILED, "next": replace(DONE, serial=3)}, frozenset())


class Appliance(RuleBasedStateMachine):
    """Cards come and go, runs begin, end and die, links are made and expire, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.records: dict[str, RunRecord] = {"watch": replace(WATCH, serial=1)}
        self.alive = {"watch"}
        self.readers: dict[str, int] = {"/dev/sda1": 0, "/dev/sdb1": 0}  # the medium in each; 0: none
        self.media: dict[str, int] = {}  # by run
        self.shares: dict[str, Share] = {}
        self.shared: set[str] = set()
        self.now = NOW
        self.serial = 1
        self.media_made = 0
        # Runs that ended with an error, each with whether it may be taken off: its cause gone or something newer well.
        self.open_errors: dict[str, bool] = {}

    def begin(self, kind: RunKind, **fields: Any) -> str:
        self.serial += 1
        run_id = f"{kind}-{self.serial}"
        is_alone = self.alive == {"watch"}
        self.records[run_id] = record(kind, self.serial, State.RUNNING, has_ended=False, began_alone=is_alone, **fields)
        self.alive.add(run_id)
        return run_id

    def working(self, *kinds: RunKind) -> list[str]:
        return sorted(run_id for run_id in self.alive if self.records[run_id].kind in kinds)

    def is_busy(self, session: str) -> bool:
        """Whether a run works on a session; no other one can, then."""
        return any(self.records[run_id].session_id == session for run_id in self.alive)

    @initialize()
    def start(self) -> None:
        self.now = NOW

    @rule(device=st.sampled_from(["/dev/sda1", "/dev/sdb1"]), session=st.sampled_from(["S1", "S2", "S3"]))
    def plug_in(self, device: str, session: str) -> None:
        if self.readers[device] or self.is_busy(session):
            return
        self.media_made += 1
        self.readers[device] = self.media_made
        card = CardStatus("EOS", device, CardState.READING, files=3)
        run_id = self.begin(RunKind.CARD, card=card, session_id=session, diskseq=str(self.media_made))
        self.media[run_id] = self.media_made
        for error in self.open_errors:
            if self.records[error].session_id == session:
                self.open_errors[error] = True

    @rule(device=st.sampled_from(["/dev/sda1", "/dev/sdb1"]))
    def pull(self, device: str) -> None:
        medium = self.readers[device]
        self.readers[device] = 0
        for run_id in self.working(RunKind.CARD):
            if self.media[run_id] == medium and self.records[run_id].card.state is CardState.READING:
                self.end(run_id, State.ERROR, PULLED, CardState.REMOVED)

    @precondition(lambda self: self.working(RunKind.CARD))
    @rule(data=st.data())
    def card_is_read(self, data: st.DataObject) -> None:
        run_id = data.draw(st.sampled_from(self.working(RunKind.CARD)))
        if self.records[run_id].card.state is CardState.READING:
            self.change(run_id, card=replace(self.records[run_id].card, state=CardState.SAFE, saved=3))

    @precondition(lambda self: self.working(RunKind.CARD, RunKind.RESUME, RunKind.RENEW))
    @rule(data=st.data(), how=st.sampled_from(["share", "wait", "fail", "die"]))
    def run_ends(self, data: st.DataObject, how: str) -> None:
        run_id = data.draw(st.sampled_from(self.working(RunKind.CARD, RunKind.RESUME, RunKind.RENEW)))
        mine = self.records[run_id]
        if how == "die":
            self.alive.discard(run_id)
        elif mine.card.state is CardState.READING:
            return
        elif how == "share" and mine.session_id:
            self.share(mine.session_id)
            self.shared.add(mine.session_id)
            self.end(run_id, State.DONE, None)
            if mine.kind in (RunKind.CARD, RunKind.RESUME):
                self.open_errors = dict.fromkeys(self.open_errors, True)
        elif mine.kind is RunKind.RENEW:
            self.end(run_id, State.IDLE, NO_STORE)
        elif how == "wait":
            self.end(run_id, State.WAITING, NO_STORE)
        else:
            self.end(run_id, State.ERROR, Problem(73, "The disk is full.", "Free some."))

    @rule(session=st.sampled_from(["S1", "S2", "S3"]), kind=st.sampled_from([RunKind.RESUME, RunKind.RENEW]))
    def go_on(self, session: str, kind: RunKind) -> None:
        if self.is_busy(session):
            return
        self.begin(kind, session_id=session, in_watch=True)
        if kind is RunKind.RESUME:
            for error in self.open_errors:
                if self.records[error].session_id == session:
                    self.open_errors[error] = True

    @rule(days=st.integers(1, 9))
    def time_passes(self, days: int) -> None:
        self.now += timedelta(days=days)

    @rule()
    def records_are_tidied(self) -> None:
        for run_id in list(self.records):
            if is_disposable(run_id, self.records, frozenset(self.alive)):
                assert self.open_errors.get(run_id, True), "an error that nothing made good"
                del self.records[run_id]
                self.open_errors.pop(run_id, None)

    def share(self, session: str) -> None:
        expires = (self.now + timedelta(days=7)).isoformat().replace("+00:00", "Z")
        self.shares[session] = Share(session, f"https://s3.example/{session}?{self.serial}", expires)

    def end(self, run_id: str, state: State, error: Problem | None, card: CardState | None = None) -> None:
        changed = replace(self.records[run_id].card, state=card) if card else self.records[run_id].card
        self.change(run_id, state=state, error=error, card=changed, has_ended=True)
        self.alive.discard(run_id)
        if state is State.ERROR:
            self.open_errors[run_id] = False

    def change(self, run_id: str, **fields: Any) -> None:
        self.records[run_id] = replace(self.records[run_id], **fields)

    @property
    def facts(self) -> Facts:
        return Facts(
            self.now,
            frozenset(self.alive),
            tuple(self.shares.values()),
            frozenset(self.shared),
            {
                run_id: Presence.PRESENT if medium in self.readers.values() else Presence.GONE
                for run_id, medium in self.media.items()
                if run_id in self.records
            },
        )

    @invariant()
    def a_card_is_called_safe_only_where_it_is_saved_and_in_its_reader(self) -> None:
        status = compose(self.records, self.facts)
        for each in (status, *status["runs"]):
            if each["card"]["state"] != CardState.SAFE:
                continue
            assert each["card"]["saved"] == each["card"]["files"]
            medium = self.readers[each["card"]["device"]]
            about = [run_id for run_id, own in self.media.items() if own == medium and run_id in self.records]
            assert medium, "there is no card"
            assert all(self.records[run_id].card.state is CardState.SAFE for run_id in about)
            assert about

    @invariant()
    def a_card_that_is_read_is_shown_and_said_to_be(self) -> None:
        reading = [each for each in self.working(RunKind.CARD) if self.records[each].card.state is CardState.READING]
        status = compose(self.records, self.facts)
        told = [each["card"]["state"] for each in (status, *status["runs"])]
        assert told.count(CardState.READING) >= bool(reading)

    @invariant()
    def a_valid_link_is_shown_with_its_session_and_one_that_has_ended_never(self) -> None:
        status = compose(self.records, self.facts)
        valid = {
            share.session_id: share.url
            for share in self.shares.values()
            if datetime.fromisoformat(share.expires_at) > self.now
        }
        for each in (status, *status["runs"]):
            if each["session_id"]:
                assert each["url"] == valid.get(each["session_id"])
        if status["state"] == State.IDLE:
            assert (status["url"] is not None) == bool(valid)
            assert status["url"] is None or status["url"] in valid.values()

    @invariant()
    def an_error_is_shown_until_its_cause_is_gone_or_something_newer_went_well(self) -> None:
        status = compose(self.records, self.facts)
        messages = [each["error"] for each in (status, *status["runs"])]
        for run_id, may_go in self.open_errors.items():
            if not may_go:
                assert asdict(self.records[run_id])["error"] in messages

    @invariant()
    def who_lives_is_at_work_and_who_died_is_not(self) -> None:
        for run_id, view in run_views(self.records, self.facts).items():
            assert view.state is not State.RUNNING or run_id in self.alive
            assert not has_news(view) or view.kind is not RunKind.WATCH


TestAnyOrderOfEvents = Appliance.TestCase
TestAnyOrderOfEvents.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
