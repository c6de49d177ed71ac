import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ghostroll.card.discovery import PollingTrigger, find_volumes, is_accepted, label_matches

LONG_AGO = 946_684_800 * 10**9


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "media"
    made.mkdir()
    return made


@pytest.fixture
def plug_in(root: Path) -> Callable[[str], Path]:
    def make(place: str) -> Path:
        (root / place / "DCIM" / "100CANON").mkdir(parents=True)
        return root / place

    return make


def names(roots: tuple[Path, ...], wanted: str = "*") -> list[str]:
    return [volume.root.name for volume in find_volumes(roots) if is_accepted(wanted, volume)]


@pytest.mark.parametrize(
    ("wanted", "label", "ours"),
    [
        ("auto-import", "auto-import", True),
        ("auto-import", "AUTO-IMPORT", True),
        ("auto-import", "Auto-Import 1", True),
        ("auto-import", "auto-import 23", True),
        ("auto-import", "auto-import2", False),
        ("auto-import", "auto-import  2", False),
        ("auto-import", "auto-import 2b", False),
        ("auto-import", "auto-import ", False),
        ("auto-import", "my auto-import", False),
        ("auto-import", "auto-importer", False),
        ("auto-import", "auto-import\n", False),
        ("auto-import", "auto-import 1\n", False),
        ("auto-import", "", False),
        ("*", "anything", True),
        ("*", "", True),
        ("a.c", "abc", False),
        ("a.c", "A.C 2", True),
        ("(x", "(X", True),
        ("EOS*", "EOS_DIGITAL", False),
        ("Straße", "STRASSE", False),
    ],
)
def test_a_label_is_ours_if_it_is_the_same_or_followed_by_a_number(wanted: str, label: str, ours: bool) -> None:
    assert label_matches(wanted, label) is ours


def test_cards_are_found_among_children_and_grandchildren(root: Path, plug_in: Callable[[str], Path]) -> None:
    plug_in("CARD1")
    plug_in("ann/CARD2")
    plug_in("ann/deeper/CARD3")
    assert names((root,)) == ["CARD1", "CARD2"]


def test_only_cards_of_our_label_are_taken(root: Path, plug_in: Callable[[str], Path]) -> None:
    for name in ("auto-import", "AUTO-IMPORT 2", "EOS_DIGITAL", "ann/auto-import"):
        plug_in(name)
    assert names((root,), "auto-import") == ["AUTO-IMPORT 2", "auto-import", "auto-import"]


def test_a_directory_without_dcim_is_no_card(root: Path) -> None:
    (root / "backup" / "photos").mkdir(parents=True)
    (root / "file").touch()
    (root / "half").mkdir()
    (root / "half" / "DCIM").touch()
    assert names((root,)) == []


def test_links_are_no_cards(root: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "DCIM").mkdir(parents=True)
    (root / "link").symlink_to(tmp_path / "elsewhere")
    (root / "loop").symlink_to(root)
    assert names((root,)) == []


def test_roots_that_are_missing_or_no_directories_do_not_matter(
    root: Path, tmp_path: Path, plug_in: Callable[[str], Path]
) -> None:
    plug_in("CARD")
    (tmp_path / "file").touch()
    assert names((tmp_path / "none", tmp_path / "file", root)) == ["CARD"]
    assert names(()) == []


def test_cards_with_names_of_any_bytes_are_found(root: Path, plug_in: Callable[[str], Path]) -> None:
    plug_in(os.fsdecode(b"CARD\xff"))
    plug_in("two\nlines")
    assert len(names((root,))) == 2


def test_looking_for_cards_leaves_no_trace_on_them(root: Path, plug_in: Callable[[str], Path]) -> None:
    places = [place for card in (plug_in("CARD"), plug_in("ann/CARD2")) for place in (card, *card.rglob("*"))]
    for place in places:
        os.utime(place, ns=(LONG_AGO, LONG_AGO + 10**9))
    assert len(find_volumes((root,))) == 2
    assert {place.stat().st_atime_ns for place in places} == {LONG_AGO}


def test_polling_ends_at_once_on_a_stop() -> None:
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    started = time.monotonic()
    PollingTrigger().wait(120, stop)
    assert time.monotonic() - started < 100
