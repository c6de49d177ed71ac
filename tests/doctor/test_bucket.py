"""`ghostroll doctor` and the store: good, public, out of reach, refusing, without a right; nothing stays in it."""

import json
import re
import secrets
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pytest

from ghostroll.embedded.seaweedfs import free_ports
from tests.support.appliance import (
    Appliance,
    connected,
    get,
    make_appliance,
    make_card,
    objects,
    terminated,
    tree,
    wait_until,
)

if TYPE_CHECKING:
    from tests.support.served import Served

MARK = ".doctor-"
FAKETIME = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
OF_THE_STORE = "store", "store-write", "store-link", "store-private", "store-delete"
DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


def doctor(appliance: Appliance, code: int, **environment: str) -> dict[str, Any]:
    ended = appliance.call("doctor", "--json", **environment)
    document: dict[str, Any] = ended.document
    assert ended.code == code, document
    assert document["exit_code"] == code
    return document


def found(document: dict[str, Any], *names: str) -> list[tuple[str, str]]:
    return [(each["name"], each["verdict"]) for each in document["findings"] if each["name"] in names]


def of(document: dict[str, Any], name: str, verdict: str) -> dict[str, Any]:
    (finding,) = (each for each in document["findings"] if (each["name"], each["verdict"]) == (name, verdict))
    chosen: dict[str, Any] = finding
    return chosen


@pytest.fixture
def apart(served: "Served", tmp_path: Path) -> Appliance:
    """An appliance with a part of the bucket of its own."""
    return connected(tmp_path, served, GHOSTROLL_S3_PREFIX_ROOT=f"doctor-{secrets.token_hex(4)}/")


# A store as it should be


def test_a_good_store_is_tried_and_nothing_stays(apart: Appliance, served: "Served") -> None:
    document = doctor(apart, 0)
    assert found(document, *OF_THE_STORE) == [
        ("store", "ok"),
        ("store-write", "ok"),
        ("store-link", "ok"),
        ("store-private", "ok"),
        ("store-private", "ok"),
        ("store-delete", "ok"),
    ]
    assert found(document, "credentials") == [("credentials", "ok")]
    assert ("clock", "ok") in found(document, "clock")
    assert objects(served, apart.prefix_root) == {}
    assert tree(apart.root).keys() == {"out0", "err0"}


def test_without_json_each_finding_is_a_line(apart: Appliance) -> None:
    ended = apart.call("doctor")
    assert ended.code == 0
    lines = [line for line in ended.out.splitlines() if line]
    assert all(line.startswith(("ok ", "warning ", "         -> ")) for line in lines[:-1]), ended.out
    assert "The store" not in ended.err
    assert apart.environment["AWS_SECRET_ACCESS_KEY"] not in ended.out


def test_it_changes_nothing_of_what_is_saved_and_shared(apart: Appliance, served: "Served", tmp_path: Path) -> None:
    apart.run(make_card(tmp_path / "card", range(3)))
    disk, bucket = tree(apart.base), objects(served, apart.prefix_root)
    catalog = tree(apart.database.parent)
    assert found(doctor(apart, 0), "catalog", "sessions") == [("catalog", "ok"), ("sessions", "ok")]
    assert tree(apart.base) == disk
    assert tree(apart.database.parent) == catalog
    assert objects(served, apart.prefix_root) == bucket


def test_what_a_killed_doctor_left_is_taken_out(apart: Appliance, served: "Served") -> None:
    now = datetime.now(UTC)
    names = {age: f"{MARK}{now - age:%Y%m%dT%H%M%SZ}-0123abcd" for age in (timedelta(hours=1), timedelta(0))}
    others = [f"{MARK}notes.txt", "shoot-2026-06-01_120000_000000/index.html"]
    for name in (*names.values(), *others):
        served.client.put_object(Bucket=served.endpoint.bucket, Key=apart.prefix_root + name, Body=b"x")
    doctor(apart, 0)
    assert objects(served, apart.prefix_root).keys() == {names[timedelta(0)], *others}


@pytest.mark.skipif(not FAKETIME, reason="libfaketime is not installed")
def test_a_wrong_clock_is_told_by_the_stores(apart: Appliance, served: "Served") -> None:
    wrong = {"LD_PRELOAD": str(FAKETIME[0]), "FAKETIME": "-3h", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    document = doctor(apart, 0, **wrong)
    assert "3 hours slow" in of(document, "clock", "warning")["text"]
    assert ("store-link", "ok") in found(document, "store-link")
    assert objects(served, apart.prefix_root) == {}


# Stores as they should not be


@dataclass
class Bucket:
    """A small store that lets everybody in, or refuses what it is told to refuse; S3 just as far as it is asked."""

    refused: tuple[str, ...] = ()
    error: bytes = DENIED
    status: int = 403
    strangers: tuple[str, ...] = ()
    slow: threading.Event | None = None
    objects: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)

    def answer(self, method: str, target: str, body: bytes, *, known: bool) -> tuple[int, bytes]:
        parts = urlsplit(target)
        is_list = "list-type=2" in parts.query
        what = "LIST" if is_list else method
        self.asked.append((what, "known" if known else "stranger"))
        if what in self.refused or (not known and what not in self.strangers):
            return self.status, self.error
        key = unquote(parts.path)
        if is_list:
            keys = "".join(
                f"<Contents><Key>{each.partition('/galleries/')[2]}</Key><Size>1</Size></Contents>"
                for each in self.objects
            )
            return 200, f"<ListBucketResult><Name>galleries</Name>{keys}</ListBucketResult>".encode()
        if method == "PUT":
            self.objects[key] = body
            return 200, b""
        if method == "DELETE":
            self.objects.pop(key, None)
            return 204, b""
        if key in self.objects:
            if self.slow:
                self.slow.wait(30)
            return 200, self.objects[key]
        return 404, b"<Error><Code>NoSuchKey</Code></Error>"


@contextmanager
def serving(bucket: Bucket) -> Iterator[str]:
    class Desk(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def take(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            known = "Authorization" in self.headers or "X-Amz-Signature" in self.path
            status, content = bucket.answer(self.command, self.path, body, known=known)
            self.send_response(status)
            self.send_header("x-amz-request-id", "1")
            self.send_header("ETag", '"0"')
            if status != 204:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_HEAD = do_PUT = do_DELETE = take  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Leave it: a client that was interrupted does not wait for its answer."""

    with Server(("127.0.0.1", 0), Desk) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def customer(root: Path, address: str, **environment: str) -> Appliance:
    return make_appliance(
        root,
        AWS_ACCESS_KEY_ID="KEY",
        AWS_SECRET_ACCESS_KEY="S3CR3T",
        GHOSTROLL_S3_BUCKET="galleries",
        GHOSTROLL_S3_ENDPOINT_URL=address,
        GHOSTROLL_S3_REGION="eu-central-1",
        **environment,
    )


def test_the_small_store_is_taken_for_a_good_one_while_it_refuses_strangers(tmp_path: Path) -> None:
    bucket = Bucket()
    with serving(bucket) as address:
        doctor(customer(tmp_path, address), 0)
    assert bucket.objects == {}
    assert ("GET", "stranger") in bucket.asked
    assert ("LIST", "stranger") in bucket.asked


@pytest.mark.parametrize(
    ("strangers", "words"), [(("GET",), "open its pictures without a link"), (("LIST",), "list what is in it")]
)
def test_a_public_bucket_is_shouted_about(tmp_path: Path, strangers: tuple[str, ...], words: str) -> None:
    bucket = Bucket(strangers=strangers)
    with serving(bucket) as address:
        appliance = customer(tmp_path, address)
        document = doctor(appliance, 78)
        said = appliance.call("doctor").out
    finding = of(document, "store-private", "failed")
    assert finding["text"].startswith("THE BUCKET IS PUBLIC")
    assert words in finding["text"]
    assert finding["fix"].startswith("Share nothing")
    assert re.search(r"^FAILED   THE BUCKET IS PUBLIC", said, re.MULTILINE)
    assert bucket.objects == {}


def test_who_may_not_delete_puts_nothing_in(tmp_path: Path) -> None:
    bucket = Bucket(refused=("DELETE",))
    with serving(bucket) as address:
        document = doctor(customer(tmp_path, address), 0)
    assert "s3:DeleteObject" in of(document, "store-delete", "warning")["fix"]
    assert bucket.objects == {}
    assert "PUT" not in {method for method, _ in bucket.asked}


def test_who_may_not_delete_is_still_told_of_a_public_gallery(tmp_path: Path) -> None:
    bucket = Bucket(refused=("DELETE",))
    with serving(bucket) as address:
        appliance = customer(tmp_path, address)
        appliance.run(make_card(tmp_path / "card", range(1)))
        kept = dict(bucket.objects)
        assert found(doctor(appliance, 0), "store-private") == [("store-private", "ok")] * 2
        bucket.strangers = ("GET",)
        of(doctor(appliance, 78), "store-private", "failed")
    assert bucket.objects == kept


@pytest.mark.parametrize("refused", ["PUT", "GET"])
def test_a_missing_right_is_77_and_nothing_stays(tmp_path: Path, refused: str) -> None:
    bucket = Bucket(refused=(refused,))
    with serving(bucket) as address:
        document = doctor(customer(tmp_path, address), 77)
    finding = of(document, "store-write" if refused == "PUT" else "store-link", "failed")
    assert "AccessDenied" in finding["text"]
    assert finding["fix"]
    assert bucket.objects == {}


@pytest.mark.parametrize("code", ["InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"])
def test_refused_credentials_are_77(tmp_path: Path, code: str) -> None:
    error = f"<Error><Code>{code}</Code><Message>No.</Message></Error>".encode()
    bucket = Bucket(refused=("LIST", "PUT", "GET", "DELETE"), error=error)
    with serving(bucket) as address:
        document = doctor(customer(tmp_path, address), 77)
    assert code in of(document, "store-write", "failed")["text"]


def test_who_may_not_list_is_told_what_that_costs(tmp_path: Path) -> None:
    bucket = Bucket(refused=("LIST",))
    with serving(bucket) as address:
        document = doctor(customer(tmp_path, address), 0)
    assert "s3:ListBucket" in of(document, "store-listing", "warning")["fix"]
    assert found(document, "store-delete") == [("store-delete", "ok")]


def test_a_missing_bucket_is_78(tmp_path: Path) -> None:
    bucket = Bucket(refused=("LIST",), error=b"<Error><Code>NoSuchBucket</Code></Error>", status=404)
    with serving(bucket) as address:
        assert "galleries" in of(doctor(customer(tmp_path, address), 78), "store", "failed")["text"]


def test_the_wrong_region_is_78_and_names_the_right_one(tmp_path: Path) -> None:
    error = (
        b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region>"
        b"<Message>the region 'eu-central-1' is wrong; expecting 'eu-west-1'</Message></Error>"
    )
    bucket = Bucket(refused=("LIST", "PUT", "GET", "DELETE"), error=error, status=400)
    with serving(bucket) as address:
        finding = of(doctor(customer(tmp_path, address), 78), "store", "failed")
    assert "eu-west-1" in finding["fix"]


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_wrong_credentials_are_77_with_the_real_store(apart: Appliance, name: str) -> None:
    document = doctor(apart, 77, **{name: "WRONG"})
    assert "store-write" in {each["name"] for each in document["findings"] if each["exit_code"] == 77}


def test_expired_credentials_are_77(apart: Appliance) -> None:
    past = {"AWS_SESSION_TOKEN": "TOKEN", "AWS_CREDENTIAL_EXPIRATION": "2026-01-01T00:00:00Z"}
    document = doctor(apart, 77, **past)
    assert "2026-01-01" in of(document, "credentials", "failed")["text"]


def test_somebody_elses_bucket_is_77(apart: Appliance) -> None:
    document = doctor(apart, 77, GHOSTROLL_S3_BUCKET="no-such-bucket")
    assert "s3_bucket" in of(document, "store-write", "failed")["fix"]


def test_a_store_out_of_reach_is_75_and_the_rest_is_still_told(apart: Appliance) -> None:
    document = doctor(apart, 75, GHOSTROLL_S3_ENDPOINT_URL=f"http://127.0.0.1:{free_ports(1)[0]}")
    assert "out of reach" in of(document, "store", "failed")["text"]
    assert {"settings", "disk", "catalog", "units", "card"} <= {each["name"] for each in document["findings"]}


def test_a_store_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    gate = threading.Event()
    bucket = Bucket(slow=gate)
    with serving(bucket) as address:
        started = time.monotonic()
        document = doctor(customer(tmp_path, address), 75)
        assert time.monotonic() - started < 60  # twenty seconds are promised
        gate.set()
    assert of(document, "store", "failed")["text"].startswith("No answer within 20 seconds")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: str(number.name))
def test_an_interrupted_doctor_takes_out_what_it_put_in(tmp_path: Path, number: signal.Signals) -> None:
    gate = threading.Event()
    bucket = Bucket(slow=gate)
    with serving(bucket) as address:
        appliance = customer(tmp_path, address)
        child = appliance.start("doctor", "--json")
        with terminated(child):
            wait_until(lambda: ("GET", "known") in bucket.asked)
            assert bucket.objects
            child.send_signal(number)
            time.sleep(0.3)
            gate.set()
            assert appliance.end(child).code == 75
    assert bucket.objects == {}


# Without a bucket


def test_the_own_store_that_runs_is_tried_as_a_guest_would(tmp_path: Path) -> None:
    port = str(free_ports(1)[0])
    appliance = make_appliance(tmp_path, GHOSTROLL_STORE_PORT=port)
    child = appliance.start("store")
    with terminated(child):
        wait_until(lambda: "serves" in appliance.output(child)[0])
        document = doctor(appliance, 0)
        assert ("store-delete", "ok") in found(document, "store-delete")
        assert len([each for each in found(document, "store-private") if each[1] == "ok"]) == 2
        assert found(document, "store-address") == [("store-address", "warning")]
        assert child.poll() is None
        assert get(f"http://127.0.0.1:{port}/ghostroll/x").status == 403
    assert found(doctor(appliance, 0), "store") == [("store", "ok")]


def test_a_port_that_another_has_is_78(tmp_path: Path) -> None:
    with serving(Bucket()) as address:
        port = address.rpartition(":")[2]
        document = doctor(make_appliance(tmp_path, GHOSTROLL_STORE_PORT=port), 78)
        assert port in of(document, "store", "failed")["text"]


def test_a_damaged_catalog_is_78_and_the_store_is_still_tried(apart: Appliance, tmp_path: Path) -> None:
    apart.run(make_card(tmp_path / "card", range(1)))
    content = bytearray(apart.database.read_bytes())
    content[100:300] = bytes(200)
    apart.database.write_bytes(content)
    document = json.loads(apart.call("doctor", "--json").out)
    assert document["exit_code"] == 78
    assert of(document, "catalog", "failed")["fix"]
    assert found(document, "store-delete") == [("store-delete", "ok")]
