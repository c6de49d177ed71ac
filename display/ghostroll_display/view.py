"""What a status record says, as the screens want it. A record is another program's: any field may be missing or odd."""

import math
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

_SESSION_DATE = re.compile(r"shoot-(\d{4})-(\d{2})-(\d{2})_")


@dataclass(frozen=True)
class View:
    """The fields of a record, each of its type. Times are aware."""

    state: str
    step: str
    message: str
    receipt: str
    card_state: str
    card_label: str
    card_reason: str
    files: int
    saved: int
    safe_to_format: bool
    new: int
    skipped: int
    ingested: int
    verified: int
    photos: int
    failed: int
    progress: float
    eta_seconds: int | None
    free_bytes: int
    thumbnails: tuple[str, ...]
    url: str
    short_url: str
    expires_at: datetime | None
    shot_on: datetime | None
    error_message: str
    error_hint: str
    is_written: bool
    other_card_is_read: bool

    def link_is_valid(self, now: datetime) -> bool:
        """Whether there is a link that has not ended yet."""
        return bool(self.url) and (self.expires_at is None or now < self.expires_at)


def view(status: Mapping[str, Any]) -> View:
    """Return what a record says."""
    card, counts, error = (_part(status, name) for name in ("card", "counts", "error"))
    eta = status.get("eta_seconds")
    return View(
        state=_text(status, "state"),
        step=_text(status, "step"),
        message=_text(status, "message"),
        receipt=_text(status, "receipt"),
        card_state=_text(card, "state"),
        card_label=_text(card, "label"),
        card_reason=_text(card, "reason"),
        files=_number(card, "files"),
        saved=_number(card, "saved"),
        safe_to_format=card.get("safe_to_format") is True,
        new=_number(counts, "new"),
        skipped=_number(counts, "skipped"),
        ingested=_number(counts, "ingested"),
        verified=_number(counts, "verified"),
        photos=_number(counts, "processed"),
        failed=_number(counts, "failed"),
        progress=_share(status.get("progress")),
        eta_seconds=_number(status, "eta_seconds") if isinstance(eta, int) else None,
        free_bytes=_number(status, "disk_free_bytes"),
        thumbnails=_texts(status.get("thumbnails")),
        url=_text(status, "url"),
        short_url=_text(status, "short_url"),
        expires_at=_time(_text(status, "expires_at")),
        shot_on=_session_date(_text(status, "session_id")),
        error_message=_text(error, "message"),
        error_hint=_text(error, "hint"),
        is_written=bool(_text(status, "updated_at")),
        other_card_is_read=_other_card_is_read(status),
    )


def _part(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = record.get(name)
    return part if isinstance(part, dict) else {}


def _text(record: Mapping[str, Any], name: str) -> str:
    value = record.get(name)
    return " ".join(value.split()) if isinstance(value, str) else ""


def _number(record: Mapping[str, Any], name: str) -> int:
    value = record.get(name)
    # No real number of files or bytes is greater, and Python refuses to print some that are.
    return min(max(value, 0), sys.maxsize) if isinstance(value, int) else 0


def _share(value: Any) -> float:
    if not isinstance(value, int | float) or math.isnan(value):
        return 0.0
    return float(min(max(value, 0), 1))


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list | tuple) else ()


def _time(value: str) -> datetime | None:
    try:
        when = datetime.fromisoformat(value)
    except ValueError:
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _session_date(session_id: str) -> datetime | None:
    match = _SESSION_DATE.match(session_id)
    try:
        return datetime(*map(int, match.groups()), tzinfo=UTC) if match else None  # type: ignore[arg-type,misc]
    except ValueError:
        return None


def _other_card_is_read(status: Mapping[str, Any]) -> bool:
    if _text(_part(status, "card"), "state") == "reading":
        return False
    runs = status.get("runs")
    records = [run for run in runs if isinstance(run, dict)] if isinstance(runs, list) else []
    return any(_text(_part(run, "card"), "state") == "reading" for run in records)
