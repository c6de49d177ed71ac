"""Painters of houses, lights and people."""

import cmath
import math
from itertools import pairwise
from random import Random

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from ghostroll.demo.scenery.brushes import (
    BULB_COLOURS,
    SHORE,
    SILHOUETTE,
    Light,
    Point,
    dimmed,
    draw_person,
    glow,
    gradient,
    mixed,
)


def city(image: Image.Image, light: Light, rng: Random) -> None:
    """Paint three rows of houses with lit windows along the shore."""
    glow(image, (image.width / 2, image.height * SHORE), image.width * 0.6, "#6a3d1c", 1.6)
    pen = ImageDraw.Draw(image)
    for row in range(3):
        x = -0.05 * image.height * rng.random()
        while x < image.width:
            wide = image.height * rng.uniform(0.05, 0.12)
            tall = image.height * rng.uniform(0.08, 0.36 - 0.08 * row)
            top = image.height * SHORE - tall
            pen.rectangle((x, top, x + wide, top + tall), fill=mixed(light.far, light.near, 0.35 + 0.3 * row))
            house, pitch = (x, top, wide, tall), image.height * 0.0115
            _windows(pen, house, light.near, rng, pitch=pitch, share=0.16 + 0.12 * row)
            x += wide * rng.uniform(0.85, 1.2)


def _windows(
    pen: ImageDraw.ImageDraw,
    house: tuple[float, float, float, float],
    wall: str,
    rng: Random,
    *,
    pitch: float,
    share: float,
) -> None:
    """Light the fraction `share` of a house's windows; `house` is (left, top, width, height) in px."""
    x, top, wide, tall = house
    for column in range(1, int(wide / pitch) - 1):
        for floor in range(1, int(tall / pitch / 1.4)):
            if rng.random() < share:
                left, high = x + column * pitch, top + floor * pitch * 1.4
                glass = mixed(wall, rng.choice((*BULB_COLOURS[:3], BULB_COLOURS[-1])), rng.uniform(0.4, 1))
                pen.rectangle((left, high, left + pitch * 0.55, high + pitch * 0.8), fill=glass)


def balloons(image: Image.Image, _: Light, rng: Random) -> None:
    """Paint striped hot-air balloons, the far ones first."""
    for place, size in enumerate((0.02, 0.03, 0.045, 0.065, 0.11)):
        x = image.width * (0.12 + 0.19 * ((place * 2 + 1) % 5) + rng.uniform(-0.05, 0.05))
        colours = rng.choice((("#c8402f", "#f3d9a4"), ("#e0912f", "#7d2f3a"), ("#2f6f8f", "#f2e3c2")))
        _balloon(image, (x, image.height * rng.uniform(0.14, 0.34)), min(image.size) * size, colours)


def _balloon(image: Image.Image, centre: Point, radius: float, colours: tuple[str, str]) -> None:
    """Draw a balloon from gores of decreasing width."""
    pen = ImageDraw.Draw(image)
    x, y = centre
    basket, width = "#3b2618", max(1, round(radius / 50))
    for side in (-1, 1):
        above, below = (x + side * radius * 0.14, y + radius * 1.4), (x + side * radius * 0.09, y + radius * 1.6)
        pen.line((above, below), basket, width)
    pen.rectangle((x - radius * 0.1, y + radius * 1.6, x + radius * 0.1, y + radius * 1.75), fill=basket)
    for gore in range(8):
        half = radius * math.cos(gore * math.pi / 16)
        colour = mixed(colours[gore % 2], "#20140f", 0.32 - 0.045 * gore)
        pen.ellipse((x - half, y - radius, x + half, y + radius), fill=colour)
        throat = [(half * 0.87, 0.5), (half * 0.16, 1.42), (-half * 0.16, 1.42), (-half * 0.87, 0.5)]
        pen.polygon([(x + across, y + radius * down) for across, down in throat], fill=colour)


def lanterns(image: Image.Image, _: Light, rng: Random) -> None:
    """Paint flying paper lanterns, the far ones first."""
    pen = ImageDraw.Draw(image)
    for index in range(60):
        size = min(image.size) * 0.004 * 1.045**index
        x, y = image.width * rng.random(), image.height * (SHORE - 0.06) * rng.random()
        glow(image, (x, y), size * 4, "#a04a10", 2.5)
        paper = [(-0.6, -1.0), (0.6, -1.0), (0.42, 1.0), (-0.42, 1.0)]
        pen.polygon([(x + size * across, y + size * down) for across, down in paper], fill="#f08a2c")
        glow(image, (x, y + size * 0.6), size * 1.3, "#ffd890", 1.2)


def fireworks(image: Image.Image, _: Light, rng: Random) -> None:
    """Paint four fireworks."""
    unit = min(image.size)
    sparks = Image.new("RGB", image.size)
    for burst in range(4):
        x = image.width * (0.2 + 0.2 * burst + rng.uniform(-0.06, 0.06))
        centre = (x, image.height * rng.uniform(0.12, 0.34))
        colour, reach = rng.choice(BULB_COLOURS), unit * rng.uniform(0.12, 0.24)
        _burst(ImageDraw.Draw(sparks), centre, reach, colour, rng)
        glow(image, centre, reach * 2, dimmed(colour, 0.35), 2)
    bloom = sparks.reduce(4).filter(ImageFilter.GaussianBlur(unit / 300)).resize(image.size)
    image.paste(ImageChops.screen(ImageChops.screen(image, sparks), bloom))


def _burst(pen: ImageDraw.ImageDraw, centre: Point, reach: float, colour: str, rng: Random) -> None:
    """Draw the sparks of one firework."""
    x, y = centre
    for _ in range(110):
        angle, speed = rng.uniform(0, math.tau), reach * rng.uniform(0.55, 1)
        across, down = speed * math.cos(angle), speed * math.sin(angle)
        path = [(x + across * t, y + down * t + 0.28 * speed * t * t) for t in (0.2, 0.4, 0.6, 0.8, 1)]
        for step, (start, end) in enumerate(pairwise(path)):
            pen.line((*start, *end), mixed("#fff6e0", colour, 0.3 + 0.23 * step), max(1, round(reach / 150)))
        pen.circle(path[-1], reach / 90, fill="#fff6e0")


def bokeh(image: Image.Image, light: Light, rng: Random) -> None:
    """Fill the picture with lights out of focus."""
    image.paste(gradient(image.size, light.sky))
    for index in range(110):
        radius = min(image.size) * rng.choice((0.018, 0.03, 0.045, 0.06))
        at = (image.width * rng.random(), image.height * min(1, max(0, rng.gauss(0.42, 0.22))))
        colour = dimmed(rng.choice(BULB_COLOURS), rng.uniform(0.15, 0.65))
        glow(image, at, radius, colour, 0.12 + 0.1 * (index % 3))


def bulbs(image: Image.Image, _: Light, rng: Random) -> None:
    """Paint two strings of light bulbs."""
    for lower in (0, 0.13):
        left, right, sag = rng.uniform(0.02, 0.2), rng.uniform(0.02, 0.2), rng.uniform(0.12, 0.2)
        string = [
            (image.width * t, image.height * (lower + left + (right - left) * t + sag * 4 * t * (1 - t)))
            for t in (step / 60 for step in range(61))
        ]
        ImageDraw.Draw(image).line(string, fill="#0a0606", width=max(2, image.height // 300), joint="curve")
        for point in string[3::6]:
            _bulb(image, point, min(image.size))


def _bulb(image: Image.Image, point: Point, unit: int) -> None:
    pen = ImageDraw.Draw(image)
    x, y = point
    glow(image, (x, y + unit * 0.02), unit * 0.13, "#a85c14", 2.6)
    pen.rectangle((x - unit * 0.006, y - unit * 0.004, x + unit * 0.006, y + unit * 0.014), fill="#120a06")
    pen.ellipse((x - unit * 0.014, y + unit * 0.01, x + unit * 0.014, y + unit * 0.045), fill="#ffc566")
    glow(image, (x, y + unit * 0.028), unit * 0.024, "#fff3cf", 1)


def confetti(image: Image.Image, _: Light, rng: Random) -> None:
    """Paint confetti, the far pieces first."""
    pen = ImageDraw.Draw(image)
    for index in range(420):
        size = min(image.size) * 0.0035 * 1.004**index
        centre = complex(image.width * rng.random(), image.height * rng.random())
        along = cmath.rect(size * 1.6, rng.uniform(0, math.tau))
        across = along * 1j * rng.uniform(0.12, 0.6)
        corners = [centre + along + across, centre + along - across, centre - along - across, centre - along + across]
        colour = dimmed(rng.choice(BULB_COLOURS), rng.uniform(0.6, 1))
        pen.polygon([(corner.real, corner.imag) for corner in corners], fill=colour)


def couple(image: Image.Image, _: Light, rng: Random) -> None:
    """Paint two people hand in hand on a jetty."""
    width, height = image.size
    middle, end, tall = width * rng.uniform(0.4, 0.6), height * 0.81, min(image.size) * 0.2
    pen = ImageDraw.Draw(image)
    planks = [(-0.27, end), (0.27, end), (0.62, height), (-0.62, height)]
    pen.polygon([(middle + tall * 1.6 * across, y) for across, y in planks], fill=SILHOUETTE)
    draw_person(pen, (middle - tall * 0.19, end + tall * 0.08), tall, dress=False)
    draw_person(pen, (middle + tall * 0.19, end + tall * 0.08), tall * 0.93, dress=True)
