"""What stands at the beginning of a run: which session it works on, alone, and whether there is room."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ghostroll import durable, log
from ghostroll.card import Scan, Volume
from ghostroll.config import Settings
from ghostroll.errors import ConfigurationError, DiskFull, UsageError, disk_error
from ghostroll.ingest import changed_files
from ghostroll.log import logger
from ghostroll.plan import Plan, read_again
from ghostroll.rows import SessionRow, SessionState
from ghostroll.run import Run
from ghostroll.session import Session, checked_session_id, new_session_id

# Room that is left alone, so that the catalog, the system and its logs go on: this, or a twentieth of a small disk.
_RESERVE_BYTES = 256 << 20


@dataclass(frozen=True)
class Begun:
    """The session a card's new files may go into: one that was asked for, or one that was cut short."""

    volume: Volume
    named: Session | None
    earlier: Session | None
    row: SessionRow | None
    names: tuple[str, ...]

    def continued(self, plan: Plan) -> Session | None:
        """Return the session to go on with, if any."""
        if self.named:
            return self.named
        if self.row is None or self.earlier is None or is_busy(self.earlier):
            return None
        if not plan.to_read:
            return self.earlier if self.row.state is not SessionState.SHARED else None
        if self.row.card_read:
            return None
        # A mere place may hold another card by now: some of what was saved must be on it.
        same_card = self.volume.is_identified or not self.names or bool(plan.known)
        return self.earlier if same_card else None


def session_of(settings: Settings, session_id: str) -> Session:
    """Return a session by its id."""
    return Session(session_id, settings.base_dir, settings.s3_prefix_root)


def is_busy(session: Session) -> bool:
    """Tell whether another run is working on a session just now."""
    try:
        fd = os.open(session.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def choose_session(run: Run, volume: Volume, session_id: str | None) -> Begun:
    """Return what the run may go on with; raises UsageError for an id that cannot be one."""
    named = session_of(run.settings, checked_session_id(session_id)) if session_id is not None else None
    row = run.catalog.latest_session_of(volume.card_id)
    earlier = session_of(run.settings, row.session_id) if row else None
    session = named or (earlier if row and not row.card_read else None)
    names = tuple(each.name for each in run.catalog.originals(session.session_id) if each.name) if session else ()
    if named:
        run.catalog.create_session(named.session_id, card_id=volume.card_id, card_label=volume.label)
    return Begun(volume, named, earlier, row, names)


def look_closer(run: Run, volume: Volume, found: Scan, plan: Plan) -> Plan:
    """Compare the sample of every known file, since nothing else is to be read; return the plan that follows."""
    changed = set(changed_files(volume, plan.known, run.stop))
    if not changed:
        return plan
    known = tuple(each for each in plan.known if each.file not in changed)
    return Plan(to_read=tuple(read_again(sorted(changed, key=lambda file: file.path), found)), known=known)


def new_session(run: Run, volume: Volume, plan: Plan) -> Session | None:
    """Create a session if there is anything for it."""
    if not plan.to_read and not run.settings.always_create_session:
        return None
    while True:
        session_id = new_session_id(datetime.now().astimezone(), run.catalog.latest_session_id())
        if run.catalog.create_session(session_id, card_id=volume.card_id, card_label=volume.label):
            return session_of(run.settings, session_id)


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
    reserve = min(_RESERVE_BYTES, disk.total // 20)
    # The embedded store keeps what is shared a second time, on the same disk.
    needed = plan.bytes_to_read + plan.bytes_to_derive * (2 if run.settings.uses_embedded_store else 1)
    if plan.to_read and needed + reserve > disk.free:
        raise DiskFull(
            f"No room for this card: {_megabytes(needed + reserve)} are needed at {base},"
            f" {_megabytes(disk.free)} are free."
        )


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.0f} MB"


@contextmanager
def working_on(run: Run, session: Session) -> Iterator[None]:
    """Work on a session alone, with its log open and its left-overs cleared; raises UsageError if another does."""
    try:
        durable.make_directory(session.directory)
        fd = os.open(session.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise disk_error(error) from error
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"Another run is working on {session.session_id}.") from None
        _clear_left_overs(session)
        try:
            session.temporary.mkdir()
        except OSError as error:
            raise disk_error(error) from error
        run.record.change(session_id=session.session_id, session_dir=str(session.directory), receipt=session.receipt)
        with log.also_to(session.log):
            yield
    finally:
        _clear_left_overs(session)
        os.close(fd)


def _clear_left_overs(session: Session) -> None:
    shutil.rmtree(session.temporary, ignore_errors=True)
    for left in session.directory.glob(".*.tmp"):
        left.unlink(missing_ok=True)


def is_empty(run: Run, session: Session) -> bool:
    """Tell whether a session holds nothing: all that seemed new turned out to be known, or could not be saved."""
    return not run.catalog.originals(session.session_id)


def discard(run: Run, session: Session) -> None:
    """Take back a session that holds nothing."""
    run.catalog.delete_session(session.session_id)
    run.record.change(session_id=None, session_dir=None, receipt=None)
    shutil.rmtree(session.directory, ignore_errors=True)


def has_what_it_needs(run: Run, session: Session) -> bool:
    """Tell whether a session can be finished; one whose directory was deleted is given up, once, and said so."""
    if not run.catalog.originals(session.session_id):
        logger.info("%s has no files yet; it goes on when its card comes back.", session.session_id)
        return False
    if session.directory.is_dir():
        return True
    logger.warning("%s was deleted from the disk; it is not shared any more.", session.session_id)
    run.catalog.set_state(session.session_id, SessionState.ABANDONED)
    return False


def unrendered_again(run: Run, session: Session) -> None:
    """Have derivatives made anew that are no longer on disk as they were recorded."""
    for shot in run.catalog.shots(session.session_id):
        places = {shot.share: session.share_image(shot.share.name), shot.thumb: session.thumbnail(shot.thumb.name)}
        keys = (session.share_key(shot.share.name), session.thumbnail_key(shot.thumb.name))
        moved = keys != (shot.share.s3_key, shot.thumb.s3_key)  # another prefix was configured since
        if moved or any(_size(path) != derivative.size_bytes for derivative, path in places.items()):
            run.catalog.render_again(session.session_id, shot.original.path)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None
