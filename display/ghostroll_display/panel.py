"""What shows a frame: an e-ink panel, and the picture `status.png`, which is always there."""

import io
from pathlib import Path
from typing import Protocol

from PIL import Image

from ghostroll.base import durable
from ghostroll.base.config import Settings
from ghostroll.base.errors import ConfigurationError
from ghostroll.base.log import logger
from ghostroll_display.errors import NoBus, PanelFailed, PictureFailed
from ghostroll_display.models import MODELS, PanelModel

# The kernel's name of the bus with the panels' EEPROM (Inky reads bus 1 and no other).
_I2C_BUS = Path("/dev/i2c-1")


class Panel(Protocol):
    """Where a frame is shown."""

    @property
    def model(self) -> PanelModel:
        """Size, colours and times."""

    def show(self, image: Image.Image) -> None:
        """Show a picture of mode "P" in the model's palette; return when it stands there. Raises PanelFailed."""


class PngPanel:
    """The picture at `path`, replaced as a whole and only by another one."""

    def __init__(self, model: PanelModel, path: Path) -> None:
        self.model = model
        self._path = path
        self._written = b""

    def show(self, image: Image.Image) -> None:
        """Write the picture; raises PictureFailed."""
        picture = io.BytesIO()
        image.save(picture, "PNG")
        content = picture.getvalue()
        try:
            if content == self._written and self._path.exists():
                return
            self._path.parent.mkdir(parents=True, exist_ok=True)
            durable.write_unflushed(self._path, content)
        except OSError as error:
            raise PictureFailed(f"The picture {self._path} cannot be written: {error.strerror}.") from error
        self._written = content


def open_panel(settings: Settings, i2c_bus: Path = _I2C_BUS) -> Panel | None:
    """Return the e-ink panel that the settings name or that is found, or None: then there is the picture alone.

    Raises ConfigurationError for a panel that does not exist.
    """
    if settings.panel in ("png", "none"):
        return None
    if settings.panel != "auto":
        from ghostroll_display import inky_panel  # noqa: PLC0415 - only where a panel is wanted

        return inky_panel.InkyPanel(_named(settings.panel))
    try:
        return look_for_panel(i2c_bus)
    except NoBus as error:
        logger.info("No panel is looked for: %s The picture is written all the same.", error)
    except PanelFailed as error:
        logger.warning("No panel was found: %s The picture is written all the same.", error)
    return None


def look_for_panel(i2c_bus: Path = _I2C_BUS) -> Panel:
    """Return the e-ink panel that is there, as its EEPROM says; raises PanelFailed."""
    from ghostroll_display import inky_panel  # noqa: PLC0415 - only where a panel is wanted

    if not i2c_bus.exists():
        raise NoBus(f"There is no {i2c_bus}.")
    model = inky_panel.find()
    logger.info("The panel is %s, %d x %d pixels.", model.name, *model.size)
    return inky_panel.InkyPanel(model)


def _named(name: str) -> PanelModel:
    if name not in MODELS:
        raise ConfigurationError(f"panel = {name!r}: there is auto, png, none, {', '.join(MODELS)}.")
    return MODELS[name]
