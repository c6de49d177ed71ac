"""The button and its lamp, on GPIO lines by gpiozero and lgpio; what it means is in `gestures`."""

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from ghostroll.base.config import Settings
from ghostroll.base.log import logger
from ghostroll_display.gestures import Gesture, Recogniser, Stage

# The lamp blinks twice where letting go would sign anew, four times where it would shut down.
_BLINKS = {"sign-anew": 2, "power-off": 4}
_BLINK_SECONDS = 0.1


class Button:
    """A contact between a line and ground. `wake` is called, in another thread, whenever it changes.

    `pins` is gpiozero's pin factory. Raises whatever that does where the line cannot be had.
    """

    def __init__(
        self,
        pins: Any,
        line: int,
        lamp_line: int | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        from gpiozero import LED, DigitalInputDevice  # noqa: PLC0415 - only where there is a GPIO chip

        self._clock = clock
        self._edges: SimpleQueue[tuple[bool, float]] = SimpleQueue()
        self.wake: Callable[[], None] = lambda: None
        # Not gpiozero's Button, whose thread looks ten times a second whether it is held (HoldThread in mixins.py), nor
        # its bounce_time, which differs from back end to back end.
        self._contact = DigitalInputDevice(line, pull_up=True, pin_factory=pins)
        try:
            self._lamp = None if lamp_line is None else LED(lamp_line, pin_factory=pins)
        except BaseException:
            self._contact.close()
            raise
        is_down = bool(self._contact.is_active)
        self._recogniser = Recogniser(is_down=is_down, now=clock())
        if is_down:
            logger.warning("The button at GPIO %d is down already: it is ignored until it is let go.", line)
        self._contact.when_activated = lambda: self._see(is_down=True)
        self._contact.when_deactivated = lambda: self._see(is_down=False)

    def _see(self, *, is_down: bool) -> None:
        self._edges.put((is_down, self._clock()))
        self.wake()

    @property
    def has_lamp(self) -> bool:
        """Whether a press can be acknowledged without the panel."""
        return self._lamp is not None

    def gestures(self) -> Iterator[Gesture]:
        """Yield what has come about since the last call, and let the lamp say so."""
        for gesture in self._recognised():
            if gesture.stage is Stage.STUCK:
                logger.warning("The button has been down for a minute: it is ignored until it is let go.")
            self._blink(gesture)
            yield gesture

    def _recognised(self) -> Iterator[Gesture]:
        with contextlib.suppress(Empty):
            while True:
                is_down, at = self._edges.get_nowait()
                yield from self._recogniser.see(is_down=is_down, at=at)
        yield from self._recogniser.until(self._clock())

    def _blink(self, gesture: Gesture) -> None:
        if self._lamp is None:
            return
        if gesture.stage is Stage.WOULD:
            self._lamp.blink(_BLINK_SECONDS, _BLINK_SECONDS, n=_BLINKS[gesture.wish])
        elif gesture.stage is Stage.STUCK:
            self._lamp.off()
        else:
            self._lamp.on()

    def dark(self) -> None:
        """Switch the lamp off: what was asked for is answered."""
        if self._lamp is not None:
            self._lamp.off()

    def seconds_to_wait(self) -> float | None:
        """Return when `gestures` may have something without another edge."""
        return self._recogniser.seconds_to_wait(self._clock()) if self._edges.empty() else 0.0

    def close(self) -> None:
        """Give the lines back."""
        self._contact.close()
        if self._lamp is not None:
            self._lamp.close()


def open_button(settings: Settings, devices: Path = Path("/dev")) -> Button | None:
    """Return the button that the settings name, or None, which is said once: everything else works without it."""
    chips = "gpiochip*" if settings.gpio_chip is None else f"gpiochip{settings.gpio_chip}"
    if not any(devices.glob(chips)):
        logger.info("No button: this machine has no %s.", devices / chips)
        return None
    # lgpio makes its files in the working directory, unless it is told where, and dies where it may not.
    os.environ.setdefault("LG_WD", tempfile.gettempdir())
    try:
        from gpiozero.pins.lgpio import LGPIOFactory  # noqa: PLC0415 - only where there is a GPIO chip

        button = Button(LGPIOFactory(chip=settings.gpio_chip), settings.button_gpio, settings.led_gpio)
    except ImportError as error:
        logger.warning("No button: %s is not installed.", error.name or "gpiozero")
    except Exception as error:  # noqa: BLE001 - of gpiozero, of lgpio, of the kernel: the panel works all the same
        logger.warning("No button: GPIO %d cannot be used (%s).", settings.button_gpio, error)
    else:
        logger.info("The button is at GPIO %d.", settings.button_gpio)
        return button
    return None
