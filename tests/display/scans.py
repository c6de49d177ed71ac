"""How often the code of a frame is read from a photo of it: for the tests, and for the table in docs/panel.md."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ghostroll_display import codes, frame
from ghostroll_display.models import MODELS, PanelModel
from ghostroll_display.view import view
from tests.display import phone, scenes

# One of each size, in its richest palette.
PANELS = (
    "phat-red",
    "phatjd79661",
    "what-red",
    "impressions",
    "7colour",
    "spectra40",
    "spectra73",
    "spectra13",
)


@dataclass(frozen=True)
class Shown:
    """A frame with a code: the link that the session has, and what is shown of it."""

    model: PanelModel
    link: str
    code: codes.Code
    image: Image.Image


@dataclass(frozen=True)
class Rate:
    """How many of the photos each decoder read."""

    photos: int
    zxing: int
    zbar: int


def shown(panel: str, link: str) -> Shown:
    """Draw the frame of a session with that link."""
    model = MODELS[panel]
    status = scenes.shared(url=scenes.LINKS[link])
    code = frame.code_for(view(status), model)
    assert code is not None
    return Shown(model, link, code, frame.draw(status, model, now=scenes.NOW, load=scenes.thumbnail))


def distinct() -> list[tuple[str, str]]:
    """Return the panel and the link of every code that differs: where the short link is shown for all, it is one."""
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for panel in PANELS:
        for link in scenes.LINKS:
            code = frame.code_for(view(scenes.shared(url=scenes.LINKS[link])), MODELS[panel])
            if code:
                found.setdefault((panel, code.text), (panel, link))
    return list(found.values())


def rate(seen: Shown, conditions: phone.Conditions, photos: int) -> Rate:
    """Take photos of a frame and count what is read of them."""
    side = seen.code.side_px
    taken = [phone.photo(seen.image, seen.model.dpi, side, conditions, seed) for seed in range(photos)]
    by_zxing = [phone.read_by_zxing(photo) for photo in taken]
    with tempfile.TemporaryDirectory() as directory:
        by_zbar = phone.read_by_zbar(taken, Path(directory))
    return Rate(photos, by_zxing.count(seen.code.text), by_zbar.count(seen.code.text))
