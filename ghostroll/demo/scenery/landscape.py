"""Painters of sky, hills and water."""

import math
from random import Random

from PIL import Image, ImageChops, ImageDraw, ImageOps

from ghostroll.demo.scenery.brushes import (
    SHORE,
    Light,
    Point,
    blotches,
    dimmed,
    draw_fir,
    glow,
    gradient,
    mixed,
    ridge_line,
)


def sky(image: Image.Image, light: Light, _: Random) -> None:
    """Paint the sky, down to the shore."""
    image.paste(gradient((image.width, round(image.height * SHORE)), [*light.sky, light.sky[-1]]))


def sun(image: Image.Image, light: Light, rng: Random) -> None:
    """Paint a low sun in haze."""
    unit = min(image.size)
    centre = (image.width * rng.uniform(0.3, 0.7), image.height * rng.uniform(0.42, 0.5))
    glow(image, centre, unit * 1.1, dimmed(light.shine, 0.5), 2.2)
    glow(image, centre, unit * 0.35, dimmed(light.shine, 0.6), 2)
    glow(image, centre, unit * 0.06, "#fff6e0", 0.35)


def moon(image: Image.Image, light: Light, rng: Random) -> None:
    """Paint a full moon."""
    unit = min(image.size)
    x, y, radius = image.width * rng.uniform(0.3, 0.7), image.height * rng.uniform(0.2, 0.3), unit * 0.05
    glow(image, (x, y), unit * 0.9, dimmed(light.shine, 0.35), 3)
    glow(image, (x, y), unit * 0.2, dimmed(light.shine, 0.4), 2)
    edge = max(2, round(2 * radius))
    face = Image.new("L", (2 * edge, 2 * edge))
    ImageDraw.Draw(face).ellipse((0, 0, 2 * edge - 1, 2 * edge - 1), fill=255)
    seas = ImageOps.colorize(blotches(rng, (6, 6), (edge, edge)), "#c9c6bd", "#fffdf4")
    image.paste(seas, (round(x - radius), round(y - radius)), face.reduce(2))


def stars(image: Image.Image, _: Light, rng: Random) -> None:
    """Paint stars."""
    pen = ImageDraw.Draw(image)
    for _star in range(700):
        at = (image.width * rng.random(), image.height * SHORE * rng.random())
        radius = 0.5 + min(image.size) * 0.0004 * (1 + 2.2 * rng.random() ** 6)
        pen.circle(at, radius, fill=dimmed("#f2f6ff", 0.35 + 0.65 * rng.random() ** 2))


def clouds(image: Image.Image, light: Light, rng: Random) -> None:
    """Paint clouds, lit from below."""
    full = (image.width, round(image.height * SHORE))
    size = (full[0] // 4, full[1] // 4)
    heap = blotches(rng, (4, 5), size)
    for octave, weight in enumerate((0.45, 0.35, 0.25, 0.16), 1):
        heap = Image.blend(heap, blotches(rng, (4 << octave, 7 << octave), size), weight)
    threshold = rng.uniform(114, 126)
    mask = heap.point([min(235, max(0, round((level - threshold) * 5))) for level in range(256)])
    lit = ImageChops.subtract(mask, ImageChops.offset(mask, 0, -round(size[1] * 0.02)), 0.5, 90)
    bright, dark = mixed(light.shine, light.sky[-2], 0.25), mixed(light.sky[1], light.far, 0.5)
    body = ImageOps.colorize(lit, dark, bright)
    image.paste(body.resize(full, Image.Resampling.BICUBIC), (0, 0), mask.resize(full, Image.Resampling.BICUBIC))


def hills(image: Image.Image, light: Light, rng: Random) -> None:
    """Paint five chains of hills, hazier with distance."""
    for step in range(5):
        base, swing = image.height * (0.47 + 0.045 * step), image.height * (0.12 - 0.02 * step)
        _chain(image, light, rng, step / 5, ridge_line(rng, image.width, base, swing))


def bank(image: Image.Image, light: Light, rng: Random) -> None:
    """Paint two dark slopes with firs in the foreground, mist between them."""
    width, height = image.size
    _chain(image, light, rng, 0.85, ridge_line(rng, width, height * 0.78, height * 0.07))
    glow(image, (width / 2, height * 0.86), width * 0.45, dimmed(light.far, 0.3), 1.5)
    _chain(image, light, rng, 1.0, ridge_line(rng, width, height * 0.99, height * 0.05), gap=0.45)


def _chain(
    image: Image.Image, light: Light, rng: Random, nearness: float, ridge: list[Point], *, gap: float = 1.0
) -> None:
    """Draw one chain of hills with mist at its foot, and firs where it is near.

    The smaller `gap`, the further the firs stand apart in the middle, and the taller they are.
    """
    width, height = image.size
    top = max(0, round(min(y for _, y in ridge) - height * 0.15 * nearness / gap))
    mask = Image.new("L", (width, height - top))
    pen = ImageDraw.Draw(mask)
    pen.polygon([(0, height), *((x, y - top) for x, y in ridge), (width, height)], fill=255)
    for _fir_number in range(round(90 / nearness) if nearness > 0.4 else 0):  # noqa: PLR2004 - farther ones are haze
        x, y = ridge[min(int(len(ridge) * rng.betavariate(gap, gap)), len(ridge) - 1)]
        tall = height * 0.11 * nearness**1.5 * rng.uniform(0.5, 1.3) / gap
        draw_fir(pen, (x, y - top + height * 0.012), tall, rng)
    colour = mixed(light.far, light.near, nearness)
    mist = mixed(colour, light.far, 0.45 * (1 - nearness))
    image.paste(gradient(mask.size, (colour, colour, mist, colour)), (0, top), mask)


def water(image: Image.Image, _: Light, rng: Random) -> None:
    """Paint water that mirrors the picture above the shore, with ripples widening towards the viewer."""
    width, height = image.size
    shore = round(height * SHORE)
    mirror = ImageOps.flip(image.crop((0, 2 * shore - height, width, shore)))
    soft = mirror.resize((max(2, width // 8), max(2, mirror.height // 40))).resize(mirror.size)
    mirror = Image.composite(mirror, soft, blotches(rng, (width // 150, mirror.height // 5), mirror.size))
    mirror = ImageChops.multiply(mirror, gradient(mirror.size, ("#ffffff", "#d5dae0", "#8f99a8")))
    y = 0
    while y < mirror.height:
        depth = y / mirror.height
        rows = round(2 + height * 0.006 * depth)
        shift = width * 0.006 * (0.15 + depth) * math.sin(y / (height / 500 + height / 90 * depth))
        strip = mirror.crop((0, y, width, min(y + rows, mirror.height)))
        image.paste(ImageChops.offset(strip, round(shift + width * rng.uniform(-0.0007, 0.0007)), 0), (0, shore + y))
        y += rows
