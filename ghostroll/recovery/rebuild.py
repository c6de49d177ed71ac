"""Rebuild a lost catalog from the sessions on the disk.

Each session is imported in one transaction, so an interrupted rebuild is completed by running it again.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ghostroll.base import locks
from ghostroll.base.config import Settings
from ghostroll.base.errors import GhostrollError, Interrupted, UsageError, translate_disk_errors
from ghostroll.base.log import logger
from ghostroll.base.session_paths import Session, files_below
from ghostroll.base.text import counted
from ghostroll.catalog import Catalog
from ghostroll.recovery import quarantine
from ghostroll.recovery.disk_reader import DiskReader
from ghostroll.recovery.import_session import ImportedSession, import_session
from ghostroll.recovery.unknown_sessions import unknown_sessions
from ghostroll.status.model import State, Step
from ghostroll.status.recorder import StatusRecord
from ghostroll.status.run_record import RunKind
from ghostroll.status.run_records import RunRecords


@dataclass
class RebuildResult:
    """The result of a rebuild. `moved_aside` is where a damaged catalog was quarantined."""

    moved_aside: Path | None = None
    sessions: list[ImportedSession] = field(default_factory=list)

    @property
    def damaged(self) -> int:
        """How many files differ from what was recorded."""
        return sum(len(session.damaged) for session in self.sessions)


def require_no_runs(status_path: Path) -> None:
    """Raise UsageError while a run or `watch` is alive: it would go on using the old catalog."""
    if RunRecords(status_path).live_runs() - {RunKind.REBUILD}:
        raise UsageError(
            "GhostRoll is at work: the catalog cannot be rebuilt now.",
            hint="End `ghostroll watch` (systemctl stop ghostroll) and every run, then try again.",
        )


@contextmanager
def rebuild_status(settings: Settings, message: str) -> Iterator[None]:
    """Publish the rebuild and its outcome in the status. Raises UsageError if another rebuild is running."""
    with translate_disk_errors():
        record = StatusRecord(settings.status_path, RunKind.REBUILD, settings.base_dir)
    record.change(state=State.RUNNING, message=message)
    try:
        yield
    except GhostrollError as error:
        interrupted = isinstance(error, Interrupted)
        record.change(state=State.INTERRUPTED if interrupted else State.ERROR, message=str(error))
        raise
    else:
        record.change(state=State.DONE, step=Step.DONE, message="The catalog was rebuilt.", progress=1.0)
    finally:
        record.close()


def quarantine_if_damaged(settings: Settings) -> Path | None:
    """Quarantine the catalog if it is damaged; return its new path, else None. Raises GhostrollError."""
    with translate_disk_errors():
        if not quarantine.is_damaged(settings.db_path):
            return None
        moved = quarantine.quarantine_catalog(settings.db_path)
    logger.warning("The catalog is damaged. It is kept at %s.", moved)
    return moved


def import_unknown_sessions(settings: Settings, catalog: Catalog, reader: DiskReader) -> Iterator[ImportedSession]:
    """Import the sessions that the catalog does not know, oldest first. Raises GhostrollError."""
    sessions = unknown_sessions(settings, catalog)
    reader.total_bytes = sum(size for each in sessions for _, size in files_below(each.originals))
    for session in sessions:
        logger.info("Reading %s.", session.session_id)
        with _session_lock(session), translate_disk_errors():
            found = import_session(catalog, session, reader)
        if found is not None:
            yield found


@contextmanager
def _session_lock(session: Session) -> Iterator[None]:
    fd = locks.acquire(session.directory)
    if fd is None:
        raise UsageError(f"A run is working on {session.session_id}.", hint="Wait until it has ended.")
    try:
        yield
    finally:
        os.close(fd)


def summary_lines(rebuilt: RebuildResult) -> Iterator[str]:
    """Yield the lines that report a rebuild to the owner."""
    sessions, files = len(rebuilt.sessions), sum(each.files for each in rebuilt.sessions)
    if not sessions:
        yield "Every session on the disk is in the catalog: there was nothing to import."
        return
    whole = "" if rebuilt.damaged else ", all as recorded"
    yield f"Imported: {counted(sessions, 'session')} with {counted(files, 'file')}, read again from the disk{whole}."
    for each in rebuilt.sessions:
        yield from (f"Damaged: {path} of {each.session_id}" for path in each.damaged)
    if rebuilt.damaged:
        yield (
            f"{counted(rebuilt.damaged, 'damaged file')} not counted as saved."
            " Plug the card in again before you format it: damaged files will be saved again."
        )
    if gone := sum(each.gone for each in rebuilt.sessions):
        yield f"{counted(gone, 'file')} recorded, but missing on this disk."
    if unverified := sum(each.unverified for each in rebuilt.sessions):
        yield f"{counted(unverified, 'file')} imported without a record: saved, but not verified."
    if not all(each.had_sidecar for each in rebuilt.sessions):
        yield "`ghostroll resume` shares sessions without a backup again, under the same names."
