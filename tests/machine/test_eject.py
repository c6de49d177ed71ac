"""The owner wants the card: by command, by button, at any time."""

import pytest

from tests.machine.cardimages import CardMaker
from tests.machine.installed import Installed

BUTTON_LINE = 5  # the setting's default
SLOW = 150_000
SLOWER = 20_000  # the command itself takes its time to start, emulated
REQUEST = "runuser -u ghostroll -- touch /run/ghostroll/requests/eject"

in_each_way = pytest.mark.parametrize("way", [pytest.param("command", marks=pytest.mark.core), "button"])


def ask(pi: Installed, way: str) -> None:
    if way == "command":
        pi.asks("eject")
    else:
        pi.machine.hold_button(BUTTON_LINE, seconds=0.1)


def is_mounted(pi: Installed) -> bool:
    return "/run/ghostroll/cards/" in pi.machine.says("cat /proc/mounts")


def wait_until_ejected(pi: Installed) -> None:
    pi.wait_for("a card that is ejected", lambda: pi.status()["card"]["state"] == "ejected")
    assert not is_mounted(pi)


@in_each_way
def test_a_finished_card_is_ejected_and_the_next_one_is_seen(pi: Installed, make_card: CardMaker, way: str) -> None:
    first, second = make_card(3), make_card(4)
    reader = pi.machine.plug_in_reader(first.image)
    pi.wait_for_link(first)
    pi.wait_until_idle()
    ask(pi, way)
    wait_until_ejected(pi)
    pi.wait_for("it in the journal", lambda: "is ejected: it is safe to remove" in pi.journal())
    assert pi.status()["url"], "its link is not taken away"
    reader.insert(second.image)
    pi.assert_shared(pi.wait_for_link(second), second)
    pi.assert_safe(first, second)


@in_each_way
def test_a_card_ejected_while_it_is_read_goes_on_when_it_is_back(pi: Installed, make_card: CardMaker, way: str) -> None:
    card = make_card(24)
    reader = pi.machine.plug_in_reader(card.image)
    reader.slow_down(SLOW)
    pi.wait_for_saved(at_least=2, below=24)
    reader.slow_down(SLOWER)
    ask(pi, way)
    pi.wait_for("the card's release", lambda: not is_mounted(pi))
    assert pi.saved_count() < 24
    wait_until_ejected(pi)
    assert not pi.status()["card"]["safe_to_format"]
    pi.wait_until_idle()
    reader.slow_down(0)
    reader.insert(card.image)
    session = pi.wait_for_link(card)
    assert list(pi.originals()) == [session]
    pi.assert_safe(card)


@in_each_way
def test_an_eject_while_uploading_leaves_the_upload_alone(pi: Installed, make_card: CardMaker, way: str) -> None:
    card = make_card(12)
    pi.road.up.bytes_a_second = 20_000.0
    pi.machine.plug_in_reader(card.image)
    pi.wait_for("the card's release", lambda: pi.saved_count() == 12 and not is_mounted(pi))
    ask(pi, way)
    wait_until_ejected(pi)
    assert pi.is_active("ghostroll@*.service")
    pi.road.mend()
    pi.assert_shared(pi.wait_for_link(card), card)


@pytest.mark.core
def test_a_request_survives_being_made_ten_times(pi: Installed, make_card: CardMaker) -> None:
    first, second = make_card(3), make_card(4)
    reader = pi.machine.plug_in_reader(first.image)
    pi.wait_for_link(first)
    pi.wait_until_idle()
    for _ in range(10):
        pi.machine.run(REQUEST)
    pi.wait_for("an empty letter box", lambda: not pi.machine.says("ls /run/ghostroll/requests"))
    assert pi.is_active("ghostroll-eject.path")
    reader.insert(second.image)
    pi.wait_for_link(second)
    pi.wait_until_idle()
    pi.machine.run(REQUEST)
    wait_until_ejected(pi)


def test_without_a_card_an_eject_does_nothing(pi: Installed) -> None:
    assert "no card" in pi.asks("eject")
    pi.wait_for("an empty letter box", lambda: not pi.machine.says("ls /run/ghostroll/requests"))
    assert (pi.status()["state"], pi.status()["card"]["state"]) == ("idle", "none")


def test_a_release_that_comes_too_late_spares_the_card_that_took_the_other_s_place(
    pi: Installed, make_card: CardMaker
) -> None:
    card = make_card(12)
    reader = pi.machine.plug_in_reader(card.image)
    reader.slow_down(SLOW)
    pi.wait_for_saved(at_least=1, below=12)
    of_another = "echo 999999 > /run/ghostroll/requests/release-sda1"
    for strange in (
        of_another,
        "ln -s /dev/zero /run/ghostroll/requests/release-sda2",
        "mkfifo /run/ghostroll/requests/x",
    ):
        pi.machine.run(f"runuser -u ghostroll -- sh -c '{strange}'")
    pi.wait_for("an empty letter box", lambda: not pi.machine.says("ls /run/ghostroll/requests"))
    assert is_mounted(pi)
    reader.slow_down(0)
    session = pi.wait_for_link(card)
    assert list(pi.originals()) == [session]
    assert pi.runs_started() == 1
