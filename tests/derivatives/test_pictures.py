from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from ghostroll.base.errors import FileFailed
from ghostroll.base.media_kind import MediaKind
from ghostroll.derivatives import pictures, rawfiles
from tests.support.photos import PHOTOS, needs_photos, rendered

END_OF_IMAGE = b"\xff\xd9"


def noise(width: int = 640, height: int = 480) -> Image.Image:
    return Image.effect_noise((width, height), 50).convert("RGB")


def jpeg(image: Image.Image, **options: object) -> bytes:
    encoded = BytesIO()
    image.save(encoded, "JPEG", **options)
    return encoded.getvalue()


def ftyp(major: bytes, *compatible: bytes) -> bytes:
    body = b"ftyp" + major + bytes(4) + b"".join(compatible)
    return (len(body) + 4).to_bytes(4, "big") + body


@pytest.mark.parametrize(
    ("head", "kind", "coding"),
    [
        (b"\xff\xd8\xff\xe1....", MediaKind.RAW, "JPEG"),
        (b"\x89PNG\r\n\x1a\n", MediaKind.STILL, "PNG"),
        (b"RIFF....WEBPVP8 ", MediaKind.OTHER, "WEBP"),
        (b"RIFF....AVI LIST", MediaKind.STILL, None),
        (b"II*\0....", MediaKind.STILL, "TIFF"),
        (b"MM\0*....", MediaKind.RAW, "RAW"),
        (b"FUJIFILMCCD-RAW ", MediaKind.OTHER, "RAW"),
        (b"II\x1a\0\0\0HEAPCCDR", MediaKind.STILL, "RAW"),
        (ftyp(b"crx ", b"crx ", b"isom"), MediaKind.STILL, "RAW"),
        (ftyp(b"heic", b"mif1", b"heic"), MediaKind.STILL, "HEIF"),
        (ftyp(b"mif1", b"mif1", b"heic"), MediaKind.STILL, "HEIF"),
        (ftyp(b"mif1", b"mif1", b"avif"), MediaKind.STILL, "AVIF"),
        (ftyp(b"avif"), MediaKind.OTHER, "AVIF"),
        (ftyp(b"isom", b"mp42"), MediaKind.STILL, None),
        (ftyp(b"qt  "), MediaKind.OTHER, None),
        (b"<html>", MediaKind.STILL, None),
        (b"GIF89a", MediaKind.STILL, None),
        (b"\xff\xd8", MediaKind.STILL, None),
        (b"", MediaKind.STILL, None),
    ],
)
def test_the_first_bytes_say_what_a_file_is(head: bytes, kind: MediaKind, coding: str | None) -> None:
    assert pictures.sniff(head, kind) == coding


@pytest.mark.parametrize(
    ("size", "decoded"),
    [
        ((6000, 4000), (3000, 2000)),
        ((4000, 6000), (2000, 3000)),
        ((4096, 2161), (2048, 1081)),
        ((4095, 2731), (4095, 2731)),
        ((9000, 90), (2250, 23)),
        ((2048, 2048), (2048, 2048)),
    ],
)
def test_a_jpeg_is_decoded_no_larger_than_needed(
    size: tuple[int, int], decoded: tuple[int, int], tmp_path: Path
) -> None:
    path = tmp_path / "large.jpg"
    Image.new("RGB", size, "navy").save(path)
    picture = pictures.load(path, MediaKind.STILL, 2048)
    assert (picture.size, picture.image.size) == (size, decoded)
    assert picture.box[2:] == pytest.approx((size[0] * decoded[0] // size[0], decoded[1]), abs=1)


@pytest.mark.parametrize("name", ["a.NEF", "b.heic", "c.png", "noextension"])
def test_the_name_does_not_decide_what_a_picture_is(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(jpeg(noise()))
    assert rendered(tmp_path / name, tmp_path)[0].share_size == (640, 480)


@pytest.mark.parametrize("lost", range(1, 12))
@pytest.mark.parametrize(
    "options", [{}, {"subsampling": 0}, {"restart_marker_rows": 1}, {"progressive": True}], ids=str
)
def test_a_jpeg_is_shown_only_with_all_of_its_picture(lost: int, options: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "cut.jpg"
    path.write_bytes(jpeg(noise(), **options)[:-lost])
    if lost <= 2:  # no more than the end marker
        assert rendered(path, tmp_path)[0].share_size == (640, 480)
    else:
        with pytest.raises(FileFailed, match="cut off"):
            rendered(path, tmp_path)


@pytest.mark.parametrize("kept", [0.99, 0.7, 0.3])
def test_half_a_picture_is_cut_off(kept: float, tmp_path: Path) -> None:
    for options in ({}, {"progressive": True}):
        whole = jpeg(noise(), **options)
        path = tmp_path / "half.jpg"
        path.write_bytes(whole[: int(len(whole) * kept)])
        with pytest.raises(FileFailed, match="cut off"):
            rendered(path, tmp_path)


@pytest.mark.parametrize("filler", [b"\0", b"\xff"])
@pytest.mark.parametrize("fill_bytes", [600, 100_000, 2_000_000])
def test_a_tail_that_was_never_written_is_cut_off(filler: bytes, fill_bytes: int, tmp_path: Path) -> None:
    whole = jpeg(noise())
    path = tmp_path / "zeros.jpg"
    path.write_bytes(whole[: len(whole) * 9 // 10] + filler * fill_bytes)
    with pytest.raises(FileFailed, match="cut off"):
        rendered(path, tmp_path)


@pytest.mark.parametrize("trailer", [b"", b"motion photo \0\1\2" * 100])
def test_zeros_after_the_picture_are_padding(trailer: bytes, tmp_path: Path) -> None:
    path = tmp_path / "padded.jpg"
    path.write_bytes(jpeg(noise()) + trailer + bytes(5000))
    assert rendered(path, tmp_path)[0].share_size == (640, 480)


def test_what_follows_the_picture_is_not_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "motion.jpg"
    path.write_bytes(jpeg(noise()) + b"motion photo" * 10_000)
    assert rendered(path, tmp_path)[0].share_size == (640, 480)


@pytest.mark.parametrize("suffix", ["png", "tif", "webp", "avif"])
def test_other_formats_cut_off_are_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"cut.{suffix}"
    noise().save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(FileFailed, match=r"cut off|damaged"):
        rendered(path, tmp_path)


def test_a_size_beyond_any_camera_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # as in a worker
    data = bytearray(jpeg(noise()))
    start = data.index(b"\xff\xc0") + 5
    data[start : start + 4] = (65500).to_bytes(2, "big") * 2
    path = tmp_path / "lying.jpg"
    path.write_bytes(data)
    with pytest.raises(FileFailed, match="too large: 65500 x 65500 pixels"):
        rendered(path, tmp_path)


def test_memory_bounds_what_is_decoded_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "_memory_bytes", lambda: 256 << 20)  # a worker of a 512 MB machine
    for name, size, fits in (
        ("phone.png", (4000, 3000), True),
        ("flat.png", (10_000, 5000), False),
        ("camera.jpg", (8000, 5600), True),
    ):
        path = tmp_path / name
        Image.new("L", size).save(path)
        if fits:
            assert rendered(path, tmp_path)[0].share_size[0] == 2048
        else:
            with pytest.raises(FileFailed, match="too large: 10000 x 5000 pixels"):
                rendered(path, tmp_path)


def test_a_raw_file_named_tif_is_not_shown_by_its_thumbnail(tmp_path: Path) -> None:
    path = tmp_path / "canon_1d.tif"
    noise(160, 120).save(path, tiffinfo={254: 1, 330: 8})
    with pytest.raises(FileFailed, match="no preview inside this RAW file"):
        rendered(path, tmp_path)


def test_the_largest_jpeg_inside_an_unknown_raw_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "unknown.nef"
    parts = [jpeg(noise(160, 120)), b"\xff\xd8\xff by chance", jpeg(noise(1600, 1200)), jpeg(noise(640, 480))]
    path.write_bytes(b"MM\0*" + bytes(4096).join(parts))
    assert [preview.coding for preview in rawfiles.previews(path)] == ["JPEG"] * 3
    assert rendered(path, tmp_path)[0].share_size == (1600, 1200)


def test_a_raw_file_with_nothing_but_a_stamp_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "stamp.nef"
    path.write_bytes(b"MM\0*" + bytes(4096) + jpeg(noise(160, 120)))
    with pytest.raises(FileFailed, match="no preview inside this RAW file"):
        rendered(path, tmp_path)


@needs_photos
def test_a_raw_file_without_a_preview_is_developed() -> None:
    developed = rawfiles.develop(PHOTOS / "raw/canon_eos_6d.dng", 1 << 30)
    assert developed is not None
    assert developed.size == (1224, 816)  # a linear DNG has no colour pattern to halve
    assert rawfiles.develop(PHOTOS / "raw/canon_eos_6d.dng", 1 << 20) is None
    assert rawfiles.develop(PHOTOS / "hostile/html_named.jpg", 1 << 30) is None


@needs_photos
def test_a_raw_file_whose_sensor_data_is_gone_is_not_developed(tmp_path: Path) -> None:
    with pytest.raises(FileFailed, match="no preview inside this RAW file"):
        rendered(PHOTOS / "card/DCIM/103_PANA/P1030003.RW2", tmp_path)
