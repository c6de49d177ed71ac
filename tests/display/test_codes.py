import math

import pytest
import zxingcpp
from PIL import Image

from ghostroll.shortlink.records import ALPHABET, LENGTH
from ghostroll_display import choice, codes, frame
from ghostroll_display.codes import Code, LinkForm
from ghostroll_display.models import MODELS, PanelModel
from ghostroll_display.view import view
from tests.display import scenes

# A phone reads nothing smaller (GS1 General Specifications: 0.396 mm).
LEAST_MM = 0.396


def code_on(panel: str, **links: str | None) -> Code | None:
    return frame.code_for(view(scenes.shared(**links)), MODELS[panel])


def read(image: Image.Image) -> "zxingcpp.Barcode":
    (found,) = zxingcpp.read_barcodes(image.convert("L"))
    return found


@pytest.mark.parametrize("link", scenes.LINKS.values(), ids=scenes.LINKS)
@pytest.mark.parametrize("panel", MODELS)
def test_modules_are_whole_pixels_wide_enough_and_with_a_quiet_zone(panel: str, link: str) -> None:
    code = code_on(panel, url=link)
    assert code is not None
    model = MODELS[panel]
    assert code.module_px >= 3
    assert code.module_px * 25.4 / model.dpi >= LEAST_MM
    assert code.side_px <= min(model.size)
    image = code.image()
    inverted = image.convert("L").point(lambda level: 255 - level)
    quiet = code.quiet_modules * code.module_px
    assert code.quiet_modules >= 2
    assert inverted.getbbox() == (quiet, quiet, code.side_px - quiet, code.side_px - quiet)
    small = image.resize((code.side_px // code.module_px,) * 2, Image.Resampling.NEAREST)
    assert small.resize(image.size, Image.Resampling.NEAREST).tobytes() == image.tobytes()


@pytest.mark.parametrize("panel", MODELS)
def test_the_code_is_as_large_as_whole_pixels_allow(panel: str) -> None:
    model = MODELS[panel]
    code = code_on(panel, url=scenes.SHORT_LINK)
    assert code is not None
    room = min(model.size[1], math.floor(model.size[0] * 0.65))
    assert code.module_px == room // (code.modules + 2 * 2)


@pytest.mark.parametrize(
    ("panel", "forms"),
    {
        "phat-black": ("short", "short"),
        "phatssd1608-black": ("short", "short"),
        "what-black": ("full", "short"),
        "impressions": ("full", "full"),
        "7colour": ("full", "full"),
        "spectra40": ("full", "full"),
        "spectra73": ("full", "full"),
        "spectra13": ("full", "full"),
    }.items(),
)
def test_the_full_link_is_shown_where_it_fits_and_else_the_short_one(panel: str, forms: tuple[str, str]) -> None:
    shown = [code_on(panel, url=link) for link in (scenes.FULL_LINK, scenes.TOKEN_LINK)]
    assert tuple(code and code.form for code in shown) == forms
    for code, link in zip(shown, (scenes.FULL_LINK, scenes.TOKEN_LINK), strict=True):
        assert code is not None
        assert read(code.image()).text == (link if code.form is LinkForm.FULL else scenes.SHORT_LINK)


def test_there_is_no_code_where_neither_link_fits() -> None:
    assert code_on("phat-black", short_url=None) is None
    assert code_on("spectra13", url="https://example.com/" + "x" * 3000, short_url=None) is None


@pytest.mark.parametrize("length", range(20, 400, 19))
def test_repair_is_as_much_as_the_lowest_version_leaves_room_for(length: int) -> None:
    text = "https://example.com/" + "a?" * ((length - 20) // 2)
    code = codes.fitting(text, None, MODELS["spectra13"], 1000)
    assert code is not None
    # The standard's own capacities, as another encoder knows them.
    versions = {level: _version_by_zxing(text, level) for level in "LMQH"}
    assert code.version == versions["L"]
    assert code.level == max((level for level in "LMQH" if versions[level] == code.version), key="LMQH".index)
    found = read(code.image())
    assert (found.text, found.ec_level) == (text, code.level)


def _version_by_zxing(text: str, level: str) -> int:
    made = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode, ec_level=level)
    side = zxingcpp.write_barcode_to_image(made, scale=1, add_quiet_zones=False).shape[0]
    return (int(side) - 17) // 4


@pytest.mark.parametrize("panel", ["phat-black", "phatssd1608-red"])
def test_a_small_panel_s_frame_reads_as_the_short_link(panel: str) -> None:
    link = "http://192.168.178.254:8080/" + ALPHABET[-LENGTH:]
    status = scenes.shared(url=scenes.FULL_LINK, short_url=link)
    assert read(frame.draw(status, MODELS[panel], now=scenes.NOW)).text == link


@pytest.mark.parametrize(
    ("scene", "words"),
    [("shared", "short link"), ("shared_no_code", "No code"), ("shared_ended", ""), ("reading", ""), ("error", "")],
)
def test_only_of_a_screen_with_a_code_it_is_said_which(scene: str, words: str) -> None:
    told = choice.told(scenes.SCENES[scene], MODELS["phat-black"], scenes.NOW)
    assert words in told
    assert bool(words) == bool(told)


@pytest.mark.parametrize("panel", ["phat-black", "what-black"])
def test_the_log_says_which_code_and_why(panel: str) -> None:
    model: PanelModel = MODELS[panel]
    code = code_on(panel, url=scenes.TOKEN_LINK)
    said = codes.reason(scenes.TOKEN_LINK, code)
    assert "short link" in said
    assert f"({len(scenes.TOKEN_LINK)} characters)" in said
    assert f"{code.module_px if code else 0} px" in said
    assert "No code" in codes.reason(scenes.TOKEN_LINK, codes.fitting(scenes.TOKEN_LINK, None, model, 100))
