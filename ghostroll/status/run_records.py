"""Where the records of all runs meet: the directory `status.d`, and `status.json`, which is merged from it.

Each run writes its own record; whoever changed something rewrites the merge (`merge.py`) under a lock. A record
whose writer is gone without a last word counts as interrupted.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from ghostroll.base import durable, locks
from ghostroll.base.errors import EX_BUG, UsageError
from ghostroll.status.merge import CONFIGURATION, FINISHING, SIGNING, has_news, merged
from ghostroll.status.model import CardState, CardStatus, State, Status, read

# status.json is rewritten at most twice a second.
INTERVAL_SECONDS = 0.5
INTERRUPTED_MESSAGE = "Interrupted. What was saved is safe; the rest goes on at the next start."
_WITH_CARD = tuple(state for state in CardState if state is not CardState.NONE)
_FINAL = frozenset((State.DONE, State.ERROR, State.INTERRUPTED))


class Board:
    """The directory `status.d` and the file `status.json` that is merged from it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._directory = path.parent / "status.d"

    def prepare(self) -> None:
        """Create the directory; raises OSError."""
        self._directory.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with locks.held(self._directory / ".lock", mode=0o644):
            yield

    def register(self, run_id: str) -> int:
        """Announce a live run; a run that starts while no other is active begins with a clean board.

        One that finishes earlier sessions or signs a link leaves what was said of a card that was saved and shared.
        """
        with self._locked():
            self._clear_left_overs()
            active = [name for name in self._records() if self._is_alive(name) and not name.startswith("watch")]
            if run_id.startswith(SIGNING):  # what came of it the last time is over
                self._drop_finished((State.IDLE,) if active else (State.DONE, State.IDLE), keep_cards=_WITH_CARD)
            elif not active and run_id.startswith(FINISHING):
                self._drop_finished(tuple(State), keep_cards=_WITH_CARD, but=CONFIGURATION)
            elif not active and not run_id.startswith("watch"):
                self._drop_finished(tuple(State))
            fd = locks.acquire(self._directory / f"{run_id}.lock", mode=0o644)
            if fd is None:
                raise UsageError(f"Another {run_id} is running already.")
            return fd

    def _clear_left_overs(self) -> None:
        """Remove what a crash left half written: who writes here holds the lock."""
        for left in self._directory.glob(".*.tmp"):
            with suppress(OSError):  # what cannot be removed is in nobody's way
                left.unlink(missing_ok=True)

    def retire(self, run_id: str, fd: int) -> None:
        """Release a run's sign of life; its record stays, unless it only ever waited. It may raise OSError."""
        try:
            with self._locked():
                record = self._read(run_id)
                if record and not has_news(record):
                    (self._directory / f"{run_id}.json").unlink(missing_ok=True)
                (self._directory / f"{run_id}.lock").unlink(missing_ok=True)
        finally:
            os.close(fd)

    def post(self, run_id: str, status: Status) -> None:
        """Write a run's record, then the merge, not sooner than half a second after the last one."""
        record = json.dumps(asdict(status))
        while True:
            with self._locked():
                durable.write_lightly(self._directory / f"{run_id}.json", record, by_way_of=self._directory)
                wait = self._seconds_to_wait()
                if wait <= 0:
                    whole = json.dumps(merged(self._spoken()), indent=1) + "\n"
                    durable.write_lightly(self._path, whole, by_way_of=self._directory)
                    return
            time.sleep(wait)

    def amend(self, run_id: str, change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> None:
        """Change the last word of a run that has ended, or remove it; a run that lives speaks for itself."""
        with self._locked():
            file = self._directory / f"{run_id}.json"
            record = self._read(run_id)
            if record is None or self._is_alive(run_id):
                return
            changed = change(self._spoken_for(run_id, record))
            if changed is None:
                file.unlink()
            else:
                durable.write_lightly(file, json.dumps(changed), by_way_of=self._directory)

    def forget(self, run_id: str) -> None:
        """Remove the record of a run that has ended, if there is one. It may raise OSError."""
        if (self._directory / f"{run_id}.json").exists():
            self.amend(run_id, lambda _: None)

    def is_over(self, run_id: str) -> bool:
        """Tell whether the process of a run has ended, with a last word or without."""
        with self._locked():
            return not self._is_alive(run_id)

    def card_of(self, session_id: str) -> CardStatus | None:
        """Return the card that a session came from, where the last run of it left it safe in its reader."""
        told = [each for each in self.records().values() if each["card"]["state"] != CardState.NONE]
        last = max(told, key=lambda each: each["updated_at"], default=None)
        if last is None or last["session_id"] != session_id or last["card"]["state"] != CardState.SAFE:
            return None  # or another card was spoken of since
        known = {field.name for field in fields(CardStatus)}
        return CardStatus(**{name: value for name, value in last["card"].items() if name in known})

    def speaks_of(self, device: str | None) -> bool:
        """Tell whether any record is about the card in a device."""
        return any(record["card"]["device"] == device for record in self.records().values())

    def clear_finished(self, states: tuple[State, ...], *, keep_inserted: bool = False) -> None:
        """Remove the records of runs that have ended in one of these states; not of a card that waits in its reader."""
        with self._locked():
            self._drop_finished(states, keep_cards=(CardState.SAFE,) if keep_inserted else ())

    def _seconds_to_wait(self) -> float:
        try:
            age = time.time() - self._path.stat().st_mtime
        except FileNotFoundError:
            return 0.0
        return INTERVAL_SECONDS - age if 0 <= age < INTERVAL_SECONDS else 0.0

    def _records(self) -> list[str]:
        return sorted(file.stem for file in self._directory.glob("*.json"))

    def _read(self, run_id: str) -> dict[str, Any] | None:
        try:
            record = json.loads((self._directory / f"{run_id}.json").read_text())
        except (OSError, ValueError, RecursionError):
            return None
        return _completed(record) if _makes_sense(record) else None

    def _is_alive(self, run_id: str) -> bool:
        try:
            return locks.is_held(self._directory / f"{run_id}.lock")
        except FileNotFoundError:
            return False

    def _drop_finished(
        self, states: tuple[State, ...], *, keep_cards: tuple[CardState, ...] = (), but: str = ""
    ) -> None:
        for run_id in self._records():
            record = self._read(run_id)
            if run_id == but:
                continue
            if record and record["state"] == State.DONE and record["card"]["state"] in keep_cards:
                continue
            if not self._is_alive(run_id) and (record is None or record["state"] in states):
                (self._directory / f"{run_id}.json").unlink(missing_ok=True)
                (self._directory / f"{run_id}.lock").unlink(missing_ok=True)

    def records(self) -> dict[str, dict[str, Any]]:
        """Return every run's record by its id; one that died since it last wrote is known to have."""
        with self._locked_if_allowed():
            return self._spoken()

    def seen(self) -> dict[str, Any]:
        """Return the record of all runs as it should be read, by whoever only looks on."""
        return merged(self.records())

    @contextmanager
    def _locked_if_allowed(self) -> Iterator[None]:
        """Lock where we may, and there is a board: whoever registers or writes must not meet our test of a lock."""
        with ExitStack() as stack:
            with suppress(PermissionError, FileNotFoundError):
                stack.enter_context(self._locked())
            yield

    def _spoken(self) -> dict[str, dict[str, Any]]:
        return {
            run_id: self._spoken_for(run_id, record) for run_id in self._records() if (record := self._read(run_id))
        }

    def _spoken_for(self, run_id: str, record: dict[str, Any]) -> dict[str, Any]:
        has_ended = not (self._directory / f"{run_id}.lock").exists()
        if (
            record["state"] in (*_FINAL, State.IDLE)
            or (has_ended and record["state"] == State.WAITING)
            or self._is_alive(run_id)
        ):
            return record
        return record | {
            "state": State.INTERRUPTED,
            "message": INTERRUPTED_MESSAGE,
        }


def _makes_sense(record: Any) -> bool:
    return (
        isinstance(record, dict)
        and record.get("state") in list(State)
        and isinstance(record.get("updated_at"), str)
        and isinstance(record.get("card"), dict)
        and isinstance(record.get("message", ""), str)
        and isinstance(record.get("error"), dict | None)
    )


def _completed(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record with every field: another version of the program may have written it."""
    whole = asdict(Status()) | record
    whole["card"] = asdict(CardStatus()) | record["card"]
    if record.get("error") is not None:
        whole["error"] = {"code": EX_BUG, "message": "", "hint": ""} | record["error"]
    return whole


def current(path: Path) -> dict[str, Any]:
    """Return the status as it is now: a run that died since it last wrote is known to have."""
    return Board(path).seen() if (path.parent / "status.d").is_dir() else read(path)
