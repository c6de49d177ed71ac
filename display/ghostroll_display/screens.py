"""Which screen a status calls for, and its words. No pixels here."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from ghostroll_display import texts
from ghostroll_display.view import View


class Kind(StrEnum):
    """The screens."""

    STARTING = "starting"
    INSERT = "insert"
    READING = "reading"
    SAVED = "saved"
    FINISHING = "finishing"
    OFFLINE = "offline"
    SHARED = "shared"
    NOTHING_NEW = "nothing_new"
    DONE = "done"
    EJECTED = "ejected"
    REJECTED = "rejected"
    INTERRUPTED = "interrupted"
    ERROR = "error"
    ANSWER = "answer"  # to the button, whatever the status is


@dataclass(frozen=True)
class Screen:
    """What is shown: a sign, a heading, and lines, the most important first. An empty line is none."""

    kind: Kind
    sign: str
    heading: str
    lines: tuple[str, ...] = ()
    needed: int = 3  # so many of the lines stay, whatever their size becomes
    progress: float | None = None
    shows_code: bool = False
    thumbnails: tuple[str, ...] = field(default=(), repr=False)


def screen(seen: View, now: datetime) -> Screen:
    """Return the screen for a status."""
    return _SCREENS[kind_of(seen)](seen, now)


def kind_of(seen: View) -> Kind:
    """Return which screen a status calls for: problems first, then the card, then how far the share is."""
    if seen.state in ("error", "interrupted"):
        return Kind(seen.state)
    if seen.card_state == "rejected":
        return Kind.REJECTED
    if seen.card_state == "reading":
        return Kind.READING
    if seen.state == "waiting":
        return Kind.OFFLINE
    if seen.state == "running":
        return Kind.SAVED if seen.card_state in ("safe", "ejected") else Kind.FINISHING
    return _ended(seen)


def _ended(seen: View) -> Kind:
    if seen.state == "done":
        if not seen.url:
            return Kind.DONE
        return Kind.SHARED if seen.receipt or seen.new else Kind.NOTHING_NEW
    if seen.card_state == "ejected":
        return Kind.EJECTED
    return Kind.INSERT if seen.is_written else Kind.STARTING


def _starting(_seen: View, _now: datetime) -> Screen:
    return Screen(Kind.STARTING, "ghost", texts.STARTING, (texts.STARTING_LINE,))


def _insert(seen: View, now: datetime) -> Screen:
    last = texts.LAST_SHARE.format(time=_until(seen, now)) if seen.link_is_valid(now) and seen.expires_at else ""
    lines = (texts.FREE.format(size=texts.size(seen.free_bytes)), last)
    return Screen(Kind.INSERT, "insert", texts.INSERT, lines, shows_code=seen.link_is_valid(now))


def _reading(seen: View, _now: datetime) -> Screen:
    read = texts.READ.format(done=texts.number(seen.saved), total=texts.number(seen.files))
    lines = (read if seen.step != "scan" else texts.LOOKING, _time_left(seen))
    return Screen(Kind.READING, "keep", texts.KEEP, (*lines, seen.card_label), progress=_read_share(seen))


def _saved(seen: View, _now: datetime) -> Screen:
    lines = (_verified(seen), _formatting(seen), texts.UPLOADING, _time_left(seen))
    heading, sign = (texts.EJECTED, "eject") if seen.card_state == "ejected" else (texts.SAFE, "check")
    return Screen(Kind.SAVED, sign, heading, (_other_card(seen), *lines), progress=seen.progress)


def _finishing(seen: View, _now: datetime) -> Screen:
    lines = (_other_card(seen), seen.message, _time_left(seen))
    return Screen(Kind.FINISHING, "upload", texts.FINISHING, lines, progress=seen.progress)


def _offline(seen: View, _now: datetime) -> Screen:
    lines = (_card(seen), texts.OFFLINE_LINE, _verified(seen), seen.error_hint)
    return Screen(Kind.OFFLINE, "offline", texts.OFFLINE, lines, needed=2)


def _shared(seen: View, now: datetime) -> Screen:
    valid = seen.link_is_valid(now)
    card = _card_in_short(seen)
    keep = card if card in (texts.CARD_KEEP, texts.OTHER_KEEP) else ""
    lines = (
        keep,
        texts.photos(seen.photos) if seen.photos else "",
        _link_time(seen, now) if valid else "",
        texts.RECEIPT.format(letters=seen.receipt) if seen.receipt else "",
        "" if keep else card,
        texts.FAILED.format(number=texts.number(seen.failed)) if seen.failed else "",
        texts.date(seen.shot_on) if seen.shot_on else "",
        _formatting(seen),
    )
    if not valid:
        return Screen(Kind.SHARED, "upload", texts.ENDED, lines)
    return Screen(Kind.SHARED, "check", texts.SHARED, lines, shows_code=True, thumbnails=seen.thumbnails)


def _nothing_new(seen: View, now: datetime) -> Screen:
    valid = seen.link_is_valid(now)
    lines = (_card_in_short(seen), texts.EARLIER if valid else "", _link_time(seen, now), _formatting(seen))
    return Screen(Kind.NOTHING_NEW, "check", texts.NOTHING_NEW, lines, shows_code=valid)


def _done(seen: View, _now: datetime) -> Screen:
    return Screen(Kind.DONE, "check", texts.DONE, (_card(seen), seen.message))


def _ejected(seen: View, now: datetime) -> Screen:
    last = texts.LAST_SHARE.format(time=_until(seen, now)) if seen.link_is_valid(now) and seen.expires_at else ""
    return Screen(Kind.EJECTED, "eject", texts.EJECTED, (texts.EJECTED_LINE, _other_card(seen), last))


def _rejected(seen: View, _now: datetime) -> Screen:
    return Screen(Kind.REJECTED, "warning", texts.REJECTED, (_other_card(seen), seen.card_reason or seen.message))


def _interrupted(seen: View, _now: datetime) -> Screen:
    return Screen(Kind.INTERRUPTED, "warning", texts.INTERRUPTED, (_card(seen), texts.INTERRUPTED_LINE))


def _error(seen: View, _now: datetime) -> Screen:
    said = seen.error_message or seen.message or texts.UNKNOWN_PROBLEM
    return Screen(Kind.ERROR, "warning", texts.ERROR, (_card(seen), said, seen.error_hint))


def _card(seen: View) -> str:
    """Say whether the card may be pulled; every screen that isn't about just that has this line."""
    if seen.card_state == "reading":
        return texts.CARD_KEEP
    return _other_card(seen) or (texts.CARD_SAFE if seen.card_state in ("safe", "ejected") else "")


def _card_in_short(seen: View) -> str:
    if seen.card_state == "ejected" and not seen.other_card_is_read:
        return texts.EJECTED
    said = _card(seen)
    return texts.SAFE if said == texts.CARD_SAFE else said


def _other_card(seen: View) -> str:
    return texts.OTHER_KEEP if seen.other_card_is_read else ""


def _verified(seen: View) -> str:
    """Say how many files are saved, and `verified` only where each of them was read back."""
    if not seen.files:
        return ""
    all_verified = seen.safe_to_format or (seen.verified >= seen.ingested > 0 and not seen.skipped)
    words = texts.VERIFIED if all_verified else texts.SAVED
    return words.format(done=texts.number(seen.saved), total=texts.number(seen.files))


def _formatting(seen: View) -> str:
    if seen.safe_to_format and seen.files:
        return texts.SAFE_TO_FORMAT
    return texts.DO_NOT_FORMAT.format(reason=seen.card_reason) if seen.card_reason else ""


def _time_left(seen: View) -> str:
    return texts.LEFT.format(time=texts.duration(seen.eta_seconds)) if seen.eta_seconds else ""


def _read_share(seen: View) -> float:
    return min(1.0, seen.saved / seen.files) if seen.files else 0.0


def _link_time(seen: View, now: datetime) -> str:
    if not seen.link_is_valid(now):
        return texts.ENDED
    return texts.UNTIL.format(time=_until(seen, now)) if seen.expires_at else ""


def _until(seen: View, now: datetime) -> str:
    if seen.expires_at is None:
        return ""
    try:
        return texts.moment(seen.expires_at.astimezone(now.tzinfo))
    except OverflowError:  # the years 1 and 9999
        return texts.moment(seen.expires_at)


_SCREENS: dict[Kind, Callable[[View, datetime], Screen]] = {
    Kind.STARTING: _starting,
    Kind.INSERT: _insert,
    Kind.READING: _reading,
    Kind.SAVED: _saved,
    Kind.FINISHING: _finishing,
    Kind.OFFLINE: _offline,
    Kind.SHARED: _shared,
    Kind.NOTHING_NEW: _nothing_new,
    Kind.DONE: _done,
    Kind.EJECTED: _ejected,
    Kind.REJECTED: _rejected,
    Kind.INTERRUPTED: _interrupted,
    Kind.ERROR: _error,
}
