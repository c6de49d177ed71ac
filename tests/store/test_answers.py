"""What stores, portals and broken networks answer, and what a photographer is told.

A small HTTP server gives the answers that no store can be asked for; the client that reads them is the real one.
"""

import hashlib
import http.server
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from ghostroll.base import config
from ghostroll.base.config import Settings
from ghostroll.base.errors import ConfigurationError, CredentialsRefused, FileFailed, GhostrollError, StoreUnreachable
from ghostroll.store import client, fetching
from ghostroll.store.s3 import Store

BODY = b"a picture"


@dataclass
class Canned:
    """The next answer, and what was asked."""

    port: int = 0
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def error(self, status: int, code: str, message: str = "", more: str = "") -> None:
        self.status = status
        text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message>{more}</Error>"
        self.body = text.encode()


@pytest.fixture
def canned() -> Iterator[Canned]:
    answer = Canned()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def give(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer.requests.append((self.command, self.path, dict(self.headers)))
            self.send_response(answer.status)
            for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = give  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        answer.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield answer
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Leave nothing of AWS but a pair of keys."""
    for name in list(os.environ):
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


def settings(**flags: Any) -> Settings:
    return config.load({"s3_bucket": "photos", **flags}, {}, os.devnull).settings


@pytest.fixture
def store(canned: Canned) -> Iterator[Store]:
    opened = Store.open(settings(s3_endpoint_url=f"http://127.0.0.1:{canned.port}"))
    yield opened
    opened.close()


def put(store: Store) -> None:
    store.put(
        "a.jpg",
        BODY,
        sha256=hashlib.sha256(BODY).hexdigest(),
        size_bytes=len(BODY),
        content_type="image/jpeg",
        cache_control="private",
    )


def listed(store: Store) -> None:
    store.listing("a/")


def fetched(store: Store) -> None:
    store.fetch(store.presigner(60, datetime.now(UTC))("a.jpg"))


ASKING: list[Callable[[Store], None]] = [put, listed, fetched]
# Status, code and text of the answer; our error, and what its message or hint must say.
ANSWERS: list[tuple[int, str, str, type[GhostrollError], str]] = [
    (404, "NoSuchBucket", "", ConfigurationError, "s3_bucket"),
    (301, "PermanentRedirect", "", ConfigurationError, "s3_region"),
    (400, "AuthorizationHeaderMalformed", "wrong; expecting 'eu-west-3'", ConfigurationError, "eu-west-3"),
    (400, "AuthorizationQueryParametersError", "expires must be less", ConfigurationError, "expires"),
    (400, "InvalidBucketName", "", ConfigurationError, "InvalidBucketName"),
    (501, "NotImplemented", "A header", ConfigurationError, "A header"),
    (500, "InternalError", "", StoreUnreachable, "InternalError"),
    (503, "SlowDown", "", StoreUnreachable, "SlowDown"),
    (502, "", "", StoreUnreachable, "502"),
    (403, "RequestTimeTooSkewed", "", StoreUnreachable, "clock"),
    (403, "AccessDenied", "Request has expired", StoreUnreachable, "clock"),
    (403, "AccessDenied", "Request is not yet valid", StoreUnreachable, "clock"),
]
REFUSALS = ["AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"]


@pytest.mark.parametrize("ask", ASKING)
@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_is_told_in_our_words(
    store: Store,
    canned: Canned,
    ask: Callable[[Store], None],
    answer: tuple[int, str, str, type[GhostrollError], str],
) -> None:
    status, code, text, error, told = answer
    canned.error(status, code, text)
    with pytest.raises(error) as caught:
        ask(store)
    assert told in f"{caught.value} {caught.value.hint}"
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ask", [put, fetched])
@pytest.mark.parametrize("code", REFUSALS)
def test_a_refusal_is_of_the_credentials(store: Store, canned: Canned, ask: Callable[[Store], None], code: str) -> None:
    canned.error(403, code)
    with pytest.raises(CredentialsRefused, match=code):
        ask(store)


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidToken"])
def test_an_expired_token_is_a_refusal_whatever_the_status(store: Store, canned: Canned, code: str) -> None:
    canned.error(400, code)
    with pytest.raises(CredentialsRefused, match=code):
        put(store)


def test_a_bad_digest_is_one_files_fault(store: Store, canned: Canned) -> None:
    canned.error(400, "BadDigest")
    with pytest.raises(FileFailed):
        put(store)


def test_the_right_region_is_told_where_the_answer_knows_it(store: Store, canned: Canned) -> None:
    canned.error(301, "PermanentRedirect", "must be addressed elsewhere")
    canned.headers = {"x-amz-bucket-region": "eu-north-1"}
    with pytest.raises(ConfigurationError, match="eu-north-1") as caught:
        put(store)
    assert caught.value.hint == "Set s3_region to eu-north-1."
    assert len(canned.requests) == 1, "the client must not follow to another region by itself"


@pytest.mark.parametrize("ask", ASKING)
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (302, b""),
        (307, b"<html>"),
        (200, b"<html><body>Welcome to Hotel WLAN</body></html>"),
        (200, b"<html><br>not even XML"),
        (200, b""),
        (404, b"nginx"),
        (511, b"Network Authentication Required"),
        (405, b""),
    ],
)
def test_a_login_page_is_no_store(
    store: Store, canned: Canned, ask: Callable[[Store], None], status: int, body: bytes
) -> None:
    canned.status, canned.body = status, body
    canned.headers = {"Location": f"http://127.0.0.1:{canned.port}/login"} if status < 400 else {}
    if ask is fetched and status == 200:
        assert store.fetch(store.presigner(60, datetime.now(UTC))("a.jpg")) == body
        return
    with pytest.raises(StoreUnreachable):
        ask(store)
    assert "/login" not in [path for _, path, _ in canned.requests]


def test_a_login_page_with_an_etag_has_taken_no_upload(store: Store, canned: Canned) -> None:
    canned.body = b"<html><body>Welcome to Hotel WLAN</body></html>"
    canned.headers = {"ETag": '"5d41402a"', "Content-Type": "text/html; charset=utf-8"}
    with pytest.raises(StoreUnreachable, match="does not answer like an S3 store"):
        put(store)


@pytest.mark.parametrize("ask", ASKING)
@pytest.mark.parametrize("status", [401, 403, 500])
def test_a_login_page_that_refuses_is_no_refusal_of_our_keys(
    store: Store, canned: Canned, ask: Callable[[Store], None], status: int
) -> None:
    canned.status, canned.body = status, b"<html><br>Please sign in</html>"
    canned.headers = {"Content-Type": "text/html"}
    with pytest.raises(StoreUnreachable, match="does not answer like an S3 store"):
        ask(store)


@pytest.mark.parametrize(("status", "code"), [(403, "AccessDenied"), (501, "NotImplemented"), (503, "SlowDown")])
def test_uploads_that_cannot_be_listed_are_left_alone(store: Store, canned: Canned, status: int, code: str) -> None:
    canned.error(status, code)
    store.abort_unfinished("sessions/")
    assert {method for method, _, _ in canned.requests} == {"GET"}


def test_a_page_that_never_ends_is_not_read_for_ever(
    store: Store, canned: Canned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "_BODY_BYTES_MOST", 1000)
    canned.body = bytes(2000)
    with pytest.raises(StoreUnreachable, match="does not end"):
        store.fetch(store.presigner(60, datetime.now(UTC))("a.jpg"))


def test_an_upload_says_no_more_than_it_must(store: Store, canned: Canned) -> None:
    canned.headers = {"ETag": '"x"'}
    put(store)
    ((method, path, headers),) = canned.requests
    sent = {name.lower(): value for name, value in headers.items()}
    assert (method, path) == ("PUT", "/photos/a.jpg")
    assert "expect" not in sent
    assert "x-amz-acl" not in sent
    assert "x-amz-trailer" not in sent
    assert sent["authorization"].startswith("AWS4-HMAC-SHA256 ")
    assert "x-amz-checksum-sha256" in sent["authorization"], "the checksum must be signed"
    assert sent["content-type"] == "image/jpeg"
    assert sent["cache-control"] == "private"


@pytest.mark.parametrize("ask", ASKING)
def test_a_connection_that_is_reset_is_unreachable(ask: Callable[[Store], None]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def slam() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    connection.close()

        thread = threading.Thread(target=slam)
        thread.start()
        store = Store.open(settings(s3_endpoint_url=f"http://127.0.0.1:{listener.getsockname()[1]}"))
        with pytest.raises(StoreUnreachable):
            ask(store)
        store.close()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize("ask", ASKING)
def test_an_unknown_host_is_unreachable(ask: Callable[[Store], None]) -> None:
    store = Store.open(settings(s3_endpoint_url="https://no-such-host.invalid"))
    with pytest.raises(StoreUnreachable, match=r"no-such-host\.invalid") as caught:
        ask(store)
    assert "Error" not in str(caught.value), "no name of a class"
    store.close()


def test_a_server_without_tls_is_unreachable(canned: Canned) -> None:
    store = Store.open(settings(s3_endpoint_url=f"https://127.0.0.1:{canned.port}"))
    with pytest.raises(StoreUnreachable):
        put(store)
    store.close()


@pytest.mark.parametrize("status", [200, 301, 403])
def test_the_buckets_region_is_asked_for(canned: Canned, status: int) -> None:
    canned.status, canned.headers = status, {"x-amz-bucket-region": "ap-southeast-2"}
    connection = client.connect(settings(s3_endpoint_url=f"http://127.0.0.1:{canned.port}"), "photos")
    assert client._region_of(connection.client, "photos") == "ap-southeast-2"
    connection.client.close()


def test_a_bucket_that_does_not_exist_is_noticed_while_asking_for_its_region(canned: Canned) -> None:
    canned.status = 404
    connection = client.connect(settings(s3_endpoint_url=f"http://127.0.0.1:{canned.port}"), "photos")
    with pytest.raises(ConfigurationError, match="s3_bucket"):
        client._region_of(connection.client, "photos")
    connection.client.close()


@pytest.mark.parametrize(
    ("flags", "environment", "base"),
    [
        ({"s3_region": "eu-central-1"}, {}, "https://photos.s3.eu-central-1.amazonaws.com"),
        ({"s3_region": "us-east-1"}, {}, "https://photos.s3.us-east-1.amazonaws.com"),
        ({"s3_region": "cn-north-1"}, {}, "https://photos.s3.cn-north-1.amazonaws.com.cn"),
        (
            {"s3_region": "eu-west-1", "s3_bucket": "a.dotted.name"},
            {},
            "https://s3.eu-west-1.amazonaws.com/a.dotted.name",
        ),
        ({}, {"AWS_DEFAULT_REGION": "eu-west-2"}, "https://photos.s3.eu-west-2.amazonaws.com"),
        ({"s3_endpoint_url": "https://s3.example.com"}, {}, "https://s3.example.com/photos"),
        ({}, {"AWS_ENDPOINT_URL": "https://s3.example.com:9000"}, "https://s3.example.com:9000/photos"),
        ({}, {"AWS_ENDPOINT_URL_S3": "https://s3.example.com"}, "https://s3.example.com/photos"),
    ],
)
def test_a_link_names_the_right_host(
    flags: dict[str, str], environment: dict[str, str], base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    store = Store.open(settings(**flags))
    link = store.presigner(60, datetime.now(UTC))("a b.jpg")
    assert link.startswith(f"{base}/a%20b.jpg?X-Amz-Algorithm=AWS4-HMAC-SHA256&")
    parts = urlsplit(base)
    assert store.image_origin() == f"{parts.scheme}://{parts.netloc}"
    assert store.credentials_expire_at() is None
    store.close()


def test_no_credentials_are_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(CredentialsRefused) as caught:
        Store.open(settings(s3_region="eu-central-1"))
    assert caught.value.hint


@pytest.mark.parametrize("variables", [{"AWS_PROFILE": "nobody"}, {"AWS_SECRET_ACCESS_KEY": ""}])
def test_half_a_credential_is_a_refusal(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(CredentialsRefused):
        Store.open(settings(s3_region="eu-central-1"))


def test_temporary_credentials_say_when_they_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", "2099-01-02T03:04:05Z")
    store = Store.open(settings(s3_region="eu-central-1"))
    assert store.credentials_expire_at() == datetime(2099, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert "&X-Amz-Security-Token=token&" in store.presigner(60, datetime.now(UTC))("a")
    store.close()


def test_temporary_credentials_of_unknown_end_are_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("ghostroll.base.log.logger.handlers", [])
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    store = Store.open(settings(s3_region="eu-central-1"))
    assert store.credentials_expire_at() is None
    assert store.credentials_expire_at() is None
    assert len([line for line in caplog.messages if "temporary" in line]) == 1
    store.close()


def test_naming_the_store_does_not_load_boto3() -> None:
    code = "import sys, ghostroll.store, ghostroll.embedded; print('boto3' in sys.modules or 'botocore' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
