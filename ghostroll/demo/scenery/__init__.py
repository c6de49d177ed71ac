"""Draw pictures that look like an evening's photographs, for the sample card and for benchmarks.

A scene is a light and a list of painters, from far to near. Smooth surfaces are drawn small and enlarged, edges at full
size. The same seed gives the same picture.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from random import Random

from PIL import Image, ImageChops

from ghostroll.demo.scenery.brushes import Light, Size
from ghostroll.demo.scenery.festivity import balloons, bokeh, bulbs, city, confetti, couple, fireworks, lanterns
from ghostroll.demo.scenery.landscape import bank, clouds, hills, moon, sky, stars, sun, water

Painter = Callable[[Image.Image, Light, Random], None]


class Shape(Enum):
    """The shape of a picture."""

    WIDE = "wide"
    TALL = "tall"
    PANORAMA = "panorama"


@dataclass(frozen=True, slots=True)
class Scene:
    """The light, shape and painters of a picture."""

    light: Light
    shape: Shape
    painters: tuple[Painter, ...]


def draw_picture(seed: int, size: Size, *, grain: int = 5) -> Image.Image:
    """Draw the picture of a seed; `size` is that of a landscape picture in px, `grain` the noise in levels of 255."""
    scene = SCENES[seed % len(SCENES)]
    rng = Random(seed)  # noqa: S311 - reproducible, not secret
    image = Image.new("RGB", _shaped(size, scene.shape), scene.light.near)
    for paint in scene.painters:
        paint(image, scene.light, rng)
    noise = Image.frombytes("L", image.size, rng.randbytes(image.width * image.height))
    noise = noise.point([128 + round((level / 127.5 - 1) * grain) for level in range(256)])
    return ImageChops.add(image, Image.merge("RGB", (noise, noise, noise)), 1, -128)


def _shaped(size: Size, shape: Shape) -> Size:
    """Return (width, height) in px of a picture, given that of a landscape picture."""
    width, height = size
    return {
        Shape.WIDE: (width, height),
        Shape.TALL: (height, width),
        Shape.PANORAMA: (width * 3 // 2, height // 2),
    }[shape]


_DAY = Light(("#3f78b8", "#7fb2dd", "#cfe3ec", "#f6e7cc"), "#b9cbd6", "#24423a", "#fff1cf")
_GOLD = Light(("#5f8fc4", "#a9bfca", "#f3d3a0", "#ffdf9c"), "#e6bd8c", "#1f2b30", "#ffe2a0")
_RED = Light(("#2b3566", "#8a4a7a", "#e8705a", "#ffb765"), "#b0607a", "#1d1630", "#ffc070")
_ROSE = Light(("#4a5f9a", "#9c86b4", "#e7a9ac", "#fbd7bd"), "#b795b4", "#27304a", "#ffe1d0")
_BLUE = Light(("#0b1a3f", "#1f3f78", "#4f7ba8", "#d8a58c"), "#4a6a94", "#070d1f", "#ffcf8a")
_NIGHT = Light(("#03060f", "#081430", "#12284f", "#27496f"), "#213d63", "#02040a", "#dfe8ff")
_PARTY = Light(("#140a16", "#2c1020", "#54202a", "#96492c", "#5a2620"), "#5a2a20", "#0a0508", "#ffb45a")

SCENES = (
    Scene(_DAY, Shape.WIDE, (sky, clouds, hills, water)),
    Scene(_DAY, Shape.TALL, (sky, clouds, hills, bank)),
    Scene(_GOLD, Shape.WIDE, (sky, sun, hills, balloons, bank)),
    Scene(_GOLD, Shape.TALL, (sky, sun, hills, water, couple)),
    Scene(_GOLD, Shape.WIDE, (sky, clouds, sun, hills, bank)),
    Scene(_RED, Shape.PANORAMA, (sky, clouds, sun, hills, water)),
    Scene(_RED, Shape.WIDE, (sky, clouds, sun, water, couple)),
    Scene(_RED, Shape.TALL, (sky, clouds, sun, hills, bank)),
    Scene(_ROSE, Shape.WIDE, (sky, clouds, hills, water)),
    Scene(_ROSE, Shape.WIDE, (sky, moon, hills, bank)),
    Scene(_BLUE, Shape.WIDE, (sky, stars, hills, lanterns, water)),
    Scene(_BLUE, Shape.WIDE, (sky, city, water)),
    Scene(_PARTY, Shape.WIDE, (bokeh, bulbs)),
    Scene(_PARTY, Shape.TALL, (bokeh, bulbs, couple)),
    Scene(_PARTY, Shape.WIDE, (bokeh, confetti)),
    Scene(_PARTY, Shape.WIDE, (bokeh, bulbs, confetti)),
    Scene(_NIGHT, Shape.WIDE, (sky, stars, hills, fireworks, water)),
    Scene(_NIGHT, Shape.TALL, (sky, stars, moon, hills, bank)),
)
