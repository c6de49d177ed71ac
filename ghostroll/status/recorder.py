"""The record of one run: kept by its steps, written in the background."""

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
from ghostroll.status.model import Bytes, CardStatus, Counts, Listener, State, Status
from ghostroll.status.run_records import INTERRUPTED_MESSAGE, INTERVAL_SECONDS, Board

# What changes within this time is written at once; a run that has nothing to do writes just its last word.
_GATHER_SECONDS = 0.1


class StatusRecord:
    """The record of one run, kept up to date in the background until it is closed. Threads may share it."""

    def __init__(self, path: Path, run_id: str, disk: Path, listeners: tuple[Listener, ...] = ()) -> None:
        """Begin a record that goes into the status file `path`; `disk` is where free space is measured."""
        self._board = Board(path)
        self._board.prepare()
        self._run_id = run_id
        self._disk = disk
        self._listeners = listeners
        self._lock = threading.Lock()
        self._status = Status()
        self._changed_at = datetime.now(UTC)
        self._dirty = threading.Event()
        self._closed = threading.Event()
        self._has_failed = False
        self._is_closing = False
        self._alive = self._board.register(run_id)
        self._ticker = threading.Thread(target=self._tick, name="status", daemon=True)
        self._ticker.start()

    @property
    def status(self) -> Status:
        """The record as it stands."""
        with self._lock:
            return self._status

    def change(self, **fields: Any) -> None:
        """Set fields of the record."""
        self._update(lambda status: replace(status, **fields))

    def change_card(self, **fields: Any) -> None:
        """Set fields of the record's card."""
        self._update(lambda status: replace(status, card=replace(status.card, **fields)))

    def add(self, *, saved: int = 0, **counts: int) -> None:
        """Add to counts; `saved` is the card's."""
        self._update(
            lambda status: replace(
                status,
                counts=_sum(status.counts, counts),
                card=_sum(status.card, {"saved": saved}),
            )
        )

    def add_bytes(self, done: int = 0, *, total: int = 0) -> None:
        """Count bytes that were read from the card, or turned out to be there to read."""
        self._update(lambda status: replace(status, bytes=_sum(status.bytes, {"done": done, "total": total})))

    def _update(self, change: Callable[[Status], Status]) -> None:
        with self._lock:
            before, self._status = self._status, change(self._status)
            if self._status == before:
                return
            self._changed_at = datetime.now(UTC)
        self._dirty.set()

    def close(self) -> None:
        """Write the last word and end. Who ends at work, without one, was interrupted."""
        with self._lock:
            if self._is_closing:
                return
            self._is_closing = True
        if self.status.state is State.RUNNING:
            self.change(state=State.INTERRUPTED, message=INTERRUPTED_MESSAGE)
        self._closed.set()
        self._dirty.set()
        self._ticker.join()
        self._write()
        with self._unless_the_disk_fails():
            self._board.retire(self._run_id, self._alive)

    def clear_finished(self, *states: State, keep_inserted: bool = False) -> None:
        """Take the records of runs that have ended in one of these states off the board."""
        with self._unless_the_disk_fails():
            self._board.clear_finished(states, keep_inserted=keep_inserted)
        self._dirty.set()

    def amend(self, run_id: str, change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> None:
        """Change the record of another run, one that has ended, or take it off the board."""
        with self._unless_the_disk_fails():
            self._board.amend(run_id, change)
        self._dirty.set()

    def _tick(self) -> None:
        while not self._closed.is_set():
            self._dirty.wait()
            if not self._closed.wait(_GATHER_SECONDS):
                self._dirty.clear()
                self._write()
                self._closed.wait(INTERVAL_SECONDS)

    def _write(self) -> None:
        with self._lock:
            self._status = replace(
                self._status,
                disk_free_bytes=self._free_bytes(),
                updated_at=rfc3339(self._changed_at, timespec="microseconds"),
            )
            status = self._status
        for listener in self._listeners:
            listener(status)
        with self._unless_the_disk_fails():
            self._board.post(self._run_id, status)

    def _free_bytes(self) -> int:
        try:
            return shutil.disk_usage(self._disk).free
        except OSError:  # not there yet, or gone
            return 0

    @contextmanager
    def _unless_the_disk_fails(self) -> Iterator[None]:
        """Let a disk that does not take the status end no run: it may be saving photos elsewhere. It is said once."""
        try:
            yield
        except OSError as error:
            if not self._has_failed:
                self._has_failed = True
                logger.warning("The status could not be written: %s", error)


_Countable = TypeVar("_Countable", CardStatus, Counts, Bytes)


def _sum(record: _Countable, more: dict[str, int]) -> _Countable:
    return replace(record, **{name: getattr(record, name) + number for name, number in more.items()})
