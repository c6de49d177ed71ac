"""The status: the one small record that the panel, the journal and scripts read.

Each run writes its own record under `status.d/`; `status.json` is their merge, rewritten under a lock by
whoever changed something. A record whose writer is gone without a last word counts as interrupted.
The fields are described in docs/status.schema.json.
"""

import contextlib
import fcntl
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from ghostroll import durable
from ghostroll.errors import UsageError
from ghostroll.log import logger

VERSION = 1
# status.json is rewritten at most twice a second.
_INTERVAL_SECONDS = 0.5
# What changes within this time is written at once; a run that has nothing to do writes just its last word.
_GATHER_SECONDS = 0.1
THUMBNAILS_MOST = 24
_INTERRUPTED_MESSAGE = "Interrupted. What was saved is safe; the rest goes on at the next start."


class State(StrEnum):
    """What a run is doing as a whole."""

    IDLE = "idle"
    RUNNING = "running"
    WAITING = "waiting"  # for the network or the clock
    DONE = "done"
    ERROR = "error"
    INTERRUPTED = "interrupted"


class Step(StrEnum):
    """The step of a run that is furthest behind."""

    WATCH = "watch"
    SCAN = "scan"
    INGEST = "ingest"
    PROCESS = "process"
    GALLERY = "gallery"
    UPLOAD = "upload"
    PUBLISH = "publish"
    DONE = "done"


class CardState(StrEnum):
    """Whether a card is there, and whether it may be pulled."""

    NONE = "none"
    READING = "reading"
    SAFE = "safe"
    REMOVED = "removed"
    EJECTED = "ejected"
    REJECTED = "rejected"


# The most urgent first: what an owner must see, whatever else goes on.
_URGENCY = (State.ERROR, State.RUNNING, State.WAITING, State.INTERRUPTED, State.DONE, State.IDLE)
_FINAL = frozenset((State.DONE, State.ERROR, State.INTERRUPTED))


@dataclass(frozen=True)
class CardStatus:
    """The card of a run. `files` counts its media files, `saved` those of them that are safe on disk."""

    label: str | None = None
    device: str | None = None
    state: CardState = CardState.NONE
    reason: str | None = None
    files: int = 0
    saved: int = 0
    safe_to_format: bool = False


@dataclass(frozen=True)
class Counts:
    """Files of this run, by how far they came; `uploaded` counts objects."""

    discovered: int = 0
    new: int = 0
    skipped: int = 0
    ingested: int = 0
    verified: int = 0
    processed: int = 0
    uploaded: int = 0
    failed: int = 0


@dataclass(frozen=True)
class Bytes:
    """How much of the card was read."""

    done: int = 0
    total: int = 0


@dataclass(frozen=True)
class Problem:
    """What went wrong, in words; `code` is the exit code."""

    code: int
    message: str
    hint: str


@dataclass(frozen=True)
class Status:
    """One record. Times are RFC 3339; `progress` runs from 0 to 1."""

    version: int = VERSION
    state: State = State.IDLE
    step: Step = Step.WATCH
    message: str = ""
    session_id: str | None = None
    session_dir: str | None = None
    receipt: str | None = None
    card: CardStatus = field(default_factory=CardStatus)
    disk_free_bytes: int = 0
    thumbnails: tuple[str, ...] = ()
    counts: Counts = field(default_factory=Counts)
    bytes: Bytes = field(default_factory=Bytes)
    progress: float = 0.0
    eta_seconds: int | None = None
    url: str | None = None
    short_url: str | None = None
    expires_at: str | None = None
    error: Problem | None = None
    updated_at: str = ""


Listener = Callable[[Status], None]


class StatusRecord:
    """The record of one run, kept up to date in the background until it is closed. Threads may share it."""

    def __init__(self, path: Path, run_id: str, disk: Path, listeners: tuple[Listener, ...] = ()) -> None:
        """Begin a record that goes into the status file `path`; `disk` is where free space is measured."""
        self._board = _Board(path)
        self._board.prepare()
        self._run_id = run_id
        self._disk = disk
        self._listeners = listeners
        self._lock = threading.Lock()
        self._status = Status()
        self._changed_at = time.time()
        self._dirty = threading.Event()
        self._closed = threading.Event()
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
            self._changed_at = time.time()
        self._dirty.set()

    def close(self) -> None:
        """Write the last word and end. Who ends at work, without one, was interrupted."""
        if self._closed.is_set():
            return
        if self.status.state is State.RUNNING:
            self.change(state=State.INTERRUPTED, message=_INTERRUPTED_MESSAGE)
        self._closed.set()
        self._dirty.set()
        self._ticker.join()
        self._write()
        self._board.retire(self._run_id, self._alive)

    def clear_finished(self, *states: State) -> None:
        """Take the records of runs that have ended in one of these states off the board."""
        self._board.clear_finished(states)
        self._dirty.set()

    def _tick(self) -> None:
        while not self._closed.is_set():
            self._dirty.wait()
            if not self._closed.wait(_GATHER_SECONDS):
                self._dirty.clear()
                self._write()
                self._closed.wait(_INTERVAL_SECONDS)

    def _write(self) -> None:
        with self._lock:
            free = shutil.disk_usage(self._disk).free if self._disk.exists() else 0
            self._status = replace(self._status, disk_free_bytes=free, updated_at=_rfc3339(self._changed_at))
            status = self._status
        for listener in self._listeners:
            listener(status)
        try:
            self._board.post(self._run_id, status)
        except OSError as error:  # a full disk must not end a run that is saving photos elsewhere
            logger.warning("The status could not be written: %s", error)


_Countable = TypeVar("_Countable", CardStatus, Counts, Bytes)


def _sum(record: _Countable, more: dict[str, int]) -> _Countable:
    return replace(record, **{name: getattr(record, name) + number for name, number in more.items()})


class _Board:
    """The directory `status.d` and the file `status.json` that is merged from it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._directory = path.parent / "status.d"

    def prepare(self) -> None:
        """Create the directory; raises OSError."""
        self._directory.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # flock(2) needs no right to write: a lock that another user made serves as well.
        fd = os.open(self._directory / ".lock", os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def register(self, run_id: str) -> int:
        """Announce a live run; a run that starts while no other is active begins with a clean board."""
        with self._locked():
            active = [name for name in self._records() if self._is_alive(name) and not name.startswith("watch")]
            if not active and not run_id.startswith("watch"):
                self._drop_finished()
            fd = os.open(self._directory / f"{run_id}.lock", os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(fd)
                raise UsageError(f"Another {run_id} is running already.") from None
            return fd

    def retire(self, run_id: str, fd: int) -> None:
        """Release a run's sign of life; its record stays, unless it only ever waited."""
        with self._locked():
            record = self._read(run_id)
            if record and record.get("state") == State.IDLE:
                (self._directory / f"{run_id}.json").unlink(missing_ok=True)
            (self._directory / f"{run_id}.lock").unlink(missing_ok=True)
            os.close(fd)

    def post(self, run_id: str, status: Status) -> None:
        """Write a run's record, then the merge, not sooner than half a second after the last one."""
        record = json.dumps(asdict(status))
        while True:
            with self._locked():
                durable.write_lightly(self._directory / f"{run_id}.json", record)
                wait = self._seconds_to_wait()
                if wait <= 0:
                    durable.write_lightly(self._path, json.dumps(self.merged(), indent=1) + "\n")
                    return
            time.sleep(wait)

    def clear_finished(self, states: tuple[State, ...]) -> None:
        """Remove the records of runs that have ended in one of these states."""
        with self._locked():
            self._drop_finished(states)

    def _seconds_to_wait(self) -> float:
        try:
            age = time.time() - self._path.stat().st_mtime
        except FileNotFoundError:
            return 0.0
        return _INTERVAL_SECONDS - age if 0 <= age < _INTERVAL_SECONDS else 0.0

    def _records(self) -> list[str]:
        return sorted(file.stem for file in self._directory.glob("*.json"))

    def _read(self, run_id: str) -> dict[str, Any] | None:
        try:
            record = json.loads((self._directory / f"{run_id}.json").read_text())
        except (OSError, ValueError):
            return None
        return record if _makes_sense(record) else None

    def _is_alive(self, run_id: str) -> bool:
        try:
            with (self._directory / f"{run_id}.lock").open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def _drop_finished(self, states: tuple[State, ...] = tuple(State)) -> None:
        for run_id in self._records():
            record = self._read(run_id)
            if not self._is_alive(run_id) and (record is None or record["state"] in states):
                (self._directory / f"{run_id}.json").unlink(missing_ok=True)
                (self._directory / f"{run_id}.lock").unlink(missing_ok=True)

    def merged(self) -> dict[str, Any]:
        """Return the record of all runs as it should be read."""
        records = [self._spoken_for(run_id, record) for run_id in self._records() if (record := self._read(run_id))]
        if not records:
            return asdict(Status(updated_at=_rfc3339(time.time()))) | {"runs": []}
        records.sort(key=lambda record: record["updated_at"], reverse=True)
        records.sort(key=lambda record: _URGENCY.index(record["state"]))
        runs = [record for record in records if record["state"] != State.IDLE]
        return records[0] | {"runs": runs if len(runs) > 1 else []}

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
            "message": _INTERRUPTED_MESSAGE,
        }


def _makes_sense(record: Any) -> bool:
    return (
        isinstance(record, dict)
        and record.get("state") in list(State)
        and isinstance(record.get("updated_at"), str)
        and isinstance(record.get("card"), dict)
    )


def current(path: Path) -> dict[str, Any]:
    """Return the status as it is now: a run that died since it last wrote is known to have."""
    return _Board(path).merged() if (path.parent / "status.d").is_dir() else read(path)


def read(path: Path) -> dict[str, Any]:
    """Return the merged status as last written; an idle one where there is none."""
    with contextlib.suppress(OSError, ValueError):
        record = json.loads(path.read_text())
        if isinstance(record, dict):
            return record
    return asdict(Status()) | {"runs": []}


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
