"""What stands at the beginning of a run: which session it works on, alone, and whether there is room."""

import contextlib
import os
import shutil
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from ghostroll.base import durable, locks
from ghostroll.base.config import Settings
from ghostroll.base.disk_space import reserve_bytes
from ghostroll.base.errors import ConfigurationError, DiskFull, disk_error
from ghostroll.base.locks import is_busy
from ghostroll.base.session_paths import Session, files_below, new_session_id, session_of, validate_session_id
from ghostroll.card.scan import Scan
from ghostroll.card.volume import Volume
from ghostroll.catalog.models import SessionRow, SessionState
from ghostroll.ingest.plan import Plan, changed_files, plan_reread
from ghostroll.pipeline.run import Run

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class SessionChoice:
    """The session a card's new files may go into: one that was asked for, or one that was cut short."""

    volume: Volume
    named: Session | None
    earlier: Session | None
    row: SessionRow | None
    names: tuple[str, ...]  # of its derivatives
    saved: frozenset[str]  # SHA-256 of its originals
    left_overs: frozenset[tuple[str, int]]  # path and size of whole copies that a crash left without a row

    def continued(self, plan: Plan) -> Session | None:
        """Return the session to go on with, if any."""
        if self.named:
            return self.named if self.row is not None else None
        if self.row is None or self.earlier is None or not self._can_go_on(self.earlier, self.row):
            return None
        if not plan.to_read:
            return self.earlier if self.row.state is not SessionState.SHARED else None
        return self.earlier if not self.row.card_read and self._is_same_card(plan) else None

    def is_read_now(self, plan: Plan) -> bool:
        """Tell whether a card that was cut short turns out to hold nothing more: what comes later is another story."""
        return bool(self.row and not self.row.card_read and not plan.to_read and self._is_same_card(plan))

    @staticmethod
    def _can_go_on(session: Session, row: SessionRow) -> bool:
        return row.state is not SessionState.ABANDONED and session.directory.is_dir() and not is_busy(session)

    def _is_same_card(self, plan: Plan) -> bool:
        """A mere place may hold another card by now: something that this session saved must be on it."""
        if self.volume.is_identified:
            return True
        if self.saved:
            return any(known.sha256 in self.saved for known in plan.known)
        return self.left_overs <= {(planned.file.path, planned.file.size_bytes) for planned in plan.to_read}


def choose_session(run: Run, volume: Volume, session_id: str | None) -> SessionChoice:
    """Return what the run may go on with; raises UsageError for an id that cannot be one."""
    named = session_of(run.settings, validate_session_id(session_id)) if session_id is not None else None
    row = run.catalog.session(named.session_id) if named else run.catalog.latest_session_of(volume.card_id)
    earlier = session_of(run.settings, row.session_id) if row else None
    if earlier and earlier.temporary.exists():
        _clear_away(earlier)
    session = named or (earlier if row and not row.card_read else None)
    originals = run.catalog.originals(session.session_id) if session else []
    return SessionChoice(
        volume=volume,
        named=named,
        earlier=earlier,
        row=row,
        names=tuple(original.name for original in originals if original.name),
        saved=frozenset(original.sha256 for original in originals),
        left_overs=frozenset(files_below(session.originals)) if session else frozenset(),
    )


def _clear_away(session: Session) -> None:
    """Remove what a crash left right after the link was made: nothing else comes back to a session that is shared."""
    with contextlib.suppress(OSError):  # it cannot be removed: then it stays
        fd = locks.acquire(session.directory)
        if fd is None:  # another run works on it
            return
        try:
            shutil.rmtree(session.temporary)
        finally:
            os.close(fd)


def recheck_known_files(run: Run, choice: SessionChoice, found: Scan, plan: Plan) -> Plan:
    """Compare the sample of every known file, since nothing else is to be read; return the plan that follows."""
    changed = set(changed_files(choice.volume, plan.known, run.stop, run.heartbeat))
    if not changed:
        return plan
    known = tuple(each for each in plan.known if each.file not in changed)
    return Plan(
        to_read=tuple(plan_reread(sorted(changed, key=lambda file: file.path), found, choice.names)), known=known
    )


def new_session(run: Run, choice: SessionChoice, plan: Plan) -> Session | None:
    """Create a session if there is anything for it."""
    if not plan.to_read and not run.settings.always_create_session:
        if choice.row and choice.is_read_now(plan):
            run.catalog.set_card_read(choice.row.session_id, read=True)
        return None
    volume = choice.volume
    if choice.named:
        run.catalog.create_session(choice.named.session_id, card_id=volume.card_id, card_label=volume.label)
        return choice.named
    while True:
        session_id = new_session_id(datetime.now().astimezone(), _latest_session_id(run))
        if run.catalog.create_session(session_id, card_id=volume.card_id, card_label=volume.label):
            return session_of(run.settings, session_id)


def _latest_session_id(run: Run) -> str | None:
    """Return the last id made from the time, of a session on the disk too: a new catalog doesn't know them."""
    on_disk = (directory.name for directory in run.settings.base_dir.glob("shoot-????-??-??_??????_??????"))
    return max((*on_disk, run.catalog.latest_session_id() or "")) or None


def check_places(settings: Settings, volume: Volume) -> None:
    """Raise ConfigurationError if anything of ours would be written to the card."""
    for name in ("base_dir", "db_path", "status_path", "status_image_path"):
        path: Path = getattr(settings, name)
        if path.resolve().is_relative_to(volume.root):
            raise ConfigurationError(f"{name} = {path} lies on the card itself, which is never written to.")


def check_room(run: Run, plan: Plan) -> None:
    """Raise DiskFull unless all that is new fits on the disk, with a reserve."""
    base = run.settings.base_dir
    try:
        durable.make_directory(base)
    except OSError as error:
        raise disk_error(error) from error
    disk = shutil.disk_usage(base)
    reserve = reserve_bytes(disk.total)
    # The embedded store keeps what is shared a second time, on the same disk.
    needed = plan.bytes_to_read + plan.bytes_to_derive * (2 if run.settings.uses_embedded_store else 1)
    if plan.to_read and needed + reserve > disk.free:
        raise DiskFull(
            f"No room for this card: {_megabytes(needed + reserve)} are needed at {base},"
            f" {_megabytes(disk.free)} are free."
        )


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.0f} MB"
