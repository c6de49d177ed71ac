"""Rebuild a catalog from sessions on the disk: what is imported, and what a backup may contain."""

import gzip
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ghostroll.base import config
from ghostroll.base.config import Settings
from ghostroll.base.errors import ConfigurationError, Interrupted, UsageError
from ghostroll.base.media_kind import MediaKind
from ghostroll.base.session_paths import Session
from ghostroll.card.scan import scan
from ghostroll.catalog import Catalog, CatalogDamaged, schema, session_backup
from ghostroll.catalog.manifests import write_manifests
from ghostroll.catalog.models import Derivative, Original, RenderState, SavedFile, SessionState, Shot
from ghostroll.ingest.plan import make_plan
from ghostroll.recovery import quarantine, rebuild
from ghostroll.recovery.disk_reader import DiskReader
from ghostroll.recovery.import_session import ImportedSession
from ghostroll.recovery.unknown_sessions import reject_unknown, unknown_sessions

if TYPE_CHECKING:
    from tests.support.bench import Bench

TABLES = ("sessions", "originals", "derivatives", "ingested_files", "card_files", "uploads", "failures")
NOT_UTF8 = os.fsdecode(b"DCIM/\xff\xfe\n.JPG")


@pytest.fixture
def ours(session: Session, tmp_path: Path) -> Settings:
    flags = {"base_dir": str(session.base_dir), "db_path": str(tmp_path / "db" / "ghostroll.db")}
    return config.load(flags, {}, os.devnull).settings


@pytest.fixture
def saved(bench: "Bench") -> "Bench":
    """A session of three files, one with a name that is no text, whose books were closed."""
    bench.card.write("DCIM/a.JPG", b"a" * 5000)
    bench.card.write("DCIM/b.CR3", b"b" * 5000)
    bench.card.write(NOT_UTF8, b"c" * 5000)
    bench.save(volume=bench.card.identified())
    shared(bench)
    return bench


def shared(bench: "Bench") -> None:
    """Record what a shared session has: pictures, uploads, a link, a failure."""
    session, catalog = bench.session, bench.catalog
    (original,) = (each for each in catalog.originals(session.session_id) if each.path == NOT_UTF8)
    name = NOT_UTF8[:-4] + ".jpg"
    made = [
        Derivative(original.path, "share", name, session.share_key(name), "1" * 64, 9, 3, 2),
        Derivative(original.path, "thumb", name, session.thumbnail_key(name), "2" * 64, 9, 3, 2),
    ]
    catalog.record_rendered(session.session_id, [Shot(original, "2026-06-01T12:00:00", "Cam\u202eera", *made)])
    catalog.record_uploaded("store", [(each.s3_key, each.sha256, each.size_bytes) for each in made])
    catalog.record_failure(session.session_id, "DCIM/x\n.JPG", "derive", "no\nsense")
    catalog.set_share(session.session_id, url="https://host/link?a=b", expires_utc="2999-01-01T00:00:00Z")
    catalog.set_card_read(session.session_id, read=True)
    catalog.set_state(session.session_id, SessionState.SHARED)
    write_manifests(catalog, session)


def dump(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of a catalog, as sqlite3 reads it."""
    db = sqlite3.connect(path)
    try:
        return {table: db.execute(f"SELECT * FROM {table} ORDER BY rowid").fetchall() for table in TABLES}
    finally:
        db.close()


def lose(ours: Settings) -> None:
    """Lose the catalog, as a disk that went may take it."""
    shutil.rmtree(ours.db_path.parent)


def rebuilt(ours: Settings, stop: threading.Event | None = None) -> list[ImportedSession]:
    with Catalog(ours.db_path) as catalog:
        return list(rebuild.import_unknown_sessions(ours, catalog, DiskReader(stop or threading.Event())))


def states(ours: Settings) -> dict[str, tuple[str, str, int | None]]:
    """(SHA-256, render state, verified) of every original by path; verified is None for what is not saved."""
    db = sqlite3.connect(ours.db_path)
    try:
        rows = db.execute(
            "SELECT o.path, o.sha256, o.render, i.verified FROM originals o"
            " LEFT JOIN ingested_files i ON i.sha256 = o.sha256 AND i.original = o.path"
        ).fetchall()
    finally:
        db.close()
    return {os.fsdecode(path): (sha256, render, verified) for path, sha256, render, verified in rows}


def of_content(*files: Path) -> list[str]:
    """What sha256sum(1) says."""
    done = subprocess.run(["sha256sum", "-z", "--", *files], check=True, capture_output=True)
    return [line.split(b" ", 1)[0].decode() for line in done.stdout.split(b"\0") if line]


# Whole


@pytest.mark.usefixtures("saved")
def test_what_is_rebuilt_is_what_was_lost(ours: Settings) -> None:
    before = dump(ours.db_path)
    assert all(before.values())
    lose(ours)
    (found,) = rebuilt(ours)
    assert (found.files, found.unverified, found.gone, found.damaged) == (3, 0, 0, [])
    assert dump(ours.db_path) == before
    assert rebuilt(ours) == []
    assert dump(ours.db_path) == before


def test_what_the_catalog_knows_is_not_changed(saved: "Bench", ours: Settings) -> None:
    saved.catalog.set_state(saved.session.session_id, SessionState.INGESTED)
    before = dump(ours.db_path)
    other = Session("wedding", saved.session.base_dir, saved.session.prefix_root)
    shutil.copytree(saved.session.originals, other.originals)
    assert [found.session_id for found in rebuilt(ours)] == ["wedding"]
    after = dump(ours.db_path)
    assert all(rows == after[table][: len(rows)] for table, rows in before.items())
    assert [row[0] for row in after["sessions"]] == [saved.session.session_id, "wedding"]
    assert len(after["originals"]) == 6


def test_sessions_come_in_as_they_were_made(ours: Settings) -> None:
    names = ["shoot-2026-06-02_120000_000000", "shoot-2026-06-01_120000_000000", "another"]
    for name in names:
        (ours.base_dir / name / "originals").mkdir(parents=True)
        (ours.base_dir / name / "originals" / "a.JPG").write_text(name)
    os.utime(ours.base_dir / "another", (1_780_400_000, 1_780_400_000))  # 2026-06-02 11:33 UTC
    for name in ("store", "status.d", ".hidden"):
        (ours.base_dir / name / "originals").mkdir(parents=True)
        (ours.base_dir / name / "originals" / "a.JPG").write_text(name)
    (ours.base_dir / "no session").mkdir()
    (ours.base_dir / "empty" / "originals").mkdir(parents=True)
    rebuilt(ours)
    ids = [row[0] for row in dump(ours.db_path)["sessions"]]
    assert sorted(ids) == sorted(names)
    assert ids.index("shoot-2026-06-01_120000_000000") < ids.index("shoot-2026-06-02_120000_000000")


def test_a_session_that_another_run_works_on_is_refused(saved: "Bench", ours: Settings) -> None:
    lose(ours)
    code = (
        "import fcntl, os, sys; fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX); "
        "print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, saved.session.directory], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdin
        assert other.stdout
        other.stdout.readline()
        with pytest.raises(UsageError, match="is working on"):
            rebuilt(ours)
        other.stdin.close()
    assert len(rebuilt(ours)) == 1


@pytest.mark.usefixtures("saved")
def test_a_stop_ends_it_and_the_next_time_completes_it(ours: Settings) -> None:
    before = dump(ours.db_path)
    lose(ours)
    stop = threading.Event()
    stop.set()
    with pytest.raises(Interrupted):
        rebuilt(ours, stop)
    assert dump(ours.db_path)["sessions"] == []
    rebuilt(ours)
    assert dump(ours.db_path) == before


# Files that are not as they were


def test_a_damaged_original_is_not_saved_any_more_and_is_named(saved: "Bench", ours: Settings) -> None:
    damaged = saved.session.originals / "DCIM/a.JPG"
    damaged.write_bytes(b"a" * 4999 + b"x")
    lose(ours)
    (found,) = rebuilt(ours)
    assert found.damaged == ["DCIM/a.JPG"]
    after = states(ours)
    assert after["DCIM/a.JPG"][1:] == ("failed", None)
    assert after["DCIM/b.CR3"][2] == 1
    with Catalog(ours.db_path) as catalog:
        assert set(catalog.remembered("uuid:4711")) == {"DCIM/b.CR3", NOT_UTF8}


def test_without_sums_the_sidecar_tells_what_is_right(saved: "Bench", ours: Settings) -> None:
    saved.session.checksums.unlink()
    (saved.session.originals / "DCIM/b.CR3").write_bytes(b"b" * 5001)
    lose(ours)
    assert rebuilt(ours)[0].damaged == ["DCIM/b.CR3"]
    assert states(ours)["DCIM/b.CR3"][2] is None


def test_sums_that_disagree_keep_a_file_from_being_saved(saved: "Bench", ours: Settings) -> None:
    sums = saved.session.checksums
    sums.write_bytes(
        sums.read_bytes().replace(of_content(saved.session.originals / "DCIM/b.CR3")[0].encode(), b"0" * 64)
    )
    lose(ours)
    (found,) = rebuilt(ours)
    assert found.damaged == ["DCIM/b.CR3"]
    assert states(ours)["DCIM/b.CR3"][2] is None


def test_an_original_that_is_gone_keeps_its_row(saved: "Bench", ours: Settings) -> None:
    (saved.session.originals / "DCIM/a.JPG").unlink()
    before = dump(ours.db_path)
    lose(ours)
    (found,) = rebuilt(ours)
    assert (found.gone, found.damaged) == (1, [])
    assert dump(ours.db_path) == before


def test_a_link_in_the_place_of_an_original_is_not_that_original(saved: "Bench", ours: Settings) -> None:
    path = saved.session.originals / "DCIM/a.JPG"
    path.rename(saved.session.base_dir / "elsewhere")
    path.symlink_to(saved.session.base_dir / "elsewhere")
    lose(ours)
    (found,) = rebuilt(ours)
    assert found.damaged == ["DCIM/a.JPG"]
    assert states(ours)["DCIM/a.JPG"][2] is None


def test_a_file_in_no_record_is_taken_in_unverified_and_the_session_shared_again(
    saved: "Bench", ours: Settings
) -> None:
    new = saved.session.originals / "DCIM/new.JPG"
    new.write_bytes(b"\xff\xd8\xff new")
    lose(ours)
    (found,) = rebuilt(ours)
    assert (found.unverified, found.damaged) == (1, [])
    assert states(ours)["DCIM/new.JPG"] == (of_content(new)[0], "pending", 0)
    assert dump(ours.db_path)["sessions"][0][2] == "ingested"


def test_without_a_sidecar_the_sums_tell_what_is_right(saved: "Bench", ours: Settings) -> None:
    names = {original.path: original.name for original in saved.catalog.originals(saved.session.session_id)}
    session_backup.path_of(saved.session).unlink()
    (saved.session.originals / "DCIM/a.JPG").write_bytes(b"x" * 5000)
    (saved.session.originals / "DCIM/later.JPG").write_bytes(b"in no record")
    sums = dict(zip(names, saved.catalog.originals(saved.session.session_id), strict=True))
    lose(ours)
    (found,) = rebuilt(ours)
    assert (found.had_sidecar, found.damaged, found.unverified) == (False, ["DCIM/a.JPG"], 3)
    after = states(ours)
    assert after["DCIM/a.JPG"] == (sums["DCIM/a.JPG"].sha256, "failed", None)
    assert after["DCIM/b.CR3"] == (sums["DCIM/b.CR3"].sha256, "pending", 0)
    assert after["DCIM/later.JPG"][2] == 0
    assert dump(ours.db_path)["sessions"][0][2:6] == ("ingested", "", "", 0)
    with Catalog(ours.db_path) as catalog:
        again = {original.path: original.name for original in catalog.originals(saved.session.session_id)}
        assert {path: again[path] for path in names} == names
        # The card, which has the right bytes, is read again only for the damaged one.
        saved.card.write("DCIM/later.JPG", b"in no record")
        volume = saved.card.identified()
        plan = make_plan(volume, scan(volume), catalog)
        assert [planned.file.path for planned in plan.to_read] == ["DCIM/a.JPG"]


def test_without_any_record_every_file_is_saved_but_not_verified(saved: "Bench", ours: Settings) -> None:
    session_backup.path_of(saved.session).unlink()
    saved.session.checksums.unlink()
    lose(ours)
    (found,) = rebuilt(ours)
    assert (found.files, found.unverified, found.damaged) == (3, 3, [])
    assert {each[2] for each in states(ours).values()} == {0}


def test_a_content_of_two_sessions_is_saved_once_and_both_keep_their_pictures(saved: "Bench", ours: Settings) -> None:
    other = Session("wedding", saved.session.base_dir, saved.session.prefix_root)
    shutil.copytree(saved.session.originals, other.originals)
    lose(ours)
    assert len(rebuilt(ours)) == 2
    after = dump(ours.db_path)
    assert (len(after["originals"]), len(after["ingested_files"])) == (6, 3)
    assert len(list(other.originals.rglob("*.*"))) == 3


@pytest.mark.usefixtures("saved")
def test_derivatives_below_another_prefix_are_made_again(ours: Settings) -> None:
    lose(ours)
    flags = {"base_dir": str(ours.base_dir), "db_path": str(ours.db_path), "s3_prefix_root": "elsewhere/"}
    rebuilt(config.load(flags, {}, os.devnull).settings)
    after = dump(ours.db_path)
    assert (after["derivatives"], after["uploads"]) == ([], [])
    assert states(ours)[NOT_UTF8][1:] == ("pending", 1)
    assert after["sessions"][0][2] == "ingested"


@pytest.mark.parametrize("render", ["done", "failed"])
def test_a_sidecar_cannot_send_pictures_over_another_session(saved: "Bench", ours: Settings, render: str) -> None:
    edited(saved.session, put("derivatives", "s3_key", "sessions/another/index.html"))
    edited(saved.session, put("originals", "render", render))
    lose(ours)
    assert rebuilt(ours)[0].had_sidecar
    assert dump(ours.db_path)["derivatives"] == []
    assert dump(ours.db_path)["sessions"][0][2] == "ingested"


# The sidecar


def edited(session: Session, edit: Callable[[list[Any]], object]) -> None:
    """Rewrite a sidecar as `edit` leaves its values."""
    path = session_backup.path_of(session)
    with gzip.open(path, "rt") as file:
        values = [json.loads(line) for line in file]
    edit(values)
    with gzip.open(path, "wt") as file:
        file.writelines(json.dumps(value) + "\n" for value in values)


def put(table: str, column: str, value: Any) -> Callable[[list[Any]], object]:
    """Return what sets a column of a table's first row."""

    def edit(values: list[Any]) -> None:
        at = next(n for n, each in enumerate(values) if isinstance(each, dict) and each.get("table") == table)
        values[at + 1][values[at]["columns"].index(column)] = value

    return edit


HOSTILE: dict[str, Callable[[list[Any]], object]] = {
    "path upwards": put("originals", "path", "../../etc/passwd"),
    "absolute path": put("originals", "path", "/etc/passwd"),
    "path with a dot": put("originals", "path", "DCIM/./a.JPG"),
    "empty path": put("originals", "path", ""),
    "path with NUL": put("originals", "path", "a\0b"),
    "path upwards in bytes": put("originals", "path", {"bytes": b"../\xff".hex()}),
    "picture upwards": put("derivatives", "name", "../x.jpg"),
    "copy upwards": put("ingested_files", "original", "../x.jpg"),
    "no text": put("sessions", "card_label", "\ud800"),
    "label with control": put("sessions", "card_label", "\x1b[2J"),
    "another session": put("sessions", "session_id", "shoot-other"),
    "another state": put("sessions", "state", "lost"),
    "another kind": put("originals", "kind", "spaceship"),
    "size in words": put("originals", "size_bytes", "many"),
    "negative size": put("originals", "size_bytes", -1),
    "endless size": put("originals", "size_bytes", 10**30),
    "size with a point": put("originals", "size_bytes", 1.5),
    "true": put("originals", "size_bytes", True),
    "no hash": put("originals", "sha256", "x"),
    "time without zone": put("sessions", "expires_utc", "2999-01-01T00:00:00"),
    "no time": put("sessions", "expires_utc", "tomorrow"),
    "link that runs": put("sessions", "url", "javascript:alert(1)"),
    "link with lines": put("sessions", "url", "https://host/\nsecond"),
    "null": put("originals", "size_bytes", None),
    "nested": put("originals", "name", [1]),
    "wrong bytes": put("originals", "name", {"bytes": "xyz"}),
    "other columns": lambda values: values[1].update(columns=["nothing"]),
    "injected columns": lambda values: values[1].update(columns=["session_id) VALUES (1); --"]),
    "injected table": lambda values: values[1].update(table="sessions; DROP TABLE originals"),
    "another header": lambda values: values[0].update(format="tar"),
    "another id": lambda values: values[0].update(session_id="x"),
    "version in words": lambda values: values[0].update(version="1"),
    "version zero": lambda values: values[0].update(version=0),
    "header as list": lambda values: values.__setitem__(0, []),
    "header as text": lambda values: values.__setitem__(0, "x"),
    "no end": lambda values: values.pop(),
    "row lost": lambda values: values.pop(2),
    "a number": lambda values: values.insert(1, 5),
    "nothing": lambda values: values.clear(),
    "a long line": lambda values: values.insert(1, {"x": "y" * 100_000}),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_sidecar_that_we_would_not_have_written_counts_for_nothing(saved: "Bench", ours: Settings, what: str) -> None:
    edited(saved.session, HOSTILE[what])
    lose(ours)
    (found,) = rebuilt(ours)
    assert (found.had_sidecar, found.files, found.damaged) == (False, 3, [])
    assert set(states(ours)) == {"DCIM/a.JPG", "DCIM/b.CR3", NOT_UTF8}
    assert dump(ours.db_path)["sessions"][0][6] is None


@pytest.mark.parametrize(
    "content",
    [b"", b"text", os.urandom(3000), gzip.compress(b"[" * 60_000 + b"\n"), gzip.compress(b"0" * (1 << 26))],
    ids=["empty", "text", "noise", "nested", "bomb"],
)
def test_a_file_that_is_no_sidecar_counts_for_nothing(saved: "Bench", ours: Settings, content: bytes) -> None:
    session_backup.path_of(saved.session).write_bytes(content)
    lose(ours)
    (found,) = rebuilt(ours)
    assert (found.had_sidecar, found.files) == (False, 3)


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_sidecar_with_any_damage_is_read_whole_or_not_at_all(saved: "Bench", data: st.DataObject) -> None:
    path = session_backup.path_of(saved.session)
    write_manifests(saved.catalog, saved.session)
    raw = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at:] = raw[at:][: data.draw(st.integers(0, len(raw)))] if data.draw(st.booleans()) else b""
    if at < len(raw):
        raw[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(raw)
    try:
        books = session_backup.read(saved.session)
    except session_backup.SidecarDamaged:
        return
    assert books
    with books:  # the time in gzip's own header, say
        assert books.originals(saved.session.session_id) == saved.catalog.originals(saved.session.session_id)


def test_a_link_in_the_place_of_a_sidecar_is_not_followed(saved: "Bench", ours: Settings) -> None:
    path = session_backup.path_of(saved.session)
    path.rename(saved.session.base_dir / "elsewhere")
    path.symlink_to(saved.session.base_dir / "elsewhere")
    lose(ours)
    assert not rebuilt(ours)[0].had_sidecar


def test_rows_of_another_session_do_not_come_in(saved: "Bench", ours: Settings) -> None:
    def smuggle(values: list[Any]) -> None:
        at = next(n for n, each in enumerate(values) if isinstance(each, dict) and each.get("table") == "uploads")
        values.insert(at + 1, ["sessions/other/index.html", "3" * 64, 1, "2026-01-01T00:00:00Z", "store"])
        values[-1]["rows"] += 1

    edited(saved.session, smuggle)
    before = dump(ours.db_path)
    lose(ours)
    assert rebuilt(ours)[0].had_sidecar
    assert dump(ours.db_path) == before


def test_an_older_sidecar_comes_to_the_newest_schema(
    saved: "Bench", ours: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose(ours)
    newer = "ALTER TABLE originals ADD COLUMN stars INTEGER NOT NULL DEFAULT 3; CREATE TABLE more (a)"
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, newer))
    monkeypatch.setattr(session_backup, "MIGRATIONS", schema.MIGRATIONS)
    assert rebuilt(ours)[0].had_sidecar
    assert {row[-1] for row in dump(ours.db_path)["originals"]} == {3}
    with Catalog(ours.db_path) as catalog:
        write_manifests(catalog, saved.session)
    monkeypatch.undo()
    lose(ours)
    with pytest.raises(ConfigurationError, match="newer version"):
        rebuilt(ours)


# The file itself


@pytest.fixture
def damaged(saved: "Bench", ours: Settings) -> Path:
    saved.catalog.close()
    ours.db_path.write_bytes(b"this is no catalog")
    Path(f"{ours.db_path}-wal").write_bytes(b"its log")
    return ours.db_path


def test_a_damaged_catalog_is_kept_aside_whole(damaged: Path) -> None:
    moved = quarantine.quarantine_catalog(damaged)
    assert moved.read_bytes() == b"this is no catalog"
    assert Path(f"{moved}-wal").read_bytes() == b"its log"
    assert moved.name.startswith("ghostroll.db.damaged-")
    assert not damaged.exists()
    assert not Path(f"{damaged}-wal").exists()
    damaged.write_bytes(b"once more")
    assert quarantine.quarantine_catalog(damaged) != moved
    assert moved.read_bytes() == b"this is no catalog"


def test_where_no_second_names_are_a_damaged_catalog_is_renamed(damaged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    moved = quarantine.quarantine_catalog(damaged)
    assert (moved.read_bytes(), Path(f"{moved}-wal").read_bytes()) == (b"this is no catalog", b"its log")
    assert not damaged.exists()


@pytest.mark.usefixtures("saved")
def test_a_healthy_or_a_missing_catalog_is_left_where_it_is(ours: Settings, tmp_path: Path) -> None:
    assert not quarantine.is_damaged(ours.db_path)
    assert not quarantine.is_damaged(tmp_path / "none.db")
    assert not (tmp_path / "none.db").exists()
    assert rebuild.quarantine_if_damaged(ours) is None


def test_a_page_of_noise_anywhere_is_found_or_harmless(saved: "Bench", ours: Settings, tmp_path: Path) -> None:
    """Every page in turn: the catalog is damaged, or it reads as before."""
    before = dump(ours.db_path)
    saved.catalog.close()
    content = ours.db_path.read_bytes()
    found = 0
    for page in range(len(content) // 4096):
        path = tmp_path / f"{page}.db"
        path.write_bytes(content[: page * 4096] + os.urandom(4096) + content[(page + 1) * 4096 :])
        if quarantine.is_damaged(path):
            found += 1
        else:
            assert dump(path) == before
    assert found > len(content) // 4096 // 2


@pytest.mark.parametrize(("at", "value"), [(47, 5), (60, 255), (63, 0), (28, 255), (100, 0)])
def test_a_header_that_says_nonsense_is_a_damaged_catalog(saved: "Bench", ours: Settings, at: int, value: int) -> None:
    saved.catalog.close()
    content = bytearray(ours.db_path.read_bytes())
    content[at] = value  # sqlite.org/fileformat2.html: format number, our version, size in pages, first page's type
    ours.db_path.write_bytes(content)
    assert quarantine.is_damaged(ours.db_path)


@pytest.mark.parametrize("length", [99, 100, 4096, 5000, 20_000])
def test_a_catalog_that_was_cut_is_damaged(saved: "Bench", ours: Settings, length: int) -> None:
    saved.catalog.close()
    os.truncate(ours.db_path, length)
    assert quarantine.is_damaged(ours.db_path)


def test_a_catalog_of_no_length_is_new(saved: "Bench", ours: Settings) -> None:
    before = dump(ours.db_path)
    saved.catalog.close()
    os.truncate(ours.db_path, 0)
    assert not quarantine.is_damaged(ours.db_path)
    assert len(rebuilt(ours)) == 1
    assert dump(ours.db_path) == before


@pytest.mark.parametrize(
    "change",
    [
        "DROP TABLE uploads",
        "UPDATE originals SET path = CAST(x'ff41' AS TEXT) WHERE path = 'DCIM/a.JPG'",
        "UPDATE originals SET kind = 'spaceship'",
    ],
)
def test_rows_that_say_nothing_are_a_damaged_catalog(saved: "Bench", ours: Settings, change: str) -> None:
    db = sqlite3.connect(ours.db_path)
    db.execute(change)
    db.commit()
    db.close()

    def touch() -> None:
        saved.catalog.check()
        saved.catalog.originals(saved.session.session_id)

    with pytest.raises(CatalogDamaged) as refused:
        touch()
    assert "ghostroll catalog rebuild" in refused.value.hint


# What else is alive


def test_it_is_refused_while_watch_or_a_run_is_alive(tmp_path: Path) -> None:
    status = tmp_path / "status.json"
    rebuild.require_no_runs(status)
    code = (
        "import sys, pathlib; from ghostroll.status.recorder import StatusRecord; "
        "from ghostroll.status.run_record import RunKind; "
        "r = StatusRecord(pathlib.Path(sys.argv[1]), RunKind(sys.argv[2]), pathlib.Path('/')); "
        "print(flush=True); "
        "sys.stdin.read(); r.close()"
    )
    for name in ("watch", "card"):
        with subprocess.Popen(
            [sys.executable, "-c", code, status, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as other:
            assert other.stdin
            assert other.stdout
            other.stdout.readline()
            with pytest.raises(UsageError) as refused:
                rebuild.require_no_runs(status)
            assert "systemctl stop ghostroll" in refused.value.hint
            other.stdin.close()
        rebuild.require_no_runs(status)


def test_a_card_is_not_saved_over_a_session_that_is_not_known(saved: "Bench", ours: Settings) -> None:
    reject_unknown(ours, saved.catalog, saved.session.session_id)
    reject_unknown(ours, saved.catalog, "wedding")
    lose(ours)
    with Catalog(ours.db_path) as catalog:
        assert [each.session_id for each in unknown_sessions(ours, catalog)] == [saved.session.session_id]
        with pytest.raises(UsageError, match="holds files"):
            reject_unknown(ours, catalog, saved.session.session_id)


def test_books_of_many_files_are_small_and_soon_read(session: Session, catalog: Catalog) -> None:
    number = 5000
    catalog.create_session(session.session_id, card_id="uuid:1", card_label="card")
    files = [
        SavedFile(
            Original(f"DCIM/{n}.JPG", MediaKind.STILL, n, f"{n:064x}", f"DCIM/{n}.jpg", RenderState.PENDING),
            f"DCIM/{n}.JPG",
            n,
            f"{n:064x}",
            verified=True,
        )
        for n in range(number)
    ]
    catalog.record_saved(session.session_id, "uuid:1", files)
    session.directory.mkdir(parents=True)
    write_manifests(catalog, session)
    assert session_backup.path_of(session).stat().st_size < 400 * number
    books = session_backup.read(session)
    assert books
    with books:
        assert books.originals(session.session_id) == catalog.originals(session.session_id)
