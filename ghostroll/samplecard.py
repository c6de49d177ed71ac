"""The sample card of `ghostroll demo`: one evening's pictures, drawn by rule, as a camera would store them.

A picture is a light and the things painted in it, from far to near. Smooth things are drawn small and enlarged,
edges are drawn at full size; everything follows from a seed.
"""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from random import Random

from PIL import ExifTags, Image, ImageChops, ImageColor, ImageDraw, ImageFilter, ImageOps

Size = tuple[int, int]
Point = tuple[float, float]
_JPEG_QUALITY = 90
_GRAIN = 5  # levels of 255
_RIM = 181  # what Image.radial_gradient has at the middle of an edge: 128 * sqrt(2)
_SHORE = 0.64  # where water begins, of the height


@dataclass(frozen=True)
class _Light:
    """The colours of an hour: the sky from top to horizon, hills far and near, what shines."""

    sky: tuple[str, ...]
    far: str
    near: str
    shine: str


_LIGHTS = {
    "day": _Light(("#3f78b8", "#7fb2dd", "#cfe3ec", "#f6e7cc"), "#b9cbd6", "#2c4a3a", "#fff1cf"),
    "gold": _Light(("#5f8fc4", "#a9bfca", "#f3d3a0", "#ffdf9c"), "#e6bd8c", "#1f2b30", "#ffe2a0"),
    "red": _Light(("#2b3566", "#8a4a7a", "#e8705a", "#ffb765"), "#b0607a", "#1d1630", "#ffc070"),
    "rose": _Light(("#4a5f9a", "#9c86b4", "#e7a9ac", "#fbd7bd"), "#b795b4", "#27304a", "#ffe1d0"),
    "blue": _Light(("#0b1a3f", "#1f3f78", "#4f7ba8", "#d8a58c"), "#4a6a94", "#070d1f", "#ffcf8a"),
    "night": _Light(("#03060f", "#081430", "#12284f", "#27496f"), "#213d63", "#02040a", "#dfe8ff"),
    "party": _Light(("#120812", "#2a0f1c", "#3d1a1a", "#1c0d12"), "#5a2a20", "#0a0508", "#ffb45a"),
}
_LIGHT_BULBS = ("#ffb347", "#ff8c42", "#ffd28a", "#ff5e5b", "#f7a8b8", "#7bdff2", "#fff1c9")


# --- brushes


def _gradient(size: Size, colours: Sequence[str | tuple[int, ...]]) -> Image.Image:
    """Return colours flowing from top to bottom."""
    column = Image.new("RGB", (1, len(colours)))
    for y, colour in enumerate(colours):
        column.putpixel((0, y), ImageColor.getrgb(colour) if isinstance(colour, str) else colour)
    return column.resize(size, Image.Resampling.BICUBIC)


def _mix(one: str, other: str, share: float) -> str:
    """Return a colour between two."""
    pairs = zip(ImageColor.getrgb(one), ImageColor.getrgb(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def _glow(image: Image.Image, centre: Point, radius: float, colour: str, falloff: float = 2.0) -> None:
    """Add a round light that fades towards `radius`."""
    edge = max(2, round(2 * radius))
    left, top = round(centre[0] - radius), round(centre[1] - radius)
    fade = [round(255 * max(0.0, 1 - level / _RIM) ** falloff) for level in range(256)]
    disc = Image.radial_gradient("L").point(fade).resize((edge, edge), Image.Resampling.BICUBIC)
    box = (max(left, 0), max(top, 0), min(left + edge, image.width), min(top + edge, image.height))
    if box[0] < box[2] and box[1] < box[3]:
        light = ImageOps.colorize(
            disc.crop((box[0] - left, box[1] - top, box[2] - left, box[3] - top)), "black", colour
        )
        image.paste(ImageChops.screen(image.crop(box), light), box)


def _speckle(chance: Random, grid: Size, size: Size) -> Image.Image:
    """Return smooth noise of as many blotches as `grid` says."""
    columns, rows = max(2, grid[0]), max(2, grid[1])
    noise = Image.frombytes("L", (columns, rows), chance.randbytes(columns * rows))
    return noise.resize(size, Image.Resampling.BICUBIC)


def _ridge(chance: Random, width: int, base: float, swing: float) -> list[Point]:
    """Return the outline of a hill chain by midpoint displacement."""
    heights = [chance.uniform(-swing, swing) for _ in range(4)]
    while len(heights) < width / 6:
        swing *= 0.53
        between = [(a + b) / 2 + chance.uniform(-swing, swing) for a, b in pairwise(heights)]
        heights = [height for pair in zip(heights, [*between, 0.0], strict=True) for height in pair][:-1]
    return [(width * index / (len(heights) - 1), base - height) for index, height in enumerate(heights)]


def _tree(pen: ImageDraw.ImageDraw, foot: Point, height: float, chance: Random) -> None:
    """Draw a fir as a white shape."""
    x, y = foot
    tiers = 9
    sides: dict[int, list[Point]] = {-1: [], 1: []}
    for side, points in sides.items():
        for tier in range(1, tiers + 1):
            reach, level = height * 0.2 * tier / tiers * chance.uniform(0.75, 1.15), y - height * (1 - tier / tiers)
            points += [(x + side * reach, level + height * 0.02), (x + side * reach * 0.45, level - height * 0.005)]
    pen.polygon([(x, y - height), *sides[1], *reversed(sides[-1])], fill=255)


# --- things


def _sky(image: Image.Image, light: _Light, _: Random) -> None:
    colours = [*light.sky, light.sky[-1]]
    image.paste(_gradient((image.width, round(image.height * _SHORE)), colours))


def _sun(image: Image.Image, light: _Light, chance: Random) -> None:
    unit = min(image.size)
    centre = (image.width * chance.uniform(0.3, 0.7), image.height * chance.uniform(0.42, 0.52))
    _glow(image, centre, unit * 1.1, _mix("#000000", light.shine, 0.55), 2.2)
    _glow(image, centre, unit * 0.35, _mix("#000000", light.shine, 0.6), 2)
    _glow(image, centre, unit * 0.075, "#fff6e0", 0.35)


def _moon(image: Image.Image, light: _Light, chance: Random) -> None:
    unit = min(image.size)
    x, y, radius = image.width * chance.uniform(0.3, 0.7), image.height * chance.uniform(0.2, 0.3), unit * 0.05
    _glow(image, (x, y), unit * 0.9, _mix("#000000", light.shine, 0.35), 3)
    _glow(image, (x, y), unit * 0.2, _mix("#000000", light.shine, 0.4), 2)
    edge = round(2 * radius)
    face = Image.new("L", (2 * edge, 2 * edge))
    ImageDraw.Draw(face).ellipse((0, 0, 2 * edge - 1, 2 * edge - 1), fill=255)
    seas = ImageOps.colorize(_speckle(chance, (6, 6), (edge, edge)), "#c9c6bd", "#fffdf4")
    image.paste(seas, (round(x - radius), round(y - radius)), face.reduce(2))


def _stars(image: Image.Image, _: _Light, chance: Random) -> None:
    pen = ImageDraw.Draw(image)
    for _index in range(700):
        x, y = chance.uniform(0, image.width), image.height * _SHORE * chance.random()
        radius, level = (
            min(image.size) * 0.0004 * (1 + 2.2 * chance.random() ** 6),
            round(90 + 165 * chance.random() ** 2),
        )
        pen.circle((x, y), radius + 0.5, fill=(level, level, min(255, level + 12)))


def _clouds(image: Image.Image, light: _Light, chance: Random) -> None:
    """Lay bands of cloud over the sky, lit from below."""
    size = (image.width // 4, round(image.height * _SHORE) // 4)
    heap = _speckle(chance, (4, 5), size)
    for octave, weight in enumerate((0.45, 0.35, 0.25, 0.16), 1):
        heap = Image.blend(heap, _speckle(chance, (4 << octave, 7 << octave), size), weight)
    threshold = chance.uniform(112, 126)
    mask = heap.point([min(235, max(0, round((level - threshold) * 5))) for level in range(256)])
    body = Image.composite(
        Image.new("RGB", size, _mix(light.shine, light.sky[-2], 0.25)),
        Image.new("RGB", size, _mix(light.sky[1], light.far, 0.5)),
        ImageChops.subtract(mask, ImageChops.offset(mask, 0, -round(size[1] * 0.02)), 0.5, 90),
    )
    full = (image.width, round(image.height * _SHORE))
    image.paste(body.resize(full, Image.Resampling.BICUBIC), (0, 0), mask.resize(full, Image.Resampling.BICUBIC))


def _chain(
    image: Image.Image, light: _Light, chance: Random, nearness: float, base: float, swing: float, spread: float = 1.0
) -> None:
    """Draw one chain of hills, mist at its foot, firs on it where it is near."""
    width, height = image.size
    outline = _ridge(chance, width, base, swing)
    top = max(0, round(min(y for _, y in outline) - height * 0.15 * nearness / spread))
    mask = Image.new("L", (width, height - top))
    pen = ImageDraw.Draw(mask)
    pen.polygon([(0, height), *((x, y - top) for x, y in outline), (width, height)], fill=255)
    if nearness > 0.4:
        for _ in range(round(90 / nearness)):
            x, y = outline[int(len(outline) * chance.betavariate(spread, spread))]
            tall = height * 0.11 * nearness**1.5 * chance.uniform(0.5, 1.3) / spread
            _tree(pen, (x, y - top + height * 0.012), tall, chance)
    colour = _mix(light.far, light.near, nearness)
    fill = _gradient(mask.size, (colour, colour, _mix(colour, light.far, 0.45 * (1 - nearness)), colour))
    image.paste(fill, (0, top), mask)


def _hills(image: Image.Image, light: _Light, chance: Random) -> None:
    for step in range(5):
        nearness = step / 5
        base = image.height * (0.47 + 0.045 * step)
        _chain(image, light, chance, nearness, base, image.height * (0.12 - 0.02 * step))


def _bank(image: Image.Image, light: _Light, chance: Random) -> None:
    """Close the picture with a dark slope and its firs."""
    _chain(image, light, chance, 0.85, image.height * 0.78, image.height * 0.07)
    _glow(image, (image.width / 2, image.height * 0.86), image.width * 0.45, _mix("#000000", light.far, 0.3), 1.5)
    _chain(image, light, chance, 1.0, image.height * 0.99, image.height * 0.05, 0.45)


def _water(image: Image.Image, light: _Light, chance: Random) -> None:
    """Mirror what stands above the shore, ripples widening towards the viewer."""
    width, height = image.size
    shore = round(height * _SHORE)
    mirror = ImageOps.flip(image.crop((0, 2 * shore - height, width, shore)))
    soft = mirror.resize((width // 8, max(2, mirror.height // 40))).resize(mirror.size, Image.Resampling.BICUBIC)
    mirror = Image.composite(mirror, soft, _speckle(chance, (width // 150, mirror.height // 5), mirror.size))
    y = 0
    while y < mirror.height:
        depth = y / mirror.height
        rows = round(2 + height * 0.006 * depth)
        shift = round(width * 0.006 * (0.15 + depth) * math.sin(y / (4 + 22 * depth)) + chance.uniform(-2, 2))
        image.paste(mirror.crop((0, y, width, y + rows)), (0, shore + y))
        image.paste(mirror.crop((0, y, width, y + rows)), (shift, shore + y))
        y += rows
    box = (0, shore, width, height)
    shade = _gradient(mirror.size, ("#ffffff", "#d5dae0", "#8f99a8"))
    image.paste(ImageChops.multiply(image.crop(box), shade), box)
    _ = light


def _city(image: Image.Image, light: _Light, chance: Random) -> None:
    """Set up houses along the shore, windows lit."""
    _glow(image, (image.width / 2, image.height * _SHORE), image.width * 0.6, "#6a3d1c", 1.6)
    pen = ImageDraw.Draw(image)
    unit, shore = image.height, round(image.height * _SHORE)
    for layer in range(3):
        colour = _mix(light.far, light.near, 0.35 + 0.3 * layer)
        x = -chance.uniform(0, 0.05) * unit
        while x < image.width:
            wide, tall = chance.uniform(0.05, 0.12) * unit, chance.uniform(0.08, 0.36 - 0.08 * layer) * unit
            pen.rectangle((x, shore - tall, x + wide, shore), fill=colour)
            pitch = unit * 0.0115
            for column in range(1, int(wide / pitch) - 1):
                for row in range(1, int(tall / pitch / 1.4)):
                    if chance.random() < 0.16 + 0.12 * layer:
                        left, high = x + column * pitch, shore - tall + row * pitch * 1.4
                        glass = _mix(
                            light.near, chance.choice(_LIGHT_BULBS[:3] + _LIGHT_BULBS[-1:]), chance.uniform(0.4, 1)
                        )
                        pen.rectangle((left, high, left + pitch * 0.55, high + pitch * 0.8), fill=glass)
            x += wide * chance.uniform(0.85, 1.2)


def _balloons(image: Image.Image, _: _Light, chance: Random) -> None:
    """Let striped balloons rise: gores are ellipses of ever smaller width."""
    pen = ImageDraw.Draw(image)
    for index in range(5):
        radius = min(image.size) * (0.11, 0.06, 0.045, 0.03, 0.02)[index]
        x, y = image.width * chance.uniform(0.08, 0.92), image.height * chance.uniform(0.12, 0.36)
        bright, pale = chance.choice((("#c8402f", "#f3d9a4"), ("#e0912f", "#7d2f3a"), ("#2f6f8f", "#f2e3c2")))
        for gore in range(8):
            half, drop = radius * math.cos(gore * math.pi / 16), radius * 1.42
            colour = _mix(_mix(bright, pale, gore % 2), "#20140f", 0.3 - 0.04 * gore)
            pen.ellipse((x - half, y - radius, x + half, y + radius), fill=colour)
            pen.polygon(
                [
                    (x - half * 0.86, y + radius * 0.5),
                    (x + half * 0.86, y + radius * 0.5),
                    (x + half * 0.16, y + drop),
                    (x - half * 0.16, y + drop),
                ],
                fill=colour,
            )
        pen.rectangle((x - radius * 0.1, y + radius * 1.6, x + radius * 0.1, y + radius * 1.75), fill="#3b2618")
        for side in (-1, 1):
            pen.line(
                (x + side * radius * 0.14, y + radius * 1.42, x + side * radius * 0.09, y + radius * 1.6),
                fill="#3b2618",
                width=max(1, round(radius / 60)),
            )


def _lanterns(image: Image.Image, _: _Light, chance: Random) -> None:
    pen = ImageDraw.Draw(image)
    for index in range(60):
        size = min(image.size) * 0.004 * 1.045**index
        x, y = image.width * chance.random(), image.height * (_SHORE - 0.06) * chance.random()
        _glow(image, (x, y), size * 4, "#a04a10", 2.5)
        pen.polygon(
            [
                (x - size * 0.6, y - size),
                (x + size * 0.6, y - size),
                (x + size * 0.42, y + size),
                (x - size * 0.42, y + size),
            ],
            fill="#f08a2c",
        )
        _glow(image, (x, y + size * 0.6), size * 1.3, "#ffd890", 1.2)


def _fireworks(image: Image.Image, _: _Light, chance: Random) -> None:
    sparks = Image.new("RGB", image.size)
    pen = ImageDraw.Draw(sparks)
    for _index in range(4):
        x, y = image.width * chance.uniform(0.15, 0.85), image.height * chance.uniform(0.12, 0.36)
        reach, colour = min(image.size) * chance.uniform(0.12, 0.26), chance.choice(_LIGHT_BULBS)
        for _ray in range(110):
            angle, speed = chance.uniform(0, 2 * math.pi), reach * chance.uniform(0.55, 1)
            path = [
                (x + speed * t * math.cos(angle), y + speed * (t * math.sin(angle) + 0.28 * t * t))
                for t in (0.25, 0.45, 0.65, 0.85, 1)
            ]
            for step, (start, end) in enumerate(pairwise(path)):
                pen.line(
                    (*start, *end), fill=_mix("#fff6e0", colour, 0.3 + 0.23 * step), width=max(1, round(reach / 150))
                )
            pen.circle(path[-1], reach / 90, fill="#fff6e0")
        _glow(image, (x, y), reach * 2, _mix("#000000", colour, 0.4), 2)
    bloom = sparks.reduce(4).filter(ImageFilter.GaussianBlur(min(image.size) / 300)).resize(image.size)
    image.paste(ImageChops.screen(ImageChops.screen(image, sparks), bloom))


def _bokeh(image: Image.Image, light: _Light, chance: Random) -> None:
    """Fill the picture with lights out of focus."""
    image.paste(_gradient(image.size, light.sky))
    for index in range(110):
        radius = min(image.size) * chance.choice((0.018, 0.03, 0.045, 0.06))
        x, y = image.width * chance.random(), image.height * min(1, max(0, chance.gauss(0.42, 0.22)))
        colour = _mix("#000000", chance.choice(_LIGHT_BULBS), chance.uniform(0.15, 0.6))
        _glow(image, (x, y), radius, colour, 0.12 + 0.1 * (index % 3))


def _string(image: Image.Image, _: _Light, chance: Random) -> None:
    """Hang strings of bulbs across, in focus."""
    pen = ImageDraw.Draw(image)
    unit = min(image.size)
    for line in range(2):
        left, right, sag = chance.uniform(0.02, 0.3), chance.uniform(0.02, 0.3), chance.uniform(0.12, 0.22)
        points = [
            (
                image.width * t / 60,
                image.height * (left + (right - left) * t / 60 + sag * (1 - (t / 30 - 1) ** 2) + 0.12 * line),
            )
            for t in range(61)
        ]
        pen.line(points, fill="#0a0606", width=max(2, unit // 300), joint="curve")
        for x, y in points[3::6]:
            _glow(image, (x, y + unit * 0.02), unit * 0.13, "#a85c14", 2.6)
            pen.rectangle((x - unit * 0.006, y - unit * 0.004, x + unit * 0.006, y + unit * 0.014), fill="#120a06")
            pen.ellipse((x - unit * 0.014, y + unit * 0.01, x + unit * 0.014, y + unit * 0.045), fill="#ffc566")
            _glow(image, (x, y + unit * 0.028), unit * 0.024, "#fff3cf", 1)


def _confetti(image: Image.Image, _: _Light, chance: Random) -> None:
    pen = ImageDraw.Draw(image)
    for index in range(420):
        size = min(image.size) * 0.0035 * 1.004**index
        x, y, turn, tilt = (
            image.width * chance.random(),
            image.height * chance.random(),
            chance.uniform(0, 6.3),
            chance.uniform(0.2, 1),
        )
        corners = [(size * a * tilt, size * b) for a, b in ((-1, -1.6), (1, -1.6), (1, 1.6), (-1, 1.6))]
        cos, sin = math.cos(turn), math.sin(turn)
        pen.polygon(
            [(x + a * cos - b * sin, y + a * sin + b * cos) for a, b in corners],
            fill=_mix(chance.choice(_LIGHT_BULBS), "#000000", chance.uniform(0, 0.4)),
        )


def _person(pen: ImageDraw.ImageDraw, foot: Point, height: float, side: int, *, dress: bool) -> None:
    """Draw someone from behind; `side` is where the other one is."""
    x, y = foot

    def shape(points: Sequence[Point]) -> None:
        pen.polygon([(x + height * a * side, y - height * b) for a, b in points], fill="#0b0a10")

    pen.circle((x, y - height * 0.93), height * 0.065, fill="#0b0a10")
    shape(
        [
            (-0.025, 0.9),
            (0.025, 0.9),
            (0.03, 0.82),
            (0.12, 0.79),
            (0.09, 0.52),
            (-0.09, 0.52),
            (-0.12, 0.79),
            (-0.03, 0.82),
        ]
    )
    shape([(0.08, 0.79), (0.12, 0.79), (0.2, 0.46), (0.165, 0.45)])
    shape([(-0.08, 0.79), (-0.12, 0.79), (-0.165, 0.46), (-0.13, 0.45)])
    if dress:
        shape([(-0.075, 0.6), (0.075, 0.6), (0.17, 0.12), (-0.17, 0.12)])
        pen.circle((x, y - height * 0.99), height * 0.035, fill="#0b0a10")
    for leg in (-1, 1):
        shape([(0, 0.55), (leg * 0.09, 0.55), (leg * 0.085, 0), (leg * 0.025, 0)])


def _couple(image: Image.Image, _: _Light, chance: Random) -> None:
    """Put two people on a jetty."""
    pen = ImageDraw.Draw(image)
    width, height = image.size
    middle, end = width * chance.uniform(0.42, 0.58), height * 0.8
    pen.polygon(
        [
            (middle - width * 0.03, end),
            (middle + width * 0.03, end),
            (middle + width * 0.14, height),
            (middle - width * 0.14, height),
        ],
        fill="#0b0a10",
    )
    tall = height * 0.2
    for post in (-1, 1):
        pen.rectangle(
            (
                middle + post * width * 0.03 - 5,
                end - height * 0.03,
                middle + post * width * 0.03 + 5,
                end + height * 0.05,
            ),
            fill="#0b0a10",
        )
    _person(pen, (middle - tall * 0.18, end + height * 0.02), tall, 1, dress=False)
    _person(pen, (middle + tall * 0.18, end + height * 0.02), tall * 0.93, -1, dress=True)


_Painter = Callable[[Image.Image, _Light, Random], None]
_THINGS: dict[str, _Painter] = {
    "sky": _sky,
    "sun": _sun,
    "moon": _moon,
    "stars": _stars,
    "clouds": _clouds,
    "hills": _hills,
    "bank": _bank,
    "water": _water,
    "city": _city,
    "balloons": _balloons,
    "lanterns": _lanterns,
    "fireworks": _fireworks,
    "bokeh": _bokeh,
    "string": _string,
    "confetti": _confetti,
    "couple": _couple,
}
_SHOTS = [
    (0, "gold", "wide", "sky sun hills balloons bank"),
    (1, "day", "tall", "sky clouds hills bank"),
    (2, "red", "wide", "sky sun clouds water couple"),
    (3, "rose", "wide", "sky clouds hills water"),
    (4, "blue", "wide", "sky stars hills lanterns water"),
    (5, "blue", "wide", "sky city water"),
    (6, "party", "wide", "bokeh string"),
    (7, "party", "wide", "bokeh confetti"),
    (8, "night", "wide", "sky stars hills fireworks water"),
    (9, "night", "tall", "sky stars moon hills bank"),
    (10, "gold", "tall", "sky sun hills water couple"),
    (11, "red", "pano", "sky sun clouds hills water"),
]


def draw(number, size):
    seed, light, shape, things = _SHOTS[number]
    if shape == "tall":
        size = size[::-1]
    if shape == "pano":
        size = (4500, 1000)
    chance = Random(seed)
    image = Image.new("RGB", size, _LIGHTS[light].near)
    for thing in things.split():
        _THINGS[thing](image, _LIGHTS[light], chance)
    return image
