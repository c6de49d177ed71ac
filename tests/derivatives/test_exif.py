import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ghostroll.derivatives import exif
from tests.support.photos import PHOTOS, exiftool, needs_exiftool, needs_photos, patches, set_tags


def tagged(path: Path, *assignments: str) -> exif.Shot:
    patches((10, 20, 30)).save(path)
    set_tags(path, *assignments)
    with Image.open(path) as image:
        return exif.read(image)


@pytest.mark.parametrize(
    ("date", "fraction", "offset", "captured"),
    [
        ("2021:05:12 12:21:21", None, None, "2021-05-12T12:21:21"),
        ("2021:05:12 12:21:21", "360", "+02:00", "2021-05-12T12:21:21.360+02:00"),
        ("2021:05:12 12:21:21", "02 ", "", "2021-05-12T12:21:21.02"),
        ("2021:05:12 12:21:21", "1234567890", None, "2021-05-12T12:21:21.123456"),
        ("2021:05:12 12:21:21", "   ", "  :  ", "2021-05-12T12:21:21"),
        ("2021:05:12 12:21:21\0", b"36\0\0", b"-03:30\0", "2021-05-12T12:21:21.36-03:30"),
        ("2021:05:12 12:21:21", None, "+13:45", "2021-05-12T12:21:21+13:45"),  # the Chatham Islands in summer
        ("2021:05:12 12:21:21", None, "+14:00", "2021-05-12T12:21:21+14:00"),
        ("2021:05:12 12:21:21", None, "-12:00", "2021-05-12T12:21:21-12:00"),
        ("2021:05:12 12:21:21", None, "+14:15", "2021-05-12T12:21:21"),
        ("2021:05:12 12:21:21", None, "-13:00", "2021-05-12T12:21:21"),
        ("2021:05:12 12:21:21", None, "+24:00", "2021-05-12T12:21:21"),
        ("2021:05:12 12:21:21", None, "+02:17", "2021-05-12T12:21:21"),
        ("2022-08-22T20:30:46.023+02:00", None, None, "2022-08-22T20:30:46.023+02:00"),
        ("2022-08-22 20:30:46Z", None, None, "2022-08-22T20:30:46+00:00"),
        ("1919:05:04 05:59:26", None, None, "1919-05-04T05:59:26"),
        ("2041:01:01 00:00:00", None, None, "2041-01-01T00:00:00"),
        ("0000:00:00 00:00:00", "00", "+00:00", None),
        ("    :  :     :  :  ", None, None, None),
        ("2021:02:30 12:00:00", None, None, None),
        ("2021:05:12 24:00:00", None, None, None),
        ("2021:05:12", None, None, None),
        ("٢٠٢١:05:12 12:21:21", None, None, None),
        ("", None, None, None),
        (None, None, None, None),
        (7, 7, 7, None),
    ],
)
def test_a_date_is_local_time_or_nothing(date: object, fraction: object, offset: object, captured: str | None) -> None:
    assert exif.captured_at(date, fraction, offset) == captured


@needs_exiftool
def test_the_original_date_goes_before_the_digitized_one(tmp_path: Path) -> None:
    dates = ("-CreateDate=2020:02:02 02:02:02", "-OffsetTimeDigitized=+01:00", "-ModifyDate=2001:01:01 01:01:01")
    original = ("-DateTimeOriginal=2019:01:01 01:01:01", "-SubSecTimeOriginal=5", "-OffsetTimeOriginal=-05:00")
    assert tagged(tmp_path / "both.jpg", *dates, *original).captured == "2019-01-01T01:01:01.5-05:00"
    assert tagged(tmp_path / "one.jpg", *dates).captured == "2020-02-02T02:02:02+01:00"
    assert tagged(tmp_path / "none.jpg", "-ModifyDate=2001:01:01 01:01:01").captured is None


@pytest.mark.parametrize(
    ("make", "model", "name"),
    [
        ("Apple", "iPhone 7", "Apple iPhone 7"),
        ("Canon", "Canon EOS R6", "Canon EOS R6"),
        ("NIKON CORPORATION", "NIKON D70", "NIKON D70"),
        ("EASTMAN KODAK COMPANY", "KODAK DX4330 DIGITAL CAMERA", "KODAK DX4330 DIGITAL CAMERA"),
        (None, "X", "X"),
        ("Maker", None, None),
        ("", "  \0rest", None),
        ("A\x1b[31m", "B\u202eC", "A\\x1b[31m B\\u202eC"),
        (b"\xff\xfe", b"\xc3\xa9\0", "\ufffd\ufffd é"),
        ("M" * 500, "N" * 500, "M" * 64),
        (5, ["x"], None),
    ],
)
def test_a_camera_has_one_printable_name(make: object, model: object, name: str | None) -> None:
    assert exif.camera_name(make, model) == name


@given(st.text(max_size=200), st.text(max_size=200))
def test_no_name_is_long_or_unprintable(make: str, model: str) -> None:
    name = exif.camera_name(make, model)
    assert name is None or 0 < len(name) <= 64
    assert not {unicodedata.category(char) for char in name or ""} & {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


@needs_exiftool
@pytest.mark.parametrize(("index", "is_adobe"), [("R03", True), ("R98", False), ("THM", False)])
def test_only_the_dcf_option_file_is_adobe_rgb(index: str, is_adobe: bool, tmp_path: Path) -> None:
    assert tagged(tmp_path / "index.jpg", f"-InteropIndex#={index}").adobe_rgb is is_adobe


@pytest.mark.filterwarnings("ignore")  # as in a worker
@pytest.mark.parametrize("junk", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0" + bytes(range(256)) * 8])
def test_damaged_metadata_says_nothing(junk: bytes, tmp_path: Path) -> None:
    path = tmp_path / "junk.jpg"
    patches((1, 2, 3)).save(path, exif=junk)
    with Image.open(path) as image:
        assert exif.read(image) == exif.Shot()
    (tmp_path / "junk.nef").write_bytes(junk)
    assert exif.read_raw(tmp_path / "junk.nef") == exif.Shot()
    assert exif.read_raw(tmp_path / "gone.nef") == exif.Shot()


@needs_photos
@needs_exiftool
@pytest.mark.filterwarnings("ignore")
def test_dates_of_camera_files_are_those_exiftool_reads() -> None:
    files = [*sorted((PHOTOS / "card/DCIM").rglob("*.[jJ][pP][gG]")), *sorted((PHOTOS / "dates").glob("*.jpg"))]
    by_path: dict[str, dict[str, Any]] = {
        found["SourceFile"]: found for found in exiftool("-d", "%Y-%m-%dT%H:%M:%S", "-DateTimeOriginal", *files)
    }
    compared = 0
    for path in files:
        expected = by_path[str(path)].get("DateTimeOriginal")
        if path.name.startswith("._") or not expected or not expected.startswith(("19", "20")):
            continue
        with Image.open(path) as image:
            captured = exif.read(image).captured
        assert captured is not None
        assert captured.startswith(expected[:19]), path
        compared += 1
    assert compared >= 25


@needs_photos
@pytest.mark.parametrize(
    ("name", "shot"),
    [
        ("100CANON/IMG_0036.CR3", exif.Shot("2021-05-12T12:21:21.92+02:00", "Canon EOS R6", 1)),
        ("101CANON/IMG_0002.CR2", exif.Shot("2005-08-03T18:59:18", "Canon EOS 350D DIGITAL")),
        ("101NIKON/_DSC0003.NEF", exif.Shot("2004-06-09T16:02:35.00", "NIKON D70")),
        ("103_PANA/P1030003.RW2", exif.Shot("2008-08-06T15:21:56", "Panasonic DMC-LX3")),
        ("106MSDCF/DSC00003.ARW", exif.Shot("2024-09-14T13:54:44+02:00", "SONY ILCE-7M3")),
    ],
)
def test_a_raw_file_tells_when_and_with_what_it_was_taken(name: str, shot: exif.Shot) -> None:
    assert exif.read_raw(PHOTOS / "card/DCIM" / name) == shot
