import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ghostroll.base.errors import ConfigurationError, DiskFailed
from ghostroll.base.media_kind import MediaKind
from ghostroll.catalog import Catalog, CatalogDamaged, schema
from ghostroll.catalog.models import Derivative, Original, Remembered, RenderState, SavedFile, SessionState, Shot

WRITE_MANY = """
import sys
from pathlib import Path
from ghostroll.catalog import Catalog
from ghostroll.catalog.models import Original, RenderState, SavedFile
from ghostroll.base.media_kind import MediaKind
path, who, number = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
with Catalog(path) as catalog:
    catalog.create_session(f"session-{who}", card_id="uuid:1", card_label="card")
    for n in range(number):
        original = Original(f"DCIM/{n}.jpg", MediaKind.STILL, n, f"{who}-{n}", None, RenderState.NONE)
        file = SavedFile(original, original.path, 0, "s", True)
        assert not catalog.record_saved(f"session-{who}", f"card-{who}", [file])
        shared = Original(f"DCIM/shared{n}.jpg", MediaKind.STILL, n, f"shared-{n}", None, RenderState.NONE)
        catalog.record_saved(f"session-{who}", f"card-{who}", [SavedFile(shared, shared.path, 0, "s", True)])
"""
OPEN = "import sys; from pathlib import Path; from ghostroll.catalog import Catalog; Catalog(Path(sys.argv[1])).close()"
any_paths = st.binary(min_size=1, max_size=60).map(lambda raw: os.fsdecode(raw.replace(b"\0", b"_")))


def saved(
    path: str = "DCIM/a.jpg", sha256: str = "aa", render: RenderState = RenderState.PENDING, **changes: Any
) -> SavedFile:
    facts: dict[str, Any] = {"kind": MediaKind.STILL, "size_bytes": 5, "name": path + ".jpg"} | changes
    return SavedFile(
        Original(path=path, sha256=sha256, render=render, **facts), path, 7, "sample-" + sha256, verified=True
    )


def shot(file: SavedFile, key: str = "k") -> Shot:
    path = file.original.path
    made = [
        Derivative(path, role, f"{path}.jpg", f"{key}/{role}", f"{key}-{role}", 9, 3, 2) for role in ("share", "thumb")
    ]
    return Shot(file.original, "2026-06-01T12:00:00", "Canon", *made)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ghostroll.db"


@pytest.fixture
def one(catalog: Catalog) -> Catalog:
    assert catalog.create_session("one", card_id="uuid:1", card_label="card")
    return catalog


# The file


def test_a_new_catalog_is_durable_and_at_the_newest_version(path: Path) -> None:
    Catalog(path).close()
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert db.execute("PRAGMA user_version").fetchone() == (len(schema.MIGRATIONS),)
    db.close()
    with Catalog(path) as catalog:
        assert catalog._rows("PRAGMA synchronous") == [(2,)]  # FULL


def test_the_tables_that_scripts_rely_on_have_their_columns(catalog: Catalog) -> None:
    columns = {
        table: [row[1] for row in catalog._rows(f"PRAGMA table_info({table})")]
        for table in ("ingested_files", "uploads")
    }
    assert columns["ingested_files"][:4] == ["sha256", "size_bytes", "first_seen_utc", "source_hint"]
    assert columns["uploads"][:4] == ["s3_key", "local_sha256", "size_bytes", "uploaded_utc"]


def test_migrations_that_run_again_change_nothing(path: Path) -> None:
    with Catalog(path) as catalog:
        catalog.create_session("one", card_id="c", card_label="l")
        before = catalog._rows("SELECT * FROM sqlite_schema")
        schema.migrate(catalog._db)
    with Catalog(path) as catalog:
        assert catalog._rows("SELECT * FROM sqlite_schema") == before
        assert catalog.session("one") is not None


def test_a_migration_that_fails_leaves_no_trace(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Catalog(path).close()
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, "CREATE TABLE good (a); CREATE TABLE bad ("))
    with pytest.raises(ConfigurationError):
        Catalog(path)
    monkeypatch.undo()
    with Catalog(path) as catalog:
        assert catalog._rows("SELECT name FROM sqlite_schema WHERE name IN ('good', 'bad')") == []


def test_a_catalog_of_a_newer_version_is_refused_and_left_alone(path: Path) -> None:
    Catalog(path).close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    db.close()
    with pytest.raises(ConfigurationError, match="newer version"):
        Catalog(path)
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (len(schema.MIGRATIONS) + 1,)
    db.close()


@pytest.mark.parametrize("content", [b"this is no catalog", os.urandom(20_000), b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_catalog_is_an_error_that_names_it(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"ghostroll\.db"):
        Catalog(path)
    assert path.read_bytes() == content


def test_a_place_where_no_catalog_can_be_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "directory").mkdir()
    for place in (tmp_path / "directory", tmp_path / "file" / "ghostroll.db", Path("/proc/none/ghostroll.db")):
        with pytest.raises((ConfigurationError, DiskFailed), match=str(place)):
            Catalog(place)


def test_two_processes_that_write_at_once_lose_nothing(path: Path) -> None:
    number = 40
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITE_MANY, path, who, str(number)], stderr=subprocess.PIPE)
        for who in "ab"
    ]
    assert [(writer.communicate()[1], writer.returncode) for writer in writers] == [(b"", 0)] * 2
    with Catalog(path) as catalog:
        assert len(catalog._rows("SELECT 1 FROM ingested_files")) == 3 * number
        originals = catalog.originals("session-a") + catalog.originals("session-b")
        # What both had is one's alone.
        assert len([each for each in originals if each.sha256.startswith("shared")]) == number
        assert len(originals) == 3 * number


def test_processes_that_make_the_catalog_at_once_do_not_get_in_each_others_way(path: Path) -> None:
    openers = [subprocess.Popen([sys.executable, "-c", OPEN, path], stderr=subprocess.PIPE) for _ in range(8)]
    assert [(opener.communicate()[1][-300:], opener.returncode) for opener in openers] == [(b"", 0)] * 8


def test_threads_that_write_at_once_lose_nothing(one: Catalog) -> None:
    def write(who: int) -> None:
        for n in range(25):
            one.record_saved("one", "uuid:1", [saved(f"DCIM/{who}-{n}.jpg", f"{who}-{n}")])

    threads = [threading.Thread(target=write, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(one.originals("one")) == 100


def test_a_transaction_that_fails_is_undone_and_the_next_one_works(one: Catalog) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        one.record_saved("no such session", "uuid:1", [saved()])
    assert not one.is_ingested("aa")
    one.record_saved("one", "uuid:1", [saved()])
    assert one.is_ingested("aa")


def fill(catalog: Catalog) -> Exception:
    """Let the catalog's file grow no more, and write until that is noticed."""
    pages = catalog._rows("PRAGMA page_count")[0][0]
    catalog._db.execute(f"PRAGMA max_page_count = {pages + 2}")
    try:
        for n in range(10_000):
            catalog.record_saved("one", "uuid:1", [saved(f"DCIM/{n}.jpg" + "x" * 200, f"sha-{n}")])
    except Exception as error:  # noqa: BLE001 - which one it is, is the question
        return error
    raise AssertionError("the catalog is never full")


def test_a_full_disk_is_told_as_such(one: Catalog) -> None:
    assert isinstance(fill(one), DiskFailed)


def take_away(path: Path) -> None:
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()


def put_another_in_place(path: Path) -> None:
    take_away(path)
    Catalog(path).close()


@pytest.mark.parametrize("change", [take_away, put_another_in_place])
def test_a_catalog_that_was_taken_away_while_it_was_open_is_noticed(
    one: Catalog, change: Callable[[Path], None]
) -> None:
    path = one._path
    assert path is not None
    change(path)
    with pytest.raises(CatalogDamaged, match="deleted or replaced"):
        one.record_saved("one", "uuid:1", [saved()])
    with pytest.raises(CatalogDamaged, match="deleted or replaced"), one.snapshot():
        pass
    assert path.exists() == (change is put_another_in_place), "no empty one takes its place unasked"


FULL_FROM_THE_START = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.support.mounts import NotPossible, own_mounts, run
from ghostroll.catalog import Catalog
from ghostroll.base.errors import GhostrollError
place = Path(sys.argv[2])
try:
    own_mounts()
    run("mount", "-t", "tmpfs", "-o", "size=256k", "none", str(place))
except Exception:
    sys.exit(5)
if sys.argv[3] == "there":
    Catalog(place / "ghostroll.db").close()
try:
    with (place / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(b"x" * 1024)
except OSError:
    pass
try:
    Catalog(place / "ghostroll.db")
except GhostrollError as error:
    print(error.exit_code, error, error.hint)
"""


@pytest.mark.parametrize("catalog_is", ["there", "to be made"])
def test_a_disk_without_room_for_the_catalog_is_called_full_and_not_broken(tmp_path: Path, catalog_is: str) -> None:
    repository = str(Path(__file__).parents[2])
    arguments = [sys.executable, "-c", FULL_FROM_THE_START, repository, str(tmp_path), catalog_is]
    ended = subprocess.run(arguments, check=False, capture_output=True, text=True)
    if ended.returncode == 5:
        pytest.skip("nothing can be mounted here")
    assert ended.stdout.startswith(f"73 The catalog {tmp_path}/ghostroll.db cannot be used: there is no room"), ended
    assert "Free some space" in ended.stdout


def test_a_full_disk_costs_nothing_that_was_recorded_and_the_catalog_goes_on(one: Catalog) -> None:
    error = fill(one)
    assert "full" in str(error)
    rows = one._rows("SELECT count(*) FROM ingested_files")
    assert rows == one._rows("SELECT count(*) FROM originals")
    one._db.execute("PRAGMA max_page_count = 100000")
    one.record_saved("one", "uuid:1", [saved("DCIM/more.jpg", "more")])
    assert one.is_ingested("more")


# Paths


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(any_paths, any_paths)
def test_a_path_of_any_bytes_comes_back_as_it_was(one: Catalog, path: str, name: str) -> None:
    file = saved(path, f"sha-{path.encode('utf-8', 'surrogateescape').hex()}", name=name)
    one.record_saved("one", "uuid:1", [file])
    assert one.has_original("one", path)
    (original,) = [each for each in one.originals("one") if each.path == path]
    assert original.path == path
    assert one.remembered("uuid:1")[path].sha256 == file.original.sha256
    assert [each.path for each in one.remembered_elsewhere(path, 5)] == [path]
    assert one.copies_of_card("uuid:1")[path].path == path
    one.record_failure("one", path, "derive", "why")


def test_a_path_is_not_taken_for_another_with_the_same_letters(one: Catalog) -> None:
    paths = ["é", "e\u0301", *map(os.fsdecode, (b"\xc3", b"\xc3x", b"\xe9")), "a", "A"]
    one.record_saved("one", "uuid:1", [saved(path, f"sha{n}") for n, path in enumerate(paths)])
    assert sorted(each.path for each in one.originals("one")) == sorted(paths)


def test_a_label_of_any_bytes_can_be_recorded(catalog: Catalog) -> None:
    assert catalog.create_session("s", card_id="place:/mnt/x", card_label=os.fsdecode(b"CARD\xff"))
    assert catalog.session("s") is not None


# Sessions


def test_a_session_is_created_once(one: Catalog) -> None:
    assert not one.create_session("one", card_id="other", card_label="other")
    row = one.session("one")
    assert row is not None
    assert (row.card_id, row.state, row.card_read, row.url) == ("uuid:1", SessionState.OPEN, False, None)
    assert one.session("two") is None


def test_sessions_that_are_shared_or_given_up_are_finished(one: Catalog) -> None:
    for number, state in enumerate(SessionState):
        one.create_session(f"s{number}", card_id="c", card_label="l")
        one.set_state(f"s{number}", state)
    assert [row.state for row in one.unfinished_sessions()] == [
        SessionState.OPEN,
        SessionState.OPEN,
        SessionState.INGESTED,
    ]
    assert len(one.sessions()) == 5


def test_the_newest_session_of_a_card_is_the_one_made_last_whatever_it_is_called(catalog: Catalog) -> None:
    for session_id in ("wedding", "shoot-2026-06-01_120000_000000"):
        catalog.create_session(session_id, card_id="uuid:1", card_label="card")
    row = catalog.latest_session_of("uuid:1")
    assert row is not None
    assert row.session_id == "shoot-2026-06-01_120000_000000"


def test_a_session_named_by_its_owner_does_not_hide_the_latest_id(catalog: Catalog) -> None:
    for session_id in ("wedding", "shoot-2026-06-01_120000_000000"):
        catalog.create_session(session_id, card_id="uuid:1", card_label="card")
    assert catalog.latest_session_id() == "shoot-2026-06-01_120000_000000"


def test_the_latest_share_is_one_that_has_a_link(one: Catalog) -> None:
    assert one.latest_share() is None
    one.create_session("two", card_id="c", card_label="l")
    one.set_share("one", url="https://1", expires_utc="2999-06-08T12:00:00Z")
    row = one.latest_share()
    assert row is not None
    assert (row.session_id, row.url, row.expires_utc) == ("one", "https://1", "2999-06-08T12:00:00Z")


# Originals


def test_of_the_same_content_only_the_first_is_recorded(one: Catalog) -> None:
    first, second = saved("DCIM/a.jpg", "same"), saved("DCIM/b.jpg", "same")
    assert one.record_saved("one", "uuid:1", [first]) == []
    assert one.record_saved("one", "uuid:1", [second]) == [second]
    assert [each.path for each in one.originals("one")] == ["DCIM/a.jpg"]
    # Both places on the card are known to hold it.
    assert set(one.remembered("uuid:1")) == {"DCIM/a.jpg", "DCIM/b.jpg"}
    assert one.copies_of_card("uuid:1")["DCIM/b.jpg"].path == "DCIM/a.jpg"


def test_what_was_never_catalogued_is_not_remembered(one: Catalog) -> None:
    one.remember([Remembered("uuid:1", "DCIM/a.jpg", 5, 7, "unknown", "s")])
    assert one.remembered("uuid:1") == {}
    assert one.remembered_elsewhere("DCIM/a.jpg", 5) == []
    assert one.copies_of_card("uuid:1") == {}


def test_files_are_rendered_in_the_order_they_were_saved(one: Catalog) -> None:
    one.record_saved("one", "c", [saved(f"DCIM/{name}", name) for name in ("z", "a", "m")])
    one.set_render("one", "DCIM/a", RenderState.FAILED)
    assert [each.path for each in one.pending_renders("one", 10)] == ["DCIM/z", "DCIM/m"]
    assert [each.path for each in one.pending_renders("one", 1)] == ["DCIM/z"]
    assert one.count_renders("one", RenderState.FAILED) == 1


def test_a_picture_is_shown_once_both_its_derivatives_are_in_the_store(one: Catalog) -> None:
    file = saved()
    one.record_saved("one", "c", [file])
    assert one.shots("one") == []
    one.record_rendered("one", [shot(file)])
    (found,) = one.shots("one")
    assert (found.original.path, found.captured, found.camera) == ("DCIM/a.jpg", "2026-06-01T12:00:00", "Canon")
    assert [each.role for each in one.pending_uploads("one", "store", 9)] == ["share", "thumb"]
    one.record_uploaded("store", [("k/share", "k-share", 9)])
    assert one.shots("one", uploaded_to="store") == []
    one.record_uploaded("store", [("k/thumb", "stale", 9)])
    assert one.shots("one", uploaded_to="store") == []
    one.record_uploaded("store", [("k/thumb", "k-thumb", 9)])
    assert len(one.shots("one", uploaded_to="store")) == 1
    assert one.shots("one", uploaded_to="another store") == []
    assert one.pending_uploads("one", "store", 9) == []
    assert one.picture_counts() == {"one": (1, 1)}


def test_a_picture_can_be_rendered_again(one: Catalog) -> None:
    file = saved()
    one.record_saved("one", "c", [file])
    one.record_rendered("one", [shot(file)])
    one.render_again("one", ["DCIM/a.jpg"])
    assert one.shots("one") == []
    assert [each.path for each in one.pending_renders("one", 9)] == ["DCIM/a.jpg"]
    one.record_rendered("one", [shot(file)])
    assert len(one.shots("one")) == 1


# Uploads


def test_uploads_are_listed_by_prefix_and_store(one: Catalog) -> None:
    one.record_uploaded("here", [("s/one/a", "x", 1), ("s/one/ä", "y", 2), ("s/one2/a", "z", 3)])
    one.record_uploaded("there", [("s/one/b", "x", 1)])
    assert one.uploads("s/one/", "here") == {"s/one/a": 1, "s/one/ä": 2}
    assert one.upload("s/one/b") == ("x", "there")
    one.forget_uploads(["s/one/a", "unknown"])
    assert one.upload("s/one/a") is None


def test_many_that_open_a_new_catalog_at_once_all_get_it(tmp_path: Path) -> None:
    """Entering WAL mode needs the file alone, and SQLite does not wait for that by itself."""
    code = (
        "import sys, pathlib; from ghostroll.catalog import Catalog; sys.stdin.readline(); "
        "Catalog(pathlib.Path(sys.argv[1])).close()"
    )
    for attempt in range(6):
        command = [sys.executable, "-c", code, str(tmp_path / f"{attempt}.db")]
        openers = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(6)
        ]
        time.sleep(0.3)
        for opener in openers:
            assert opener.stdin
            opener.stdin.write("\n")
            opener.stdin.flush()
        assert [opener.communicate()[1] for opener in openers] == [""] * 6
