"""Inky's own drivers, run for real: what reaches the bus is the frame, pixel by pixel."""

import random
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
from gpiod.line import Value
from inky.auto import auto
from inky.eeprom import EPDType
from PIL import Image

from ghostroll_display import inky_drivers
from ghostroll_display.inky_drivers import DRIVERS
from ghostroll_display.models import MODELS, PanelModel
from tests.display.buses import BUSY_IS_HIGH, Connections, shown

# A variant of the EEPROM, its colour, and the model that it is (inky/eeprom.py, DISPLAY_VARIANT).
VARIANTS = {
    1: ("red", "phat-red"),
    2: ("yellow", "what-yellow"),
    3: ("black", "what-black"),
    4: ("black", "phat-black"),
    5: ("yellow", "phat-yellow"),
    6: ("red", "what-red"),
    7: ("red", "what-red"),
    8: ("red", "what-red"),
    10: ("black", "phatssd1608-black"),
    11: ("red", "phatssd1608-red"),
    12: ("yellow", "phatssd1608-yellow"),
    14: ("7colour", "impressions"),
    15: ("7colour", "7colour"),
    16: ("7colour", "7colour"),
    17: ("black", "whatssd1683-black"),
    18: ("red", "whatssd1683-red"),
    19: ("yellow", "whatssd1683-yellow"),
    20: ("7colour", "impressions73"),
    21: ("spectra6", "spectra13"),
    22: ("spectra6", "spectra73"),
    23: ("red/yellow", "phatjd79661"),
    24: ("red/yellow", "whatjd79668"),
    25: ("spectra6", "spectra40"),
    26: ("spectra6", "spectra73"),
    27: ("spectra6", "spectra13"),
    28: ("red/yellow", "whatssd2683"),
}


def noise(model: PanelModel) -> Image.Image:
    """A frame that no turn, shift or exchange of colours leaves as it is."""
    values = random.Random(model.name).choices(range(len(model.colours)), k=model.size[0] * model.size[1])
    image = Image.frombytes("P", model.size, bytes(values))
    image.putpalette([part for colour in model.palette for part in colour])
    return image


def send(model: PanelModel) -> Connections:
    variant, (colour, _) = next((key, value) for key, value in VARIANTS.items() if value[1] == model.name)
    connections = Connections(
        DRIVERS[model.name].module in BUSY_IS_HIGH, variant=EPDType(*model.size, colour, 0, variant)
    )
    inky = inky_drivers.build(model, **connections.as_parameters())
    if model.name == "spectra13":  # its driver knows its select lines only from a GPIO chip that it opened itself
        inky.cs0_pin, inky.cs1_pin = inky.cs_pin_0, inky.cs_pin_1
    inky_drivers.send(inky, model, noise(model))
    return connections


@pytest.fixture(scope="module")
def sent() -> dict[str, Connections]:
    """What each model got. The drivers sleep a lot, so they do it together."""
    with ThreadPoolExecutor(len(MODELS)) as pool:
        return dict(zip(MODELS, pool.map(send, MODELS.values()), strict=True))


@pytest.mark.parametrize("name", MODELS)
def test_what_reaches_the_bus_decodes_to_the_frame(name: str, sent: dict[str, Connections]) -> None:
    model = MODELS[name]
    got = shown(model, sent[name])
    assert got.size == model.size
    assert got.tobytes() == noise(model).tobytes()


def test_every_model_has_a_driver_and_every_driver_a_model() -> None:
    assert set(DRIVERS) == set(MODELS)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_panel_is_known_by_its_eeprom(variant: int) -> None:
    colour, name = VARIANTS[variant]
    found = auto(i2c_bus=Connections(variant=EPDType(*MODELS[name].size, colour, 0, variant)))
    assert inky_drivers.name_of(found) == name


def test_a_picture_of_another_size_or_mode_is_refused() -> None:
    model = MODELS["what-red"]
    for picture in (Image.new("P", (300, 400)), Image.new("RGB", model.size)):
        with pytest.raises(ValueError, match="takes mode P"):
            inky_drivers.send(None, model, picture)


def test_a_refresh_whose_end_never_comes_is_an_error_and_short_waits_are_none() -> None:
    model = MODELS["impressions"]
    inky = inky_drivers.build(model, **Connections(stuck_at=Value.INACTIVE).as_parameters())
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        inky_drivers.heed_long_waits()
        with pytest.raises(UserWarning, match=r"Timed out after 32\.00s"):
            inky_drivers.send(inky, model, noise(model))
    assert [str(warning.message) for warning in told] == [
        "Busy Wait: Timed out after 1.00s",
        "Busy Wait: Timed out after 0.20s",
    ]
