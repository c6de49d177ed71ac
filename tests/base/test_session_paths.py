import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from ghostroll.base.errors import UsageError
from ghostroll.base.session_paths import Session, new_session_id, object_name, validate_session_id

SESSION = Session("shoot-2026-11-22_184100_000000", Path("/base"), "sessions/")

# A name of a file on a Linux filesystem: any bytes but NUL and the slash.
names = (
    st.binary(min_size=1, max_size=255)
    .map(lambda raw: os.fsdecode(raw.replace(b"\0", b"_").replace(b"/", b"_")))
    .filter(lambda name: name not in (".", ".."))
) | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0/"), min_size=1, max_size=60).filter(
    lambda name: name not in (".", "..")
)
paths = st.lists(names, min_size=1, max_size=5).map("/".join)
moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1))  # noqa: DTZ001 - as the local clock gives them


@given(st.lists(paths, min_size=2, max_size=6, unique=True))
@example(["DCIM/a=5Cb.jpg", "DCIM/a\\b.jpg"])
@example(["DCIM/a\udcff.jpg", "DCIM/a=FF.jpg", "DCIM/aÿ.jpg"])
def test_different_paths_have_different_object_names(some: list[str]) -> None:
    assert len({object_name(path) for path in some}) == len(some)


def test_long_paths_with_the_same_beginning_and_end_have_different_object_names() -> None:
    long = ["DCIM/" + "/".join([letter * 200] * 5) + "x" * 50 + ".jpg" for letter in "ab"]
    long += ["DCIM/" + "y" * 200 + "/" + "z" * 700 + middle + "z" * 50 + ".jpg" for middle in "pq"]
    assert len({object_name(path) for path in long}) == len(long)


def test_no_path_can_be_chosen_to_have_the_object_name_of_a_long_one() -> None:
    long = "DCIM/" + "/".join(["a" * 200] * 4) + ".jpg"
    forged = object_name(long)
    assert forged != long
    assert object_name(forged) != object_name(long)


@given(paths)
def test_an_object_name_is_safe_in_keys_and_addresses_and_zips(path: str) -> None:
    name = object_name(path)
    assert name.isprintable()
    assert not set(name) & set('\\{}^%`[]"<>~#|?*:&')
    assert ".." not in name.split("/") or ".." in path.split("/")
    # S3 takes 1,024 bytes a key; this is the longest prefix that settings and ids allow.
    assert len(f"{'p' * 201}{'i' * 100}/{name}".encode()) <= 1024


@given(paths)
def test_an_ordinary_object_name_can_be_turned_back_into_the_path(path: str) -> None:
    name = object_name(path)
    assume(len(name.encode()) < 680)
    raw = re.sub(rb"=([0-9A-F]{2})", lambda match: bytes.fromhex(match[1].decode()), name.encode())
    assert os.fsdecode(raw) == path or raw.decode() == path


@pytest.mark.parametrize(
    "name", ["share/DCIM/100CANON/IMG_0001.jpg", "Ürlaub (1).jpg", "写真/東京 1.jpg", "a+b,c;d@e!'$.jpg"]
)
def test_ordinary_names_of_any_language_are_unchanged(name: str) -> None:
    assert object_name(name) == name


def test_every_place_of_a_session_lies_in_its_directory() -> None:
    places = [
        value
        for name in dir(SESSION)
        if not name.startswith("_")
        and isinstance(value := getattr(SESSION, name), Path)
        and name not in ("base_dir", "directory")
    ]
    places += [SESSION.share_image("DCIM/a.jpg"), SESSION.thumbnail("DCIM/a.jpg"), SESSION.new_temporary()]
    assert len(places) >= 13
    assert all(SESSION.directory in place.parents for place in places)
    assert len(set(places)) == len(places)


def test_the_layout_on_disk_and_in_the_store_is_that_of_the_contract() -> None:
    base = Path("/base/shoot-2026-11-22_184100_000000")
    assert SESSION.originals == base / "originals"
    assert SESSION.share_image("DCIM/a.jpg") == base / "derived/share/DCIM/a.jpg"
    assert SESSION.thumbnail("DCIM/a.jpg") == base / "derived/thumbs/DCIM/a.jpg"
    assert [path.name for path in (SESSION.share_zip, SESSION.local_page, SESSION.s3_page, SESSION.checksums)] == [
        "share.zip",
        "index.html",
        "index.s3.html",
        "SHA256SUMS",
    ]
    assert [SESSION.share_text.name, SESSION.share_qr.name, SESSION.log.name] == [
        "share.txt",
        "share-qr.png",
        "ghostroll.log",
    ]
    prefix = "sessions/shoot-2026-11-22_184100_000000/"
    assert SESSION.share_key("DCIM/a.jpg") == prefix + "share/DCIM/a.jpg"
    assert SESSION.thumbnail_key("DCIM/a.jpg") == prefix + "thumbs/DCIM/a.jpg"
    assert (SESSION.page_key, SESSION.zip_key) == (prefix + "index.html", prefix + "share.zip")


def test_a_receipt_is_six_letters_that_the_session_decides() -> None:
    receipts = {Session(f"shoot-{n}", Path("/"), "").receipt for n in range(200)}
    assert len(receipts) == 200
    assert all(re.fullmatch(r"[A-HJ-NP-Z]{6}", receipt) for receipt in receipts)
    assert SESSION.receipt == Session(SESSION.session_id, Path("/elsewhere"), "x/").receipt


def test_temporary_names_are_short_and_never_the_same() -> None:
    made = {SESSION.new_temporary() for _ in range(1000)}
    assert len(made) == 1000
    assert all(len(path.name) <= 32 for path in made)


@given(moments)
def test_an_id_says_when_the_session_began(now: datetime) -> None:
    session_id = new_session_id(now, None)
    assert re.fullmatch(r"shoot-\d{4}-\d\d-\d\d_\d{6}_\d{6}", session_id)
    assert session_id == f"shoot-{now:%Y-%m-%d_%H%M%S_%f}"
    assert validate_session_id(session_id) == session_id


@given(moments, moments)
def test_a_later_id_sorts_after_the_latest_whatever_the_clock_says(now: datetime, before: datetime) -> None:
    latest = new_session_id(before, None)
    assert new_session_id(now, latest) > latest


def test_ids_made_in_the_same_moment_are_all_different() -> None:
    now = datetime(2026, 11, 22, 23, 59, 59, 999_999, tzinfo=UTC)
    made = [new_session_id(now, None)]
    for _ in range(50):
        made.append(new_session_id(now - timedelta(hours=1), made[-1]))
    assert made == sorted(set(made))


def test_a_latest_id_of_the_users_own_is_no_obstacle() -> None:
    assert new_session_id(datetime(2026, 1, 1, tzinfo=UTC), "wedding").startswith("shoot-2026-01-01_")


@pytest.mark.parametrize("session_id", ["a", "wedding-2026", "A.b_c-1", "x" * 100])
def test_an_id_of_letters_digits_dots_hyphens_and_underscores_will_do(session_id: str) -> None:
    assert validate_session_id(session_id) == session_id


@pytest.mark.parametrize(
    "session_id", ["", ".", "..", "../up", "a/b", ".hidden", "-rf", "a b", "a\n", "ä", "x" * 101, "a\0b", "a%2f"]
)
def test_what_could_leave_its_directory_is_no_id(session_id: str) -> None:
    with pytest.raises(UsageError):
        validate_session_id(session_id)


@given(st.text())
def test_a_checked_id_is_one_part_of_a_path(session_id: str) -> None:
    try:
        validate_session_id(session_id)
    except UsageError:
        return
    assert (Path("/base") / session_id).parent == Path("/base")
    assert os.path.normpath(f"/base/{session_id}") == f"/base/{session_id}"


def test_a_cut_object_name_keeps_its_suffix() -> None:
    path = "DCIM/" + "/".join(["n" * 200] * 4) + ".jpg"
    name = object_name(path)
    assert name.endswith(".jpg")
    assert len(name.encode()) <= 720
