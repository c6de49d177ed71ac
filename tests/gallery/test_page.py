import base64
import hashlib
import itertools
import os
import random
import re
import subprocess
import sys
import urllib.parse
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ghostroll.base.log import printable
from ghostroll.base.session_paths import Session
from ghostroll.gallery.page import (
    LOCAL_IMAGE_SOURCE,
    Companion,
    LocalLinks,
    Page,
    Photo,
    StoreLinks,
    build_page,
    sort_photos,
)

SESSION = Session("shoot-2026-11-22_184100_000000", Path("/nowhere"), "sessions/")
SIGNATURE = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=" + "c" * 60 + "&X-Amz-Signature=" + "0" * 64
OVERRIDE = "\u202egpj.exe"

any_text = st.text(st.characters(codec=None, exclude_categories=()), max_size=30)
file_names = st.binary(min_size=1, max_size=30).map(lambda raw: os.fsdecode(raw.replace(b"\0", b"")) or "x")


def presign(key: str) -> str:
    return f"https://bucket.example/{urllib.parse.quote(key)}?{SIGNATURE}"


def photo(name: str = "DCIM/a.jpg", captured: str | None = None, **changes: Any) -> Photo:
    plain = Photo(name, name, captured, "Canon EOS R5", (2048, 1365), (512, 341), 640_123)
    return replace(plain, **changes)


def page(*photos: Photo, **changes: Any) -> Page:
    plain = Page(
        title="",
        receipt="KTRBAQ",
        created=datetime(2026, 11, 22, 18, 41, tzinfo=UTC),
        photos=photos,
        companions=(),
        links=LocalLinks(),
        zip_bytes=None,
        expires_at=datetime(2026, 11, 29, 18, 40, tzinfo=UTC),
        image_source=LOCAL_IMAGE_SOURCE,
    )
    return replace(plain, **changes)


class Reader(HTMLParser):
    """What a reader of the page collects: elements with their attributes, and the text outside style and script."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inlined: dict[str, str] = {}
        self.words: list[str] = []
        self._within = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._within = tag

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002
        self._within = ""

    def handle_data(self, data: str) -> None:
        if self._within in ("style", "script"):
            self.inlined[self._within] = self.inlined.get(self._within, "") + data
        elif data.strip():
            self.words.append(data.strip())

    @property
    def text(self) -> str:
        return " ".join(self.words)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def values(self, attribute: str) -> list[str | None]:
        return [attributes[attribute] for _, attributes in self.elements if attribute in attributes]


def names(photos: list[Photo]) -> list[str]:
    return [photo.name for photo in photos]


# --- order


def test_photos_stand_in_the_order_they_were_taken_to_the_fraction_of_a_second() -> None:
    taken = ["2021-05-12T14:05:07", "2021-05-12T14:05:07.05", "2021-05-12T14:05:07.1", "2021-05-12T14:05:08"]
    photos = [photo(f"{9 - number}.jpg", captured) for number, captured in enumerate(taken)]
    assert sort_photos(reversed(photos)) == photos


def test_photos_without_a_time_come_last_by_the_bytes_of_their_names() -> None:
    untimed = [photo("B.jpg"), photo("a.jpg", "yesterday"), photo("é.jpg", ""), photo(os.fsdecode(b"\xff.jpg"))]
    timed = photo("z.jpg", "2021-05-12T14:05:07")
    assert sort_photos([*reversed(untimed), timed]) == [timed, *untimed]


def test_offsets_count() -> None:
    photos = [
        photo("first", "2021-05-12T16:00:00+05:00"),
        photo("second", "2021-05-12T13:30:00+02:00"),
        photo("third", "2021-05-12T11:45:00Z"),
    ]
    assert sort_photos(reversed(photos)) == photos


def test_who_gives_no_offset_is_in_the_most_common_one() -> None:
    photos = [
        photo("first", "2021-05-12T10:00:00+02:00"),
        photo("second", "2021-05-12T10:30:00"),
        photo("third", "2021-05-12T11:00:00+02:00"),
        photo("fourth", "2021-05-12T10:00:00Z"),
    ]
    assert sort_photos(reversed(photos)) == photos


def test_without_any_offset_they_are_compared_as_they_are() -> None:
    photos = [photo("b", "2021-05-12T10:00:00"), photo("a", "2021-05-12T10:00:01")]
    assert sort_photos(reversed(photos)) == photos


odd_dates = st.one_of(
    st.none(),
    any_text,
    st.datetimes().map(lambda moment: moment.isoformat()),
    st.datetimes(timezones=st.timezones()).map(lambda moment: moment.isoformat()),
    st.sampled_from(
        [
            "0000-00-00T00:00:00",
            "0001-01-01T00:00:00+23:59",
            "9999-12-31T23:59:59.999999-23:59",
            "2021-02-30T00:00:00",
            "2021-05-12T14:05:60",
            "2021-05-12T24:00:00",
            "2021-05-12",
            "2021-05-12T14:05:07.123456789+02:00",
        ]
    ),
)


@given(st.lists(st.builds(photo, file_names, odd_dates), max_size=12), st.randoms(use_true_random=False))
def test_any_dates_have_one_order_whatever_order_they_come_in(photos: list[Photo], chance: random.Random) -> None:
    shuffled = chance.sample(photos, len(photos))
    ordered = sort_photos(shuffled)
    assert [(p.captured, p.name) for p in sort_photos(ordered)] == [(p.captured, p.name) for p in ordered]
    assert sorted(map(repr, ordered)) == sorted(map(repr, photos))
    if len(set(names(photos))) == len(photos):
        assert names(ordered) == names(sort_photos(photos))


def test_the_page_is_in_this_order_too() -> None:
    html = build_page(page(photo("b.jpg"), photo("a.jpg", "2021-05-12T14:05:07")))
    assert [image["src"] for image in Reader(html).all("img")] == ["derived/thumbs/a.jpg", "derived/thumbs/b.jpg"]


# --- links


def test_the_page_read_without_its_script_holds_every_picture_and_the_zip_in_double_quotes() -> None:
    photos = [photo(f"DCIM/100CANON/IMG_{number:04}.jpg") for number in range(3)]
    links = StoreLinks(SESSION, presign)
    html = build_page(page(*photos, links=links, zip_bytes=1, image_source="https://bucket.example"))
    without_script = re.sub(r"<(script|style)>.*?</\1>", "", html, flags=re.DOTALL)
    sources = [value.replace("&amp;", "&") for value in re.findall(r'\ssrc="([^"]*)"', without_script)]
    targets = [value.replace("&amp;", "&") for value in re.findall(r'\shref="([^"]*)"', without_script)]
    assert sources == [presign(f"sessions/{SESSION.session_id}/thumbs/{p.name}") for p in photos]
    assert targets == [
        presign(f"sessions/{SESSION.session_id}/share.zip"),
        *(presign(f"sessions/{SESSION.session_id}/share/{p.name}") for p in photos),
    ]
    assert Reader(html).values("src") == sources
    assert Reader(html).values("href") == targets
    assert "&X-Amz" not in without_script


def test_no_zip_yet_no_link() -> None:
    links = StoreLinks(SESSION, presign)
    assert "share.zip" not in build_page(page(photo(), links=links))
    assert "Download all (1.2 GB)" in build_page(page(photo(), links=links, zip_bytes=1_234_567_890))


@given(file_names)
def test_local_links_lead_back_to_the_file_whatever_its_name(name: str) -> None:
    for link, start in (
        (LocalLinks().share(name), b"derived/share/"),
        (LocalLinks().thumbnail(name), b"derived/thumbs/"),
    ):
        assert link.isascii()
        assert re.fullmatch(r"[A-Za-z0-9/._~%-]+", link)
        assert urllib.parse.unquote_to_bytes(link) == start + os.fsencode(name)


def test_store_links_sign_the_keys_of_the_session() -> None:
    links = StoreLinks(SESSION, lambda key: "signed:" + key)
    assert links.share("DCIM/a*.jpg") == "signed:" + SESSION.share_key("DCIM/a*.jpg")
    assert links.thumbnail("DCIM/a.jpg") == "signed:" + SESSION.thumbnail_key("DCIM/a.jpg")
    assert links.zip() == "signed:" + SESSION.zip_key


# --- what a stranger wrote


@given(file_names, st.tuples(any_text, any_text, any_text, any_text, any_text))
@settings(deadline=None, max_examples=60)
def test_no_text_becomes_markup(name: str, texts: tuple[str, str, str, str, str]) -> None:
    title, camera, heading, path, kind = texts
    shown = photo(name, title=title, camera=camera, captured="2021-05-12T14:05:07")
    html = build_page(page(shown, title="t" + heading, expires_at=None, companions=[Companion(path, 5, kind)]))
    html.encode()
    plain = build_page(
        page(
            photo("x", captured="2021-05-12T14:05:07"), title="x", expires_at=None, companions=[Companion("x", 5, "x")]
        )
    )
    read = Reader(html)
    assert [tag for tag, _ in read.elements] == [tag for tag, _ in Reader(plain).elements]
    known = {frozenset(attributes) for _, attributes in Reader(plain).elements}
    link = read.all("a")[0]
    assert frozenset(link) | {"data-camera"} in known
    assert urllib.parse.unquote_to_bytes(link["href"] or "") == b"derived/share/" + os.fsencode(name)


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "\"' onload=alert(1) x='",
        "a\r\nb\u2028c",
        OVERRIDE,
        "\ud800",
        os.fsdecode(b"\xff"),
        "&lt;b&gt;",
    ],
)
def test_hostile_text_is_shown_as_one_harmless_line(text: str) -> None:
    html = build_page(
        page(
            photo(title=f"DCIM/{text}", camera=text),
            title=text,
            expires_at=None,
            companions=[Companion(text, 1, "video")],
        )
    )
    read = Reader(html)
    assert not set(html) & set("\r\u2028\u202e")
    assert [link["data-camera"] for link in read.all("a")] == [read.words[0]]
    assert read.words.count(read.words[0]) == 3  # the tab's title, the heading, the companion
    if text != "\ud800":
        assert read.words[0] == printable(text)
        assert (read.all("img")[0]["alt"] or "").endswith(printable(text.rpartition("/")[2]))


def test_endless_text_is_cut() -> None:
    html = build_page(page(photo(title="a" * 10**6, camera="b" * 10**6), title="c" * 10**6))
    assert len(html) < 40_000


# --- policy


def test_the_policy_allows_the_pages_own_style_and_script_and_nothing_else() -> None:
    photos = [photo("a.jpg"), photo("b.jpg", thumb_size=(341, 512))]
    read = Reader(build_page(page(*photos, image_source="https://bucket.example")))
    policy = {name: sources for name, *sources in map(str.split, (policy_of(read)).split(";"))}
    assert policy == {
        "default-src": ["'none'"],
        "img-src": ["https://bucket.example", "data:"],
        "style-src": [f"'sha256-{digest(read.inlined['style'])}'"],
        "script-src": [f"'sha256-{digest(read.inlined['script'])}'"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
        "require-trusted-types-for": ["'script'"],
    }


def policy_of(read: Reader) -> str:
    return next(
        meta["content"] or "" for meta in read.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"
    )


def digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_the_page_keeps_to_itself() -> None:
    read = Reader(build_page(page(photo())))
    metas = {meta.get("name"): meta["content"] for meta in read.all("meta") if "name" in meta}
    assert metas["referrer"] == "no-referrer"
    assert "noindex" in (metas["robots"] or "")
    assert metas["color-scheme"] == "light dark"
    assert read.all("html") == [{"lang": "en"}]
    assert not [
        name for _, attributes in read.elements for name in attributes if name.startswith("on") or name == "style"
    ]
    assert "url(" not in read.inlined["style"]
    assert "innerHTML" not in read.inlined["script"]


# --- words


def test_each_picture_says_its_size_name_and_time() -> None:
    read = Reader(build_page(page(photo("DCIM/IMG_1.jpg", "2021-05-12T14:05:07.25+02:00", title="DCIM/IMG_1.CR3"))))
    assert read.all("img") == [
        {
            "src": "derived/thumbs/DCIM/IMG_1.jpg",
            "alt": "IMG_1.CR3",
            "width": "512",
            "height": "341",
            "loading": "lazy",
            "decoding": "async",
        }
    ]
    assert "14:05, 12 May 2021" in read.words
    assert {"datetime": "2021-05-12T14:05:07+02:00"} in read.all("time")


@pytest.mark.parametrize(
    ("captured", "expected"),
    [
        (["2021-05-12T14:05:07"], "Wednesday 12 May 2021"),
        (["2021-05-12T14:05:07", "2021-05-14T14:05:07"], "12–14 May 2021"),  # noqa: RUF001
        (["2021-04-30T14:05:07", "2021-05-02T14:05:07", None], "30 April – 2 May 2021"),  # noqa: RUF001
        (["2021-12-31T14:05:07", "2022-01-01T14:05:07"], "31 December 2021 – 1 January 2022"),  # noqa: RUF001
        ([None], "Photos"),
    ],
)
def test_the_dates_of_the_pictures_are_the_heading_where_there_is_no_title(
    captured: list[str | None], expected: str
) -> None:
    photos = [photo(f"{number}.jpg", moment) for number, moment in enumerate(captured)]
    assert f"<h1><bdi>{expected}</bdi></h1>" in build_page(page(*photos))


def test_a_title_stands_above_the_dates() -> None:
    read = Reader(build_page(page(photo("a.jpg", "2021-05-12T14:05:07"), title="Anna & Jonas")))
    assert read.words[:4] == ["Anna & Jonas", "Anna & Jonas", "Wednesday 12 May 2021", "1 photo"]


def test_several_days_have_a_heading_each_that_never_comes_twice() -> None:
    # Two cameras on clocks of their own, around midnight.
    photos = [
        photo(f"{hour}-{offset}.jpg", moment.astimezone(timezone(timedelta(hours=offset))).isoformat())
        for hour, offset in itertools.product(range(6), (0, 1, 1))
        if (moment := datetime(2021, 5, 12, 20, tzinfo=UTC) + timedelta(hours=hour))
    ]
    html = build_page(page(*photos, photo("undated.jpg")))
    assert re.findall("<h2>(.*)</h2>", html) == ["Wednesday 12 May 2021", "Thursday 13 May 2021", "Date unknown"]


@pytest.mark.parametrize(
    ("expires_at", "expected"),
    [
        (datetime(2026, 11, 29, 18, 40, tzinfo=UTC), "Sunday 29 November 2026, 18:40 UTC"),
        (
            datetime(2026, 11, 29, 18, 40, tzinfo=timezone(timedelta(hours=1), "CET")),
            "Sunday 29 November 2026, 18:40 CET",
        ),
    ],
)
def test_says_until_when_the_link_works(expires_at: datetime, expected: str) -> None:
    assert f"This link works until {expected}" in Reader(build_page(page(photo(), expires_at=expires_at))).text


def test_the_local_page_has_no_expiry_and_lists_the_companions() -> None:
    companions = [Companion("DCIM/MVI_1.MP4", 1_800_000_000, "video"), Companion("DCIM/MVI_1.THM", 0, "sidecar")]
    local = Reader(build_page(page(photo(), companions=companions, expires_at=None))).text
    assert "link works" not in local
    assert "Also saved" in local
    assert "DCIM/MVI_1.MP4 video 1.8 GB DCIM/MVI_1.THM sidecar 0 bytes" in local
    assert "MVI_1" not in build_page(page(photo(), companions=companions))


def test_says_the_receipt() -> None:
    assert "Receipt KTRBAQ" in Reader(build_page(page(photo()))).text


def test_says_plainly_that_there_are_no_photos() -> None:
    read = Reader(build_page(page()))
    assert "There are no photos in this gallery." in read.words
    assert read.values("href") == read.values("src") == []


@pytest.mark.parametrize(
    ("size_bytes", "expected"),
    [(999, "999 bytes"), (1000, "1 KB"), (999_600, "1 MB"), (48_300_000, "48 MB"), (1_834_567_890, "1.8 GB")],
)
def test_sizes_are_said_as_shops_print_them(size_bytes: int, expected: str) -> None:
    assert f"Download all ({expected})" in build_page(page(photo(), zip_bytes=size_bytes))


@pytest.mark.parametrize("thumb_size", [(512, 1), (1, 512), (0, 0), (512, 341)])
def test_any_shape_has_its_row_style(thumb_size: tuple[int, int]) -> None:
    read = Reader(build_page(page(photo(thumb_size=thumb_size))))
    shape = next(item["class"] for item in read.all("li"))
    assert f".{shape}{{--r:" in read.inlined["style"]


# --- weight


def test_a_photo_costs_little_beside_its_addresses() -> None:
    links = StoreLinks(SESSION, presign)

    def size(number: int) -> int:
        photos = (
            photo(f"DCIM/IMG_{n:04}.jpg", "2021-05-12T14:05:07", title="DCIM/IMG_0001.JPG") for n in range(number)
        )
        addresses = 2 * number * len(links.thumbnail("DCIM/IMG_0000.jpg").replace("&", "&amp;"))
        return len(build_page(page(*photos, links=links)).encode()) - addresses

    assert (size(1010) - size(10)) / 1000 < 300
    assert size(10) < 40_000


def test_templates_are_loaded_only_when_a_page_is_built() -> None:
    program = "import sys, ghostroll.gallery; sys.exit('jinja2' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_links_are_asked_for_by_derivative_name() -> None:
    asked: list[str] = []
    build_page(page(photo("DCIM/a.jpg"), links=StoreLinks(SESSION, recording(asked)), zip_bytes=1))
    assert sorted(asked) == sorted(
        [SESSION.share_key("DCIM/a.jpg"), SESSION.thumbnail_key("DCIM/a.jpg"), SESSION.zip_key]
    )


def recording(asked: list[str]) -> Callable[[str], str]:
    def sign(key: str) -> str:
        asked.append(key)
        return presign(key)

    return sign
