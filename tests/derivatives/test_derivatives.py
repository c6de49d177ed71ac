import hashlib
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ghostroll.base.errors import FileFailed
from ghostroll.base.media_kind import MediaKind
from ghostroll.card.media import kind_of
from ghostroll.derivatives import Recipe, render
from tests.support.photos import (
    PHOTOS,
    RECIPE,
    exiftool,
    needs_exiftool,
    needs_photos,
    patches,
    rendered,
    set_tags,
    task_for,
)

MANIFEST: list[dict[str, Any]] = json.loads((PHOTOS / "manifest.json").read_text()) if PHOTOS.is_dir() else []
PICTURES = [entry for entry in MANIFEST if kind_of(entry["path"]) is not MediaKind.VIDEO]
# RAW files are shown by a preview or at half size; the manifest knows the sensor's size.
STILLS = [
    entry
    for entry in PICTURES
    if {"pillow", "pillow-heif"} & set(entry["decodable_with"]) and not entry.get("ambiguous")
]
# The manifest holds for strict reading; these lack all or half of the end marker, and no pixel.
ONLY_THE_END_IS_MISSING = {"hostile/trunc_no_eoi.jpg", "hostile/cut_at_eof.jpg", "hostile/pillow/truncated_jpeg.jpg"}
BROKEN = [
    entry
    for entry in PICTURES
    if not entry["decodable_with"]
    and entry["path"] not in ONLY_THE_END_IS_MISSING
    and entry["path"] != "card/DCIM/100CANON/IMG_0036.CR3"  # its preview is intact
]
# Exif 2.32, tag 274: what the stored first row and first column are of the picture as seen.
EXIF_SIDES = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}
OPPOSITE = {"top": "bottom", "bottom": "top", "left": "right", "right": "left"}
CORNERS = {
    frozenset(("top", "left")): (255, 0, 0),
    frozenset(("top", "right")): (0, 255, 0),
    frozenset(("bottom", "left")): (0, 0, 255),
    frozenset(("bottom", "right")): (255, 255, 0),
}


def path_of(entry: dict[str, Any]) -> str:
    path: str = entry["path"]
    return path


def stored_picture(orientation: int) -> Image.Image:
    """Return a picture of four coloured corners as a camera held so stores it; upright it is 64 x 96 px."""
    first_row, first_column = EXIF_SIDES[orientation]
    width, height = (64, 96) if first_row in ("top", "bottom") else (96, 64)
    image = Image.new("RGB", (width, height))
    for row, row_side in enumerate((first_row, OPPOSITE[first_row])):
        for column, column_side in enumerate((first_column, OPPOSITE[first_column])):
            box = (column * width // 2, row * height // 2, (column + 1) * width // 2, (row + 1) * height // 2)
            image.paste(CORNERS[frozenset((row_side, column_side))], box)
    return image


def is_upright(image: Image.Image) -> bool:
    places = {("top", "left"): (8, 8), ("top", "right"): (55, 8), ("bottom", "left"): (8, 87)}
    return image.size == (64, 96) and all(
        max(abs(a - b) for a, b in zip(image.getpixel(place), CORNERS[frozenset(sides)], strict=True)) < 40  # type: ignore[arg-type]
        for sides, place in places.items()
    )


@pytest.mark.filterwarnings("ignore")  # as in a worker
@pytest.mark.parametrize("entry", STILLS, ids=path_of)
def test_every_camera_picture_comes_out_in_its_upright_size(entry: dict[str, Any], tmp_path: Path) -> None:
    result, image = rendered(PHOTOS / entry["path"], tmp_path)
    factor = min(1, 2048 / max(entry["width"], entry["height"]))
    assert image.size == result.share_size == (round(entry["width"] * factor), round(entry["height"] * factor))
    assert (image.mode, image.format) == ("RGB", "JPEG")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("entry", BROKEN, ids=path_of)
def test_what_is_no_whole_picture_fails_with_a_reason_and_leaves_nothing(entry: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(FileFailed, match=r"^[a-z][\w ,':]+$"):
        rendered(PHOTOS / entry["path"], tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@needs_photos
@pytest.mark.parametrize("name", sorted(ONLY_THE_END_IS_MISSING))
def test_a_picture_that_lacks_only_its_end_marker_is_shown(name: str, tmp_path: Path) -> None:
    rendered(PHOTOS / name, tmp_path)


@needs_photos
@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("card/DCIM/100CANON/IMG_0036.CR3", (1620, 1080)),
        ("raw/canon_eos_6d.dng", (1024, 683)),
    ],
)
def test_a_raw_file_is_shown_by_the_preview_inside(name: str, size: tuple[int, int], tmp_path: Path) -> None:
    result, _ = rendered(PHOTOS / name, tmp_path)
    assert result.share_size == size
    assert result.captured
    assert result.camera


@needs_photos
def test_a_heic_turned_by_nothing_but_exif_is_upright(tmp_path: Path) -> None:
    # An iPhone 7's, held upright: the castle stands.
    result, _ = rendered(PHOTOS / "card/DCIM/110APPLE/IMG_0100.HEIC", tmp_path)
    assert result.share_size == (1536, 2048)


@needs_exiftool
@pytest.mark.parametrize("orientation", EXIF_SIDES)
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_every_exif_orientation_comes_out_upright(orientation: int, suffix: str, tmp_path: Path) -> None:
    original = tmp_path / f"turned.{suffix}"
    stored_picture(orientation).save(original)
    set_tags(original, f"-Orientation#={orientation}")
    assert is_upright(rendered(original, tmp_path)[1])


@pytest.mark.parametrize("orientation", EXIF_SIDES)
@pytest.mark.parametrize("suffix", ["avif", "heic"])
def test_a_picture_turned_by_its_container_is_turned_once(orientation: int, suffix: str, tmp_path: Path) -> None:
    import pillow_heif  # noqa: PLC0415

    pillow_heif.register_heif_opener()
    original = tmp_path / f"turned.{suffix}"
    tags = Image.Exif()
    tags[0x0112] = orientation
    stored_picture(orientation).save(original, exif=tags.tobytes(), quality=95)  # both savers write irot and imir
    assert is_upright(rendered(original, tmp_path)[1])


@needs_exiftool
@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_an_orientation_that_does_not_exist_is_ignored(orientation: int, tmp_path: Path) -> None:
    original = tmp_path / "odd.jpg"
    stored_picture(1).save(original)
    set_tags(original, f"-Orientation#={orientation}")
    assert is_upright(rendered(original, tmp_path)[1])


@needs_exiftool
def test_derivatives_carry_no_metadata(tmp_path: Path) -> None:
    original = tmp_path / "secret.jpg"
    tags = Image.Exif()
    tags[0x010F] = "Canon"
    patches((200, 30, 30)).save(original, exif=tags, comment=b"COMMENT", xmp=b"<x:xmpmeta/>", dpi=(300, 300))
    set_tags(original, "-GPSLatitude=52.5", "-GPSLatitudeRef=N", "-IPTC:By-line=NAME", "-XMP:Creator=NAME")
    carried = exiftool("-G1", original)[0]
    assert {"IFD0", "GPS", "IPTC", "XMP-dc", "File"} <= {tag.partition(":")[0] for tag in carried}
    assert carried["File:Comment"] == "COMMENT"
    task = task_for(original, tmp_path)
    render(task, RECIPE)
    assert_clean(task.share, task.thumbnail)


@needs_photos
@needs_exiftool
@pytest.mark.parametrize(
    "name",
    [
        "card/DCIM/Camera/PXL_20200710_061629144.MP.jpg",
        "card/DCIM/110APPLE/IMG_2682.HEIC",
        "card/DCIM/100CANON/IMG_0036.CR3",
        "color/3d_nintendo.mpo",
        "color/adobe_rgb.jpg",
        "color/hdr_gainmap.avif",
        "color/prophoto_16.tif",
        "color/ultrahdr_pixel4a.jpg",
        "hostile/png_named.jpg",
        "hostile/xss_metadata.jpg",
    ],
)
def test_derivatives_of_camera_files_carry_no_metadata(name: str, tmp_path: Path) -> None:
    task = task_for(PHOTOS / name, tmp_path)
    render(task, RECIPE)
    assert_clean(task.share, task.thumbnail)


def assert_clean(*paths: Path) -> None:
    for found in exiftool("-a", "-u", "-U", "-ee", "-G1", *paths):
        groups = {tag.partition(":")[0] for tag in found if tag != "SourceFile"}
        assert groups <= {"ExifTool", "System", "File", "JFIF", "Composite"}, found
        assert "File:Comment" not in found
        assert not found.get("ExifTool:Warning")


def test_a_picture_is_made_smaller_and_never_larger(tmp_path: Path) -> None:
    small, large, long = tmp_path / "small.jpg", tmp_path / "large.jpg", tmp_path / "long.png"
    Image.new("RGB", (300, 200)).save(small)
    Image.new("RGB", (6000, 4000)).save(large)
    Image.new("RGB", (5000, 1)).save(long)
    assert rendered(small, tmp_path)[0].share_size == rendered(small, tmp_path)[0].thumb_size == (300, 200)
    result, _ = rendered(large, tmp_path)
    assert (result.share_size, result.thumb_size) == ((2048, 1365), (512, 341))
    assert rendered(long, tmp_path)[0].share_size == (2048, 1)


def test_the_recipe_decides_size_and_quality(tmp_path: Path) -> None:
    original = tmp_path / "noise.jpg"
    Image.effect_noise((900, 600), 60).save(original)
    fine, _ = rendered(original, tmp_path, Recipe(600, 95, 100, 85))
    coarse, _ = rendered(original, tmp_path, Recipe(600, 40, 100, 85))
    assert fine.share_size == (600, 400)
    assert fine.thumb_size == (100, 67)
    assert fine.share_bytes > 2 * coarse.share_bytes


def test_what_is_reported_is_what_lies_on_the_disk(tmp_path: Path) -> None:
    original = tmp_path / "IMG_0001.JPG"
    patches((10, 200, 30), (200, 100, 0)).save(original)
    task = task_for(original, tmp_path)
    result = render(task, RECIPE)
    for path, sha256, size_bytes in (
        (task.share, result.share_sha256, result.share_bytes),
        (task.thumbnail, result.thumb_sha256, result.thumb_bytes),
    ):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == sha256
        assert path.stat().st_size == size_bytes
        assert stat.S_IMODE(path.stat().st_mode) & 0o400
    assert sorted(path.name for path in tmp_path.iterdir()) == ["IMG_0001.JPG", "share", "thumbs"]


def test_a_disk_that_does_not_take_the_result_is_not_the_pictures_fault(tmp_path: Path) -> None:
    original = tmp_path / "IMG_0001.JPG"
    patches((10, 200, 30)).save(original)
    task = task_for(original, tmp_path / "not-there")
    with pytest.raises(FileNotFoundError):
        render(task, RECIPE)


def test_a_name_the_disk_cannot_take_is_one_files_failure(tmp_path: Path) -> None:
    original = tmp_path / ("n" * 251 + ".jpg")
    patches((10, 200, 30)).save(original)
    with pytest.raises(FileFailed, match="name"):
        render(task_for(original, tmp_path), RECIPE)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [original.name]


def test_a_file_that_is_gone_is_one_files_failure(tmp_path: Path) -> None:
    with pytest.raises(FileFailed, match="can't be read: No such file"):
        rendered(tmp_path / "gone.jpg", tmp_path)
