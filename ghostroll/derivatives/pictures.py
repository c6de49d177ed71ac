"""Open any picture: what it is, is decided by its first bytes; its name only tells RAW from TIFF.

Pillow decodes JPEG, PNG, TIFF, WebP and AVIF, libheif HEIC, and of a RAW file its preview is taken. Whatever
a decoder raises on damaged input comes out as it is; the caller turns it into words.
"""

import importlib
import os
import resource
from contextlib import suppress
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

from PIL import Image

from ghostroll.base.errors import FileFailed
from ghostroll.base.media_kind import MediaKind
from ghostroll.derivatives import jpegs

# More pixels than any camera makes; a JPEG this large still decodes at an eighth.
MAX_PIXELS = 300_000_000
RAW: Final = "RAW"

_HEAD_BYTES = 64
# Brands (ISO/IEC 23008-12, annex B; AV1 image file format, 4). The general ones say nothing of the coding.
_HEIF_BRANDS = frozenset((b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs"))
_AVIF_BRANDS = frozenset((b"avif", b"avis"))
_GENERAL_BRANDS = frozenset((b"mif1", b"mif2", b"msf1"))
# What RAW files that are not TIFF begin with: Canon CRW and CR3 (below), Fujifilm, Olympus, Panasonic, Sigma, Minolta.
_RAW_STARTS = (b"II\x1a\0\0\0HEAP", b"FUJIFILM", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb", b"\0MRM")
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# TIFF 6.0 and DNG 1.7: what marks a RAW file that is named like a picture.
_NEW_SUBFILE_TYPE, _SUB_IFDS, _DNG_VERSION = 254, 330, 50706

# Where Pillow finds each format; named, so that it does not load all its fifty plugins to look for it.
_PLUGINS = {
    "PNG": "PIL.PngImagePlugin",
    "TIFF": "PIL.TiffImagePlugin",
    "WEBP": "PIL.WebPImagePlugin",
    "AVIF": "PIL.AvifImagePlugin",
    "PPM": "PIL.PpmImagePlugin",
}
# Memory that decoding takes, in bytes a pixel: four are the picture itself, the rest the decoder's (measured).
_BYTES_PER_PIXEL = {"JPEG": 4, "PNG": 11, "TIFF": 11, "WEBP": 17, "AVIF": 10, "HEIF": 8, "PPM": 4}
# A progressive JPEG is kept as coefficients until its last scan.
_BYTES_PER_COEFFICIENT = 2
# What a worker needs beside the picture.
_RESERVE_BYTES = 64 << 20

# A preview is worth showing from here on, px of the long edge.
_MIN_PREVIEW_EDGE = 320


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture as it is stored: not upright yet, in its own colours.

    `size` is that of the original, (width, height) px; `image` may be smaller by a power of two, and `box`
    (left, top, right, bottom) is the part of it that the picture fills. `orientation` is the Exif number
    where the file around the picture knows it better. `is_raw`: the picture was inside a RAW file.
    """

    image: Image.Image
    size: tuple[int, int]
    box: tuple[float, float, float, float]
    orientation: int | None = None
    is_raw: bool = False


def load(path: Path, kind: MediaKind, long_edge: int) -> Picture:
    """Decode the picture at `path`, no smaller than `long_edge` px where it has as many.

    Raises FileFailed where there is no picture or it is too large, and whatever the decoder raises.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        file.seek(0)
        coding = sniff(head, kind)
        if coding is None:
            raise FileFailed("not a picture" if head else "the file is empty")
        if coding != RAW and (picture := _decode(file, coding, long_edge)) is not None:
            return picture
    return _load_raw(path, long_edge)


def sniff(head: bytes, kind: MediaKind) -> str | None:
    """Return what the first bytes of a file are: a format of Pillow's, `RAW`, or None where it is no picture."""
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head.startswith(_TIFF_STARTS):
        return RAW if kind is MediaKind.RAW else "TIFF"
    if head.startswith(_RAW_STARTS):
        return RAW
    return _sniff_brands(head) if head[4:8] == b"ftyp" else None


def _sniff_brands(head: bytes) -> str | None:
    major = head[8:12]
    brands = {head[start : start + 4] for start in range(16, min(int.from_bytes(head[:4], "big"), len(head)), 4)}
    if major == b"crx ":
        return RAW
    if major in _AVIF_BRANDS or (major in _GENERAL_BRANDS and brands & _AVIF_BRANDS):
        return "AVIF"
    return "HEIF" if major in _HEIF_BRANDS | _GENERAL_BRANDS else None


def _decode(file: BinaryIO, coding: str, long_edge: int) -> Picture | None:
    """Decode an open file; None where it is a RAW file after all."""
    image = _open(file, coding)
    if coding == "TIFF" and _is_raw_inside(image):
        return None
    size = image.size
    box = jpegs.draft(image, long_edge) if coding == "JPEG" else None
    _refuse_too_large(image, size, coding)
    if coding == "JPEG":
        image = jpegs.load(file, image, long_edge)
    else:
        image.load()
    orientation = _heif_orientation(file, image) if coding == "HEIF" else None
    # Pillow turns TIFF upright while it loads them: not the size from before.
    return Picture(image, size if box else image.size, box or (0, 0, *image.size), orientation)


def _heif_orientation(file: BinaryIO, image: Image.Image) -> int | None:
    """Return the Exif orientation of a HEIC without a turn of its own (`irot`, `imir`).

    By the standard (ISO/IEC 23008-12, 6.5.10) only the file's own counts, and libheif has applied it; but
    there are files of phones with nothing but Exif.
    """
    original = image.info.get("original_orientation")
    if original is None:
        return None
    file.seek(0)
    content = file.read()
    return None if b"irot" in content or b"imir" in content else original


def _open(file: BinaryIO, coding: str) -> Image.Image:
    if coding == "JPEG":
        return jpegs.opened(file)
    if coding == "HEIF":
        import pillow_heif  # noqa: PLC0415 - large, and only phones and some cameras need it

        pillow_heif.options.DECODE_THREADS = 1
        pillow_heif.register_heif_opener(thumbnails=False)
    else:
        plugin = importlib.import_module(_PLUGINS[coding])
        if coding == "AVIF":
            plugin.DEFAULT_MAX_THREADS = 1  # type: ignore[attr-defined]  # there is a worker for each core already
    return Image.open(file, formats=[coding])


def _is_raw_inside(image: Image.Image) -> bool:
    """Tell whether what opened as TIFF is the thumbnail of a RAW file."""
    tags = getattr(image, "tag_v2", {})
    return _DNG_VERSION in tags or (_SUB_IFDS in tags and bool(tags.get(_NEW_SUBFILE_TYPE, 0) & 1))


def _refuse_too_large(image: Image.Image, size: tuple[int, int], coding: str) -> None:
    """Raise FileFailed where decoding would take more memory than there is. `size` is the full one, px."""
    pixels = size[0] * size[1]
    needed = image.width * image.height * _BYTES_PER_PIXEL[coding]
    if image.info.get("progressive"):
        needed += int(pixels * jpegs.samples_per_pixel(image) * _BYTES_PER_COEFFICIENT)
    if pixels > MAX_PIXELS or needed > _memory_bytes() - _RESERVE_BYTES:
        raise FileFailed(f"too large: {size[0]} x {size[1]} pixels")


def _memory_bytes() -> int:
    """Return what one picture may take: the process's own limit, else half of the machine's memory."""
    limit, _ = resource.getrlimit(resource.RLIMIT_DATA)
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return physical // 2 if limit == resource.RLIM_INFINITY else limit


def _load_raw(path: Path, long_edge: int) -> Picture:
    from ghostroll.derivatives import rawfiles  # noqa: PLC0415 - loads numpy

    for preview in rawfiles.previews(path):
        with suppress(OSError, SyntaxError, ValueError, FileFailed):
            picture = _decode(BytesIO(preview.data), preview.coding, long_edge)
            if picture and max(picture.size) >= _MIN_PREVIEW_EDGE:
                return replace(picture, orientation=preview.orientation, is_raw=True)
    developed = rawfiles.develop(path, _memory_bytes() - _RESERVE_BYTES)
    if developed is None:
        raise FileFailed("no preview inside this RAW file")
    return Picture(developed, developed.size, (0, 0, *developed.size), orientation=1, is_raw=True)
