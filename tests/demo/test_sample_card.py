"""The sample card looks like a camera's, and is the same card each time."""

import hashlib
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from ghostroll.base.media_kind import MediaKind
from ghostroll.card.scan import scan
from ghostroll.card.volume import find_volume
from ghostroll.demo.sample_card import write_sample_card
from ghostroll.demo.scenery import SCENES, draw_picture
from tests.support.photos import exiftool, needs_exiftool

SMALL = (240, 160)


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("card")
    write_sample_card(root, size=SMALL)
    return root


def test_a_card_has_pictures_a_companion_and_housekeeping(card: Path) -> None:
    kinds = [file.kind for file in scan(find_volume(card)).files]
    assert kinds == [MediaKind.STILL] * 18 + [MediaKind.SIDECAR]
    assert (card / "DCIM" / ".DS_Store").is_file()


def test_all_pictures_differ_and_come_out_the_same_each_time(card: Path, tmp_path: Path) -> None:
    write_sample_card(tmp_path, size=SMALL)
    first, second = (_hashes(root) for root in (card, tmp_path))
    assert first == second
    assert len(set(first.values())) == len(first)


@needs_exiftool
def test_the_evening_goes_on_from_picture_to_picture(card: Path) -> None:
    tags = exiftool("-SubSecDateTimeOriginal", "-Make", "-Model", card / "DCIM" / "100GHOST")
    pictures = sorted(
        (each for each in tags if each["SourceFile"].endswith("JPG")), key=lambda each: each["SourceFile"]
    )
    taken = [each["SubSecDateTimeOriginal"] for each in pictures]
    assert taken == sorted(taken)
    assert len(set(taken)) == 18
    assert taken[0] == "2026:06:20 17:42:10.00+02:00"
    assert {(each["Make"], each["Model"]) for each in pictures} == {("GhostRoll", "Sample 1")}


def test_pictures_held_upright_are_stored_sideways_both_ways(card: Path) -> None:
    orientations = set()
    for path in _pictures(card):
        with Image.open(path) as image:
            orientations.add(image.getexif()[0x0112])
            assert image.width > image.height
    assert orientations == {1, 6, 8}


def test_turned_upright_a_picture_is_as_it_was_drawn(card: Path) -> None:
    for seed, path in enumerate(_pictures(card)):
        with Image.open(path) as stored:
            upright = ImageOps.exif_transpose(stored).convert("RGB")
        drawn = draw_picture(seed, SMALL)
        assert upright.size == drawn.size
        small, expected = (picture.resize((8, 8)).tobytes() for picture in (upright, drawn))
        assert max(abs(a - b) for a, b in zip(small, expected, strict=True)) < 24


def test_one_picture_is_a_panorama(card: Path) -> None:
    wide = [path for path in _pictures(card) if _aspect(path) > 2.5]
    assert len(wide) == 1


@pytest.mark.parametrize("pictures", [1, 2, 19])
def test_a_card_has_as_many_pictures_as_asked_for(tmp_path: Path, pictures: int) -> None:
    write_sample_card(tmp_path, pictures, (60, 40))
    assert len(_pictures(tmp_path)) == pictures
    assert len(set(_hashes(tmp_path).values())) == pictures + 2


def test_every_scene_can_be_drawn_tiny() -> None:
    for seed in range(len(SCENES)):
        assert min(draw_picture(seed, (30, 20)).size) >= 10


def test_grain_makes_files_larger(tmp_path: Path) -> None:
    sizes = []
    for grain in (0, 12):
        draw_picture(0, SMALL, grain=grain).save(tmp_path / "image.jpg", quality=92)
        sizes.append((tmp_path / "image.jpg").stat().st_size)
    assert sizes[1] > 1.5 * sizes[0]


def _pictures(root: Path) -> list[Path]:
    return sorted((root / "DCIM" / "100GHOST").glob("*.JPG"))


def _hashes(root: Path) -> dict[str, str]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _aspect(path: Path) -> float:
    with Image.open(path) as image:
        return image.width / image.height
