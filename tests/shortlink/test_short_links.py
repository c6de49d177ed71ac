"""Short links from outside: after a run against the real store, a guest opens the gallery by one."""

import gzip
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import zxingcpp
from PIL import Image

from tests.support.appliance import GHOSTROLL, Appliance, connected, get, links, make_card, terminated, wait_until
from tests.support.link_server import LinkServer, serving

if TYPE_CHECKING:
    from tests.support.served import Served

DISPLAY = GHOSTROLL.with_name("ghostroll-display")
FULL_LINK_IS_TOO_LONG = "On a panel that is too small for the full link"


@pytest.fixture
def link(tmp_path: Path) -> Iterator[LinkServer]:
    directory = tmp_path / "state" / "links"
    directory.mkdir(parents=True)  # as the installer does
    with serving(directory) as running:
        yield running


@pytest.fixture
def appliance(served: "Served", link: LinkServer, tmp_path: Path) -> Iterator[Appliance]:
    made = connected(tmp_path, served, GHOSTROLL_SHORT_LINK_HOST=link.host, GHOSTROLL_SHORT_LINK_PORT=str(link.port))
    yield made
    made.kill_all()


@pytest.fixture
def card(tmp_path: Path) -> Path:
    return make_card(tmp_path / "card", range(3))


def draw(appliance: Appliance, size: str) -> tuple[Path, str]:
    """Have the display draw the status; return the picture, and what it logs."""
    picture = appliance.root / f"{size}.png"
    panel = {"GHOSTROLL_PANEL": "png", "GHOSTROLL_PANEL_SIZE": size, "GHOSTROLL_STATUS_IMAGE_PATH": str(picture)}
    drawn = subprocess.run(
        [DISPLAY, "--once"], env={**appliance.environment, **panel}, capture_output=True, text=True, check=True
    )
    return picture, drawn.stderr


def read_code(picture: Path) -> str:
    with Image.open(picture) as image:
        (found,) = zxingcpp.read_barcodes(image.convert("L"))
    return str(found.text)


def test_after_a_run_a_guest_opens_the_gallery_by_the_short_link(appliance: Appliance, card: Path) -> None:
    document = appliance.run(card)
    status = appliance.status
    assert status["url"] == document["url"]
    assert status["short_url"].startswith(f"http://127.0.0.1:{appliance.environment['GHOSTROLL_SHORT_LINK_PORT']}/")
    answer = get(status["short_url"])  # follows it, as a phone does
    assert answer.status == 200
    page = gzip.decompress(answer.body).decode()
    assert sum("/share/" in each for each in links(page)) == 3
    log = Path(document["session_dir"], "ghostroll.log").read_text()
    assert f"{FULL_LINK_IS_TOO_LONG} ({len(document['url'])} characters)" in log
    assert status["short_url"] in log


def test_a_small_panel_s_code_is_the_short_link_and_a_large_one_s_the_full_one(
    appliance: Appliance, card: Path
) -> None:
    appliance.run(card)
    small, said = draw(appliance, "250x122")
    assert read_code(small) == appliance.status["short_url"]
    assert "The code is the short link, since the full one" in said
    large, said = draw(appliance, "800x480")
    assert read_code(large) == appliance.status["url"]
    assert "The code is the full link" in said


def test_without_a_server_the_status_has_no_short_link_and_the_log_says_why(appliance: Appliance, card: Path) -> None:
    document = appliance.run(card, GHOSTROLL_SHORT_LINK_PORT="9")
    assert (appliance.status["url"], appliance.status["short_url"]) == (document["url"], None)
    assert "nobody answers at http://127.0.0.1:9" in Path(document["session_dir"], "ghostroll.log").read_text()
    off = appliance.run(card, "--no-short-links")
    assert (off["new"], appliance.status["short_url"]) == (0, None)
    picture, said = draw(appliance, "250x122")
    assert "No code" in said
    with Image.open(picture) as image:
        assert zxingcpp.read_barcodes(image.convert("L")) == []


def test_the_short_link_stays_the_same_when_a_session_grows_and_is_shown_for_the_same_card_again(
    appliance: Appliance, card: Path
) -> None:
    appliance.run(card, "--session-id", "wedding")
    first = appliance.status
    appliance.run(card)
    assert (appliance.status["url"], appliance.status["short_url"]) == (first["url"], first["short_url"])
    make_card(card, range(5))
    appliance.run(card, "--session-id", "wedding")
    second = appliance.status
    assert second["short_url"] == first["short_url"]
    page = gzip.decompress(get(first["short_url"]).body).decode()
    assert sum("/share/" in each for each in links(page)) == 5


def test_watch_shows_the_last_share_s_short_link_and_takes_it_back_with_the_session(
    appliance: Appliance, card: Path, link: LinkServer, tmp_path: Path
) -> None:
    document = appliance.run(card)
    short_url = appliance.status["short_url"]
    (tmp_path / "media").mkdir()
    child = appliance.start("watch")
    with terminated(child):
        wait_until(lambda: appliance.status.get("state") in ("idle", "done") and appliance.status["short_url"])
        assert appliance.status["short_url"] == short_url
    shutil.rmtree(document["session_dir"])
    child = appliance.start("watch")
    with terminated(child):
        path = "/" + short_url.rpartition("/")[2]
        wait_until(lambda: link.get(path)[0] == 404, every=0.5)
        wait_until(lambda: not appliance.status["short_url"])


def test_a_share_that_has_ended_is_taken_back_from_status_and_server(
    appliance: Appliance, card: Path, link: LinkServer, tmp_path: Path
) -> None:
    (tmp_path / "media").mkdir()
    appliance.run(card, GHOSTROLL_PRESIGN_EXPIRY_SECONDS="5")
    short_url = appliance.status["short_url"]
    wait_until(lambda: link.get("/" + short_url.rpartition("/")[2])[0] == 404, every=0.5)
    with terminated(appliance.start("watch")):
        wait_until(lambda: appliance.status["url"] is None and appliance.status["short_url"] is None)


def test_the_doctor_says_which_code_the_panel_shows(appliance: Appliance, card: Path) -> None:
    appliance.run(card)
    found = {}
    for panel in ("phat-black", "spectra73"):
        document = json.loads(appliance.call("doctor", "--json", "--panel", panel).out)
        found[panel] = {each["name"]: each for each in document["findings"]}
    assert found["phat-black"]["short-link"]["verdict"] == "ok"
    assert "The code is the short link" in found["phat-black"]["panel-code"]["text"]
    assert "The code is the full link" in found["spectra73"]["panel-code"]["text"]
    none = json.loads(appliance.call("doctor", "--json", "--panel", "phat-black", "--no-short-links").out)
    (code,) = (each for each in none["findings"] if each["name"] == "panel-code")
    assert (code["verdict"], "No code" in code["text"]) == ("warning", True)
