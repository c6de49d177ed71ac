"""Metadata that is damaged or made to deceive says nothing, or something that can be so: of pictures and RAW files."""

import json
import subprocess
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from ghostroll.derivatives import exif, jpegs
from tests.support.damage import Damage, damaged, damages, examples, fresh_directory
from tests.support.photos import PHOTOS, needs_exiftool

# As in a worker, where nobody reads what a library warns of.
pytestmark = pytest.mark.filterwarnings("ignore")

INTRODUCTION = b"Exif\0\0"
# A segment's length is two bytes that count themselves (ITU-T T.81, B.1.1.4).
SEGMENT_BYTES_MOST = 65_533
CAMERA_FILES = [
    *(f"card/DCIM/{name}" for name in ("Camera/PXL_20200710_061629144.MP.jpg", "100CANON/IMG_0036.CR3")),
    *(f"dates/{name}.jpg" for name in ("blank", "iso8601_in_exif", "priority", "year_1919", "zero_0000")),
    *("gps/zero_coordinate.jpg", "color/adobe_rgb.jpg", "color/ultrahdr_pixel4a.jpg", "hostile/xss_metadata.jpg"),
    *("hostile/pillow/exif_gps_typeerror.jpg", "hostile/pillow/hopper_bad_exif.jpg", "hostile/unicode_metadata.jpg"),
]


@cache
def made_blocks() -> tuple[bytes, ...]:
    """TIFF structures as Pillow writes them, of both byte orders: every tag that is read, and some that are not."""
    blocks = []
    for order in "<>":
        tags = Image.Exif()
        tags.endian = order
        tags[ExifTags.Base.Make], tags[ExifTags.Base.Model] = "Maker", "Model One"
        tags[ExifTags.Base.Orientation], tags[ExifTags.Base.XResolution] = 6, 72.0
        tags[ExifTags.IFD.Exif] = {
            ExifTags.Base.DateTimeOriginal: "2024:05:11 08:01:02",
            ExifTags.Base.SubsecTimeOriginal: "250",
            ExifTags.Base.OffsetTimeOriginal: "+02:00",
            ExifTags.Base.DateTimeDigitized: "2024:05:11 08:01:03",
            ExifTags.Base.ExposureTime: 0.01,
            ExifTags.Base.MakerNote: bytes(range(64)),
        }
        tags[ExifTags.IFD.GPSInfo] = {1: "N", 2: (52.0, 31.0, 12.0)}
        blocks.append(tags.tobytes().removeprefix(INTRODUCTION))
    return tuple(blocks)


@cache
def camera_blocks() -> tuple[bytes, ...]:
    """The metadata of camera files; none where they are not here."""
    blocks = []
    for name in CAMERA_FILES:
        if name.endswith(".jpg") and (PHOTOS / name).is_file():
            with Image.open(PHOTOS / name) as image:
                blocks.append(image.info.get("exif", b"").removeprefix(INTRODUCTION)[:SEGMENT_BYTES_MOST])
    return tuple(block for block in blocks if block)


@cache
def canon_head() -> bytes:
    """What a CR3 begins with: its file type and the boxes of its metadata, the first two made of what Pillow writes."""
    boxes = b"".join(
        (len(block) + 8).to_bytes(4, "big") + name + block
        for name, block in zip((b"CMT1", b"CMT2"), made_blocks(), strict=True)
    )
    return b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + boxes + bytes(64)


blocks = st.deferred(lambda: st.sampled_from(made_blocks() + camera_blocks()))


def of_jpeg(block: bytes) -> exif.Shot:
    """What is read of a JPEG with this block."""
    content = BytesIO()
    Image.new("RGB", (8, 8)).save(content, "JPEG", exif=(INTRODUCTION + block)[:SEGMENT_BYTES_MOST])
    return exif.read(jpegs.opened(BytesIO(content.getvalue())))


def assert_believable(shot: exif.Shot) -> None:
    """What is said can be so: a date that exists, one short line of text, an orientation of the standard's eight."""
    if shot.captured is not None:
        assert datetime.fromisoformat(shot.captured).year >= 1
    if shot.camera is not None:
        assert 0 < len(shot.camera) <= 64
        assert not {unicodedata.category(char) for char in shot.camera} & {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    assert shot.orientation in (None, *range(1, 9))
    assert shot.orientation is None or type(shot.orientation) is int
    assert type(shot.adobe_rgb) is bool


# --- damage


# XResolution as a text of one letter, and its unit.
RESOLUTION_AS_TEXT = bytes.fromhex("4d4d002a000000080002011a0002000000023600000001280003000000010002000000000000")


@given(blocks, damages)
@example(RESOLUTION_AS_TEXT, [])
def test_a_damaged_block_of_a_picture_is_believed_only_as_far_as_it_can_be(
    block: bytes, changes: Sequence[Damage]
) -> None:
    assert_believable(of_jpeg(damaged(block, changes)))


@given(st.binary(max_size=400) | st.binary(max_size=400).map(lambda rest: b"II*\0\x08\0\0\0" + rest))
def test_any_bytes_as_a_block_are_believed_only_as_far_as_they_can_be(block: bytes) -> None:
    assert_believable(of_jpeg(block))


@given(
    st.binary(min_size=2, max_size=10),
    st.integers(1, 13),
    st.integers(0, 40),
    st.sampled_from((*range(0x10E, 0x114), 0x8769)),
)
def test_a_tag_of_any_type_and_count_is_believed_only_as_far_as_it_can_be(
    value: bytes, kind: int, count: int, tag: int
) -> None:
    entry = (
        tag.to_bytes(2, "little") + kind.to_bytes(2, "little") + count.to_bytes(4, "little") + value[:4].ljust(4, b"\0")
    )
    block = b"II*\0\x08\0\0\0\1\0" + entry + bytes(4) + value * 20
    assert_believable(of_jpeg(block))


@given(blocks, damages, st.sampled_from((".NEF", ".TIF", ".cr2")))
@examples(0.5)
def test_a_damaged_raw_file_is_believed_only_as_far_as_it_can_be(
    block: bytes, changes: Sequence[Damage], suffix: str
) -> None:
    assert_believable(of_raw(damaged(block, changes), suffix))


@given(damages)
@examples(0.5)
def test_a_damaged_cr3_is_believed_only_as_far_as_it_can_be(changes: Sequence[Damage]) -> None:
    assert_believable(of_raw(damaged(canon_head(), changes), ".CR3"))


def of_raw(content: bytes, suffix: str) -> exif.Shot:
    with fresh_directory() as root:
        path = root / f"RAW{suffix}"
        path.write_bytes(content)
        return exif.read_raw(path)


def test_the_undamaged_blocks_say_what_they_should() -> None:
    for block in made_blocks():
        assert of_jpeg(block) == exif.Shot("2024-05-11T08:01:02.250+02:00", "Maker Model One", 6)
        assert of_raw(block, ".NEF").captured == "2024-05-11T08:01:02.250+02:00"


# --- any tag


tag_values: st.SearchStrategy[object] = st.one_of(
    st.none(),
    st.text(st.characters(codec=None, exclude_categories=()), max_size=40),
    st.binary(max_size=40),
    st.integers(),
    st.floats(),
    st.tuples(st.integers(), st.text()),
    st.datetimes().map(lambda moment: moment.strftime("%Y:%m:%d %H:%M:%S")),
    st.from_regex(r"\d{4}[:/.-]\d\d[:/.-]\d\d[ T]\d\d:\d\d:\d\d(\.\d{1,12})?(Z|[+-]\d\d:\d\d)?", fullmatch=True),
    st.from_regex(r"[+-]\d\d:\d\d", fullmatch=True),
)


@given(tag_values, tag_values, tag_values)
@example("2021:05:12 12:21:21", "1²", None)
@example("0000:01:01 00:00:00", None, None)
@example("9999:12:31 23:59:59", "9" * 400, "-12:00")
def test_any_three_tags_are_a_time_or_none(date: object, fraction: object, offset: object) -> None:
    assert_believable(exif.Shot(captured=exif.captured_at(date, fraction, offset)))


@given(tag_values, tag_values)
@example("\ud800", "\ud800")
@example("\u2066" * 40, "\U000e0001" * 40)
@example(None, "\u3000")
def test_any_two_tags_are_a_camera_or_none(make: object, model: object) -> None:
    assert_believable(exif.Shot(camera=exif.camera_name(make, model)))


# --- what exiftool reads


makers = st.text("ABCDEFG", min_size=3, max_size=20)
models = st.text("hijklmn 0123456789", min_size=1, max_size=40).map(lambda text: "x" + text)
offsets = st.builds("{:+03}:{}".format, st.integers(-11, 13), st.sampled_from(("00", "15", "30", "45")))
moments = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1))  # noqa: DTZ001 - a camera's clock has no zone
shots = st.tuples(
    makers, models, moments, st.none() | st.text("0123456789", min_size=1, max_size=6), st.none() | offsets
)


@needs_exiftool
@given(st.lists(shots, min_size=15, max_size=15))
@examples(0.02)
def test_what_is_valid_is_read_as_exiftool_reads_it(
    taken: list[tuple[str, str, datetime, str | None, str | None]],
) -> None:
    with fresh_directory() as root:
        files = [root / f"{number:02}.jpg" for number in range(len(taken))]
        for file, (make, model, moment, fraction, offset) in zip(files, taken, strict=True):
            tags = Image.Exif()
            tags[ExifTags.Base.Make], tags[ExifTags.Base.Model] = make, model
            details = {
                ExifTags.Base.DateTimeOriginal: moment.strftime("%Y:%m:%d %H:%M:%S"),
                ExifTags.Base.SubsecTimeOriginal: fraction,
                ExifTags.Base.OffsetTimeOriginal: offset,
            }
            tags[ExifTags.IFD.Exif] = {tag: value for tag, value in details.items() if value is not None}
            Image.new("RGB", (8, 8)).save(file, exif=tags)
        told = [exiftool_shot(found) for found in exiftool_says(files)]
        for file, expected in zip(files, told, strict=True):
            with Image.open(file) as image:
                assert exif.read(image) == expected


def exiftool_says(files: list[Path]) -> list[dict[str, Any]]:
    tags = ("-Make", "-Model", "-DateTimeOriginal", "-SubSecTimeOriginal", "-OffsetTimeOriginal")
    # -sep and -struct leave values alone; -api would turn digits into text, but not in every version: so by lines.
    command = ["exiftool", "-json", "-d", "%Y-%m-%dT%H:%M:%S", *tags, *map(str, files)]
    done = subprocess.run(command, check=True, capture_output=True)
    found: list[dict[str, Any]] = json.loads(done.stdout, parse_int=str, parse_float=str)
    return sorted(found, key=lambda each: str(each["SourceFile"]))


def exiftool_shot(found: dict[str, Any]) -> exif.Shot:
    fraction = found.get("SubSecTimeOriginal")
    captured = found["DateTimeOriginal"] + (f".{fraction}" if fraction is not None else "")
    return exif.Shot(
        captured=captured + found.get("OffsetTimeOriginal", ""),
        camera=" ".join(f"{found['Make']} {found['Model']}".split())[:64],
    )
