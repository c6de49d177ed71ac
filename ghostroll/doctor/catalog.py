"""Check the catalog, without changing a byte of it, and the sessions that it should know."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ghostroll.base.config import Settings
from ghostroll.base.errors import GhostrollError
from ghostroll.base.session_paths import session_of
from ghostroll.base.text import counted
from ghostroll.catalog import Catalog, CatalogDamaged
from ghostroll.catalog.models import SessionRow
from ghostroll.catalog.schema import MIGRATIONS, migrate
from ghostroll.doctor.findings import EX_CONFIGURATION, EX_DISK, Finding, error_finding, failed, ok, warning
from ghostroll.recovery.unknown_sessions import unknown_sessions

_BUSY_TIMEOUT_SECONDS = 10.0
_REBUILD = "`ghostroll catalog rebuild` imports them. The photos themselves are on the disk."


def findings(settings: Settings) -> Iterator[Finding]:
    """Check that the catalog is intact, and that it knows the sessions on the disk."""
    path = settings.db_path
    if not path.exists():
        yield from _without_catalog(settings)
        return
    try:
        with _read_only(path) as db:
            yield from _with_catalog(settings, db)
    except CatalogDamaged as error:
        yield failed("catalog", f"The catalog {path} is damaged.", error.hint, EX_CONFIGURATION)
    except sqlite3.DatabaseError as error:
        text = f"The catalog {path} cannot be read: {error}."
        yield failed("catalog", text, "Run `sudo ghostroll doctor`; or check the disk, and db_path.", EX_DISK)


def latest_page_key(settings: Settings, store: str) -> str | None:
    """Return the key of the latest shared gallery if it was uploaded to the store with this identity."""
    if not settings.db_path.exists():
        return None
    try:
        with _read_only(settings.db_path) as db:
            catalog = Catalog(db)
            row = catalog.latest_share()
            key = session_of(settings, row.session_id).page_key if row else ""
            return key if (catalog.upload(key) or ("", ""))[1] == store else None
    except (GhostrollError, sqlite3.DatabaseError):  # reported by the check of the catalog
        return None


def latest_link(settings: Settings) -> SessionRow | None:
    """Return the session whose link expires last, whether it is still valid or not; None without one."""
    if not settings.db_path.exists():
        return None
    try:
        with _read_only(settings.db_path) as db:
            return max((row for row in Catalog(db).sessions() if row.url), key=_expiry, default=None)
    except (GhostrollError, sqlite3.DatabaseError):  # reported by the check of the catalog
        return None


def _expiry(row: SessionRow) -> str:
    return row.expires_utc or ""


def _without_catalog(settings: Settings) -> Iterator[Finding]:
    found = 0
    if settings.base_dir.is_dir():
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
            migrate(db)
            found = len(unknown_sessions(settings, Catalog(db)))
    if found:
        text = f"The catalog {settings.db_path} is missing, and there are {counted(found, 'session')} on the disk."
        yield warning("catalog", text, _REBUILD)
    else:
        yield ok("catalog", f"There is no catalog yet: the first card creates {settings.db_path}.")


def _with_catalog(settings: Settings, db: sqlite3.Connection) -> Iterator[Finding]:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        text = f"The catalog {settings.db_path} was written by a newer GhostRoll than this one."
        yield failed("catalog", text, "Install that version or a newer one.", EX_CONFIGURATION)
        return
    if not _is_intact(settings.db_path):
        raise CatalogDamaged("")
    if version < len(MIGRATIONS):
        yield ok("catalog", "The catalog is intact. An older version wrote it, and the next run upgrades it.")
        return
    catalog = Catalog(db)
    catalog.check()
    known = catalog.sessions()
    yield ok("catalog", f"The catalog is intact: {counted(len(known), 'session')}.")
    yield _unfinished(len(catalog.unfinished_sessions()))
    yield from _unknown(settings, catalog)


def _unfinished(number: int) -> Finding:
    if not number:
        return ok("sessions", "Every session is shared.")
    fix = "`ghostroll resume` shares them; `ghostroll watch` does so by itself."
    return warning("sessions", f"{counted(number, 'session')} not shared yet.", fix)


def _unknown(settings: Settings, catalog: Catalog) -> Iterator[Finding]:
    if not settings.base_dir.is_dir():
        return
    try:
        number = len(unknown_sessions(settings, catalog))
    except GhostrollError as error:
        yield error_finding("sessions", error)
        return
    if number:
        yield warning("sessions", f"The catalog does not know {counted(number, 'session')} on the disk.", _REBUILD)


def _is_intact(path: Path) -> bool:
    """Check the whole file; once more if a run started to use it meanwhile and may have changed it."""
    was_in_use = _is_in_use(path)
    while True:
        with _read_only(path) as db:
            try:
                (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
            except sqlite3.DatabaseError as error:
                verdict = str(error)
        if verdict == "ok":
            return True
        if was_in_use or not _is_in_use(path):
            return False
        was_in_use = True


@contextmanager
def _read_only(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the database without creating or changing any file.

    Even a reader creates -wal and -shm files if there are none. `immutable` prevents that (sqlite.org/uri.html); it is
    safe while no other program has the file open.
    """
    mode = "mode=ro" if _is_in_use(path) else "mode=ro&immutable=1"
    with closing(
        sqlite3.connect(f"{path.as_uri()}?{mode}", timeout=_BUSY_TIMEOUT_SECONDS, isolation_level=None, uri=True)
    ) as db:
        try:
            yield db
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in (11, 26):  # CORRUPT, NOTADB (sqlite.org/rescode.html)
                raise CatalogDamaged("") from error
            raise


def _is_in_use(path: Path) -> bool:
    return path.with_name(path.name + "-wal").exists()
