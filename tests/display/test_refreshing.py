"""The panel's thread: the latest frame wins, a failure is tried again, and how a panel is left."""

import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Event, Semaphore
from typing import Any

import pytest
from PIL import Image

from ghostroll.base import config
from ghostroll.base.config import Settings
from ghostroll.status.model import State, Status
from ghostroll_display.errors import PanelFailed
from ghostroll_display.models import MODELS, PanelModel
from ghostroll_display.refreshing import Refresher, blank
from ghostroll_display.service import Display
from ghostroll_display.telling import power_goes_off

MODEL = MODELS["spectra73"]
PATIENCE_SECONDS = 60.0
WHITE = blank(MODEL).tobytes()
# systemctl(1), list-jobs: job, unit, type, state.
POWERING_OFF = """\
1107 ghostroll-display.service stop  running
1072 poweroff.target           start waiting
1088 systemd-poweroff.service  start waiting
1089 shutdown.target           start waiting
"""
REBOOTING = POWERING_OFF.replace("poweroff", "reboot")


def record(state: State = State.RUNNING, **fields: Any) -> dict[str, Any]:
    return asdict(Status(state=state, **fields)) | {"runs": []}


def picture(shade: int) -> Image.Image:
    return Image.new("P", MODEL.size, shade)


@dataclass
class SlowPanel:
    """A panel whose refreshes end when the test lets them: `begun` and `go_on` count them."""

    model: PanelModel = MODEL
    failures: int = 0
    begun: Semaphore = field(default_factory=lambda: Semaphore(0))
    go_on: Semaphore = field(default_factory=lambda: Semaphore(0))
    shown: list[int] = field(default_factory=list)

    def show(self, image: Image.Image) -> None:
        self.begun.release()
        assert self.go_on.acquire(timeout=PATIENCE_SECONDS)
        if self.failures:
            self.failures -= 1
            raise PanelFailed("The panel did not answer within 60 s.")
        self.shown.append(image.tobytes()[0])

    def wait_for_refresh(self) -> None:
        assert self.begun.acquire(timeout=PATIENCE_SECONDS)


@contextmanager
def refreshed(panel: SlowPanel) -> Iterator[Refresher]:
    refresher = Refresher(panel)
    refresher.start()
    try:
        yield refresher
    finally:
        panel.go_on.release(10)
        refresher.end()
    assert not refresher.is_alive()


def test_while_a_refresh_goes_on_frames_are_taken_and_only_the_latest_is_shown_after_it() -> None:
    panel = SlowPanel()
    with refreshed(panel) as refresher:
        refresher.want(picture(0), record())
        panel.wait_for_refresh()
        for shade in (2, 3, 4):
            refresher.want(picture(shade), record(session_id=f"S{shade}"))
        panel.go_on.release()
        panel.wait_for_refresh()
    assert panel.shown == [0, 4]


def test_a_failed_refresh_is_told_and_news_are_shown_after_it(caplog: pytest.LogCaptureFixture) -> None:
    panel = SlowPanel(failures=1)
    with caplog.at_level(logging.ERROR), refreshed(panel) as refresher:
        refresher.want(picture(0), record())
        panel.wait_for_refresh()
        panel.go_on.release()
        refresher.want(picture(2), record(State.DONE))
        panel.wait_for_refresh()
    assert panel.shown == [2]
    assert caplog.messages == ["The panel did not answer within 60 s. It is tried again."]


def test_at_the_end_a_refresh_is_finished_and_none_is_begun() -> None:
    panel = SlowPanel()
    with refreshed(panel) as refresher:
        refresher.want(picture(0), record())
        panel.wait_for_refresh()
        refresher.want(picture(2), record(State.DONE))
    assert panel.shown == [0]


def test_an_answer_to_the_button_does_not_wait_for_a_quiet_time_nor_does_what_comes_after_it() -> None:
    panel = SlowPanel()
    with refreshed(panel) as refresher:
        for shade, answer in ((0, None), (2, "Releasing the card"), (0, None)):
            refresher.want(picture(shade), record(), answer)
            panel.wait_for_refresh()
            panel.go_on.release()
    assert panel.shown == [0, 2, 0]


# --- how a panel is left


@dataclass
class QuickPanel:
    """A panel that remembers what it shows."""

    model: PanelModel = MODEL
    shows: bytes = b""
    has_shown: Event = field(default_factory=Event)

    def show(self, image: Image.Image) -> None:
        self.shows = image.tobytes()
        self.has_shown.set()


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that says what `systemctl` has to do."""

    def announce(text: str) -> None:
        program = tmp_path / "bin" / "systemctl"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\ncat <<'.'\n{text}.\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")

    return announce


def settings(root: Path) -> Settings:
    return config.load({"base_dir": str(root), "panel": MODEL.name}, {}, os.devnull).settings


def left(root: Path, told: dict[str, Any]) -> bytes:
    """Show a record, end the display, and return what stays on the panel."""
    panel = QuickPanel()
    display = Display(settings(root), panel)
    (root / "status.json").write_text(json.dumps(told))
    display.start()
    display.show()
    assert panel.has_shown.wait(PATIENCE_SECONDS)
    display.end()
    return panel.shows


SHARED = record(State.DONE, url="https://store.example/abcdef", expires_at="2100-01-01T00:00:00Z")


def test_a_panel_without_a_link_is_white_when_the_power_goes_off(tmp_path: Path, jobs: Callable[[str], None]) -> None:
    jobs(POWERING_OFF)
    assert left(tmp_path, record()) == WHITE


def test_a_link_stays_on_the_panel_when_the_power_goes_off(tmp_path: Path, jobs: Callable[[str], None]) -> None:
    jobs(POWERING_OFF)
    assert left(tmp_path, SHARED) != WHITE


def test_a_link_stays_also_while_no_card_is_in_and_goes_once_it_has_ended(
    tmp_path: Path, jobs: Callable[[str], None]
) -> None:
    jobs(POWERING_OFF)
    waiting = SHARED | {"state": State.IDLE, "updated_at": "2026-11-24T18:00:00Z"}
    assert left(tmp_path, waiting) != WHITE
    assert left(tmp_path, SHARED | {"expires_at": "2020-01-01T00:00:00Z"}) == WHITE


def test_a_link_that_came_at_the_last_moment_is_shown_before_the_power_goes_off(
    tmp_path: Path, jobs: Callable[[str], None]
) -> None:
    jobs(POWERING_OFF)
    panel = SlowPanel()
    display = Display(settings(tmp_path), panel)
    display.start()
    for told in (record(), SHARED):
        (tmp_path / "status.json").write_text(json.dumps(told))
        display.show()
        panel.begun.acquire(timeout=1)
    panel.go_on.release(10)
    display.end()
    assert len(panel.shown) == 2


@pytest.mark.parametrize("text", [REBOOTING, "1107 ghostroll-display.service restart running\n", ""])
def test_a_restart_leaves_the_panel_as_it_is(text: str, tmp_path: Path, jobs: Callable[[str], None]) -> None:
    jobs(text)
    assert left(tmp_path, record()) != WHITE


def test_where_nobody_knows_whether_the_power_goes_off_it_does_not() -> None:
    assert not power_goes_off(("/nonexistent/systemctl",))
    assert not power_goes_off(("false",))
    assert not power_goes_off(("sleep", "20"))
