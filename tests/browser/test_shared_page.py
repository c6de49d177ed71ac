"""The link that the program prints, opened in a browser: pictures drawn from a real store, under names of any kind."""

import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from PIL import Image
from playwright.sync_api import expect

from ghostroll.embedded.seaweedfs import free_ports
from tests.browser.sample_photos import draw
from tests.browser.visits import PHONE, Visit, Visitor

GHOSTROLL = Path(sys.executable).with_name("ghostroll")
PLAIN = ["IMG_0001.JPG", "IMG_0002.JPG", "IMG_0003.JPG", "IMG_0004.PNG", "IMG_0005.JPG"]
STRANGE = [
    b"<script>alert(1)<script>.jpg",
    b"<img src=x onerror=alert(1)>.jpg",
    b'" onload="alert(1)" x=".jpg',
    b"' onload='alert(1).jpg",
    b"javascript:alert(1).jpg",
    b"a#b?c=d&amp;e%20f.jpg",
    b"a+b c.jpg",
    b"new\nline.jpg",
    b"back\\slash.jpg",
    b"..jpg",
    b"%2e%2e%2f.jpg",
    "\u202egpj.exe.jpg".encode(),
    "Straße 写真 😀.jpg".encode(),
    b"\xff\xfe.jpg",
    b"x" * 250 + b".jpg",
]


@dataclass
class Printed:
    """What the program printed and made, while its store still serves."""

    url: str
    session: Path
    pictures: int

    @property
    def origin(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}/"


def write_card(card: Path) -> int:
    plain = card / "DCIM" / "100CANON"
    plain.mkdir(parents=True)
    for number, name in enumerate(PLAIN):
        picture = draw(number, (1200, 800) if number % 2 else (800, 1200))
        exif = Image.Exif()
        exif[0x0112] = 6 if number == 2 else 1
        exif[0x8769] = {0x9003: f"2024:05:1{number} 12:00:00"}
        picture.save(plain / name, exif=exif)
    (plain / "MVI_0006.MP4").write_bytes(os.urandom(1000))
    strange = os.fsencode(card / "DCIM" / '101"><script>')
    Path(os.fsdecode(strange)).mkdir()
    for number, each in enumerate(STRANGE, 50):
        with open(strange + b"/" + each, "wb") as file:  # noqa: PTH123 - bytes that are no text
            draw(number, (600, 400)).save(file, "JPEG")
    return len(PLAIN) + len(STRANGE)


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Printed]:
    root = tmp_path_factory.mktemp("shared")
    pictures = write_card(root / "card")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(root),
        "LANG": "C.UTF-8",
        "GHOSTROLL_CONFIG": os.devnull,
        "GHOSTROLL_BASE_DIR": str(root / "base"),
        "GHOSTROLL_DB_PATH": str(root / "ghostroll.db"),
        "GHOSTROLL_STORE_PORT": str(free_ports(1)[0]),
    }
    out = root / "out"
    with out.open("wb") as stdout, (root / "err").open("wb") as stderr:
        child = subprocess.Popen(
            [str(GHOSTROLL), "demo", "--card", str(root / "card")],
            env=environment, stdout=stdout, stderr=stderr, start_new_session=True,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while "Serving until" not in out.read_text():
            assert child.poll() is None, (root / "err").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        found = re.search(r"^http://\S+$", out.read_text(), re.MULTILINE)
        assert found
        (session,) = (root / "base").glob("shoot-*")
        yield Printed(found[0], session, pictures)
    finally:
        child.send_signal(signal.SIGTERM)
        assert child.wait(30) == 0


def watch_dialogs(seen: Visit) -> list[str]:
    dialogs: list[str] = []

    def note(dialog: object) -> None:
        dialogs.append(str(dialog))
        dialog.dismiss()  # type: ignore[attr-defined]

    seen.page.on("dialog", note)
    return dialogs


def walk(seen: Visit, pictures: int) -> list[tuple[int, int]]:
    """Open the first picture and walk to the last; return the real size of each that was shown."""
    sizes = []
    seen.page.locator(".photos a").first.click()
    for number in range(pictures):
        expect(seen.page.locator(".viewer .place")).to_contain_text(str(number + 1))
        seen.wait_until(
            "(() => { const image = document.querySelector('.slide[aria-hidden=false] img');"
            " return image && image.complete && image.naturalWidth > 0; })()"
        )
        size = seen.page.evaluate(
            "(() => { const image = document.querySelector('.slide[aria-hidden=false] img');"
            " return [image.naturalWidth, image.naturalHeight]; })()"
        )
        sizes.append((size[0], size[1]))
        seen.page.keyboard.press("ArrowRight")
    seen.page.keyboard.press("Escape")
    return sizes


def share_sizes(session: Path) -> list[tuple[int, int]]:
    sizes = []
    for place, _, names in os.walk(os.fsencode(session / "derived" / "share")):
        for name in names:
            with open(place + b"/" + name, "rb") as file, Image.open(file) as image:  # noqa: PTH123
                sizes.append((image.width, image.height))
    return sizes


@pytest.mark.parametrize("where", ["link", "phone", "file"])
def test_the_page_shows_every_picture_and_calls_nobody_else(printed: Printed, visit: Visitor, where: str) -> None:
    address = (printed.session / "index.html").as_uri() if where == "file" else printed.url
    seen = visit(address, **(PHONE if where == "phone" else {}))
    dialogs = watch_dialogs(seen)
    seen.scroll_through()
    pictures = seen.pictures()
    assert len(pictures) == printed.pictures
    assert all(picture["real"][0] > 0 for picture in pictures)
    assert [picture["real"] for picture in pictures] == [picture["announced"] for picture in pictures]
    assert sorted(walk(seen, printed.pictures)) == sorted(share_sizes(printed.session))
    ours = printed.origin if where != "file" else (printed.session.as_uri() + "/")
    assert [each for each in seen.requests if not each.startswith((ours, "data:", "blob:"))] == []
    assert dialogs == []
    seen.assert_calm()


def test_reloading_while_a_photo_is_open_runs_no_name(printed: Printed, visit: Visitor) -> None:
    seen = visit(printed.url)
    dialogs = watch_dialogs(seen)
    seen.page.locator(".photos a").last.click()
    seen.page.wait_for_load_state("networkidle")  # a reload would cut off what is still being fetched
    seen.page.reload()
    expect(seen.page.locator("dialog.viewer")).to_be_visible()
    assert dialogs == []
    seen.assert_calm()


@pytest.mark.parametrize("from_disk", [True, False], ids=["file", "link"])
def test_all_pictures_come_down_in_one_file(
    printed: Printed, visit: Visitor, tmp_path: Path, *, from_disk: bool
) -> None:
    seen = visit((printed.session / "index.html").as_uri() if from_disk else printed.url)
    with seen.page.expect_download() as waiting:
        seen.page.get_by_role("link", name=re.compile("Download all")).first.click()
    waiting.value.save_as(tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) == printed.pictures


def test_each_picture_comes_down_as_it_was_shared(printed: Printed, visit: Visitor, tmp_path: Path) -> None:
    seen = visit(printed.url)
    seen.page.locator(".photos a").first.click()
    with seen.page.expect_download() as waiting:
        seen.page.locator(".viewer .save").click()
    waiting.value.save_as(tmp_path / "one.jpg")
    assert (tmp_path / "one.jpg").read_bytes() == (
        printed.session / "derived/share/DCIM/100CANON/IMG_0001.jpg"
    ).read_bytes()
    assert waiting.value.suggested_filename == "IMG_0001.jpg"


def test_a_guest_without_script_sees_the_same_pictures(printed: Printed, visit: Visitor) -> None:
    seen = visit(printed.url, java_script_enabled=False)
    expect(seen.page.locator(".photos img")).to_have_count(printed.pictures)
    seen.page.locator(".photos a").first.click()
    seen.page.wait_for_url(re.compile(r"/share/"))
