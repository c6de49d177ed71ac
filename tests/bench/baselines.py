"""What the job is measured against, on the same pictures: `python -m tests.bench.baselines naive|floor CARD DIRECTORY`.

`naive` decodes every picture whole, turns it, and scales it down twice from full size. `floor` only decodes at half
the size and encodes an image of the size of a share image, by libjpeg-turbo's own programs: what no way of making
a share image falls below. Both use every core.
"""

import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path

from PIL import Image, ImageOps

from tests.bench.photos import pictures_on

EDGES = ((2048, 90), (512, 85))


def naive(card: Path, directory: Path) -> None:
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(partial(_render_naively, directory), pictures_on(card)):
            pass


def _render_naively(directory: Path, path: Path) -> None:
    with Image.open(path) as opened:
        image = ImageOps.exif_transpose(opened)
    for edge, quality in EDGES:
        scale = edge / max(image.size)
        small = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
        small.save(directory / f"{path.stem}-{edge}.jpg", "JPEG", quality=quality)


def floor(card: Path, directory: Path) -> None:
    share = directory / "share.ppm"
    pictures = pictures_on(card)
    with Image.open(pictures[0]) as image:
        image.resize((2048, 1365)).save(share)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(partial(_decode_and_encode, share), pictures):
            pass


def _decode_and_encode(share: Path, path: Path) -> None:
    subprocess.run(["djpeg", "-scale", "1/2", "-outfile", os.devnull, path], check=True)
    subprocess.run(["cjpeg", "-quality", "90", "-outfile", os.devnull, share], check=True)


if __name__ == "__main__":
    {"naive": naive, "floor": floor}[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
