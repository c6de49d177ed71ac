"""When, with which camera and which way up a picture was taken, as far as its metadata can be believed.

Tag numbers and formats: CIPA DC-008 (Exif 2.32), DCF 2.0 (CIPA DC-009) for the interoperability index.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image

from ghostroll.base.log import printable

_ORIENTATIONS = range(1, 9)
_MAX_CAMERA_CHARS = 64
# What `datetime` takes, and `%f` beyond it is not measured by any camera.
_MAX_FRACTION_DIGITS = 6

# "YYYY:MM:DD HH:MM:SS" by the standard; the other separators, the fraction and the zone by phones and editors.
_DATE = re.compile(
    r"(\d{4})[:/.-](\d\d)[:/.-](\d\d)[ T]+(\d\d):(\d\d):(\d\d)(?:\.(\d+))?\s*(Z|[+-]\d\d:\d\d)?", re.ASCII
)
_OFFSET = re.compile(r"([+-])(\d\d):(00|15|30|45)", re.ASCII)
_EAST_MOST_MINUTES, _WEST_MOST_MINUTES = 14 * 60, 12 * 60


# Dates in order of trust, each with its fraction of a second and its offset from UTC.
_DATE_TAGS = (
    (ExifTags.Base.DateTimeOriginal, ExifTags.Base.SubsecTimeOriginal, ExifTags.Base.OffsetTimeOriginal),
    (ExifTags.Base.DateTimeDigitized, ExifTags.Base.SubsecTimeDigitized, ExifTags.Base.OffsetTimeDigitized),
)
# The same tags by the names exifread gives them.
_RAW_NAMES = {
    ExifTags.Base.DateTimeOriginal: "EXIF DateTimeOriginal",
    ExifTags.Base.SubsecTimeOriginal: "EXIF SubSecTimeOriginal",
    ExifTags.Base.OffsetTimeOriginal: "EXIF OffsetTimeOriginal",
    ExifTags.Base.DateTimeDigitized: "EXIF DateTimeDigitized",
    ExifTags.Base.SubsecTimeDigitized: "EXIF SubSecTimeDigitized",
    ExifTags.Base.OffsetTimeDigitized: "EXIF OffsetTimeDigitized",
}
# A CR3's metadata comes first; the boxes that are read here end before this.
_CANON_HEAD_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Shot:
    """What metadata says of a picture; what it doesn't say, or can't be so, stays at the default.

    `captured` is ISO 8601 local time; `orientation` the Exif number, 1 (upright) to 8; `adobe_rgb` the DCF optional
    colour space, which cameras mark without embedding a profile.
    """

    captured: str | None = None
    camera: str | None = None
    orientation: int | None = None
    adobe_rgb: bool = False


def read(image: Image.Image) -> Shot:
    """Return what the metadata of an open picture says; damaged metadata says nothing."""
    try:
        root = image.getexif()
        details = root.get_ifd(ExifTags.IFD.Exif)
        interoperability = root.get_ifd(ExifTags.IFD.Interop)
    except Exception:  # noqa: BLE001 - hostile tags raise anything, and a picture is worth more than its tags
        return Shot()
    return Shot(
        captured=_captured(details),
        camera=camera_name(root.get(ExifTags.Base.Make), root.get(ExifTags.Base.Model)),
        orientation=_orientation(root.get(ExifTags.Base.Orientation)),
        adobe_rgb=_text(interoperability.get(1)) == "R03",
    )


def of_raw(path: Path, preview: Shot, orientation: int | None) -> Shot:
    """Return what a RAW file says of itself, and what it leaves out as its `preview` says.

    `orientation` is LibRaw's, where it could read the file.
    """
    own = read_raw(path)
    return Shot(
        captured=own.captured or preview.captured,
        camera=own.camera or preview.camera,
        orientation=preview.orientation or orientation or own.orientation,
        adobe_rgb=preview.adobe_rgb,
    )


def read_raw(path: Path) -> Shot:
    """Return when, with which camera and which way up a RAW file was taken; damaged metadata says nothing."""
    try:
        with path.open("rb") as file:
            head = file.read(_CANON_HEAD_BYTES)
        return _read_canon(head) if head[4:12] == b"ftypcrx " else _read_tiff_like(path)
    except Exception:  # noqa: BLE001 - as above
        return Shot()


def _read_canon(head: bytes) -> Shot:
    """Read a CR3's boxes CMT1 (what is IFD0 elsewhere) and CMT2 (Exif), each a TIFF structure of its own.

    Source: "Canon CR3 file format", github.com/lclevy/canon_cr3.
    """
    directories = []
    for name in (b"CMT1", b"CMT2"):
        start = head.index(name)
        directory = Image.Exif()
        directory.load(b"Exif\0\0" + head[start + 4 : start - 4 + int.from_bytes(head[start - 4 : start], "big")])
        directories.append(dict(directory))
    root, details = directories
    return Shot(
        captured=_captured(details),
        camera=camera_name(root.get(ExifTags.Base.Make), root.get(ExifTags.Base.Model)),
        orientation=_orientation(root.get(ExifTags.Base.Orientation)),
    )


def _read_tiff_like(path: Path) -> Shot:
    import exifread  # noqa: PLC0415 - only RAW files need it

    with path.open("rb") as file:
        tags = exifread.process_file(file, details=False, extract_thumbnail=False, builtin_types=True)
    details: dict[int, Any] = {number: tags.get(name) for number, name in _RAW_NAMES.items()}
    return Shot(captured=_captured(details), camera=camera_name(tags.get("Image Make"), tags.get("Image Model")))


def captured_at(date: object, fraction: object = None, offset: object = None) -> str | None:
    """Return ISO 8601 local time from what three tags hold, or None where the date is blank, zero or impossible."""
    match = _DATE.fullmatch(_text(date))
    if not match:
        return None
    *numbers, own_fraction, own_offset = match.groups()
    try:
        moment = datetime(*map(int, numbers))  # type: ignore[arg-type]  # noqa: DTZ001 - a camera's clock has no zone
    except ValueError:
        return None
    digits = own_fraction or re.sub(r"[^0-9].*", "", _text(fraction), flags=re.ASCII)
    zone = _valid_offset(_text(offset)) or _valid_offset((own_offset or "").replace("Z", "+00:00"))
    return moment.isoformat() + (f".{digits[:_MAX_FRACTION_DIGITS]}" if digits else "") + zone


def camera_name(make: object, model: object) -> str | None:
    """Return a camera's name fit for showing, the maker in front unless the model begins with its name."""
    maker, name = _text(make), _text(model)
    if not name:
        return None
    repeats = set(maker.casefold().split()) & set(name.casefold().split()[:1])
    return printable(name if repeats or not maker else f"{maker} {name}")[:_MAX_CAMERA_CHARS].strip()


def _captured(details: Mapping[int, Any]) -> str | None:
    candidates = (captured_at(*(details.get(tag) for tag in tags)) for tags in _DATE_TAGS)
    return next((captured for captured in candidates if captured), None)


def _valid_offset(text: str) -> str:
    """Return `text` where clocks somewhere differ so from UTC (tz database: -12:00 to +14:00), else ""."""
    match = _OFFSET.fullmatch(text)
    if not match:
        return ""
    minutes = int(match[2]) * 60 + int(match[3])
    return text if minutes <= (_EAST_MOST_MINUTES if match[1] == "+" else _WEST_MOST_MINUTES) else ""


def _orientation(value: object) -> int | None:
    return value if isinstance(value, int) and value in _ORIENTATIONS else None


def _text(value: object) -> str:
    """Return what a tag holds as one line: up to its first NUL, without outer and repeated blanks."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return " ".join(value.partition("\0")[0].split()) if isinstance(value, str) else ""
