"""What a run tells its owner: the words of its status and log at each turn, and its summary."""

import time
from datetime import datetime

from ghostroll.base.errors import (
    CardEjected,
    CardFailed,
    CardUnreadable,
    GhostrollError,
    Interrupted,
    NotSharedYet,
    VolumeNotFound,
)
from ghostroll.base.log import logger, printable
from ghostroll.base.session_paths import Session
from ghostroll.base.text import counted
from ghostroll.card.scan import Scan
from ghostroll.card.volume import Volume
from ghostroll.ingest.plan import Plan
from ghostroll.pipeline.run import Failure, Run, Summary
from ghostroll.shortlink import registry
from ghostroll.shortlink.registry import Offer
from ghostroll.status.model import Bytes, CardState, Problem, State, Step
from ghostroll.status.run_record import CardPlace

_NAMED_MOST = 5
_EMPTY = "There are no photos on this card."


def card_found(run: Run, volume: Volume, found: Scan) -> None:
    """A card was listed."""
    logger.info("Card %s at %s: %s.", printable(volume.label), printable(str(volume.root)), _files(len(found.files)))
    if found.ignored:
        logger.info("%s of the camera's or a computer's own book-keeping left aside.", _files(found.ignored))
    for unreadable in found.unreadable:
        run.report_failure("", unreadable.path, "scan", unreadable.reason)
    if found.outside:
        names = ", ".join(printable(path) for path in found.outside[:_NAMED_MOST])
        more = ", …" if len(found.outside) > _NAMED_MOST else ""
        logger.warning("Not saved, since outside the media folders: %s: %s%s", _files(len(found.outside)), names, more)
    run.record.change(
        state=State.RUNNING, step=Step.SCAN, message="Looking at the card: keep it in.", place=_place(volume)
    )
    run.record.change_card(
        label=printable(volume.label), device=volume.device, state=CardState.READING, files=len(found.files)
    )
    run.record.add(discovered=len(found.files))


def _place(volume: Volume) -> CardPlace | None:
    medium = volume.medium
    if medium is None:
        return None
    return CardPlace(str(volume.root), medium.device_number, medium.root_inode, medium.diskseq)


def planned(run: Run, plan: Plan) -> None:
    """It is known what has to be read."""
    run.record.add(skipped=len(plan.known), new=len(plan.to_read))
    run.record.change_card(saved=len(plan.known))
    run.record.change(bytes=Bytes(0, plan.bytes_to_read))
    if plan.to_read:
        logger.info("%s to read; %s saved before.", _files(len(plan.to_read)), _files(len(plan.known)))


def session_begun(run: Run, session: Session, volume: Volume, plan: Plan) -> None:
    """A session takes what is new."""
    logger.info(
        "Session %s, receipt %s: %s from card %s.",
        session.session_id,
        session.receipt,
        _files(len(plan.to_read)),
        printable(volume.label),
    )
    run.record.change(step=Step.INGEST)


def card_released(run: Run, saved: int, verified: int) -> None:
    """The card was read; it may be pulled. `saved` and `verified` count its files with copies on the disk now."""
    card = run.record.status.card
    words = {saved: "saved and verified", 0: "saved"}.get(verified, f"saved, {verified} of them verified")
    if saved:
        run.verdict = f"{saved:,} of {_files(card.files)} on the card {'is' if saved == 1 else 'are'} {words}."
        logger.info("Safe to remove card %s: %s", card.label, run.verdict)
    else:
        logger.info("Card %s may be removed.", card.label)
    if card.reason:
        logger.warning("Do not format card %s yet: %s", card.label, card.reason)
    if card.files - saved - sum(failure.step == "ingest" for failure in run.failures) > 0:
        logger.info("What was deleted here is saved again by: ghostroll run --volume DIR --rehash")
    if card.safe_to_format and card.files:
        logger.info("Safe to format card %s: every file on it has a verified copy on this disk.", card.label)


def card_gone(run: Run, error: CardFailed) -> None:
    """The card went before it was read to its end."""
    state = CardState.REMOVED
    if isinstance(error, CardEjected):
        state = CardState.EJECTED
    elif isinstance(error, CardUnreadable):
        state = CardState.REJECTED
    run.record.change_card(state=state, reason=str(error))


def resumed(run: Run, session: Session) -> None:
    """An earlier session goes on."""
    logger.info("Finishing %s.", session.session_id)
    run.record.change(state=State.RUNNING, step=Step.PROCESS, message="Finishing an earlier session.")


def shared(run: Run, session: Session, url: str, expires_at: datetime, terminal_qr: str) -> None:
    """The link works."""
    until = expires_at.astimezone().strftime("%A %d %B %Y, %H:%M")
    logger.info("The link to %s works, until %s:", _pictures(run, session), until)
    logger.info("%s", url)
    logger.debug("The link as a code:\n%s", terminal_qr)


def short_link(url: str, short: Offer) -> None:
    """Which link a panel can show is for its size to decide; here is what it has to choose from."""
    if short.url:
        logger.info(
            "On a panel that is too small for the full link (%d characters) the code is the short one: %s",
            len(url),
            short.url,
        )
    elif short.reason != registry.NOT_SERVED:
        logger.info("There is no short link for panels too small for the full one: %s", short.reason)


def nothing_new(run: Run, volume: Volume) -> Summary:
    """Nothing on the card is new, or nothing of it could be saved."""
    problem = worst_problem(run)
    if problem:
        failed(run, problem)
        return summary(run, None)
    card = run.record.status.card
    copies = run.catalog.copies_of_card(volume.card_id)
    last = run.catalog.latest_share(copy.session_id for copy in copies.values())
    here = run.verdict or "Their copies are no longer on this disk."
    message = f"Nothing new: all {_files(card.files)} on the card came in before. {here}" if card.files else _EMPTY
    if run.failures:
        message = f"Nothing could be saved of {_files(len(run.failures))}; see the log."
    logger.info("%s", message)
    run.record.change(
        state=State.DONE,
        step=Step.DONE,
        message=message,
        progress=1.0,
        link_session_id=last.session_id if last else None,
        url=last.url if last else None,
        short_url=registry.of(run.settings, run.catalog, last).url,
        expires_at=last.expires_utc if last else None,
    )
    return summary(run, None)


def ended(run: Run, session: Session) -> Summary:
    """Everything that could be done is done."""
    problem = worst_problem(run)
    if problem:
        failed(run, problem)
    else:
        counts = run.record.status.counts
        without = _unused(run) if counts.failed else ""
        safe = "Safe to format." if run.record.status.card.safe_to_format else ""
        message = " ".join(filter(None, (f"Done: {_pictures(run, session)} shared.", without, run.verdict, safe)))
        run.record.change(state=State.DONE, step=Step.DONE, message=message, progress=1.0, eta_seconds=0)
        logger.info("%s", message)
    return summary(run, session)


def failed(run: Run, error: GhostrollError) -> None:
    """Something kept the run from its end."""
    waiting = isinstance(error, NotSharedYet)
    state = State.INTERRUPTED if isinstance(error, Interrupted) else State.WAITING if waiting else State.ERROR
    run.record.change(
        state=state,
        message=f"{run.verdict} {error}".strip(),
        eta_seconds=None,
        error=Problem(error.exit_code, str(error), error.hint),
    )
    if isinstance(error, CardFailed):
        card_gone(run, error)
    elif isinstance(error, VolumeNotFound):
        run.record.change_card(state=CardState.REJECTED, reason=str(error))
    elif run.record.status.card.state is CardState.READING:
        run.record.change_card(state=CardState.SAFE, reason="It was not read to its end.")


def worst_problem(run: Run) -> GhostrollError | None:
    """Return the problem whose exit code the run ends with."""
    return next((problem for problem in run.problems if problem.exit_code == run.exit_code), None)


def summary(run: Run, session: Session | None) -> Summary:
    """Return the outcome so far."""
    status = run.record.status
    row = run.catalog.session(session.session_id) if session else None
    counts = status.counts
    return Summary(
        session_id=session.session_id if session else None,
        session_dir=str(session.directory) if session else None,
        state=status.state,
        discovered=counts.discovered,
        new=counts.new,
        skipped=counts.skipped,
        ingested=counts.ingested,
        derived=counts.processed,
        uploaded=counts.uploaded,
        failed=tuple(run.failures),
        bytes=status.bytes.done,
        url=row.url if row else None,
        expires_at=row.expires_utc if row else None,
        seconds=round(time.monotonic() - run.started, 3),
    )


def in_words(failure: Failure) -> str:
    """Say what could not be done with one file, and that nothing is lost where nothing is."""
    if failure.step == "derive":
        return f"No picture from {failure.path}: {failure.reason}. Its original is saved."
    return f"Not saved: {failure.path}: {failure.reason}."


def _unused(run: Run) -> str:
    lost = sum(failure.step != "derive" for failure in run.failures)
    plain = len(run.failures) - lost
    parts = [f"{_files(plain)} gave no picture, but the originals are saved." if plain else ""]
    parts.append(f"{_files(lost)} could not be saved; see the log." if lost else "")
    return " ".join(part for part in parts if part)


def _pictures(run: Run, session: Session) -> str:
    return counted(len(run.catalog.shots(session.session_id)), "picture")


def _files(number: int) -> str:
    return counted(number, "file")
