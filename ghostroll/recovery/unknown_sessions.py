"""Sessions on the disk that the catalog does not know: it was lost, or is another one."""

import os
from datetime import UTC, datetime
from pathlib import Path

from ghostroll.base.config import Settings
from ghostroll.base.errors import DiskFailed, UsageError
from ghostroll.base.log import logger
from ghostroll.base.session_paths import Session, checked_session_id, session_of
from ghostroll.base.text import counted
from ghostroll.catalog import Catalog, session_backup

# A session with a name of its own sorts by its directory's time among those whose id tells it.
_STAMP = "shoot-%Y-%m-%d_%H%M%S_%f"


def unknown_sessions(settings: Settings, catalog: Catalog) -> list[Session]:
    """Return the sessions on the disk that the catalog does not know, oldest first; raises DiskFailed."""
    found = _sessions_on_disk(settings)  # first: a session has its row before its directory
    known = {row.session_id for row in catalog.sessions()}
    unknown = [each for each in found if each.session_id not in known]
    return sorted(filter(_holds_something, unknown), key=_age)


def warn_of_unknown(settings: Settings, catalog: Catalog) -> None:
    """Tell the owner once where the catalog was lost; saving goes on."""
    if not settings.base_dir.is_dir():
        return  # the first run
    number = len(unknown_sessions(settings, catalog))
    if number:
        logger.warning(
            "The catalog %s does not know %s below %s: what they hold would be saved and shared again."
            " `ghostroll catalog rebuild` takes them in.",
            settings.db_path,
            counted(number, "session"),
            settings.base_dir,
        )


def refuse_unknown(settings: Settings, catalog: Catalog, session_id: str) -> None:
    """Raise UsageError for a session that holds files without being known: a card's could go over them."""
    session = session_of(settings, checked_session_id(session_id))
    if catalog.session(session_id) is None and _holds_something(session):
        raise UsageError(
            f"The catalog does not know {session_id}, which holds files.",
            hint="`ghostroll catalog rebuild` takes it in; or choose another id.",
        )


def require_base(settings: Settings, *, needed: bool) -> None:
    """Raise DiskFailed where the directory of all sessions is not there: that is no deleted session."""
    if needed and not settings.base_dir.is_dir():
        raise DiskFailed(
            f"The base directory {settings.base_dir} is not there.", hint="Check that its disk is mounted."
        )


def _sessions_on_disk(settings: Settings) -> list[Session]:
    try:
        names = [entry.name for entry in os.scandir(settings.base_dir) if entry.is_dir(follow_symlinks=False)]
    except OSError as error:
        raise DiskFailed(
            f"The base directory {settings.base_dir} cannot be read: {error.strerror}.",
            hint="Check that its disk is mounted.",
        ) from error
    return [session_of(settings, name) for name in names if _is_session_id(name)]


def _is_session_id(name: str) -> bool:
    try:
        checked_session_id(name)
    except UsageError:
        return False
    return True


def _holds_something(session: Session) -> bool:
    return session_backup.path_of(session).is_file() or any(names for _, _, names in os.walk(session.originals))


def _age(session: Session) -> str:
    """Return what sorts by age: the id where it was made from the time, else the directory's."""
    if session.session_id.startswith("shoot-"):
        return session.session_id
    return changed_at(session.directory).astimezone().strftime(_STAMP)


def changed_at(path: Path) -> datetime:
    """Return when something was last put into a directory."""
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)
