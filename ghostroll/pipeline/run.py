"""What all steps of one invocation share, and what it reports in the end."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ghostroll.appliance.helper_requests import MountedCard
from ghostroll.base.config import Settings
from ghostroll.base.errors import EX_SOME_FAILED, GhostrollError, worst_exit_code
from ghostroll.base.log import logger, printable
from ghostroll.catalog import Catalog
from ghostroll.status.recorder import StatusRecord

if TYPE_CHECKING:
    from ghostroll.store.s3 import Store

# How long a finished copy waits for a store that is out of reach before it is left to `resume` and `watch`.
GIVE_UP_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Failure:
    """What could not be done with one file. `path` is fit to be shown."""

    path: str
    step: str
    reason: str


@dataclass(frozen=True, slots=True)
class Summary:
    """What `run --json` prints: the outcome of one invocation. Counts are of this invocation."""

    session_id: str | None
    session_dir: str | None
    state: str
    discovered: int
    new: int
    skipped: int
    ingested: int
    derived: int
    uploaded: int
    failed: tuple[Failure, ...]
    bytes: int
    url: str | None
    expires_at: str | None
    seconds: float


@dataclass
class Run:
    """One invocation: what its steps need, and what they met. Threads may share it."""

    settings: Settings
    catalog: Catalog
    record: StatusRecord
    open_store: "Callable[[], Store]"
    stop: threading.Event
    revive_store: Callable[[], None] = lambda: None
    give_up_seconds: float = GIVE_UP_SECONDS
    started: float = field(default_factory=time.monotonic)
    failures: list[Failure] = field(default_factory=list)
    problems: list[GhostrollError] = field(default_factory=list)
    heartbeat: Callable[[], None] = lambda: None  # called on progress that no count shows
    slot: MountedCard | None = None  # where the card is in the appliance's reader
    link: str | None = None  # once signed and seen to work, the one link of this run
    verdict: str = ""  # once the card was read: how many of all its files are saved and verified, as a sentence

    def report_failure(self, session_id: str, path: str, step: str, reason: str) -> None:
        """Count, log and record what could not be done with one file."""
        self.failures.append(Failure(printable(path), step, reason))
        self.record.add(failed=1)
        logger.warning("%s: %s; %s.", printable(path), reason, "no picture of it" if step == "derive" else "not saved")
        self.catalog.record_failure(session_id, path, step, reason)

    def report_problem(self, error: GhostrollError) -> None:
        """Take note of what kept the run from its end but did not end it at once."""
        self.problems.append(error)
        logger.error("%s", f"{error} {error.hint}".strip())

    @property
    def exit_code(self) -> int:
        """The exit code of all that happened so far."""
        codes = {problem.exit_code for problem in self.problems}
        return worst_exit_code(codes | {EX_SOME_FAILED} if self.failures else codes)
