"""A fresh link to a past session: the page is made anew, and nothing else is sent."""

import fcntl
import gzip
import json
import os
import shutil
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import zxingcpp
from PIL import Image

from ghostroll.embedded.seaweedfs import free_ports
from tests.pipeline.test_wrong_clock import LIBRARIES, signed_at, wrong_by
from tests.support.appliance import (
    Appliance,
    Ended,
    connected,
    get,
    links,
    make_card,
    objects,
    terminated,
    tree,
    wait_until,
)

if TYPE_CHECKING:
    from tests.support.served import Served

PHOTOS = 3


@pytest.fixture
def shared(appliance: Appliance) -> dict[str, Any]:
    """A session that was shared before, a second ago: the same moment gives the same link."""
    document = appliance.run(make_card(appliance.root / "card", range(PHOTOS)))
    time.sleep(1.1)
    return document


def key_prefix(appliance: Appliance, document: dict[str, Any]) -> str:
    return f"{appliance.prefix_root}{document['session_id']}/"


def said(ended: Ended) -> str:
    return ended.err.strip().splitlines()[-1]


def test_a_fresh_link_takes_a_fresh_page_and_nothing_else(
    appliance: Appliance, served: "Served", shared: dict[str, Any]
) -> None:
    prefix, session = key_prefix(appliance, shared), Path(shared["session_dir"])
    sent, kept = objects(served, prefix), tree(session)
    ended = appliance.call("share", shared["session_id"], "--json")
    assert ended.code == 0, ended.err
    document = ended.document
    assert set(document) == set(shared)
    assert (document["session_id"], document["session_dir"]) == (shared["session_id"], shared["session_dir"])
    assert (document["state"], document["failed"]) == ("done", [])
    url = document["url"]
    assert url != shared["url"]
    assert datetime.fromisoformat(document["expires_at"]) - signed_at(url) == timedelta(days=7)
    answer = get(url)
    assert answer.status == 200
    page = gzip.decompress(answer.body).decode()
    stored = [link for link in links(page) if link.startswith("http")]
    assert len(set(stored)) == 2 * PHOTOS + 1
    assert {get(link).status for link in stored} == {200}
    assert {signed_at(link) for link in stored} == {signed_at(url)}
    now = objects(served, prefix)
    assert {key for key in now if now[key] != sent.get(key)} == {"index.html"}
    changed = {"share.txt", "share-qr.png", "index.s3.html", "ghostroll.log", ".catalog.jsonl.gz"}
    assert {name for name, digest in tree(session).items() if kept.get(name) != digest} == changed
    assert (session / "share.txt").read_text() == url + "\n"
    assert (session / "index.s3.html").read_text() == page
    with Image.open(session / "share-qr.png") as image:
        assert zxingcpp.read_barcodes(image.convert("L"))[0].text == url
    assert appliance.ask("SELECT url, expires_utc, state FROM sessions") == [(url, document["expires_at"], "shared")]
    status = appliance.status
    assert (status["state"], status["url"], status["expires_at"]) == ("done", url, document["expires_at"])
    assert (status["session_id"], status["error"], len(status["thumbnails"])) == (shared["session_id"], None, PHOTOS)
    assert status["counts"]["processed"] == PHOTOS
    assert get(shared["url"]).status == 200, "the earlier link leads to the fresh page"


def test_for_people_it_prints_the_link_and_its_code(appliance: Appliance, shared: dict[str, Any]) -> None:
    ended = appliance.call("share", shared["session_id"])
    assert ended.code == 0, ended.err
    (url,) = appliance.ask("SELECT url FROM sessions")[0]
    assert url in ended.out.splitlines()
    assert "█" in ended.out


def test_an_unknown_session_is_wrong_usage(appliance: Appliance) -> None:
    ended = appliance.call("share", "shoot-of-nobody", "--json")
    assert (ended.code, ended.out) == (64, "")
    assert "shoot-of-nobody" in said(ended)


def test_one_that_was_never_shared_is_left_to_resume(appliance: Appliance) -> None:
    nowhere = f"http://127.0.0.1:{free_ports(1)[0]}"
    card = make_card(appliance.root / "card", range(1))
    saved = appliance.run(card, code=75, GHOSTROLL_S3_ENDPOINT_URL=nowhere)
    ended = appliance.call("share", saved["session_id"], "--json")
    assert ended.code == 75
    assert (ended.document["state"], ended.document["url"]) == ("waiting", None)
    assert "not shared yet" in said(ended)
    assert f"ghostroll resume {saved['session_id']}" in said(ended)
    (done,) = appliance.resume()
    assert get(done["url"]).status == 200


def test_a_session_at_work_is_left_to_whoever_works_on_it(appliance: Appliance, shared: dict[str, Any]) -> None:
    at_work = os.open(shared["session_dir"], os.O_RDONLY)
    fcntl.flock(at_work, fcntl.LOCK_EX)
    ended = appliance.call("share", shared["session_id"], "--json")
    os.close(at_work)
    assert (ended.code, ended.document["state"], ended.document["url"]) == (75, "waiting", None)
    assert "Another run is working on" in said(ended)
    assert get(shared["url"]).status == 200


def test_a_card_in_its_reader_is_still_safe_to_remove(appliance: Appliance, shared: dict[str, Any]) -> None:
    before = appliance.status["card"]
    assert before["state"] == "safe"
    document = appliance.call("share", shared["session_id"], "--json").document
    assert (appliance.status["url"], appliance.status["card"]) == (document["url"], before)


def test_a_store_out_of_reach_leaves_the_earlier_link_as_it_was(appliance: Appliance, shared: dict[str, Any]) -> None:
    kept = tree(Path(shared["session_dir"]))
    nowhere = f"http://127.0.0.1:{free_ports(1)[0]}"
    ended = appliance.call("share", shared["session_id"], "--json", GHOSTROLL_S3_ENDPOINT_URL=nowhere)
    assert ended.code == 75
    assert (ended.document["url"], ended.document["state"]) == (None, "waiting")
    now = tree(Path(shared["session_dir"]))
    assert {name for name in now if now[name] != kept.get(name)} == {"ghostroll.log"}
    status = appliance.status
    assert (status["state"], status["url"], status["error"]["code"]) == ("done", shared["url"], 75)
    assert status["card"]["state"] == "safe"
    assert "http" in status["error"]["message"]
    assert get(shared["url"]).status == 200


def test_a_secret_that_is_refused_is_told_apart(appliance: Appliance, shared: dict[str, Any]) -> None:
    ended = appliance.call("share", shared["session_id"], "--json", AWS_SECRET_ACCESS_KEY="not-it")
    assert (ended.code, ended.document["url"], ended.document["state"]) == (77, None, "error")


def test_a_session_whose_directory_was_deleted_is_shared_from_the_catalog(
    appliance: Appliance, served: "Served", shared: dict[str, Any]
) -> None:
    shutil.rmtree(shared["session_dir"])
    sent = objects(served, key_prefix(appliance, shared))
    document = appliance.call("share", shared["session_id"], "--json").document
    assert (document["session_dir"], document["state"]) == (None, "done")
    page = gzip.decompress(get(document["url"]).body).decode()
    stored = [link for link in links(page) if link.startswith("http")]
    assert len(set(stored)) == 2 * PHOTOS + 1
    assert {get(link).status for link in stored} == {200}
    now = objects(served, key_prefix(appliance, shared))
    assert {key for key in now if now[key] != sent.get(key)} == {"index.html"}
    assert not Path(shared["session_dir"]).exists()
    assert appliance.status["thumbnails"] == []


def test_what_the_store_has_lost_is_sent_again_before_the_link_is_shown(
    appliance: Appliance, served: "Served", shared: dict[str, Any]
) -> None:
    prefix = key_prefix(appliance, shared)
    lost = next(key for key in objects(served, prefix) if key.startswith("thumbs/"))
    served.client.delete_object(Bucket=served.endpoint.bucket, Key=prefix + lost)
    ended = appliance.call("share", shared["session_id"], "--json")
    assert (ended.code, ended.document["url"]) == (75, None)
    assert "1 of the 3 pictures" in said(ended)
    (done,) = appliance.resume()
    assert lost in objects(served, prefix)
    assert done["url"] != shared["url"]


def test_without_a_copy_here_the_page_has_what_is_left_in_the_store(
    appliance: Appliance, served: "Served", shared: dict[str, Any]
) -> None:
    prefix = key_prefix(appliance, shared)
    shutil.rmtree(shared["session_dir"])
    thumbnails = [key for key in objects(served, prefix) if key.startswith("thumbs/")]
    served.client.delete_object(Bucket=served.endpoint.bucket, Key=prefix + thumbnails[0])
    document = appliance.call("share", shared["session_id"], "--json").document
    page = gzip.decompress(get(document["url"]).body).decode()
    assert {get(link).status for link in links(page) if link.startswith("http")} == {200}
    for key in thumbnails[1:]:
        served.client.delete_object(Bucket=served.endpoint.bucket, Key=prefix + key)
    ended = appliance.call("share", shared["session_id"], "--json")
    assert (ended.code, ended.document["url"]) == (64, None)
    assert "is left in the store" in said(ended)


@pytest.mark.skipif(not LIBRARIES, reason="libfaketime is not installed")
@pytest.mark.parametrize("offset", ["-20500d", "+400d"])
def test_with_a_wrong_clock_it_is_signed_with_the_stores_time(
    appliance: Appliance, shared: dict[str, Any], offset: str
) -> None:
    ended = appliance.call("share", shared["session_id"], "--json", **wrong_by(offset))
    assert ended.code == 0, ended.err
    assert signed_at(ended.document["url"]) >= signed_at(shared["url"]) - timedelta(seconds=11)
    assert get(ended.document["url"]).status == 200


# The button


def test_watch_signs_the_last_share_anew_when_it_is_asked_once_however_often_it_was_pressed(
    appliance: Appliance, shared: dict[str, Any]
) -> None:
    older = appliance.call("share", shared["session_id"], "--json").document
    request = appliance.base / "sign-anew"
    request.touch()
    watch = appliance.start("watch")
    with terminated(watch):
        wait_until(lambda: not request.exists())
        wait_until(lambda: appliance.status.get("url") not in (None, older["url"]))
        for _ in range(10):
            request.touch()
        wait_until(lambda: not request.exists())
        status = appliance.status
        assert (status["session_id"], status["error"]) == (shared["session_id"], None)
        assert get(status["url"]).status == 200


def test_watch_says_in_the_status_when_there_is_nothing_to_sign(appliance: Appliance) -> None:
    watch = appliance.start("watch")
    with terminated(watch):
        wait_until(lambda: appliance.status.get("state") == "idle")
        (appliance.base / "sign-anew").touch()
        wait_until(lambda: appliance.status.get("error"))
        assert "Nothing was shared yet" in appliance.status["error"]["message"]
        assert appliance.status["state"] == "idle"


def test_a_wish_that_is_long_past_is_none_and_one_that_cannot_be_taken_harms_nobody(
    appliance: Appliance, served: "Served", tmp_path: Path, shared: dict[str, Any]
) -> None:
    other = connected(tmp_path / "other", served, GHOSTROLL_S3_PREFIX_ROOT=appliance.prefix_root)
    other.base.mkdir(parents=True)
    (other.base / "sign-anew").mkdir()
    watch = other.start("watch")
    with terminated(watch):
        wait_until(lambda: other.status.get("state") == "idle")
        time.sleep(3)
        assert watch.poll() is None
    request = appliance.base / "sign-anew"
    request.touch()
    os.utime(request, (time.time() - 600,) * 2)
    watch = appliance.start("watch")
    with terminated(watch):
        wait_until(lambda: not request.exists())
        time.sleep(2)
    assert json.loads((appliance.base / "status.json").read_text())["url"] == shared["url"]
