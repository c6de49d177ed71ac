import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page as Tab
from playwright.sync_api import expect

from ghostroll.gallery.page import LOCAL_IMAGE_SOURCE, Companion, LocalLinks, Page, Photo, build_page
from tests.browser.sample_photos import make_photo
from tests.browser.visits import DESKTOP, PHONE, Visit, Visitor

SIZES = [(1200, 800), (800, 1200), (1200, 800), (1000, 1000), (1600, 500), (1200, 800), (1200, 675)]
HOSTILE_NAMES = [
    'DCIM/100"><script>document.title=1<script>/IMG.jpg',
    "DCIM/a b#c?d%41&amp;'.jpg",
    "DCIM/line\nbreak.jpg",
    "DCIM/\u202egpj.exe.jpg",
    "DCIM/תמונה של אמא.jpg",
    os.fsdecode(b"DCIM/\xff\xfe.jpg"),
]


@dataclass
class Site:
    """A directory that holds a page and its pictures."""

    directory: Path
    photos: list[Photo]

    def write(self, **changes: Any) -> str:
        page = Page(
            title="",
            receipt="KTRBAQ",
            created=datetime(2026, 11, 22, 18, 41, tzinfo=UTC),
            photos=self.photos,
            companions=[Companion("DCIM/100CANON/MVI_0008.MP4", 1_800_000_000, "video")],
            links=LocalLinks(),
            zip_bytes=48_300_000,
            expires_at=datetime(2099, 11, 29, 17, 40, tzinfo=UTC),
            image_source=LOCAL_IMAGE_SOURCE,
        )
        target = self.directory / "index.html"
        target.write_text(build_page(replace(page, **changes)), encoding="utf-8")
        return target.as_uri()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, [make_photo(tmp_path, number, size=size) for number, size in enumerate(SIZES)])


def place(tab: Tab) -> Any:
    return tab.locator(".viewer .place")


def open_photo(tab: Tab, at: int = 0) -> None:
    tab.locator(".photos a").nth(at).click()
    expect(tab.locator("dialog.viewer")).to_be_visible()


def assert_closed(seen: Visit) -> None:
    expect(seen.page.locator("dialog.viewer")).to_be_hidden()
    seen.wait_until("history.state === null")


@pytest.mark.parametrize("from_disk", [True, False], ids=["file", "http"])
def test_every_picture_shows_with_its_real_size_and_nothing_else_is_fetched(
    site: Site, visit: Visitor, served: str, from_disk: bool
) -> None:
    address = site.write()
    seen = visit(address if from_disk else f"{served}/index.html")
    seen.scroll_through()
    pictures = seen.pictures()
    assert [tuple(picture["real"]) for picture in pictures] == [photo.thumb_size for photo in site.photos]
    assert all(picture["real"] == picture["announced"] for picture in pictures)
    assert sorted(seen.requests) == sorted([seen.page.url, *(picture["src"] for picture in pictures)])
    seen.assert_calm()


def test_pictures_of_a_row_are_equally_high_and_uncropped(site: Site, visit: Visitor) -> None:
    seen = visit(site.write())
    boxes = [link.bounding_box() for link in seen.page.locator(".photos a").all()]
    rows: dict[int, list[float]] = {}
    for box, photo in zip(boxes, site.photos, strict=True):
        assert box is not None
        rows.setdefault(round(box["y"]), []).append(box["height"])
        assert box["width"] / box["height"] == pytest.approx(photo.thumb_size[0] / photo.thumb_size[1], rel=0.01)
    assert len(rows) > 1
    assert all(max(heights) - min(heights) < 1 for heights in rows.values())


def test_loading_pictures_moves_nothing(site: Site, visit: Visitor) -> None:
    site.write()
    for thumbnail in (site.directory / "derived" / "thumbs").rglob("*.jpg"):
        thumbnail.rename(thumbnail.with_suffix(".away"))
    seen = visit((site.directory / "index.html").as_uri())
    without = [link.bounding_box() for link in seen.page.locator(".photos a").all()]
    for thumbnail in (site.directory / "derived" / "thumbs").rglob("*.away"):
        thumbnail.rename(thumbnail.with_suffix(".jpg"))
    seen.go(seen.page.url)
    seen.scroll_through()
    assert [link.bounding_box() for link in seen.page.locator(".photos a").all()] == without


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_fits_the_screen_in_light_and_dark(
    site: Site, visit: Visitor, tmp_path: Path, scheme: str, device: dict[str, Any]
) -> None:
    seen = visit(site.write(), color_scheme=scheme, **device)
    assert seen.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    background = seen.page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    red = int(background.removeprefix("rgb(").split(",")[0])
    assert red < 40 if scheme == "dark" else red > 220
    assert len(seen.page.screenshot(path=tmp_path / f"{scheme}.png")) > 10_000
    seen.assert_calm()


def test_without_javascript_each_picture_is_a_link_to_its_share_image(site: Site, visit: Visitor, served: str) -> None:
    site.write()
    seen = visit(f"{served}/index.html", java_script_enabled=False)
    expect(seen.page.locator(".photos img")).to_have_count(len(SIZES))
    expect(seen.page.locator(".until").first).to_have_text("This link works until Sunday 29 November 2099, 17:40 UTC")
    seen.page.locator(".photos a").nth(2).click()
    seen.page.wait_for_url("**/derived/share/DCIM/100CANON/IMG_0002.jpg")


def test_says_the_expiry_in_the_readers_time_zone(site: Site, visit: Visitor) -> None:
    seen = visit(site.write(), timezone_id="Asia/Tokyo", locale="de-DE")
    expect(seen.page.locator(".until").first).to_have_text("This link works until Monday 30 November 2099, 02:40")
    expect(seen.page.locator("footer")).to_contain_text("Gallery made on Monday 23 November 2026, 03:41")


def test_says_that_the_link_has_expired(site: Site, visit: Visitor) -> None:
    seen = visit(site.write(expires_at=datetime(2021, 1, 1, tzinfo=UTC)))
    expect(seen.page.locator(".until").first).to_have_text("This link has expired: ask for a new one")


def test_keys_walk_through_the_photos_and_focus_comes_back(site: Site, visit: Visitor) -> None:
    seen = visit(site.write())
    seen.page.locator(".photos a").nth(1).focus()
    seen.page.keyboard.press("Enter")
    expect(place(seen.page)).to_have_text("2 of 7")
    expect(seen.page.get_by_role("dialog", name="Photo viewer")).to_be_visible()
    for key, expected in [
        ("ArrowRight", "3 of 7"),
        ("ArrowRight", "4 of 7"),
        ("ArrowLeft", "3 of 7"),
        ("End", "7 of 7"),
        ("ArrowRight", "7 of 7"),
        ("Home", "1 of 7"),
        ("ArrowLeft", "1 of 7"),
        ("ArrowRight", "2 of 7"),
    ]:
        seen.page.keyboard.press(key)
        expect(place(seen.page)).to_have_text(expected)
    seen.page.keyboard.press("Escape")
    assert_closed(seen)
    expect(seen.page.locator(".photos a").nth(1)).to_be_focused()
    seen.assert_calm()


def test_shows_the_share_image_with_its_caption_and_download(site: Site, visit: Visitor) -> None:
    seen = visit(site.write())
    open_photo(seen.page, 2)
    shown = seen.page.locator(".slide[aria-hidden=false] img")
    seen.wait_until("document.querySelector('.slide[aria-hidden=false] img').naturalWidth === 1200")
    expect(shown).to_have_attribute("src", site_url(site, 2))
    expect(seen.page.locator(".caption time")).to_have_text("14:11, 12 May 2021")
    expect(seen.page.locator(".caption")).to_contain_text("Canon EOS R5")
    expect(seen.page.locator(".caption")).to_contain_text("IMG_0002.JPG")
    expect(seen.page.locator(".viewer .save")).to_have_attribute("download", "IMG_0002.jpg")
    expect(seen.page.locator(".viewer .save")).to_have_attribute("href", site_url(site, 2))
    expect(seen.page.locator(".slide img")).to_have_count(3)  # the neighbours are on their way


def site_url(site: Site, number: int) -> str:
    return (site.directory / "derived" / "share" / site.photos[number].name).as_uri()


def test_downloads_one_photo_and_all(site: Site, visit: Visitor, served: str) -> None:
    site.write()
    (site.directory / "share.zip").write_bytes(b"PK")
    seen = visit(f"{served}/index.html")
    with seen.page.expect_download() as everything:
        seen.page.get_by_text("Download all (48 MB)").click()
    assert everything.value.suggested_filename == "photos-KTRBAQ.zip"
    open_photo(seen.page, 1)
    with seen.page.expect_download() as one:
        seen.page.locator(".viewer .save").click()
    assert one.value.suggested_filename == "IMG_0001.jpg"
    assert Path(one.value.path()).read_bytes() == (site.directory / "derived/share" / site.photos[1].name).read_bytes()


def test_buttons_walk_and_close(site: Site, visit: Visitor) -> None:
    seen = visit(site.write())
    open_photo(seen.page)
    expect(seen.page.get_by_label("Previous photo")).to_have_attribute("aria-disabled", "true")
    seen.page.get_by_label("Next photo").click()
    expect(place(seen.page)).to_have_text("2 of 7")
    seen.page.get_by_label("Previous photo").click()
    expect(place(seen.page)).to_have_text("1 of 7")
    seen.page.get_by_label("Close").click()
    assert_closed(seen)


def test_a_click_on_the_picture_hides_the_bars_and_one_beside_it_closes(site: Site, visit: Visitor) -> None:
    seen = visit(site.write())
    open_photo(seen.page, 1)  # upright: free space left and right
    seen.page.mouse.click(640, 400)
    expect(seen.page.locator(".viewer .caption")).to_have_css("opacity", "0")
    seen.page.mouse.click(640, 400)
    expect(seen.page.locator(".viewer .caption")).to_have_css("opacity", "1")
    seen.page.mouse.click(150, 200)
    assert_closed(seen)


@pytest.mark.parametrize("from_disk", [True, False], ids=["file", "http"])
def test_back_button_closes_and_forward_opens_again(site: Site, visit: Visitor, served: str, from_disk: bool) -> None:
    address = site.write()
    seen = visit(address if from_disk else f"{served}/index.html")
    open_photo(seen.page, 3)
    seen.page.keyboard.press("ArrowRight")
    seen.wait_until("history.state.photo === 4")
    seen.page.go_back()
    assert_closed(seen)
    seen.page.go_forward()
    expect(place(seen.page)).to_have_text("5 of 7")
    seen.page.reload()
    expect(place(seen.page)).to_have_text("5 of 7")
    seen.page.keyboard.press("Escape")
    assert_closed(seen)
    seen.assert_calm()


def test_closing_after_a_walk_shows_the_last_photo_on_the_page(site: Site, visit: Visitor) -> None:
    seen = visit(site.write(), viewport={"width": 600, "height": 400})
    open_photo(seen.page, 0)
    seen.page.keyboard.press("End")
    seen.page.keyboard.press("Escape")
    assert_closed(seen)
    expect(seen.page.locator(".photos a").last).to_be_focused()
    expect(seen.page.locator(".photos a").last).to_be_in_viewport()


def test_the_page_behind_neither_scrolls_nor_moves(site: Site, visit: Visitor) -> None:
    seen = visit(site.write(), viewport={"width": 600, "height": 400})
    seen.page.evaluate("window.scrollTo(0, 200)")
    before = seen.page.locator(".photos a").nth(2).bounding_box()
    open_photo(seen.page, 2)
    at = seen.page.evaluate("window.scrollY")
    seen.page.mouse.wheel(0, 500)
    assert seen.page.evaluate("window.scrollY") == at
    assert before is not None
    assert (
        seen.page.evaluate("document.querySelectorAll('.photos a')[2].getBoundingClientRect().width") == before["width"]
    )


def test_a_modified_click_is_the_browsers(site: Site, visit: Visitor) -> None:
    seen = visit(site.write())
    with seen.page.context.expect_page() as other:
        seen.page.locator(".photos a").first.click(modifiers=["Control"])
    expect(seen.page.locator("dialog.viewer")).to_have_count(0)
    other.value.close()


def test_a_finger_walks_and_closes(site: Site, visit: Visitor) -> None:
    seen = visit(site.write(), **PHONE)
    seen.page.locator(".photos a").first.tap()
    expect(place(seen.page)).to_have_text("1 of 7")
    for across, expected in [(-200, "2 of 7"), (-200, "3 of 7"), (200, "2 of 7"), (200, "1 of 7"), (200, "1 of 7")]:
        seen.swipe(across=across)
        expect(place(seen.page)).to_have_text(expected)
    expect(seen.page.locator(".slide[aria-hidden=false]")).to_have_css("transform", "matrix(1, 0, 0, 1, 0, 0)")
    seen.swipe(down=300)
    assert_closed(seen)
    seen.assert_calm()


def test_fits_a_phone_when_a_photo_is_open(site: Site, visit: Visitor) -> None:
    seen = visit(site.write(), **PHONE)
    seen.page.locator(".photos a").first.tap()
    expect(place(seen.page)).to_have_text("1 of 7")
    assert seen.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert seen.page.evaluate("visualViewport.scale") == 1
    assert "pinch-zoom" in seen.page.evaluate("getComputedStyle(document.querySelector('.stage')).touchAction")
    for name in ("Close", "Next photo", "Previous photo"):
        box = seen.page.get_by_label(name).bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= 44
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390


def test_nothing_moves_by_itself_where_the_reader_wants_it_still(site: Site, visit: Visitor) -> None:
    seen = visit(site.write(), reduced_motion="reduce")
    open_photo(seen.page)
    durations = seen.page.evaluate(
        "[...document.querySelectorAll('.slide, .bar')].map((part) => (part.classList.add('settling'), "
        "getComputedStyle(part).transitionDuration))"
    )
    assert set(durations) == {"0s"}


def test_says_when_a_photo_does_not_load(site: Site, visit: Visitor) -> None:
    address = site.write()
    (site.directory / "derived/share" / site.photos[1].name).unlink()
    seen = visit(address)
    open_photo(seen.page, 1)
    expect(seen.page.locator(".caption")).to_contain_text("This photo does not load now")


@pytest.mark.parametrize("from_disk", [True, False], ids=["file", "http"])
def test_hostile_names_are_text_and_their_pictures_show(
    tmp_path: Path, visit: Visitor, served: str, from_disk: bool
) -> None:
    script = "</p><script>document.title='owned'</script>\"'\u202e"
    photos = [
        make_photo(tmp_path, number, size=(300, 200), name=name, title=script + name, camera=script)
        for number, name in enumerate(HOSTILE_NAMES)
    ]
    site = Site(tmp_path, photos)
    address = site.write(title=script, expires_at=None, companions=[Companion(script, 1, script)])
    seen = visit(address if from_disk else f"{served}/index.html")
    seen.scroll_through()
    assert [picture["real"] for picture in seen.pictures()] == [[300, 200]] * len(photos)
    expect(seen.page.locator("h1")).to_have_text(script.replace("\u202e", "\\u202e"))
    expect(seen.page.locator(".also bdi")).to_have_text(script.replace("\u202e", "\\u202e"))
    open_photo(seen.page)
    for number in range(len(photos)):
        expect(place(seen.page)).to_have_text(f"{number + 1} of {len(photos)}")
        expect(seen.page.locator(".caption .camera")).to_have_text(script.replace("\u202e", "\\u202e"))
        seen.wait_until("document.querySelector('.slide[aria-hidden=false] img').naturalWidth === 300")
        saved_as = seen.page.locator(".viewer .save").get_attribute("download")
        assert saved_as is not None
        assert saved_as.isascii()
        assert set(saved_as) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
        seen.page.keyboard.press("ArrowRight")
    assert seen.page.title() == script.replace("\u202e", "\\u202e")
    expect(seen.page.locator("script")).to_have_count(1)
    seen.assert_calm()


def test_an_injected_script_or_style_is_refused(site: Site, visit: Visitor) -> None:
    site.write()
    page = site.directory / "index.html"
    page.write_text(
        page.read_text().replace("</main>", "<script>document.title='owned'</script><p style='color:red'></main>")
    )
    seen = visit(page.as_uri())
    assert seen.page.title() != "owned"
    assert len(seen.page.evaluate("window.violations")) == 2


def test_says_that_there_are_no_photos(site: Site, visit: Visitor) -> None:
    seen = visit(site.write(photos=[], zip_bytes=None))
    expect(seen.page.locator("main")).to_have_text("There are no photos in this gallery.")
    expect(seen.page.locator("a")).to_have_count(0)
    seen.assert_calm()


def test_five_thousand_photos_stay_usable(site: Site, visit: Visitor, photo_of: Callable[[int], Photo]) -> None:
    address = site.write(photos=[photo_of(number) for number in range(5000)])
    seen = visit(address)
    seen.page.locator(".photos a").last.scroll_into_view_if_needed()
    assert seen.page.evaluate("document.images.length") == 5000
    assert len([url for url in seen.requests if "/thumbs/" in url]) < 500
    seen.page.locator(".photos a").last.click()
    expect(place(seen.page)).to_have_text("5000 of 5000")
    took_ms = seen.page.evaluate(
        """() => {
            const start = performance.now();
            for (let step = 0; step < 20; step += 1) document.querySelector(".viewer .back").click();
            return (performance.now() - start) / 20;
        }"""
    )
    assert took_ms < 50
    expect(place(seen.page)).to_have_text("4980 of 5000")


@pytest.fixture
def photo_of(site: Site) -> Callable[[int], Photo]:
    """Many photos from the few pictures there are."""
    return lambda number: replace(site.photos[number % len(SIZES)], captured=None)
