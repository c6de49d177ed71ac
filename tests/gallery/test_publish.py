import hashlib
import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostroll.base import text
from ghostroll.base.config import Settings
from ghostroll.base.media_kind import MediaKind
from ghostroll.base.session_paths import Session
from ghostroll.catalog import Catalog, manifests
from ghostroll.catalog.models import Derivative, Original, RenderState, Shot
from ghostroll.gallery import publish
from ghostroll.store.endpoint import StoreEndpoint
from ghostroll.store.s3 import Store

AWKWARD = [
    b"DCIM/100/plain.jpg",
    b"DCIM/100/two\nlines.jpg",
    b"DCIM/100/carriage\rreturn.jpg",
    b"DCIM/100/back\\slash.jpg",
    b"DCIM/100/back\\nslash-n.jpg",
    b"DCIM/100/\xff\xfe.jpg",
    "DCIM/100/Ürlaub 写真.jpg".encode(),
    b"DCIM/100/ leading and trailing ",
    b"DCIM/100/-rf",
    b"DCIM/100/*.jpg",
    b"DCIM/100/" + b"n" * 255,
    b"DCIM/100/empty.jpg",
]


def shot(session: Session, name: str, content: bytes, captured: str | None = "2026-06-01T12:30:15") -> Shot:
    """A picture whose share image is on disk."""
    file = session.share_image(name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    session.temporary.mkdir(parents=True, exist_ok=True)
    share = Derivative(name, "share", name, "k", hashlib.sha256(content).hexdigest(), len(content), 3, 2)
    original = Original(name, MediaKind.STILL, len(content), "aa", name, RenderState.DONE)
    return Shot(original, captured, None, share, share)


def entries(session: Session) -> list[zipfile.ZipInfo]:
    with zipfile.ZipFile(session.share_zip) as archive:
        assert archive.testzip() is None
        return archive.infolist()


# The zip


def test_the_zip_holds_every_share_image_stored_as_it_is(session: Session) -> None:
    contents = {"DCIM/100/b.jpg": os.urandom(3_000_000), "DCIM/100/a.jpg": b"a" * 1000, "DCIM/ä.jpg": b""}
    assert publish.write_zip(session, [shot(session, name, content) for name, content in contents.items()])
    listed = entries(session)
    assert [entry.filename for entry in listed] == sorted(contents)
    assert {entry.compress_type for entry in listed} == {zipfile.ZIP_STORED}
    with zipfile.ZipFile(session.share_zip) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == contents
    assert session.share_zip.stat().st_size < sum(map(len, contents.values())) + 1000
    assert list(session.temporary.iterdir()) == []


@pytest.mark.skipif(shutil.which("unzip") is None, reason="unzip(1) is missing")
def test_unzip_finds_nothing_wrong_with_the_zip(session: Session) -> None:
    shots = [shot(session, os.fsdecode(name) + ".jpg", name) for name in AWKWARD if len(name) < 200]
    publish.write_zip(session, shots)
    done = subprocess.run(["unzip", "-t", session.share_zip], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" OK\n") == len(shots)


def test_names_in_the_zip_are_different_and_stay_where_they_are_unpacked(session: Session) -> None:
    publish.write_zip(session, [shot(session, os.fsdecode(name), b"x") for name in AWKWARD])
    listed = [entry.filename for entry in entries(session)]
    assert len(set(listed)) == len(AWKWARD)
    assert all(name.isprintable() and name.startswith("DCIM/") and "\\" not in name for name in listed)


def test_the_same_pictures_give_the_same_bytes_in_whatever_order(session: Session) -> None:
    shots = [shot(session, f"DCIM/{n}.jpg", b"%d" % n) for n in range(5)]
    publish.write_zip(session, shots)
    first = session.share_zip.read_bytes()
    os.utime(session.share_image("DCIM/1.jpg"), (1, 1))
    publish.write_zip(session, list(reversed(shots)))
    assert session.share_zip.read_bytes() == first


@pytest.mark.parametrize(
    ("captured", "date"),
    [
        ("2026-06-01T12:30:15", (2026, 6, 1, 12, 30, 14)),  # a zip counts in steps of two seconds
        ("2026-06-01T12:30:14+02:00", (2026, 6, 1, 12, 30, 14)),
        (None, (1980, 1, 1, 0, 0, 0)),
        ("", (1980, 1, 1, 0, 0, 0)),
        ("nonsense", (1980, 1, 1, 0, 0, 0)),
        ("1904-01-01T00:00:00", (1980, 1, 1, 0, 0, 0)),
        ("9999-12-31T23:59:59", (2107, 12, 31, 23, 59, 58)),
    ],
)
def test_a_picture_in_the_zip_has_the_time_it_was_taken(
    session: Session, captured: str | None, date: tuple[int, ...]
) -> None:
    publish.write_zip(session, [shot(session, "DCIM/a.jpg", b"x", captured)])
    assert entries(session)[0].date_time == date


def test_without_pictures_there_is_no_zip_and_an_old_one_goes(session: Session) -> None:
    publish.write_zip(session, [shot(session, "DCIM/a.jpg", b"x")])
    assert not publish.write_zip(session, [])
    assert not session.share_zip.exists()
    assert not publish.write_zip(session, [])


def test_a_picture_that_is_missing_leaves_the_old_zip(session: Session) -> None:
    publish.write_zip(session, [shot(session, "DCIM/a.jpg", b"x")])
    before = session.share_zip.read_bytes()
    missing = shot(session, "DCIM/b.jpg", b"y")
    session.share_image("DCIM/b.jpg").unlink()
    with pytest.raises(FileNotFoundError):
        publish.write_zip(session, [missing])
    assert session.share_zip.read_bytes() == before


def test_a_zip_gives_a_sign_of_life_for_each_picture_and_is_flushed_on_the_way(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    shots = [shot(session, f"DCIM/{n}.jpg", os.urandom(1000)) for n in range(6)]
    flushed_bytes: list[int] = []
    signs: list[int] = []

    def fsync(fd: int) -> None:
        flushed_bytes.append(os.fstat(fd).st_size)

    monkeypatch.setattr(publish, "_FLUSH_BYTES", 2000)
    monkeypatch.setattr(os, "fsync", fsync)
    publish.write_zip(session, shots, lambda: signs.append(len(flushed_bytes)))
    assert signs == [0, 1, 1, 2, 2, 3]
    assert all(2000 * n < size < 2500 * n for n, size in enumerate(flushed_bytes[:3], start=1))
    assert len(entries(session)) == 6


def test_a_zip_gives_signs_of_life_while_it_is_hashed(
    session: Session, catalog: Catalog, store_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    nowhere = StoreEndpoint("http://localhost:9", "http://localhost:9", "bucket", "us-east-1", "key", "secret", "here")
    store = Store.open(store_settings(tmp_path), endpoint=nowhere)
    publish.write_zip(session, [shot(session, f"DCIM/{n}.jpg", os.urandom(1_000_000)) for n in range(3)])
    content = session.share_zip.read_bytes()
    catalog.record_uploaded(store.identity, [(session.zip_key, hashlib.sha256(content).hexdigest(), len(content))])
    signs: list[None] = []
    assert not publish.upload_zip(session, catalog, store, lambda: None, lambda: signs.append(None))
    assert len(signs) == 3  # of 1 MiB each


# SHA256SUMS


def check_sums(session: Session) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=session.directory, capture_output=True, check=False
    )


def put_originals(session: Session, names: list[bytes]) -> list[tuple[str, str]]:
    sums = []
    for name in names:
        content = b"" if b"empty" in name else b"content of " + name
        file = session.originals / os.fsdecode(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        sums.append((hashlib.sha256(content).hexdigest(), os.fsdecode(name)))
    return sums


def test_sha256sum_finds_every_original_whatever_its_name(session: Session) -> None:
    manifests.write_checksums(session, put_originals(session, AWKWARD))
    done = check_sums(session)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(b": OK\n") == len(AWKWARD)


def test_sha256sum_finds_an_original_that_changed(session: Session) -> None:
    manifests.write_checksums(session, put_originals(session, AWKWARD))
    (session.originals / os.fsdecode(AWKWARD[3])).write_bytes(b"changed")
    done = check_sums(session)
    assert done.returncode == 1
    assert done.stdout.count(b": FAILED\n") == 1


def test_the_sums_are_what_sha256sum_would_write(session: Session) -> None:
    manifests.write_checksums(session, put_originals(session, AWKWARD))
    files = [b"originals/" + name for name in AWKWARD]
    written = subprocess.run(["sha256sum", *files], cwd=session.directory, capture_output=True, check=True).stdout
    assert session.checksums.read_bytes() == written


# The share


def test_the_link_is_one_line_and_its_code_lies_beside_it(session: Session) -> None:
    session.directory.mkdir(parents=True)
    publish.write_share(session, "https://s3.example/x", b"png")
    assert session.share_text.read_text() == "https://s3.example/x\n"
    assert session.share_qr.read_bytes() == b"png"


@given(st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)), st.integers(-14 * 60, 14 * 60))  # noqa: DTZ001
def test_times_are_told_in_utc(moment: datetime, offset_minutes: int) -> None:
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=offset_minutes)))
    written = text.rfc3339(aware)
    assert written.endswith("Z")
    assert datetime.fromisoformat(written) == aware.astimezone(UTC).replace(microsecond=0)
