"""The records of all runs, one file each in `status.d`, and `status.json`, which is composed from them.

Each run writes its own record and nobody else's. A run lives as long as it holds the lock on its `.lock` file.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ghostroll.base import durable, locks
from ghostroll.base.errors import UsageError
from ghostroll.base.text import rfc3339
from ghostroll.status.compose import Facts, compose, has_news, is_disposable, run_views
from ghostroll.status.model import read
from ghostroll.status.run_record import RunKind, RunRecord, from_json, to_json

# status.json is rewritten at most twice a second.
INTERVAL_SECONDS = 0.5

LookUp = Callable[[Mapping[str, RunRecord]], Facts]


def no_facts(_: Mapping[str, RunRecord]) -> Facts:
    """Look nothing up: for those who have neither a catalog nor readers to ask."""
    return Facts(datetime.now(UTC))


class RunRecords:
    """The directory `status.d` beside the status file `path`. `look_up` returns what is true of the world now."""

    def __init__(self, path: Path, look_up: LookUp = no_facts) -> None:
        self._path = path
        self._directory = path.parent / "status.d"
        self._look_up = look_up

    @property
    def journal_file(self) -> Path:
        """What `watch` has logged of these runs."""
        return self._directory / ".logged"

    def create(self) -> None:
        """Create the directory; raises OSError."""
        self._directory.mkdir(parents=True, exist_ok=True)

    def register(self, run_id: str, record: RunRecord) -> tuple[RunRecord, int]:
        """Begin a run: return its record with its place among the others, and its lock.

        Raises UsageError if a run of this id is alive, OSError.
        """
        with self._locked():
            self._remove_temporary_files()
            records, alive = self._records(), self._alive()
            for each in records:
                if each != run_id and is_disposable(each, records, alive):
                    self._remove(each)
            fd = locks.acquire(self._directory / f"{run_id}.lock", mode=0o644)
            if fd is None:
                raise UsageError(f"Another {run_id} is running already.")
            serial = 1 + max((each.serial for each in records.values()), default=0)
            is_alone = all(records[each].kind is RunKind.WATCH for each in alive if each in records)
            begun = replace(record, serial=serial, began_alone=is_alone)
            self._write_record(run_id, begun)
            return begun, fd

    def retire(self, run_id: str, lock: int) -> None:
        """End a run. Its record stays, unless it has nothing to say. Raises OSError."""
        try:
            with self._locked():
                record = self._read(run_id)
                if record and not has_news(record):
                    (self._directory / f"{run_id}.json").unlink(missing_ok=True)
                (self._directory / f"{run_id}.lock").unlink(missing_ok=True)
        finally:
            os.close(lock)

    def write(self, run_id: str, record: RunRecord) -> None:
        """Write a run's record, then the status, not sooner than half a second after the last time. Raises OSError."""
        while True:
            with self._locked():
                self._write_record(run_id, record)
                wait = self._seconds_to_wait()
                if wait <= 0:
                    self._write_status()
                    return
            time.sleep(wait)

    def refresh(self) -> dict[str, Any]:
        """Compose the status anew and write it if it has changed; return it. Raises OSError."""
        with self._locked():
            return self._write_status() if self._seconds_to_wait() <= 0 else self._composed()

    def remove(self, run_id: str) -> None:
        """Remove the record of a run that has ended, if there is one. Raises OSError."""
        with self._locked():
            if run_id not in self._alive():
                self._remove(run_id)

    def live_runs(self) -> frozenset[str]:
        """Return the ids of the runs whose process lives."""
        with self._locked_if_allowed():
            return self._alive()

    def views(self) -> dict[str, RunRecord]:
        """Return every run's record as it is to be read now, by its id."""
        with self._locked_if_allowed():
            records = self._records()
            return run_views(records, self._facts(records))

    def current(self) -> dict[str, Any]:
        """Return the status as it is now, whatever the file says; the file's where there are no records."""
        if not self._directory.is_dir():
            return read(self._path)
        with self._locked_if_allowed():
            return self._composed()

    def _composed(self) -> dict[str, Any]:
        records = self._records()
        return compose(records, self._facts(records))

    def _write_status(self) -> dict[str, Any]:
        """Write the status if anything but its time has changed; a change that no run made is as new as its finding."""
        status, before = self._composed(), read(self._path)
        if status | {"updated_at": ""} == before | {"updated_at": ""} and self._path.exists():
            if status["updated_at"] <= before["updated_at"]:
                return before
        elif status["updated_at"] <= before["updated_at"]:
            status["updated_at"] = rfc3339(datetime.now(UTC), timespec="microseconds")
        durable.write_unflushed(self._path, json.dumps(status, indent=1) + "\n", temporary_dir=self._directory)
        return status

    def _facts(self, records: Mapping[str, RunRecord]) -> Facts:
        return replace(self._look_up(records), alive=self._alive())

    def _alive(self) -> frozenset[str]:
        return frozenset(file.stem for file in self._directory.glob("[!.]*.lock") if self._is_held(file))

    @staticmethod
    def _is_held(lock: Path) -> bool:
        try:
            return locks.is_held(lock)
        except FileNotFoundError:
            return False

    def _records(self) -> dict[str, RunRecord]:
        ids = sorted(file.stem for file in self._directory.glob("[!.]*.json"))
        return {run_id: record for run_id in ids if (record := self._read(run_id))}

    def _read(self, run_id: str) -> RunRecord | None:
        try:
            return from_json((self._directory / f"{run_id}.json").read_text())
        except (OSError, ValueError):
            return None

    def _write_record(self, run_id: str, record: RunRecord) -> None:
        durable.write_unflushed(self._directory / f"{run_id}.json", to_json(record), temporary_dir=self._directory)

    def _remove(self, run_id: str) -> None:
        for suffix in ("json", "lock"):
            (self._directory / f"{run_id}.{suffix}").unlink(missing_ok=True)

    def _remove_temporary_files(self) -> None:
        """Remove what a crash left half written: whoever writes here holds the lock."""
        for left in self._directory.glob(".*.tmp"):
            with suppress(OSError):  # what cannot be removed does no harm
                left.unlink(missing_ok=True)

    def _seconds_to_wait(self) -> float:
        try:
            age = time.time() - self._path.stat().st_mtime
        except FileNotFoundError:
            return 0.0
        return INTERVAL_SECONDS - age if 0 <= age < INTERVAL_SECONDS else 0.0

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with locks.held(self._directory / ".lock", mode=0o644):
            yield

    @contextmanager
    def _locked_if_allowed(self) -> Iterator[None]:
        """Lock where we may and the directory is there: a run that registers must not meet our test of its lock."""
        with ExitStack() as stack:
            with suppress(PermissionError, FileNotFoundError):
                stack.enter_context(self._locked())
            yield
