"""The catalog's derivatives, and which of them are in the store."""

from collections.abc import Iterable, Sequence
from typing import Any

from ghostroll.catalog.database import Database, from_db, insert, to_db, utc_now
from ghostroll.catalog.models import Derivative, RenderState, Shot
from ghostroll.catalog.originals import original_of

_UPLOADED = (
    " AND EXISTS (SELECT 1 FROM uploads u WHERE u.s3_key = d.s3_key AND u.local_sha256 = d.sha256 AND u.store = ?)"
)


class DerivativeQueries(Database):
    """What is asked and recorded of derivatives and of uploads."""

    def record_rendered(self, session_id: str, shots: Iterable[Shot]) -> None:
        """Record derivatives that are on disk."""
        with self._transaction() as db:
            for shot in shots:
                path = to_db(shot.original.path)
                db.execute(
                    "UPDATE originals SET render = ?, captured = ?, camera = ? WHERE session_id = ? AND path = ?",
                    (RenderState.DONE, shot.captured, shot.camera, session_id, path),
                )
                for made in (shot.share, shot.thumb):
                    insert(
                        db, "REPLACE", "derivatives",
                        session_id=session_id, path=path, role=made.role, name=to_db(made.name), s3_key=made.s3_key,
                        sha256=made.sha256, size_bytes=made.size_bytes, width=made.width, height=made.height,
                    )  # fmt: skip

    def render_again(self, session_id: str, paths: Iterable[str]) -> None:
        """Forget some originals' derivatives, so that they are made anew."""
        rows = [(session_id, to_db(path)) for path in paths]
        if not rows:
            return
        with self._transaction() as db:
            db.executemany("DELETE FROM derivatives WHERE session_id = ? AND path = ?", rows)
            db.executemany(
                f"UPDATE originals SET render = '{RenderState.PENDING}' WHERE session_id = ? AND path = ?", rows
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
            if len(both := made.get((original := original_of(row[:6])).path, {})) == 2  # noqa: PLR2004 - share, thumb
        ]

    def _derivatives(self, clause: str, parameters: Sequence[Any]) -> list[Derivative]:
        rows = self._rows(
            "SELECT d.path, d.role, d.name, d.s3_key, d.sha256, d.size_bytes, d.width, d.height, d.rowid"
            " FROM derivatives d " + clause,
            parameters,
        )
        return [Derivative(from_db(row[0]), row[1], from_db(row[2]), *row[3:]) for row in rows]

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
