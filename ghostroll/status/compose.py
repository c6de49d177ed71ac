"""The status, derived: the records of all runs and what is true of the world now make what is shown.

Nothing here reads or writes anything, so each rule can be tested with records and facts alone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from ghostroll.base.errors import ConfigurationError, CredentialsRefused, NotSharedYet
from ghostroll.base.text import rfc3339
from ghostroll.status.model import CardState, CardStatus, State, Status
from ghostroll.status.run_record import RunKind, RunRecord, as_status

INTERRUPTED_MESSAGE = "Interrupted. What was saved is safe; the rest goes on at the next start."
# The most urgent first: what an owner must see, whatever else goes on.
_URGENCY = (State.ERROR, State.RUNNING, State.WAITING, State.INTERRUPTED, State.DONE, State.IDLE)
_WORK = (RunKind.CARD, RunKind.RESUME)
_SIGNING = (RunKind.RENEW, RunKind.REFRESH)
# What kept a session from being shared, and is over once it is.
_STORE_CODES = (NotSharedYet.exit_code, CredentialsRefused.exit_code, ConfigurationError.exit_code)


class Presence(StrEnum):
    """Where the card of a run is now."""

    UNKNOWN = "unknown"
    PRESENT = "present"
    EJECTED = "ejected"  # in its reader, released at its owner's request
    GONE = "gone"


@dataclass(frozen=True)
class Share:
    """The link of a session. `short_url` is what its short link must be now; None where there is none."""

    session_id: str
    url: str
    expires_at: str
    short_url: str | None = None


@dataclass(frozen=True)
class Facts:
    """What is true now. `shares` is None where the catalog cannot be read."""

    now: datetime
    alive: frozenset[str] = frozenset()  # runs whose process lives, by id
    shares: tuple[Share, ...] | None = None
    shared_sessions: frozenset[str] = frozenset()  # those that nothing is left to do for
    cards: Mapping[str, Presence] = field(default_factory=dict)  # by run id
    has_ejected_card: bool = False  # in any reader


Records = Mapping[str, RunRecord]


def compose(records: Records, facts: Facts) -> dict[str, Any]:
    """Return the content of `status.json`: the most urgent run, and all of them in `runs` where there are several."""
    seen = run_views(records, facts)
    shown = {run_id: view for run_id, view in seen.items() if not _is_superseded(run_id, records[run_id], seen, facts)}
    if not shown:
        return asdict(Status(updated_at=rfc3339(facts.now, timespec="microseconds"))) | {"runs": []}
    ordered = sorted(shown.values(), key=lambda view: view.updated_at, reverse=True)
    ordered.sort(key=lambda view: _rank(view, shown))
    runs = [asdict(as_status(view)) for view in ordered if has_news(view)]
    return asdict(as_status(_first(ordered))) | {"runs": runs if len(runs) > 1 else []}


def run_views(records: Records, facts: Facts) -> dict[str, RunRecord]:
    """Return the record of each run as it is to be read now: whether it lives, where its card is, what its link is."""
    seen = {run_id: _with_life(record, is_alive=run_id in facts.alive) for run_id, record in records.items()}
    seen = {run_id: replace(view, card=_card(run_id, view, seen, facts)) for run_id, view in seen.items()}
    seen = {run_id: replace(view, card=_card_of_session(view, seen)) for run_id, view in seen.items()}
    return {run_id: _with_link(view, records.values(), facts) for run_id, view in seen.items()}


def has_news(record: RunRecord) -> bool:
    """Tell whether a record says more than that its run waits, or did what nobody asked for."""
    is_silent = record.state is State.IDLE or (record.state is State.DONE and record.kind is RunKind.REFRESH)
    return not is_silent or record.error is not None


def is_disposable(run_id: str, records: Records, alive: frozenset[str]) -> bool:
    """Tell whether the record of a run that has ended will never be shown again, whatever the facts."""
    record, later = records[run_id], _later(records[run_id], records)
    if run_id in alive or record.kind is RunKind.WATCH:
        return False
    # Until the next card comes, this one may still be in its reader.
    may_have_card = record.kind is RunKind.CARD and not any(map(_is_next_card, later))
    return not may_have_card and (not has_news(record) or _is_superseded_by(record, later))


# One record


def _with_life(record: RunRecord, *, is_alive: bool) -> RunRecord:
    """Say of a run that died without a last word that it was interrupted."""
    is_at_work = record.state is State.RUNNING or (record.state is State.WAITING and not record.has_ended)
    if is_alive or not is_at_work:
        return replace(record, has_ended=not is_alive)
    return replace(record, state=State.INTERRUPTED, message=INTERRUPTED_MESSAGE, has_ended=True)


def _card(run_id: str, view: RunRecord, seen: Records, facts: Facts) -> CardStatus:
    """Return the card as it is now: one that was in its reader may have been ejected or pulled since."""
    card = view.card
    if view.kind is RunKind.WATCH and facts.has_ejected_card:
        return CardStatus(state=CardState.EJECTED)
    is_read_now = card.state is CardState.READING and not view.has_ended
    if is_read_now or card.state not in (CardState.SAFE, CardState.REJECTED, CardState.READING):
        return card
    presence = facts.cards.get(run_id, Presence.UNKNOWN)
    if presence is Presence.EJECTED:
        return replace(card, state=CardState.EJECTED)
    has_successor = any(each.card.device == card.device is not None for each in _cards(_later(view, seen)))
    return replace(card, state=CardState.REMOVED) if presence is Presence.GONE or has_successor else card


def _card_of_session(view: RunRecord, seen: Records) -> CardStatus:
    """Return the card that a session came from if it is in its reader still, where a later run goes on with it."""
    newest = _newest_card(seen.values())
    if view.kind is not RunKind.RESUME or newest is None or not _is_same_session(view, newest):
        return view.card
    return newest.card if newest.card.state is CardState.SAFE else view.card


def _cards(records: Iterable[RunRecord]) -> list[RunRecord]:
    return [each for each in records if each.kind is RunKind.CARD and each.card.state is not CardState.NONE]


def _newest_card(records: Iterable[RunRecord]) -> RunRecord | None:
    return max(_cards(records), key=lambda each: each.serial, default=None)


def _with_link(record: RunRecord, others: Iterable[RunRecord], facts: Facts) -> RunRecord:
    """Return a record with its session's link if that is valid now; the steady loop has the latest of all."""
    if facts.shares is None:  # what the run itself has seen must do
        is_valid = record.url is not None and not _has_expired(record.expires_at, facts.now)
        return record if is_valid else replace(record, url=None, short_url=None, expires_at=None)
    valid = [share for share in facts.shares if not _has_expired(share.expires_at, facts.now)]
    if record.kind is RunKind.WATCH:
        valid.sort(key=lambda each: _moment(each.expires_at) or facts.now)  # of equal ones the last stays last
        share = valid[-1] if valid else None
    else:
        session_id = record.link_session_id or record.session_id
        share = next((each for each in valid if each.session_id == session_id), None)
    if share is None:
        return replace(record, url=None, short_url=None, expires_at=None)
    return replace(record, url=share.url, short_url=_short_url(share, others), expires_at=share.expires_at)


def _short_url(share: Share, records: Iterable[RunRecord]) -> str | None:
    """Return the short link to a share if it is what it must be and the last look saw it work; `watch` looks last."""
    looks = [each for each in records if each.url == share.url]
    last = max(looks, key=lambda each: (each.kind is RunKind.WATCH, each.serial), default=None)
    return share.short_url if last and last.short_url == share.short_url else None


def _has_expired(expires_at: str | None, now: datetime) -> bool:
    moment = _moment(expires_at)
    return moment is not None and moment <= now


def _moment(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else None


# Records among others


def _later(record: RunRecord, records: Records) -> list[RunRecord]:
    return [each for each in records.values() if each.serial > record.serial]


def _is_next_card(record: RunRecord) -> bool:
    """Whether the run of a card began when all earlier ones had ended."""
    return record.kind is RunKind.CARD and record.began_alone


def _is_superseded_by(record: RunRecord, later: list[RunRecord]) -> bool:
    """Tell whether a run that has ended is not shown any more, since later ones began or succeeded."""
    if record.kind in _SIGNING and record.error:
        return any(each.kind in _SIGNING or each.state is State.DONE for each in later)
    if record.state is not State.ERROR:
        return _is_outdated(record, later)
    work = [each for each in later if each.kind in _WORK]
    if record.kind is RunKind.CONFIGURATION:
        return any(each.kind is RunKind.CARD for each in work)
    if record.kind in (RunKind.STARTUP, RunKind.REBUILD):  # that a run began shows that its cause is gone
        return bool(work)
    return any(_is_same_session(each, record) or each.state is State.DONE for each in work)


def _is_outdated(record: RunRecord, later: list[RunRecord]) -> bool:
    """The same for a run without an error: the next card supersedes it, or a run that goes on with its session."""
    if any(map(_is_next_card, later)):
        return True
    if record.state in (State.DONE, State.IDLE):
        return record.kind is not RunKind.CARD and any(each.began_alone for each in later)
    return any(each.kind in _WORK and (_is_same_session(each, record) or not record.session_id) for each in later)


def _is_same_session(one: RunRecord, other: RunRecord) -> bool:
    return one.session_id is not None and one.session_id == other.session_id


def _is_superseded(run_id: str, record: RunRecord, seen: Records, facts: Facts) -> bool:
    """Tell whether a run is not shown any more, by what came later or by what is true now."""
    view = seen[run_id]
    if view.kind is RunKind.WATCH or run_id in facts.alive:
        return False
    if not has_news(view) or _is_superseded_by(view, _later(view, seen)):
        return True
    if view.state is State.DONE:
        is_watched = any(each.kind is RunKind.WATCH and other in facts.alive for other, each in seen.items())
        return is_watched and view.card.state is not CardState.SAFE and _is_over(record, view, seen)
    if record.card.state is CardState.REJECTED and view.card.state is CardState.REMOVED:
        return True
    return view.session_id in facts.shared_sessions and _waited_for_store(view)


def _is_over(record: RunRecord, view: RunRecord, seen: Records) -> bool:
    """Tell whether what is done and has no card in a reader gives way to the steady loop, which shows the latest link.

    A card that was pulled before its run was done is told of until the next one.
    """
    if view.kind is RunKind.CARD and record.in_watch and record.card.state is CardState.SAFE:
        return True
    if view.kind is RunKind.RESUME and record.in_watch:
        return True
    if any(each.kind is RunKind.RESUME and each.in_watch and each.state is State.DONE for each in _later(view, seen)):
        return True
    return record.url is not None and view.url is None


def _waited_for_store(view: RunRecord) -> bool:
    return view.state is not State.ERROR or (view.error is not None and view.error.code in _STORE_CODES)


# Which is shown first


def _rank(view: RunRecord, shown: Records) -> tuple[bool, int, int]:
    """Sort key: an error gives way to the next card; then what is urgent; of two cards the one not to be pulled."""
    gives_way = view.has_ended and view.state is State.ERROR and any(map(_is_next_card, _later(view, shown)))
    return gives_way, _URGENCY.index(view.state), {CardState.READING: 0, CardState.NONE: 2}.get(view.card.state, 1)


def _first(ordered: list[RunRecord]) -> RunRecord:
    """Return the most urgent run; with the outcome of the last signing beside it, since somebody asked for that."""
    first = ordered[0]
    signed = max((view for view in ordered if view.kind in _SIGNING), key=lambda view: view.serial, default=None)
    if signed is None:
        return first
    if first is signed:
        newest = _newest_card(view for view in ordered if view.state in (State.DONE, State.WAITING))
        is_at_work = signed.state is State.RUNNING and newest is not None
        return replace(signed, card=newest.card) if newest and is_at_work else signed
    is_older = signed.serial < first.serial and first.kind is not RunKind.WATCH
    if first.state not in (State.DONE, State.IDLE) or is_older:
        return first
    if signed.error:
        return replace(first, error=signed.error, updated_at=max(first.updated_at, signed.updated_at))
    is_signed = signed.state is State.DONE
    if is_signed and _is_same_session(signed, first):
        return replace(first, thumbnails=signed.thumbnails)  # some may have been deleted since
    return replace(signed, card=first.card) if is_signed and signed.kind is RunKind.RENEW else first
