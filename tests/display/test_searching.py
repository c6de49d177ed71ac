"""A panel that is there only after the display was started."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from PIL import Image

from ghostroll.base import config
from ghostroll_display.errors import PanelFailed
from ghostroll_display.models import MODELS, PanelModel
from ghostroll_display.panel import Panel, look_for_panel
from ghostroll_display.searching import Search
from ghostroll_display.service import Display, follow

MODEL = MODELS["what-red"]
PATIENCE_SECONDS = 60.0


class LatePanel:
    """A panel that is found at the third look; with its first frame the display is asked to end."""

    model: PanelModel = MODEL

    def __init__(self) -> None:
        self.looks = 0
        self.sizes: list[tuple[int, int]] = []

    def look(self) -> Panel:
        self.looks += 1
        if self.looks < 3:
            raise PanelFailed("There is no panel yet.")
        return self

    def show(self, image: Image.Image) -> None:
        self.sizes.append(image.size)
        os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture(autouse=True)
def handlers_of_signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.timeout(PATIENCE_SECONDS)
def test_a_panel_that_comes_late_is_taken_and_the_picture_is_drawn_for_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = config.load({"base_dir": str(tmp_path)}, {}, os.devnull).settings
    panel = LatePanel()
    with caplog.at_level("INFO", "ghostroll"):
        follow(Display(settings, None), settings, None, Search(panel.look, [0.01] * 5))
    assert (panel.looks, panel.sizes) == (3, [MODEL.size])
    with Image.open(settings.status_image_path) as picture:
        assert picture.size == MODEL.size
    assert not [message for message in caplog.messages if "no panel yet" in message]  # that was said at the start


def test_it_is_told_of_once_and_the_search_comes_to_an_end() -> None:
    panel, woken = LatePanel(), Event()
    search = Search(panel.look, [0.0] * 9)
    search.wake = woken.set
    search.start()
    assert woken.wait(PATIENCE_SECONDS)
    assert [search.found(), search.found()] == [panel, None]
    search._thread.join(PATIENCE_SECONDS)
    assert panel.looks == 3
    in_vain = Search(panel.look, [0.0, 0.0])
    panel.looks = -10
    in_vain.start()
    in_vain._thread.join(PATIENCE_SECONDS)
    assert (panel.looks, in_vain.found()) == (-8, None)


def test_a_search_that_is_ended_looks_no_further() -> None:
    panel = LatePanel()
    search = Search(panel.look, [PATIENCE_SECONDS])
    search.start()
    search.end()
    search._thread.join(PATIENCE_SECONDS / 2)
    assert not search._thread.is_alive()
    assert panel.looks == 0


def test_without_a_bus_nothing_is_started(tmp_path: Path) -> None:
    with pytest.raises(PanelFailed, match=r"There is no .*/i2c"):
        look_for_panel(tmp_path / "i2c")
