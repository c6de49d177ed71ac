"""The status: the one small record that the panel, the journal and scripts read. These are its fields.

They are described in docs/status.schema.json; `compose.py` makes them from the records of all runs.
"""

import contextlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

VERSION = 1
THUMBNAILS_MOST = 24


class State(StrEnum):
    """What a run is doing as a whole."""

    IDLE = "idle"
    RUNNING = "running"
    WAITING = "waiting"  # for the network or the clock
    DONE = "done"
    ERROR = "error"
    INTERRUPTED = "interrupted"


class Step(StrEnum):
    """The step of a run that is high_water behind."""

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

    code: int = 1
    message: str = ""
    hint: str = ""


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


def read(path: Path) -> dict[str, Any]:
    """Return the merged status as last written; an idle one where there is none."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        record = json.loads(path.read_text())
        if isinstance(record, dict):
            return record
    return asdict(Status()) | {"runs": []}
