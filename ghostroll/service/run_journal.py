"""Log the events of other processes' runs, so that `journalctl -u ghostroll` has all of them."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from ghostroll.base import durable
from ghostroll.base.log import logger
from ghostroll.status.model import CardState, State
from ghostroll.status.run_record import RunRecord
from ghostroll.status.run_records import RunRecords

_ENDED = (State.DONE, State.ERROR, State.WAITING, State.INTERRUPTED)
# Where nothing says what was logged, a run that ended longer ago than this is not logged. A card that was in when
# the machine started, or that was read while this process was away, is.
_RECENT = timedelta(hours=1)

# The lines that were logged of each run; None for a run that is not to be logged here.
_Logged = dict[str, list[str] | None]


@dataclass
class RunJournal:
    """Follows the records of runs. `is_own` tells the runs of this process, which log for themselves.

    What was logged is kept in `status.d`, as long as the records are. Should it be lost, a line is logged twice.
    """

    records: RunRecords
    is_own: Callable[[str], bool]
    _logged: _Logged = field(default_factory=dict)
    _kept: _Logged | None = None

    def begin(self) -> None:
        """Go on where an earlier process left off."""
        self._kept = self._read()
        if self._kept is not None:
            self._logged = self._kept
        else:
            self._logged = {run_id: None for run_id, view in self.records.views().items() if _ended_long_ago(view)}

    def update(self) -> None:
        """Log what has happened since the last call."""
        self._logged = {run_id: self._log_new_lines(run_id, view) for run_id, view in self.records.views().items()}
        if self._logged != self._kept:
            self._keep()

    def _log_new_lines(self, run_id: str, view: RunRecord) -> list[str] | None:
        logged = self._logged.get(run_id, [])
        if logged is None or self.is_own(run_id):
            return None
        new = [line for line in _lines(view) if line not in logged]
        for line in new:
            logger.info("%s", line)
        return logged + new

    def _read(self) -> _Logged | None:
        """Return what was kept; None where nothing was, or nothing that makes sense."""
        try:
            kept = json.loads(self.records.journal_file.read_text())
        except (OSError, ValueError, RecursionError):
            return None
        return kept if isinstance(kept, dict) and all(map(_is_list_of_lines, kept.values())) else None

    def _keep(self) -> None:
        with suppress(OSError):  # such as a full disk: it is tried again at the next call
            durable.write_unflushed(self.records.journal_file, json.dumps(self._logged))
            self._kept = self._logged


def _is_list_of_lines(value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(isinstance(line, str) for line in value))


def _ended_long_ago(view: RunRecord) -> bool:
    updated_at = _moment(view.updated_at)
    return updated_at is not None and view.state in _ENDED and datetime.now(UTC) - updated_at > _RECENT


def _lines(view: RunRecord) -> list[str]:
    """Return what has happened in a run so far, a sentence each; a later view has the same ones and more."""
    card = view.card
    lines = []
    if card.label and card.files:
        lines.append(f"Card {card.label}: {card.files:,} files.")
    if card.label and card.state is CardState.SAFE:
        lines.append(f"Safe to remove card {card.label}: {card.saved:,} of {card.files:,} files on it are saved.")
        lines.append("It may be formatted." if card.safe_to_format else f"Do not format it. {card.reason}")
    if card.label and card.state is CardState.EJECTED:
        lines.append(f"Card {card.label} is ejected: it is safe to remove.")
    if view.url:
        lines.append(f"The link works until {_in_words(view.expires_at)}: {view.url}")
    if view.state in _ENDED and view.message:
        lines.append(f"{view.message} {view.error.hint if view.error else ''}".strip())
    return lines


def _in_words(text: str | None) -> str:
    moment = _moment(text)
    return moment.astimezone().strftime("%A %d %B %Y, %H:%M") if moment else "later"


def _moment(text: str | None) -> datetime | None:
    with suppress(ValueError, OverflowError):
        return datetime.fromisoformat(text or "").astimezone(UTC)
    return None
