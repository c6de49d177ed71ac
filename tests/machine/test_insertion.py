"""A card is plugged in, and everything follows by itself."""

import re
import shlex
import time

import pytest

from tests.machine.cardimages import CardMaker
from tests.machine.installed import Installed

RUN = "ghostroll@*.service"
# Refused while anything else holds the device, such as a mount (open(2), O_EXCL).
HOLD = "import os, sys; os.open(sys.argv[1], os.O_RDONLY | os.O_EXCL)"


@pytest.mark.core
def test_a_card_that_is_plugged_in_is_saved_and_shared_by_itself(pi: Installed, make_card: CardMaker) -> None:
    card = make_card(12)
    pi.machine.plug_in_reader(card.image)
    session = pi.wait_for_link(card)
    pi.assert_shared(session, card)
    pi.wait_until_idle()
    pi.assert_safe(card)
    status = pi.status()
    assert (status["state"], status["url"]) == ("done", pi.link_of(session))
    assert (status["card"]["state"], status["card"]["safe_to_format"]) == ("safe", True)
    pi.wait_for("the link on the panel", lambda: pi.codes() == [pi.link_of(session)])


@pytest.mark.core
def test_the_journal_of_the_service_tells_the_story_with_its_link(pi: Installed, make_card: CardMaker) -> None:
    """`journalctl -u ghostroll` matches one unit exactly; the runs are other units."""
    card = make_card(5)
    pi.machine.plug_in_reader(card.image)
    link = pi.link_of(pi.wait_for_link(card))
    pi.wait_for("the link in the journal", lambda: link in pi.journal())
    story = pi.journal()
    assert "5" in story
    assert "Traceback" not in pi.journal("ghostroll*")


def test_the_short_link_leads_to_the_share_also_after_a_reboot(pi: Installed, make_card: CardMaker) -> None:
    card = make_card(3)
    pi.machine.plug_in_reader(card.image)
    session = pi.wait_for_link(card)
    pi.wait_until_idle()
    short_url = pi.status()["short_url"]
    assert re.fullmatch(r"http://[\d.]+/[2-9a-z]{6}", short_url)
    assert pi.opened(short_url) == (302, pi.link_of(session))
    assert pi.opened(short_url[:-1] + "_") == (404, None)
    assert pi.is_active("ghostroll-link.service")
    pi.machine.reboot()
    assert pi.opened(short_url) == (302, pi.link_of(session))
    pi.wait_for("the short link in the status", lambda: pi.status().get("short_url") == short_url)


def test_a_program_that_has_port_80_costs_the_short_link_and_nothing_else(pi: Installed, make_card: CardMaker) -> None:
    card = make_card(3)
    pi.machine.run("systemctl stop ghostroll-link.socket")
    pi.machine.run("systemd-run --unit=another python3 -m http.server --bind 0.0.0.0 80")
    pi.machine.run("bash -c 'until exec 3<>/dev/tcp/127.0.0.1/80; do sleep 0.2; done' 2>&1")
    assert pi.machine.shell.ended("systemctl start ghostroll-link.socket").returncode != 0
    pi.machine.plug_in_reader(card.image)
    pi.assert_shared(pi.wait_for_link(card), card)
    pi.wait_until_idle()
    assert pi.status()["short_url"] is None
    assert "another program has its port" in pi.machine.says("ghostroll doctor")


def test_the_status_the_unit_and_the_journal_follow_the_card(pi: Installed, make_card: CardMaker) -> None:
    card = make_card(12)
    reader = pi.machine.plug_in_reader(card.image)
    reader.slow_down(200_000)
    pi.wait_for("a card that is read", lambda: pi.status().get("card", {}).get("state") == "reading")
    assert pi.status()["state"] == "running"
    asked = "systemctl show --property=StatusText --value ghostroll@sda1"
    pi.wait_for("a unit that tells", lambda: "keep it in" in pi.machine.says(asked))
    reader.slow_down(0)
    pi.wait_for("a card that may be taken out", lambda: pi.status()["card"]["state"] == "safe")
    pi.wait_for("the end", lambda: pi.status()["state"] == "done")
    turns = (
        "Card EOS_DIGITAL: 12 files.",
        "Safe to remove card EOS_DIGITAL: 12 of 12",
        "It may be formatted.",
        "Done: 12 ",
    )
    pi.wait_for("the whole story", lambda: turns[-1] in pi.journal())
    assert sorted(turns, key=pi.journal().find) == list(turns)
    assert all(turn in pi.journal() for turn in turns)


def test_a_card_is_released_as_soon_as_it_was_read(pi: Installed, make_card: CardMaker) -> None:
    """Rendering and uploading go on; the card's owner need not wait for them."""
    card = make_card(12)
    pi.road.up.bytes_a_second = 20_000.0
    pi.machine.plug_in_reader(card.image)
    pi.wait_for("all copies", lambda: pi.saved_count() == 12)
    pi.wait_for("the card's release", lambda: "/cards/" not in pi.machine.says("cat /proc/mounts"))
    assert pi.is_active(RUN), "the release ended the run"
    pi.machine.run(f"python3 -c {shlex.quote(HOLD)} /dev/sda1")
    pi.road.mend()
    pi.assert_shared(pi.wait_for_link(card), card)


@pytest.mark.core
def test_the_same_card_again_brings_nothing_new(pi: Installed, make_card: CardMaker) -> None:
    card = make_card(5)
    reader = pi.machine.plug_in_reader(card.image)
    session = pi.wait_for_link(card)
    pi.wait_until_idle()
    reader.pull()
    pi.wait_for("the card's absence", lambda: not pi.machine.says("ls /dev/sda1"))
    reader.insert(card.image)
    pi.wait_for("a second run", lambda: pi.runs_started() == 2)
    pi.wait_until_idle()
    assert list(pi.originals()) == [session]
    pi.assert_safe(card)


@pytest.mark.core
def test_another_card_in_the_same_reader_gets_a_session_of_its_own(pi: Installed, make_card: CardMaker) -> None:
    first, second = make_card(4), make_card(6)
    reader = pi.machine.plug_in_reader(first.image)
    one = pi.wait_for_link(first)
    pi.wait_until_idle()
    reader.insert(second.image)
    other = pi.wait_for_link(second)
    assert one != other
    pi.assert_shared(other, second)
    pi.assert_safe(first, second)


@pytest.mark.core
def test_a_card_that_is_in_at_boot_is_taken(pi: Installed, make_card: CardMaker) -> None:
    card = make_card(5)
    pi.machine.power_cut()
    pi.machine.ports.add_reader(card.image)
    pi.machine.boot()
    pi.assert_shared(pi.wait_for_link(card), card)
    pi.assert_safe(card)


def test_two_cards_at_once_are_both_saved_and_shared(pi: Installed, make_card: CardMaker) -> None:
    one, other = make_card(5), make_card(7)
    pi.machine.plug_in_reader(one.image)
    pi.machine.plug_in_stick(other.image)
    for card in (one, other):
        pi.assert_shared(pi.wait_for_link(card), card)
    pi.assert_safe(one, other)


def test_only_an_insertion_starts_a_run(pi: Installed, make_card: CardMaker) -> None:
    """Neither a plain change, nor a daemon-reload, nor a new udevd."""
    card = make_card(3)
    pi.machine.plug_in_reader(card.image)
    pi.wait_for_link(card)
    pi.wait_until_idle()
    assert pi.runs_started() == 1
    pi.machine.run("udevadm trigger --settle --action=change /dev/sda /dev/sda1")
    pi.machine.run("systemctl daemon-reload; systemctl restart systemd-udevd; udevadm settle")
    time.sleep(10)
    assert pi.runs_started() == 1
