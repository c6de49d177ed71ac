"""The network goes and comes back; the power goes at any moment."""

import random
import time
from collections.abc import Callable

import pytest

from tests.machine.cardimages import CardMaker
from tests.machine.installed import Installed

# Seconds after the insertion: at random, but one early, one late, and so on between them.
PULL_THE_PLUG_AFTER = [random.Random(fifth).uniform(2 + 9 * fifth, 11 + 9 * fifth) for fifth in range(5)]

A_DAY_SECONDS = 24 * 3600


@pytest.mark.core
def test_without_a_network_a_card_is_saved_and_later_shared_by_itself(
    pi: Installed, make_card: CardMaker, offline: Callable[[bool], None]
) -> None:
    card = make_card(6)
    offline(True)
    pi.machine.plug_in_reader(card.image)
    pi.wait_for("the saved card", lambda: pi.saved_count() == 6)
    pi.wait_for("a run that leaves the rest", lambda: pi.status()["state"] == "waiting")
    pi.wait_until_idle()
    pi.assert_safe(card)
    assert not pi.machine.says("systemctl list-units --failed --no-legend 'ghostroll*'")
    offline(False)
    pi.assert_shared(pi.wait_for_link(card), card)
    link = pi.link_of(next(iter(pi.originals())))
    pi.wait_for("the link in the journal", lambda: link in pi.journal())
    pi.wait_until_idle()
    status = pi.status()
    assert (status["state"], status["card"]["state"], status["card"]["safe_to_format"]) == ("done", "safe", True)
    assert status["url"] == link, "all of that while the card is still in"


def test_a_network_that_goes_in_the_middle_of_an_upload_costs_nothing(
    pi: Installed, make_card: CardMaker, offline: Callable[[bool], None]
) -> None:
    card = make_card(12)
    pi.road.up.bytes_a_second = 20_000.0
    reader = pi.machine.plug_in_reader(card.image)
    pi.wait_for("the upload", lambda: pi.status().get("counts", {}).get("uploaded"))
    offline(True)
    pi.wait_for("a run that leaves the rest", lambda: pi.status()["state"] == "waiting")
    reader.pull()
    pi.road.mend()
    offline(False)
    pi.assert_shared(pi.wait_for_link(card), card)
    pi.assert_safe(card)


@pytest.mark.parametrize(
    "seconds",
    [
        pytest.param(seconds, marks=pytest.mark.core if fifth == 2 else ())
        for fifth, seconds in enumerate(PULL_THE_PLUG_AFTER)
    ],
    ids="{:.0f} s".format,
)
def test_after_a_power_cut_everything_is_finished_without_a_hand(
    pi: Installed, make_card: CardMaker, seconds: float
) -> None:
    card = make_card(24)
    reader = pi.machine.plug_in_reader(card.image)
    reader.slow_down(400_000)
    time.sleep(seconds)
    pi.machine.power_cut()
    pi.machine.boot()
    session = pi.wait_for_link(card)
    assert list(pi.originals()) == [session]
    pi.assert_shared(session, card)
    pi.wait_until_idle()
    pi.assert_safe(card)


def test_after_a_power_cut_what_was_saved_is_shared_without_the_card(
    pi: Installed, make_card: CardMaker, offline: Callable[[bool], None]
) -> None:
    card = make_card(6)
    offline(True)
    reader = pi.machine.plug_in_reader(card.image)
    pi.wait_for("all copies in the catalog", lambda: len(pi.catalogued()) == 6)
    pi.machine.power_cut()
    reader.card = None
    pi.machine.boot()
    offline(False)
    pi.assert_shared(pi.wait_for_link(card), card)


@pytest.mark.core
def test_a_reboot_in_the_middle_of_an_upload_costs_nothing(pi: Installed, make_card: CardMaker) -> None:
    card = make_card(12)
    pi.road.up.bytes_a_second = 20_000.0
    pi.machine.plug_in_reader(card.image)
    pi.wait_for("the upload", lambda: pi.status().get("counts", {}).get("uploaded"))
    pi.machine.reboot()
    pi.road.mend()
    pi.assert_shared(pi.wait_for_link(card), card)
    pi.wait_until_idle()
    pi.assert_safe(card)


def test_a_clock_that_is_years_behind_delays_no_copy_and_no_link(pi: Installed, make_card: CardMaker) -> None:
    """A Pi has no clock that runs without power, and there may be no time server in reach."""
    card = make_card(4)
    pi.machine.run("systemctl disable --quiet systemd-timesyncd; rm -f /var/lib/systemd/timesync/clock; sync")
    pi.machine.power_cut()
    pi.machine.ports.add_reader(card.image)
    pi.machine.boot(clock="2024-01-01T00:00:00")
    assert int(pi.machine.run("date +%s")) < time.time() - A_DAY_SECONDS  # systemd allows none before its own making
    pi.assert_shared(pi.wait_for_link(card), card)
    pi.assert_safe(card)
