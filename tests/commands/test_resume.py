"""Cut short anywhere, and run again: nothing is lost, nothing is done twice, nothing is left behind."""

import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from ghostroll.embedded.seaweedfs import free_ports
from tests.support.appliance import (
    Appliance,
    connected,
    family,
    get,
    is_running,
    lasting,
    left_overs,
    links,
    make_card,
    objects,
    save_noise,
    sha256,
    tree,
    wait_until,
)

if TYPE_CHECKING:
    from tests.support.served import Served

PHOTOS = 14
VIDEO_BYTES = 40 << 20

Moment = Callable[[Appliance], Any]
MOMENTS: dict[str, Moment] = {
    "begun": lambda appliance: appliance.sessions(),
    "copying": lambda appliance: list(appliance.base.glob("*/.incoming/*")),
    "saved": lambda appliance: appliance.count("ingested_files") >= 3,
    "video": lambda appliance: appliance.count("ingested_files") >= PHOTOS,
    "rendering": lambda appliance: appliance.count("derivatives") >= 6,
    "uploading": lambda appliance: appliance.count("uploads") >= 16,
    "page": lambda appliance: appliance.ask("SELECT 1 FROM uploads WHERE s3_key LIKE '%index.html'"),
    "link": lambda appliance: list(appliance.base.glob("*/share.txt")),
}


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A card that takes a few seconds."""
    root = make_card(tmp_path_factory.mktemp("card"), range(PHOTOS), (2000, 1333))
    for number in range(2):
        save_noise(root / f"DCIM/100CANON/MVI_{number:04}.MP4", VIDEO_BYTES, 1000 + number)
    return root


def inside(served: "Served", session_id: str) -> dict[str, tuple[str, int]]:
    """Return what a session has in the bucket; of its page, which is signed anew, only that it is there."""
    found = objects(served, f"sessions/{session_id}/")
    assert found.pop("index.html", None)
    return found


@pytest.fixture(scope="module")
def undisturbed(
    served: "Served", card: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, str], dict[str, tuple[str, int]]]:
    """What disk and bucket hold after a run that nobody disturbed."""
    appliance = connected(tmp_path_factory.mktemp("undisturbed"), served)
    document = appliance.run(card)
    return lasting(Path(document["session_dir"])), inside(served, document["session_id"])


@pytest.fixture(scope="module", autouse=True)
def offline(served: "Served", tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Appliance, Any, float]]:
    """A run whose store is out of reach; it takes half a minute, so the other tests go on beside it."""
    root = tmp_path_factory.mktemp("offline")
    appliance = connected(root, served)
    appliance.environment["GHOSTROLL_S3_ENDPOINT_URL"] = f"http://127.0.0.1:{free_ports(1)[0]}"
    child = appliance.start("run", "--volume", str(make_card(root / "card", range(3))), "--json")
    yield appliance, child, time.monotonic()
    appliance.kill_all()


def assert_whole(
    appliance: Appliance, served: "Served", undisturbed: tuple[dict[str, str], dict[str, tuple[str, int]]]
) -> None:
    (session,) = appliance.sessions()
    files, in_bucket = undisturbed
    assert lasting(session) == files
    assert inside(served, session.name) == in_bucket
    assert left_overs(appliance.base) == []
    assert (appliance.status["state"], appliance.status["error"]) == ("done", None)
    answer = get((session / "share.txt").read_text().strip())
    assert answer.status == 200
    assert appliance.ask("SELECT count(*), sum(verified) FROM ingested_files")[0][0] == PHOTOS + 2


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_that_was_killed_is_finished_by_the_next(
    appliance: Appliance,
    card: Path,
    served: "Served",
    undisturbed: tuple[dict[str, str], dict[str, tuple[str, int]]],
    moment: str,
) -> None:
    child = appliance.start("run", "--volume", str(card), "--json")
    wait_until(lambda: MOMENTS[moment](appliance) or child.poll() is not None)
    relatives = family(child.pid)
    child.kill()
    child.wait()
    document = appliance.run(card)
    # Killed after all was done, there is nothing left to do.
    assert document["session_id"] == appliance.sessions()[0].name or moment == "link"
    assert_whole(appliance, served, undisturbed)
    wait_until(lambda: not any(map(is_running, relatives)), seconds=5)


def test_a_run_that_is_killed_again_and_again_gets_there(
    appliance: Appliance,
    card: Path,
    served: "Served",
    undisturbed: tuple[dict[str, str], dict[str, tuple[str, int]]],
) -> None:
    for milliseconds in range(400, 1600, 300):
        child = appliance.start("run", "--volume", str(card), "--json")
        time.sleep(milliseconds / 1000)
        child.kill()
        child.wait()
    appliance.run(card)
    assert_whole(appliance, served, undisturbed)


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("copying", signal.SIGTERM),
        ("video", signal.SIGINT),
        ("rendering", signal.SIGTERM),
        ("rendering", signal.SIGINT),
        ("uploading", signal.SIGTERM),
        ("uploading", signal.SIGHUP),
    ],
)
def test_a_run_ends_soon_when_it_is_asked_to(
    appliance: Appliance,
    card: Path,
    served: "Served",
    undisturbed: tuple[dict[str, str], dict[str, tuple[str, int]]],
    *,
    moment: str,
    number: signal.Signals,
) -> None:
    child = appliance.start("run", "--volume", str(card), "--json")
    wait_until(lambda: MOMENTS[moment](appliance) or child.poll() is not None)
    relatives = family(child.pid)
    child.send_signal(number)
    ended = appliance.end(child)
    print(f"{moment} {number.name}: {ended.seconds:.2f} s")  # noqa: T201 - shown by `pytest -rP`
    assert ended.seconds < 25  # one that heeds no signal goes on for its backoff of 30 s
    assert ended.code == 75, ended.err
    assert ended.document["state"] == appliance.status["state"] == "interrupted"
    assert ended.document["session_id"] == appliance.sessions()[0].name
    wait_until(lambda: not any(map(is_running, relatives)), seconds=5)
    assert left_overs(appliance.base) == []
    if number is signal.SIGTERM:
        appliance.run(card)
        assert_whole(appliance, served, undisturbed)


def test_what_was_read_is_shared_without_the_card(
    appliance: Appliance, served: "Served", card: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    shutil.copytree(card, own)
    child = appliance.start("run", "--volume", str(own), "--json")
    wait_until(lambda: appliance.count("derivatives") >= 4)
    child.kill()
    child.wait()
    shutil.rmtree(own)
    saved_by_then = {row[0] for row in appliance.ask("SELECT sha256 FROM ingested_files")}
    (document,) = appliance.resume()
    saved = {row[0] for row in appliance.ask("SELECT sha256 FROM ingested_files")}
    assert saved >= saved_by_then, "a whole copy that had no row yet is taken in"
    assert document["session_id"] == appliance.sessions()[0].name
    assert set(tree(appliance.sessions()[0] / "originals").values()) == saved
    shares = [key for key in inside(served, document["session_id"]) if key.startswith("share/")]
    assert len(shares) == min(PHOTOS, len(saved))
    assert get(document["url"]).status == 200
    assert appliance.resume() == []


# The bucket


def test_an_emptied_bucket_is_filled_again(appliance: Appliance, served: "Served", tmp_path: Path) -> None:
    card = make_card(tmp_path / "card", range(4))
    first = appliance.run(card)
    before = inside(served, first["session_id"])
    for key in objects(served, f"sessions/{first['session_id']}/"):
        served.client.delete_object(Bucket=served.endpoint.bucket, Key=f"sessions/{first['session_id']}/{key}")
    assert get(first["url"]).status == 404
    (document,) = appliance.resume(first["session_id"])
    assert inside(served, first["session_id"]) == before
    answer = get(document["url"])
    assert answer.status == 200
    for link in links((appliance.sessions()[0] / "index.s3.html").read_text()):
        assert link.startswith("data:") or get(link).status == 200
    # The link that was handed out before leads to the same page again.
    assert get(first["url"]).body == answer.body


def test_another_bucket_gets_all_of_a_session(appliance: Appliance, served: "Served", tmp_path: Path) -> None:
    document = appliance.run(make_card(tmp_path / "card", range(3)))
    appliance.environment["GHOSTROLL_S3_PREFIX_ROOT"] = "elsewhere/"
    (again,) = appliance.resume(document["session_id"])
    assert get(again["url"]).status == 200
    names = {urlsplit(each).path for each in links((appliance.sessions()[0] / "index.s3.html").read_text())}
    there = set(objects(served, f"elsewhere/{document['session_id']}/"))
    assert "index.html" in there
    for name in names:
        if "elsewhere/" in name:
            assert name.partition(f"elsewhere/{document['session_id']}/")[2] in there


# The disk


def test_a_session_that_its_owner_deleted_breaks_nothing(appliance: Appliance, tmp_path: Path) -> None:
    card = make_card(tmp_path / "card", range(3))
    first = appliance.run(card)
    shutil.rmtree(first["session_dir"])
    appliance.run(card)
    assert not appliance.status["card"]["safe_to_format"]
    assert appliance.resume() == []
    assert appliance.call("resume", first["session_id"]).code == 0
    make_card(tmp_path / "card", range(3, 5))
    third = appliance.run(card)
    assert third["new"] == 2
    assert get(third["url"]).status == 200


def test_files_whose_copies_were_deleted_are_not_called_saved(appliance: Appliance, tmp_path: Path) -> None:
    card = make_card(tmp_path / "card", range(3))
    first = appliance.run(card)
    shutil.rmtree(first["session_dir"])
    ended = appliance.call("run", "--volume", str(card))
    assert "are saved" not in ended.err, ended.err


def test_an_emptied_base_directory_breaks_nothing(appliance: Appliance, tmp_path: Path) -> None:
    card = make_card(tmp_path / "card", range(2))
    appliance.run(card)
    shutil.rmtree(appliance.base)
    assert appliance.call("status").code == 0
    assert appliance.call("sessions").code == 0
    assert appliance.call("resume").code == 0
    appliance.run(card)
    assert not appliance.status["card"]["safe_to_format"]
    make_card(card, range(2, 3))
    assert get(appliance.run(card)["url"]).status == 200


def test_derivatives_that_are_gone_are_made_again(appliance: Appliance, tmp_path: Path, served: "Served") -> None:
    card = make_card(tmp_path / "card", range(3))
    document = appliance.run(card)
    session = Path(document["session_dir"])
    before = lasting(session), inside(served, session.name)
    shutil.rmtree(session / "derived")
    for name in ("share.zip", "index.html", "index.s3.html", "share.txt", "share-qr.png"):
        (session / name).unlink()
    (again,) = appliance.resume(session.name)
    assert (lasting(session), inside(served, session.name)) == before
    assert (session / "share.txt").read_text().strip() == again["url"]


def test_a_lost_catalog_takes_no_photo_along(appliance: Appliance, tmp_path: Path) -> None:
    card = make_card(tmp_path / "card", range(3))
    first = appliance.run(card)
    before = tree(Path(first["session_dir"]))
    shutil.rmtree(appliance.database.parent)
    second = appliance.run(card)
    assert second["new"] == 3
    assert second["session_id"] != first["session_id"]
    assert tree(Path(first["session_dir"])) == before
    assert get(second["url"]).status == 200


# A network that swallows everything


def test_a_run_ends_soon_though_its_store_never_answers(appliance: Appliance) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(64)
        appliance.environment["GHOSTROLL_S3_ENDPOINT_URL"] = f"http://127.0.0.1:{silent.getsockname()[1]}"
        child = appliance.start("run", "--volume", str(make_card(appliance.root / "card", range(3))), "--json")
        wait_until(lambda: appliance.count("derivatives") == 6)
        time.sleep(1)
        child.send_signal(signal.SIGTERM)
        ended = appliance.end(child)
    print(f"silent store: {ended.seconds:.2f} s")  # noqa: T201 - shown by `pytest -rP`
    assert ended.code == 75
    assert ended.seconds < 25  # one that heeds no signal goes on for its backoff of 30 s
    assert ended.document["state"] == appliance.status["state"] == "interrupted"


# Two at once


def test_two_runs_at_once_share_the_work_and_lose_nothing(appliance: Appliance, served: "Served") -> None:
    cards = [
        make_card(appliance.root / "one", range(16), (1600, 1067)),
        make_card(appliance.root / "two", range(8, 24), (1600, 1067)),
    ]
    children = [appliance.start("run", "--volume", str(card), "--json") for card in cards]
    seen: set[str] = set()
    while any(child.poll() is None for child in children):
        if status := appliance.status:
            seen.add(status["state"])
            assert len(status["runs"]) in (0, 2)
        time.sleep(0.02)
    ended = [appliance.end(child) for child in children]
    assert [each.code for each in ended] == [0, 0], [each.err for each in ended]
    documents = [each.document for each in ended]
    on_cards = {sha256(path) for card in cards for path in card.rglob("*.JPG")}
    saved = [digest for session in appliance.sessions() for digest in tree(session / "originals").values()]
    assert sorted(saved) == sorted(on_cards), "each content once"
    for document in documents:
        assert document["discovered"] == document["new"] + document["skipped"] == 16
        assert document["new"] == document["ingested"]
        assert document["failed"] == []
    for session in appliance.sessions():
        checked = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=session, capture_output=True, check=False)
        assert checked.returncode == 0
        pictures = len(tree(session / "originals"))
        assert sum(key.startswith("share/") for key in inside(served, session.name)) == pictures
        assert len(re.findall("<img", (session / "index.html").read_text())) == pictures
        assert get((session / "share.txt").read_text().strip()).status == 200
    assert seen <= {"idle", "running", "done"}
    assert left_overs(appliance.base) == []


def test_two_runs_at_once_on_one_card_save_it_once(appliance: Appliance) -> None:
    card = make_card(appliance.root / "one", range(12), (1600, 1067))
    children = [appliance.start("run", "--volume", str(card), "--json") for _ in range(2)]
    codes = sorted(appliance.end(child).code for child in children)
    assert codes in ([0, 0], [0, 64])
    saved = [digest for session in appliance.sessions() for digest in tree(session / "originals").values()]
    assert sorted(saved) == sorted(sha256(path) for path in card.rglob("*.JPG"))
    for session in appliance.sessions():
        if tree(session / "originals"):
            assert get((session / "share.txt").read_text().strip()).status == 200
    assert appliance.resume() == []


# The store out of reach: last, since it takes half a minute


def test_a_run_gives_up_half_a_minute_after_the_last_file_was_saved(
    offline: tuple[Appliance, subprocess.Popen[bytes], float], served: "Served", tmp_path: Path
) -> None:
    appliance, child, started = offline
    ended = appliance.end(child)
    assert ended.code == 75, ended.err
    (session,) = appliance.sessions()
    saved_at = max(path.stat().st_mtime for path in [session / "SHA256SUMS"])
    ended_at = (session / "ghostroll.log").stat().st_mtime
    assert 28 < ended_at - saved_at < 40, "as the session's log has it"
    document = ended.document
    assert (document["state"], document["ingested"], document["derived"], document["url"]) == ("waiting", 3, 3, None)
    assert appliance.status["state"] == "waiting"
    assert appliance.status["error"]["code"] == 75
    assert appliance.status["error"]["hint"]
    assert appliance.status["card"]["state"] == "safe"
    assert not (session / "share.txt").exists()
    assert not (session / "share-qr.png").exists()
    assert (session / "index.html").exists()
    assert (session / "share.zip").exists()
    assert started

    # The store is there again, the card is not.
    (appliance.root / "card").rename(tmp_path / "gone")
    appliance.environment["GHOSTROLL_S3_ENDPOINT_URL"] = served.endpoint.local_url
    resumed = appliance.call("resume", "--json")
    assert resumed.code == 0, resumed.err
    print(f"resume: {resumed.seconds:.2f} s")  # noqa: T201 - shown by `pytest -rP`
    (again,) = resumed.document
    assert again["session_id"] == session.name
    assert (again["ingested"], again["bytes"]) == (0, 0)
    assert get(again["url"]).status == 200
    assert appliance.status["state"] == "done"
