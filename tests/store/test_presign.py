"""Our links are byte for byte what boto3 gives, and what Amazon's documentation gives."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from typing import TYPE_CHECKING, Literal
from unittest import mock
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ghostroll.store.presign import Presigner

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

NOW = datetime(2026, 3, 14, 15, 9, 26, 535897, tzinfo=UTC)
TOKEN = "IQoJb3JpZ2luX2VjEPT//////////wEa+CWV1LXdlc3Q=" * 12
PLACES = {
    "virtual": (None, "photos-2026", "https://photos-2026.s3.eu-central-1.amazonaws.com"),
    "dotted": (None, "photos.example.org", "https://s3.eu-central-1.amazonaws.com/photos.example.org"),
    "path": ("https://s3.example.com", "photos", "https://s3.example.com/photos"),
    "port": ("http://127.0.0.1:8333", "photos", "http://127.0.0.1:8333/photos"),
    "own port": ("https://s3.example.com:443", "photos", "https://s3.example.com:443/photos"),
    "below a path": ("https://example.com/s3", "photos", "https://example.com/s3/photos"),
    "IPv6": ("http://[::1]:8333", "photos", "http://[::1]:8333/photos"),
}

keys = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60),
    st.text("aZ0 +%~=&?#/.:@!$'()*,;[]\\\"<>|^`{}_-é写😀", min_size=1, max_size=60),
)


@pytest.fixture(scope="module", autouse=True)
def frozen_clock() -> Iterator[None]:
    with mock.patch("botocore.auth.get_current_datetime", return_value=NOW.replace(tzinfo=None)):
        yield


@cache
def links_of_boto3(place: str, token: str | None) -> tuple["S3Client", str]:
    endpoint, bucket, _ = PLACES[place]
    style: Literal["virtual", "path"] = "virtual" if place == "virtual" else "path"
    session = boto3.Session("AKIAEXAMPLE", "secret/with+signs=", token, region_name="eu-central-1")
    config = Config(signature_version="s3v4", s3={"addressing_style": style})
    return session.client("s3", endpoint_url=endpoint, config=config), bucket


def presigner(place: str, token: str | None, expires_seconds: int = 604_800) -> Presigner:
    return Presigner(
        base_url=PLACES[place][2],
        access_key="AKIAEXAMPLE",
        secret_key="secret/with+signs=",
        token=token,
        region="eu-central-1",
        expires_seconds=expires_seconds,
        now=NOW,
    )


@settings(deadline=None)  # the first example of a place makes a client
@given(
    key=keys,
    place=st.sampled_from(sorted(PLACES)),
    token=st.sampled_from([None, TOKEN]),
    expires=st.integers(1, 604_800),
)
@example(key="sessions/shoot-1/share/DCIM/100CANON/=25=2E it's (1) + ~ é.jpg", place="virtual", token=None, expires=1)
@example(key="k" * 700, place="path", token=TOKEN, expires=604_800)
@example(key="../..//a/./b/", place="port", token=None, expires=60)
def test_a_link_is_what_boto3_gives(key: str, place: str, token: str | None, expires: int) -> None:
    client, bucket = links_of_boto3(place, token)
    theirs = client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=expires)
    assert presigner(place, token, expires)(key) == theirs


def test_the_example_of_the_documentation() -> None:
    # Amazon S3 API reference, "Authenticating HelperRequests: Using Query Parameters (AWS Signature Version 4)".
    link = Presigner(
        base_url="https://examplebucket.s3.amazonaws.com",
        access_key="AKIAIOSFODNN7EXAMPLE",
        secret_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        token=None,
        region="us-east-1",
        expires_seconds=86_400,
        now=datetime(2013, 5, 24, tzinfo=UTC),
    )("test.txt")
    assert link.endswith("&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404")


def test_the_end_is_counted_from_the_second_that_is_signed() -> None:
    assert presigner("path", None, 60).expires_at == datetime(2026, 3, 14, 15, 10, 26, tzinfo=UTC)


def test_any_time_zone_gives_the_same_link() -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=13, minutes=45)))
    links = [
        Presigner(
            base_url="https://h/b",
            access_key="A",
            secret_key="s",
            token=None,
            region="r",
            expires_seconds=60,
            now=now,
        )("k")
        for now in (NOW, elsewhere)
    ]
    assert links[0] == links[1]


def test_nothing_of_the_secret_or_of_version_2_is_in_a_link() -> None:
    query = urlsplit(presigner("virtual", None)("a.jpg")).query
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in query
    assert "AWSAccessKeyId" not in query
    assert "secret" not in query


def test_two_thousand_links_take_no_time() -> None:
    sign = presigner("virtual", TOKEN)
    started = time.perf_counter()
    links = {sign(f"sessions/shoot-2026-03-14_150926_535897/share/DCIM/100CANON/IMG_{n:04}.jpg") for n in range(2000)}
    assert len(links) == 2000
    assert time.perf_counter() - started < 1
