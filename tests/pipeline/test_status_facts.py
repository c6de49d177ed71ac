"""What is true of the world: where cards are, which links are valid; and a status that follows it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ghostroll.base.config import Settings
from ghostroll.card.volume import find_volume
from ghostroll.catalog import Catalog
from ghostroll.catalog.models import SessionState
from ghostroll.pipeline.status_facts import FactFinder
from ghostroll.status.compose import Presence
from ghostroll.status.model import CardState, CardStatus, State
from ghostroll.status.recorder import StatusRecord
from ghostroll.status.run_record import CardPlace, RunKind, RunRecord
from ghostroll.status.run_records import RunRecords

CARD = CardStatus(label="EOS", device="/dev/sda1", state=CardState.SAFE, files=3, saved=3)


@dataclass
class Desk:
    """A run directory as on an appliance, and a reader with a card in it."""

    root: Path
    settings: Settings

    def note(self, kind: str, text: str) -> None:
        (self.root / "notes" / f"sda1.{kind}").write_text(f"{text}\n")

    def put_in(self, diskseq: int, size: int = 4096) -> None:
        (self.root / "block/sda/diskseq").write_text(f"{diskseq}\n")
        (self.root / "block/sda/size").write_text(f"{size}\n")

    def presence(self, diskseq: str | None = "7", device: str | None = "/dev/sda1") -> Presence:
        record = RunRecord(card=replace(CARD, device=device), diskseq=diskseq)
        return self.facts()({"run": record}).cards["run"]

    def facts(self, catalog: Catalog | None = None) -> FactFinder:
        return FactFinder(self.settings, catalog, self.root / "block")


@pytest.fixture
def desk(store_settings: Callable[..., Settings], tmp_path: Path) -> Desk:
    for name in ("notes", "requests", "block/sda/sda1"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "block/sda/sda1/partition").write_text("1\n")
    (tmp_path / "block/sda1").symlink_to("sda/sda1")
    desk = Desk(tmp_path, store_settings(tmp_path / "base", status_path=str(tmp_path / "status.json")))
    desk.put_in(7)
    desk.note("seen", "7")
    return desk


# A card that the appliance's units mounted


def test_one_that_stays_in_its_reader_is_present(desk: Desk) -> None:
    assert desk.presence() is Presence.PRESENT


def test_one_that_was_ejected_is_ejected_though_the_reader_let_go_of_it(desk: Desk) -> None:
    desk.note("eject", "ejected")
    (desk.root / "block/sda1").unlink()
    assert desk.presence() is Presence.EJECTED
    assert desk.facts()({}).has_ejected_card


@pytest.mark.parametrize("gone", ["the partition", "the medium", "another one"])
def test_one_that_was_pulled_is_gone(desk: Desk, gone: str) -> None:
    if gone == "the partition":
        (desk.root / "block/sda1").unlink()
    else:
        desk.put_in(8, 0 if gone == "the medium" else 4096)
    assert desk.presence() is Presence.GONE


def test_an_eject_of_the_next_card_says_nothing_of_the_last_one(desk: Desk) -> None:
    desk.put_in(8)
    desk.note("seen", "8")
    desk.note("eject", "ejected")
    assert desk.presence("7") is Presence.GONE
    assert desk.presence("8") is Presence.EJECTED


@pytest.mark.parametrize("device", [None, "/dev/sdb1", "/dev/dm-0", "/dev/mapper/a card"])
def test_of_one_that_the_units_did_not_mount_nothing_is_known(desk: Desk, device: str | None) -> None:
    desk.put_in(8, 0)
    assert desk.presence(device=device) is Presence.UNKNOWN
    assert desk.presence(diskseq=None) is Presence.UNKNOWN


def test_off_the_appliance_nothing_is_known_of_readers(desk: Desk) -> None:
    (desk.root / "requests").rmdir()
    assert desk.presence() is Presence.UNKNOWN
    assert not desk.facts()({}).has_ejected_card


# Any other card


def test_a_card_is_known_by_what_is_at_its_mount_point(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "media/EOS/DCIM").mkdir(parents=True)
    medium = find_volume(tmp_path / "media/EOS").medium
    assert medium is not None
    place = CardPlace(str(tmp_path / "media/EOS"), medium.device_number, medium.root_inode, medium.diskseq)

    def presence(place: CardPlace) -> Presence:
        return desk.facts()({"run": RunRecord(card=replace(CARD, device=None), place=place)}).cards["run"]

    assert presence(place) is Presence.PRESENT
    assert presence(replace(place, diskseq="another medium")) is Presence.GONE
    (tmp_path / "media/EOS").rename(tmp_path / "pocket")
    assert presence(place) is Presence.GONE
    (tmp_path / "media/EOS").mkdir()
    assert presence(place) is Presence.GONE
    assert presence(replace(place, root="a\0b")) is Presence.GONE


# Links and sessions


@pytest.fixture
def catalog(desk: Desk) -> Iterator[Catalog]:
    with Catalog(desk.settings.db_path) as opened:
        for session_id, days in (("S1", 3), ("S2", -1)):
            opened.create_session(session_id, card_id="card", card_label="CARD")
            until = datetime.now(UTC) + timedelta(days=days)
            opened.set_share(session_id, url=f"https://s3.example/{session_id}", expires_utc=until.isoformat())
        yield opened


def test_the_shares_are_those_that_are_valid(desk: Desk, catalog: Catalog) -> None:
    shares = desk.facts(catalog)({}).shares
    assert shares is not None
    assert [share.session_id for share in shares] == ["S1"]


def test_a_session_is_shared_when_the_catalog_says_so(desk: Desk, catalog: Catalog) -> None:
    records = {name: RunRecord(session_id=name) for name in ("S1", "S2", "S3")}
    assert desk.facts(catalog)(records).shared_sessions == frozenset()
    catalog.set_state("S1", SessionState.SHARED)
    catalog.set_state("S2", SessionState.ABANDONED)
    assert desk.facts(catalog)(records).shared_sessions == {"S1", "S2"}


def test_a_catalog_that_is_gone_costs_what_it_knew_and_not_the_status(desk: Desk, catalog: Catalog) -> None:
    for file in desk.settings.db_path.parent.glob(f"{desk.settings.db_path.name}*"):
        file.unlink()
    assert desk.facts(catalog)({}).shares is None


# The status follows


def finish(desk: Desk, **fields: Any) -> None:
    record = StatusRecord(desk.settings.status_path, RunKind.CARD, desk.root)
    record.change(**({"state": State.DONE, "card": CARD, "diskseq": "7"} | fields))
    record.close()


def test_the_steady_loop_writes_what_has_changed_without_any_run(desk: Desk) -> None:
    watch = StatusRecord(desk.settings.status_path, RunKind.WATCH, desk.root, look_up=desk.facts())
    watch.change(state=State.IDLE, message="Waiting.")
    finish(desk)
    records = RunRecords(desk.settings.status_path, desk.facts())
    before = records.current()
    assert before["card"]["state"] == "safe"
    desk.put_in(8, 0)
    while watch.refresh() != (written := records.current()) or written["card"]["state"] != "removed":
        pass
    assert written["state"] == "done"
    watch.close()


def test_a_record_of_another_version_never_ends_it(desk: Desk) -> None:
    finish(desk)
    (file,) = (desk.root / "status.d").glob("card-*.json")
    file.write_text(file.read_text().replace('"state": "safe"', '"state": "being verified"'))
    status = RunRecords(desk.settings.status_path, desk.facts()).current()
    assert (status["state"], status["card"]["state"]) == ("done", "reading"), "not called safe"
    desk.put_in(8, 0)
    assert RunRecords(desk.settings.status_path, desk.facts()).current()["card"]["state"] == "removed"
