"""From a status record to the picture a panel shows. Pure: the same record gives the same picture."""

import textwrap
from typing import Any

from PIL import Image, ImageDraw, ImageFont

# Quiet zone that still scans on every phone tried; the standard asks for 4 modules.
_QUIET_MODULES = 2
# Below this a module is too small to print; the text says where the link is instead.
_LEAST_MODULE_PX = 3
_HEADINGS = {
    "idle": "GhostRoll",
    "running": "Keep the card in",
    "waiting": "Waiting for the network",
    "done": "Done",
    "error": "Something went wrong",
    "interrupted": "Interrupted",
}


def draw(status: dict[str, Any], size: tuple[int, int]) -> Image.Image:
    """Return the picture for a status record: 1 bit, black on white, `size` = (width, height) px."""
    image = Image.new("1", size, 1)
    pen = ImageDraw.Draw(image)
    pen.fontmode = "1"
    margin = max(4, size[1] // 40)
    code = _code(str(status.get("url") or ""), size[1] - 2 * margin) if status.get("state") == "done" else None
    right = size[0] - margin
    if code is not None:
        right -= code.width + margin
        image.paste(code, (size[0] - code.width - margin, (size[1] - code.height) // 2))
    _write(pen, _lines(status, has_code=code is not None), (margin, margin, right, size[1] - margin))
    return image


def _lines(status: dict[str, Any], *, has_code: bool) -> list[str]:
    card = status.get("card") or {}
    heading = _HEADINGS.get(str(status.get("state")), "GhostRoll")
    if status.get("state") in ("running", "waiting") and card.get("state") == "safe":
        heading = "Safe to remove the card"
    lines = [heading, str(status.get("message") or "")]
    if card.get("files"):
        lines.append(f"{card.get('saved', 0)} of {card['files']} files saved")
    if status.get("receipt"):
        lines.append(f"Receipt {status['receipt']}")
    if status.get("url") and not has_code:
        lines.append("The link is in share.txt and in the log.")
    hint = (status.get("error") or {}).get("hint")
    return [*lines, str(hint)] if hint else lines


def _write(pen: ImageDraw.ImageDraw, lines: list[str], box: tuple[int, int, int, int]) -> None:
    """Write the lines into `box`, the first one larger; what does not fit is left out."""
    left, top, right, bottom = box
    text_px = max(11, (bottom - top) // 14)
    for number, line in enumerate(lines):
        font = ImageFont.load_default(text_px * 3 // 2 if number == 0 else text_px)
        columns = max(8, int((right - left) / max(1.0, font.getlength("n"))))
        for part in textwrap.wrap(line, columns):
            height = int(font.getbbox("Ág")[3]) + 2
            if top + height > bottom:
                return
            pen.text((left, top), part, fill=0, font=font)
            top += height
        top += text_px // 3


def _code(text: str, most_px: int) -> Image.Image | None:
    """Return the QR code of `text` in whole pixels a module, or None where its modules would be too small."""
    if not text:
        return None
    import qrcode  # noqa: PLC0415 - only once there is a link

    code = qrcode.QRCode(error_correction=qrcode.ERROR_CORRECT_L, border=_QUIET_MODULES)
    code.add_data(text)
    code.make(fit=True)
    rows = code.get_matrix()
    module_px = most_px // len(rows)
    if module_px < _LEAST_MODULE_PX:
        return None
    small = Image.new("1", (len(rows), len(rows)), 1)
    small.putdata([0 if dark else 1 for row in rows for dark in row])
    return small.resize((len(rows) * module_px, len(rows) * module_px), Image.Resampling.NEAREST)
