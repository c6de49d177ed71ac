"""A catalog that is lost, damaged or doubted: what the commands say, and how it comes back from the sessions."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.appliance import (
    Appliance,
    connected,
    get,
    lasting,
    make_card,
    objects,
    save_noise,
    save_photo,
    sha256,
    tree,
    wait_until,
)

if TYPE_CHECKING:
    from tests.support.served import Served

PHOTOS = 3
TABLES = ("sessions", "originals", "derivatives", "ingested_files", "card_files", "uploads", "failures")


@pytest.fixture(scope="module")
def template(served: "Served", tmp_path_factory: pytest.TempPathFactory) -> Appliance:
    """An owner's machine after two cards; nobody changes it."""
    appliance = connected(tmp_path_factory.mktemp("template"), served)
    for number in range(2):
        card = make_card(appliance.root / f"card{number}", range(number * 10, number * 10 + PHOTOS))
        save_noise(card / "DCIM/100CANON/MVI_0001.MP4", 3 << 20, 70 + number)
        if number == 0:
            save_photo(card / os.fsdecode(b"DCIM/odd\xff.JPG"), 99)
        appliance.run(card)
    return appliance


@pytest.fixture
def owner(template: Appliance, served: "Served", tmp_path: Path) -> Appliance:
    """The same machine, to be broken: cards, sessions and catalog are where they were, by a mere change of name."""
    root = tmp_path / "root"
    made = connected(root, served)
    for name in ("base", "state"):
        shutil.copytree(template.root / name, root / name)
    for number in range(2):
        (root / f"card{number}").symlink_to(template.root / f"card{number}")
    return made


def rows(appliance: Appliance) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that the catalog holds, as sqlite3 reads it."""
    with closing(sqlite3.connect(appliance.database)) as db:
        return {table: db.execute(f"SELECT * FROM {table} ORDER BY rowid").fetchall() for table in TABLES}


def damage_page(path: Path) -> None:
    size = path.stat().st_size // 4096
    with path.open("r+b") as file:
        for page in range(1, size):
            file.seek(page * 4096)
            file.write(os.urandom(4096))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "text": lambda path: path.write_text("this is no catalog"),
    "noise": lambda path: path.write_bytes(os.urandom(50_000)),
    "pages": damage_page,
    "cut": lambda path: os.truncate(path, 20_000),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_catalog_is_refused_by_all_and_comes_back_whole(owner: Appliance, how: str) -> None:
    before = rows(owner)
    DAMAGE[how](owner.database)
    damaged = owner.database.read_bytes()
    for command in (["sessions"], ["resume"], ["verify"], ["watch"], ["run", "--volume", str(owner.root / "card0")]):
        ended = owner.call(*command)
        assert ended.code == 78, command
        assert "damaged" in ended.err
        assert "`ghostroll catalog rebuild`" in ended.err
        if command != ["sessions"]:  # a panel shows it, too
            assert (owner.status["state"], owner.status["error"]["code"]) == ("error", 78), command
            assert "`ghostroll catalog rebuild`" in owner.status["error"]["hint"]
            (owner.base / "status.json").unlink()
    assert owner.database.read_bytes() == damaged
    ended = owner.call("catalog", "rebuild")
    assert ended.code == 0, ended.err
    assert f"Imported: 2 sessions with {2 * PHOTOS + 3} files" in ended.out
    assert rows(owner) == before
    (aside,) = owner.database.parent.glob("ghostroll.db.damaged-*")
    assert aside.read_bytes() == damaged


def test_a_catalog_deleted_under_a_run_ends_it_in_good_order(served: "Served", tmp_path: Path) -> None:
    owner = connected(tmp_path / "owner", served, GHOSTROLL_S3_PREFIX_ROOT=f"{tmp_path.name}/")
    card = make_card(tmp_path / "card", range(40, 60))
    child = owner.start("run", "--volume", str(card), "--json")
    wait_until(lambda: owner.count("ingested_files") or child.poll() is not None)
    for file in owner.database.parent.glob("ghostroll.db*"):
        file.unlink()
    ended = owner.end(child)
    assert ended.code == 78, ended.err
    assert owner.status["error"]["code"] == 78
    assert "deleted or replaced" in owner.status["error"]["message"]
    assert not owner.database.exists()
    assert owner.call("run", "--volume", str(card), "--json").code == 0
    assert owner.status["card"]["safe_to_format"]
    assert owner.call("catalog", "rebuild").code == 0
    assert owner.call("resume").code == 0
    assert {digest for each in owner.sessions() for digest in tree(each / "originals").values()} == set(
        tree(card).values()
    )


def test_after_a_lost_catalog_nothing_is_new_and_the_old_links_are_shown(owner: Appliance, served: "Served") -> None:
    before, in_bucket = rows(owner), objects(served, "sessions/")
    listed = owner.call("sessions", "--json").document
    shutil.rmtree(owner.database.parent)
    # Saving goes on without it, but the owner is told.
    ended = owner.call("resume")
    assert ended.code == 0
    assert "does not know 2 sessions" in ended.err
    assert "`ghostroll catalog rebuild`" in ended.err
    assert owner.call("catalog", "rebuild", "--json").document["sessions"][0]["files"] == PHOTOS + 2
    assert rows(owner) == before
    assert owner.call("sessions", "--json").document == listed
    assert [get(each["url"]).status for each in listed] == [200, 200]
    for number in range(2):
        document = owner.run((owner.root / f"card{number}").resolve())
        assert (document["session_id"], document["new"], document["uploaded"]) == (None, 0, 0)
    assert objects(served, "sessions/") == in_bucket
    assert "does not know" not in owner.call("resume").err
    assert owner.call("catalog", "rebuild").out.startswith("Every session on the disk is in the catalog")


def test_a_catalog_of_no_length_is_a_lost_one(owner: Appliance) -> None:
    before = rows(owner)
    for part in ("-wal", "-shm"):
        Path(f"{owner.database}{part}").unlink(missing_ok=True)
    owner.database.write_bytes(b"")
    assert "does not know 2 sessions" in owner.call("resume").err
    assert owner.call("catalog", "rebuild").code == 0
    assert rows(owner) == before


def test_a_card_saved_without_its_catalog_is_saved_whole_and_nothing_of_the_past_is_touched(owner: Appliance) -> None:
    past = {session.name: lasting(session) for session in owner.sessions()}
    shutil.rmtree(owner.database.parent)
    document = owner.run((owner.root / "card0").resolve())
    assert document["new"] == PHOTOS + 2
    assert document["session_id"] > max(past)
    ended = owner.call("catalog", "rebuild")
    assert ended.code == 0, ended.err
    assert {name: lasting(owner.base / name) for name in past} == past
    assert {row[0] for row in rows(owner)["sessions"]} == {*past, document["session_id"]}


def test_a_session_id_sorts_after_all_on_the_disk_even_with_the_clock_ahead_before(owner: Appliance) -> None:
    ahead = "shoot-2099-12-31_235959_000000"
    owner.sessions()[0].rename(owner.base / ahead)
    shutil.rmtree(owner.database.parent)
    assert owner.run((owner.root / "card0").resolve())["session_id"] > ahead


@pytest.mark.parametrize("kept", ["SHA256SUMS", None])
def test_without_sidecars_the_sessions_are_shared_again_under_the_same_names(
    owner: Appliance, served: "Served", kept: str | None
) -> None:
    before, in_bucket = rows(owner), objects(served, "sessions/")
    shutil.rmtree(owner.database.parent)
    for session in owner.sessions():
        for name in {".catalog.jsonl.gz", "SHA256SUMS"} - {kept}:
            (session / name).unlink()
    ended = owner.call("catalog", "rebuild")
    assert ended.code == 0, ended.err
    assert "saved, but not verified" in ended.out
    assert {row[2] for row in rows(owner)["sessions"]} == {"ingested"}
    assert len(owner.resume()) == 2
    after = rows(owner)
    for table, columns in (("originals", slice(1, 6)), ("derivatives", slice(1, 6)), ("uploads", slice(0, 1))):
        assert {row[columns] for row in after[table]} >= {
            row[columns] for row in before[table] if not str(row[0]).endswith(".html")
        }
    assert objects(served, "sessions/").keys() == in_bucket.keys()
    assert {(row[0], row[6]) for row in after["ingested_files"]} == {(row[0], 0) for row in before["ingested_files"]}
    document = owner.run((owner.root / "card1").resolve())
    assert (document["session_id"], document["new"]) == (None, 0)
    assert not owner.status["card"]["safe_to_format"]


def test_killed_anywhere_and_run_again_it_completes(owner: Appliance) -> None:
    before = rows(owner)
    for milliseconds in (350, 500, 600, 700, 800, 900):
        shutil.rmtree(owner.database.parent, ignore_errors=True)
        child = owner.start("catalog", "rebuild")
        time.sleep(milliseconds / 1000)
        child.kill()
        child.wait()
        ended = owner.call("catalog", "rebuild")
        assert ended.code == 0, ended.err
        assert rows(owner) == before
    noise = os.urandom(30_000)
    owner.database.write_bytes(noise)
    for _ in range(4):
        child = owner.start("catalog", "rebuild")
        wait_until(lambda: list(owner.database.parent.glob("*.damaged-*")), seconds=20)
        child.kill()
        child.wait()
    assert owner.call("catalog", "rebuild").code == 0
    assert rows(owner) == before
    # Killed between its second name and the end of its first, it has got two: the content is one.
    asides = [each for each in owner.database.parent.glob("ghostroll.db.damaged-*") if not each.name.endswith("-wal")]
    assert {each.read_bytes() for each in asides if not each.name.endswith("-shm")} == {noise}


def test_it_is_refused_beside_watch_and_ends_soon_on_a_signal(owner: Appliance) -> None:
    before = rows(owner)
    watching = owner.start("watch")
    wait_until(lambda: "Waiting for cards" in owner.output(watching)[1])
    ended = owner.call("catalog", "rebuild")
    assert ended.code == 64
    assert "systemctl stop ghostroll" in ended.err
    watching.send_signal(signal.SIGTERM)
    watching.wait(30)
    (owner.sessions()[0] / "originals" / "big.MOV").write_bytes(bytes(1 << 20))
    os.truncate(owner.sessions()[0] / "originals" / "big.MOV", 20 << 30)
    shutil.rmtree(owner.database.parent)
    child = owner.start("catalog", "rebuild")
    wait_until(lambda: "Reading shoot-" in owner.output(child)[1])
    child.send_signal(signal.SIGINT)
    ended = owner.end(child, 20)
    assert ended.code == 75
    assert "run `ghostroll catalog rebuild` again" in ended.err.replace("Run", "run")
    (owner.sessions()[0] / "originals" / "big.MOV").unlink()
    assert owner.call("catalog", "rebuild").code == 0
    assert rows(owner) == before


def test_a_damaged_original_is_found_and_saved_anew_from_its_card(owner: Appliance) -> None:
    session = owner.sessions()[1]
    path = session / "originals/DCIM/100CANON/IMG_0010.JPG"
    whole = sha256(path)
    assert owner.call("verify").code == 0
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"damage")
    check = subprocess.run(
        ["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=session, capture_output=True, check=False
    )
    assert b"IMG_0010.JPG: FAILED" in check.stdout
    ended = owner.call("verify", "--json")
    assert ended.code == 3
    found = {each["session_id"]: each for each in json.loads(ended.out)}
    assert found[session.name]["damaged"] == ["DCIM/100CANON/IMG_0010.JPG"]
    assert (found[session.name]["checked"], found[session.name]["ok"]) == (PHOTOS + 1, PHOTOS)
    assert found[owner.sessions()[0].name]["damaged"] == []
    card = (owner.root / "card1").resolve()
    document = owner.run(card)
    assert document["new"] == 1
    assert sha256(owner.base / document["session_id"] / "originals/DCIM/100CANON/IMG_0010.JPG") == whole
    assert "Plug their cards in again" not in owner.call("verify").out
    # A rebuilt catalog does not call it saved either.
    shutil.rmtree(owner.base / document["session_id"])
    shutil.rmtree(owner.database.parent)
    ended = owner.call("catalog", "rebuild")
    assert ended.code == 3
    assert f"Damaged: DCIM/100CANON/IMG_0010.JPG of {session.name}" in ended.out
    assert owner.run(card)["new"] == 1


def test_verify_tells_deleted_sessions_missing_files_and_unknown_ids(owner: Appliance) -> None:
    first, second = owner.sessions()
    shutil.rmtree(first)
    ended = owner.call("verify")
    assert (ended.code, len(ended.out.splitlines())) == (0, 2)
    assert f"{first.name}: deleted from the disk" in ended.out
    (second / "originals/DCIM/100CANON/IMG_0010.JPG").unlink()
    assert owner.call("verify").code == 3
    assert owner.call("verify", first.name).code == 0
    assert owner.call("verify", "shoot-none").code == 64
    owner.base.rename(owner.root / "unmounted")
    ended = owner.call("verify")
    assert ended.code == 73
    assert "mounted" in ended.err
    assert owner.call("catalog", "rebuild").code == 73


def test_a_card_does_not_go_over_a_session_that_the_catalog_lost(owner: Appliance) -> None:
    session = owner.sessions()[0]
    before = lasting(session)
    shutil.rmtree(owner.database.parent)
    ended = owner.call("run", "--volume", str((owner.root / "card1").resolve()), "--session-id", session.name)
    assert ended.code == 64
    assert "`ghostroll catalog rebuild`" in ended.err
    assert lasting(session) == before
