import subprocess
import sys
from datetime import timedelta, timezone
from typing import Any

import pytest
from PIL import Image, ImageChops

from ghostroll_display import frame
from ghostroll_display.models import MODELS, RGB, PanelModel, png_model
from tests.display import phone, scenes
from tests.display.scenes import GOLDEN, GOLDEN_PANELS

LONG = "Everything that could go wrong went wrong in /a/very/long/path/without/any/space/in/it/whatever.jpg; " * 9
HUGE = 10**12


def drawn(status: dict[str, Any], model: PanelModel) -> Image.Image:
    return frame.draw(status, model, now=scenes.NOW, load=scenes.thumbnail)


@pytest.mark.parametrize("scene", scenes.FRAMES)
@pytest.mark.parametrize("panel", GOLDEN_PANELS)
def test_every_screen_is_the_one_that_was_looked_at(panel: str, scene: str) -> None:
    golden = Image.open(GOLDEN / panel / f"{scene}.png")
    image = scenes.draw(scene, MODELS[panel])
    assert image.size == golden.size == MODELS[panel].size
    different = ImageChops.difference(image.convert("RGB"), golden.convert("RGB")).getbbox()
    assert different is None, "`make frames` writes the pictures anew; look at them, then commit them."


def test_there_is_no_golden_picture_without_a_screen() -> None:
    found = {path.relative_to(GOLDEN).as_posix() for path in GOLDEN.rglob("*.png")}
    assert found == {f"{panel}/{scene}.png" for panel in GOLDEN_PANELS for scene in scenes.FRAMES}


@pytest.mark.parametrize("panel", MODELS)
def test_a_frame_has_the_panels_size_and_its_palette_in_the_panels_order(panel: str) -> None:
    model = MODELS[panel]
    image = drawn(scenes.SCENES["shared"], model)
    assert (image.mode, image.size) == ("P", model.size)
    palette = image.getpalette()
    assert palette == [level for colour in model.colours for level in RGB[colour]]
    assert max(image.tobytes()) < len(model.colours)


def odd_records() -> dict[str, dict[str, Any]]:
    card = scenes.card("safe", label="W" * 90, reason=LONG, files=HUGE, saved=HUGE)
    counts = dict.fromkeys(scenes.SCENES["shared"]["counts"], HUGE)
    reading = scenes.SCENES["reading"] | {"card": card | {"state": "reading"}, "eta_seconds": HUGE}
    return {
        "error": scenes.record(state="error", card=card, error=scenes.error(1, LONG, LONG)),
        "reading": reading,
        "saved": scenes.SCENES["saved"] | {"card": card, "counts": counts, "eta_seconds": HUGE},
        "shared": scenes.shared(card=card, counts=counts),
        "nothing_new": scenes.SCENES["nothing_new"] | {"card": card},
        "finishing": scenes.SCENES["finishing"] | {"message": "i" * 5000},
        "rejected": scenes.record(card=card | {"state": "rejected"}),
        "foreign": scenes.record(state="error", error=scenes.error(1, "写真が読めません。é ü \u202e", "")),
        "two_cards": scenes.shared(runs=[scenes.SCENES["reading"], scenes.shared()]),
    }


@pytest.mark.parametrize("name", odd_records())
@pytest.mark.parametrize("panel", MODELS)
def test_nothing_is_drawn_over_the_edge_however_long_the_words(panel: str, name: str) -> None:
    model = MODELS[panel]
    image = drawn(odd_records()[name], model)
    inner = (3, 3, model.size[0] - 3, model.size[1] - 3)
    ink = image.point(lambda index: 0 if index == model.colours.index("white") else 255, "L")
    ink.paste(0, inner)
    assert ink.getbbox() is None


@pytest.mark.parametrize("panel", MODELS)
def test_long_words_leave_the_code_readable(panel: str) -> None:
    image = drawn(odd_records()["shared"], MODELS[panel])
    assert phone.read_by_zxing(image.convert("RGB").convert("L")) in (scenes.FULL_LINK, scenes.SHORT_LINK)


@pytest.mark.parametrize("scene", ["error", "error_card", "interrupted", "reading", "saved", "offline", "shared_ended"])
@pytest.mark.parametrize("panel", ["phat-black", "spectra13"])
def test_only_a_share_that_is_valid_has_a_code(panel: str, scene: str) -> None:
    status = scenes.SCENES[scene] | {"url": scenes.FULL_LINK, "short_url": scenes.SHORT_LINK}
    assert phone.read_by_zxing(drawn(status, MODELS[panel]).convert("L")) is None


def test_times_are_those_of_the_place_where_the_panel_stands() -> None:
    status, model = scenes.SCENES["shared"], MODELS["spectra73"]
    there = scenes.NOW.astimezone(timezone(timedelta(hours=9)))
    assert drawn(status, model).tobytes() != frame.draw(status, model, now=there, load=scenes.thumbnail).tobytes()


def test_a_frame_is_the_same_as_long_as_the_status_is() -> None:
    status, model = scenes.SCENES["shared"], MODELS["what-red"]
    later = frame.draw(status, model, now=scenes.NOW + timedelta(hours=5), load=scenes.thumbnail)
    assert drawn(status, model).tobytes() == later.tobytes()


def test_thumbnails_that_cannot_be_loaded_are_left_out() -> None:
    model = MODELS["spectra73"]
    without = frame.draw(scenes.SCENES["shared"], model, now=scenes.NOW)
    assert phone.read_by_zxing(without.convert("L")) == scenes.FULL_LINK
    colours = {model.colours[index] for index in set(without.tobytes())}
    assert colours == {"white", "black"}


@pytest.mark.parametrize("size", [(16, 16), (64, 300), (300, 64), (480, 800)])
@pytest.mark.parametrize("scene", ["shared", "saved", "error"])
def test_pictures_of_unusual_sizes_are_drawn(size: tuple[int, int], scene: str) -> None:
    assert drawn(scenes.SCENES[scene], png_model(size)).size == size


def test_drawing_needs_neither_numpy_nor_the_pipeline() -> None:
    program = (
        "import sys; from ghostroll_display import frame; "
        "print([name for name in ('numpy', 'inky', 'boto3', 'qrcode', 'ghostroll.pipeline') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
