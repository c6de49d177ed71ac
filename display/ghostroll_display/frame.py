"""From a status record to the picture a panel shows. Pure: the same record gives the same picture."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from PIL import Image, ImageDraw

from ghostroll_display import codes, fonts, icons, layout, sheet, texts
from ghostroll_display.models import PanelModel
from ghostroll_display.screens import Screen, screen
from ghostroll_display.view import View, view

# The height of capitals. 1.5 mm at a metre is 5 minutes of arc, the least that good eyes read (ISO 8596).
_LEAST_CAPITAL_MM = 1.5
_CLEAR_CAPITAL_MM = 1.85
_MOST_CAPITAL_MM = 9.0
_LEAST_TYPE_PX = 12
_MM_PER_INCH = 25.4
# Of the panel's width (height, where it stands upright): words need the rest.
_MOST_FOR_CODE = 0.65
# A column as high as this holds words and pictures.
_LEAST_FOR_PICTURES_MM = 50
_ACCENTS = {"warning": ("red", "yellow"), "check": ("green",)}


def no_pictures(_path: str) -> Image.Image | None:
    """Load no thumbnails: the frame is then drawn without them."""
    return None


@dataclass(frozen=True)
class _Canvas:
    image: Image.Image
    pen: ImageDraw.ImageDraw
    model: PanelModel

    @property
    def margin(self) -> int:
        return max(4, min(self.image.size) // 30)

    def colour(self, *names: str) -> int:
        """Return the index of the first of the colours that the panel has."""
        return next(self.model.colours.index(name) for name in (*names, "black") if name in self.model.colours)


def draw(
    status: Mapping[str, Any],
    model: PanelModel,
    *,
    now: datetime,
    load: Callable[[str], Image.Image | None] = no_pictures,
    answer: Screen | None = None,
) -> Image.Image:
    """Return the frame for a status: mode "P", the model's size and palette.

    Times are shown in `now`'s zone. `load` opens a thumbnail by its path, or returns None. An `answer` to the button
    stands in place of the status.
    """
    seen = view(status)
    shown = answer or screen(seen, now)
    canvas = _blank(model)
    if not shown.shows_code:
        _draw_words(canvas, shown)
        return canvas.image
    code = code_for(seen, model)
    if code:
        _draw_share(canvas, shown, code, load)
    else:
        _draw_words(canvas, shown, texts.LINK_IS_WHERE)
    return canvas.image


def code_for(seen: View, model: PanelModel) -> codes.Code | None:
    """Return the code that this panel can show of a status's links."""
    width, height = model.size
    side = min(height, int(width * _MOST_FOR_CODE)) if width >= height else min(width, int(height * _MOST_FOR_CODE))
    return codes.fitting(seen.url, seen.short_url, model, side)


def _blank(model: PanelModel) -> _Canvas:
    image = Image.new("P", model.size, model.colours.index("white"))
    image.putpalette(sum(model.palette, ()))
    pen = ImageDraw.Draw(image)
    pen.fontmode = "1"
    return _Canvas(image, pen, model)


def _draw_words(canvas: _Canvas, shown: Screen, more: str = "") -> None:
    """Draw the sign at the left, the words beside it, and the bar below; words that need its place have it."""
    width, height = canvas.image.size
    margin = canvas.margin
    bottom = height - margin
    if shown.progress is not None:
        bottom -= _draw_bar(canvas, shown.progress) + margin
    side = min(bottom - margin, width * 24 // 100)
    left = margin + side + 2 * margin
    blocks = _column(canvas, shown, (width - margin - left, bottom - margin), more)
    if layout.is_cut(blocks):
        left = margin
        blocks = _column(canvas, shown, (width - 2 * margin, bottom - margin), more)
    else:
        _draw_sign(canvas, shown.sign, (margin, margin + (bottom - margin - side) // 2), side)
    top = margin + max(0, (bottom - margin - layout.height(blocks)) // 2)
    layout.write(canvas.pen, blocks, (left, top), canvas.colour("black"))


def _draw_share(canvas: _Canvas, shown: Screen, code: codes.Code, load: sheet.Load) -> None:
    """Draw the code at the right, or below on an upright panel; the words, and what room there is the pictures."""
    width, height = canvas.image.size
    margin = canvas.margin
    lies = width >= height
    corner = (
        (width - code.side_px, (height - code.side_px) // 2)
        if lies
        else ((width - code.side_px) // 2, height - code.side_px)
    )
    _paste_code(canvas, code, corner)
    right, bottom = (corner[0], height - margin) if lies else (width - margin, corner[1])
    room = (right - margin, bottom - margin)
    blocks = _column(canvas, shown, _room_for_words(canvas.model, room, shown))
    layout.write(canvas.pen, blocks, (margin, margin), canvas.colour("black"))
    top = margin + layout.height(blocks) + margin
    sheet.place(canvas.image, (margin, top, right, bottom), shown.thumbnails, load, canvas.model)


def _room_for_words(model: PanelModel, room: tuple[int, int], shown: Screen) -> tuple[int, int]:
    """Leave a part of the column to the pictures, where both have room."""
    width, height = room
    wanted = shown.thumbnails and height * _MM_PER_INCH / model.dpi >= _LEAST_FOR_PICTURES_MM
    return (width, height * 6 // 10) if wanted else room


def _column(canvas: _Canvas, shown: Screen, size: tuple[int, int], more: str = "") -> list[layout.Block]:
    lines = [line for line in (more, *shown.lines) if line]
    words = [layout.Words(shown.heading, is_heading=True), *map(layout.Words, lines)]
    return layout.fitted(words, size, _type_sizes(canvas.model), 1 + shown.needed)


def _type_sizes(model: PanelModel) -> layout.TypeSizes:
    px_per_mm = model.dpi / _MM_PER_INCH / fonts.CAPITAL
    least, clear, most = (
        max(_LEAST_TYPE_PX, round(capital_mm * px_per_mm))
        for capital_mm in (_LEAST_CAPITAL_MM, _CLEAR_CAPITAL_MM, _MOST_CAPITAL_MM)
    )
    return layout.TypeSizes(least, clear, most)


def _draw_sign(canvas: _Canvas, name: str, corner: tuple[int, int], side: int) -> None:
    if side < _LEAST_TYPE_PX:
        return
    ink, paper = canvas.colour("black"), canvas.colour("white")
    fill = canvas.colour(*_ACCENTS.get(name, ()))
    mark = ink if canvas.model.colours[fill] == "yellow" else paper
    icons.draw(name, icons.Brush(canvas.pen, *corner, side, ink, paper, fill, mark))


def _draw_bar(canvas: _Canvas, progress: float) -> int:
    """Draw the bar at the bottom; return its height."""
    width, height = canvas.image.size
    thick = max(6, height // 14)
    line = max(1, thick // 8)
    left, top, right, bottom = (
        canvas.margin,
        height - canvas.margin - thick,
        width - canvas.margin,
        height - canvas.margin,
    )
    if right - left < 4 * line or top < 0:
        return 0
    canvas.pen.rectangle((left, top, right - 1, bottom - 1), outline=canvas.colour("black"), width=line)
    inside = right - left - 4 * line
    full = round(inside * progress)
    if full:
        start = left + 2 * line
        area = (start, top + 2 * line, start + full - 1, bottom - 1 - 2 * line)
        canvas.pen.rectangle(area, fill=canvas.colour("blue", "black"))
    return thick


def _paste_code(canvas: _Canvas, code: codes.Code, corner: tuple[int, int]) -> None:
    dark = code.image().point(lambda light: 0 if light else 255)
    canvas.image.paste(canvas.colour("black"), corner, mask=dark)
