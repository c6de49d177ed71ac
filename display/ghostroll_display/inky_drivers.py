"""Drives an Inky panel, in a process of its own: what hangs, exits or swells here costs one refresh.

python -m ghostroll_display.inky_drivers find          prints the model's name, as the panel's EEPROM has it
python -m ghostroll_display.inky_drivers show MODEL    shows the picture on stdin: PNG, indices of the palette
"""

import importlib
import io
import signal
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from ghostroll_display.models import MODELS, PanelModel

_COLOURS = ("black", "red", "yellow")
# A driver that waited this long for the end of a refresh in vain only warns. Short waits may end without a signal.
_WAITED_IN_VAIN = r".*Timed out .*after \d\d+\."


@dataclass(frozen=True)
class Driver:
    """Which of Inky's modules drives a model, and how it is told.

    `settle_seconds`: how long the refresh goes on after the driver has returned. A panel that loses its power
    meanwhile keeps half a picture.
    """

    module: str
    colour: str = "multi"
    settle_seconds: float = 0.0


# These return while the panel still flashes (their busy line is not read); vendors name 15 to 25 s.
_FLASHES_ON_SECONDS = 30.0

DRIVERS: dict[str, Driver] = {
    **{f"{kind}-{colour}": Driver("inky", colour) for kind in ("phat", "what") for colour in _COLOURS},
    **{
        f"{kind}{chip}-{colour}": Driver(f"inky_{chip}", colour, _FLASHES_ON_SECONDS)
        for kind, chip in (("phat", "ssd1608"), ("what", "ssd1683"))
        for colour in _COLOURS
    },
    "phatjd79661": Driver("inky_jd79661", "red/yellow"),
    "whatjd79668": Driver("inky_jd79668", "red/yellow"),
    "whatssd2683": Driver("inky_ssd2683", "red/yellow"),
    "impressions": Driver("inky_uc8159"),
    "7colour": Driver("inky_uc8159"),
    "impressions73": Driver("inky_ac073tc1a"),
    "spectra40": Driver("inky_e640"),
    "spectra73": Driver("inky_e673"),
    "spectra13": Driver("inky_el133uf1"),
}


def build(model: PanelModel, **connections: Any) -> Any:
    """Return Inky's driver for a model; `connections` are its spi_bus, i2c_bus and gpio, by default the machine's."""
    driver = DRIVERS[model.name]
    module = importlib.import_module(f"inky.{driver.module}")
    return module.Inky(resolution=model.size, colour=driver.colour, **connections)


def send(inky: Any, model: PanelModel, image: Image.Image) -> None:
    """Show a picture, index by index: Inky's own conversions dither, or fail with the Pillow of today."""
    if image.mode != "P" or image.size != model.size:
        raise ValueError(f"a picture of mode {image.mode}, {image.size}; {model.name} takes mode P, {model.size}")
    indices = Image.frombytes("P", image.size, image.tobytes())
    # Where a driver looks at the colours at all, it finds each index by the very colours that it has for them.
    colours = getattr(inky, "DESATURATED_PALETTE", ())[: len(model.colours)]
    indices.putpalette([part for colour in colours for part in colour] or [0, 0, 0] * len(model.colours))
    inky.set_image(indices)
    inky.show()


def name_of(inky: Any) -> str:
    """Return the name of the model that a driver drives, or what the driver is where it is none of them."""
    modules = [kind.__module__.rpartition(".")[2] for kind in type(inky).__mro__]
    for name, driver in DRIVERS.items():
        if driver.module in modules and driver.colour == inky.colour and MODELS[name].size == tuple(inky.resolution):
            return name
    return f"{modules[0]} {inky.resolution} {inky.colour}"


def heed_long_waits() -> None:
    """Make an error of what a driver says when it gave up waiting for the end of a refresh."""
    warnings.filterwarnings("error", message=_WAITED_IN_VAIN)


def main(arguments: Sequence[str]) -> None:
    """Do what the command line says. Any exception ends the process; the last line of stderr says why."""
    heed_long_waits()
    # Who stops the service stops all of it; half a refresh would stay on the panel. The deadline's SIGKILL counts.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    if arguments[0] == "find":
        sys.argv[1:] = []  # Inky reads the command line, too
        print(name_of(importlib.import_module("inky.auto").auto()))  # noqa: T201 - the answer
        return
    model = MODELS[arguments[1]]
    with Image.open(io.BytesIO(sys.stdin.buffer.read())) as image:
        send(build(model), model, image)
    time.sleep(DRIVERS[model.name].settle_seconds)


if __name__ == "__main__":
    main(sys.argv[1:])
