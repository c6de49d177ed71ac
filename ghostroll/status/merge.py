"""How the records of all runs become the one that is read: that of the most urgent run, with what was signed since."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from ghostroll.base.text import rfc3339
from ghostroll.status.model import CardState, State, Status

# What the ids of runs begin with that finish earlier sessions.
FINISHING = "resume"
# … and of those that sign a link anew: what waits or went wrong is not over with that.
SIGNING = "sign"
# The one that only tells of a configuration which was not taken: no run makes it good.
CONFIGURATION = "configuration"
# The most urgent first: what an owner must see, whatever else goes on.
_URGENCY = (State.ERROR, State.RUNNING, State.WAITING, State.INTERRUPTED, State.DONE, State.IDLE)
# What a link that is signed anew brings along; its session's directory may be gone by then.
_SIGNED = ("url", "short_url", "expires_at", "thumbnails")

Record = dict[str, Any]


def merged(by_id: dict[str, Record]) -> Record:
    """Return the record to be read, from those of all runs by their ids; an idle one where there is none."""
    if not by_id:
        return asdict(Status(updated_at=rfc3339(datetime.now(UTC), timespec="microseconds"))) | {"runs": []}
    records = sorted(by_id.values(), key=lambda record: record["updated_at"], reverse=True)
    # Of two as urgent, the one with a card: somebody waits for it, and for an earlier session's end nobody does.
    records.sort(key=lambda record: (_URGENCY.index(record["state"]), _card_urgency(record["card"]["state"])))
    signed = [record for run_id, record in by_id.items() if run_id.startswith(SIGNING)]
    last_signed = max(signed, key=lambda record: record["updated_at"], default=None)
    runs = [record for record in records if has_news(record)]
    first = _with_what_was_signed(records, last_signed) if last_signed else records[0]
    return first | {"runs": runs if len(runs) > 1 else []}


def _card_urgency(state: str) -> int:
    """Of two cards first the one that must not be pulled."""
    return {CardState.READING: 0, CardState.NONE: 2}.get(CardState(state), 1)


def has_news(record: Record) -> bool:
    """Tell whether a record says more than that its run waits."""
    return record["state"] != State.IDLE or record["error"] is not None


def _with_what_was_signed(records: list[Record], signed: Record) -> Record:
    """Return the first record, where a link was or is being signed last: whoever asked for it sees what came of it."""
    first = records[0]
    if first is signed:
        return first | {"card": _card_spoken_of(records)} if first["state"] == State.RUNNING else first
    if first["state"] not in (State.DONE, State.IDLE) or signed["updated_at"] < first["updated_at"]:
        return first
    if signed["error"]:
        return first | {"error": signed["error"], "updated_at": signed["updated_at"]}
    if signed["state"] != State.DONE:  # it has only just begun, and has no link to show
        return first
    if first["session_id"] == signed["session_id"]:
        return first | {name: signed[name] for name in _SIGNED}
    return signed | {"card": first["card"]}


def _card_spoken_of(records: list[Record]) -> Record:
    """Return the card that was spoken of when all else had ended; one at work is more urgent than any link."""
    ended = (record["card"] for record in records if record["state"] in (State.DONE, State.WAITING))
    card: Record = next((card for card in ended if card["state"] != CardState.NONE), records[0]["card"])
    return card
