"""Numbers and times as text."""

from datetime import UTC, datetime


def counted(number: int, noun: str) -> str:
    """Return a number of things in words."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def rfc3339(moment: datetime, *, timespec: str = "seconds") -> str:
    """Return a moment in UTC as RFC 3339; `timespec` as for `datetime.isoformat`."""
    return moment.astimezone(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")
