"""The catalog's originals: which contents are safe, where their copies lie, and what failed."""

from collections.abc import Iterable, Sequence
from typing import Any

from ghostroll.base.media_kind import MediaKind
from ghostroll.catalog.cards import remember
from ghostroll.catalog.database import Database, from_db, insert, to_db, utc_now, words_known
from ghostroll.catalog.models import Original, Remembered, RenderState, SavedFile


class OriginalQueries(Database):
    """What is asked and recorded of originals and of the contents that were saved."""

    def is_ingested(self, sha256: str) -> bool:
        """Tell whether a file of this content was saved in any session."""
        return bool(self._rows("SELECT 1 FROM ingested_files WHERE sha256 = ?", (sha256,)))

    def saved_copy(self, sha256: str) -> tuple[str, str] | None:
        """Return (session id, path below `originals/`) of the copy of this content."""
        rows = self._rows("SELECT session_id, original FROM ingested_files WHERE sha256 = ?", (sha256,))
        return (rows[0][0], from_db(rows[0][1])) if rows else None

    def record_saved(self, session_id: str, card_id: str, saved: Iterable[SavedFile]) -> list[SavedFile]:
        """Record originals that are safe on disk; return those whose content another run recorded first."""
        beaten = []
        with self._transaction() as db:
            for file in saved:
                original = file.original
                path = to_db(original.path)
                is_first = insert(
                    db, "IGNORE", "ingested_files",
                    sha256=original.sha256, size_bytes=original.size_bytes, first_seen_utc=utc_now(),
                    source_hint=to_db(file.card_path), session_id=session_id, original=path, verified=file.verified,
                )  # fmt: skip
                if is_first:
                    insert(
                        db, "REPLACE", "originals",
                        session_id=session_id, path=path, kind=original.kind, size_bytes=original.size_bytes,
                        sha256=original.sha256, name=to_db(original.name), render=original.render,
                    )  # fmt: skip
                else:
                    beaten.append(file)
                remember(db, _remembered(card_id, file))
        return beaten

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

    def has_original(self, session_id: str, path: str) -> bool:
        """Tell whether a session holds an original of this path."""
        return bool(self._rows("SELECT 1 FROM originals WHERE session_id = ? AND path = ?", (session_id, to_db(path))))

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

    def set_render(self, session_id: str, path: str, state: RenderState) -> None:
        """Record how far one original's derivatives are."""
        with self._transaction() as db:
            db.execute(
                "UPDATE originals SET render = ? WHERE session_id = ? AND path = ?", (state, session_id, to_db(path))
            )

    def _originals(self, clause: str, parameters: Sequence[Any]) -> list[Original]:
        rows = self._rows("SELECT path, kind, size_bytes, sha256, name, render FROM originals " + clause, parameters)
        with words_known():
            return [original_of(row) for row in rows]

    def record_failure(self, session_id: str, path: str, step: str, reason: str) -> None:
        """Record what could not be done with one file."""
        with self._transaction() as db:
            insert(
                db, "REPLACE", "failures",
                session_id=session_id, path=to_db(path), step=step, reason=reason, at_utc=utc_now(),
            )  # fmt: skip

    def picture_counts(self) -> dict[str, tuple[int, int]]:
        """Return (originals, pictures) by session id."""
        rows = self._rows("SELECT session_id, count(*), sum(render = 'done') FROM originals GROUP BY session_id")
        return {str(row[0]): (int(row[1]), int(row[2])) for row in rows}


def original_of(row: Sequence[Any]) -> Original:
    """Return the original that a row is of: path, kind, size_bytes, sha256, name, render."""
    path, kind, size_bytes, sha256, name, render = row
    return Original(from_db(path), MediaKind(kind), size_bytes, sha256, from_db(name), RenderState(render))


def _remembered(card_id: str, file: SavedFile) -> Remembered:
    original = file.original
    return Remembered(card_id, file.card_path, original.size_bytes, file.mtime_ns, original.sha256, file.sample_sha256)
