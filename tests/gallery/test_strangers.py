"""What strangers try with a gallery: without a link, with one, on the network between, with a card of their own."""

import hashlib
import http.client
import http.server
import itertools
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from ghostroll.base.errors import StoreUnreachable
from ghostroll.store.s3 import Store
from tests.support.appliance import Appliance, connected, get, links, make_card, objects, save_photo

if TYPE_CHECKING:
    from tests.support.served import Served, SettingsMaker

WRITING = ("PUT", "POST", "DELETE")
REFUSED = (400, 403, 405)


@dataclass
class Gallery:
    """A gallery that was shared, and the bucket it lies in."""

    appliance: Appliance
    served: "Served"
    session: Path
    url: str

    @property
    def objects(self) -> dict[str, tuple[str, int]]:
        return objects(self.served, f"sessions/{self.session.name}/")

    @property
    def links(self) -> list[str]:
        """Every link that a guest gets: to the page, the zip, the share images and the thumbnails."""
        page = (self.session / "index.s3.html").read_text()
        return [self.url, *dict.fromkeys(link for link in links(page) if not link.startswith("data:"))]


def share(appliance: Appliance, served: "Served", seeds: range) -> Gallery:
    document = appliance.run(make_card(appliance.root / "card", seeds))
    return Gallery(appliance, served, Path(document["session_dir"]), document["url"])


@pytest.fixture(scope="module")
def gallery(served: "Served", tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gallery]:
    made = share(connected(tmp_path_factory.mktemp("gallery"), served), served, range(3))
    yield made
    made.appliance.kill_all()


def asked(method: str, url: str, **headers: str) -> int:
    """Send a request as a program that is no browser does; return the status."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    body = b"<script>alert(1)</script>" if method in WRITING else None
    connection.request(method, f"{parts.path}?{parts.query}" if parts.query else parts.path, body=body, headers=headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    assert answer.status != 200 or method == "GET" or not text
    return answer.status


# --- without a link


def test_without_a_link_no_object_of_any_kind_is_read_written_or_deleted(gallery: Gallery) -> None:
    before = gallery.objects
    kinds = {key.partition("/")[0] for key in before}
    assert kinds == {"index.html", "share.zip", "share", "thumbs"}
    for link, method in itertools.product(gallery.links, ("GET", "HEAD", *WRITING)):
        assert asked(method, link.partition("?")[0]) in REFUSED, (method, link)
    assert gallery.objects == before


def test_without_a_link_nothing_can_be_added_or_listed(gallery: Gallery) -> None:
    before = gallery.objects
    bucket = f"{gallery.served.endpoint.local_url}/{gallery.served.endpoint.bucket}"
    place = f"{bucket}/sessions/{gallery.session.name}/"
    for address in (place + "more.html", bucket + "/more.html"):
        assert all(asked(method, address) in REFUSED for method in WRITING)
    for query in ("list-type=2", f"prefix=sessions/{gallery.session.name}/", "versions", "uploads", "acl", "policy"):
        assert asked("GET", f"{bucket}?{query}") in REFUSED, query
    assert gallery.objects == before


# --- with a link


def test_a_link_opens_its_own_object_and_no_other(gallery: Gallery) -> None:
    for link, other in itertools.permutations(gallery.links, 2):
        forged = f"{other.partition('?')[0]}?{link.partition('?')[2]}"
        assert asked("GET", forged) == 403, (link, other)
    assert {get(link).status for link in gallery.links} == {200}


def test_a_link_writes_and_deletes_nothing(gallery: Gallery) -> None:
    before = gallery.objects
    for link, method in itertools.product(gallery.links, WRITING):
        assert asked(method, link) in REFUSED, (method, link)
    assert gallery.objects == before


@pytest.mark.parametrize(
    "more",
    [
        "response-content-type=text/html",
        "response-content-disposition=attachment%3Bfilename%3Dvirus.exe",
        "X-Amz-Expires=99999999",
        "list-type=2&prefix=",
        "acl",
        "tagging",
        "uploads",
    ],
)
def test_nothing_can_be_added_to_a_link(gallery: Gallery, more: str) -> None:
    for link in gallery.links:
        assert asked("GET", f"{link}&{more}") in REFUSED


def test_deleting_the_objects_ends_every_link_at_once(appliance: Appliance, served: "Served") -> None:
    gone = share(appliance, served, range(10, 12))
    assert {get(link).status for link in gone.links} == {200}
    for key in gone.objects:
        served.client.delete_object(Bucket=served.endpoint.bucket, Key=f"sessions/{gone.session.name}/{key}")
    assert {get(link).status for link in gone.links} == {404}


# --- whoever finds the machine


def test_the_secret_of_the_store_is_written_nowhere_and_never_said(gallery: Gallery) -> None:
    secret = gallery.served.endpoint.secret_key.encode()
    files = [file for file in gallery.appliance.root.rglob("*") if file.is_file()]
    assert {"ghostroll.db", "status.json", "ghostroll.log", "out0", "err0", "index.s3.html"} <= {f.name for f in files}
    assert [file for file in files if secret in file.read_bytes()] == []
    assert [link for link in gallery.links if secret in get(link).body] == []


# --- the network between


@pytest.fixture
def impostor(tmp_path: Path) -> Iterator[http.server.HTTPServer]:
    """A server that speaks TLS with a certificate that nobody vouches for; `requests` is what it was told."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl(1) is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, *subject, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with Impostor(("127.0.0.1", 0), Heard) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class Impostor(http.server.HTTPServer):
    heard = 0

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a handshake that was broken off."""


class Heard(http.server.BaseHTTPRequestHandler):
    def do_PUT(self) -> None:
        Impostor.heard += 1
        self.send_response(200)
        self.end_headers()

    do_GET = do_PUT  # noqa: N815 - http.server's names


def test_a_server_that_nobody_vouches_for_is_told_nothing(
    impostor: http.server.HTTPServer, store_settings: "SettingsMaker", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    address = f"https://127.0.0.1:{impostor.server_port}"
    store = Store.open(
        store_settings(tmp_path / "base", s3_bucket="photos", s3_endpoint_url=address, s3_region="us-east-1")
    )
    body = b"a picture"
    with pytest.raises(StoreUnreachable):
        store.put(
            "a.jpg",
            body,
            sha256=hashlib.sha256(body).hexdigest(),
            size_bytes=len(body),
            content_type="image/jpeg",
            cache_control="private",
        )
    with pytest.raises(StoreUnreachable):
        store.fetch(f"{address}/photos/a.jpg")
    store.close()
    assert Impostor.heard == 0


# --- a card of their own


def test_a_picture_called_like_a_directory_of_pictures_gets_another_name(appliance: Appliance) -> None:
    card = make_card(appliance.root / "card", range(2))
    folder = card / "DCIM/100CANON"
    save_photo(folder / "A.jpg" / "IMG_0009.JPG", 9)
    save_photo(appliance.root / "small.jpg", 10, (60, 40)).rename(folder / "A.png")
    document = appliance.run(card)
    assert document["derived"] == 4
    assert get(document["url"]).status == 200
    originals = Path(document["session_dir"]) / "originals"
    assert sum(file.is_file() for file in originals.rglob("*")) == 4
