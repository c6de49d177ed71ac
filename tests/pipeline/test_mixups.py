"""Nobody is shown another's pictures, and nothing is written where it must not be."""

import os
import shutil
import sqlite3
from pathlib import Path

from tests.support.appliance import Appliance, get, make_card, tree


def test_a_card_with_nothing_new_shows_its_own_link(appliance: Appliance, tmp_path: Path) -> None:
    one, two = make_card(tmp_path / "one", range(3)), make_card(tmp_path / "two", range(10, 13))
    of_one, of_two = appliance.run(one), appliance.run(two)
    assert of_one["url"] != of_two["url"]
    again = appliance.run(one)
    assert again["session_id"] is None
    assert appliance.status["url"] == of_one["url"]


def test_another_card_at_the_same_place_gets_a_session_of_its_own(appliance: Appliance, tmp_path: Path) -> None:
    place = tmp_path / "card"
    make_card(tmp_path / "old", range(20, 21))
    appliance.run(tmp_path / "old")
    first = appliance.run(make_card(place, range(3)))
    with sqlite3.connect(appliance.database) as catalog:  # as if that card had been pulled too early
        catalog.execute("UPDATE sessions SET card_read = 0 WHERE session_id = ?", (first["session_id"],))
    before = tree(Path(first["session_dir"]) / "originals")
    shutil.rmtree(place)
    make_card(place, range(20, 24))  # one of these was saved before, in another session
    second = appliance.run(place)
    assert second["session_id"] not in (None, first["session_id"])
    assert tree(Path(first["session_dir"]) / "originals") == before
    assert second["new"] == 3


def test_the_same_card_goes_on_in_its_session(appliance: Appliance, tmp_path: Path) -> None:
    place = make_card(tmp_path / "card", range(3))
    first = appliance.run(place)
    with sqlite3.connect(appliance.database) as catalog:
        catalog.execute("UPDATE sessions SET card_read = 0 WHERE session_id = ?", (first["session_id"],))
    make_card(place, range(3, 5))
    second = appliance.run(place)
    assert second["session_id"] == first["session_id"]
    assert len(tree(Path(first["session_dir"]) / "originals")) == 5
    assert get(second["url"]).status == 200


def test_nothing_of_ours_is_written_to_the_card(appliance: Appliance, tmp_path: Path) -> None:
    card = make_card(tmp_path / "card", range(2))
    before = sorted(path.relative_to(card) for path in card.rglob("*"))
    for name in ("GHOSTROLL_BASE_DIR", "GHOSTROLL_DB_PATH", "GHOSTROLL_STATUS_PATH", "GHOSTROLL_STATUS_IMAGE_PATH"):
        ended = appliance.call("run", "--volume", str(card), **{name: os.fspath(card / "ours" / "file")})
        assert ended.code == 78, (name, ended.err)
        assert sorted(path.relative_to(card) for path in card.rglob("*")) == before, name


def test_what_was_deleted_is_saved_again_when_all_is_read_anew(appliance: Appliance, tmp_path: Path) -> None:
    card = make_card(tmp_path / "card", range(3))
    first = appliance.run(card)
    shutil.rmtree(first["session_dir"])
    assert appliance.run(card)["session_id"] is None
    again = appliance.run(card, "--rehash")
    assert again["ingested"] == 3
    assert sorted(tree(Path(again["session_dir"]) / "originals").values()) == sorted(tree(card).values())
    assert appliance.status["card"]["safe_to_format"]
