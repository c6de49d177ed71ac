"""The button held: a fresh link, and a clean end."""

import time
from contextlib import suppress

from tests.machine.cardimages import CardMaker
from tests.machine.installed import PATIENCE_SECONDS, Installed
from tests.machine.shell import FailedError

BUTTON_LINE = 5  # the setting's default


def test_held_for_three_seconds_the_last_link_is_signed_anew(pi: Installed, make_card: CardMaker) -> None:
    card = make_card(3)
    pi.machine.plug_in_reader(card.image)
    session = pi.wait_for_link(card)
    pi.wait_until_idle()
    earlier = pi.link_of(session)
    pi.machine.hold_button(BUTTON_LINE, seconds=4)
    pi.wait_for("a fresh link", lambda: pi.link_of(session) not in ("", earlier))
    pi.wait_for("the link in the status", lambda: pi.status().get("url") == pi.link_of(session))
    assert not pi.machine.says("ls -d /run/ghostroll/sign-anew")
    pi.assert_shared(session, card)
    pi.assert_safe(card)


def test_held_for_eight_seconds_the_machine_shuts_down_and_nothing_is_lost(pi: Installed, make_card: CardMaker) -> None:
    card = make_card(3)
    pi.machine.plug_in_reader(card.image)
    session = pi.wait_for_link(card)
    pi.wait_until_idle()
    with suppress(FailedError):  # it may be off before the command has ended
        pi.machine.hold_button(BUTTON_LINE, seconds=9)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while pi.machine.is_on():
        assert time.monotonic() < deadline, pi.told()
        time.sleep(0.5)
    pi.machine.power_cut()  # what is left of it on our side
    pi.machine.boot()
    pi.assert_shared(session, card)
    pi.assert_safe(card)
    assert not pi.machine.says("systemctl list-units --failed --no-legend 'ghostroll*'")
