"""The sample card of `ghostroll demo`: one made-up evening, stored as a camera would have done."""

from datetime import datetime, timedelta, timezone
from pathlib import Path

from PIL import ExifTags, Image

from ghostroll.demo.scenery import SCENES, photo_like
from ghostroll.demo.scenery.brushes import Size

_FOLDER = Path("DCIM", "100GHOST")
_QUALITY = 90
_ZONE = timezone(timedelta(hours=2))
_FIRST, _LAST = datetime(2026, 6, 20, 17, 42, 10, tzinfo=_ZONE), datetime(2026, 6, 20, 23, 51, 37, tzinfo=_ZONE)
_FILM_SPEEDS = (100, 200, 400, 800, 1600, 3200)
_SHUTTER_SPEEDS = (1 / 500, 1 / 250, 1 / 125, 1 / 80, 1 / 50, 1 / 15)
# How a camera held upright marks its sideways pictures (CIPA DC-008, Orientation): right or left side at the top.
_TURNS = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
_RATING = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="5"/></rdf:RDF></x:xmpmeta>
"""


def write_sample_card(root: Path, pictures: int = 18, size: Size = (3000, 2000)) -> None:
    """Fill `root` with a camera's card; `size` is that of its landscape pictures, in px.

    Beside the pictures there is a companion to the last one, and what a computer left behind.
    """
    folder = root / _FOLDER
    folder.mkdir(parents=True)
    for index in range(pictures):
        _write_picture(folder / _name(index), index, pictures, size)
    (folder / _name(pictures - 1)).with_suffix(".XMP").write_text(_RATING, "ascii")
    (root / _FOLDER.parts[0] / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")


def _name(index: int) -> str:
    return f"IMG_{index + 1:04}.JPG"


def _write_picture(path: Path, index: int, pictures: int, size: Size) -> None:
    # Few pictures are spread over the evening; more than there are scenes begin it again.
    seed = index * max(1, len(SCENES) // pictures)
    progress = index / max(1, pictures - 1)
    upright = photo_like(seed, size)
    orientation = (8 if seed % 3 else 6) if upright.height > upright.width else 1
    stored = upright.transpose(_TURNS[orientation]) if orientation in _TURNS else upright
    stored.save(path, "JPEG", quality=_QUALITY, exif=_exif(progress, orientation, stored.size))


def _exif(progress: float, orientation: int, size: Size) -> Image.Exif:
    """Return what a camera says of a picture taken when so much of the evening had passed."""
    taken = _FIRST + (_LAST - _FIRST) * progress
    step = min(int(progress * len(_FILM_SPEEDS)), len(_FILM_SPEEDS) - 1)
    date = f"{taken:%Y:%m:%d %H:%M:%S}"
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "GhostRoll"
    exif[ExifTags.Base.Model] = "Sample 1"
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.DateTime] = date
    exif.get_ifd(ExifTags.IFD.Exif).update(
        {
            ExifTags.Base.DateTimeOriginal: date,
            ExifTags.Base.SubsecTimeOriginal: f"{taken.microsecond // 10_000:02}",
            ExifTags.Base.OffsetTimeOriginal: "+02:00",
            ExifTags.Base.ExposureTime: _SHUTTER_SPEEDS[step],
            ExifTags.Base.FNumber: 2.8,
            ExifTags.Base.ISOSpeedRatings: _FILM_SPEEDS[step],
            ExifTags.Base.FocalLength: 35.0,
            ExifTags.Base.ExifImageWidth: size[0],
            ExifTags.Base.ExifImageHeight: size[1],
        }
    )
    return exif
