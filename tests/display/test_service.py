"""The display as systemd runs it: records that come and go, and nothing spent while nothing happens."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
import zxingcpp
from PIL import Image

from ghostroll.base import durable
from ghostroll.status.model import CardState, CardStatus, State, Status

DISPLAY = Path(sys.executable).with_name("ghostroll-display")
LINK = "https://store.example/abcdef"
PATIENCE_SECONDS = 60.0


def record(**fields: Any) -> dict[str, Any]:
    return asdict(Status(**fields)) | {"runs": []}


READING = record(state=State.RUNNING, message="Reading", card=CardStatus(state=CardState.READING, files=24, saved=3))
DONE = record(
    state=State.DONE,
    message="Shared",
    url=LINK,
    short_url=LINK,
    receipt="ABCDEF",
    session_id="S1",
    expires_at="2100-01-01T00:00:00Z",
)


@dataclass
class Place:
    """A display's own directory, and the record and the picture in it."""

    root: Path
    children: list[subprocess.Popen[bytes]]

    @property
    def record(self) -> Path:
        return self.root / "run" / "status.json"

    @property
    def picture(self) -> Path:
        return self.root / "run" / "status.png"

    @property
    def told(self) -> str:
        return (self.root / "err").read_text()

    def write(self, content: dict[str, Any] | str) -> None:
        self.record.parent.mkdir(exist_ok=True)
        durable.write_unflushed(self.record, content if isinstance(content, str) else json.dumps(content))

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        with (self.root / "err").open("wb") as err:
            child = subprocess.Popen(
                [str(DISPLAY), *arguments],
                env={
                    "PATH": os.environ["PATH"],
                    "GHOSTROLL_STATUS_PATH": str(self.record),
                    "GHOSTROLL_STATUS_IMAGE_PATH": str(self.picture),
                    "GHOSTROLL_PANEL": "png",
                    "HOME": str(self.root),
                    **environment,
                },
                stderr=err,
                cwd=self.root,
            )
        self.children.append(child)
        return child

    def shown(self) -> bytes | None:
        """What the picture holds; it is whole, whenever one looks."""
        try:
            with Image.open(self.picture) as image:
                return image.convert("L").tobytes()
        except FileNotFoundError:
            return None

    def link(self) -> str | None:
        with Image.open(self.picture) as image:
            found = zxingcpp.read_barcodes(image.convert("L"))
        return found[0].text if found else None

    def wait_for(self, holds: Callable[[], object]) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            assert time.monotonic() < end, self.told
            assert all(child.poll() is None for child in self.children), self.told
            time.sleep(0.05)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path, [])
    yield made
    for child in made.children:
        if child.poll() is None:
            child.kill()
            child.wait()


def test_once_draws_the_current_status_and_ends(place: Place) -> None:
    place.write(DONE)
    assert place.start("--once", GHOSTROLL_PANEL_SIZE="400x300").wait(PATIENCE_SECONDS) == 0
    with Image.open(place.picture) as image:
        assert image.size == (400, 300)
    assert place.link() == LINK


NONSENSE = (
    "",
    "{",
    "[]",
    '{"state": "running"}',
    json.dumps(DONE | {"version": 2}),
    json.dumps(DONE | {"disk_free_bytes": 10**400}),
    json.dumps(DONE | {"progress": float("nan")}),
)


@pytest.mark.parametrize("content", [*NONSENSE, None])
def test_once_draws_something_whatever_the_record_holds(place: Place, content: str | None) -> None:
    if content is not None:
        place.write(content)
    assert place.start("--once").wait(PATIENCE_SECONDS) == 0
    assert place.shown()
    assert "Traceback" not in place.told
    assert ("is passed over" in place.told) == (content is not None)


def test_once_says_what_is_wrong_by_its_exit_code(place: Place) -> None:
    place.write(DONE)
    assert place.start("--once", GHOSTROLL_PANEL="spectra73").wait(PATIENCE_SECONDS) == 69
    assert place.link() == LINK, "the picture is there all the same"
    assert place.start("--once", GHOSTROLL_PANEL="nonsense").wait(PATIENCE_SECONDS) == 78
    (place.root / "file").touch()
    assert (
        place.start("--once", GHOSTROLL_STATUS_IMAGE_PATH=str(place.root / "file" / "status.png")).wait(
            PATIENCE_SECONDS
        )
        == 73
    )
    assert place.start("--twice").wait(PATIENCE_SECONDS) == 64


def test_the_picture_follows_the_record(place: Place) -> None:
    place.write(READING)
    place.start()
    place.wait_for(place.shown)
    reading = place.shown()
    place.write(DONE)
    place.wait_for(lambda: place.link() == LINK)
    place.write(READING)
    place.wait_for(lambda: place.shown() == reading)


def test_which_code_is_shown_and_why_is_said_once(place: Place) -> None:
    long = "https://store.example/" + "x" * 400
    place.write(DONE | {"url": long})
    place.start(GHOSTROLL_PANEL_SIZE="250x122")
    place.wait_for(place.shown)
    place.write(READING)
    place.wait_for(lambda: place.link() is None)
    place.write(DONE | {"url": long})
    place.wait_for(lambda: place.link() == LINK)
    assert place.told.count("The code is the short link, since the full one (422 characters)") == 1
    place.write(DONE | {"url": long, "short_url": None})
    place.wait_for(lambda: "No code: the link (422 characters)" in place.told)
    assert long not in place.told


def test_a_record_that_makes_no_sense_leaves_the_picture_as_it_was_until_the_next_good_one(place: Place) -> None:
    place.write(DONE)
    place.start()
    place.wait_for(place.shown)

    def is_told(complaint: str) -> bool:
        return complaint in place.told

    for content, complaint in (
        ("{", "cannot be read"),
        (json.dumps(READING | {"version": 7}), "another version"),
        ("[1]", "no status record"),
    ):
        place.write(content)
        place.wait_for(partial(is_told, complaint))
        assert place.link() == LINK
    place.write(READING)
    place.wait_for(lambda: place.link() is None)


def test_a_record_and_a_directory_that_go_and_come_back_are_followed(place: Place) -> None:
    child = place.start()
    place.wait_for(place.shown)
    nothing_yet = place.shown()
    place.write(DONE)
    place.wait_for(lambda: place.link() == LINK)
    place.record.unlink()
    place.wait_for(lambda: place.shown() == nothing_yet)
    place.record.parent.rename(place.root / "away")
    place.write(DONE)
    place.wait_for(lambda: place.picture.exists() and place.link() == LINK)
    time.sleep(1.5)  # until it is at rest in the new directory
    place.write(READING)
    place.wait_for(lambda: place.link() is None)
    assert child.poll() is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once(place: Place, number: signal.Signals) -> None:
    child = place.start()
    place.wait_for(place.shown)
    child.send_signal(number)
    assert child.wait(PATIENCE_SECONDS) == 0
    assert [line for line in place.told.splitlines() if "No button: " not in line] == []


def test_a_panel_that_fails_is_told_and_the_picture_goes_on(place: Place) -> None:
    place.start(GHOSTROLL_PANEL="spectra73")
    place.wait_for(lambda: "The panel's driver failed: " in place.told)
    place.write(DONE)
    place.wait_for(lambda: place.link() == LINK)
    with Image.open(place.picture) as image:
        assert image.size == (800, 480)


def test_systemd_is_told_that_it_is_ready_and_its_watchdog_is_fed(place: Place) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
        notices.bind(str(place.root / "notify"))
        notices.settimeout(PATIENCE_SECONDS)
        place.write(READING)
        child = place.start(NOTIFY_SOCKET=str(place.root / "notify"), WATCHDOG_USEC="2000000")
        for _ in range(3):
            assert notices.recv(4096).decode().split("\n") == ["READY=1", "WATCHDOG=1", "STATUS=Reading"]
        assert place.shown()
        child.terminate()
        while (last := notices.recv(4096).decode()).startswith("READY=1"):
            pass
        assert last.split("\n") == ["STOPPING=1", "EXTEND_TIMEOUT_USEC=30000000"]


def test_it_starts_light_and_costs_nothing_while_nothing_happens(place: Place) -> None:
    place.write(DONE)
    child = psutil.Process(place.start(GHOSTROLL_PANEL="auto").pid)
    place.wait_for(place.shown)
    time.sleep(1)
    before = child.cpu_times()
    time.sleep(5)
    after = child.cpu_times()
    assert sum(before[:2]) < 1.0, "CPU seconds to start"
    assert sum(after[:2]) - sum(before[:2]) < 0.02
    assert child.memory_info().rss < 60_000_000
    assert not any("numpy" in part.path for part in child.memory_maps())
