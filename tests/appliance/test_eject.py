"""The owner wants the card: by command, by button, at any time."""

from cardimages import CardMaker
from installed import Installed

BUTTON_LINE = 5  # the setting's default
SLOW = 150_000
REQUEST = "runuser -u ghostroll -- touch /run/ghostroll/requests/eject"


def is_mounted(pi: Installed) -> bool:
    return "/run/ghostroll/cards/" in pi.machine.says("cat /proc/mounts")


def test_a_finished_card_is_ejected_and_the_next_one_is_seen(pi: Installed, make_card: CardMaker) -> None:
    first, second = make_card(3), make_card(4)
    reader = pi.machine.plug_in_reader(first.image)
    pi.wait_for_link(first)
    pi.wait_until_idle()
    pi.asks("eject")
    pi.wait_for("a card that is ejected", lambda: pi.status()["card"]["state"] == "ejected")
    reader.insert(second.image)
    pi.assert_shared(pi.wait_for_link(second), second)
    pi.assert_safe(first, second)


def test_a_card_ejected_while_it_is_read_goes_on_when_it_is_back(pi: Installed, make_card: CardMaker) -> None:
    card = make_card(24)
    reader = pi.machine.plug_in_reader(card.image)
    reader.slow_down(SLOW)
    pi.wait_for_saved(at_least=2, below=24)
    pi.asks("eject")
    pi.wait_for("the card's release", lambda: not is_mounted(pi))
    assert pi.saved_count() < 24
    pi.wait_for("a card that is ejected", lambda: pi.status()["card"]["state"] == "ejected")
    pi.wait_until_idle()
    reader.insert(card.image)
    session = pi.wait_for_link(card)
    assert list(pi.originals()) == [session]
    pi.assert_safe(card)


def test_an_eject_while_uploading_leaves_the_upload_alone(pi: Installed, make_card: CardMaker) -> None:
    card = make_card(12)
    pi.road.up.bytes_a_second = 20_000.0
    pi.machine.plug_in_reader(card.image)
    pi.wait_for("the card's release", lambda: pi.saved_count() == 12 and not is_mounted(pi))
    pi.asks("eject")
    pi.wait_for("a card that is ejected", lambda: pi.status()["card"]["state"] == "ejected")
    assert pi.is_active("ghostroll@*.service")
    pi.road.mend()
    pi.assert_shared(pi.wait_for_link(card), card)


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
    pi.wait_for("a card that is ejected", lambda: pi.status()["card"]["state"] == "ejected")


def test_the_button_ejects(pi: Installed, make_card: CardMaker) -> None:
    card = make_card(3)
    pi.machine.plug_in_reader(card.image)
    pi.wait_for_link(card)
    pi.wait_until_idle()
    pi.machine.hold_button(BUTTON_LINE, seconds=0.5)
    pi.wait_for("a card that is ejected", lambda: pi.status()["card"]["state"] == "ejected")
