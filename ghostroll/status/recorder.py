"""The recorder of one run: its steps change the record, which is written in the background."""

import secrets
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from ghostroll.base.log import logger
from ghostroll.base.text import rfc3339
from ghostroll.status.compose import INTERRUPTED_MESSAGE
from ghostroll.status.model import Bytes, CardStatus, Counts, Listener, State
from ghostroll.status.run_record import RunKind, RunRecord
from ghostroll.status.run_records import INTERVAL_SECONDS, LookUp, RunRecords, no_facts

# What changes within this time is written at once; a run that has nothing to do writes just its last record.
_GATHER_SECONDS = 0.1
# There is one of each at most, and no other of its kind is told from it.
_SINGLE = (RunKind.WATCH, RunKind.CONFIGURATION, RunKind.REBUILD)


class StatusRecord:
    """The record of one run, kept up to date in the background until it is closed. Threads may share it."""

    def __init__(
        self,
        path: Path,
        kind: RunKind,
        disk: Path,
        listeners: tuple[Listener, ...] = (),
        *,
        look_up: LookUp = no_facts,
        in_watch: bool = False,
    ) -> None:
        """Begin a record that goes into the status file `path`; `disk` is where free space is measured.

        Raises UsageError where there may be one run of this kind and it is alive, OSError.
        """
        self.run_id: str = kind if kind in _SINGLE else f"{kind}-{secrets.token_hex(4)}"
        self._records = RunRecords(path, look_up)
        self._records.create()
        self._disk = disk
        self._listeners = listeners
        self._lock = threading.Lock()
        self._changed_at = datetime.now(UTC)
        self._changed = threading.Event()
        self._closed = threading.Event()
        self._has_failed = False
        self._is_closing = False
        record = RunRecord(kind=kind, in_watch=in_watch, updated_at=rfc3339(self._changed_at, timespec="microseconds"))
        self._record, self._alive = self._records.register(self.run_id, record)
        self._writer = threading.Thread(target=self._write_changes, name="status", daemon=True)
        self._writer.start()

    @property
    def status(self) -> RunRecord:
        """The record as it stands."""
        with self._lock:
            return self._record

    def change(self, **fields: Any) -> None:
        """Set fields of the record."""
        self._update(lambda record: replace(record, **fields))

    def change_card(self, **fields: Any) -> None:
        """Set fields of the record's card."""
        self._update(lambda record: replace(record, card=replace(record.card, **fields)))

    def add(self, *, saved: int = 0, **counts: int) -> None:
        """Add to counts; `saved` is the card's."""
        self._update(
            lambda record: replace(
                record,
                counts=_sum(record.counts, counts),
                card=_sum(record.card, {"saved": saved}),
            )
        )

    def add_bytes(self, done: int = 0, *, total: int = 0) -> None:
        """Count bytes that were read from the card, or turned out to be there to read."""
        self._update(lambda record: replace(record, bytes=_sum(record.bytes, {"done": done, "total": total})))

    def _update(self, change: Callable[[RunRecord], RunRecord]) -> None:
        with self._lock:
            before, self._record = self._record, change(self._record)
            if self._record == before:
                return
            self._changed_at = datetime.now(UTC)
        self._changed.set()

    def refresh(self) -> dict[str, Any] | None:
        """Have the status show what has changed in the world; return it, None where the disk fails."""
        with self._unless_disk_fails():
            return self._records.refresh()
        return None

    def close(self) -> None:
        """Write the last record and end. A run that is still at work then was interrupted."""
        with self._lock:
            if self._is_closing:
                return
            self._is_closing = True
        if self.status.state is State.RUNNING:
            self.change(state=State.INTERRUPTED, message=INTERRUPTED_MESSAGE)
        self._closed.set()
        self._changed.set()
        self._writer.join()
        with self._lock:
            self._record = replace(self._record, has_ended=True)
        self._write()
        with self._unless_disk_fails():
            self._records.retire(self.run_id, self._alive)

    def _write_changes(self) -> None:
        while not self._closed.is_set():
            self._changed.wait()
            if not self._closed.wait(_GATHER_SECONDS):
                self._changed.clear()
                self._write()
                self._closed.wait(INTERVAL_SECONDS)

    def _write(self) -> None:
        with self._lock:
            self._record = replace(
                self._record,
                disk_free_bytes=self._free_bytes(),
                updated_at=rfc3339(self._changed_at, timespec="microseconds"),
            )
            record = self._record
        for listener in self._listeners:
            listener(record)
        with self._unless_disk_fails():
            self._records.write(self.run_id, record)

    def _free_bytes(self) -> int:
        try:
            return shutil.disk_usage(self._disk).free
        except OSError:  # not there yet, or gone
            return 0

    @contextmanager
    def _unless_disk_fails(self) -> Iterator[None]:
        """Go on where the disk does not take the status: the run may be saving photos elsewhere. It is logged once."""
        try:
            yield
        except OSError as error:
            if not self._has_failed:
                self._has_failed = True
                logger.warning("The status could not be written: %s", error)


_Countable = TypeVar("_Countable", CardStatus, Counts, Bytes)


def _sum(record: _Countable, more: dict[str, int]) -> _Countable:
    return replace(record, **{name: getattr(record, name) + number for name, number in more.items()})
