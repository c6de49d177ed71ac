"""What the catalog remembers of cards, so that a file that is known need not be read again."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from ghostroll.catalog.database import Database, from_db, insert, to_db
from ghostroll.catalog.models import Copy, Remembered

_REMEMBERED = (
    "SELECT c.card_id, c.path, c.size_bytes, c.mtime_ns, c.sha256, c.sample_sha256"
    " FROM card_files c JOIN ingested_files i ON i.sha256 = c.sha256"
)


class CardQueries(Database):
    """What is asked and recorded of the files of cards."""

    def remembered(self, card_id: str) -> dict[str, Remembered]:
        """Return what is remembered of one card, by path; only files that are still catalogued."""
        rows = self._rows(_REMEMBERED + " WHERE card_id = ?", (card_id,))
        return {entry.path: entry for row in rows if (entry := _memory(row))}

    def remembered_elsewhere(self, path: str, size_bytes: int) -> list[Remembered]:
        """Return what is remembered of files with this path and size on any card."""
        rows = self._rows(_REMEMBERED + " WHERE path = ? AND c.size_bytes = ?", (to_db(path), size_bytes))
        return [_memory(row) for row in rows]

    def remember(self, entries: Iterable[Remembered]) -> None:
        """Remember files of a card whose content is known to be saved."""
        with self._transaction() as db:
            for entry in entries:
                remember(db, entry)

    def copies_of_card(self, card_id: str) -> dict[str, Copy]:
        """Return where the copy of each remembered file of a card lies, by the file's path on the card."""
        rows = self._rows(
            "SELECT c.path, i.session_id, i.original, i.size_bytes, i.verified"
            " FROM card_files c JOIN ingested_files i ON i.sha256 = c.sha256 WHERE c.card_id = ?",
            (card_id,),
        )
        return {from_db(row[0]): Copy(row[1], from_db(row[2]), row[3], bool(row[4])) for row in rows}


def remember(db: sqlite3.Connection, entry: Remembered) -> None:
    """Record, within a transaction, what one file of a card was found to be."""
    insert(
        db, "REPLACE", "card_files",
        card_id=entry.card_id, path=to_db(entry.path), size_bytes=entry.size_bytes, mtime_ns=entry.mtime_ns,
        sha256=entry.sha256, sample_sha256=entry.sample_sha256,
    )  # fmt: skip


def _memory(row: Sequence[Any]) -> Remembered:
    return Remembered(row[0], from_db(row[1]), *row[2:])
