"""Pictures whose bytes were damaged or made to deceive: a clean derivative comes out, or one failure with a reason."""

import struct
from collections.abc import Iterator, Sequence
from functools import cache
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from ghostroll.base.errors import FileFailed
from ghostroll.derivatives import Recipe, Rendered, render
from ghostroll.derivatives.colour import adobe_rgb_profile
from ghostroll.derivatives.workers import RenderPool
from tests.support.damage import Damage, damaged, damages, examples, fresh_directory
from tests.support.photos import PHOTOS, task_for

# As in a worker, where nobody reads what a library warns of.
pytestmark = pytest.mark.filterwarnings("ignore")

SIZE = (96, 64)
SMALL = Recipe(share_max_long_edge=40, share_quality=80, thumb_max_long_edge=16, thumb_quality=70)
SECRETS = (b"SECRET", b"Exif", b"http://ns.adobe.com", b"ICC_PROFILE", b"MPF\0", b"Photoshop")
# JPEG markers (ITU-T T.81, table B.1).
SOI, EOI, SOS, RST = 0xD8, 0xD9, 0xDA, range(0xD0, 0xD8)
APP0, APPS, COMMENT, ADOBE = 0xE0, range(0xE0, 0xF0), 0xFE, 0xEE
# What a picture alone is made of: JFIF, tables, a baseline frame, restarts, one scan.
OF_A_CLEAN_JPEG = {APP0, 0xDB, 0xC0, 0xC4, 0xDD, SOS}


# --- pictures


def picture(mode: str) -> Image.Image:
    colourful = Image.merge("RGB", [Image.linear_gradient("L").rotate(turn) for turn in (0, 90, 180)]).resize(SIZE)
    return colourful.convert(mode)


def saved(mode: str, **options: object) -> bytes:
    content = BytesIO()
    picture(mode).save(content, "JPEG", **{"quality": 85, **options})
    return content.getvalue()


def secret_tags() -> Image.Exif:
    tags = Image.Exif()
    tags[0x010F], tags[0x0110], tags[0x0112] = "SECRET", "SECRET Model", 6
    tags[0x8769] = {0x9003: "2024:05:11 08:01:02", 0x9286: b"ASCII\0\0\0SECRET"}
    tags[0x8825] = {1: "N", 2: (52.0, 31.0, 12.0)}
    return tags


@cache
def jpegs() -> tuple[bytes, ...]:
    """Whole JPEGs of every kind, some with all that a camera writes beside the picture."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/">SECRET</x:xmpmeta>'
    several = BytesIO()
    picture("RGB").save(several, "MPO", save_all=True, append_images=[picture("L").convert("RGB")], exif=secret_tags())
    return (
        saved("RGB", exif=secret_tags(), comment=b"SECRET", xmp=xmp, icc_profile=adobe_rgb_profile(), dpi=(300, 300)),
        saved("RGB", subsampling="4:4:4", icc_profile=srgb),
        saved("RGB", progressive=True, exif=secret_tags()),
        saved("RGB", restart_marker_blocks=2),
        saved("L", comment=b"SECRET"),
        saved("L", progressive=True),
        saved("CMYK", icc_profile=srgb),
        several.getvalue(),
    )


@cache
def others() -> tuple[tuple[bytes, str], ...]:
    """Whole pictures of the other formats, with the suffix of each; a small RAW file where the camera files are."""
    found = []
    for name, suffix, modes in (
        ("PNG", ".PNG", ("RGB", "RGBA", "P", "I;16", "1")),
        ("TIFF", ".TIF", ("RGB", "CMYK", "L")),
        ("WEBP", ".WEBP", ("RGB", "RGBA")),
        ("AVIF", ".AVIF", ("RGB",)),
    ):
        for mode in modes:
            content = BytesIO()
            image = picture("L").convert("I").convert("I;16") if mode == "I;16" else picture(mode)
            image.save(content, name, **({"compression": "tiff_lzw"} if name == "TIFF" else {}))
            found.append((content.getvalue(), suffix))
    raw = PHOTOS / "raw/canon_eos_6d.dng"
    return (*found, (raw.read_bytes(), ".DNG")) if raw.is_file() else tuple(found)


# --- segments


def segments(jpeg: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (marker, payload) up to the first scan, which holds all that is left."""
    assert jpeg[:2] == bytes((0xFF, SOI))
    at = 2
    while at < len(jpeg):
        assert jpeg[at] == 0xFF
        marker = jpeg[at + 1]
        length = int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if marker == SOS:
            yield marker, jpeg[at + 2 :]
            return
        yield marker, jpeg[at + 4 : at + 2 + length]
        at += 2 + length


def joined(parts: Sequence[tuple[int, bytes]], lies: dict[int, int] | None = None) -> bytes:
    """Return the JPEG of these segments; `lies` adds to the length that a segment of this number claims."""
    whole = bytes((0xFF, SOI))
    for number, (marker, payload) in enumerate(parts):
        length = (len(payload) + 2 + (lies or {}).get(number, 0)) % 0x10000
        whole += bytes((0xFF, marker)) + (payload if marker == SOS else length.to_bytes(2, "big") + payload)
    return whole


@st.composite
def rearranged(draw: st.DrawFn) -> bytes:
    """Draw a JPEG with segments twice, gone, at another place, or longer or shorter than they say."""
    parts = list(segments(draw(st.sampled_from(jpegs()))))
    for kind in draw(st.lists(st.sampled_from(("twice", "gone", "moved", "foreign")), max_size=4)):
        at, to = (draw(st.integers(0, max(0, len(parts) - 1))) for _ in range(2))
        if kind == "twice":
            parts.insert(to, parts[at])
        elif kind == "foreign":
            parts.insert(to, draw(st.sampled_from(list(segments(draw(st.sampled_from(jpegs())))))))
        elif parts:
            moved = parts.pop(at)
            if kind == "moved":
                parts.insert(to, moved)
    lies = draw(st.dictionaries(st.integers(0, 12), st.integers(-40, 40) | st.integers(-0xFFFF, 0xFFFF), max_size=2))
    return joined(parts, lies)


# --- what has to come out


def assert_clean(path: Path, size: tuple[int, int], long_edge: int) -> None:
    """A picture that opens, is not larger than asked for, and holds nothing but itself."""
    content = path.read_bytes()
    with Image.open(BytesIO(content)) as image:
        image.load()
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", size)
        assert not set(image.info) - {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    assert max(size) <= long_edge
    found = list(segments(content))
    assert {marker for marker, _ in found} <= OF_A_CLEAN_JPEG
    assert [payload for marker, payload in found if marker == APP0] == [b"JFIF\0\1\1\0\0\1\0\1\0\0"]
    scan = found[-1][1][int.from_bytes(found[-1][1][:2], "big") :]
    assert scan.endswith(bytes((0xFF, EOI)))
    assert not [at for at, byte in enumerate(scan[:-2]) if byte == 0xFF and scan[at + 1] not in (0, *RST)]
    assert not [secret for secret in SECRETS if secret in content]


def outcome(content: bytes, suffix: str = ".JPG") -> Rendered | None:
    """Render a picture here; check what comes out, or that nothing is left of it."""
    with fresh_directory() as root:
        original = root / f"IMG_0001{suffix}"
        original.write_bytes(content)
        task = task_for(original, root)
        try:
            made = render(task, SMALL)
        except FileFailed:
            assert [file.name for file in root.rglob("*") if file.is_file()] == [original.name]
            return None
        assert_clean(task.share, made.share_size, SMALL.share_max_long_edge)
        assert_clean(task.thumbnail, made.thumb_size, SMALL.thumb_max_long_edge)
        assert sum(file.is_file() for file in root.rglob("*")) == 3
        return made


@pytest.mark.parametrize("number", range(8))
def test_an_undamaged_picture_comes_out(number: int) -> None:
    assert outcome(jpegs()[number]) is not None


@given(st.deferred(lambda: st.sampled_from(jpegs())), damages)
def test_a_damaged_jpeg_comes_out_clean_or_fails_alone(jpeg: bytes, changes: Sequence[Damage]) -> None:
    outcome(damaged(jpeg, changes))


@given(rearranged())
def test_a_jpeg_of_odd_segments_comes_out_clean_or_fails_alone(jpeg: bytes) -> None:
    outcome(jpeg)


@given(rearranged(), st.binary(max_size=30), st.sampled_from((".NEF", ".CR3", ".TIF", ".HEIC", ".bin")))
@examples(0.3)
def test_a_jpeg_called_something_else_comes_out_clean_or_fails_alone(jpeg: bytes, head: bytes, suffix: str) -> None:
    outcome(head + jpeg, suffix)


@given(st.deferred(lambda: st.sampled_from(jpegs())), st.integers(0, 20), damages)
def test_damage_beside_the_picture_never_costs_the_picture(jpeg: bytes, which: int, changes: Sequence[Damage]) -> None:
    parts = list(segments(jpeg))
    beside = [
        number
        for number, (marker, payload) in enumerate(parts)
        if payload and (marker == COMMENT or (marker in APPS and marker not in (APP0, ADOBE)))
    ]
    if beside:
        number = beside[which % len(beside)]
        marker, payload = parts[number]
        parts[number] = (marker, damaged(payload, changes)[: len(payload)])
    made = outcome(joined(parts))
    assert made is not None
    assert sorted(made.share_size) == [27, 40]


def tiff(*entries: tuple[int, int, int, bytes]) -> bytes:
    """Return a TIFF structure of (tag, type, count, value) in big-endian order (TIFF 6.0, section 2)."""
    packed = b"".join(struct.pack(">HHI4s", *entry) for entry in entries)
    return b"MM\0*\0\0\0\x08" + struct.pack(">H", len(entries)) + packed + bytes(4)


@pytest.mark.parametrize(
    "payload",
    [
        # XResolution as a text of one letter, and its unit.
        b"Exif\0\0" + tiff((0x011A, 2, 2, b"6\0\0\0"), (0x0128, 3, 1, b"\0\2\0\0")),
        # The index of a file of several pictures: five of them, and an entry of one (CIPA DC-007, 5.2.3).
        b"MPF\0" + tiff((0xB001, 4, 1, b"\0\0\0\5"), (0xB002, 7, 16, b"\0\0\0\x26")) + bytes(16),
        b"MPF\0" + tiff((0xB001, 2, 4, b"many")),
    ],
)
def test_metadata_that_breaks_its_reader_does_not_cost_the_picture(payload: bytes) -> None:
    parts = [(0xE1 if payload.startswith(b"Exif") else 0xE2, payload), *segments(jpegs()[1])]
    assert outcome(joined(parts)) is not None


# --- through workers


@pytest.fixture(scope="module")
def pool() -> Iterator[RenderPool]:
    with RenderPool(SMALL, 2, timeout_seconds=20) as pool:
        yield pool


any_pictures = st.deferred(
    lambda: st.sampled_from(others()) | st.sampled_from(jpegs()).map(lambda content: (content, ".JPG"))
)


@given(st.lists(st.tuples(any_pictures, damages), min_size=4, max_size=8))
@examples(0.15)
def test_a_damaged_picture_of_any_format_costs_itself_and_no_other(
    pool: RenderPool, bad: list[tuple[tuple[bytes, str], Sequence[Damage]]]
) -> None:
    with fresh_directory() as root:
        tasks = []
        for number, ((content, suffix), changes) in enumerate(bad):
            for name, data in (
                (f"good{number}", jpegs()[number % len(jpegs())]),
                (f"bad{number}", damaged(content, changes)),
            ):
                original = root / f"{name}{suffix if name.startswith('bad') else '.JPG'}"
                original.write_bytes(data)
                tasks.append(task_for(original, root))
        futures = [(task, pool.submit(task)) for task in tasks]
        for task, future in futures:
            failure = future.exception()
            if failure is None:
                assert_clean(task.share, future.result().share_size, SMALL.share_max_long_edge)
                assert_clean(task.thumbnail, future.result().thumb_size, SMALL.thumb_max_long_edge)
            else:
                assert isinstance(failure, FileFailed)
                assert task.original.name.startswith("bad")
