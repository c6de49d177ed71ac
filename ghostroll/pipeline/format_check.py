"""When a card was read: the books are closed, and whether it may be formatted is proven, not assumed."""

from collections.abc import Iterable
from dataclasses import dataclass

from ghostroll.base import durable
from ghostroll.base.errors import CardFailed, translate_disk_errors
from ghostroll.base.log import printable
from ghostroll.base.session_paths import Session, session_of
from ghostroll.base.text import counted
from ghostroll.card.scan import Scan
from ghostroll.card.volume import Volume
from ghostroll.catalog.manifests import write_manifests
from ghostroll.catalog.models import Remembered, SessionState
from ghostroll.ingest.plan import Plan
from ghostroll.pipeline import narration
from ghostroll.pipeline.run import Run
from ghostroll.status.model import CardState

# What a panel has room for.
_NAMED_MOST = 5


def conclude_card(run: Run, volume: Volume, found: Scan, plan: Plan, session: Session | None) -> None:
    """Record that a card was read, write its session's checksums, and say whether it may be pulled and formatted."""
    ended = next((problem for problem in run.problems if isinstance(problem, CardFailed)), None)
    gone = ended is not None
    if not gone:
        run.catalog.remember(
            Remembered(
                volume.card_id,
                known.file.path,
                known.file.size_bytes,
                known.file.mtime_ns,
                known.sha256,
                known.sample_sha256,
            )
            for known in plan.known
            if known.is_sample_verified
        )
    if session:
        run.catalog.set_card_read(session.session_id, read=not gone)
        run.catalog.set_state(session.session_id, SessionState.INGESTED)
        if run.catalog.originals(session.session_id):
            write_manifests(run.catalog, session)
    if run.slot:
        with translate_disk_errors():
            run.slot.release()
    if ended:
        narration.card_gone(run, ended)
        return
    proven = _proven(run, volume, found)
    reasons = _reasons_to_keep(run, found, proven)
    run.record.change_card(
        state=CardState.SAFE,
        saved=proven.saved,
        safe_to_format=bool(found.files) and proven.verified == len(found.files) and not reasons,
        reason=" ".join(reasons) or None,
    )
    narration.card_released(run, proven.saved, proven.verified)


def _reasons_to_keep(run: Run, found: Scan, proven: "_Proven") -> list[str]:
    """Return, as sentences for the owner, why a card must not be formatted yet."""
    failed = sorted({failure.path for failure in run.failures if failure.step == "ingest"})
    gone = len(found.files) - proven.saved - len(failed)
    unproven = proven.saved - proven.verified
    return [
        reason
        for number, reason in (
            (len(failed), f"{_files(len(failed))} could not be saved: {_named(failed)}."),
            (len(found.unreadable), f"These could not be read: {_named(each.path for each in found.unreadable)}."),
            (gone, f"{_files(gone)} came in before, but the copies are no longer on this disk."),
            (unproven, _unproven(run, unproven, proven.saved)),
            (len(found.outside), f"{_files(len(found.outside))} outside the media folders {_outside(found.outside)}."),
        )
        if number > 0
    ]


def _unproven(run: Run, unproven: int, saved: int) -> str:
    if not unproven:
        return ""
    if durable.is_memory_filesystem(run.settings.base_dir):
        return "The copies lie in memory, not on a disk."
    return "The copies were not verified." if unproven == saved else f"{_copies(unproven)} not verified."


def _copies(number: int) -> str:
    return f"{counted(number, 'copy')} was" if number == 1 else f"{number:,} copies were"


def _outside(paths: tuple[str, ...]) -> str:
    return f"{'was' if len(paths) == 1 else 'were'} not saved: {_named(paths)}"


def _files(number: int) -> str:
    return counted(number, "file")


def _named(paths: Iterable[str]) -> str:
    names = [printable(path) or "/" for path in paths]
    more = f" and {len(names) - _NAMED_MOST} more" if len(names) > _NAMED_MOST else ""
    return ", ".join(names[:_NAMED_MOST]) + more


@dataclass(frozen=True)
class _Proven:
    """How many of the card's files have a copy that is on the disk now, and one that was read back from it."""

    saved: int
    verified: int


def _proven(run: Run, volume: Volume, found: Scan) -> _Proven:
    copies = run.catalog.copies_of_card(volume.card_id)
    there = []
    for file in found.files:
        run.heartbeat()
        copy = copies.get(file.path)
        if copy and copy.size_bytes == file.size_bytes and _is_there(run, copy.session_id, copy.path, copy.size_bytes):
            there.append(copy)
    return _Proven(len(there), sum(copy.verified for copy in there))


def _is_there(run: Run, session_id: str, path: str, size_bytes: int) -> bool:
    original = session_of(run.settings, session_id).originals / path
    try:
        return original.stat().st_size == size_bytes
    except OSError:
        return False
