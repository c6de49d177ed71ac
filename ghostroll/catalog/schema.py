"""The catalog's tables, and how an older file comes to them (`PRAGMA user_version`)."""

import sqlite3

# One script a version; a released one is never changed. Each runs with its own record in one transaction.
MIGRATIONS = (
    """
    CREATE TABLE sessions (
        session_id TEXT PRIMARY KEY,
        created_utc TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('open', 'ingested', 'shared', 'abandoned')),
        card_id TEXT NOT NULL,
        card_label TEXT NOT NULL,
        card_read INTEGER NOT NULL DEFAULT 0,
        url TEXT,
        expires_utc TEXT
    );
    CREATE TABLE ingested_files (
        sha256 TEXT PRIMARY KEY,
        size_bytes INTEGER NOT NULL,
        first_seen_utc TEXT NOT NULL,
        source_hint TEXT,
        session_id TEXT NOT NULL,
        original TEXT NOT NULL,
        verified INTEGER NOT NULL
    );
    CREATE TABLE originals (
        session_id TEXT NOT NULL REFERENCES sessions,
        path TEXT NOT NULL,
        kind TEXT NOT NULL,
        size_bytes INTEGER NOT NULL,
        sha256 TEXT NOT NULL,
        name TEXT,
        render TEXT NOT NULL CHECK (render IN ('none', 'pending', 'done', 'failed')),
        captured TEXT,
        camera TEXT,
        PRIMARY KEY (session_id, path)
    );
    CREATE INDEX originals_by_render ON originals (session_id, render);
    CREATE TABLE derivatives (
        session_id TEXT NOT NULL,
        path TEXT NOT NULL,
        role TEXT NOT NULL CHECK (role IN ('share', 'thumb')),
        name TEXT NOT NULL,
        s3_key TEXT NOT NULL,
        sha256 TEXT NOT NULL,
        size_bytes INTEGER NOT NULL,
        width INTEGER NOT NULL,
        height INTEGER NOT NULL,
        PRIMARY KEY (session_id, path, role),
        FOREIGN KEY (session_id, path) REFERENCES originals
    );
    CREATE TABLE uploads (
        s3_key TEXT PRIMARY KEY,
        local_sha256 TEXT NOT NULL,
        size_bytes INTEGER NOT NULL,
        uploaded_utc TEXT NOT NULL,
        store TEXT NOT NULL
    );
    CREATE TABLE card_files (
        card_id TEXT NOT NULL,
        path TEXT NOT NULL,
        size_bytes INTEGER NOT NULL,
        mtime_ns INTEGER NOT NULL,
        sha256 TEXT NOT NULL,
        sample_sha256 TEXT NOT NULL,
        PRIMARY KEY (card_id, path)
    );
    CREATE INDEX card_files_by_path ON card_files (path, size_bytes);
    CREATE TABLE failures (
        session_id TEXT NOT NULL,
        path TEXT NOT NULL,
        step TEXT NOT NULL,
        reason TEXT NOT NULL,
        at_utc TEXT NOT NULL,
        PRIMARY KEY (session_id, path, step)
    );
    """,
)


class VersionUnknown(sqlite3.DatabaseError):
    """The file has a version that no ghostroll has ever written."""


def migrate(db: sqlite3.Connection) -> None:
    """Bring an open catalog to the newest schema; raises sqlite3.DatabaseError for one that is newer still."""
    if _version(db) < 0:
        raise VersionUnknown("it has no version")
    for version in range(_version(db), len(MIGRATIONS)):
        db.execute("BEGIN IMMEDIATE")
        try:
            if _version(db) == version:  # another process may have been first
                for statement in MIGRATIONS[version].split(";"):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {version + 1}")
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")
    if _version(db) > len(MIGRATIONS):
        raise sqlite3.DatabaseError("it was written by a newer version of ghostroll")


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])
