"""One session's rows, table by table, whatever their columns: out of one catalog, into another."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

# Which rows belong to a session. A table stands after those it refers to.
SCOPES = {
    "sessions": "session_id = :session_id",
    "originals": "session_id = :session_id",
    "derivatives": "session_id = :session_id",
    "ingested_files": "session_id = :session_id",
    "card_files": "sha256 IN (SELECT sha256 FROM originals WHERE session_id = :session_id)",
    "uploads": "substr(s3_key, 1, length(:key_prefix)) = :key_prefix",
    "failures": "session_id = :session_id",
}

Row = Sequence[Any]


def rows_of(
    db: sqlite3.Connection, session_id: str, key_prefix: str
) -> Iterator[tuple[str, tuple[str, ...], Iterable[Row]]]:
    """Yield (table, columns, rows) of a session, the rows in the order in which they were recorded."""
    for table, scope in SCOPES.items():
        cursor = db.execute(
            f"SELECT * FROM {table} WHERE {scope} ORDER BY rowid", {"session_id": session_id, "key_prefix": key_prefix}
        )
        yield table, tuple(column[0] for column in cursor.description), cursor


def columns_of(db: sqlite3.Connection, table: str) -> dict[str, str]:
    """Return a table's columns with the types they were declared with."""
    return {row[1]: row[2] for row in db.execute(f"PRAGMA table_info({table})")}


def put(
    db: sqlite3.Connection,
    table: str,
    columns: Sequence[str],
    rows: Iterable[Row],
    *,
    on_conflict: Literal["ABORT", "IGNORE"],
) -> None:
    """Insert rows; columns that are not given take their defaults. `table` and `columns` must be the schema's own."""
    marks = ", ".join("?" * len(columns))
    db.executemany(f"INSERT OR {on_conflict} INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)
