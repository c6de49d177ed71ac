"""Pictures that look like photographs from afar, drawn when a test needs them."""

import math
import random
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

from ghostroll.gallery.page import Photo

_SKIES = [
    ((18, 34, 70), (246, 170, 110)),
    ((96, 150, 205), (232, 238, 240)),
    ((60, 30, 70), (250, 120, 90)),
    ((150, 180, 190), (250, 244, 230)),
    ((10, 14, 30), (70, 100, 140)),
]


def draw(seed: int, size: tuple[int, int]) -> Image.Image:
    """Return a landscape of its own: a sky, a sun, hills and a few people."""
    chance = random.Random(seed)
    top, low = chance.choice(_SKIES)
    width, height = size
    column = Image.new("RGB", (1, 256))
    for y in range(256):
        column.putpixel((0, y), tuple(round(a + (b - a) * y / 255) for a, b in zip(top, low, strict=True)))
    picture = column.resize(size, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(picture)
    unit = min(size)
    sun = (chance.uniform(0.2, 0.8) * width, chance.uniform(0.25, 0.5) * height)
    pen.circle(sun, unit * 0.07, fill=(255, 240, 214))
    picture = picture.filter(ImageFilter.GaussianBlur(unit * 0.01))
    pen = ImageDraw.Draw(picture)
    for layer in range(4):
        shade = tuple(round(value * (0.62 - 0.14 * layer)) for value in low)
        base = height * (0.55 + 0.11 * layer)
        waves = [(chance.uniform(1, 5), chance.uniform(0, 6.3), chance.uniform(0.01, 0.05)) for _ in range(3)]
        ridge = [
            (x, base + height * sum(high * math.sin(often * x / width * 3 + start) for often, start, high in waves))
            for x in range(0, width + 8, 8)
        ]
        pen.polygon([(0, height), *ridge, (width, height)], fill=shade)
    for _ in range(chance.randint(0, 3)):
        x, tall = chance.uniform(0.15, 0.85) * width, unit * chance.uniform(0.16, 0.26)
        foot = height * 0.93
        pen.rounded_rectangle(
            (x - tall * 0.16, foot - tall * 0.72, x + tall * 0.16, foot), tall * 0.14, fill=(24, 22, 26)
        )
        pen.circle((x, foot - tall * 0.86), tall * 0.12, fill=(24, 22, 26))
    return picture


def make_photo(directory: Path, number: int, *, size: tuple[int, int] = (1200, 800), **words: str | None) -> Photo:
    """Draw a share image and its thumbnail below `directory` where LocalLinks has them; return their Photo."""
    name = words.get("name") or f"DCIM/100CANON/IMG_{number:04}.jpg"
    share = directory / "derived" / "share" / name
    thumbnail = directory / "derived" / "thumbs" / name
    for path in (share, thumbnail):
        path.parent.mkdir(parents=True, exist_ok=True)
    picture = draw(number, size)
    picture.save(share, "JPEG", quality=85)
    picture.thumbnail((512, 512))
    picture.save(thumbnail, "JPEG", quality=85)
    minutes = 14 * 60 + 5 + 3 * number
    return Photo(
        name=name,
        title=words.get("title") or name.replace(".jpg", ".JPG"),
        captured=words.get("captured", f"2021-05-12T{minutes // 60 % 24:02}:{minutes % 60:02}:07.25"),
        camera=words.get("camera", "Canon EOS R5"),
        share_size=size,
        thumb_size=picture.size,
        share_bytes=share.stat().st_size,
    )
