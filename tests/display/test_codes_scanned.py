import shutil
from pathlib import Path

import pytest

from ghostroll_display import frame
from ghostroll_display.models import MODELS
from tests.display import phone, scans, scenes

needs_zbar = pytest.mark.skipif(not shutil.which("zbarimg"), reason="zbarimg is not installed (zbar-tools)")
WITH_CODE = ("insert_after_share", "shared", "shared_short", "nothing_new")
PHOTOS = 20


@needs_zbar
@pytest.mark.parametrize("panel", MODELS)
def test_the_code_of_every_frame_is_read_straight_by_both_decoders(panel: str, tmp_path: Path) -> None:
    model = MODELS[panel]
    images = [frame.draw(scenes.SCENES[name], model, now=scenes.NOW, load=scenes.thumbnail) for name in WITH_CODE]
    greys = [image.convert("RGB").convert("L") for image in images]
    by_zxing = [phone.read_by_zxing(image) for image in greys]
    allowed = {name: {scenes.SCENES[name]["url"], scenes.SCENES[name]["short_url"]} for name in WITH_CODE}
    assert all(text in allowed[name] for name, text in zip(WITH_CODE, by_zxing, strict=True))
    assert phone.read_by_zbar(greys, tmp_path) == by_zxing


@needs_zbar
@pytest.mark.parametrize(("panel", "link"), scans.distinct())
def test_nineteen_of_twenty_photos_taken_as_usual_are_read(panel: str, link: str) -> None:
    read = scans.rate(scans.shown(panel, link), phone.TYPICAL, PHOTOS)
    assert read.zxing >= 0.95 * read.photos


def test_a_photo_of_a_frame_without_a_code_reads_nothing() -> None:
    model = MODELS["spectra73"]
    image = frame.draw(scenes.SCENES["error"], model, now=scenes.NOW)
    assert phone.read_by_zxing(phone.photo(image, model.dpi, 400, phone.TYPICAL, 1)) is None
