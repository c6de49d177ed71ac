"""The QR code that a panel can show: which link, how large its modules are, how much repair they leave room for."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

from PIL import Image

from ghostroll_display import texts
from ghostroll_display.models import PanelModel

# The least module that phones read: GS1 General Specifications ask for 0.396 mm; a 1080p preview at 15 cm sees
# 0.107 mm a pixel, and decoders want four pixels a module when it is hard.
LEAST_MODULE_MM = 0.4
LEAST_MODULE_PX = 3
# ISO/IEC 18004 asks for 4 modules; with 2 everything still decoded, with none nothing did.
QUIET_MODULES = (4, 3, 2)
# From the most repair to the least.
_LEVELS = ("H", "Q", "M", "L")
_MM_PER_INCH = 25.4


class LinkForm(StrEnum):
    """Which link a code holds; the order is that of preference."""

    FULL = "full"
    SHORT = "short"


@dataclass(frozen=True)
class Code:
    """A code that fits: `modules` a side without the quiet zone, each `module_px` wide."""

    form: LinkForm
    text: str
    version: int
    level: str
    module_px: int
    quiet_modules: int
    dpi: int

    @property
    def modules(self) -> int:
        """Modules a side (ISO/IEC 18004)."""
        return 17 + 4 * self.version

    @property
    def side_px(self) -> int:
        """Pixels a side, quiet zone included."""
        return (self.modules + 2 * self.quiet_modules) * self.module_px

    @property
    def module_mm(self) -> float:
        """The width of a module on the panel."""
        return self.module_px * _MM_PER_INCH / self.dpi

    def image(self) -> Image.Image:
        """Return the code with its quiet zone, mode "1", whole pixels a module."""
        rows = _qr(self.text, self.level, self.version, self.quiet_modules).get_matrix()
        small = Image.new("1", (len(rows), len(rows)))
        small.putdata([0 if dark else 255 for row in rows for dark in row])
        return small.resize((self.side_px, self.side_px), Image.Resampling.NEAREST)


def fitting(url: str | None, short_url: str | None, model: PanelModel, side_px: int) -> Code | None:
    """Return the code to be shown in a square of `side_px`: the full link's, else the short one's, else none."""
    for form, text in ((LinkForm.FULL, url), (LinkForm.SHORT, short_url)):
        code = (
            _code(form, text, model.dpi, 1 if model.is_screen else least_module_px(model.dpi), side_px)
            if text
            else None
        )
        if code:
            return code
    return None


def smallest(url: str) -> Code | None:
    """Return the code of a link with one pixel a module, for a terminal; None where no code holds it."""
    version = _least_version(url, "L")
    return None if version is None else Code(LinkForm.FULL, url, version, "L", 1, QUIET_MODULES[0], dpi=1)


def reason(url: str, code: Code | None) -> str:
    """Say which code is shown and why, for the log and `ghostroll doctor`."""
    if code is None:
        return texts.CODE_NONE.format(length=len(url))
    words = texts.CODE_FULL if code.form is LinkForm.FULL else texts.CODE_SHORT
    return words.format(length=len(url), version=code.version, level=code.level, px=code.module_px, mm=code.module_mm)


def least_module_px(dpi: int) -> int:
    """Return how many pixels a module has at least."""
    return max(LEAST_MODULE_PX, math.ceil(LEAST_MODULE_MM * dpi / _MM_PER_INCH))


@lru_cache(maxsize=16)
def _code(form: LinkForm, text: str, dpi: int, least_px: int, side_px: int) -> Code | None:
    version = _least_version(text, "L")
    if version is None:
        return None
    level = next(level for level in _LEVELS if _least_version(text, level) == version)
    modules = 17 + 4 * version
    quiet, px = _largest(modules, QUIET_MODULES, side_px)
    if px < least_px:
        return None
    return Code(form, text, version, level, px, quiet, dpi)


def _largest(modules: int, quiet_zones: Sequence[int], side_px: int) -> tuple[int, int]:
    """Return the quiet zone that leaves the largest modules, the widest of these, and their pixels."""
    sizes = [(quiet, side_px // (modules + 2 * quiet)) for quiet in quiet_zones]
    return max(sizes, key=lambda size: size[1])


def _least_version(text: str, level: str) -> int | None:
    try:
        return int(_qr(text, level).best_fit())
    except ValueError:  # more than any code holds: the library's DataOverflowError, or a version 41
        return None


def _qr(text: str, level: str, version: int | None = None, border: int = 0) -> Any:
    import qrcode  # noqa: PLC0415 - only once there is a link

    levels = {
        "L": qrcode.ERROR_CORRECT_L,
        "M": qrcode.ERROR_CORRECT_M,
        "Q": qrcode.ERROR_CORRECT_Q,
        "H": qrcode.ERROR_CORRECT_H,
    }
    code = qrcode.QRCode(version=version, error_correction=levels[level], border=border)
    code.add_data(text)
    return code
