"""What a card has come to: files, catalog and objects, such that an undisturbed run and a disturbed one are equal."""

import contextlib
import hashlib
import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.appliance import Appliance, get, lasting, left_overs, links, objects

if TYPE_CHECKING:
    from tests.support.served import Served

Row = tuple[Any, ...]

# Of each table, what is the same however often the card was interrupted; times, ids and links are a run's own.
CATALOG = {
    "sessions": "SELECT state, card_id, card_label, card_read, url IS NOT NULL, expires_utc IS NOT NULL FROM sessions",
    "ingested_files": "SELECT sha256, size_bytes, source_hint, original, verified FROM ingested_files",
    "originals": "SELECT path, kind, size_bytes, sha256, name, render, captured, camera FROM originals",
    "derivatives": "SELECT path, role, name, substr(s3_key, length(?) + 1), sha256, size_bytes, width, height"
    " FROM derivatives",
    # The page holds links that are signed anew each time.
    "uploads": "SELECT substr(s3_key, length(?) + 1), iif(s3_key LIKE '%/index.html', '', local_sha256),"
    " iif(s3_key LIKE '%/index.html', 0, size_bytes), store FROM uploads",
    "card_files": "SELECT card_id, path, size_bytes, mtime_ns, sha256, sample_sha256 FROM card_files",
    "failures": "SELECT path, step, reason FROM failures",
}


@dataclass(frozen=True)
class Outcome:
    """Files by path below the session, rows by table, objects (ETag, size) by key below the session's prefix."""

    files: dict[str, str]
    rows: dict[str, list[Row]]
    objects: dict[str, tuple[str, int]]


def outcome(appliance: Appliance, served: "Served") -> Outcome:
    """Return what the one session of an appliance has come to; asserts that it is one, and nothing is left over."""
    (session,) = appliance.sessions()
    assert appliance.ask("SELECT session_id FROM sessions") == [(session.name,)]
    left = left_overs(appliance.base)
    assert left == [], left
    prefix = f"{appliance.prefix_root}{session.name}/"
    everything = objects(served, appliance.prefix_root)
    foreign = [key for key in everything if not key.startswith(f"{session.name}/")]
    assert foreign == [], "objects of a session that is not there"
    found = objects(served, prefix)
    found["index.html"] = ("", 0) if "index.html" in found else ("missing", 0)
    return Outcome(lasting(session), {table: rows_of(appliance, table, prefix) for table in CATALOG}, found)


def rows_of(appliance: Appliance, table: str, prefix: str) -> list[Row]:
    """Return a table of the catalog without what is a run's own, in a fixed order."""
    question = CATALOG[table]
    with contextlib.closing(sqlite3.connect(f"file:{appliance.database}?mode=ro", uri=True, timeout=10)) as catalog:
        return sorted(catalog.execute(question, (prefix,) * question.count("?")), key=repr)


def assert_equal(found: Outcome, undisturbed: Outcome, *, taken_in: bool = False) -> None:
    """Compare part by part, so that a failure names the part.

    `taken_in`: the session was finished without its card in between, so that copies may be there that were never
    compared with it (`verified` is 0), which is said, and no fault.
    """
    assert found.files == undisturbed.files
    for table, rows in undisturbed.rows.items():
        mine = found.rows[table]
        if taken_in and table == "ingested_files":
            mine, rows = [row[:-1] for row in mine], [row[:-1] for row in rows]  # noqa: PLW2901
        assert mine == rows, table
    assert found.objects == undisturbed.objects


def assert_shared(appliance: Appliance) -> None:
    """The link opens the page, each link on the page opens, and the status says so."""
    (session,) = appliance.sessions()
    page = get((session / "share.txt").read_text().strip())
    assert page.status == 200
    dangling = [link for link in links((session / "index.s3.html").read_text()) if is_dangling(link)]
    assert dangling == []
    assert (appliance.status["state"], appliance.status["error"]) == ("done", None)


def is_dangling(link: str) -> bool:
    return link.startswith("http") and get(link).status != 200


def assert_whole(
    appliance: Appliance, served: "Served", card: Path, undisturbed: Outcome, *, taken_in: bool = False
) -> None:
    """The end is that of an undisturbed run, and another run finds nothing new."""
    assert_equal(outcome(appliance, served), undisturbed, taken_in=taken_in)
    assert_shared(appliance)
    again = appliance.run(card)
    assert (again["session_id"], again["new"], again["failed"]) == (None, 0, [])
    assert_equal(outcome(appliance, served), undisturbed, taken_in=taken_in)


def assert_saved_is_there(appliance: Appliance) -> int:
    """Each file that the catalog calls ingested lies on the disk with its SHA-256; return how many there are."""
    if not appliance.database.exists():
        return 0
    with contextlib.closing(sqlite3.connect(appliance.database, timeout=10)) as catalog:
        assert catalog.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert catalog.execute("PRAGMA foreign_key_check").fetchall() == []
        tables = {name for (name,) in catalog.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "ingested_files" not in tables:
            return 0  # cut off before it was made
        catalog.text_factory = os.fsdecode  # names that are no UTF-8 are kept as blobs or text
        saved = catalog.execute("SELECT session_id, original, sha256 FROM ingested_files").fetchall()
    for session_id, path, sha256 in saved:
        copy = appliance.base / session_id / "originals" / os.fsdecode(path)
        with copy.open("rb") as content:
            assert hashlib.file_digest(content, "sha256").hexdigest() == sha256, copy
    return len(saved)
