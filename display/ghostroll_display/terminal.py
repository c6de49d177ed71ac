"""The frame in a terminal: half blocks, two pixels a character, one pixel a column."""

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, TextIO

from PIL import Image

from ghostroll_display import codes, fonts, frame, screens, texts
from ghostroll_display.models import MODELS, PanelModel, Rgb, png_model
from ghostroll_display.view import View

# Of a window too small for the frame, these are tried, the largest first.
_SMALLER = sorted({model.size for model in MODELS.values()}, key=lambda size: -size[0] * size[1])
# The prompt comes below, and what is said above.
_ROWS_KEPT = 3
_UPPER, _LOWER, _FULL = "▀", "▄", "█"
_RESET = "\x1b[0m"


class Colours(Enum):
    """How many colours a terminal shows."""

    TRUE = "true"
    INDEXED = "256"
    TWO = "two"  # black on bright white, whatever the terminal's own are (ECMA-48)
    NONE = "none"  # no escapes at all: light pixels are blocks, for a dark ground


@dataclass(frozen=True)
class Window:
    """What a picture is drawn into."""

    columns: int
    rows: int
    colours: Colours
    has_blocks: bool  # its characters hold the half blocks


def window(stream: TextIO, environment: Mapping[str, str] = os.environ) -> Window:
    """Return what is known of the terminal behind a stream; what is no terminal is taken for a wide one."""
    is_terminal = stream.isatty()
    size = shutil.get_terminal_size() if is_terminal else os.terminal_size((10_000, 10_000))
    try:
        _UPPER.encode(stream.encoding or "ascii")
        has_blocks = True
    except (UnicodeEncodeError, LookupError):
        has_blocks = False
    return Window(size.columns, size.lines, _colours(environment) if is_terminal else Colours.NONE, has_blocks)


def _colours(environment: Mapping[str, str]) -> Colours:
    term = environment.get("TERM", "")
    if term in ("", "dumb"):
        return Colours.NONE
    if environment.get("NO_COLOR"):  # no-color.org
        return Colours.TWO
    if environment.get("COLORTERM", "") in ("truecolor", "24bit"):
        return Colours.TRUE
    return Colours.INDEXED if "256color" in term else Colours.TWO


def fitting(model: PanelModel, seen: View, room: Window, now: Any) -> PanelModel | None:
    """Return the panel itself where its frame fits the window, else the largest that does and shows what it shows.

    A pixel of a terminal is as large as a module may be, so that a code needs but one for each.
    """
    shows_code = screens.screen(seen, now).shows_code
    sizes = [model.size, *(size for size in _SMALLER if size[0] * size[1] < model.size[0] * model.size[1])]
    for size in sizes:
        if size[0] > room.columns or size[1] > 2 * (room.rows - _ROWS_KEPT):
            continue
        if size == model.size:
            return model
        smaller = replace(png_model(size), is_screen=True)
        if not shows_code or frame.code_for(seen, smaller):
            return smaller
    return None


def picture(image: Image.Image, colours: Colours) -> str:
    """Return a picture of mode "P" in half blocks."""
    width, height = image.size
    pixels = list(image.convert("RGB").getdata())
    rows = [pixels[top : top + width] for top in range(0, width * height, width)]
    if height % 2:
        rows.append([(255, 255, 255)] * width)
    return "\n".join(_line(upper, lower, colours) for upper, lower in zip(rows[::2], rows[1::2], strict=True))


def _line(upper: list[Rgb], lower: list[Rgb], colours: Colours) -> str:
    if colours is Colours.NONE:
        return "".join(_plain(above, below) for above, below in zip(upper, lower, strict=True)).rstrip()
    parts, before = [], ""
    for above, below in zip(upper, lower, strict=True):
        style = _style(above, below, colours)
        parts.append(_UPPER if style == before else style + _UPPER)
        before = style
    return "".join(parts) + _RESET


def _plain(above: Rgb, below: Rgb) -> str:
    return {(1, 1): _FULL, (1, 0): _UPPER, (0, 1): _LOWER, (0, 0): " "}[int(_is_light(above)), int(_is_light(below))]


def _is_light(colour: Rgb) -> bool:
    return min(colour) > 127  # noqa: PLR2004 - red and yellow stand for ink as well as black does


def _style(above: Rgb, below: Rgb, colours: Colours) -> str:
    """Return what makes an upper half block show these two colours (ECMA-48, ITU-T T.416)."""
    if colours is Colours.TRUE:
        return "\x1b[38;2;{};{};{};48;2;{};{};{}m".format(*above, *below)
    if colours is Colours.INDEXED:
        return f"\x1b[38;5;{_indexed(above)};48;5;{_indexed(below)}m"
    return f"\x1b[{97 if _is_light(above) else 30};{107 if _is_light(below) else 40}m"


def _indexed(colour: Rgb) -> int:
    """Return the nearest colour of the cube 6 x 6 x 6 that 256-colour terminals have (xterm: 16 + 36 r + 6 g + b)."""
    red, green, blue = (0 if part < 48 else min(5, (part - 35) // 40) for part in colour)  # noqa: PLR2004 - its steps
    return 16 + 36 * red + 6 * green + blue


def words(seen: View, now: Any, room: Window) -> str:
    """Return the screen as text, and its code a character a column where there is room: for small windows."""
    shown = screens.screen(seen, now)
    lines = [shown.heading.upper(), *(line.replace(fonts.NO_BREAK, " ") for line in shown.lines if line)]
    if shown.shows_code:
        lines += ["", *_code_in_characters(seen, room), "", seen.url]
    return "\n".join(lines)


def _code_in_characters(seen: View, room: Window) -> list[str]:
    code = codes.smallest(seen.url)
    if code is None:
        return [texts.CODE_NONE.format(length=len(seen.url))]
    needed = (code.side_px, -(-code.side_px // 2))
    if not room.has_blocks:
        return [texts.TERMINAL_NO_BLOCKS]
    if room.columns < needed[0]:
        return [texts.TERMINAL_NO_CODE.format(columns=needed[0], rows=needed[1])]
    image = Image.new("P", (code.side_px, code.side_px), 0)
    image.putpalette([255, 255, 255, 0, 0, 0])
    image.paste(1, (0, 0), mask=code.image().point(lambda light: 0 if light else 255))
    return picture(image, room.colours).split("\n")


def show(status: Mapping[str, Any], seen: View, model: PanelModel, now: Any, load: Any) -> None:
    """Draw the frame on stdout; what had to be left aside is told on stderr."""
    room = window(sys.stdout)
    chosen = fitting(model, seen, room, now) if room.has_blocks else None
    if chosen is not model:
        sys.stderr.write(_why(model, chosen, room) + "\n")
    if chosen is None:
        text = words(seen, now, room)
        sys.stdout.write(text.encode(sys.stdout.encoding or "ascii", "replace").decode(sys.stdout.encoding or "ascii"))
    else:
        sys.stdout.write(picture(frame.draw(status, chosen, now=now, load=load), room.colours))
    sys.stdout.write("\n")
    sys.stdout.flush()


def _why(model: PanelModel, chosen: PanelModel | None, room: Window) -> str:
    if not room.has_blocks:
        return texts.TERMINAL_NO_BLOCKS
    (width, height), rows = model.size, -(-model.size[1] // 2) + _ROWS_KEPT
    instead = (
        texts.TERMINAL_WORDS if chosen is None else texts.TERMINAL_SMALLER.format(size="{}x{}".format(*chosen.size))
    )
    return texts.TERMINAL_TOO_SMALL.format(
        size=f"{width}x{height}", columns=width, rows=rows, has=f"{room.columns} x {room.rows}", instead=instead
    )
