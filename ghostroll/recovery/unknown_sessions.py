"""Find sessions on the disk that the catalog does not know, as after the catalog was lost or replaced."""

import os
from datetime import UTC, datetime
from pathlib import Path

from ghostroll.base.config import Settings
from ghostroll.base.errors import DiskFailed, UsageError
from ghostroll.base.log import logger
from ghostroll.base.session_paths import Session, session_of, validate_session_id
from ghostroll.base.text import counted
from ghostroll.catalog import Catalog, session_backup

# A session with a chosen id is sorted by the time of its directory.
_STAMP = "shoot-%Y-%m-%d_%H%M%S_%f"


def unknown_sessions(settings: Settings, catalog: Catalog) -> list[Session]:
    """Return the sessions on the disk without a row in the catalog, oldest first. Raises DiskFailed."""
    found = _sessions_on_disk(settings)  # first: a session has its row before its directory
    known = {row.session_id for row in catalog.sessions()}
    unknown = [each for each in found if each.session_id not in known]
    return sorted(filter(_has_files, unknown), key=_age_key)


def warn_about_unknown(settings: Settings, catalog: Catalog) -> None:
    """Log a warning if there are unknown sessions; saving goes on."""
    if not settings.base_dir.is_dir():
        return  # the first run
    number = len(unknown_sessions(settings, catalog))
    if number:
        logger.warning(
            "The catalog %s does not know %s below %s: their files would be saved and shared again."
            " `ghostroll catalog rebuild` imports them.",
            settings.db_path,
            counted(number, "session"),
            settings.base_dir,
        )


def reject_unknown(settings: Settings, catalog: Catalog, session_id: str) -> None:
    """Raise UsageError for an unknown session that has files: a card's could overwrite them."""
    session = session_of(settings, validate_session_id(session_id))
    if catalog.session(session_id) is None and _has_files(session):
        raise UsageError(
            f"The catalog does not know {session_id}, which holds files.",
            hint="`ghostroll catalog rebuild` imports it; or choose another id.",
        )


def require_base_dir(settings: Settings, *, needed: bool) -> None:
    """Raise DiskFailed if the base directory is `needed` and missing: sessions on an unmounted disk are not deleted."""
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
        validate_session_id(name)
    except UsageError:
        return False
    return True


def _has_files(session: Session) -> bool:
    return session_backup.path_of(session).is_file() or any(names for _, _, names in os.walk(session.originals))


def _age_key(session: Session) -> str:
    """Return the sort key by age: the id if it contains the time, else the time of the directory."""
    if session.session_id.startswith("shoot-"):
        return session.session_id
    return modified_at(session.directory).astimezone().strftime(_STAMP)


def modified_at(path: Path) -> datetime:
    """Return when a directory's entries last changed."""
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)
