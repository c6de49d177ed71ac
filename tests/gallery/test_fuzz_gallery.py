"""A page made of what strangers wrote has the template's elements, leads to its pictures, and shows words as text."""

import os
import re
import urllib.parse
from collections.abc import Callable
from datetime import UTC, datetime
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ghostroll.base.log import printable
from ghostroll.base.session_paths import Session
from ghostroll.gallery.page import LOCAL_IMAGE_SOURCE, Companion, Links, LocalLinks, Page, Photo, StoreLinks, build_page
from tests.support.damage import crowds, examples

SESSION = Session("shoot-2026-11-22_184100_000000", Path("/nowhere"), "sessions/")
SIGNATURE = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=604800&X-Amz-Signature=" + "0" * 64
# What a page shows of one text at most (`gallery.py`).
TEXT_CHARS_MOST = 200
VOID = {"meta", "img", "path"}

texts = st.text(st.characters(codec=None, exclude_categories=()), max_size=40) | st.sampled_from(
    (
        "<script>alert(1)</script>",
        "</script><script>alert(1)//",
        "</style><b>",
        "</title><img src=x onerror=alert(1)>",
        "--><!--",
        "<![CDATA[",
        '"\' onload=alert(1) x="',
        "`onload=1`",
        "&lt;b&gt;&quot;&#34;&#x22;",
        "javascript:alert(1)",
        "{{ 7 * 7 }}{% raw %}{# x #}",
        "\x00\x0b\x1b[2J\x85\u2028\u202e\u2066",
        "\ud800",
        "\udcff",
        "a" * 500,
    )
)
moments = st.none() | texts | st.datetimes().map(datetime.isoformat) | st.datetimes(timezones=st.timezones()).map(str)
sizes = st.tuples(st.integers(1, 10**6), st.integers(1, 10**6))


@st.composite
def photos(draw: st.DrawFn) -> list[Photo]:
    """Draw photos with names that a card may hold, and everything else as it comes."""
    return [
        Photo(
            name=name,
            title=draw(texts | st.just(name)),
            captured=draw(moments),
            camera=draw(st.none() | texts),
            share_size=draw(sizes),
            thumb_size=draw(sizes),
            share_bytes=draw(st.integers(0, 1 << 50)),
        )
        for name in draw(crowds(3))
    ]


companions = st.lists(st.builds(Companion, texts, st.integers(0, 1 << 50), texts), max_size=3)


def presigned(key: str) -> str:
    return f"https://bucket.example/{urllib.parse.quote(key)}?{SIGNATURE}"


links = st.sampled_from((LocalLinks(), StoreLinks(SESSION, presigned)))


class Reader(HTMLParser):
    """What a browser makes of a page: elements, and the text of each; nothing that was left open or closed twice."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), "an attribute came twice"
        assert all(value is not None for _, value in attrs), attrs
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag == "path"
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def handle_comment(self, data: str) -> None:
        pytest.fail(f"a comment: {data}")

    def handle_pi(self, data: str) -> None:
        pytest.fail(f"an instruction: {data}")

    def unknown_decl(self, data: str) -> None:
        pytest.fail(f"a declaration: {data}")

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def values(self, attribute: str) -> list[str]:
        return [attributes[attribute] for _, attributes in self.elements if attribute in attributes]

    def said(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag and text.strip()]


def template_vocabulary() -> tuple[set[str], set[str]]:
    """The elements and attributes that the template writes."""
    template = resources.files("ghostroll.gallery").joinpath("templates", "page.html.j2").read_text("utf-8")
    return set(re.findall(r"<([a-z][a-z0-9]*)", template)), set(re.findall(r'\s([a-zA-Z-]+)="', template))


def shown(text: str) -> str:
    """A text as a page may say it: its own characters, those that deceive escaped, and not without end."""
    line = printable(text)
    return line if len(line) <= TEXT_CHARS_MOST else line[: TEXT_CHARS_MOST - 1] + "…"


def make(shots: list[Photo], some: list[Companion], heading: str, where: Links, *, is_local: bool) -> str:
    return build_page(
        Page(
            title=heading,
            receipt=SESSION.receipt,
            created=datetime(2026, 11, 22, 18, 41, tzinfo=UTC),
            photos=shots,
            companions=some,
            links=where,
            zip_bytes=12_345 if shots else None,
            expires_at=None if is_local else datetime(2026, 11, 29, 18, 40, tzinfo=UTC),
            image_source=LOCAL_IMAGE_SOURCE if is_local else "https://bucket.example",
        )
    )


MARKUP = "</bdi></p><b onclick='x'>\" autofocus onfocus=\"x"
MARKED = [Photo("DCIM/<b>\"'.jpg", MARKUP, MARKUP, MARKUP, (3, 2), (3, 2), 1)]


def pages(test: Callable[..., None]) -> Callable[..., None]:
    """Give a test pages with texts of every kind in every place, the local page and the one for the store."""
    marked = given(photos(), companions, texts, links, st.booleans())(examples(0.5)(test))
    for where, is_local in ((LocalLinks(), True), (StoreLinks(SESSION, presigned), False)):
        marked = example(MARKED, [Companion(MARKUP, 1, MARKUP)], MARKUP, where, is_local)(marked)
    return marked


@pages
def test_whatever_is_written_the_page_has_its_own_elements_and_attributes_only(
    shots: list[Photo], some: list[Companion], heading: str, where: Links, is_local: bool
) -> None:
    html = make(shots, some, heading, where, is_local=is_local)
    html.encode()
    read = Reader(html)
    tags, attributes = template_vocabulary()
    assert {tag for tag, _ in read.elements} <= tags
    assert {name.lower() for _, found in read.elements for name in found} <= {name.lower() for name in attributes}
    assert [len(read.all(tag)) for tag in ("html", "head", "title", "style", "script", "template")] == [1] * 6
    assert len(read.all("img")) == len(shots)
    own = {
        name: resources.files("ghostroll.gallery").joinpath("templates", name).read_text("utf-8")
        for name in ("page.js", "page.css")
    }
    assert "".join(text for tag, text in read.texts if tag == "script") == own["page.js"]
    style = "".join(text for tag, text in read.texts if tag == "style")
    assert re.fullmatch(r"(\.r\d+\{--r:[\d.]+\}\n)*", style.removeprefix(own["page.css"]))


@pages
def test_whatever_is_written_the_page_leads_to_its_pictures_only_in_double_quotes(
    shots: list[Photo], some: list[Companion], heading: str, where: Links, is_local: bool
) -> None:
    html = make(shots, some, heading, where, is_local=is_local)
    read = Reader(html)
    names = [photo.name for photo in shots]
    assert sorted(read.values("src")) == sorted(address(where, "thumbs", name) for name in names)
    zips = [address(where, "", "share.zip")] if shots else []
    assert sorted(read.values("href")) == sorted([*(address(where, "share", name) for name in names), *zips])
    calm = re.sub(r"<(script|style)>.*?</\1>", "", html, flags=re.DOTALL)
    assert len(re.findall(r'\ssrc="[^"<>]*"', calm)) == len(names)
    assert len(re.findall(r'\shref="[^"<>]*"', calm)) == len(names) + len(zips)
    assert not re.search(r"\s(src|href)\s*=\s*[^\"\s]", re.sub(r'="[^"]*"', '=""', re.sub(r">[^<]*<", "><", calm)))


def address(where: Links, role: str, name: str) -> str:
    """Where a picture is, as its key or its place beside the page says."""
    if isinstance(where, StoreLinks):
        keys: dict[str, Callable[[str], str]] = {"share": SESSION.share_key, "thumbs": SESSION.thumbnail_key}
        return presigned(keys[role](name) if role else SESSION.zip_key)
    return f"derived/{role}/{urllib.parse.quote(os.fsencode(name))}" if role else name


@pages
@example([], [], "\x0b", LocalLinks(), False)
def test_whatever_is_written_is_read_back_as_text(
    shots: list[Photo], some: list[Companion], heading: str, where: Links, is_local: bool
) -> None:
    read = Reader(make(shots, some, heading, where, is_local=is_local))
    by_thumbnail = {address(where, "thumbs", photo.name): photo for photo in shots}
    for image in read.all("img"):
        photo = by_thumbnail[image["src"]]
        assert image["alt"] == shown(Path(photo.title).name or photo.title)
        assert (int(image["width"]), int(image["height"])) == photo.thumb_size
    by_share = {address(where, "share", photo.name): photo for photo in shots}
    for link in read.all("a"):
        if link["href"] in by_share:
            photo = by_share[link["href"]]
            assert link.get("data-camera", "") == shown(photo.camera or "")
            assert link["data-size"] == "{}x{}".format(*photo.share_size)
            assert int(link["data-bytes"]) == photo.share_bytes
    if heading.strip():
        assert "".join(read.said("title")) == shown(heading.strip())
    if is_local and some:
        assert not said(some) or read.said("bdi")[-len(said(some)) :] == said(some)


def said(some: list[Companion]) -> list[str]:
    """The paths of companions as text that is more than blanks."""
    return [shown(companion.path) for companion in some if shown(companion.path).strip()]
