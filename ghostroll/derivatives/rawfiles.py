"""What can be shown of a RAW file: the JPEG that the camera put into it, or LibRaw's quick development.

LibRaw names one preview. Where it fails, since it does not know the camera yet or the sensor's data is
damaged, the file is searched for the JPEG pictures that every RAW format embeds as they are.
"""

import mmap
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import rawpy
from PIL import Image, JpegImagePlugin

# LibRaw's turns (its manual, `libraw_image_sizes_t::flip`) as Exif orientations.
_ORIENTATION_BY_FLIP = {0: 1, 3: 3, 5: 8, 6: 6}
_QUARTER_TURNS = (5, 6)
# A search reads headers only; compressed sensor data has the marker by chance, too.
_MAX_CANDIDATES = 256
_HEADER_BYTES = 256 << 10
_MAX_PREVIEW_BYTES = 32 << 20
# Half-size development: the sensor's data, and a quarter as many pixels of four, then three channels.
_DEVELOP_BYTES_PER_PIXEL = 6
# No camera packs its sensor's data so tightly: most of it is missing, and LibRaw would make stripes of the rest.
_LEAST_BYTES_PER_PIXEL = 0.1


@dataclass(frozen=True, slots=True)
class Preview:
    """An embedded picture, coded as Pillow calls it; `orientation` (Exif) is the RAW file's, where known."""

    data: bytes
    coding: str
    orientation: int | None


def previews(path: Path) -> Iterator[Preview]:
    """Yield the previews of a RAW file, the one LibRaw names first, then whatever else is found, largest first."""
    with suppress(rawpy.LibRawError, OSError, SyntaxError, ValueError), rawpy.imread(str(path)) as raw:
        yield _named_preview(raw)
    yield from _found_previews(path)


def develop(path: Path, memory_bytes: int) -> Image.Image | None:
    """Return an upright sRGB picture made from the sensor's data at half size, or None where that fails."""
    try:
        with rawpy.imread(str(path)) as raw:
            sensor_pixels = raw.sizes.raw_width * raw.sizes.raw_height
            if sensor_pixels * _DEVELOP_BYTES_PER_PIXEL > memory_bytes:
                return None
            if path.stat().st_size < sensor_pixels * _LEAST_BYTES_PER_PIXEL:
                return None
            pixels = raw.postprocess(half_size=True, use_camera_wb=True, output_bps=8)
    except (rawpy.LibRawError, OSError, ValueError):
        return None
    height, width, _ = pixels.shape
    return Image.frombytes("RGB", (width, height), pixels.tobytes())


def _named_preview(raw: rawpy.RawPy) -> Preview:
    flip = raw.sizes.flip
    thumbnail = raw.extract_thumb().data
    if isinstance(thumbnail, bytes):
        data, coding = thumbnail, "JPEG"
        width, height = JpegImagePlugin.JpegImageFile(BytesIO(data)).size
    else:
        height, width, _ = thumbnail.shape
        data, coding = b"P6 %d %d 255\n" % (width, height) + thumbnail.tobytes(), "PPM"
    # A few cameras store the preview turned, and only the sensor's data as it lay.
    is_turned = flip in _QUARTER_TURNS and height > width and raw.sizes.width > raw.sizes.height
    return Preview(data, coding, 1 if is_turned else _ORIENTATION_BY_FLIP.get(flip))


def _found_previews(path: Path) -> Iterator[Preview]:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        found = sorted(_search(content), reverse=True)
        for _, start in found:
            yield Preview(content[start : start + _MAX_PREVIEW_BYTES], "JPEG", None)


def _search(content: mmap.mmap) -> Iterator[tuple[int, int]]:
    """Yield `(pixels, start)` of each JPEG whose header Pillow understands."""
    start = -1
    for _ in range(_MAX_CANDIDATES):
        start = content.find(b"\xff\xd8\xff", start + 1)
        if start < 0:
            return
        try:
            image = JpegImagePlugin.JpegImageFile(BytesIO(content[start : start + _HEADER_BYTES]))
        except Exception:  # noqa: BLE001, S112 - bytes that are a JPEG by chance only raise anything
            continue
        yield image.width * image.height, start
