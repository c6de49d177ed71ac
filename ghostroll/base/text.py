"""Format numbers and times as text."""

from datetime import UTC, datetime


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, such as "1 file" or "1,200 files"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def rfc3339(moment: datetime, *, timespec: str = "seconds") -> str:
    """Return a time as RFC 3339 in UTC; `timespec` as for `datetime.isoformat`."""
    return moment.astimezone(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")
