"""Writes what is looked at and compared with: the golden frames, the pictures of docs/panel.md, its table of scans.

Run by `make frames`, on purpose alone: whoever writes them anew looks at them before committing.
"""

import shutil
import sys
from pathlib import Path

from PIL import Image

from ghostroll_display.models import MODELS
from tests.display import phone, scans, scenes
from tests.display.scenes import GOLDEN, GOLDEN_PANELS

DOCS = Path(__file__).parents[2] / "docs"
DOCS_PANELS = ("phatssd1608-black", "what-red", "spectra73")
_COLUMNS = 3
_GAP_PX = 8
_GROUND = (150, 150, 150)
_BEGIN, _END = "<!-- scans: written by make frames -->\n", "<!-- end of scans -->\n"
_PHOTOS = 40


def write_golden() -> None:
    """Draw every screen on the four panels that are compared by pixel."""
    shutil.rmtree(GOLDEN, ignore_errors=True)
    for panel in GOLDEN_PANELS:
        (GOLDEN / panel).mkdir(parents=True)
        for name in scenes.FRAMES:
            image = scenes.draw(name, MODELS[panel])
            image.save(GOLDEN / panel / f"{name}.png", optimize=True)


def write_pictures() -> None:
    """Put the screens of a panel together on one picture."""
    (DOCS / "panel").mkdir(exist_ok=True)
    for panel in DOCS_PANELS:
        width, height = MODELS[panel].size
        rows = -(-len(scenes.FRAMES) // _COLUMNS)
        size = (_COLUMNS * (width + _GAP_PX) + _GAP_PX, rows * (height + _GAP_PX) + _GAP_PX)
        together = Image.new("RGB", size, _GROUND)
        for number, name in enumerate(scenes.FRAMES):
            row, column = divmod(number, _COLUMNS)
            corner = (_GAP_PX + column * (width + _GAP_PX), _GAP_PX + row * (height + _GAP_PX))
            together.paste(Image.open(GOLDEN / panel / f"{name}.png").convert("RGB"), corner)
        together.quantize(16, dither=Image.Dither.NONE).save(DOCS / "panel" / f"{panel}.png", optimize=True)


def write_table(photos: int) -> None:
    """Photograph every code and write how many are read into docs/panel.md."""
    lines = [
        "| panel (px) | link | version | px (mm) a module | quiet zone | typical: zxing, zbar | hard: zxing, zbar |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for panel, link in scans.distinct():
        seen = scans.shown(panel, link)
        typical, hard = (scans.rate(seen, conditions, photos) for conditions in (phone.TYPICAL, phone.HARD))
        code, (width, height) = seen.code, seen.model.size
        form = "short" if code.text == scenes.SHORT_LINK else f"full, {len(code.text)} characters"
        lines.append(
            f"| {width}x{height} | {form} | {code.version}-{code.level} | {code.module_px} ({code.module_mm:.2f})"
            f" | {code.quiet_modules} | {_percent(typical)} | {_percent(hard)} |"
        )
        sys.stderr.write(lines[-1] + "\n")
    page = DOCS / "panel.md"
    before, rest = page.read_text().split(_BEGIN)
    after = rest.split(_END)[1]
    page.write_text(before + _BEGIN + f"{photos} photos each.\n\n" + "\n".join(lines) + "\n" + _END + after)


def _percent(rate: scans.Rate) -> str:
    return f"{round(100 * rate.zxing / rate.photos)} %, {round(100 * rate.zbar / rate.photos)} %"


if __name__ == "__main__":
    write_golden()
    write_pictures()
    write_table(int(sys.argv[1]) if len(sys.argv) > 1 else _PHOTOS)
