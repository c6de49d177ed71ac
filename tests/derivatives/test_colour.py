"""Colours are checked against the colour spaces' own definitions, computed here, not by the code under test."""

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image, ImageCms

from ghostroll.derivatives import colour
from tests.support.photos import PHOTOS, centres, far_apart, needs_exiftool, needs_photos, patches, rendered, set_tags

COLOURS = [(200, 100, 50), (60, 160, 90), (120, 120, 200), (128, 128, 128), (250, 240, 230), (20, 20, 40)]
# To CIE XYZ: Adobe RGB (1998), 4.3.5.3 (relative to D65); Display P3, SMPTE EG 432-1 with D65; ProPhoto,
# ANSI/I3A IT10.7666 (relative to D50).
ADOBE_TO_XYZ = ((0.57667, 0.18556, 0.18823), (0.29734, 0.62736, 0.07529), (0.02703, 0.07069, 0.99134))
P3_TO_XYZ = ((0.48657, 0.26567, 0.19822), (0.22897, 0.69174, 0.07929), (0.0, 0.04511, 1.04394))
PROPHOTO_TO_XYZ = ((0.79767, 0.13519, 0.03135), (0.28804, 0.71188, 0.00009), (0.0, 0.0, 0.82521))
# From CIE XYZ to linear sRGB: IEC 61966-2-1 (D65), and the same with the Bradford adaptation from D50.
XYZ_TO_SRGB = ((3.2406, -1.5372, -0.4986), (-0.9689, 1.8758, 0.0415), (0.0557, -0.2040, 1.0570))
XYZ_D50_TO_SRGB = ((3.1339, -1.6169, -0.4906), (-0.9788, 1.9161, 0.0335), (0.0719, -0.2290, 1.4052))
Matrix = tuple[tuple[float, float, float], ...]


def srgb_curve(linear: float) -> int:
    linear = min(1.0, max(0.0, linear))
    return round(255 * (12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055))


def srgb_linear(level: int) -> float:
    value = level / 255
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def multiplied(matrix: Matrix, vector: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix)


def adobe_to_srgb(pixel: tuple[int, ...]) -> tuple[int, ...]:
    xyz = multiplied(ADOBE_TO_XYZ, tuple((level / 255) ** (563 / 256) for level in pixel))
    return tuple(map(srgb_curve, multiplied(XYZ_TO_SRGB, xyz)))


def p3_to_srgb(pixel: tuple[int, ...]) -> tuple[int, ...]:
    xyz = multiplied(P3_TO_XYZ, tuple(map(srgb_linear, pixel)))
    return tuple(map(srgb_curve, multiplied(XYZ_TO_SRGB, xyz)))


def prophoto_to_srgb(pixel: tuple[int, ...]) -> tuple[int, ...]:
    xyz = multiplied(PROPHOTO_TO_XYZ, tuple((level / 255) ** 1.8 for level in pixel))
    return tuple(map(srgb_curve, multiplied(XYZ_D50_TO_SRGB, xyz)))


def profile_of(name: str) -> bytes:
    with Image.open(PHOTOS / name) as image:
        profile: bytes = image.info["icc_profile"]
        return profile


@needs_photos
@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("color/adobe_rgb.jpg", adobe_to_srgb),
        ("color/display_p3.jpg", p3_to_srgb),
        ("color/prophoto_16.tif", prophoto_to_srgb),
    ],
)
def test_a_profile_is_converted_to_the_srgb_of_the_standard(source, expected, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    original = tmp_path / "wide.png"
    patches(*COLOURS).save(original, icc_profile=profile_of(source))
    shown = centres(rendered(original, tmp_path)[1], len(COLOURS))
    in_gamut = [
        (found, expected(pixel))
        for pixel, found in zip(COLOURS, shown, strict=True)
        if min(expected(pixel)) > 0 and max(expected(pixel)) < 255
    ]
    assert len(in_gamut) >= 3
    assert max(far_apart(found, wanted) for found, wanted in in_gamut) <= 3  # a JPEG's rounding, too


@needs_exiftool
def test_adobe_rgb_that_a_camera_only_marks_is_converted(tmp_path: Path) -> None:
    original = tmp_path / "_DSC0001.JPG"
    patches(*COLOURS).save(original, quality=98, subsampling=0)
    set_tags(original, "-InteropIndex#=R03", "-ColorSpace#=65535")
    shown = centres(rendered(original, tmp_path)[1], len(COLOURS))
    assert max(far_apart(found, adobe_to_srgb(pixel)) for pixel, found in zip(COLOURS, shown, strict=True)) <= 3


@needs_photos
def test_the_adobe_rgb_profile_agrees_with_adobes_own() -> None:
    image = patches(*COLOURS)
    ours = colour.to_srgb(image, colour.adobe_rgb_profile())
    assert ours.tobytes() == colour.to_srgb(image, None, adobe_rgb=True).tobytes()
    theirs = colour.to_srgb(image, profile_of("color/adobe_rgb.jpg"))
    assert max(abs(a - b) for a, b in zip(ours.tobytes(), theirs.tobytes(), strict=True)) <= 1


def test_srgb_under_its_own_name_is_left_alone() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = patches(*COLOURS)
    assert colour.to_srgb(image, profile).tobytes() == image.tobytes()


@pytest.mark.parametrize("profile", [b"", b"\0" * 200, b"not a profile" * 40, colour.adobe_rgb_profile()[:300]])
def test_a_broken_profile_is_ignored(profile: bytes) -> None:
    image = patches(*COLOURS)
    assert colour.to_srgb(image, profile).tobytes() == image.tobytes()


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_a_profile_of_another_kind_of_picture_is_ignored(mode: str) -> None:
    image = patches(*COLOURS).convert(mode)
    assert colour.to_srgb(image, colour.adobe_rgb_profile()).tobytes() == image.convert("RGB").tobytes()


@needs_photos
def test_a_press_profile_makes_paper_white_white_and_ink_dark() -> None:
    image = patches((0, 0, 0, 0), (0, 0, 0, 255), (0, 255, 255, 0), (255, 0, 0, 0), mode="CMYK")
    white, black, red, cyan = centres(colour.to_srgb(image, profile_of("color/cmyk_swop.jpg")), 4)
    assert min(white) >= 253
    # Photoshop's "CMYK" swatches in sRGB, made with this profile.
    assert far_apart(black, (35, 31, 32)) <= 3
    assert far_apart(red, (237, 28, 36)) <= 3
    assert far_apart(cyan, (0, 174, 239)) <= 3


@pytest.mark.parametrize("suffix", ["tif", "jpg"])
def test_cmyk_without_a_profile_is_not_inverted(suffix: str, tmp_path: Path) -> None:
    original = tmp_path / f"press.{suffix}"
    patches((0, 0, 0, 0), (0, 0, 0, 255), (0, 255, 255, 0), mode="CMYK").save(original)
    white, black, red = centres(rendered(original, tmp_path)[1], 3)
    assert min(white) > 250
    assert max(black) < 6
    assert far_apart(red, (255, 0, 0)) < 12


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_scaled_not_clipped(suffix: str, tmp_path: Path) -> None:
    image = Image.new("I;16", (96, 32))
    for index, level in enumerate((0, 32896, 65535)):
        image.paste(level, (index * 32, 0, index * 32 + 32, 32))
    original = tmp_path / f"deep.{suffix}"
    image.save(original)
    assert [found[0] for found in centres(rendered(original, tmp_path)[1], 3)] == pytest.approx([0, 128, 255], abs=2)


@pytest.mark.parametrize(("mode", "white"), [("F", 1.0), ("F", 255.0), ("F", 65535.0), ("I", 65535), ("I", 1 << 24)])
def test_white_is_white_however_deep_the_picture(mode: str, white: float) -> None:
    image = Image.new(mode, (3, 1))
    image.putdata([0, white / 2, white] if mode == "F" else [0, int(white) // 2, int(white)])
    assert list(colour.flatten(image).tobytes()) == pytest.approx([0, 128, 255], abs=1)


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    image = patches((200, 0, 0, 255), (200, 0, 0, 0), (0, 0, 0, 128), mode="RGBA")
    for suffix in ("png", "webp", "tif"):
        original = tmp_path / f"glass.{suffix}"
        image.save(original)
        red, clear, half = centres(rendered(original, tmp_path)[1], 3)
        assert far_apart(red, (200, 0, 0)) < 12
        assert min(clear) > 250
        assert far_apart(half, (127, 127, 127)) < 6


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB"])
def test_every_mode_becomes_rgb_of_the_same_brightness(mode: str) -> None:
    source = patches((255, 255, 255), (0, 0, 0))
    if mode == "LAB":
        image = patches((255, 128, 128), (0, 128, 128), mode="LAB")
    else:
        image = source.convert("P").convert("PA") if mode == "PA" else source.convert(mode)
    white, black = centres(colour.to_srgb(colour.flatten(image), None), 2)
    assert min(white) >= 253
    assert max(black) <= 3


def test_a_palette_with_a_clear_colour_is_laid_on_white(tmp_path: Path) -> None:
    image = Image.new("P", (64, 32), 1)
    image.putpalette([10, 20, 30, 200, 0, 0])
    image.paste(0, (0, 0, 32, 32))
    original = tmp_path / "palette.png"
    image.save(original, transparency=0)
    clear, red = centres(rendered(original, tmp_path)[1], 2)
    assert min(clear) > 250
    assert far_apart(red, (200, 0, 0)) < 12


def test_grey_stays_grey(tmp_path: Path) -> None:
    original = tmp_path / "grey.jpg"
    patches((90,), (200,), mode="L").save(original)
    assert [
        far_apart(found, (want,) * 3) <= 2
        for found, want in zip(centres(rendered(original, tmp_path)[1], 2), (90, 200), strict=True)
    ] == [True, True]


def test_the_profile_built_in_is_one() -> None:
    profile = ImageCms.ImageCmsProfile(BytesIO(colour.adobe_rgb_profile()))
    assert ImageCms.getProfileDescription(profile).strip() == "Adobe RGB"
    assert len(colour.adobe_rgb_profile()) == int.from_bytes(colour.adobe_rgb_profile()[:4], "big")
