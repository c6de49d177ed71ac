"""Reading the status record, and what to do with one that makes no sense."""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ghostroll.base.log import logger, printable
from ghostroll.status.model import VERSION, State, Status

# Those of 2^63, with a sign: no count is longer, and no float is made of more.
_DIGITS_MOST = 20


class Reader:
    """The record at `path`. One that is broken, or of a later version, leaves the last good one as it was."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last = _nothing_yet()
        self._complaint = ""

    def read(self) -> dict[str, Any]:
        """Return the record as it should be shown; an idle one where none was written yet."""
        try:
            record = json.loads(self._path.read_text(), parse_int=_integer, parse_float=_finite, parse_constant=_finite)
            complaint = _complaint(record)
        except FileNotFoundError:
            record, complaint = _nothing_yet(), ""
        except (OSError, ValueError, RecursionError) as error:
            record, complaint = None, f"it cannot be read ({type(error).__name__})"
        if complaint and complaint != self._complaint:
            logger.warning("The status %s is passed over: %s.", printable(str(self._path)), complaint)
        self._complaint = complaint
        if not complaint:
            self._last = record
        return self._last


def _integer(text: str) -> int:
    if len(text) > _DIGITS_MOST:
        raise ValueError("a number that counts nothing")
    return int(text)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number that measures nothing")
    return number


def _nothing_yet() -> dict[str, Any]:
    return asdict(Status()) | {"runs": []}


def _complaint(record: Any) -> str:
    """Return what is wrong with a record, in words; a later version may mean other things by the same names."""
    if not isinstance(record, dict) or record.get("state") not in list(State):
        return "it is no status record"
    if record.get("version") != VERSION:
        return f"it is of another version than {VERSION}; update the display"
    return ""
