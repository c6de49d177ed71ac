"""The frame in a terminal: what arrives there is turned back into pixels, compared, and read."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ghostroll_display import frame
from ghostroll_display.models import MODELS, png_model
from ghostroll_display.panel import PngPanel
from tests.display import phone, scenes

GHOSTROLL = Path(sys.executable).with_name("ghostroll")
# The terminal's own sixteen colours that are used, and a dark ground.
BASIC = {30: (0, 0, 0), 40: (0, 0, 0), 97: (255, 255, 255), 107: (255, 255, 255)}
GROUND, LETTERS = (24, 24, 24), (204, 204, 204)
TRUE = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
VALID = "2100-12-01T18:24:00Z"  # whenever the tests run


@dataclass
class Shown:
    """What a terminal of so many columns got."""

    columns: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.replace("\r\n", "\n").rstrip("\n").split("\n")

    @property
    def text(self) -> str:
        return re.sub(r"\x1b\[[\d;]*m", "", self.out)

    def pixels(self) -> Image.Image:
        """What stands on the screen, a pixel for each half of a character."""
        rows = [row for line in self.lines for row in halves(line)]
        width = max(map(len, rows))
        assert width <= self.columns, "the terminal would break the line"
        image = Image.new("RGB", (width, len(rows)), GROUND)
        image.putdata([pixel for row in rows for pixel in row + [GROUND] * (width - len(row))])
        return image


Rgb = tuple[int, int, int]


def halves(line: str) -> tuple[list[Rgb], list[Rgb]]:
    """Return the upper and the lower pixels of a line of characters, as a terminal shows them."""
    upper: list[Rgb] = []
    lower: list[Rgb] = []
    ink, ground = LETTERS, GROUND
    for style, character in re.findall(r"\x1b\[([\d;]*)m|(.)", line):
        if not character:
            ink, ground = styled([int(part or 0) for part in style.split(";")], ink, ground)
            continue
        above, below = {"█": (ink, ink), "▀": (ink, ground), "▄": (ground, ink)}.get(character, (ground, ground))
        upper.append(above)
        lower.append(below)
    return upper, lower


def styled(codes: list[int], ink: Rgb, ground: Rgb) -> tuple[Rgb, Rgb]:
    while codes:
        code, *codes = codes
        if code == 0:
            ink, ground = LETTERS, GROUND
        elif code in (38, 48):
            kind, *codes = codes
            colour, codes = (cube(codes[0]), codes[1:]) if kind == 5 else ((codes[0], codes[1], codes[2]), codes[3:])
            ink, ground = (colour, ground) if code == 38 else (ink, colour)
        else:
            ink, ground = (BASIC[code], ground) if code in (30, 97) else (ink, BASIC[code])
    return ink, ground


def cube(number: int) -> Rgb:
    """xterm's colours from 16 on: 0, 95, 135, 175, 215, 255 of red, green and blue."""
    number -= 16
    red, green, blue = ([0, 95, 135, 175, 215, 255][number // step % 6] for step in (36, 6, 1))
    return red, green, blue


def received(terminal: int) -> bytes:
    """Return all that a terminal gets until its last user is gone."""
    out = bytearray()
    try:
        while block := os.read(terminal, 65536):
            out += block
    except OSError:  # Linux says EIO then
        pass
    os.close(terminal)
    return bytes(out)


class Place:
    """A status, and a terminal of any size beside it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tell(scenes.shared(expires_at=VALID))

    def tell(self, record: dict[str, Any]) -> None:
        (self.root / "status.json").write_text(json.dumps(record))

    def draw(self, columns: int, rows: int, *arguments: str, **environment: str) -> Shown:
        """`ghostroll status --panel` in a window."""
        terminal, end = pty.openpty()
        fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        child = subprocess.Popen(
            [GHOSTROLL, "status", "--panel", *arguments],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.root),
                "LANG": "C.UTF-8",
                "GHOSTROLL_CONFIG": os.devnull,
                "GHOSTROLL_BASE_DIR": str(self.root),
                "GHOSTROLL_PANEL": "png",
                **environment,
            },
            stdin=subprocess.DEVNULL,
            stdout=end,
            stderr=subprocess.PIPE,
        )
        os.close(end)
        with child:
            out = received(terminal)
            assert child.stderr is not None
            err = child.stderr.read().decode()
        assert child.returncode == 0, err
        return Shown(columns, out.decode(errors="replace"), err)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def read(image: Image.Image) -> str | None:
    """Read a code as a screen shows it: a half block is as wide as it is high, and some 8 pixels of the screen."""
    large = image.resize((image.width * 4, image.height * 4), Image.Resampling.NEAREST)
    return phone.read_by_zxing(large.convert("L"))


def expected(size: tuple[int, int], name: str = "png") -> Image.Image:
    model = png_model(size) if name == "png" else MODELS[name]
    record = scenes.shared(expires_at=VALID)
    return frame.draw(record, model, now=scenes.NOW.astimezone()).convert("RGB")


def test_it_is_the_very_frame_to_the_pixel(place: Place) -> None:
    shown = place.draw(400, 160, "--panel-size", "400x300", **TRUE)
    assert shown.err == ""
    assert shown.pixels().tobytes() == expected((400, 300)).tobytes()
    assert read(shown.pixels()) == scenes.FULL_LINK


@pytest.mark.parametrize(
    "environment",
    [
        TRUE,
        {"TERM": "xterm-256color"},
        {"TERM": "linux"},
        {"TERM": "xterm-256color", "NO_COLOR": "1"},
        {"TERM": "dumb"},
    ],
    ids=["true", "256", "16", "no_color", "dumb"],
)
def test_its_code_scans_whatever_colours_the_terminal_has(place: Place, environment: dict[str, str]) -> None:
    shown = place.draw(300, 100, "--panel-size", "250x122", **environment)
    assert read(shown.pixels()) == scenes.SHORT_LINK
    assert ("\x1b" in shown.out) == (environment["TERM"] != "dumb")
    large = place.draw(400, 160, "--panel-size", "400x300", **environment)
    assert read(large.pixels()) == scenes.FULL_LINK


def test_a_panel_of_colours_is_shown_in_them(place: Place) -> None:
    place.tell(scenes.SCENES["error"])
    shown = place.draw(400, 160, GHOSTROLL_PANEL="what-red", **TRUE)
    assert {colour for _, colour in shown.pixels().getcolors() or []} == {(0, 0, 0), (255, 255, 255), (255, 0, 0)}
    indexed = place.draw(400, 160, GHOSTROLL_PANEL="what-red", TERM="xterm-256color")
    assert indexed.pixels().tobytes() == shown.pixels().tobytes()


def test_the_panel_that_was_found_is_known_by_the_picture_that_the_display_wrote(place: Place) -> None:
    record = scenes.SCENES["error"]
    PngPanel(MODELS["what-red"], place.root / "status.png").show(frame.draw(record, MODELS["what-red"], now=scenes.NOW))
    place.tell(record)
    shown = place.draw(400, 160, GHOSTROLL_PANEL="auto", **TRUE)
    assert shown.err == ""
    assert shown.pixels().size == (400, 300)
    assert (255, 0, 0) in {colour for _, colour in shown.pixels().getcolors() or []}


@pytest.mark.parametrize(("columns", "rows", "size"), [(420, 200, (400, 300)), (213, 60, (212, 104))])
def test_in_a_window_too_small_for_it_a_smaller_panel_s_frame_is_drawn_with_the_code_whole(
    place: Place, columns: int, rows: int, size: tuple[int, int]
) -> None:
    shown = place.draw(columns, rows, **TRUE)
    assert shown.pixels().size == size
    assert len(shown.lines) <= rows - 2
    assert read(shown.pixels()) == scenes.FULL_LINK
    assert "800x480 needs 800 columns and 243 rows" in shown.err
    assert "{}x{}".format(*size) in shown.err


def test_in_a_window_too_small_for_any_the_words_and_the_code_are_drawn(place: Place) -> None:
    shown = place.draw(80, 50, **TRUE)
    assert "SHARED" in shown.text
    assert "Receipt KQXWZP" in shown.text
    assert scenes.FULL_LINK in shown.text.replace("\n", "").replace("\r", "")
    code = [line for line in shown.lines if "▀" in line]
    assert read(Shown(80, "\n".join(code), "").pixels()) == scenes.FULL_LINK
    assert "its words and its code" in shown.err


def test_where_even_the_code_has_no_room_the_link_is_printed_and_it_says_why(place: Place) -> None:
    shown = place.draw(60, 24, **TRUE)
    assert "▀" not in shown.out
    assert "The code needs 77 columns and 39 rows" in shown.text
    assert scenes.FULL_LINK in shown.text


def test_a_terminal_without_utf_8_gets_the_words_and_is_told_so(place: Place) -> None:
    shown = place.draw(400, 200, LANG="C", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", TERM="xterm")
    assert "does not take UTF-8" in shown.err
    assert "SHARED" in shown.text
    assert scenes.FULL_LINK in shown.text
    assert shown.out.isascii()


def test_it_draws_what_the_status_says_now_though_no_display_runs(place: Place) -> None:
    place.tell(scenes.SCENES["reading"])
    shown = place.draw(80, 24, **TRUE)
    assert "KEEP THE CARD IN" in shown.text
    (place.root / "status.json").unlink()
    assert "STARTING" in place.draw(80, 24, **TRUE).text
    assert not (place.root / "status.png").exists()


def test_without_a_terminal_light_is_blocks_and_nothing_is_lost(place: Place) -> None:
    done = subprocess.run(
        [GHOSTROLL, "status", "--panel", "--panel-size", "400x300"],
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "GHOSTROLL_BASE_DIR": str(place.root), "HOME": "/"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "\x1b" not in done.stdout
    assert read(Shown(400, done.stdout, "").pixels()) == scenes.FULL_LINK


def test_a_setting_that_is_wrong_is_told_as_everywhere() -> None:
    done = subprocess.run([GHOSTROLL, "status", "--panel", "--panel-size", "huge"], capture_output=True, check=False)
    assert done.returncode == 78
