"""A machine whose clock is wrong, and a store whose clock is right: links are signed with the store's time."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.appliance import Appliance, get, links, make_card, objects

if TYPE_CHECKING:
    from tests.support.served import Served

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
pytestmark = pytest.mark.skipif(not LIBRARIES, reason="libfaketime is not installed")


def wrong_by(offset: str) -> dict[str, Any]:
    """Return the environment in which a program's clock is off (faketime(1)); what only ever rises is left alone."""
    return {"LD_PRELOAD": str(LIBRARIES[0]), "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


def signed_at(url: str) -> datetime:
    match = re.search(r"X-Amz-Date=(\d{8}T\d{6}Z)", url)
    assert match, url
    return datetime.strptime(match[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


@pytest.mark.parametrize("offset", ["-20500d", "-3h", "-40s", "+2h", "+400d"])
def test_a_link_is_signed_with_the_stores_time(
    appliance: Appliance, served: "Served", tmp_path: Path, offset: str
) -> None:
    card = make_card(tmp_path / "card", range(3))
    before = datetime.now(UTC)
    ended = appliance.call("run", "--volume", str(card), "--json", **wrong_by(offset))
    after = datetime.now(UTC)
    assert ended.code == 0, ended.err
    url = ended.document["url"]
    assert before - timedelta(seconds=11) <= signed_at(url) <= after + timedelta(seconds=11)
    expires = datetime.fromisoformat(ended.document["expires_at"])
    assert abs(expires - signed_at(url) - timedelta(days=7)) < timedelta(seconds=1)
    page = get(url)
    assert page.status == 200
    assert "The clock of this machine is" in ended.err
    assert ended.err.count("The clock of this machine") == 1
    prefix = f"{appliance.prefix_root}{ended.document['session_id']}/"
    assert len(objects(served, prefix)) == 3 * 2 + 2
    text = (Path(ended.document["session_dir"]) / "index.s3.html").read_text()
    assert {get(link).status for link in links(text) if link.startswith("http")} == {200}


def test_a_right_clock_is_used_as_it_is(appliance: Appliance, tmp_path: Path) -> None:
    ended = appliance.call("run", "--volume", str(make_card(tmp_path / "card", range(1))), "--json")
    assert ended.code == 0
    assert "clock of this machine" not in ended.err


def test_a_clock_that_jumps_between_runs_keeps_sessions_apart_and_in_order(
    appliance: Appliance, tmp_path: Path
) -> None:
    ids = [
        appliance.run(make_card(tmp_path / f"card{number}", range(number, number + 1)), **wrong_by(offset))[
            "session_id"
        ]
        for number, offset in enumerate(["+1d", "-20000d", "-1d", "+0d"])
    ]
    assert ids == sorted(set(ids))
