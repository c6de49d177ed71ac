import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ghostroll.base.media_kind import MediaKind
from ghostroll.card.media import (
    SNIFF_BYTES,
    CardFile,
    has_picture_signature,
    is_housekeeping,
    kind_of,
    reading_order_key,
    stem_of,
    suffix_of,
)

HOUSEKEEPING = [
    "._IMG_0001.JPG",
    ".DS_Store",
    "Thumbs.db",
    "THUMBS.DB",
    "desktop.ini",
    "M0100.CTG",
    "m0100.ctg",
    "NC_FLLST.DAT",
    "INDEX.BDM",
]
names = st.text(st.characters(exclude_characters="\0/"), min_size=1, max_size=40)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("IMG_0001.JPG", MediaKind.STILL),
        ("a.jpeg", MediaKind.STILL),
        ("a.HIF", MediaKind.STILL),
        ("a.heic", MediaKind.STILL),
        ("DSC0001.ARW", MediaKind.RAW),
        ("a.CR3", MediaKind.RAW),
        ("a.NEF", MediaKind.RAW),
        ("a.dng", MediaKind.RAW),
        ("C0001.MP4", MediaKind.VIDEO),
        ("00001.MTS", MediaKind.VIDEO),
        ("C0001M01.XML", MediaKind.SIDECAR),
        ("IMG_0001.THM", MediaKind.SIDECAR),
        ("IMG_0001.WAV", MediaKind.SIDECAR),
        ("IMG_0001", MediaKind.OTHER),
        (".jpg", MediaKind.OTHER),
        ("notes.txt", MediaKind.OTHER),
        ("a.jpg.part", MediaKind.OTHER),
    ],
)
def test_the_name_announces_the_kind(name: str, kind: MediaKind) -> None:
    assert kind_of(name) is kind


@pytest.mark.parametrize("name", HOUSEKEEPING)
def test_book_keeping_is_left_aside(name: str) -> None:
    assert is_housekeeping(name)


@pytest.mark.parametrize(
    "name", ["IMG_0001.JPG", "_DSC0001.ARW", ".hidden.jpg", "C0001M01.XML", "CTG", "a.ctg.jpg", "desktop.ini.jpg", "."]
)
def test_what_is_not_known_as_book_keeping_is_kept(name: str) -> None:
    assert not is_housekeeping(name)


@given(names)
def test_whatever_a_computer_puts_beside_a_file_is_book_keeping(name: str) -> None:
    assert is_housekeeping("._" + name)


@given(names.filter(lambda name: not name.startswith("._")), st.sampled_from("jpg JPG cr3 MP4 xml txt".split()))
def test_no_picture_or_video_is_ever_book_keeping(name: str, suffix: str) -> None:
    assert not is_housekeeping(f"{name}.{suffix}")


@given(names)
def test_a_suffix_is_lower_case_and_without_its_dot(name: str) -> None:
    suffix = suffix_of(name)
    assert suffix == suffix.lower()
    assert "." not in suffix
    assert not suffix or name.lower().endswith("." + suffix)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("DCIM/100/IMG_1.JPG", "DCIM/100/img_1.cr3", True),
        ("DCIM/100/IMG_1.JPG", "DCIM/101/IMG_1.CR3", False),
        ("DCIM/100/IMG_1.JPG", "DCIM/100/IMG_10.CR3", False),
        ("DCIM/1.00/IMG", "DCIM/1", False),
    ],
)
def test_a_stem_pairs_the_files_of_one_picture(one: str, other: str, same: bool) -> None:
    assert (stem_of(one) == stem_of(other)) is same


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF"])
def test_a_picture_is_known_by_its_first_bytes(form: str) -> None:
    if form == "HEIF":
        heif = pytest.importorskip("pillow_heif")
        heif.register_heif_opener()
    picture = io.BytesIO()
    try:
        Image.new("RGB", (64, 64), "red").save(picture, form)
    except (KeyError, OSError):
        pytest.skip(f"this Pillow cannot write {form}")
    assert has_picture_signature(picture.getvalue()[:SNIFF_BYTES])


@pytest.mark.parametrize(
    "head", [b"", b"\xff\xd8", b"RIFF\0\0\0\0WAVEfmt ", b"\0\0\0\x18ftypmp42", b"\0" * 16, b"GIF89a"]
)
def test_other_files_are_not_taken_for_pictures(head: bytes) -> None:
    assert not has_picture_signature(head)


@given(st.binary(max_size=SNIFF_BYTES))
def test_any_first_bytes_can_be_looked_at(head: bytes) -> None:
    has_picture_signature(head)


def test_stills_are_read_first_then_raw_then_video_then_the_rest_each_by_path_bytes() -> None:
    paths = ["DCIM/z.JPG", "DCIM/\udcff.jpg", "DCIM/ä.jpg", "DCIM/a.CR3", "DCIM/a.MP4", "DCIM/a.bin", "DCIM/b.xmp"]
    files = [CardFile(path, kind_of(path), 1, 0) for path in reversed(paths)]
    by_bytes = ["DCIM/z.JPG", "DCIM/ä.jpg", "DCIM/\udcff.jpg"]
    assert [file.path for file in sorted(files, key=reading_order_key)] == by_bytes + paths[3:]
