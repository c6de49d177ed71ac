"""The story of the runs of other processes, told in this one's log: `journalctl -u ghostroll` has all of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from ghostroll.board import Board
from ghostroll.log import logger
from ghostroll.status import State

_ENDED = (State.DONE, State.ERROR, State.WAITING, State.INTERRUPTED)


@dataclass
class Chronicle:
    """Follows the board. `is_ours` tells the runs of this process, which tell their story themselves."""

    status_path: Path
    is_ours: Callable[[str], bool]
    _told: dict[str, list[str]] = field(default_factory=dict)

    def begin(self) -> None:
        """Pass over what was told before."""
        self._told = {run_id: _turns(record) for run_id, record in self._records().items()}

    def tell(self) -> None:
        """Log what happened since the last time."""
        records = self._records()
        for run_id, record in records.items():
            told = self._told.setdefault(run_id, [])
            for turn in _turns(record):
                if turn not in told:
                    told.append(turn)
                    logger.info("%s", turn)
        self._told = {run_id: told for run_id, told in self._told.items() if run_id in records}

    def _records(self) -> dict[str, dict[str, Any]]:
        return {run_id: each for run_id, each in Board(self.status_path).records().items() if not self.is_ours(run_id)}


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
