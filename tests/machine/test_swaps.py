"""Cards that are pulled, torn out and swapped while they are read."""

import pytest

from tests.machine.cardimages import CardMaker
from tests.machine.installed import Installed

SLOW = 150_000  # bytes a second: a card of some megabytes takes half a minute


def test_a_card_pulled_while_it_is_read_is_completed_when_it_is_back(pi: Installed, make_card: CardMaker) -> None:
    card = make_card(24)
    reader = pi.machine.plug_in_reader(card.image)
    reader.slow_down(SLOW)
    pi.wait_for_saved(at_least=2, below=24)
    reader.pull()
    pi.wait_until_idle()
    assert pi.status()["card"]["state"] != "safe"
    reader.insert(card.image)
    session = pi.wait_for_link(card)
    assert list(pi.originals()) == [session]
    pi.assert_shared(session, card)
    pi.assert_safe(card)


@pytest.mark.core
def test_a_stick_torn_out_while_it_is_read_is_completed_when_it_is_back(pi: Installed, make_card: CardMaker) -> None:
    card = make_card(24)
    stick = pi.machine.plug_in_stick(card.image)
    pi.wait_for_saved(at_least=1, below=24)
    pi.machine.tear_out(stick)
    pi.wait_until_idle()
    assert "/cards/" not in pi.machine.says("cat /proc/mounts")
    pi.machine.plug_in_stick(card.image)
    pi.assert_shared(pi.wait_for_link(card), card)
    pi.assert_safe(card)


@pytest.mark.core
def test_a_card_swapped_while_it_is_read_never_lends_its_names_to_the_other(
    pi: Installed, make_card: CardMaker
) -> None:
    """The kernel serves the new card's bytes under the old card's names, without an error, and announces nothing."""
    first, second = make_card(24), make_card(24)
    assert list(first.photos) == list(second.photos)
    reader = pi.machine.plug_in_reader(first.image)
    reader.slow_down(SLOW)
    pi.wait_for_saved(at_least=2, below=24)
    reader.insert(second.image)
    reader.slow_down(0)
    pi.assert_shared(pi.wait_for_link(second), second)
    right = {entry for card in (first, second) for entry in card.photos.items()}
    kept = {entry for photos in pi.originals().values() for entry in photos.items()}
    assert kept <= right, "a wrong byte under a right name"
    pi.wait_until_idle()
    reader.insert(first.image)
    pi.assert_shared(pi.wait_for_link(first), first)
    pi.assert_safe(first, second)


def test_a_card_without_a_partition_table_is_taken_after_a_swap_too(pi: Installed, make_card: CardMaker) -> None:
    first, second = make_card(24), make_card(6, is_partitioned=False)
    reader = pi.machine.plug_in_reader(first.image)
    reader.slow_down(SLOW)
    pi.wait_for_saved(at_least=2, below=24)
    reader.insert(second.image)
    pi.assert_shared(pi.wait_for_link(second), second)
    assert second.is_untouched()
