"""The signs beside the words, drawn in whole pixels at any size."""

from collections.abc import Callable
from dataclasses import dataclass

from PIL.ImageDraw import ImageDraw

Point = tuple[float, float]


@dataclass(frozen=True)
class Brush:
    """Where and in which of the palette's colours a sign is drawn; points are shares of its side, from 0 to 1."""

    pen: ImageDraw
    left: int
    top: int
    side: int
    ink: int
    paper: int
    fill: int
    mark: int  # what can be read on `fill`

    @property
    def stroke(self) -> int:
        """The width of a line."""
        return max(2, self.side // 11)

    def at(self, *points: Point) -> list[Point]:
        """Return points on the image."""
        last = self.side - 1
        return [(self.left + round(x * last), self.top + round(y * last)) for x, y in points]

    def line(self, *points: Point, colour: int | None = None) -> None:
        """Draw a line with round corners and ends."""
        placed = self.at(*points)
        colour = self.ink if colour is None else colour
        self.pen.line(placed, fill=colour, width=self.stroke, joint="curve")
        reach = (self.stroke - 1) / 2
        for x, y in (placed[0], placed[-1]):
            self.pen.ellipse((x - reach, y - reach, x + reach, y + reach), fill=colour)

    def area(self, *points: Point, colour: int) -> None:
        """Fill a polygon."""
        self.pen.polygon(self.at(*points), fill=colour)

    def disc(self, centre: Point, radius: float, colour: int) -> None:
        """Fill a circle."""
        x, y = centre
        (left, top), (right, bottom) = self.at((x - radius, y - radius), (x + radius, y + radius))
        self.pen.ellipse((left, top, right, bottom), fill=colour)


def draw(name: str, brush: Brush) -> None:
    """Draw the sign of this name."""
    _SIGNS[name](brush)


def _card(brush: Brush) -> None:
    outline = ((0.2, 0.05), (0.62, 0.05), (0.82, 0.25), (0.82, 0.95), (0.2, 0.95), (0.2, 0.05))
    brush.area(*outline, colour=brush.paper)
    brush.line(*outline)
    for x in (0.36, 0.5, 0.64):
        brush.line((x, 0.16 if x < 0.6 else 0.24), (x, 0.32))  # noqa: PLR2004 - the contact below the cut corner


def _insert(brush: Brush) -> None:
    _card(brush)
    brush.line((0.5, 0.46), (0.5, 0.8))
    brush.line((0.36, 0.66), (0.5, 0.8), (0.64, 0.66))


def _keep(brush: Brush) -> None:
    _card(brush)
    brush.disc((0.72, 0.72), 0.28, brush.paper)
    brush.disc((0.72, 0.72), 0.24, brush.ink)
    for x in (0.65, 0.79):
        brush.line((x, 0.64), (x, 0.8), colour=brush.paper)


def _check(brush: Brush) -> None:
    brush.disc((0.5, 0.5), 0.48, brush.fill)
    brush.line((0.28, 0.53), (0.44, 0.69), (0.74, 0.34), colour=brush.mark)


def _warning(brush: Brush) -> None:
    brush.area((0.5, 0.02), (1.0, 0.95), (0.0, 0.95), colour=brush.ink)
    edge = brush.stroke / max(1, brush.side) if brush.fill != brush.ink else 0
    corners = ((0.5, 0.02 + 2 * edge), (1 - 1.6 * edge, 0.95 - edge), (1.6 * edge, 0.95 - edge))
    brush.area(*corners, colour=brush.fill)
    brush.line((0.5, 0.38), (0.5, 0.64), colour=brush.mark)
    brush.disc((0.5, 0.81), 0.06, brush.mark)


def _offline(brush: Brush) -> None:
    for radius in (0.46, 0.3, 0.14):
        (left, top), (right, bottom) = brush.at((0.5 - radius, 0.66 - radius), (0.5 + radius, 0.66 + radius))
        brush.pen.arc((left, top, right, bottom), 220, 320, fill=brush.ink, width=brush.stroke)
    brush.disc((0.5, 0.72), 0.08, brush.ink)
    brush.line((0.16, 0.92), (0.84, 0.1), colour=brush.paper)
    brush.line((0.24, 0.96), (0.92, 0.14))


def _eject(brush: Brush) -> None:
    brush.area((0.5, 0.08), (0.95, 0.62), (0.05, 0.62), colour=brush.ink)
    brush.area((0.05, 0.74), (0.95, 0.74), (0.95, 0.92), (0.05, 0.92), colour=brush.ink)


def _upload(brush: Brush) -> None:
    brush.line((0.5, 0.1), (0.5, 0.66))
    brush.line((0.26, 0.34), (0.5, 0.1), (0.74, 0.34))
    brush.line((0.1, 0.66), (0.1, 0.9), (0.9, 0.9), (0.9, 0.66))


def _ghost(brush: Brush) -> None:
    brush.disc((0.5, 0.42), 0.38, brush.ink)
    waves = ((0.88, 0.96), (0.75, 0.84), (0.63, 0.96), (0.5, 0.84), (0.37, 0.96), (0.25, 0.84), (0.12, 0.96))
    brush.area((0.12, 0.42), (0.88, 0.42), *waves, colour=brush.ink)
    for x in (0.37, 0.63):
        brush.disc((x, 0.42), 0.09, brush.paper)


_SIGNS: dict[str, Callable[[Brush], None]] = {
    "insert": _insert,
    "keep": _keep,
    "check": _check,
    "warning": _warning,
    "offline": _offline,
    "eject": _eject,
    "upload": _upload,
    "ghost": _ghost,
}
