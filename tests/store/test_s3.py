"""What the store keeps, refuses and says, against a real S3 server."""

import hashlib
import http.client
import logging
import os
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from ghostroll.base.errors import ConfigurationError, CredentialsRefused, FileFailed, StoreUnreachable
from ghostroll.embedded.seaweedfs import free_ports
from ghostroll.store.s3 import Store
from ghostroll.store.sending import PART_BYTES

if TYPE_CHECKING:
    from tests.support.served import Served


def put(store: Store, key: str, body: Path | bytes, **changes: Any) -> None:
    content = body if isinstance(body, bytes) else body.read_bytes()
    arguments: dict[str, Any] = {
        "sha256": hashlib.sha256(content).hexdigest(),
        "size_bytes": len(content),
        "content_type": "image/jpeg",
        "cache_control": "private, max-age=86400",
    }
    store.put(key, body, **{**arguments, **changes})


def test_what_is_put_is_there_with_its_headers(store: Store, served: "Served") -> None:
    put(store, "headers/index.html", b"zipped", content_type="text/html; charset=utf-8", content_encoding="gzip")
    answer = served.client.get_object(Bucket=served.endpoint.bucket, Key="headers/index.html")
    assert answer["Body"].read() == b"zipped"
    assert answer["ContentType"] == "text/html; charset=utf-8"
    assert answer["CacheControl"] == "private, max-age=86400"
    assert answer["ContentEncoding"] == "gzip"


def test_a_listing_knows_keys_and_sizes(store: Store) -> None:
    put(store, "listed/a é ü.jpg", b"1")
    put(store, "listed/b/c+d%20.jpg", b"123")
    put(store, "other/x.jpg", b"1")
    assert store.listing("listed/") == {"listed/a é ü.jpg": 1, "listed/b/c+d%20.jpg": 3}
    assert store.listing("nothing here/") == {}


def test_a_listing_goes_on_past_a_thousand(store: Store) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: put(store, f"many/{number:04}", b"x"), range(1005)))
    assert len(store.listing("many/") or {}) == 1005


def test_a_wrong_checksum_stores_nothing(store: Store) -> None:
    with pytest.raises(FileFailed):
        put(store, "wrong/checksum.jpg", b"flipped bit", sha256=hashlib.sha256(b"flipped bjt").hexdigest())
    assert store.listing("wrong/") == {}


def test_a_file_that_shrank_or_grew_stores_nothing(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "a.jpg"
    file.write_bytes(b"1234")
    for size_bytes in (3, 5):
        with pytest.raises(FileFailed, match="is not the file it was"):
            put(store, "resized/a.jpg", file, size_bytes=size_bytes)
    assert store.listing("resized/") == {}


def test_a_file_that_cannot_be_read_is_its_own_fault(store: Store, tmp_path: Path) -> None:
    with pytest.raises(FileFailed, match=r"gone\.jpg"):
        store.put(
            "x", tmp_path / "gone.jpg", sha256="0" * 64, size_bytes=1, content_type="image/jpeg", cache_control=""
        )


def test_an_empty_object_is_kept(store: Store) -> None:
    put(store, "empty/a.jpg", b"")
    assert store.listing("empty/") == {"empty/a.jpg": 0}


def test_a_large_file_goes_up_in_parts(store: Store, served: "Served", tmp_path: Path) -> None:
    file = tmp_path / "share.zip"
    file.write_bytes(os.urandom(2 * PART_BYTES + 12345))
    put(store, "large/share.zip", file, content_type="application/zip")
    answer = served.client.get_object(Bucket=served.endpoint.bucket, Key="large/share.zip")
    assert hashlib.sha256(answer["Body"].read()).digest() == hashlib.sha256(file.read_bytes()).digest()
    assert answer["ContentType"] == "application/zip"
    assert answer["CacheControl"] == "private, max-age=86400"
    assert answer["ETag"].strip('"').endswith("-3")


def test_a_large_file_that_changed_leaves_nothing(store: Store, served: "Served", tmp_path: Path) -> None:
    file = tmp_path / "share.zip"
    file.write_bytes(bytes(PART_BYTES + 1))
    with pytest.raises(FileFailed, match="SHA-256 has changed"):
        put(store, "changed/share.zip", file, sha256="0" * 64)
    assert store.listing("changed/") == {}
    assert not served.client.list_multipart_uploads(Bucket=served.endpoint.bucket).get("Uploads")


def test_eight_threads_share_a_store(store: Store) -> None:
    bodies = [os.urandom(50_000) for _ in range(64)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: put(store, f"threads/{number}", bodies[number]), range(64)))
    assert store.listing("threads/") == {f"threads/{number}": 50_000 for number in range(64)}


def test_an_unknown_bucket_names_the_setting(served: "Served") -> None:
    store = Store.open(served.settings, endpoint=replace(served.endpoint, bucket="no-such-bucket"))
    with pytest.raises((ConfigurationError, CredentialsRefused)):
        put(store, "a.jpg", b"1")
    store.close()


def test_a_wrong_secret_is_refused(served: "Served") -> None:
    store = Store.open(served.settings, endpoint=replace(served.endpoint, secret_key="wrong"))
    with pytest.raises(CredentialsRefused):
        put(store, "a.jpg", b"1")
    store.close()


def test_an_unknown_access_key_is_refused(served: "Served") -> None:
    store = Store.open(served.settings, endpoint=replace(served.endpoint, access_key="GRUNKNOWN"))
    with pytest.raises(CredentialsRefused):
        put(store, "a.jpg", b"1")
    store.close()


def test_a_server_that_is_down_is_noticed_quickly(served: "Served") -> None:
    nowhere = f"http://127.0.0.1:{free_ports(1)[0]}"
    store = Store.open(served.settings, endpoint=replace(served.endpoint, local_url=nowhere, url=nowhere))
    started = time.monotonic()
    for attempt in (
        lambda: put(store, "a.jpg", b"1"),
        lambda: store.listing(""),
        lambda: store.fetch(f"{nowhere}/ghostroll/a.jpg?X-Amz-Signature=0"),
    ):
        with pytest.raises(StoreUnreachable, match=r"127\.0\.0\.1") as caught:
            attempt()
        assert caught.value.hint
    assert time.monotonic() - started < 25, "a connection that is refused needs no time-out"
    store.close()


def test_a_store_that_may_not_be_listed_says_so_once(served: "Served", caplog: pytest.LogCaptureFixture) -> None:
    store = Store.open(served.settings, endpoint=replace(served.endpoint, secret_key="wrong"))
    with caplog.at_level(logging.INFO, "ghostroll"):
        assert store.listing("a/") is None
        assert store.listing("b/") is None
    assert len([line for line in caplog.messages if "may not be listed" in line]) == 1
    store.close()


def test_the_identity_outlives_a_change_of_address(served: "Served") -> None:
    moved = replace(served.endpoint, url="http://192.0.2.7:8333")
    stores = [Store.open(served.settings, endpoint=endpoint) for endpoint in (served.endpoint, moved)]
    assert stores[0].identity == stores[1].identity
    assert stores[1].image_origin() == "http://192.0.2.7:8333"
    for store in stores:
        store.close()


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_strangers_are_refused(store: Store, served: "Served", method: str) -> None:
    put(store, "private/a.jpg", b"secret")
    for path in ("/ghostroll/private/a.jpg", "/ghostroll/?list-type=2", "/ghostroll", "/"):
        connection = http.client.HTTPConnection(urlsplit(served.endpoint.local_url).netloc)
        connection.request(method, path, body=b"x" if method == "PUT" else None)
        answer = connection.getresponse()
        assert answer.status in {403, 405}, (method, path)
        assert b"secret" not in answer.read()
        connection.close()


def test_no_object_has_a_public_grant(store: Store, served: "Served") -> None:
    put(store, "acl/a.jpg", b"1")
    request = urllib.request.Request(f"{served.endpoint.url}/ghostroll/acl/a.jpg")
    with pytest.raises(urllib.error.HTTPError, match="403") as caught:
        urllib.request.urlopen(request)
    caught.value.close()
