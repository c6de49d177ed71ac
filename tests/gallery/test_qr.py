import io

import pytest
import zxingcpp
from PIL import Image

from ghostroll.gallery.qr import qr_png, qr_terminal

# What links look like: an IAM user's, one with a session token, the embedded store's.
LINKS = [
    "http://192.168.1.20:8333/ghostroll/sessions/shoot-2026-11-22_184100_000000/index.html?X-Amz-Signature=" + "0" * 64,
    "https://bucket.s3.eu-central-1.amazonaws.com/sessions/x/index.html?" + "a1%2F" * 60,
    "https://bucket.s3.amazonaws.com/x?X-Amz-Security-Token=" + "FwoGZXIvYXdzE" * 80,
    "x",
]


def decoded(image: Image.Image) -> str:
    (code,) = zxingcpp.read_barcodes(image)
    assert code.format == zxingcpp.BarcodeFormat.QRCode
    return str(code.text)


def drawn(text: str, *, ink_is_light: bool) -> Image.Image:
    """The picture that half blocks make on a screen, 4 px a module."""
    lines = text.splitlines()
    image = Image.new("L", (len(lines[0]), 2 * len(lines)))
    for y, line in enumerate(lines):
        assert len(line) == image.width
        for x, char in enumerate(line):
            upper, lower = {" ": (0, 0), "▀": (1, 0), "▄": (0, 1), "█": (1, 1)}[char]
            for half, inked in enumerate((upper, lower)):
                image.putpixel((x, 2 * y + half), 255 if bool(inked) is ink_is_light else 0)
    return image.resize((4 * image.width, 4 * image.height), Image.Resampling.NEAREST)


@pytest.mark.parametrize("link", LINKS)
def test_the_picture_decodes_to_the_link(link: str) -> None:
    image = Image.open(io.BytesIO(qr_png(link)))
    assert image.format == "PNG"
    assert decoded(image.convert("L")) == link


def test_the_picture_has_whole_modules_and_the_standards_quiet_zone() -> None:
    image = Image.open(io.BytesIO(qr_png(LINKS[0]))).convert("L")
    modules = image.width // 8
    assert (image.width, image.height) == (8 * modules, 8 * modules)
    assert (modules - 8 - 17) % 4 == 0  # ISO/IEC 18004: 17 + 4 x version
    assert image.point(lambda level: 255 - level).getbbox() == (32, 32, image.width - 32, image.height - 32)


@pytest.mark.parametrize("link", LINKS)
def test_the_characters_decode_to_the_link_on_a_dark_ground(link: str) -> None:
    assert decoded(drawn(qr_terminal(link, ansi=False), ink_is_light=True)) == link


@pytest.mark.parametrize("link", LINKS)
def test_with_colours_the_characters_are_black_on_white_whatever_the_terminal(link: str) -> None:
    lines = qr_terminal(link, ansi=True).splitlines()
    assert all(line.startswith("\x1b[97;40m") and line.endswith("\x1b[0m") for line in lines)
    plain = "\n".join(line.removeprefix("\x1b[97;40m").removesuffix("\x1b[0m") for line in lines)
    assert decoded(drawn(plain, ink_is_light=True)) == link


def test_the_code_of_a_usual_link_fits_a_terminal() -> None:
    lines = qr_terminal(LINKS[0], ansi=False).splitlines()
    assert len(lines[0]) <= 80
