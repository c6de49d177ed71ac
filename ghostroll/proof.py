"""When a card was read: the books are closed, and whether it may be formatted is proven, not assumed."""

from dataclasses import dataclass

from ghostroll import publish, story
from ghostroll.card import Scan, Volume
from ghostroll.errors import CardFailed
from ghostroll.plan import Plan
from ghostroll.rows import Remembered, SessionState
from ghostroll.run import Run
from ghostroll.session import Session
from ghostroll.status import CardState

_COPY_STEPS = frozenset(("scan", "ingest"))


def settle_accounts(run: Run, volume: Volume, found: Scan, plan: Plan, session: Session | None) -> None:
    """Record that a card was read, write its session's checksums, and say whether it may be pulled and formatted."""
    gone = any(isinstance(problem, CardFailed) for problem in run.problems)
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
            if known.sampled
        )
    if session:
        originals = run.catalog.originals(session.session_id)
        if originals:
            publish.write_checksums(session, [(original.sha256, original.path) for original in originals])
        run.catalog.set_card_read(session.session_id, read=not gone)
        run.catalog.set_state(session.session_id, SessionState.INGESTED)
    if gone:
        run.record.change_card(state=CardState.REMOVED)
        return
    proven = _proven(run, volume, found)
    left_out = found.outside or found.unreadable or any(failure.step in _COPY_STEPS for failure in run.failures)
    run.record.change_card(
        state=CardState.SAFE,
        saved=proven.saved,
        safe_to_format=bool(found.files) and not left_out and proven.verified == len(found.files),
    )
    story.card_released(run, proven.saved, proven.verified)


@dataclass(frozen=True)
class _Proven:
    """How many of the card's files have a copy that is on the disk now, and one that was read back from it."""

    saved: int
    verified: int


def _proven(run: Run, volume: Volume, found: Scan) -> _Proven:
    copies = run.catalog.copies_of_card(volume.card_id)
    there = [
        copy
        for file in found.files
        if (copy := copies.get(file.path))
        and copy.size_bytes == file.size_bytes
        and _is_there(run, copy.session_id, copy.path, copy.size_bytes)
    ]
    return _Proven(len(there), sum(copy.verified for copy in there))


def _is_there(run: Run, session_id: str, path: str, size_bytes: int) -> bool:
    original = Session(session_id, run.settings.base_dir, run.settings.s3_prefix_root).originals / path
    try:
        return original.stat().st_size == size_bytes
    except OSError:
        return False
