"""Drawing functions that the painters share: colours, lights, noise, outlines."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random

from PIL import Image, ImageChops, ImageColor, ImageDraw, ImageOps

Size = tuple[int, int]
Point = tuple[float, float]

SHORE = 0.64  # where water begins, of the height
SILHOUETTE = "#0b0a10"
BULB_COLOURS = ("#ffb347", "#ff8c42", "#ffd28a", "#ff5e5b", "#f277a0", "#5fd3ee", "#fff1c9")
# The value of Image.radial_gradient in the middle of an edge: 128 * sqrt(2).
_RIM = 181


@dataclass(frozen=True, slots=True)
class Light:
    """The colours of a scene: the sky from top to horizon, far and near hills, the light source."""

    sky: tuple[str, ...]
    far: str
    near: str
    shine: str


def gradient(size: Size, colours: Sequence[str]) -> Image.Image:
    """Return a vertical gradient of colours."""
    column = Image.new("RGB", (1, len(colours)))
    for y, colour in enumerate(colours):
        column.putpixel((0, y), ImageColor.getrgb(colour))
    return column.resize((1, size[1]), Image.Resampling.BICUBIC).resize(size, Image.Resampling.NEAREST)


def mixed(one: str, other: str, share: float) -> str:
    """Return the mix of two colours with the fraction `share` of `other`."""
    pairs = zip(ImageColor.getrgb(one), ImageColor.getrgb(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def dimmed(colour: str, share: float) -> str:
    """Return a colour with its brightness reduced to the fraction `share`."""
    return mixed("#000000", colour, share)


def glow(image: Image.Image, centre: Point, radius: float, colour: str, falloff: float = 2.0) -> None:
    """Add a round light that fades towards `radius`; a small `falloff` makes it a disc."""
    edge = max(2, round(2 * radius))
    left, top = round(centre[0] - radius), round(centre[1] - radius)
    fade = [round(255 * max(0.0, 1 - level / _RIM) ** falloff) for level in range(256)]
    disc = Image.radial_gradient("L").point(fade).resize((edge, edge), Image.Resampling.BICUBIC)
    box = (max(left, 0), max(top, 0), min(left + edge, image.width), min(top + edge, image.height))
    if box[0] < box[2] and box[1] < box[3]:
        inside = disc.crop((box[0] - left, box[1] - top, box[2] - left, box[3] - top))
        image.paste(ImageChops.screen(image.crop(box), ImageOps.colorize(inside, "black", colour)), box)


def blotches(rng: Random, grid: Size, size: Size) -> Image.Image:
    """Return smooth noise, interpolated from `grid` random values."""
    columns, rows = max(2, grid[0]), max(2, grid[1])
    noise = Image.frombytes("L", (columns, rows), rng.randbytes(columns * rows))
    return noise.resize(size, Image.Resampling.BICUBIC)


def ridge_line(rng: Random, width: int, base: float, swing: float) -> list[Point]:
    """Return the outline of hills by midpoint displacement."""
    heights = [rng.uniform(-swing, swing) for _ in range(4)]
    while len(heights) < width / 6:
        swing *= 0.53
        between = [(a + b) / 2 + rng.uniform(-swing, swing) for a, b in pairwise(heights)]
        heights = [height for pair in zip(heights, [*between, 0.0], strict=True) for height in pair][:-1]
    return [(width * index / (len(heights) - 1), base - height) for index, height in enumerate(heights)]


def draw_fir(pen: ImageDraw.ImageDraw, foot: Point, height: float, rng: Random) -> None:
    """Draw a fir tree into a mask."""
    x, y = foot
    tiers = 9
    left: list[Point] = []
    right: list[Point] = []
    for side, points in ((-1, left), (1, right)):
        for tier in range(1, tiers + 1):
            reach, level = side * height * 0.2 * tier / tiers * rng.uniform(0.75, 1.15), height * (1 - tier / tiers)
            points += [(x + reach, y - level + height * 0.02), (x + reach * 0.45, y - level - height * 0.005)]
    pen.polygon([(x, y - height), *right, *reversed(left)], fill=255)


def draw_person(pen: ImageDraw.ImageDraw, foot: Point, height: float, *, dress: bool) -> None:
    """Draw the silhouette of a person from behind."""
    x, y = foot

    def shape(*half: Point) -> None:
        outline = [*half, *((-across, up) for across, up in reversed(half))]
        pen.polygon([(x + height * across, y - height * up) for across, up in outline], fill=SILHOUETTE)

    pen.circle((x, y - height * 0.93), height * 0.065, fill=SILHOUETTE)
    shape((0.025, 0.9), (0.03, 0.82), (0.12, 0.79), (0.21, 0.46), (0.165, 0.45), (0.095, 0.7), (0.08, 0.5))
    if dress:
        pen.circle((x, y - height * 0.99), height * 0.035, fill=SILHOUETTE)
        shape((0.07, 0.6), (0.17, 0.1))
    shape((0.09, 0.55), (0.085, 0), (0.025, 0), (0, 0.42))
