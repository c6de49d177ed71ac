"""What the picture tests share: where the camera files are, small pictures, a recipe, and exiftool's word."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ghostroll.card.media import kind_of
from ghostroll.derivatives import Recipe, Rendered, Task, render

PHOTOS = Path(__file__).parents[2].parent / "shared" / "photos"
needs_photos = pytest.mark.skipif(not PHOTOS.is_dir(), reason="the camera files are not here")
needs_exiftool = pytest.mark.skipif(not shutil.which("exiftool"), reason="exiftool is not installed")
RECIPE = Recipe(share_max_long_edge=2048, share_quality=90, thumb_max_long_edge=512, thumb_quality=85)


def task_for(original: Path, directory: Path) -> Task:
    return Task(
        original=original,
        kind=kind_of(original.name),
        share=directory / "share" / "DCIM" / f"{original.name}.jpg",
        thumbnail=directory / "thumbs" / "DCIM" / f"{original.name}.jpg",
        temporary=directory,
    )


def rendered(original: Path, directory: Path, recipe: Recipe = RECIPE) -> tuple[Rendered, Image.Image]:
    """Render one file; return what came of it, and the share image as a stranger's program reads it."""
    task = task_for(original, directory)
    result = render(task, recipe)
    with Image.open(task.share) as image:
        image.load()
        return result, image


def exiftool(*arguments: str | Path) -> list[dict[str, Any]]:
    done = subprocess.run(["exiftool", "-json", *arguments], capture_output=True, check=True)
    found: list[dict[str, Any]] = json.loads(done.stdout or b"[]")
    return found


def set_tags(path: Path, *assignments: str) -> None:
    subprocess.run(["exiftool", "-q", "-overwrite_original", *assignments, str(path)], check=True)


def patches(*colours: tuple[int, ...], mode: str = "RGB", edge: int = 32) -> Image.Image:
    """Return a row of plain squares."""
    image = Image.new(mode, (edge * len(colours), edge))
    for index, colour in enumerate(colours):
        image.paste(colour if len(colour) > 1 else colour[0], (index * edge, 0, (index + 1) * edge, edge))
    return image


def centres(image: Image.Image, count: int) -> list[tuple[int, ...]]:
    """Return the colour in the middle of each of `count` squares of a row."""
    edge = image.width / count
    found = [image.getpixel((int(edge * (index + 0.5)), image.height // 2)) for index in range(count)]
    return [pixel if isinstance(pixel, tuple) else (int(pixel or 0),) for pixel in found]


def far_apart(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    """Return the largest difference of two colours, in levels of 255."""
    return max(abs(a - b) for a, b in zip(one, other, strict=True))
