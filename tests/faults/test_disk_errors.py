"""A disk that is full, fails or turns read-only at any call: the run ends in good order, and the next one completes."""

import json
import random
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.faults.injection import Fault
from tests.faults.scene import Scene, recorded, saved_is_there, spread, tally
from tests.support.appliance import Appliance, Ended

if TYPE_CHECKING:
    from tests.faults.ledger import Ledger

FAULTS = (
    "no room on the disk, once",
    "no room on the disk, from then on",
    "the disk fails to read or write (EIO), once",
    "the disk fails to read or write (EIO), from then on",
    "the disk turns read-only, once",
    "the disk turns read-only, from then on",
    "the disk fails while `resume` works",
)
KINDS = ("ENOSPC", "EIO", "EROFS")
# Done, done but for some files, the disk cannot be written, saved but not shared: docs/reliability.md.
DOCUMENTED = (0, 3, 73, 75)
HANGS_AFTER_SECONDS = 60.0

pytestmark = pytest.mark.timeout(3600)


def assert_ended_well(appliance: Appliance, ended: Ended) -> None:
    """The exit code is one that is documented, nothing was called saved that is not, stderr is for its reader."""
    assert ended.code in DOCUMENTED, (ended.code, ended.err)
    for alien in ("Traceback", "Logging error", "Exception ignored", "Exception in thread"):
        assert alien not in ended.err, ended.err
    saved = saved_is_there(appliance)
    told = json.loads(ended.out or "[]")
    for summary in told if isinstance(told, list) else [told]:
        assert summary["ingested"] <= saved, (summary, saved)
    if appliance.status.get("card", {}).get("safe_to_format"):
        with closing(sqlite3.connect(f"file:{appliance.database}?mode=ro", uri=True)) as catalog:
            (verified,) = catalog.execute("SELECT count(*) FROM ingested_files WHERE verified").fetchone()
        assert verified == saved > 0
    if ended.code == 73:
        assert "disk" in ended.err.lower() or "catalog cannot be" in ended.err.lower(), ended.err


@pytest.mark.parametrize("number", range(6), ids=[f"{kind}-{how}" for kind in KINDS for how in ("once", "on")])
def test_a_disk_that_fails_at_any_call_ends_the_run_in_good_order(
    scene: Scene, points: int, seed: int, ledger: "Ledger", number: int
) -> None:
    kind, lasts = KINDS[number // 2], bool(number % 2)
    codes = set()

    def trial(point: int, at: int) -> bool:
        with scene.appliance(f"disk{number}-{point}") as appliance:
            child, notes = scene.shim.start(appliance, Fault(kind, at, lasts), *scene.run)
            ended = appliance.end(child, HANGS_AFTER_SECONDS)
            codes.add(ended.code)
            assert_ended_well(appliance, ended)
            scene.finish(appliance)
            return notes.exists()

    calls = spread(max(3, points // 3), len(scene.calls), random.Random(seed + number))
    how = f"{kind} at every n-th call that changes the disk" + (" and at all that follow" if lasts else "")
    recorded(ledger, FAULTS[number], how, tally(calls, trial), in_words(codes))


def test_a_disk_that_fails_while_a_session_is_finished_ends_that_in_good_order(
    scene: Scene, points: int, seed: int, ledger: "Ledger"
) -> None:
    half = len(scene.calls) // 2
    codes = set()

    def trial(point: int, fault: Fault) -> bool:
        with scene.appliance(f"resumed{point}") as appliance:
            scene.run_under(appliance, Fault("kill", half), *scene.run)
            child, notes = scene.shim.start(appliance, fault, "resume", "--json")
            ended = appliance.end(child, HANGS_AFTER_SECONDS)
            codes.add(ended.code)
            assert_ended_well(appliance, ended)
            scene.resume(appliance)
            scene.finish(appliance, without_card=True)
            return notes.exists()

    calls = spread(max(3, points // 5), half * 3 // 4, random.Random(seed + 6))
    faults = [Fault(KINDS[point % 3], at, bool(point // 3 % 2)) for point, at in enumerate(calls)]
    how = "ENOSPC, EIO and EROFS in turns, once and from then on, at every n-th call that changes the disk"
    recorded(ledger, FAULTS[6], how, tally(faults, trial), in_words(codes))


def in_words(codes: set[int]) -> str:
    return f"exit {', '.join(map(str, sorted(codes)))}; the disk is named where it kept the run from its end"
