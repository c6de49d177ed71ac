"""A machine without a clock of its own: it wakes in 1970, and jumps when the network tells the time."""

from pathlib import Path

import pytest

from tests.faults.ledger import Ledger
from tests.faults.outcome import assert_saved_is_there
from tests.support.appliance import Appliance, make_card, tree, wait_until

FAULTS = ("clock: wrong by decades", "clock: jumps while a card is read")
HOW = "libfaketime"
LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
# Link and upload need the right time; saving must not.
SAVED = (0, 75)

# "" is the right time.
MOMENTS = ("1980-01-01 00:00:00", "", "1970-01-01 00:00:05", "2107-12-31 23:59:50", "", "1980-01-01 00:00:00")

pytestmark = pytest.mark.skipif(not LIBRARIES, reason="libfaketime is not installed")


def clock(**settings: str) -> dict[str, str]:
    """Return the environment of a program with a false clock (faketime(1)); what only ever rises is left alone."""
    return {"LD_PRELOAD": str(LIBRARIES[0]), "FAKETIME_DONT_FAKE_MONOTONIC": "1", **settings}


def set_to(moment: str) -> dict[str, str]:
    """Return the environment in which a program's clock starts at a moment."""
    return clock(FAKETIME=f"@{moment}") if moment else {}


def test_sessions_stay_apart_and_in_order_whatever_the_clock_says(
    appliance: Appliance, tmp_path: Path, points: int, ledger: Ledger
) -> None:
    ids = []
    for number, moment in enumerate(MOMENTS[: max(3, points // 4)]):
        card = make_card(tmp_path / f"card{number}", range(10 * number, 10 * number + 2), (300, 200))
        ended = appliance.call("run", "--volume", str(card), "--json", **set_to(moment))
        assert ended.code in SAVED, ended.err
        ids.append(ended.document["session_id"])
        assert tree(appliance.base / ids[-1] / "originals") == tree(card)
        assert appliance.status["card"]["safe_to_format"]
        record(ledger, FAULTS[0], "nothing: sessions keep their order")
        again = appliance.call("run", "--volume", str(tmp_path / "card0"), "--json", **set_to(moment))
        assert (again.code, again.document["session_id"], again.document["new"]) == (0, None, 0)
    assert ids == sorted(set(ids))
    assert assert_saved_is_there(appliance) == 2 * len(ids)


@pytest.mark.parametrize("jump", ["-20000d", "+20000d"])
def test_a_clock_that_jumps_while_a_card_is_read_costs_no_file(
    appliance: Appliance, tmp_path: Path, jump: str, ledger: Ledger
) -> None:
    card = make_card(tmp_path / "card", range(30))
    hand = tmp_path / "hand"
    hand.write_text("+0d\n")
    following = clock(FAKETIME_TIMESTAMP_FILE=str(hand), FAKETIME_NO_CACHE="1")
    child = appliance.start("run", "--volume", str(card), "--json", **following)
    wait_until(lambda: appliance.count("ingested_files") or child.poll() is not None)
    hand.write_text(f"{jump}\n")
    ended = appliance.end(child)
    assert ended.code in SAVED, ended.err
    (session,) = appliance.sessions()
    assert tree(session / "originals") == tree(card)
    assert appliance.run(card)["new"] == 0
    assert assert_saved_is_there(appliance) == 30
    assert appliance.ask("SELECT state FROM sessions") == [("shared",)]
    record(ledger, FAULTS[1], "nothing, or exit 75 and a link from the next run")


def record(ledger: Ledger, fault: str, owner_sees: str) -> None:
    ledger.record(fault=fault, how=HOW, times=1, survived=1, owner_sees=owner_sees)
