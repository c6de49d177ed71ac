"""The catalog: what was ingested, what was rendered and uploaded, how far each session is (SQLite).

It is also the queue between the steps: a step that finishes a file records it here, the next asks for what is
pending. So memory does not grow with the card, and a run that was cut short goes on from what stands here.

A row that says a file is safe is written only after the file is. Each method is one transaction.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from ghostroll import ledger
from ghostroll.errors import ConfigurationError, DiskFailed, DiskFull, GhostrollError
from ghostroll.log import printable
from ghostroll.media import Kind
from ghostroll.rows import (
    Copy,
    Derivative,
    Original,
    Remembered,
    RenderState,
    SavedFile,
    SessionRow,
    SessionState,
    Shot,
)
from ghostroll.schema import VersionUnknown, migrate

_BUSY_SECONDS = 30.0


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
def _words_known() -> Iterator[None]:
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
    return _rfc3339(datetime.now(UTC))


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


class Catalog:
    """The SQLite file, open. Threads may share it; each call is atomic."""

    def __init__(self, place: Path | sqlite3.Connection) -> None:
        """Open the file at a path, made if need be; or take a database in memory that has the newest schema."""
        self._lock = threading.RLock()
        self._path = place if isinstance(place, Path) else None
        self._db = _opened(place) if isinstance(place, Path) else place

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
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # SQLite itself rolls back after some errors
                    self._db.execute("ROLLBACK")
                raise

    def _rows(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._lock, _errors_told():
            return self._db.execute(query, parameters).fetchall()

    # The file as a whole

    def check(self, *, thorough: bool = False) -> None:
        """Read the whole file; raises CatalogDamaged. Without `thorough`, indexes are not compared with tables."""
        with self._lock, _errors_told():
            (verdict,) = self._db.execute(f"PRAGMA {'integrity_check' if thorough else 'quick_check'}(1)").fetchone()
            if verdict != "ok":
                raise CatalogDamaged(f"{self._name} is damaged: {' '.join(verdict.split())}.")
            tables = {row[0] for row in self._db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        if missing := ledger.SCOPES.keys() - tables:
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
        with _errors_told(), closing(sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None)) as db:
            db.execute("BEGIN")
            yield db

    def take_in(self, books: "Catalog", session_id: str, key_prefix: str) -> bool:
        """Copy a session from another catalog, nothing known being changed; return False if the session is known."""
        with self._transaction() as db, books.snapshot() as source:
            if db.execute("SELECT 1 FROM sessions WHERE session_id = ?", (session_id,)).fetchone():
                return False
            for table, columns, rows in ledger.rows_of(source, session_id, key_prefix):
                ledger.put(db, table, columns, rows, on_conflict="IGNORE")
        return True

    # Sessions

    def create_session(self, session_id: str, *, card_id: str, card_label: str, created_utc: str | None = None) -> bool:
        """Record a new open session; return False if one of this id exists."""
        with self._transaction() as db:
            return _insert(
                db, "IGNORE", "sessions",
                session_id=session_id, created_utc=created_utc or utc_now(), state=SessionState.OPEN,
                card_id=printable(card_id), card_label=printable(card_label),
            )  # fmt: skip

    def delete_session(self, session_id: str) -> None:
        """Forget a session that holds nothing; what failed in it stays on record. Others are refused by SQLite."""
        with self._transaction() as db:
            db.execute("DELETE FROM sessions WHERE session_id = ?", (session_id,))

    def session(self, session_id: str) -> SessionRow | None:
        """Return one session."""
        return next(iter(self._sessions("WHERE session_id = ?", (session_id,))), None)

    def sessions(self) -> list[SessionRow]:
        """Return all sessions, oldest first."""
        return self._sessions("ORDER BY rowid")

    def unfinished_sessions(self) -> list[SessionRow]:
        """Return the sessions that are not shared yet, oldest first."""
        return self._sessions(
            "WHERE state NOT IN (?, ?) ORDER BY session_id", (SessionState.SHARED, SessionState.ABANDONED)
        )

    def latest_session_of(self, card_id: str) -> SessionRow | None:
        """Return the newest session of one card."""
        return next(iter(self._sessions("WHERE card_id = ? ORDER BY rowid DESC LIMIT 1", (printable(card_id),))), None)

    def latest_share(self, session_ids: Iterable[str] | None = None) -> SessionRow | None:
        """Return the session, of these or of all, whose link is valid the longest, if one is valid still."""
        among = None if session_ids is None else set(session_ids)
        rows = self._sessions("WHERE url IS NOT NULL AND expires_utc > ? ORDER BY expires_utc, rowid", (utc_now(),))
        return next((row for row in reversed(rows) if among is None or row.session_id in among), None)

    def last_share(self) -> SessionRow | None:
        """Return the session whose link is or was valid the longest, ended or not."""
        return next(iter(self._sessions("WHERE url IS NOT NULL ORDER BY expires_utc DESC, rowid DESC LIMIT 1")), None)

    def shares_valid_at(self, moment: datetime) -> list[SessionRow]:
        """Return the sessions whose link was or will be valid at a moment, oldest first."""
        return self._sessions("WHERE url IS NOT NULL AND expires_utc > ? ORDER BY rowid", (_rfc3339(moment),))

    def forget_copy(self, sha256: str) -> None:
        """Forget that a content was saved, since its copy is gone."""
        with self._transaction() as db:
            db.execute("DELETE FROM ingested_files WHERE sha256 = ?", (sha256,))

    def doubt_copies(self, session_id: str) -> None:
        """Record that a session's copies were not read back from a disk."""
        with self._transaction() as db:
            db.execute("UPDATE ingested_files SET verified = 0 WHERE session_id = ?", (session_id,))

    def set_verified(self, sha256: str) -> None:
        """Record that a content's copy was read back from the disk and compared with the card."""
        with self._transaction() as db:
            db.execute("UPDATE ingested_files SET verified = 1 WHERE sha256 = ?", (sha256,))

    def latest_session_id(self) -> str | None:
        """Return the last of the ids that were made from the time."""
        latest: str | None = self._rows("SELECT max(session_id) FROM sessions WHERE session_id GLOB 'shoot-[0-9]*'")[0][
            0
        ]
        return latest

    def _sessions(self, clause: str, parameters: Sequence[Any] = ()) -> list[SessionRow]:
        rows = self._rows(
            "SELECT session_id, created_utc, state, card_id, card_label, card_read, url, expires_utc FROM sessions "
            + clause,
            parameters,
        )
        with _words_known():
            return [
                SessionRow(row[0], row[1], SessionState(row[2]), row[3], row[4], bool(row[5]), row[6], row[7])
                for row in rows
            ]

    def set_state(self, session_id: str, state: SessionState) -> None:
        """Record how far a session is."""
        with self._transaction() as db:
            db.execute("UPDATE sessions SET state = ? WHERE session_id = ?", (state, session_id))

    def set_card_read(self, session_id: str, *, read: bool) -> None:
        """Record whether the session has all that was on its card."""
        with self._transaction() as db:
            db.execute("UPDATE sessions SET card_read = ? WHERE session_id = ?", (read, session_id))

    def set_share(self, session_id: str, *, url: str, expires_utc: str) -> None:
        """Record a share whose link was seen to work."""
        with self._transaction() as db:
            db.execute(
                "UPDATE sessions SET url = ?, expires_utc = ? WHERE session_id = ?", (url, expires_utc, session_id)
            )

    # Originals

    def is_ingested(self, sha256: str) -> bool:
        """Tell whether a file of this content was saved in any session."""
        return bool(self._rows("SELECT 1 FROM ingested_files WHERE sha256 = ?", (sha256,)))

    def record_saved(self, session_id: str, card_id: str, saved: Iterable[SavedFile]) -> list[SavedFile]:
        """Record originals that are safe on disk; return those whose content another run recorded first."""
        beaten = []
        with self._transaction() as db:
            for file in saved:
                original = file.original
                path = _to_db(original.path)
                is_first = _insert(
                    db, "IGNORE", "ingested_files",
                    sha256=original.sha256, size_bytes=original.size_bytes, first_seen_utc=utc_now(),
                    source_hint=_to_db(file.card_path), session_id=session_id, original=path, verified=file.verified,
                )  # fmt: skip
                if is_first:
                    _insert(
                        db, "REPLACE", "originals",
                        session_id=session_id, path=path, kind=original.kind, size_bytes=original.size_bytes,
                        sha256=original.sha256, name=_to_db(original.name), render=original.render,
                    )  # fmt: skip
                else:
                    beaten.append(file)
                _remember(db, _remembered(card_id, file))
        return beaten

    def has_original(self, session_id: str, path: str) -> bool:
        """Tell whether a session holds an original of this path."""
        return bool(self._rows("SELECT 1 FROM originals WHERE session_id = ? AND path = ?", (session_id, _to_db(path))))

    def originals(self, session_id: str) -> list[Original]:
        """Return a session's originals by path."""
        return self._originals("WHERE session_id = ? ORDER BY path", (session_id,))

    def count_renders(self, session_id: str, state: RenderState) -> int:
        """Return how many originals have derivatives in this state."""
        return int(
            self._rows("SELECT count(*) FROM originals WHERE session_id = ? AND render = ?", (session_id, state))[0][0]
        )

    def pending_renders(self, session_id: str, most: int) -> list[Original]:
        """Return up to `most` originals whose derivatives are still to be made, in the order they were saved."""
        return self._originals(
            "WHERE session_id = ? AND render = ? ORDER BY rowid LIMIT ?", (session_id, RenderState.PENDING, most)
        )

    def _originals(self, clause: str, parameters: Sequence[Any]) -> list[Original]:
        rows = self._rows("SELECT path, kind, size_bytes, sha256, name, render FROM originals " + clause, parameters)
        with _words_known():
            return [_original(row) for row in rows]

    def saved_copy(self, sha256: str) -> tuple[str, str] | None:
        """Return (session id, path below `originals/`) of the copy of this content."""
        rows = self._rows("SELECT session_id, original FROM ingested_files WHERE sha256 = ?", (sha256,))
        return (rows[0][0], _from_db(rows[0][1])) if rows else None

    def copies_of_card(self, card_id: str) -> dict[str, Copy]:
        """Return where the copy of each remembered file of a card lies, by the file's path on the card."""
        rows = self._rows(
            "SELECT c.path, i.session_id, i.original, i.size_bytes, i.verified"
            " FROM card_files c JOIN ingested_files i ON i.sha256 = c.sha256 WHERE c.card_id = ?",
            (card_id,),
        )
        return {_from_db(row[0]): Copy(row[1], _from_db(row[2]), row[3], bool(row[4])) for row in rows}

    # What is remembered of cards

    def remembered(self, card_id: str) -> dict[str, Remembered]:
        """Return what is remembered of one card, by path; only files that are still catalogued."""
        rows = self._rows(_REMEMBERED + " WHERE card_id = ?", (card_id,))
        return {entry.path: entry for row in rows if (entry := _memory(row))}

    def remembered_elsewhere(self, path: str, size_bytes: int) -> list[Remembered]:
        """Return what is remembered of files with this path and size on any card."""
        rows = self._rows(_REMEMBERED + " WHERE path = ? AND c.size_bytes = ?", (_to_db(path), size_bytes))
        return [_memory(row) for row in rows]

    def remember(self, entries: Iterable[Remembered]) -> None:
        """Remember files of a card whose content is known to be saved."""
        with self._transaction() as db:
            for entry in entries:
                _remember(db, entry)

    # Derivatives

    def record_rendered(self, session_id: str, shots: Iterable[Shot]) -> None:
        """Record derivatives that are on disk."""
        with self._transaction() as db:
            for shot in shots:
                path = _to_db(shot.original.path)
                db.execute(
                    "UPDATE originals SET render = ?, captured = ?, camera = ? WHERE session_id = ? AND path = ?",
                    (RenderState.DONE, shot.captured, shot.camera, session_id, path),
                )
                for made in (shot.share, shot.thumb):
                    _insert(
                        db, "REPLACE", "derivatives",
                        session_id=session_id, path=path, role=made.role, name=_to_db(made.name), s3_key=made.s3_key,
                        sha256=made.sha256, size_bytes=made.size_bytes, width=made.width, height=made.height,
                    )  # fmt: skip

    def render_again(self, session_id: str, paths: Iterable[str]) -> None:
        """Forget some originals' derivatives, so that they are made anew."""
        rows = [(session_id, _to_db(path)) for path in paths]
        if not rows:
            return
        with self._transaction() as db:
            db.executemany("DELETE FROM derivatives WHERE session_id = ? AND path = ?", rows)
            db.executemany(
                f"UPDATE originals SET render = '{RenderState.PENDING}' WHERE session_id = ? AND path = ?", rows
            )

    def set_render(self, session_id: str, path: str, state: RenderState) -> None:
        """Record how far one original's derivatives are."""
        with self._transaction() as db:
            db.execute(
                "UPDATE originals SET render = ? WHERE session_id = ? AND path = ?", (state, session_id, _to_db(path))
            )

    def shots(self, session_id: str, *, uploaded_to: str | None = None) -> list[Shot]:
        """Return a session's pictures; with `uploaded_to`, only those wholly in that store."""
        made: dict[str, dict[str, Derivative]] = {}
        for derivative in self._derivatives(
            "WHERE d.session_id = ?" + (_UPLOADED if uploaded_to else ""),
            (session_id, uploaded_to) if uploaded_to else (session_id,),
        ):
            made.setdefault(derivative.path, {})[derivative.role] = derivative
        rows = self._rows(
            "SELECT path, kind, size_bytes, sha256, name, render, captured, camera FROM originals"
            " WHERE session_id = ? AND render = ? ORDER BY rowid",
            (session_id, RenderState.DONE),
        )
        return [
            Shot(original, row[6], row[7], both["share"], both["thumb"])
            for row in rows
            if len(both := made.get((original := _original(row[:6])).path, {})) == 2  # noqa: PLR2004 - share, thumb
        ]

    def _derivatives(self, clause: str, parameters: Sequence[Any]) -> list[Derivative]:
        rows = self._rows(
            "SELECT d.path, d.role, d.name, d.s3_key, d.sha256, d.size_bytes, d.width, d.height, d.rowid"
            " FROM derivatives d " + clause,
            parameters,
        )
        return [Derivative(_from_db(row[0]), row[1], _from_db(row[2]), *row[3:]) for row in rows]

    # Uploads

    def pending_uploads(self, session_id: str, store: str, most: int, *, after: int = 0) -> list[Derivative]:
        """Return up to `most` derivatives that are not in the store as they are on disk, oldest first.

        With `after`, only those with a greater number are looked at: asked often, the whole session would be
        gone through each time.
        """
        return self._derivatives(
            "NOT INDEXED LEFT JOIN uploads u ON u.s3_key = d.s3_key AND u.local_sha256 = d.sha256 AND u.store = ?"
            " WHERE d.rowid > ? AND d.session_id = ? AND u.s3_key IS NULL ORDER BY d.rowid LIMIT ?",
            (store, after, session_id, most),
        )

    def upload(self, s3_key: str) -> tuple[str, str] | None:
        """Return (SHA-256, store) of what was uploaded under this key."""
        rows = self._rows("SELECT local_sha256, store FROM uploads WHERE s3_key = ?", (s3_key,))
        return (str(rows[0][0]), str(rows[0][1])) if rows else None

    def uploads(self, prefix: str, store: str) -> dict[str, int]:
        """Return size in bytes by key of what was uploaded to a store below a prefix."""
        rows = self._rows(
            "SELECT s3_key, size_bytes FROM uploads WHERE store = ? AND substr(s3_key, 1, ?) = ?",
            (store, len(prefix), prefix),
        )
        return dict(rows)

    def record_uploaded(self, store: str, uploads: Iterable[tuple[str, str, int]]) -> None:
        """Record objects that the store acknowledged, each as (key, SHA-256, size in bytes)."""
        with self._transaction() as db:
            db.executemany(
                "INSERT OR REPLACE INTO uploads (s3_key, local_sha256, size_bytes, uploaded_utc, store)"
                " VALUES (?, ?, ?, ?, ?)",
                [(*upload, utc_now(), store) for upload in uploads],
            )

    def forget_uploads(self, keys: Iterable[str]) -> None:
        """Forget uploads that the store no longer has."""
        with self._transaction() as db:
            db.executemany("DELETE FROM uploads WHERE s3_key = ?", [(key,) for key in keys])

    # Failures

    def record_failure(self, session_id: str, path: str, step: str, reason: str) -> None:
        """Record what could not be done with one file."""
        with self._transaction() as db:
            _insert(
                db, "REPLACE", "failures",
                session_id=session_id, path=_to_db(path), step=step, reason=reason, at_utc=utc_now(),
            )  # fmt: skip

    # Overview

    def picture_counts(self) -> dict[str, tuple[int, int]]:
        """Return (originals, pictures) by session id."""
        rows = self._rows("SELECT session_id, count(*), sum(render = 'done') FROM originals GROUP BY session_id")
        return {str(row[0]): (int(row[1]), int(row[2])) for row in rows}


def _opened(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _errors_told():
            return _made_ready(sqlite3.connect(path, _BUSY_SECONDS, isolation_level=None, check_same_thread=False))
    except (GhostrollError, sqlite3.DatabaseError, OSError) as error:
        kind = type(error) if isinstance(error, GhostrollError) else ConfigurationError
        hint = error.hint if isinstance(error, GhostrollError) else "Check db_path and its rights."
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == _ERROR:  # such as a format that it doesn't know
            kind, hint = CatalogDamaged, CatalogDamaged.default_hint
        raise kind(f"The catalog {path} cannot be used: {error}", hint=hint) from error


def _made_ready(db: sqlite3.Connection) -> sqlite3.Connection:
    try:
        _keep_trying(lambda: db.execute("PRAGMA journal_mode=WAL"))
        db.executescript("PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;")
        _keep_trying(lambda: migrate(db))
    except BaseException:
        db.close()
        raise
    return db


def _insert(db: sqlite3.Connection, on_conflict: str, table: str, **values: Any) -> bool:
    """Insert a row; return whether there is a new one. `on_conflict`: SQLite's REPLACE or IGNORE."""
    columns, marks = ", ".join(values), ", ".join("?" * len(values))
    statement = f"INSERT OR {on_conflict} INTO {table} ({columns}) VALUES ({marks})"
    return db.execute(statement, tuple(values.values())).rowcount == 1


def _remember(db: sqlite3.Connection, entry: Remembered) -> None:
    _insert(
        db, "REPLACE", "card_files",
        card_id=entry.card_id, path=_to_db(entry.path), size_bytes=entry.size_bytes, mtime_ns=entry.mtime_ns,
        sha256=entry.sha256, sample_sha256=entry.sample_sha256,
    )  # fmt: skip


_REMEMBERED = (
    "SELECT c.card_id, c.path, c.size_bytes, c.mtime_ns, c.sha256, c.sample_sha256"
    " FROM card_files c JOIN ingested_files i ON i.sha256 = c.sha256"
)
_UPLOADED = (
    " AND EXISTS (SELECT 1 FROM uploads u WHERE u.s3_key = d.s3_key AND u.local_sha256 = d.sha256 AND u.store = ?)"
)


def _to_db(path: str | None) -> str | bytes | None:
    """Return a path as SQLite takes it: text, or its bytes where it is not valid UTF-8."""
    if path is None:
        return None
    try:
        path.encode()
    except UnicodeEncodeError:
        return os.fsencode(path)
    return path


def _from_db(value: Any) -> Any:
    return os.fsdecode(value) if isinstance(value, bytes) else value


def _original(row: Sequence[Any]) -> Original:
    path, kind, size_bytes, sha256, name, render = row
    return Original(_from_db(path), Kind(kind), size_bytes, sha256, _from_db(name), RenderState(render))


def _memory(row: Sequence[Any]) -> Remembered:
    return Remembered(row[0], _from_db(row[1]), *row[2:])


def _remembered(card_id: str, file: SavedFile) -> Remembered:
    original = file.original
    return Remembered(card_id, file.card_path, original.size_bytes, file.mtime_ns, original.sha256, file.sample_sha256)
