"""How an original becomes a share image and a thumbnail: the recipe, for one file.

The order is what makes it cheap (docs/performance.md): decode no more than needed, scale, convert the colours
of the small picture, turn it last, make the thumbnail from the share image.
"""

import errno
import hashlib
import secrets
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from ghostroll.base import durable
from ghostroll.base.errors import FileFailed
from ghostroll.base.media_kind import MediaKind

if TYPE_CHECKING:
    from PIL import Image

    from ghostroll.derivatives.exif import Shot

# Scaling down by more than twice this is done in two steps (Pillow, `Image.resize`).
_REDUCING_GAP = 2.0
# What a filesystem says where only the name is at fault.
_NAME_ERRORS = frozenset((errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL))
# The same, where `a.png` becomes the `a.jpg` that is also the name of a directory, or the other way round.
_MEETING_ERRORS = frozenset((errno.EEXIST, errno.ENOTDIR, errno.EISDIR))


@dataclass(frozen=True, slots=True)
class Recipe:
    """How derivatives are to be: long edges in px, JPEG qualities."""

    share_max_long_edge: int
    share_quality: int
    thumb_max_long_edge: int
    thumb_quality: int


@dataclass(frozen=True, slots=True)
class Task:
    """One original, and where its derivatives belong.

    `temporary` is an existing directory on the filesystem of `share` and `thumbnail`, whose own
    directories may not exist yet.
    """

    original: Path
    kind: MediaKind
    share: Path
    thumbnail: Path
    temporary: Path


@dataclass(frozen=True, slots=True)
class Rendered:
    """What was made: sizes are (width, height) px, hashes SHA-256 in hex. `captured` is ISO 8601 local time."""

    share_size: tuple[int, int]
    thumb_size: tuple[int, int]
    share_sha256: str
    share_bytes: int
    thumb_sha256: str
    thumb_bytes: int
    captured: str | None
    camera: str | None


def render(task: Task, recipe: Recipe) -> Rendered:
    """Make the share image and the thumbnail of one original, and put them into place, unflushed.

    Raises FileFailed where the original can't be shown, and OSError where the disk fails to take the result.
    """
    try:
        share, shot = _share_image(task, recipe.share_max_long_edge)
        thumbnail = _scaled(share, recipe.thumb_max_long_edge, share.size, (0, 0, *share.size))
        share_jpeg, thumb_jpeg = _jpeg(share, recipe.share_quality), _jpeg(thumbnail, recipe.thumb_quality)
    except FileFailed:
        raise
    except Exception as error:  # decoders raise anything on damaged input
        raise FileFailed(_reason(error)) from error
    _put(share_jpeg, task.share, task.temporary)
    _put(thumb_jpeg, task.thumbnail, task.temporary)
    return Rendered(
        share_size=share.size,
        thumb_size=thumbnail.size,
        share_sha256=hashlib.sha256(share_jpeg).hexdigest(),
        share_bytes=len(share_jpeg),
        thumb_sha256=hashlib.sha256(thumb_jpeg).hexdigest(),
        thumb_bytes=len(thumb_jpeg),
        captured=shot.captured,
        camera=shot.camera,
    )


def _share_image(task: Task, long_edge: int) -> "tuple[Image.Image, Shot]":
    """Return the picture as it is shared: scaled, sRGB, upright; and what its metadata says."""
    from ghostroll.derivatives import colour  # noqa: PLC0415 - the decoders are large, and only workers need them

    image, profile, shot = _small_picture(task, long_edge)
    image = colour.to_srgb(image, profile, adobe_rgb=shot.adobe_rgb)
    return _upright(image, shot.orientation), shot


def _small_picture(task: Task, long_edge: int) -> "tuple[Image.Image, bytes | None, Shot]":
    """Return the picture scaled, its ICC profile, and what its metadata says; the decoded one is let go."""
    from ghostroll.derivatives import colour, exif, pictures  # noqa: PLC0415 - as above

    picture = pictures.load(task.original, task.kind, long_edge)
    shot = exif.read(picture.image)
    if picture.is_raw:
        shot = exif.of_raw(task.original, shot, picture.orientation)
    elif picture.orientation is not None:
        shot = replace(shot, orientation=picture.orientation)
    image = colour.flatten(picture.image)
    profile = picture.image.info.get("icc_profile")
    return _scaled(image, long_edge, picture.size, picture.box), profile, shot


def _scaled(
    image: "Image.Image", long_edge: int, size: tuple[int, int], box: tuple[float, float, float, float]
) -> "Image.Image":
    """Return what `box` holds of `image`, with a long edge of `long_edge` px, or less where `size` has less."""
    from PIL import Image  # noqa: PLC0415 - as above

    factor = min(1.0, long_edge / max(size))
    target = (max(1, round(size[0] * factor)), max(1, round(size[1] * factor)))
    return image.resize(target, Image.Resampling.BICUBIC, box, _REDUCING_GAP)


def _upright(image: "Image.Image", orientation: int | None) -> "Image.Image":
    """Return `image` as it was seen. `orientation`: Exif 2.32, tag 274."""
    from PIL import Image  # noqa: PLC0415 - as above

    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    return image.transpose(turns[orientation]) if orientation in turns else image


def _jpeg(image: "Image.Image", quality: int) -> bytes:
    """Return `image` as JPEG with nothing but the picture in it."""
    image.info.clear()  # Pillow would copy the original's comment
    encoded = BytesIO()
    image.save(encoded, "JPEG", quality=quality, subsampling="4:2:0")
    return encoded.getvalue()


def _put(content: bytes, final: Path, temporary_directory: Path) -> None:
    temporary = temporary_directory / f"{secrets.token_hex(8)}.jpg"
    try:
        temporary.write_bytes(content)
        durable.rename_unflushed(temporary, final)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in _NAME_ERRORS:
            raise FileFailed("its name is too long, or not one for this disk") from error
        if isinstance(error, OSError) and error.errno in _MEETING_ERRORS:
            raise FileFailed("its name meets that of a directory with pictures") from error
        raise


def _reason(error: Exception) -> str:
    """Say in a photographer's words why a picture could not be decoded."""
    if isinstance(error, MemoryError):
        return "too large for this machine's memory"
    if isinstance(error, OSError) and error.errno is not None:
        return f"the file can't be read: {error.strerror}"
    if "truncated" in str(error).lower():
        return "the picture is cut off"
    return "the picture is damaged, or of a rare kind"
