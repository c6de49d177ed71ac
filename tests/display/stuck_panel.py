"""A panel whose busy line never lets go, behind the real driver, called as the display calls it: `show MODEL`."""

import io
import sys

from gpiod.line import Value
from PIL import Image

from ghostroll_display import inky_drivers
from ghostroll_display.models import MODELS
from tests.display.buses import Connections

if __name__ == "__main__":
    model = MODELS[sys.argv[2]]
    inky = inky_drivers.build(model, **Connections(stuck_at=Value.ACTIVE).as_parameters())
    inky_drivers.send(inky, model, Image.open(io.BytesIO(sys.stdin.buffer.read())))
