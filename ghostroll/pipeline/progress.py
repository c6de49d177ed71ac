"""How far a session is, in the words and numbers of its status."""

import time
from dataclasses import dataclass

from ghostroll.base.errors import StoreUnreachable
from ghostroll.base.log import logger
from ghostroll.base.session_paths import Session
from ghostroll.base.text import counted
from ghostroll.catalog.models import RenderState
from ghostroll.pipeline.run import Run
from ghostroll.status.model import CardState, State, Step

# How much of the whole each part is taken to be; only the feeling of the bar depends on it.
_READ, _RENDERED, _UPLOADED = 0.4, 0.3, 0.3
# Too early an estimate is worse than none.
_LEAST_PROGRESS, _LEAST_SECONDS = 0.03, 2.0
_TELL_SECONDS = 0.5
_LOG_SECONDS = 10.0


@dataclass
class Progress:
    """Tells the status, and now and then the log, how far a session is."""

    run: Run
    session: Session
    waiting_for_store: StoreUnreachable | None = None
    _told_at: float = 0.0
    _logged_at: float = 0.0
    _logged: str = ""

    def tell(self, *, saving: bool, rendering: bool) -> None:
        """Bring the status up to date, at most twice a second."""
        now = time.monotonic()
        if now - self._told_at < _TELL_SECONDS:
            return
        self._told_at = now
        if not saving and self.run.slot and self.run.slot.is_ejected:
            self.run.record.change_card(state=CardState.EJECTED)
        step, message = self._words(saving=saving, rendering=rendering)
        done = self._done()
        waiting = self.waiting_for_store is not None and not saving and not rendering
        self.run.record.change(
            state=State.WAITING if waiting else State.RUNNING,
            step=step,
            message=message,
            progress=round(done, 4),
            eta_seconds=None if waiting else self._eta_seconds(done, now),
        )
        if message != self._logged and now - self._logged_at > _LOG_SECONDS:
            self._logged, self._logged_at = message, now
            logger.info("%s", message)

    def _words(self, *, saving: bool, rendering: bool) -> tuple[Step, str]:
        status = self.run.record.status
        if saving:
            return (
                Step.INGEST,
                f"Reading card {status.card.label}: keep it in. {status.card.saved} of {status.card.files} saved.",
            )
        saved = f"Safe to remove: {self.run.verdict} " if self.run.verdict else ""
        if rendering:
            return Step.PROCESS, f"{saved}{counted(status.counts.processed, 'picture')} made ready."
        if self.waiting_for_store is not None:
            return Step.UPLOAD, f"{saved}Waiting to share. {self.waiting_for_store}"
        sent = f": {counted(status.counts.uploaded, 'file')} sent" if status.counts.uploaded else ""
        return Step.UPLOAD, f"{saved}Sending the pictures{sent}."

    def _done(self) -> float:
        status = self.run.record.status
        catalog, session_id = self.run.catalog, self.session.session_id
        pending = catalog.count_renders(session_id, RenderState.PENDING)
        pictures = pending + catalog.count_renders(session_id, RenderState.DONE)
        read = status.bytes.done / status.bytes.total if status.bytes.total else 1.0
        rendered = 1 - pending / pictures if pictures else 1.0
        uploaded = min(1.0, status.counts.uploaded / (2 * pictures)) if pictures else 1.0
        # Until the card is read, the pictures on it are only partly known.
        return _READ * read + min(read, 1.0) * (_RENDERED * rendered + _UPLOADED * uploaded)

    def _eta_seconds(self, done: float, now: float) -> int | None:
        elapsed = now - self.run.started
        if done < _LEAST_PROGRESS or elapsed < _LEAST_SECONDS:
            return None
        return round(elapsed / done * (1 - done))
