"""Which link a panel has room for as a code, and why: told in the log, and to `ghostroll doctor`, which asks."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from PIL import Image

from ghostroll.base.config import Settings
from ghostroll_display import codes, frame
from ghostroll_display.models import MODELS, PanelModel, png_model
from ghostroll_display.screens import screen
from ghostroll_display.view import view

# What status.png measures where no panel says otherwise: the commonest one of 7.3 inches, in pixels.
DEFAULT_SIZE = (800, 480)


def told(status: Mapping[str, Any], model: PanelModel, now: datetime) -> str:
    """Say which code a status has on a panel, and why; "" where its screen has none anyway."""
    seen = view(status)
    return codes.reason(seen.url, frame.code_for(seen, model)) if screen(seen, now).shows_code else ""


def answer(url: str, short_url: str, model: PanelModel) -> dict[str, Any]:
    """Return which of two links a panel would show, and why."""
    code = frame.code_for(replace(view({}), url=url, short_url=short_url), model)
    return {
        "panel": model.name,
        "size": model.size,
        "form": code.form if code else None,
        "reason": codes.reason(url, code),
    }


def likely_model(settings: Settings) -> PanelModel:
    """Return the panel of the settings without touching it: one that is looked for is known by its picture."""
    if settings.panel in MODELS:
        return MODELS[settings.panel]
    drawn = _drawn_for(settings.status_image_path) if settings.panel == "auto" else None
    return drawn or png_model(settings.panel_size or DEFAULT_SIZE)


def _drawn_for(picture: Path) -> PanelModel | None:
    """Return the panel that a picture was drawn for, by its size and its palette; None where there is no picture."""
    try:
        with Image.open(picture) as image:
            size, palette = image.size, tuple(image.getpalette() or ())
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    known = (model for model in MODELS.values() if model.size == size and sum(model.palette, ()) == palette)
    return next(known, png_model(size))
