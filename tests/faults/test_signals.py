"""Asked to end at any moment, a run ends soon, says that it was interrupted, and the next one goes on."""

import random
import signal
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ghostroll.embedded.seaweedfs import free_ports
from tests.faults.scene import DONE, Scene, recorded, saved_is_there, tally
from tests.support.appliance import Appliance, left_overs, tree, wait_until

if TYPE_CHECKING:
    from tests.faults.ledger import Ledger

FAULTS = (
    "SIGTERM (the machine shuts down)",
    "Ctrl-C (SIGINT)",
    "SIGTERM of a run that has the embedded store",
)
NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGTERM)
# Two seconds are promised. A machine that is busy with other tests may take longer: how long it took stands in the
# table, which tests/docs/test_faults_table.py holds to the promise.
HANGS_AFTER_SECONDS = 60.0

pytestmark = pytest.mark.timeout(3600)


EMBEDDED = 2
# On a machine that is busy the embedded store may take longer to begin than a run waits for it.
TRIES = 5


def use_embedded_store(appliance: Appliance) -> None:
    """Take the bucket away: the program then runs a store of its own."""
    for name in ("GHOSTROLL_S3_BUCKET", "GHOSTROLL_S3_ENDPOINT_URL", "GHOSTROLL_S3_REGION"):
        del appliance.environment[name]
    appliance.environment["GHOSTROLL_STORE_PORT"] = str(free_ports(1)[0])


def assert_nothing_serves(appliance: Appliance) -> None:
    with socket.socket() as guest:
        assert guest.connect_ex(("127.0.0.1", int(appliance.environment["GHOSTROLL_STORE_PORT"]))) != 0


def assert_finished(appliance: Appliance, card: Path) -> None:
    """The runs that follow share the whole card, and then there is nothing more to do."""
    for _ in range(TRIES):
        ended = appliance.call("run", "--volume", str(card), "--json")
        assert ended.code in (*DONE, 75), ended.err
        if ended.code in DONE:
            break
    assert ended.code in DONE, ended.err
    (session,) = appliance.sessions()
    # A file's twin is not kept a second time.
    assert set(tree(session / "originals").values()) == set(tree(card).values())
    assert (appliance.ask("SELECT state, card_read FROM sessions"), left_overs(appliance.base)) == ([("shared", 1)], [])
    assert appliance.run(card)["new"] == 0


@pytest.mark.parametrize("which", [0, 1, 2], ids=["SIGTERM", "SIGINT", "SIGTERM-embedded"])
def test_a_run_that_is_asked_to_ends_soon_and_is_finished_by_the_next(
    scene: Scene, points: int, seed: int, ledger: "Ledger", which: int
) -> None:
    chance = random.Random(seed + which)
    longest = []

    def trial(number: int, after_seconds: float) -> bool:
        with scene.appliance(f"signal{which}-{number}") as appliance:
            if which == EMBEDDED:
                use_embedded_store(appliance)
            child = appliance.start(*scene.run)
            wait_until(lambda: appliance.status or child.poll() is not None)  # from here on it hears signals
            time.sleep(after_seconds)
            child.send_signal(NUMBERS[which])
            asked = time.monotonic()
            ended = appliance.end(child, HANGS_AFTER_SECONDS)
            took_seconds = time.monotonic() - asked
            struck = appliance.status["state"] != "done"
            if struck:
                longest.append(took_seconds)
                assert (ended.code, appliance.status["state"]) == (75, "interrupted"), ended.err
            saved_is_there(appliance)
            if which == EMBEDDED:
                assert_nothing_serves(appliance)
                assert_finished(appliance, scene.card)
            else:
                scene.finish(appliance)
            return struck

    moments = [chance.uniform(0.0, scene.seconds * 0.8) for _ in range(max(3, points // 6))]
    result = tally(moments, trial)
    how = f"at random times; the longest run after it took {max(longest, default=0.0):.1f} s to end"
    recorded(ledger, FAULTS[which], how, result, "exit 75, status `interrupted`; the next run goes on")
