"""`ghostroll watch`: cards come and go, and the loop goes on."""

import gzip
import json
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ghostroll.embedded.seaweedfs import free_ports
from ghostroll.embedded.tcp_forward import TcpForwarder
from tests.support.appliance import (
    Appliance,
    connected,
    get,
    links,
    make_appliance,
    make_card,
    save_noise,
    save_photo,
    sha256,
    tree,
    wait_until,
)

if TYPE_CHECKING:
    from tests.support.served import Served

WAITING = "Waiting for SD card…"


@pytest.fixture
def appliance(served: "Served", tmp_path: Path) -> Iterator[Appliance]:
    made = connected(tmp_path, served)
    (tmp_path / "media").mkdir()
    yield made
    made.kill_all()


class Watching:
    """A watch that runs until the test is over, and a reader's slot."""

    def __init__(self, appliance: Appliance, **environment: str) -> None:
        self.appliance = appliance
        self.slot = appliance.root / "media"
        self.child = appliance.start("watch", **environment)
        wait_until(lambda: self.story.count("Waiting for cards"))

    @property
    def story(self) -> str:
        return self.appliance.output(self.child)[1]

    def plug(self, card: Path, label: str = "auto-import") -> Path:
        """Have a card appear all at once, as a mount does."""
        place = self.slot / label
        place.parent.mkdir(parents=True, exist_ok=True)
        card.rename(place)
        return place

    def wait_for(self, words: str, times: int = 1) -> None:
        wait_until(lambda: self.story.count(words) >= times, every=0.05)

    def end(self) -> None:
        assert self.child.poll() is None, self.story
        self.child.send_signal(signal.SIGTERM)
        ended = self.appliance.end(self.child)
        assert ended.code == 0, ended.err
        assert self.appliance.status["state"] != "running"


def test_a_card_is_taken_once_for_each_time_it_is_plugged_in(appliance: Appliance) -> None:
    watching = Watching(appliance)
    wait_until(lambda: appliance.status.get("message") == WAITING)
    assert appliance.status["state"] == "idle"
    card = watching.plug(make_card(appliance.root / "card", range(3)))
    watching.wait_for("The link to ")
    (session,) = appliance.sessions()
    url = (session / "share.txt").read_text().strip()
    assert url in watching.story
    assert get(url).status == 200
    wait_until(lambda: appliance.status["state"] == "done")
    assert appliance.status["card"]["state"] == "safe"
    time.sleep(4.5)  # two looks
    assert watching.story.count("Session shoot-") == 1
    assert "Nothing new" not in watching.story

    card.rename(appliance.root / "pocket")
    watching.wait_for("removed")
    wait_until(lambda: appliance.status["message"] == WAITING)
    assert appliance.status["state"] == "idle"
    assert appliance.status["url"] == url, "guests may still come"

    watching.plug(appliance.root / "pocket")
    watching.wait_for("Nothing new")
    assert len(appliance.sessions()) == 1
    watching.end()


def test_only_cards_of_the_wanted_label_are_taken(appliance: Appliance) -> None:
    slot = appliance.root / "media"
    taken = ["auto-import", "AUTO-IMPORT 2", "owner/Auto-Import 17"]
    left = ["auto-import2", "auto-import x", "my auto-import", "EOS_DIGITAL", "owner/deep/auto-import"]
    for seed, label in enumerate(taken + left):
        make_card(slot / label, range(seed, seed + 1))
    (slot / "auto-import 3" / "PRIVATE").mkdir(parents=True)
    (slot / "auto-import 4").symlink_to(slot / "EOS_DIGITAL")
    watching = Watching(appliance)
    wait_until(lambda: appliance.count("ingested_files") == len(taken))
    watching.wait_for("The link to ", len(taken))
    time.sleep(2.5)
    assert appliance.count("ingested_files") == len(taken)
    saved = [digest for session in appliance.sessions() for digest in tree(session / "originals").values()]
    assert sorted(saved) == sorted(sha256(path) for label in taken for path in (slot / label).rglob("*.JPG"))
    watching.end()


def test_a_star_takes_any_card(appliance: Appliance) -> None:
    make_card(appliance.root / "media" / "EOS_DIGITAL", range(1))
    (appliance.root / "media" / "USB STICK" / "Documents").mkdir(parents=True)
    watching = Watching(appliance, GHOSTROLL_SD_LABEL="*")
    watching.wait_for("The link to ")
    assert len(appliance.sessions()) == 1
    watching.end()


def test_a_card_that_fails_does_not_end_it_and_is_finished_when_it_comes_back(appliance: Appliance) -> None:
    card = make_card(appliance.root / "card", range(12), (2000, 1333))
    for number in range(3):
        save_noise(card / f"DCIM/100CANON/MVI_{number:04}.MP4", 100 << 20, number)
    wanted = sorted(sha256(path) for path in card.rglob("*.*"))
    watching = Watching(appliance)
    place = watching.plug(card)
    wait_until(lambda: appliance.count("ingested_files") >= 12)
    place.rename(appliance.root / "pulled")
    watching.wait_for("taken out")
    wait_until(lambda: appliance.status.get("error") or appliance.status["message"] == WAITING)
    assert watching.child.poll() is None

    watching.plug(save_photo(appliance.root / "other/DCIM/A/B.JPG", 99).parents[2], "auto-import 2")
    wait_until(lambda: "auto-import 2" in watching.story and len(appliance.sessions()) == 2)
    watching.plug(appliance.root / "pulled")
    wait_until(lambda: appliance.count("ingested_files") == len(wanted) + 1)
    wait_until(lambda: {row[0] for row in appliance.ask("SELECT state FROM sessions")} == {"shared"})
    whole = [sorted(tree(session / "originals").values()) for session in appliance.sessions()]
    assert wanted in whole, "in one session"
    watching.end()


def test_what_was_left_unfinished_is_finished_at_the_start(appliance: Appliance) -> None:
    card = make_card(appliance.root / "card", range(10), (2000, 1333))
    child = appliance.start("run", "--volume", str(card))
    wait_until(lambda: appliance.count("ingested_files") == 10)
    child.kill()
    child.wait()
    shutil.rmtree(card)
    watching = Watching(appliance)
    (session,) = appliance.sessions()
    wait_until((session / "share.txt").exists)
    wait_until(lambda: appliance.ask("SELECT state FROM sessions") == [("shared",)])
    assert get((session / "share.txt").read_text().strip()).status == 200
    watching.end()


def test_a_store_out_of_reach_does_not_keep_the_next_card_waiting(appliance: Appliance) -> None:
    first, second = (make_card(appliance.root / name, range(seed, seed + 2)) for name, seed in (("a", 1), ("b", 5)))
    watching = Watching(appliance, GHOSTROLL_S3_ENDPOINT_URL=f"http://127.0.0.1:{free_ports(1)[0]}")
    watching.plug(first)
    wait_until(lambda: appliance.count("ingested_files") == 2)
    watching.plug(second, "auto-import 2")
    wait_until(lambda: appliance.count("ingested_files") == 4, seconds=12)
    watching.end()


def test_a_session_that_waits_is_shared_as_soon_as_the_store_answers_again(
    appliance: Appliance, served: "Served"
) -> None:
    port = free_ports(1)[0]
    card = make_card(appliance.root / "media" / "auto-import", range(2))
    watching = Watching(appliance, GHOSTROLL_S3_ENDPOINT_URL=f"http://127.0.0.1:{port}")
    watching.wait_for("The photos are saved. `ghostroll resume`")
    with closing(TcpForwarder(port, int(served.endpoint.local_url.rpartition(":")[2]))):
        watching.wait_for("The store answers again.")
        watching.wait_for("The link to ")
        wait_until(lambda: appliance.status["state"] == "done")
        status = appliance.status
        time.sleep(3)  # what is looked after beside the cards has had its turn
        assert (appliance.status["state"], appliance.status["url"]) == ("done", status["url"]), "the card is in still"
        card.rename(appliance.root / "pocket")
        wait_until(lambda: appliance.status["card"]["state"] == "removed")
        assert (appliance.status["state"], appliance.status["url"]) == ("idle", status["url"])
        watching.end()
    card = appliance.root / "pocket"
    assert sorted(tree(appliance.sessions()[0] / "originals").values()) == sorted(map(sha256, card.rglob("*.JPG")))


def test_a_card_that_is_pulled_while_its_pictures_go_up_is_not_said_to_be_in_when_they_are(
    appliance: Appliance, served: "Served"
) -> None:
    port = free_ports(1)[0]
    make_card(appliance.root / "media" / "auto-import", range(2))
    watching = Watching(appliance, GHOSTROLL_S3_ENDPOINT_URL=f"http://127.0.0.1:{port}")
    wait_until(lambda: appliance.status.get("card", {}).get("state") == "safe")
    (appliance.root / "media" / "auto-import").rename(appliance.root / "pocket")
    watching.wait_for("removed")
    with closing(TcpForwarder(port, int(served.endpoint.local_url.rpartition(":")[2]))):
        wait_until(lambda: appliance.status["state"] == "done")
        assert (appliance.status["card"]["state"], appliance.status["card"]["saved"]) == ("removed", 2)
        assert appliance.status["url"]
        watching.end()


def test_a_card_that_is_not_taken_is_spoken_of_until_it_is_out(appliance: Appliance) -> None:
    make_card(appliance.root / "media" / "EOS_DIGITAL", range(1))
    watching = Watching(appliance)
    wait_until(lambda: appliance.status.get("card", {}).get("state") == "rejected")
    (appliance.root / "media" / "EOS_DIGITAL").rename(appliance.root / "pocket")
    wait_until(lambda: appliance.status["card"]["state"] == "removed")
    assert appliance.status["card"]["label"] is None
    watching.end()


def test_it_ends_soon_in_the_midst_of_a_card_and_goes_on_at_the_next_start(appliance: Appliance) -> None:
    card = make_card(appliance.root / "media" / "auto-import", range(12), (2000, 1333))
    watching = Watching(appliance)
    wait_until(lambda: appliance.count("derivatives") >= 2)
    watching.end()
    again = Watching(appliance)
    again.wait_for("The link to ")
    (session,) = appliance.sessions()
    assert sorted(tree(session / "originals").values()) == sorted(sha256(path) for path in card.rglob("*.JPG"))
    again.end()


def test_links_of_the_embedded_store_are_signed_anew_when_its_address_changes(tmp_path: Path) -> None:
    appliance = make_appliance(tmp_path, GHOSTROLL_STORE_PORT=str(free_ports(1)[0]))
    (tmp_path / "media").mkdir()
    try:
        first = appliance.run(make_card(tmp_path / "card", range(2)))
        watching = Watching(appliance, GHOSTROLL_STORE_HOST="localhost")
        watching.wait_for("links are signed anew")
        watching.wait_for("The link to 2 pictures works")
        (listed,) = json.loads(appliance.call("sessions", "--json").out)
        assert first["url"].startswith("http://127.0.0.1:")
        assert listed["url"].startswith("http://localhost:")
        page = get(listed["url"])
        assert page.status == 200
        assert {get(link).status for link in links(gzip.decompress(page.body).decode()) if "X-Amz" in link} == {200}
        watching.end()
    finally:
        appliance.kill_all()
