"""The button, pressed by gpiozero's own mock of the pins: what it asks for, and what is shown."""

import json
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest
from gpiozero.pins.mock import MockFactory, MockPin
from PIL import Image

from ghostroll.appliance.helper_requests import HelperRequests
from ghostroll.base import config
from ghostroll.base.config import Settings
from ghostroll.status.model import CardState, CardStatus, Problem, State, Status
from ghostroll_display import frame, texts
from ghostroll_display.asking import UNHEARD_SECONDS, acknowledgement, no_card, unheard
from ghostroll_display.button import Button, open_button
from ghostroll_display.gestures import Gesture, Stage, Wish
from ghostroll_display.models import MODELS, PanelModel
from ghostroll_display.service import Display, follow
from tests.display import phone, scenes

LINE, LAMP = 5, 13
DOWN = Gesture(Stage.DOWN)
EJECT, SIGN, POWER_OFF = (Gesture(Stage.IS, wish) for wish in Wish)
WOULD_SIGN, WOULD_POWER_OFF = Gesture(Stage.WOULD, Wish.SIGN_ANEW), Gesture(Stage.WOULD, Wish.POWER_OFF)
STUCK = Gesture(Stage.STUCK)
LINK, FRESH_LINK = "https://store.example/abcdef", "https://store.example/fedcba"


class HeldDown(MockPin):
    """A pin that the button pulls low against its pull-up."""

    def _set_pull(self, value: str) -> None:
        super()._set_pull(value)
        self._change_state(False)


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Finger:
    """Who presses the button."""

    clock: Clock = field(default_factory=Clock)
    pins: MockFactory = field(default_factory=MockFactory)

    def push(self) -> None:
        self.pins.pin(LINE).drive_low()

    def let_go(self) -> None:
        self.pins.pin(LINE).drive_high()

    def press(self, seconds: float) -> None:
        self.push()
        self.clock.now += seconds
        self.let_go()
        self.clock.now += 0.1

    def bounce(self, *, ends_down: bool) -> None:
        for _ in range(5):
            for act in (self.push, self.let_go):
                act()
                self.clock.now += 0.002
        if ends_down:
            self.push()


@pytest.fixture
def finger() -> Iterator[Finger]:
    made = Finger()
    yield made
    made.pins.reset()


@pytest.fixture
def button(finger: Finger) -> Iterator[Button]:
    made = Button(finger.pins, LINE, LAMP, clock=finger.clock)
    yield made
    made.close()


# What a press means


@pytest.mark.parametrize(
    ("seconds", "gestures"),
    [
        (0.05, [DOWN, EJECT]),
        (2.9, [DOWN, EJECT]),
        (3.1, [DOWN, WOULD_SIGN, SIGN]),
        (7.9, [DOWN, WOULD_SIGN, SIGN]),
        (8.1, [DOWN, WOULD_SIGN, WOULD_POWER_OFF, POWER_OFF]),
        (59.0, [DOWN, WOULD_SIGN, WOULD_POWER_OFF, POWER_OFF]),
        (61.0, [DOWN, WOULD_SIGN, WOULD_POWER_OFF, STUCK]),
    ],
)
def test_how_long_it_was_held_says_what_is_wanted(
    finger: Finger, button: Button, seconds: float, gestures: list[Gesture]
) -> None:
    finger.press(seconds)
    assert list(button.gestures()) == gestures
    finger.clock.now += 100
    assert list(button.gestures()) == []


def test_what_letting_go_would_do_is_told_while_it_is_held(finger: Finger, button: Button) -> None:
    finger.push()
    told = []
    for _ in range(7000):
        finger.clock.now += 0.01
        told += [(round(finger.clock.now - 1000, 1), gesture) for gesture in button.gestures()]
    assert told == [(0.0, DOWN), (3.0, WOULD_SIGN), (8.0, WOULD_POWER_OFF), (60.0, STUCK)]


def test_it_says_when_to_look_again(finger: Finger, button: Button) -> None:
    assert button.seconds_to_wait() is None
    finger.push()
    told = []
    while (pause := button.seconds_to_wait()) is not None:
        finger.clock.now += pause + 1e-6
        told += list(button.gestures())
    assert told == [DOWN, WOULD_SIGN, WOULD_POWER_OFF, STUCK]


def test_every_change_wakes_the_display(finger: Finger, button: Button) -> None:
    woken: list[bool] = []
    button.wake = lambda: woken.append(True)
    finger.press(1)
    assert len(woken) == 2


def test_a_contact_that_bounces_is_pressed_once(finger: Finger, button: Button) -> None:
    finger.bounce(ends_down=True)
    finger.clock.now += 1
    finger.bounce(ends_down=False)
    finger.clock.now += 1
    assert list(button.gestures()) == [DOWN, EJECT]


def test_crackle_alone_is_no_press(finger: Finger, button: Button) -> None:
    for _ in range(50):
        finger.bounce(ends_down=False)
        finger.clock.now += 0.2
    assert list(button.gestures()) == []


def test_ten_presses_that_were_not_looked_at_are_ten(finger: Finger, button: Button) -> None:
    for _ in range(10):
        finger.press(0.2)
    assert list(button.gestures()) == [DOWN, EJECT] * 10


def test_a_line_that_is_stuck_asks_for_nothing_until_it_is_let_go(
    finger: Finger, button: Button, caplog: pytest.LogCaptureFixture
) -> None:
    finger.push()
    for _ in range(24 * 60):
        finger.clock.now += 60
        assert not [gesture for gesture in button.gestures() if gesture.stage is Stage.IS]
    assert [line for line in caplog.messages if "down for a minute" in line] == [caplog.messages[-1]]
    finger.let_go()
    finger.clock.now += 1
    assert list(button.gestures()) == []
    finger.press(0.3)
    assert list(button.gestures()) == [DOWN, EJECT]


def test_a_button_that_is_down_at_the_start_is_ignored_until_it_is_let_go(
    finger: Finger, caplog: pytest.LogCaptureFixture
) -> None:
    finger.pins.pin(LINE, pin_class=HeldDown)
    button = Button(finger.pins, LINE, clock=finger.clock)
    for _ in range(100):
        finger.clock.now += 10
        assert list(button.gestures()) == []
    assert "down already" in caplog.text
    finger.let_go()
    finger.clock.now += 1
    assert list(button.gestures()) == []
    finger.press(3.5)
    assert list(button.gestures()) == [DOWN, WOULD_SIGN, SIGN]
    button.close()


def test_the_lamp_is_lit_from_the_press_until_it_is_answered(finger: Finger, button: Button) -> None:
    lamp = finger.pins.pin(LAMP)
    assert not lamp.state
    finger.press(0.2)
    list(button.gestures())
    assert lamp.state
    button.dark()
    assert not lamp.state


def test_it_costs_nothing_while_nobody_presses_it(finger: Finger) -> None:
    before = threading.active_count()
    button = Button(finger.pins, LINE, clock=finger.clock)
    assert threading.active_count() == before, "gpiozero's own Button has a thread that never sleeps for long"
    button.close()


# No button


def settings(root: Path, **more: Any) -> Settings:
    return config.load({"base_dir": str(root), "panel": "png", **more}, {}, os.devnull).settings


def test_without_a_chip_it_says_so_and_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert open_button(settings(tmp_path), tmp_path) is None
    assert open_button(settings(tmp_path, gpio_chip="4"), tmp_path) is None
    assert caplog.messages == [
        f"No button: this machine has no {tmp_path}/gpiochip*.",
        f"No button: this machine has no {tmp_path}/gpiochip4.",
    ]


def test_without_the_library_or_the_right_to_the_chip_it_says_so_and_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LG_WD", str(tmp_path))
    (tmp_path / "gpiochip0").touch()
    assert open_button(settings(tmp_path), tmp_path) is None
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("No button: ")


# What is asked for, and what is shown


def record(state: State = State.IDLE, card: CardState = CardState.NONE, **fields: Any) -> dict[str, Any]:
    return asdict(Status(state=state, card=CardStatus(state=card), **fields)) | {"runs": [], "updated_at": "1"}


SHARED = record(
    State.DONE, CardState.SAFE, url=LINK, receipt="ABCDEF", session_id="S1", expires_at="2100-01-01T00:00:00Z"
)


@dataclass
class Panel:
    """A panel that takes its time: what it was shown last, in the display's own thread."""

    model: PanelModel

    def show(self, image: Image.Image) -> None:
        """Show it."""


class Bench:
    """A display with a button, on an appliance whose helpers are the test."""

    def __init__(self, root: Path, finger: Finger, button: Button, *, is_appliance: bool = True) -> None:
        self.root, self.finger = root, finger
        if is_appliance:
            (root / "requests").mkdir()
        self.display = Display(settings(root), None)
        self.display.button = button
        self.display._asking.clock = finger.clock

    def tell(self, told: dict[str, Any]) -> None:
        (self.root / "status.json").write_text(json.dumps(told))

    def look(self) -> bytes:
        """Let the display take a turn, and return its picture."""
        self.display.hear()
        self.display.show()
        with Image.open(self.root / "status.png") as image:
            return image.convert("L").tobytes()

    @property
    def answer(self) -> str | None:
        self.look()
        screen = self.display._answer
        return screen.heading if screen else None

    def link(self) -> str | None:
        self.look()
        with Image.open(self.root / "status.png") as image:
            return phone.read_by_zxing(image.convert("L"))

    def requests(self) -> set[str]:
        return {path.name for path in (*self.root.glob("requests/*"), *self.root.glob("sign-anew"))}


@pytest.fixture
def bench(tmp_path: Path, finger: Finger, button: Button) -> Bench:
    return Bench(tmp_path, finger, button)


def test_a_press_asks_for_the_card_and_is_answered_before_anybody_acts(bench: Bench) -> None:
    bench.tell(SHARED)
    before = bench.look()
    assert bench.link() == LINK
    bench.finger.press(0.3)
    assert bench.answer == texts.RELEASING
    assert bench.requests() == {"eject"}
    assert bench.link() is None, "the answer has a screen of its own, and is not drawn over the code"
    bench.tell(SHARED | {"card": asdict(CardStatus(state=CardState.EJECTED))})
    assert bench.answer is None
    assert bench.link() == LINK
    assert bench.look() != before


def test_while_the_card_is_read_the_answer_says_to_wait(bench: Bench) -> None:
    bench.tell(record(State.RUNNING, CardState.READING))
    bench.look()
    bench.finger.press(0.3)
    assert bench.answer == texts.RELEASING
    assert bench.display._answer is not None
    assert bench.display._answer.lines == (texts.RELEASING_WHILE_READ,)


@pytest.mark.parametrize("card", [CardState.NONE, CardState.REMOVED])
def test_a_press_without_a_card_is_answered_and_yet_passed_on(bench: Bench, card: CardState) -> None:
    bench.tell(record(card=card))
    bench.look()
    bench.finger.press(0.3)
    assert bench.answer == texts.NO_CARD
    assert bench.requests() == {"eject"}
    bench.finger.clock.now += 25
    assert bench.answer is None


def test_held_for_three_seconds_it_asks_for_a_fresh_link_when_it_is_let_go(bench: Bench) -> None:
    bench.tell(SHARED)
    bench.look()
    bench.finger.push()
    bench.finger.clock.now += 3.1
    assert bench.answer == texts.SIGNING
    held = bench.look()
    assert bench.requests() == set()
    bench.finger.let_go()
    bench.finger.clock.now += 0.1
    assert bench.look() == held, "nothing new for a panel to refresh"
    assert bench.requests() == {"sign-anew"}
    assert HelperRequests(bench.root).consume_signing_request(), "as `ghostroll watch` does"
    bench.finger.clock.now += UNHEARD_SECONDS + 1
    bench.tell(SHARED | {"state": "running", "updated_at": "2"})
    assert bench.answer == texts.SIGNING, "the earlier link, while the new one is made, is no outcome"
    bench.tell(SHARED | {"url": FRESH_LINK})
    assert bench.answer is None
    assert bench.link() == FRESH_LINK


def test_why_there_is_no_fresh_link_is_said_before_the_earlier_one_is_shown_again(bench: Bench) -> None:
    bench.tell(SHARED)
    bench.look()
    bench.finger.press(4)
    assert bench.answer == texts.SIGNING
    HelperRequests(bench.root).consume_signing_request()
    refused = record(url=LINK, expires_at="2100-01-01T00:00:00Z", error=Problem(75, "The store is away.", "Wait."))
    bench.tell(refused)
    assert bench.answer == texts.NOT_SIGNED
    assert bench.display._answer is not None
    assert bench.display._answer.lines == ("The store is away.", "Wait.")
    bench.finger.clock.now += 25
    assert bench.answer is None
    assert bench.link() == LINK
    bench.finger.press(4)
    assert bench.answer == texts.SIGNING, "the earlier refusal is none of this one"
    bench.tell(refused | {"updated_at": "2"})
    assert bench.answer == texts.NOT_SIGNED


def test_why_there_is_no_fresh_link_is_said_with_a_card_in_the_reader_too(bench: Bench) -> None:
    bench.tell(SHARED)
    bench.look()
    bench.finger.press(4)
    assert bench.answer == texts.SIGNING
    HelperRequests(bench.root).consume_signing_request()
    refused = record(url=LINK, error=Problem(75, "The store is away.", "Wait."))
    bench.tell(SHARED | {"runs": [SHARED, refused]})
    assert bench.answer == texts.NOT_SIGNED
    bench.finger.clock.now += 25
    assert bench.answer is None
    assert bench.link() == LINK


def test_an_earlier_refusal_is_not_said_again_when_the_link_is_there(bench: Bench) -> None:
    refused = record(url=LINK, error=Problem(75, "The store is away.", "Wait."))
    bench.tell(SHARED | {"runs": [SHARED, refused]})
    bench.look()
    bench.finger.press(4)
    assert bench.answer == texts.SIGNING
    HelperRequests(bench.root).consume_signing_request()
    bench.tell(SHARED | {"url": FRESH_LINK, "runs": [SHARED | {"url": FRESH_LINK}, refused]})
    assert bench.answer is None
    assert bench.link() == FRESH_LINK


def test_held_for_eight_seconds_it_asks_for_the_shut_down_when_it_is_let_go(bench: Bench) -> None:
    bench.tell(SHARED)
    bench.look()
    bench.finger.push()
    bench.finger.clock.now += 8.1
    assert bench.answer == texts.SHUTTING_DOWN
    assert bench.requests() == set()
    bench.finger.let_go()
    bench.finger.clock.now += 0.1
    assert bench.answer == texts.SHUTTING_DOWN
    assert bench.requests() == {"power-off"}
    (bench.root / "requests/power-off").unlink()
    bench.finger.clock.now += 60
    assert bench.answer == texts.SHUTTING_DOWN


@pytest.mark.parametrize(("seconds", "wish"), [(0.3, Wish.EJECT), (4.0, Wish.SIGN_ANEW), (9.0, Wish.POWER_OFF)])
def test_what_nobody_hears_is_taken_back_and_said(bench: Bench, seconds: float, wish: Wish) -> None:
    bench.tell(SHARED)
    bench.look()
    bench.finger.press(seconds)
    bench.look()
    assert len(bench.requests()) == 1
    bench.finger.clock.now += UNHEARD_SECONDS + 1
    assert bench.answer == texts.UNHEARD[wish][0]
    assert bench.requests() == set()
    bench.finger.clock.now += 25
    assert bench.answer is None


@pytest.mark.parametrize(("seconds", "wish"), [(0.3, Wish.EJECT), (9.0, Wish.POWER_OFF)])
def test_off_the_appliance_what_is_not_there_is_said_at_once(
    tmp_path: Path, finger: Finger, button: Button, seconds: float, wish: Wish
) -> None:
    bench = Bench(tmp_path, finger, button, is_appliance=False)
    bench.tell(SHARED)
    bench.look()
    finger.press(seconds)
    assert bench.answer == texts.UNHEARD[wish][0]
    assert bench.requests() == set()


def test_a_link_in_the_place_of_a_request_is_not_followed(bench: Bench) -> None:
    precious = bench.root / "precious"
    (bench.root / "sign-anew").symlink_to(precious)
    (bench.root / "requests/eject").symlink_to(precious)
    bench.tell(SHARED)
    bench.look()
    for seconds, wish in ((0.3, Wish.EJECT), (4.0, Wish.SIGN_ANEW)):
        bench.finger.press(seconds)
        assert bench.answer == texts.UNHEARD[wish][0]
    assert not precious.exists()


def test_ten_presses_in_a_row_are_one_request(bench: Bench) -> None:
    bench.tell(SHARED)
    bench.look()
    for _ in range(10):
        bench.finger.press(0.3)
    assert bench.answer == texts.RELEASING
    assert bench.requests() == {"eject"}


def test_a_stuck_button_leaves_the_panel_alone(bench: Bench) -> None:
    bench.tell(SHARED)
    usual = bench.look()
    bench.finger.push()
    bench.finger.clock.now += 61
    assert bench.look() == usual
    bench.finger.clock.now += 600
    assert bench.look() == usual
    assert bench.requests() == set()


def test_the_running_display_hears_the_button_and_answers(tmp_path: Path, finger: Finger) -> None:
    (tmp_path / "requests").mkdir()
    (tmp_path / "status.json").write_text(json.dumps(SHARED))
    pushed = Button(finger.pins, LINE)
    display = Display(settings(tmp_path), None)
    picture, request = tmp_path / "status.png", tmp_path / "requests/eject"
    seen: list[object] = []

    def wait_for(truth: Callable[[], object]) -> None:
        end = time.monotonic() + 60
        while not truth() and time.monotonic() < end:
            time.sleep(0.02)

    def use() -> None:
        wait_for(picture.exists)
        before = picture.read_bytes()
        finger.push()
        time.sleep(0.2)
        finger.let_go()
        wait_for(request.exists)
        wait_for(lambda: picture.read_bytes() != before)
        seen.extend((request.exists(), picture.read_bytes() != before))
        os.kill(os.getpid(), signal.SIGTERM)

    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    owner = threading.Thread(target=use)
    try:
        owner.start()
        follow(display, settings(tmp_path), pushed)
    finally:
        owner.join()
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert seen == [True, True]


# Panels


class Wanted:
    """Stands for the panel's thread: what it was asked to show."""

    def __init__(self) -> None:
        self.images: list[bytes] = []
        self.answers: list[object] = []

    def is_alive(self) -> bool:
        return True

    def want(self, image: Image.Image, _: dict[str, Any], answer: object = None) -> None:
        self.images.append(image.tobytes())
        self.answers.append(answer)


@pytest.mark.parametrize(
    ("panel", "lamp", "is_acknowledged"),
    [("phatssd1608-black", LAMP, True), ("spectra73", LAMP, False), ("spectra73", None, True)],
)
def test_a_slow_panel_leaves_the_acknowledgement_to_the_lamp_and_shows_what_came_of_it(
    tmp_path: Path, finger: Finger, panel: str, lamp: int | None, is_acknowledged: bool
) -> None:
    button = Button(finger.pins, LINE, lamp, clock=finger.clock)
    (tmp_path / "requests").mkdir()
    display = Display(settings(tmp_path, panel=panel), Panel(MODELS[panel]))
    wanted = Wanted()
    display._refresher = wanted  # type: ignore[assignment]
    display.button = button
    display._asking.clock = finger.clock
    (tmp_path / "status.json").write_text(json.dumps(SHARED))
    display.show()
    finger.press(0.3)
    display.hear()
    display.show()
    assert (wanted.images[1] != wanted.images[0]) == is_acknowledged
    assert (wanted.answers[1] is not None) == is_acknowledged
    finger.clock.now += UNHEARD_SECONDS + 1
    display.show()
    assert wanted.answers[2] is not None
    assert wanted.images[2] != wanted.images[0]
    button.close()


@pytest.mark.parametrize("panel", MODELS)
def test_every_answer_fits_every_panel(panel: str) -> None:
    model = MODELS[panel]
    screens = {acknowledgement(wish, told) for wish in Wish for told in (SHARED, record(card=CardState.READING))}
    screens |= {no_card(), *map(unheard, Wish)}
    for screen in screens:
        image = frame.draw(scenes.SCENES["shared"], model, now=scenes.NOW, answer=screen)
        ink = image.point(lambda index: 0 if index == model.colours.index("white") else 255, "L")
        ink.paste(0, (3, 3, model.size[0] - 3, model.size[1] - 3))
        assert ink.getbbox() is None
