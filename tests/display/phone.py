"""A phone's photo of a panel, simulated: 1080p, held over it, tilted, blurred, noisy, unevenly lit, as a JPEG."""

import io
import math
import random
import subprocess
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zxingcpp
from PIL import Image, ImageFilter

# A 1080p preview of a phone 15 cm away sees this much a pixel; a larger code is taken from farther away.
_MM_A_PIXEL = 0.107
_SIDE_PX = 1080
_CODE_AT_MOST_PX = 860
_MM_PER_INCH = 25.4
# Levels of a photo of e-ink, whose white is a light grey and whose black is a dark one; and of what lies around.
_WHITE, _BLACK, _AROUND = 200, 58, 105
_BORDER_MM = 3.0
_FINER = 3


@dataclass(frozen=True)
class Conditions:
    """How the photo is taken; each is the most, in pixels of the camera, degrees and levels of 255."""

    blur_px: tuple[float, float]
    tilt: float
    turn: float
    noise: float
    shade: float
    jpeg_quality: int


TYPICAL = Conditions((0.5, 0.9), tilt=7, turn=10, noise=3, shade=0.12, jpeg_quality=85)
HARD = Conditions((1.2, 1.6), tilt=18, turn=20, noise=5, shade=0.3, jpeg_quality=70)


def photo(frame: Image.Image, dpi: int, code_side_px: int, conditions: Conditions, seed: int) -> Image.Image:
    """Take a photo of the right-hand end of a frame, where its code is."""
    chance = random.Random(seed)
    mm_a_panel_px = _MM_PER_INCH / dpi
    scale = max(_MM_A_PIXEL, code_side_px * mm_a_panel_px / _CODE_AT_MOST_PX)
    laid = _laid_out(frame, dpi)
    border = round(_BORDER_MM / mm_a_panel_px)
    centre = (laid.width / _FINER - border - code_side_px / 2, laid.height / _FINER / 2)
    flat = laid.transform(
        (_SIDE_PX, _SIDE_PX),
        Image.Transform.PERSPECTIVE,
        _view_from(centre, scale / mm_a_panel_px, conditions, chance),
        Image.Resampling.BICUBIC,
        fillcolor=_AROUND,
    )
    blurred = flat.filter(ImageFilter.GaussianBlur(chance.uniform(*conditions.blur_px)))
    return _exposed(blurred, conditions, chance)


def _laid_out(frame: Image.Image, dpi: int) -> Image.Image:
    """Return the panel on its table, finer than its own pixels, which have hard edges."""
    grey = frame.convert("RGB").convert("L").point(lambda level: _BLACK + level * (_WHITE - _BLACK) // 255)
    border = round(_BORDER_MM * dpi / _MM_PER_INCH)
    whole = Image.new("L", (grey.width + 2 * border, grey.height + 2 * border), _WHITE)
    whole.paste(grey, (border, border))
    return whole.resize((whole.width * _FINER, whole.height * _FINER), Image.Resampling.NEAREST)


def _view_from(
    centre: tuple[float, float], panel_px_a_pixel: float, conditions: Conditions, chance: random.Random
) -> tuple[float, ...]:
    """Return the perspective from the camera's pixels to those of the panel as it is laid out."""
    turn = math.radians(chance.uniform(-conditions.turn, conditions.turn))
    tilts = [math.radians(chance.uniform(-conditions.tilt, conditions.tilt)) for _ in range(2)]
    # So far away, in camera pixels, that the tilt shows as it does from 15 cm.
    distance = 150 / _MM_A_PIXEL
    across, down = (math.sin(tilt) / distance for tilt in tilts)
    size = panel_px_a_pixel * _FINER
    a, b = size * math.cos(turn) / math.cos(tilts[0]), -size * math.sin(turn)
    d, e = size * math.sin(turn), size * math.cos(turn) / math.cos(tilts[1])
    middle_x, middle_y = centre[0] * _FINER, centre[1] * _FINER
    to_middle = np.array([[1, 0, -_SIDE_PX / 2], [0, 1, -_SIDE_PX / 2], [0, 0, 1]])
    seen = np.array([[a, b, 0], [d, e, 0], [across, down, 1]])
    back = np.array([[1, 0, middle_x], [0, 1, middle_y], [0, 0, 1]])
    matrix = back @ seen @ to_middle
    return tuple((matrix / matrix[2, 2]).flatten()[:8])


def _exposed(image: Image.Image, conditions: Conditions, chance: random.Random) -> Image.Image:
    levels = np.asarray(image, dtype=np.float64)
    noise = np.random.default_rng(chance.getrandbits(32)).normal(0, conditions.noise, levels.shape)
    slope = np.linspace(1 - conditions.shade, 1 + conditions.shade, _SIDE_PX)
    lit = levels * (slope[None, :] if chance.random() < 0.5 else slope[:, None]) + noise
    buffer = io.BytesIO()
    Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=conditions.jpeg_quality)
    return Image.open(buffer).convert("L")


def read_by_zxing(image: Image.Image) -> str | None:
    """Return what zxing-cpp reads of a picture."""
    found = zxingcpp.read_barcodes(image, formats=zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode))
    return found[0].text if len(found) == 1 else None


def read_by_zbar(images: list[Image.Image], directory: Path) -> list[str | None]:
    """Return what zbar reads of each picture, by its own program."""
    paths = [directory / f"{number}.pgm" for number in range(len(images))]
    for image, path in zip(images, paths, strict=True):
        image.convert("L").save(path)
    command = ["zbarimg", "--quiet", "--xml", "-Sdisable", "-Sqrcode.enable", *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode in (0, 4), done.stderr  # 4: in some there was none (zbarimg(1))
    found: dict[str, str | None] = {}
    for source in ET.fromstring(done.stdout).iter("{http://zbar.sourceforge.net/2008/barcode}source"):
        texts = [data.text for data in source.iter("{http://zbar.sourceforge.net/2008/barcode}data")]
        found[source.attrib["href"]] = texts[0] if len(texts) == 1 else None
    return [found.get(str(path)) for path in paths]
