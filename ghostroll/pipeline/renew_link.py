"""Signing a past share anew: the page is made again from the catalog, with links that are valid from now on.

Nothing but the page is sent, and neither the card nor the session's directory is needed for it.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from ghostroll.base import text
from ghostroll.base.background import run_in_thread
from ghostroll.base.errors import (
    GhostrollError,
    Interrupted,
    NotSharedYet,
    SessionBusy,
    StoreUnreachable,
    UsageError,
    translate_disk_errors,
)
from ghostroll.base.log import logger
from ghostroll.base.session_paths import Session, session_of
from ghostroll.catalog.manifests import write_manifests
from ghostroll.catalog.models import SessionRow, SessionState, Shot
from ghostroll.pipeline import narration, share
from ghostroll.pipeline.run import Run, Summary
from ghostroll.pipeline.session_work import working_on
from ghostroll.status.model import THUMBNAILS_MOST, Problem, State, Step
from ghostroll.store.retry import Backoff, HighWaterMark

if TYPE_CHECKING:
    from ghostroll.store.s3 import Store

_POLL_SECONDS = 0.2
_MESSAGE = "Signing the link anew."
_AGAIN = "The earlier link stays as it was; ask again when the network is back."


def sign_anew(run: Run, row: SessionRow | None) -> Summary:
    """Make a fresh link to what a session has in the store; what keeps it from that is `run.problems`.

    The status then goes back to what was shown before, with the error beside it: the earlier link may still be good.
    """
    session = session_of(run.settings, row.session_id) if row else None
    try:
        if row is None or session is None:
            raise NotSharedYet("Nothing was shared yet: there is no link to sign anew.")
        with _at_work_on(run, session):
            _sign(run, session, row)
    except GhostrollError as error:
        if isinstance(error, StoreUnreachable):  # `resume` has nothing to do here
            error.hint = _AGAIN
        run.report_problem(error)
        _show_what_was(run, error)
        return _summary(run, row, session)
    return _summary(run, run.catalog.session(row.session_id), session)


@contextmanager
def _at_work_on(run: Run, session: Session) -> Iterator[None]:
    """Work on a session alone; one whose directory was deleted gets no new one."""
    if session.directory.is_dir():
        with ExitStack() as stack:
            try:
                stack.enter_context(working_on(run, session))
            except SessionBusy as error:
                raise NotSharedYet(
                    str(error), hint="It makes a fresh link itself; or ask again when it is done."
                ) from None
            yield
    else:
        run.record.change(session_id=session.session_id, receipt=session.receipt)
        yield


def _sign(run: Run, session: Session, row: SessionRow) -> None:
    if row.url is None:
        raise NotSharedYet(
            f"{row.session_id} is not shared yet.",
            hint=f"`ghostroll resume {row.session_id}` shares it; `ghostroll watch` does so by itself.",
        )
    logger.info("Signing the link to %s anew.", row.session_id)
    run.record.change(state=State.RUNNING, step=Step.PUBLISH, message=_MESSAGE, url=row.url, expires_at=row.expires_utc)
    backoff = Backoff(run.give_up_seconds, run.stop, lambda error: _tell_waiting(run, error), run.heartbeat)
    backoff.begin()
    high_water = HighWaterMark(backoff.made_progress)
    shots = _attend(run, backoff, lambda: backoff.keep_trying(lambda: _open(run, session, row, high_water)))
    if session.directory.is_dir():
        with translate_disk_errors():
            write_manifests(run.catalog, session, state=row.state)
    _show(run, session, shots)


def _attend(run: Run, backoff: Backoff, work: Callable[[], list[Shot]]) -> list[Shot]:
    """Do what may hang in the network in a thread: this one must hear a signal, and goes when backoff is over."""
    done = run_in_thread(work, "sign")
    while not done.done():
        if run.stop.wait(_POLL_SECONDS):
            raise Interrupted("Interrupted. The earlier link stays as it was.", hint="Ask again for a new one.")
        if backoff.is_over and run.link is None:  # a link that works is not given up for what comes after it
            raise StoreUnreachable("The store does not answer.", hint=_AGAIN)
    return done.result()


def _open(run: Run, session: Session, row: SessionRow, high_water: HighWaterMark) -> list[Shot]:
    high_water.begin()
    store = run.open_store()
    shots, zip_bytes = _in_store(run, session, row, store)
    high_water.step()
    with translate_disk_errors():
        share.open_gallery(run, session, store, shots, zip_bytes=zip_bytes, got_through=high_water.step)
    store.settle()
    return shots


def _in_store(run: Run, session: Session, row: SessionRow, store: "Store") -> tuple[list[Shot], int | None]:
    """Return the pictures that the store has, and the size of the zip if it is there.

    Where some are missing and can be sent again, the session counts as unfinished: raises NotSharedYet.
    """
    uploads = run.catalog.uploads(session.key_prefix, store.identity)
    listed = store.listing(session.key_prefix)
    there = {key for key, size_bytes in uploads.items() if listed is None or listed.get(key) == size_bytes}
    wanted = run.catalog.shots(session.session_id)
    shots = [shot for shot in wanted if {_share_key(session, shot), _thumbnail_key(session, shot)} <= there]
    is_whole = row.state in (SessionState.SHARED, SessionState.ABANDONED)
    zip_bytes = uploads[session.zip_key] if is_whole and session.zip_key in there else None
    missing = len(wanted) - len(shots)
    if missing and row.state is SessionState.SHARED and session.directory.is_dir():
        run.catalog.forget_uploads(uploads.keys() - there)
        run.catalog.set_state(session.session_id, SessionState.INGESTED)
        raise NotSharedYet(
            f"{missing:,} of the {len(wanted):,} pictures of {session.session_id} are not in the store any more."
        )
    if missing and not shots:
        raise UsageError(f"No picture of {session.session_id} is left in the store, nor on this disk.")
    if missing:
        logger.warning("%d pictures are not in the store, and not on the page.", missing)
    return shots, zip_bytes


def _share_key(session: Session, shot: Shot) -> str:
    return session.share_key(shot.share.name)


def _thumbnail_key(session: Session, shot: Shot) -> str:
    return session.thumbnail_key(shot.thumb.name)


def _tell_waiting(run: Run, error: StoreUnreachable | None) -> None:
    run.record.change(message=f"{error} It is tried again." if error else _MESSAGE)


def _show(run: Run, session: Session, shots: list[Shot]) -> None:
    """Let the panel show the share as it does after its card."""
    counts = replace(run.record.status.counts, processed=len(shots))
    pictures = (session.thumbnail(shot.thumb.name) for shot in shots[:THUMBNAILS_MOST])
    thumbnails = tuple(str(picture) for picture in pictures if picture.exists())
    message = f"Done: {text.counted(len(shots), 'picture')} shared anew."
    run.record.change(
        state=State.DONE, step=Step.DONE, message=message, progress=1.0, counts=counts, thumbnails=thumbnails
    )
    logger.info("%s", message)


def _show_what_was(run: Run, error: GhostrollError) -> None:
    run.record.change(
        state=State.IDLE,
        step=Step.WATCH,
        message="The link was not signed anew.",
        session_id=None,
        session_dir=None,
        receipt=None,
        url=None,
        short_url=None,
        expires_at=None,
        error=Problem(error.exit_code, str(error), error.hint),
    )


def _summary(run: Run, row: SessionRow | None, session: Session | None) -> Summary:
    """Return the outcome; there is a link in it only if it is a fresh one."""
    problem = narration.worst_problem(run)
    is_waiting = isinstance(problem, NotSharedYet)
    state = (State.WAITING if is_waiting else State.ERROR) if problem else State.DONE
    fresh = row if row and not problem else None
    return Summary(
        session_id=row.session_id if row else None,
        session_dir=str(session.directory) if session and session.directory.is_dir() else None,
        state=state,
        discovered=0,
        new=0,
        skipped=0,
        ingested=0,
        derived=0,
        uploaded=0,
        failed=(),
        bytes=0,
        url=fresh.url if fresh else None,
        expires_at=fresh.expires_utc if fresh else None,
        seconds=round(time.monotonic() - run.started, 3),
    )
