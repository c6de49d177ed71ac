"""The SQLite file under the catalog: opened, guarded, and its errors told apart."""

import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from ghostroll.base.errors import ConfigurationError, DiskFailed, DiskFull, GhostrollError
from ghostroll.base.text import rfc3339
from ghostroll.catalog import session_rows
from ghostroll.catalog.schema import VersionUnknown, migrate

_BUSY_SECONDS = 30.0
# What SQLite needs at least beside a database: one index of its journal (sqlite.org/walformat.html).
_ROOM_BYTES = 32 << 10


# SQLite's result codes (sqlite.org/rescode.html).
_ERROR = 1
_FULL = 13
_DISK_CODES = frozenset((8, 10, _FULL, 14))  # READONLY, IOERR, FULL, CANTOPEN
_LOCKED_CODES = frozenset((5, 6))  # BUSY, LOCKED
_DAMAGED_CODES = frozenset((11, 26))  # CORRUPT, NOTADB
# What sqlite3 of the standard library says, without a code, of a text that is none.
_NO_TEXT = "Could not decode to UTF-8"


class CatalogDamaged(ConfigurationError):
    """The catalog's file is not what was written."""

    default_hint = (
        "The photos on the disk stay as they are. End `ghostroll watch` (systemctl stop ghostroll), "
        "then run `ghostroll catalog rebuild`: it keeps this file aside and makes a new one from the sessions."
    )


@contextmanager
def _errors_told() -> Iterator[None]:
    """Tell errors of the disk, of another program that holds the file, and of the file itself from our own."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _DISK_CODES:
            raise (DiskFull if code == _FULL else DiskFailed)(f"The catalog cannot be written: {error}.") from error
        if code in _LOCKED_CODES:
            raise DiskFailed("The catalog is held by another program.", hint="End what has it open.") from error
        if code in _DAMAGED_CODES or _NO_TEXT in str(error) or isinstance(error, VersionUnknown):
            raise CatalogDamaged(f"The catalog is damaged: {error}.") from error
        raise


@contextmanager
def words_known() -> Iterator[None]:
    """Tell a damaged file by a word that none of our enumerations has."""
    try:
        yield
    except ValueError as error:
        raise CatalogDamaged(f"The catalog is damaged: {error}.") from error


def _keep_trying(action: Callable[[], object]) -> None:
    """Do what needs the file alone, such as entering WAL mode, for which SQLite does not wait by itself."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            action()
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _LOCKED_CODES or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def utc_now() -> str:
    """Return the time as RFC 3339 in UTC."""
    return rfc3339(datetime.now(UTC))


class Database:
    """The SQLite file, open. Threads may share it; each call is atomic."""

    def __init__(self, place: Path | sqlite3.Connection) -> None:
        """Open the file at a path, made if need be; or take a database in memory that has the newest schema."""
        self._lock = threading.RLock()
        self._path = place if isinstance(place, Path) else None
        self._db = _opened(place) if isinstance(place, Path) else place
        self._file = _file_at(self._path)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _errors_told():
            self._require_file()
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # SQLite itself rolls back after some errors
                    self._db.execute("ROLLBACK")
                raise

    def _require_file(self) -> None:
        """Raise CatalogDamaged where the open file is not the one under its name: what goes into it is lost."""
        if _file_at(self._path) != self._file:
            raise CatalogDamaged(
                f"{self._name} was deleted or replaced while GhostRoll was at work.",
                hint="The photos on the disk stay as they are. Start GhostRoll again (systemctl restart ghostroll);"
                " `ghostroll catalog rebuild` takes in what the new catalog does not know.",
            )

    def _rows(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._lock, _errors_told():
            self._require_file()
            return self._db.execute(query, parameters).fetchall()

    # The file as a whole

    def check(self, *, thorough: bool = False) -> None:
        """Read the whole file; raises CatalogDamaged. Without `thorough`, indexes are not compared with tables."""
        with self._lock, _errors_told():
            (verdict,) = self._db.execute(f"PRAGMA {'integrity_check' if thorough else 'quick_check'}(1)").fetchone()
            if verdict != "ok":
                raise CatalogDamaged(f"{self._name} is damaged: {' '.join(verdict.split())}.")
            tables = {row[0] for row in self._db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        if missing := session_rows.SCOPES.keys() - tables:
            raise CatalogDamaged(f"{self._name} is damaged: it has no {min(missing)}.")

    @property
    def _name(self) -> str:
        return f"The catalog {self._path}" if self._path else "The catalog"

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Give this moment's state to read, however long it takes: others go on writing."""
        if self._path is None:
            yield self._db
            return
        self._require_file()
        with _errors_told(), closing(sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None)) as db:
            db.execute("BEGIN")
            yield db

    def take_in(self, books: "Database", session_id: str, key_prefix: str) -> bool:
        """Copy a session from another catalog, nothing known being changed; return False if the session is known."""
        with self._transaction() as db, books.snapshot() as source:
            if db.execute("SELECT 1 FROM sessions WHERE session_id = ?", (session_id,)).fetchone():
                return False
            for table, columns, rows in session_rows.rows_of(source, session_id, key_prefix):
                session_rows.put(db, table, columns, rows, on_conflict="IGNORE")
        return True


def _opened(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _errors_told():
            return _made_ready(sqlite3.connect(path, _BUSY_SECONDS, isolation_level=None, check_same_thread=False))
    except (GhostrollError, sqlite3.DatabaseError, OSError) as error:
        if isinstance(error, DiskFailed) and _is_full(path.parent):  # SQLite may call that an "I/O error"
            raise DiskFull(f"The catalog {path} cannot be used: there is no room left on its disk.") from error
        kind = type(error) if isinstance(error, GhostrollError) else ConfigurationError
        hint = error.hint if isinstance(error, GhostrollError) else "Check db_path and its rights."
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == _ERROR:  # such as a format that it doesn't know
            kind, hint = CatalogDamaged, CatalogDamaged.default_hint
        raise kind(f"The catalog {path} cannot be used: {error}", hint=hint) from error


def _file_at(path: Path | None) -> tuple[int, int] | None:
    """Return which file has this name now: device and inode; None for none."""
    try:
        facts = path.stat() if path else None
    except OSError:
        return None
    return (facts.st_dev, facts.st_ino) if facts else None


def _is_full(directory: Path) -> bool:
    try:
        return shutil.disk_usage(directory).free < _ROOM_BYTES
    except OSError:
        return False


def _made_ready(db: sqlite3.Connection) -> sqlite3.Connection:
    try:
        _keep_trying(lambda: db.execute("PRAGMA journal_mode=WAL"))
        db.executescript("PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;")
        _keep_trying(lambda: migrate(db))
    except BaseException:
        db.close()
        raise
    return db


def insert(db: sqlite3.Connection, on_conflict: str, table: str, **values: Any) -> bool:
    """Insert a row; return whether there is a new one. `on_conflict`: SQLite's REPLACE or IGNORE."""
    columns, marks = ", ".join(values), ", ".join("?" * len(values))
    statement = f"INSERT OR {on_conflict} INTO {table} ({columns}) VALUES ({marks})"
    return db.execute(statement, tuple(values.values())).rowcount == 1


def to_db(path: str | None) -> str | bytes | None:
    """Return a path as SQLite takes it: text, or its bytes where it is not valid UTF-8."""
    if path is None:
        return None
    try:
        path.encode()
    except UnicodeEncodeError:
        return os.fsencode(path)
    return path


def from_db(value: Any) -> Any:
    """Return a path as the system takes it."""
    return os.fsdecode(value) if isinstance(value, bytes) else value
