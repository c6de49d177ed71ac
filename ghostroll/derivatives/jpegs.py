"""Decode a JPEG: no more of it than is needed, and nothing less than all of the picture.

Pillow alone is too strict with a missing end marker, and too lenient with a tail of zeros, which is what a
card holds of a file that was never written to its end: zeros decode, as grey or as stripes.
"""

import os
from io import BytesIO
from typing import BinaryIO

from PIL import Image, JpegImagePlugin

from ghostroll.base.errors import FileFailed

_END_OF_IMAGE = b"\xff\xd9"
_MOST_CHECKED_BYTES = 64 << 20
# What a file ends with that was given its place on the card, but not its content: zeros, or erased flash.
_UNWRITTEN = (bytes(16), b"\xff" * 16)


class _Jpeg(JpegImagePlugin.JpegImageFile):
    """A JPEG whose metadata is not looked at when it is opened: damaged, it would cost the picture."""

    def _read_dpi_from_exif(self) -> None:
        pass


def opened(file: BinaryIO) -> Image.Image:
    """Open a JPEG, or the first picture of several in one file; raises SyntaxError where there is none."""
    return _Jpeg(file)


def draft(image: Image.Image, long_edge: int) -> tuple[float, float, float, float] | None:
    """Have a picture decoded at the smallest power of two that leaves `long_edge` px; return the box it fills.

    The box must have the picture's shape: Pillow takes the shorter side's factor, and finds none in a square.
    """
    width, height = image.size
    factor = max(width, height) / long_edge
    if factor <= 1:
        return None
    drafted = image.draft(None, (max(1, int(width / factor)), max(1, int(height / factor))))
    return drafted[1] if drafted else None


def samples_per_pixel(image: Image.Image) -> float:
    """Return how many numbers a JPEG holds for each pixel: 3, or 1.5 where its colours are subsampled 4:2:0."""
    components: list[tuple[int, int, int, int]] = getattr(image, "layer", [])
    factors = [horizontal * vertical for _, horizontal, vertical, _ in components]
    return sum(factors) / max(factors, default=1)


def load(file: BinaryIO, image: Image.Image, long_edge: int) -> Image.Image:
    """Decode an open and drafted `image` of `file`. Raises FileFailed or OSError where some of it is missing."""
    try:
        image.load()
    except OSError as error:
        whole = _loaded_if_whole(file, long_edge) if "truncated" in str(error) else None
        if whole is None:
            raise
        return whole
    if _has_unwritten_end(file) and _loaded_if_whole(file, long_edge) is None:
        raise FileFailed("the picture is cut off")
    return image


def _loaded_if_whole(file: BinaryIO, long_edge: int) -> Image.Image | None:
    """Return the picture, whatever the file ends with; None where some of the picture is missing.

    Where all of the picture is there, what follows changes nothing. Where not, it becomes the missing part:
    so the picture is decoded with different bytes behind it, and has to come out the same.
    """
    file.seek(0)
    data = file.read(_MOST_CHECKED_BYTES + 1)
    if len(data) > _MOST_CHECKED_BYTES:
        return None
    data = data.rstrip(b"\0\xff") if data.endswith(_UNWRITTEN) else data.removesuffix(_END_OF_IMAGE[:1])
    whole, *others = [_decoded(data + tail, long_edge) for tail in (b"", b"\x55" * 64, b"\xaa" * 64)]
    return whole if all(other.tobytes() == whole.tobytes() for other in others) else None


def _decoded(data: bytes, long_edge: int) -> Image.Image:
    image = opened(BytesIO(data + _END_OF_IMAGE))
    draft(image, long_edge)
    image.load()
    return image


def _has_unwritten_end(file: BinaryIO) -> bool:
    """Tell whether a file ends as if it had not been written to its end; one too long to check is trusted."""
    length = file.seek(0, os.SEEK_END)
    file.seek(max(0, length - len(_UNWRITTEN[0])))
    return length <= _MOST_CHECKED_BYTES and file.read().endswith(_UNWRITTEN)
