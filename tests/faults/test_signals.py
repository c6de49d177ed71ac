"""Asked to end at any moment, a run ends soon, says that it was interrupted, and the next one goes on."""

import random
import signal
import time
from typing import TYPE_CHECKING

import pytest
from helpers import wait_until
from scene import Scene, recorded, saved_is_there, tally

if TYPE_CHECKING:
    from ledger import Ledger

FAULTS = ("SIGTERM (the machine shuts down)", "Ctrl-C (SIGINT)")
NUMBERS = (signal.SIGTERM, signal.SIGINT)
# Two seconds are promised; the machine that tests may be busy.
ENDS_WITHIN_SECONDS = 5.0

pytestmark = pytest.mark.timeout(3600)


@pytest.mark.parametrize("which", [0, 1], ids=["SIGTERM", "SIGINT"])
def test_a_run_that_is_asked_to_ends_soon_and_is_finished_by_the_next(
    scene: Scene, points: int, seed: int, ledger: "Ledger", which: int
) -> None:
    chance = random.Random(seed + which)
    longest = []

    def trial(number: int, after_seconds: float) -> bool:
        with scene.appliance(f"signal{which}-{number}") as appliance:
            child = appliance.start(*scene.run)
            wait_until(lambda: appliance.status or child.poll() is not None)  # from here on it hears signals
            time.sleep(after_seconds)
            child.send_signal(NUMBERS[which])
            asked = time.monotonic()
            ended = appliance.end(child)
            took_seconds = time.monotonic() - asked
            assert took_seconds < ENDS_WITHIN_SECONDS
            struck = appliance.status["state"] != "done"
            if struck:
                longest.append(took_seconds)
                assert (ended.code, appliance.status["state"]) == (75, "interrupted"), ended.err
            saved_is_there(appliance)
            scene.finish(appliance)
            return struck

    moments = [chance.uniform(0.0, scene.seconds * 0.8) for _ in range(max(3, points // 6))]
    result = tally(moments, trial)
    how = f"at random times; the longest run after it took {max(longest, default=0.0):.1f} s to end"
    recorded(ledger, FAULTS[which], how, result, "exit 75, status `interrupted`; the next run goes on")
