"""The story of the runs of other processes, told in this one's log: `journalctl -u ghostroll` has all of it."""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from ghostroll.base import durable
from ghostroll.base.log import logger
from ghostroll.status.model import State
from ghostroll.status.run_records import Board

_ENDED = (State.DONE, State.ERROR, State.WAITING, State.INTERRUPTED)
# Where nothing says what was told, a run that came to its end longer ago than this is no news. A card that was in when
# the machine started, or one that was run while this process was away, is.
_NEWS_SECONDS = 3600.0

# The turns of each run on the board that were told; None: it is not for us to tell any.
_Told = dict[str, list[str] | None]


@dataclass
class RunJournal:
    """Follows the board. `is_ours` tells the runs of this process, which tell their story themselves.

    What was told is kept beside the records, and lasts as long as they do. Should it be lost, a turn is told twice.
    """

    status_path: Path
    is_ours: Callable[[str], bool]
    _told: _Told = field(default_factory=dict)
    _kept: _Told | None = None

    def begin(self) -> None:
        """Go on where an earlier process left off."""
        self._kept = self._read()
        if self._kept is not None:
            self._told = self._kept
        else:
            self._told = {run_id: None for run_id, record in self._records().items() if _is_over_for_long(record)}

    def tell(self) -> None:
        """Log what happened since the last time."""
        self._told = {run_id: self._told_of(run_id, record) for run_id, record in self._records().items()}
        if self._told != self._kept:
            self._keep()

    def _told_of(self, run_id: str, record: dict[str, Any]) -> list[str] | None:
        told = self._told.get(run_id, [])
        if told is None or self.is_ours(run_id):
            return None
        turns = [turn for turn in _turns(record) if turn not in told]
        for turn in turns:
            logger.info("%s", turn)
        return told + turns

    def _records(self) -> dict[str, dict[str, Any]]:
        return Board(self.status_path).records()

    @property
    def _file(self) -> Path:
        return self.status_path.parent / "status.d" / ".told"

    def _read(self) -> _Told | None:
        """Return what was kept; None where nothing was, or nothing that we would have written."""
        try:
            kept = json.loads(self._file.read_text())
        except (OSError, ValueError, RecursionError):
            return None
        return kept if isinstance(kept, dict) and all(map(_is_told, kept.values())) else None

    def _keep(self) -> None:
        with suppress(OSError):  # such as a full disk: it is tried again at the next turn
            durable.write_lightly(self._file, json.dumps(self._told))
            self._kept = self._told


def _is_told(value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(isinstance(turn, str) for turn in value))


def _is_over_for_long(record: dict[str, Any]) -> bool:
    try:
        age_seconds = time.time() - datetime.fromisoformat(record["updated_at"]).timestamp()
    except (ValueError, OverflowError):
        return False
    return record["state"] in _ENDED and age_seconds > _NEWS_SECONDS


def _turns(record: dict[str, Any]) -> list[str]:
    """Return, as sentences, what a run has come to so far: a later record of it has the same ones, and more."""
    card, error = record["card"], record.get("error") or {}
    label = card.get("label")
    turns = []
    if label and card.get("files"):
        turns.append(f"Card {label}: {card['files']:,} files.")
    if label and card.get("state") == "safe":
        turns.append(f"Safe to remove card {label}: {card['saved']:,} of {card['files']:,} files on it are saved.")
        turns.append(
            "It may be formatted." if card.get("safe_to_format") else f"Do not format it. {card.get('reason')}"
        )
    if label and card.get("state") == "ejected":
        turns.append(f"Card {label} is ejected: it is safe to remove.")
    if record.get("url"):
        turns.append(f"The link works until {_moment(record.get('expires_at'))}: {record['url']}")
    if record["state"] in _ENDED and record.get("message"):
        turns.append(f"{record['message']} {error.get('hint', '')}".strip())
    return turns


def _moment(text: Any) -> str:
    try:
        return datetime.fromisoformat(text).astimezone().strftime("%A %d %B %Y, %H:%M")
    except (TypeError, ValueError):
        return "later"
