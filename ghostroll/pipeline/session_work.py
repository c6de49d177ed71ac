"""Working on a session: alone, with what a crash left cleared away, and taken back if nothing came of it."""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ghostroll.base import durable, locks, log
from ghostroll.base.errors import SessionBusy, disk_error
from ghostroll.base.log import logger
from ghostroll.base.session_paths import Session, files_below
from ghostroll.catalog import Catalog
from ghostroll.catalog.models import SessionState
from ghostroll.pipeline.run import Run

# Another's look at the lock is over in no time; another's work is not.
_LOCK_SECONDS = 1.0
# A session's directory follows its row at once; where it does not come within this time, a crash came between.
_BEGIN_SECONDS = 3.0


@contextmanager
def working_on(run: Run, session: Session) -> Iterator[None]:
    """Work on a session alone, with its log open and its left-overs cleared; raises SessionBusy if another does."""
    try:
        durable.make_directory(session.directory)
        fd = locks.acquire(session.directory, wait_seconds=_LOCK_SECONDS)
    except OSError as error:
        raise disk_error(error) from error
    if fd is None:
        raise SessionBusy(f"Another run is working on {session.session_id}.")
    try:
        _make_ready(run, session)
        with log.log_to_file(session.log):
            yield
    finally:
        _clear_left_overs(session)
        os.close(fd)


def _make_ready(run: Run, session: Session) -> None:
    _clear_left_overs(session)
    try:
        session.temporary.mkdir()
    except OSError as error:
        raise disk_error(error) from error
    run.record.change(session_id=session.session_id, session_dir=str(session.directory), receipt=session.receipt)


def _clear_left_overs(session: Session) -> None:
    shutil.rmtree(session.temporary, ignore_errors=True)
    with contextlib.suppress(OSError):
        for left in session.directory.glob(".*.tmp"):
            left.unlink(missing_ok=True)


def is_empty(catalog: Catalog, session: Session) -> bool:
    """Tell whether a session holds nothing: all that seemed new turned out to be known, or could not be saved."""
    return not catalog.originals(session.session_id) and not any(files_below(session.originals))


def discard(run: Run, session: Session) -> None:
    """Take back a session that holds nothing: its row, and of its directory only what is empty or its own log."""
    run.catalog.delete_session(session.session_id)
    run.record.change(session_id=None, session_dir=None, receipt=None)
    _clear_left_overs(session)
    with contextlib.suppress(OSError):  # what cannot be removed is nobody's, and empty
        session.log.unlink(missing_ok=True)
    for directory, _, _ in os.walk(session.directory, topdown=False):
        with contextlib.suppress(OSError):
            Path(directory).rmdir()


def can_be_finished(catalog: Catalog, session: Session) -> bool:
    """Tell whether a session has what it takes; one whose directory was deleted is given up, once, and said so."""
    if not session.directory.is_dir():
        if not catalog.originals(session.session_id):
            if not _is_being_begun(session):
                catalog.delete_session(session.session_id)
            return False
        logger.warning("%s was deleted from the disk; it is not shared any more.", session.session_id)
        catalog.set_state(session.session_id, SessionState.ABANDONED)
        return False
    return not is_empty(catalog, session)


def _is_being_begun(session: Session) -> bool:
    """Tell whether another run was just about to make a session's directory."""
    deadline = time.monotonic() + _BEGIN_SECONDS
    while time.monotonic() < deadline:
        if session.directory.is_dir():
            return True
        time.sleep(0.05)
    return False


def render_lost_again(run: Run, session: Session) -> None:
    """Have derivatives made anew that are no longer on disk as they were recorded."""
    lost = []
    for shot in run.catalog.shots(session.session_id):
        places = {shot.share: session.share_image(shot.share.name), shot.thumb: session.thumbnail(shot.thumb.name)}
        keys = (session.share_key(shot.share.name), session.thumbnail_key(shot.thumb.name))
        moved = keys != (shot.share.s3_key, shot.thumb.s3_key)  # another prefix was configured since
        if moved or any(_size(path) != derivative.size_bytes for derivative, path in places.items()):
            lost.append(shot.original.path)
    run.catalog.render_again(session.session_id, lost)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
