"""What the catalog knows of a session, kept beside its photos, so that a lost catalog can be made anew.

`.catalog.jsonl.gz`: JSON, one value a line. The first line is a header with the version of the schema; then, for
each table, a line that names its columns and one line a row; the last line counts the rows. Bytes that are no text
are {"bytes": hex}. It may be older than the catalog; what is read from it is checked as a stranger's.
"""

import gzip
import io
import json
import os
import re
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

from ghostroll.base import durable
from ghostroll.base.log import printable
from ghostroll.base.media_kind import MediaKind
from ghostroll.base.session_paths import Session
from ghostroll.catalog import Catalog, session_rows
from ghostroll.catalog.models import SessionState
from ghostroll.catalog.schema import MIGRATIONS, migrate

_NAME = ".catalog.jsonl.gz"
_HEADER = "ghostroll session"
# 20,000 files make 32 MB of lines, 8 MB packed (measured). What is greater than this is none of ours.
_BYTES_MOST = 1 << 30
_LINE_BYTES_MOST = 1 << 16
# Light packing: the hashes, which are most of it, don't shrink further.
_LEVEL = 1
_STATE = ("sessions", "state")
# What a file that is not ours, or not whole, makes of its reading.
_NOT_OURS = (OSError, EOFError, zlib.error, ValueError, TypeError, LookupError, RecursionError, OverflowError)


class SidecarDamaged(Exception):
    """What lies beside a session is not what we wrote there."""


class SidecarNewer(Exception):
    """What lies beside a session was written by a newer version of ghostroll."""


def path_of(session: Session) -> Path:
    """Return where a session's sidecar lies."""
    return session.directory / _NAME


def write(catalog: Catalog, session: Session, *, state: SessionState | None = None) -> None:
    """Write what the catalog knows of a session now, or will know once it is in `state`; raises OSError."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=_LEVEL, mtime=0) as file,
        catalog.snapshot() as db,
    ):
        for value in _values(db, session, state):
            file.write(json.dumps(value, separators=(",", ":"), default=_packed).encode() + b"\n")
    durable.write_atomically(path_of(session), packed.getvalue())


def _values(db: sqlite3.Connection, session: Session, state: SessionState | None) -> Iterator[Any]:
    yield {"format": _HEADER, "version": len(MIGRATIONS), "session_id": session.session_id}
    number = 0
    for table, columns, rows in session_rows.rows_of(db, session.session_id, session.key_prefix):
        yield {"table": table, "columns": columns}
        for row in rows:
            number += 1
            yield [
                state if state and (table, column) == _STATE else value
                for column, value in zip(columns, row, strict=True)
            ]
    yield {"rows": number}


def _packed(value: Any) -> dict[str, str]:
    return {"bytes": bytes(value).hex()}


def read(session: Session) -> Catalog | None:
    """Return a session's rows as a catalog in memory, of the newest schema; None where nothing was left.

    Raises SidecarDamaged for anything that we would not have written, SidecarNewer.
    """
    with ExitStack() as stack:
        db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        stack.callback(db.close)
        try:
            _fill(db, session)
            _check(db, session)
        except FileNotFoundError:
            return None
        except (*_NOT_OURS, sqlite3.Error) as error:
            raise SidecarDamaged(str(error) or type(error).__name__) from error
        stack.pop_all()
    return Catalog(db)


def empty() -> Catalog:
    """Return a catalog in memory that knows nothing."""
    db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    migrate(db)
    return Catalog(db)


def _fill(db: sqlite3.Connection, session: Session) -> None:
    fd = os.open(path_of(session), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file, gzip.GzipFile(fileobj=file) as unpacked:
        lines = _lines(unpacked)
        header = next(lines, None)
        if header is None or header["format"] != _HEADER or header["session_id"] != session.session_id:
            raise ValueError("its first line is not this session's")
        _prepare(db, header["version"])
        _load(db, lines)
    migrate(db)


def _lines(file: gzip.GzipFile) -> Iterator[Any]:
    size_bytes = 0
    while line := file.readline(_LINE_BYTES_MOST):
        size_bytes += len(line)
        if size_bytes > _BYTES_MOST or not line.endswith(b"\n"):
            raise ValueError("it is too long")
        yield json.loads(line)


def _prepare(db: sqlite3.Connection, version: Any) -> None:
    """Make the tables as they were when the sidecar was written."""
    if type(version) is not int or version < 1:
        raise ValueError("it has no version")
    if version > len(MIGRATIONS):
        raise SidecarNewer
    for script in MIGRATIONS[:version]:
        db.executescript(script)
    db.execute(f"PRAGMA user_version = {version}")
    db.execute("PRAGMA foreign_keys = ON")


def _load(db: sqlite3.Connection, lines: Iterable[Any]) -> None:
    db.execute("BEGIN")
    table, columns, number = "", (), 0
    for value in lines:
        if isinstance(value, list):
            number += 1
            session_rows.put(db, table, columns, [[_plain(each) for each in value]], on_conflict="ABORT")
        elif "rows" in value:
            if value["rows"] != number or any(True for _ in lines):  # only at its end is gzip's own sum compared
                break
            db.execute("COMMIT")
            return
        else:
            table, columns = value["table"], tuple(value["columns"])
            if table not in session_rows.SCOPES or not set(columns) <= session_rows.columns_of(db, table).keys():
                raise ValueError("it has a table that we don't know")
    raise ValueError("it is not whole")


def _plain(value: Any) -> str | int | bytes | None:
    if isinstance(value, dict):
        return bytes.fromhex(value["bytes"])
    if value is None or type(value) in (str, int):
        return value  # type: ignore[no-any-return]
    raise ValueError("it has a value that no row has")


# What rows may say

_SHA256 = re.compile(r"[0-9a-f]{64}")
# Columns with a path below the session, and those with one of a card, which is only ever compared.
_OUR_PATHS = frozenset(("originals.path", "originals.name", "derivatives.path", "derivatives.name"))
_OUR_PATHS |= {"ingested_files.original"}
_PRINTABLE = frozenset(("card_id", "card_label"))
_CARD_PATHS = frozenset(("card_files.path", "failures.path", "ingested_files.source_hint"))


def _check(db: sqlite3.Connection, session: Session) -> None:
    """Raise ValueError for a row that is not this session's, or that would lead out of it."""
    if db.execute("SELECT session_id FROM sessions").fetchall() != [(session.session_id,)]:
        raise ValueError("it is not about this session")
    for table in session_rows.SCOPES:
        columns = session_rows.columns_of(db, table)
        for row in db.execute(f"SELECT * FROM {table}"):
            for (column, kind), value in zip(columns.items(), row, strict=True):
                if value is not None and not _is_sound(table, column, kind, value):
                    raise ValueError(f"{column} of {table} cannot be {printable(repr(value)[:80])}")


def _is_sound(table: str, column: str, kind: str, value: Any) -> bool:
    place = f"{table}.{column}"
    if place in _OUR_PATHS or place in _CARD_PATHS:
        return isinstance(value, str | bytes) and (place in _CARD_PATHS or _stays_below(os.fsdecode(value)))
    if kind == "INTEGER":
        return isinstance(value, int) and (value >= 0 or column == "mtime_ns")
    return isinstance(value, str) and _is_word(column, value)


def _is_word(column: str, value: str) -> bool:
    if column.endswith("sha256"):
        return _SHA256.fullmatch(value) is not None
    if column.endswith("_utc"):
        return datetime.fromisoformat(value).tzinfo is not None
    if column == "url":
        return value.startswith(("http://", "https://")) and value.isprintable() and " " not in value
    if column == "kind":
        return value in list(MediaKind)
    return printable(value) == value or column not in _PRINTABLE


def _stays_below(path: str) -> bool:
    return "\0" not in path and all(part not in ("", ".", "..") for part in path.split("/"))
