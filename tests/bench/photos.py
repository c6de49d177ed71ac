"""The card that is measured: photo-like JPEGs as a 24-megapixel camera stores them, 6 to 9 MB each."""

import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from itertools import count, islice
from pathlib import Path

from PIL import Image, ImageChops, ImageOps

from ghostroll.demo.scenery import SCENES, Shape, draw_picture

SIZE = (6000, 4000)
# Quality, chroma subsampling and grain, since cameras differ in settings and detail.
_CAMERAS = ((92, "4:2:0", 8), (92, "4:2:2", 8), (92, "4:2:0", 11))
_PICTURES_PER_DRAWING = 3
_ORIENTATION = 0x0112


def card_of(directory: Path, pictures: int) -> Path:
    """Return a card with so many pictures below `directory`; it is drawn unless it is there."""
    card = directory / f"card-{pictures}"
    if not card.is_dir():
        unfinished = directory / f"unfinished-{pictures}"
        shutil.rmtree(unfinished, ignore_errors=True)
        folder = unfinished / "DCIM" / "100BENCH"
        folder.mkdir(parents=True)
        firsts = range(0, pictures, _PICTURES_PER_DRAWING)
        with ProcessPoolExecutor() as pool:
            jobs = [pool.submit(_draw_some, folder, n, min(n + _PICTURES_PER_DRAWING, pictures)) for n in firsts]
            for job in jobs:
                job.result()
        unfinished.rename(card)
    return card


def pictures_on(card: Path) -> list[Path]:
    """Return the pictures of a card."""
    return sorted((card / "DCIM").rglob("*.JPG"))


def drop_from_cache(card: Path) -> None:
    """Have the next program read the pictures from the disk, as from a card just plugged in."""
    os.sync()
    for path in pictures_on(card):
        fd = os.open(path, os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


def _draw_some(folder: Path, first: int, end: int) -> None:
    """Draw one picture, and store it several times, mirrored and shifted."""
    group = first // _PICTURES_PER_DRAWING
    quality, subsampling, grain = _CAMERAS[group % len(_CAMERAS)]
    seeds = (seed for seed in count() if SCENES[seed % len(SCENES)].shape is not Shape.PANORAMA)
    drawn = draw_picture(next(islice(seeds, group, None)), SIZE, grain=grain)
    sideways = drawn.height > drawn.width
    stored = drawn.transpose(Image.Transpose.ROTATE_90) if sideways else drawn
    exif = Image.Exif()
    exif[_ORIENTATION] = 6 if sideways else 1
    for number in range(first, end):
        path = folder / f"DSC_{number + 1:04}.JPG"
        stored.save(path, "JPEG", quality=quality, subsampling=subsampling, exif=exif)
        stored = ImageChops.offset(ImageOps.mirror(stored), 97 * (number + 1), 61)
