"""Write the sample card of `ghostroll demo`: drawn pictures of one evening, stored as a camera does."""

from datetime import datetime, timedelta, timezone
from pathlib import Path

from PIL import ExifTags, Image

from ghostroll.demo.scenery import SCENES, draw_picture
from ghostroll.demo.scenery.brushes import Size

_FOLDER = Path("DCIM", "100GHOST")
_QUALITY = 90
_ZONE = timezone(timedelta(hours=2))
_FIRST, _LAST = datetime(2026, 6, 20, 17, 42, 10, tzinfo=_ZONE), datetime(2026, 6, 20, 23, 51, 37, tzinfo=_ZONE)
_FILM_SPEEDS = (100, 200, 400, 800, 1600, 3200)
_SHUTTER_SPEEDS = (1 / 500, 1 / 250, 1 / 125, 1 / 80, 1 / 50, 1 / 15)
# Exif orientations of a camera held upright (CIPA DC-008): the first row of pixels is the right or left side.
_TURNS = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
_RATING = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="5"/></rdf:RDF></x:xmpmeta>
"""


def write_sample_card(root: Path, pictures: int = 18, size: Size = (3000, 2000)) -> None:
    """Write a camera card to `root`; `size` is (width, height) of the landscape pictures, in px.

    The last picture gets a sidecar, and the card a `.DS_Store` as left by a computer.
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
    # Few pictures are spread over all scenes; after the last scene the first one follows.
    seed = index * max(1, len(SCENES) // pictures)
    progress = index / max(1, pictures - 1)
    upright = draw_picture(seed, size)
    orientation = (8 if seed % 3 else 6) if upright.height > upright.width else 1
    stored = upright.transpose(_TURNS[orientation]) if orientation in _TURNS else upright
    stored.save(path, "JPEG", quality=_QUALITY, exif=_exif(progress, orientation, stored.size))


def _exif(progress: float, orientation: int, size: Size) -> Image.Exif:
    """Return the Exif data of a picture taken after the fraction `progress` of the evening."""
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
