"""Presigned links, opened as a guest would: by plain HTTP, with nothing but the link."""

import hashlib
import unicodedata
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from ghostroll.base.errors import ConfigurationError, CredentialsRefused, NotSharedYet, StoreUnreachable
from ghostroll.base.session_paths import Session, object_name
from ghostroll.store.s3 import Store

if TYPE_CHECKING:
    from tests.support.served import Served

WEEK_SECONDS = 604_800
HOSTILE_NAMES = [
    "%2e%2e%2fetc.jpg",
    "-rf.jpg",
    "<img src=x onerror=alert(1)>.jpg",
    "Foto Straße Ñandú 写真 😀.jpg",
    "IMG 0001 (1).JPG",
    unicodedata.normalize("NFC", "café.jpg"),
    unicodedata.normalize("NFD", "café.jpg"),
    'it\'s "quoted" & $HOME `id`.jpg',
    "noextension",
    "a+b=20c=%3D;d,e@f!~.jpg",
    "back\\slash|pipe*star?.jpg",
    "line\nbreak\ttab\x7f\x01.jpg",
    "\u202egpj.exe\u200b.jpg",
    "...",
    " leading and trailing ",
    "broken \udcff\udcfe bytes.jpg",
    # The longest name that FAT and exFAT keep: 255 UTF-16 units. S3 stores on a filesystem take 255 bytes.
    "é" * 251 + ".jpg",
    "x" * 250 + ".jpg",
]


def put(store: Store, key: str, body: bytes) -> None:
    store.put(
        key,
        body,
        sha256=hashlib.sha256(body).hexdigest(),
        size_bytes=len(body),
        content_type="image/jpeg",
        cache_control="private",
    )


def link_to(store: Store, key: str, *, seconds: int = WEEK_SECONDS, ago: timedelta = timedelta()) -> str:
    return store.presigner(seconds, datetime.now(UTC) - ago)(key)


def opened(link: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
    request = urllib.request.Request(link, method=method, headers=headers, data=b"x" if method == "PUT" else None)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=ascii)
def test_any_name_of_a_card_makes_the_round_trip(store: Store, served: "Served", name: str) -> None:
    session = Session("shoot-names", served.settings.base_dir, "sessions/")
    for key in (session.share_key(f"DCIM/{name}"), session.thumbnail_key(f"DCIM/sub dir/{name}")):
        body = key.encode()
        put(store, key, body)
        assert (store.listing(key) or {}).get(key) == len(body)
        assert opened(link_to(store, key)) == (200, body)
        assert store.fetch(link_to(store, key)) == body


def test_composed_and_decomposed_names_stay_two_objects(store: Store) -> None:
    keys = [object_name("nf/" + unicodedata.normalize(form, "café.jpg")) for form in ("NFC", "NFD")]
    for key in keys:
        put(store, key, key.encode())
    assert [store.fetch(link_to(store, key)) for key in keys] == [key.encode() for key in keys]


def test_links_are_of_signature_version_4(store: Store) -> None:
    query = parse_qs(urlsplit(link_to(store, "a.jpg")).query)
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert query["X-Amz-Expires"] == ["604800"]
    assert not {"AWSAccessKeyId", "Signature", "Expires"} & set(query)


def test_a_page_comes_as_it_is_stored(store: Store) -> None:
    body = bytes.fromhex("1f8b08") + b"not really gzip"
    digest = hashlib.sha256(body).hexdigest()
    store.put(
        "page/index.html",
        body,
        sha256=digest,
        size_bytes=len(body),
        content_type="text/html",
        cache_control="no-store",
        content_encoding="gzip",
    )
    assert store.fetch(link_to(store, "page/index.html")) == body


def test_an_altered_link_is_refused(store: Store) -> None:
    put(store, "links/a.jpg", b"a")
    put(store, "links/b.jpg", b"b")
    link = link_to(store, "links/a.jpg", seconds=60)
    last = "1" if link[-1] == "0" else "0"
    for altered in (
        link.replace("/a.jpg", "/b.jpg"),
        link.replace("X-Amz-Expires=60", "X-Amz-Expires=600"),
        link[:-1] + last,
        link.partition("?")[0],
    ):
        assert opened(altered)[0] == 403
        with pytest.raises(CredentialsRefused):
            store.fetch(altered)


def test_a_link_serves_one_method_only(store: Store) -> None:
    put(store, "links/method.jpg", b"a")
    link = link_to(store, "links/method.jpg")
    assert [opened(link, method)[0] for method in ("PUT", "DELETE", "HEAD")] == [403, 403, 403]
    assert opened(link) == (200, b"a")


def test_a_part_of_an_object_can_be_asked_for(store: Store) -> None:
    put(store, "links/range.jpg", b"0123456789")
    assert opened(link_to(store, "links/range.jpg"), Range="bytes=2-4") == (206, b"234")


def test_an_expired_link_is_refused_and_hints_at_the_clock(store: Store) -> None:
    put(store, "links/old.jpg", b"a")
    link = link_to(store, "links/old.jpg", seconds=60, ago=timedelta(minutes=2))
    assert opened(link)[0] == 403
    with pytest.raises(StoreUnreachable) as caught:
        store.fetch(link)
    assert "clock" in caught.value.hint


def test_more_than_seven_days_are_refused(store: Store) -> None:
    put(store, "links/week.jpg", b"a")
    assert opened(link_to(store, "links/week.jpg"))[0] == 200
    assert opened(link_to(store, "links/week.jpg", seconds=WEEK_SECONDS + 1))[0] == 400
    with pytest.raises(ConfigurationError):
        store.fetch(link_to(store, "links/week.jpg", seconds=WEEK_SECONDS + 1))


def test_a_link_to_nothing_is_not_shared_yet(store: Store) -> None:
    with pytest.raises(NotSharedYet):
        store.fetch(link_to(store, "links/nothing.jpg"))
