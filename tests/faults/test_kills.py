"""Killed anywhere, and run again: nothing that was called saved is lost, and the end is as if nothing had happened."""

import os
import random
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.faults.injection import Fault
from tests.faults.scene import Scene, recorded, saved_is_there, spread, tally
from tests.support.appliance import Appliance, terminated, wait_until

if TYPE_CHECKING:
    from tests.faults.ledger import Ledger

FAULTS = (
    "`kill -9` of a run",
    "`kill -9` of a run at any time",
    "`kill -9` of a run, and of the next",
    "`kill -9` of a run, then finished without the card",
    "`kill -9` of `resume`",
    "`kill -9` of `watch`",
)
AT_A_CALL = "at every n-th call that changes the disk, in the place of the call or in the middle of a write"
NEXT_RUN = "status `interrupted`; the next run goes on"

pytestmark = pytest.mark.timeout(3600)


def test_a_run_killed_at_any_call_is_finished_by_the_next(
    scene: Scene, points: int, seed: int, ledger: "Ledger"
) -> None:
    def trial(number: int, at: int) -> bool:
        with scene.appliance(f"kill{number}") as appliance:
            hit = scene.run_under(appliance, Fault("kill", at), *scene.run)
            assert appliance.call("status", "--json").document["state"] != "running"
            saved_is_there(appliance)
            scene.finish(appliance)
            return bool(hit)

    result = tally(spread(points, len(scene.calls), random.Random(seed)), trial)
    recorded(ledger, FAULTS[0], AT_A_CALL, result, NEXT_RUN)


def test_a_run_killed_at_any_time_is_finished_by_the_next(
    scene: Scene, points: int, seed: int, ledger: "Ledger"
) -> None:
    chance = random.Random(seed)

    def trial(number: int, after_seconds: float) -> bool:
        with scene.appliance(f"time{number}") as appliance:
            child = appliance.start(*scene.run)
            time.sleep(after_seconds)
            struck = child.poll() is None
            if struck:
                os.killpg(child.pid, signal.SIGKILL)
            appliance.end(child)
            saved_is_there(appliance)
            scene.finish(appliance)
            return struck

    moments = [chance.uniform(0.1, scene.seconds) for _ in range(max(3, points // 4))]
    recorded(ledger, FAULTS[1], "at random times", tally(moments, trial), NEXT_RUN)


def test_a_run_whose_successor_is_killed_too_is_finished_by_the_third(
    scene: Scene, points: int, seed: int, ledger: "Ledger"
) -> None:
    chance = random.Random(seed + 1)
    count = max(2, points // 6)

    def trial(number: int, both: tuple[int, int]) -> bool:
        with scene.appliance(f"twice{number}") as appliance:
            hits = []
            for at in both:
                hits.append(scene.run_under(appliance, Fault("kill", at), *scene.run))
                saved_is_there(appliance)
            scene.finish(appliance)
            return all(hits)

    first = spread(count, len(scene.calls), chance)
    both = [(at, chance.randint(1, max(2, (len(scene.calls) - at) // 2))) for at in first]
    recorded(ledger, FAULTS[2], AT_A_CALL, tally(both, trial), "status `interrupted`; the run after that goes on")


def test_a_killed_run_is_finished_without_its_card(scene: Scene, points: int, seed: int, ledger: "Ledger") -> None:
    def trial(number: int, at: int) -> bool:
        with scene.appliance(f"cardless{number}") as appliance:
            hit = scene.run_under(appliance, Fault("kill", at), *scene.run)
            saved_is_there(appliance)
            scene.resume(appliance)
            saved_is_there(appliance)
            scene.finish(appliance, without_card=True)
            return bool(hit)

    result = tally(spread(max(3, points // 4), len(scene.calls), random.Random(seed + 2)), trial)
    owner_sees = "`resume` or `watch` shares what was saved; the rest follows when the card is back"
    recorded(ledger, FAULTS[3], AT_A_CALL, result, owner_sees)


def test_resume_killed_at_any_call_is_finished_by_the_next(
    scene: Scene, points: int, seed: int, ledger: "Ledger"
) -> None:
    half = len(scene.calls) // 2

    def trial(number: int, at: int) -> bool:
        with scene.appliance(f"resume{number}") as appliance:
            scene.run_under(appliance, Fault("kill", half), *scene.run)
            hit = scene.run_under(appliance, Fault("kill", at), "resume", "--json")
            saved_is_there(appliance)
            scene.resume(appliance)
            scene.finish(appliance, without_card=True)
            return bool(hit)

    result = tally(spread(max(2, points // 8), half * 3 // 4, random.Random(seed + 3)), trial)
    recorded(ledger, FAULTS[4], AT_A_CALL, result, "status `interrupted`; the next `resume` goes on")


def is_at_rest(appliance: Appliance) -> bool:
    """Tell whether `watch` has read its card and shared all there is."""
    states = appliance.ask("SELECT state, card_read FROM sessions")
    return bool(states) and set(states) == {("shared", 1)} and appliance.status["state"] in ("done", "idle")


def test_watch_killed_while_it_takes_a_card_goes_on_with_it(
    scene: Scene, points: int, seed: int, ledger: "Ledger"
) -> None:
    command = ("watch", "--sd-label", "*")

    def trial(number: int, at: int) -> bool:
        with scene.appliance(f"watch{number}") as appliance:
            child, notes = scene.shim.start(appliance, Fault("kill", at), *command)
            with terminated(child):
                wait_until(lambda: child.poll() is not None or is_at_rest(appliance))
            assert "Traceback" not in appliance.output(child)[1]
            saved_is_there(appliance)
            child = appliance.start(*command)
            with terminated(child):
                wait_until(lambda: is_at_rest(appliance))
            assert appliance.end(child).code == 0
            scene.finish(appliance)
            return notes.exists()

    calls = spread(max(1, points // 24), len(scene.calls) * 9 // 10, random.Random(seed + 4))
    recorded(ledger, FAULTS[5], AT_A_CALL, tally(calls, trial), "status `interrupted`; `watch`, started again, goes on")
