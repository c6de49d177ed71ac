"""Making a lost catalog anew from the sessions on the disk.

One session is one transaction (`takein.py`), so that what was cut off anywhere is completed by running it again.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ghostroll.base import locks
from ghostroll.base.config import Settings
from ghostroll.base.errors import GhostrollError, Interrupted, UsageError, on_disk
from ghostroll.base.log import logger
from ghostroll.base.session_paths import Session, files_below
from ghostroll.base.text import counted
from ghostroll.catalog import Catalog
from ghostroll.recovery import quarantine
from ghostroll.recovery.disk_reader import Reader
from ghostroll.recovery.import_session import TakenIn, take_in
from ghostroll.recovery.unknown_sessions import unknown_sessions
from ghostroll.status.model import State, Step
from ghostroll.status.recorder import StatusRecord
from ghostroll.status.run_record import RunKind
from ghostroll.status.run_records import RunRecords


@dataclass
class Rebuilt:
    """What became of the catalog."""

    moved_aside: Path | None = None
    sessions: list[TakenIn] = field(default_factory=list)

    @property
    def damaged(self) -> int:
        """How many files are not what was recorded."""
        return sum(len(session.damaged) for session in self.sessions)


def refuse_beside_runs(status_path: Path) -> None:
    """Raise UsageError while a run or `watch` is alive: it would go on with the catalog as it was."""
    if RunRecords(status_path).live_runs() - {RunKind.REBUILD}:
        raise UsageError(
            "GhostRoll is at work: the catalog cannot be made anew now.",
            hint="End `ghostroll watch` (systemctl stop ghostroll) and every run, then try again.",
        )


@contextmanager
def announced(settings: Settings, message: str) -> Iterator[None]:
    """Show on the status that the catalog is made anew; raises UsageError if that is going on already."""
    with on_disk():
        record = StatusRecord(settings.status_path, RunKind.REBUILD, settings.base_dir)
    record.change(state=State.RUNNING, message=message)
    try:
        yield
    except GhostrollError as error:
        interrupted = isinstance(error, Interrupted)
        record.change(state=State.INTERRUPTED if interrupted else State.ERROR, message=str(error))
        raise
    else:
        record.change(state=State.DONE, step=Step.DONE, message="The catalog was made anew.", progress=1.0)
    finally:
        record.close()


def put_damaged_aside(settings: Settings) -> Path | None:
    """Move the catalog aside if it is damaged, and return where it lies now; raises GhostrollError."""
    with on_disk():
        if not quarantine.is_damaged(settings.db_path):
            return None
        moved = quarantine.move_aside(settings.db_path)
    logger.warning("The catalog is damaged. It is kept at %s.", moved)
    return moved


def take_in_sessions(settings: Settings, catalog: Catalog, reader: Reader) -> Iterator[TakenIn]:
    """Take in what the catalog does not know, oldest first; raises GhostrollError."""
    sessions = unknown_sessions(settings, catalog)
    reader.total_bytes = sum(size for each in sessions for _, size in files_below(each.originals))
    for session in sessions:
        logger.info("Reading %s.", session.session_id)
        with _alone_with(session), on_disk():
            found = take_in(catalog, session, reader)
        if found is not None:
            yield found


@contextmanager
def _alone_with(session: Session) -> Iterator[None]:
    fd = locks.acquire(session.directory)
    if fd is None:
        raise UsageError(f"A run is working on {session.session_id}.", hint="Wait until it has ended.")
    try:
        yield
    finally:
        os.close(fd)


def in_words(rebuilt: Rebuilt) -> Iterator[str]:
    """Yield what an owner reads of it."""
    sessions, files = len(rebuilt.sessions), sum(each.files for each in rebuilt.sessions)
    if not sessions:
        yield "Every session on the disk is in the catalog: there was nothing to take in."
        return
    whole = "" if rebuilt.damaged else ", all as they were recorded"
    yield f"Taken in: {counted(sessions, 'session')} with {counted(files, 'file')}, read again from the disk{whole}."
    for each in rebuilt.sessions:
        yield from (f"Damaged: {path} of {each.session_id}" for path in each.damaged)
    if rebuilt.damaged:
        yield (
            f"{counted(rebuilt.damaged, 'damaged file')} not counted as saved."
            " Plug the card in again before it is formatted: what is damaged will be saved anew."
        )
    if gone := sum(each.gone for each in rebuilt.sessions):
        yield f"{counted(gone, 'file')} came in before and {'is' if gone == 1 else 'are'} no longer on this disk."
    if unverified := sum(each.unverified for each in rebuilt.sessions):
        yield f"{counted(unverified, 'file')} taken in that nobody compared with a card: saved, but not verified."
    if not all(each.had_sidecar for each in rebuilt.sessions):
        yield "Sessions without a record of their own are shared again by `ghostroll resume`, under the same names."
