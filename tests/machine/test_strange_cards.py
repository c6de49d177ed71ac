"""Cards that are not as most are."""

from datetime import UTC, datetime
from pathlib import Path

from ghostroll_display.frame import draw
from ghostroll_display.models import png_model
from ghostroll_display.screens import screen
from ghostroll_display.view import view
from tests.machine import cardimages
from tests.machine.cardimages import CardMaker, Shape, draw_photos
from tests.machine.installed import Installed
from tests.machine.machine import Machine

NOW = datetime.now(UTC)  # of no consequence for a screen without times


def card_state(pi: Installed) -> str:
    return str(pi.status().get("card", {}).get("state"))


def test_an_exfat_card_is_saved_and_shared(pi: Installed, plain: Machine, tmp_path: Path) -> None:
    content = draw_photos(tmp_path / "content", range(5))
    card = cardimages.make(tmp_path / "exfat.img", content, Shape("exfat", label="CANON É"), plain)
    plain.stop()
    pi.machine.plug_in_reader(card.image)
    pi.assert_shared(pi.wait_for_link(card), card)
    pi.assert_safe(card)


def test_a_card_without_a_partition_table_is_saved_in_a_reader_and_as_a_stick(
    pi: Installed, make_card: CardMaker
) -> None:
    in_reader, as_stick = make_card(3, is_partitioned=False), make_card(4, is_partitioned=False)
    reader = pi.machine.plug_in_reader()
    pi.wait_for("the empty reader", lambda: pi.machine.says("ls /dev/sda"))
    reader.insert(in_reader.image)
    pi.assert_shared(pi.wait_for_link(in_reader), in_reader)
    pi.machine.plug_in_stick(as_stick.image)
    pi.assert_shared(pi.wait_for_link(as_stick), as_stick)
    pi.assert_safe(in_reader, as_stick)


def test_a_damaged_filesystem_is_reported_and_never_called_done(pi: Installed, make_card: CardMaker) -> None:
    """A FAT of rubbish mounts without an error and shows no files."""
    card = make_card(5)
    cardimages.fill_fats_with_rubbish(card.image, Shape())
    pi.machine.plug_in_reader(card.image)
    pi.wait_for("a word about the card", lambda: card_state(pi) == "rejected")
    told = pi.status()
    assert told["state"] == "error"
    assert not told["card"]["safe_to_format"]
    assert told["error"]["hint"]


def test_a_card_whose_boot_sector_is_gone_leaves_the_machine_ready_for_the_next(
    pi: Installed, make_card: CardMaker
) -> None:
    broken, whole = make_card(3), make_card(3)
    cardimages.destroy_boot_sector(broken.image, Shape())
    reader = pi.machine.plug_in_reader(broken.image)
    pi.wait_for("the card's partition", lambda: pi.machine.says("ls /dev/sda1"))
    reader.insert(whole.image)
    pi.assert_shared(pi.wait_for_link(whole), whole)


def test_a_card_with_another_label_is_left_alone_and_the_status_says_which_it_has(
    pi: Installed, make_card: CardMaker
) -> None:
    pi.machine.run("sed -i 's/^sd_label.*/sd_label = \"auto-import\"/' /etc/ghostroll/ghostroll.toml")
    pi.machine.run("systemctl restart ghostroll")
    other, ours = make_card(3, label="NIKON D5"), make_card(3, label="AUTO-IMPORT")
    reader = pi.machine.plug_in_reader(other.image)
    pi.wait_for("a card that is rejected", lambda: card_state(pi) == "rejected")
    told = pi.status()["card"]
    assert told["label"] == "NIKON D5"
    assert "NIKON D5" in told["reason"]
    assert "sd_label" in pi.status()["error"]["hint"]
    words = " ".join(screen(view(pi.status()), NOW).lines)
    assert "NIKON D5" in words
    assert "sd_label" in words
    pi.wait_for("the panel", lambda: pi.picture() == draw(pi.status(), png_model((800, 480)), now=NOW).convert("L"))
    pi.wait_for("the journal", lambda: "NIKON D5" in pi.journal() and "sd_label" in pi.journal())
    assert pi.saved_count() == 0
    reader.insert(ours.image)
    pi.assert_shared(pi.wait_for_link(ours), ours)


def test_a_stick_without_dcim_is_left_alone(pi: Installed, tmp_path: Path) -> None:
    content = tmp_path / "content"
    (content / "LETTERS").mkdir(parents=True)
    (content / "LETTERS" / "bill.txt").write_text("not a photo")
    card = cardimages.make(tmp_path / "card.img", content, Shape(label="STICK"))
    pi.machine.plug_in_stick(card.image)
    pi.wait_for("a card that is rejected", lambda: card_state(pi) == "rejected")
    pi.wait_for("its release", lambda: "/cards/" not in pi.machine.says("cat /proc/mounts"))
    assert pi.saved_count() == 0
    assert card.is_untouched()
