"""The catalog's sessions: how far each is, its card, its share."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from ghostroll.base.log import printable
from ghostroll.base.text import rfc3339
from ghostroll.catalog.database import Database, insert, utc_now, words_known
from ghostroll.catalog.models import SessionRow, SessionState


class SessionQueries(Database):
    """What is asked and recorded of sessions."""

    def create_session(self, session_id: str, *, card_id: str, card_label: str, created_utc: str | None = None) -> bool:
        """Record a new open session; return False if one of this id exists."""
        with self._transaction() as db:
            return insert(
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
        return self._sessions("WHERE url IS NOT NULL AND expires_utc > ? ORDER BY rowid", (rfc3339(moment),))

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
        with words_known():
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
