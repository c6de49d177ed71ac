"""From whatever a picture's numbers mean to sRGB, 8 bits a channel, on white.

Two steps, since a profile is best applied to the small image: `flatten` makes a picture fit for scaling,
`to_srgb` turns the scaled one into RGB.
"""

import itertools
import struct
from functools import cache, lru_cache
from io import BytesIO
from typing import Final, cast

from PIL import Image, ImageCms

_WHITE: Final = 255
# Modes that Pillow scales with a filter; it falls back to the nearest pixel for palettes and bits.
_SCALABLE = frozenset(("L", "RGB", "CMYK", "RGBA", "LA", "LAB"))
_BY_DEPTH = frozenset(("I;16", "I;16B", "I;16L", "I;16N", "I", "F"))
# The white of deep pictures: floats count from 0 to 1, or as integers do; integers are 16 bits, even in 32.
_FULL_SCALES = {"F": (1.0, 255.0, 65535.0), "I": (65535,)}
_WITH_ALPHA = frozenset(("PA", "La", "RGBa"))
# The colour space of a profile, at byte 16 of its header, for the modes it can describe (ICC.1:2022, 7.2.8).
_PROFILE_SPACES = {"RGB": b"RGB ", "L": b"GRAY", "CMYK": b"CMYK"}
# An embedded profile that moves no colour by more than this is sRGB under another name (of 255 levels).
_SAME_COLOUR_LEVELS = 1
_PROFILES_KEPT = 16


def flatten(image: Image.Image) -> Image.Image:
    """Return `image` in a mode that scales well, its depth reduced to 8 bits by scaling, not clipping."""
    if image.mode in _SCALABLE:
        return image.convert("RGBA") if "transparency" in image.info and image.mode in ("L", "RGB") else image
    if image.mode in _BY_DEPTH:
        return _to_8_bits(image)
    if image.mode == "1":
        return image.convert("L")
    return image.convert("RGBA" if image.mode in _WITH_ALPHA or "transparency" in image.info else "RGB")


def to_srgb(image: Image.Image, profile: bytes | None, *, adobe_rgb: bool = False) -> Image.Image:
    """Return a flattened `image` in sRGB on white, mode RGB.

    `profile` is its ICC profile; one that is broken or of another kind of picture is ignored. `adobe_rgb`
    says what the colours are where there is no profile.
    """
    image = _on_white(image)
    if image.mode == "LAB":
        return _build(ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")), "LAB").apply(image)
    if profile is None and adobe_rgb and image.mode == "RGB":
        profile = adobe_rgb_profile()
    if profile is not None and profile[16:20] == _PROFILE_SPACES[image.mode]:
        transform = _transform(profile, image.mode)
        if transform is not None:
            return transform.apply(image)
    return image.convert("RGB")


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Return a picture of one deep channel as L: what its numbers can hold becomes 255, not what they do hold."""
    deep = image if image.mode == "F" else image.convert("I")
    _, brightest = cast("tuple[float, float]", deep.getextrema())
    full = next((limit for limit in _FULL_SCALES[deep.mode] if brightest <= limit), brightest)
    return deep.point(lambda value: value * (_WHITE / full) + 0.5).convert("L")


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode not in ("RGBA", "LA"):
        return image
    opaque = image.mode[:-1]
    canvas = Image.new(opaque, image.size, "white")
    canvas.paste(image.convert(opaque), mask=image.getchannel("A"))
    return canvas


@lru_cache(maxsize=_PROFILES_KEPT)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return what turns `mode` in `profile` into sRGB; None where it changes nothing, or can't be used."""
    try:
        transform = _build(ImageCms.ImageCmsProfile(BytesIO(profile)), mode)
    except (OSError, ValueError, TypeError, ImageCms.PyCMSError):
        return None
    return None if mode == "RGB" and _changes_nothing(transform) else transform


def _build(source: ImageCms.ImageCmsProfile, mode: str) -> ImageCms.ImageCmsTransform:
    """Relative colorimetric with black point compensation: what photo programs convert to sRGB with."""
    return ImageCms.ImageCmsTransform(
        source,
        _srgb(),
        mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    """Tell whether a grid over all colours stays as it is; most pictures carry sRGB's profile, and this is cheaper."""
    steps = range(0, 256, 17)
    colours = bytes(level for colour in itertools.product(steps, repeat=3) for level in colour)
    grid = Image.frombytes("RGB", (256, 16), colours)
    difference = zip(grid.tobytes(), transform.apply(grid).tobytes(), strict=True)
    return all(abs(before - after) <= _SAME_COLOUR_LEVELS for before, after in difference)


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


@cache
def adobe_rgb_profile() -> bytes:
    """Return an ICC profile of Adobe RGB (1998), which cameras mark by "R03" without embedding it.

    Numbers: Adobe RGB (1998) Color Image Encoding, version 2005-05, annex A (colourants relative to D50, gamma
    563/256). Layout: ICC.1:2001-04 (version 2.4), 6.1 and 6.5.
    """
    tags = {
        b"desc": b"desc" + struct.pack(">4xI", 10) + b"Adobe RGB\0" + bytes(78),
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": _xyz(0.95045, 1.0, 1.08905),
        b"rXYZ": _xyz(0.60974, 0.31111, 0.01947),
        b"gXYZ": _xyz(0.20528, 0.62567, 0.06087),
        b"bXYZ": _xyz(0.14919, 0.06322, 0.74457),
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), b"curv" + struct.pack(">4xIH", 1, 563)),
    }
    directory, body = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        directory += struct.pack(">4sII", name, start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = struct.pack(">I4x", start + len(body)) + b"\x02\x40\0\0mntrRGB XYZ " + bytes(12) + b"acsp"
    header += bytes(28) + _xyz(0.9642, 1.0, 0.8249)[8:]  # the connection space's white, D50
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + directory + body


def _xyz(*values: float) -> bytes:
    return b"XYZ " + struct.pack(">4x3i", *(round(value * 65536) for value in values))
