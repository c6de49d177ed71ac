"""A panel's driver hangs, fails or ends its process: the display goes on, and says why there is no refresh."""

import json
import os
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest
from PIL import Image

from ghostroll.base import config
from ghostroll.base.config import Settings
from ghostroll.base.errors import ConfigurationError
from ghostroll.status.model import State, Status
from ghostroll_display import inky_panel
from ghostroll_display.errors import PanelFailed, PictureFailed
from ghostroll_display.inky_panel import InkyPanel
from ghostroll_display.models import MODELS
from ghostroll_display.panel import PngPanel, open_panel
from ghostroll_display.refreshing import blank
from ghostroll_display.service import Display

STUCK = (sys.executable, str(Path(__file__).with_name("stuck_panel.py")))
UC8159 = MODELS["impressions"]
WHITE = blank(UC8159)


def script(text: str) -> tuple[str, ...]:
    return (sys.executable, "-c", text)


def drivers() -> list[psutil.Process]:
    """Return the drivers' processes that run: other tests' programs may run beside them."""
    return [child for child in psutil.Process().children() if STUCK[1] in child.cmdline()]


def settings(**flags: str) -> Settings:
    return config.load(flags, {}, os.devnull).settings


def test_a_driver_that_never_returns_is_given_up_at_the_deadline_and_its_process_is_gone() -> None:
    panel = InkyPanel(replace(UC8159, deadline_seconds=3), STUCK, start_seconds=0)
    started = time.monotonic()
    with pytest.raises(PanelFailed, match=r"did not answer within 3 s"):
        panel.show(WHITE)
    assert time.monotonic() - started < 25, "the driver itself sleeps for 32 s"
    assert not drivers()


def test_while_a_driver_hangs_the_picture_follows_the_record(tmp_path: Path) -> None:
    panel = InkyPanel(replace(UC8159, deadline_seconds=4), STUCK, start_seconds=0)
    display = Display(settings(base_dir=str(tmp_path)), panel)
    display.start()
    pictures = set()
    for state in (State.RUNNING, State.WAITING, State.ERROR):
        (tmp_path / "status.json").write_text(json.dumps(asdict(Status(state=state))))
        display.show()
        pictures.add((tmp_path / "status.png").read_bytes())
    assert drivers(), "the driver still hangs"
    assert len(pictures) == 3
    display.end()
    assert not drivers()


def test_a_picture_reaches_the_driver_as_it_is(tmp_path: Path) -> None:
    kept = tmp_path / "picture.png"
    image = Image.effect_noise(UC8159.size, 90).point(lambda value: value % 7)
    frame = Image.frombytes("P", image.size, image.tobytes())
    frame.putpalette([part for colour in UC8159.palette for part in colour])
    InkyPanel(UC8159, script(f"import sys; open({str(kept)!r}, 'wb').write(sys.stdin.buffer.read())")).show(frame)
    with Image.open(kept) as got:
        assert (got.mode, got.size, got.tobytes()) == ("P", frame.size, frame.tobytes())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("raise RuntimeError('No EEPROM detected!')", r"RuntimeError: No EEPROM detected!\."),
        (
            "import sys; sys.exit('Woah there\\n  - Busy: (line 17) claimed by spi0')",
            r"Woah there - Busy: .* by spi0\.",
        ),
        ("import os; os.abort()", r"exit status -6\."),
        ("import sys; sys.stderr.buffer.write(b'\\xff\\x1b[2J'); sys.exit(1)", r"\\x1b\[2J\."),
    ],
)
def test_why_a_driver_failed_is_told_in_one_printable_line(text: str, reason: str) -> None:
    with pytest.raises(PanelFailed, match=reason) as failed:
        InkyPanel(UC8159, script(text)).show(WHITE)
    assert str(failed.value).isprintable()


def test_the_real_drivers_say_that_there_is_no_panel_here() -> None:
    with pytest.raises(PanelFailed, match="failed: "):
        InkyPanel(UC8159).show(WHITE)
    with pytest.raises(PanelFailed, match="No EEPROM detected"):
        inky_panel.find()


def test_a_program_that_cannot_be_started_is_a_panel_that_failed() -> None:
    with pytest.raises(PanelFailed, match="cannot be started"):
        InkyPanel(UC8159, ("/nonexistent/python",)).show(WHITE)


def test_a_panel_that_is_found_is_the_one_that_its_eeprom_names() -> None:
    assert inky_panel.find(script("print('spectra73')")) == MODELS["spectra73"]
    with pytest.raises(PanelFailed, match=r"none that is known here: inky_new \(1, 1\) multi"):
        inky_panel.find(script("print('inky_new (1, 1) multi')"))


def test_without_a_panel_there_is_the_picture_alone(tmp_path: Path) -> None:
    assert open_panel(settings(panel="png")) is None
    assert open_panel(settings(panel="auto"), i2c_bus=tmp_path / "none") is None
    (tmp_path / "bus").touch()
    assert open_panel(settings(panel="auto"), i2c_bus=tmp_path / "bus") is None, "the real search, which finds nothing"


def test_a_panel_is_opened_by_its_name_and_an_unknown_name_is_refused_with_the_known_ones() -> None:
    opened = open_panel(settings(panel="spectra73"))
    assert isinstance(opened, InkyPanel)
    assert opened.model == MODELS["spectra73"]
    with pytest.raises(ConfigurationError, match=r"spectra99.*auto, png, none, .*spectra73"):
        open_panel(settings(panel="spectra99"))


def test_the_picture_is_replaced_whole_and_only_by_another_one(tmp_path: Path) -> None:
    path = tmp_path / "status.png"
    panel = PngPanel(UC8159, path)
    panel.show(WHITE)
    first = path.stat()
    panel.show(WHITE)
    assert path.stat().st_ino == first.st_ino
    panel.show(Image.new("P", UC8159.size, 0))
    assert path.stat().st_ino != first.st_ino
    path.unlink()
    panel.show(Image.new("P", UC8159.size, 0))
    assert path.exists()
    assert [file.name for file in tmp_path.iterdir()] == ["status.png"]


def test_a_picture_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PictureFailed, match="cannot be written"):
        PngPanel(UC8159, tmp_path / "file" / "status.png").show(WHITE)
