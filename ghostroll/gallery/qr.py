"""QR codes of a link: as a picture, and in characters for a terminal."""

import io
from typing import Any

# Quiet zone of ISO/IEC 18004: 4 modules.
_QUIET_MODULES = 4
_PIXELS_A_MODULE = 8


def qr_png(text: str) -> bytes:
    """Return the QR code of `text` as a PNG, 8 px a module, with the standard's quiet zone."""
    image = io.BytesIO()
    _code(text).make_image().save(image)
    return image.getvalue()


def qr_terminal(text: str, *, ansi: bool) -> str:
    """Return the QR code of `text` in half blocks, two modules a character.

    With `ansi` it is black on white whatever the terminal's colours are; without, light modules are the
    blocks, so that it scans on a dark ground, as in a log.
    """
    rows = [[False, *row, False] for row in _code(text, quiet_modules=2).get_matrix()]
    if len(rows) % 2:
        rows.append([False] * len(rows[0]))
    lines = ["".join(map(_half_block, upper, lower)) for upper, lower in zip(rows[::2], rows[1::2], strict=True)]
    if ansi:
        lines = [f"\x1b[97;40m{line}\x1b[0m" for line in lines]  # blocks white, ground black
    return "\n".join(lines)


def _half_block(upper_dark: bool, lower_dark: bool) -> str:
    return {(True, True): " ", (True, False): "▄", (False, True): "▀", (False, False): "█"}[upper_dark, lower_dark]


def _code(text: str, quiet_modules: int = _QUIET_MODULES) -> Any:
    import qrcode  # noqa: PLC0415 - loads Pillow; only needed once a link is there

    # Level L: a long link needs the fewest, largest modules more than it needs repair.
    code = qrcode.QRCode(error_correction=qrcode.ERROR_CORRECT_L, box_size=_PIXELS_A_MODULE, border=quiet_modules)
    code.add_data(text)
    code.make(fit=True)
    return code
