"""What becomes of a card after its run: the steady loop sees it ejected or pulled, and the status says so."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ghostroll.appliance.card_presence import SourceCard
from ghostroll.service.card_removal import CardRemoval
from ghostroll.status.model import CardState, CardStatus, State
from ghostroll.status.recorder import StatusRecord
from ghostroll.status.run_records import Board


@dataclass
class Desk:
    """A run directory as on an appliance, a reader with a card in it, and the steady loop's record."""

    root: Path
    record: StatusRecord

    def note(self, kind: str, text: str) -> None:
        (self.root / "notes" / f"sda1.{kind}").write_text(f"{text}\n")

    def put_in(self, diskseq: int, size: int = 4096) -> None:
        (self.root / "block/sda/diskseq").write_text(f"{diskseq}\n")
        (self.root / "block/sda/size").write_text(f"{size}\n")

    def ended_run(self, state: State = State.DONE, card: CardState = CardState.SAFE, device: str = "/dev/sda1") -> None:
        run = StatusRecord(self.root / "status.json", "run-1", self.root)
        run.change(state=state, message="Done.", url="https://example.com/")
        run.change_card(label="EOS", device=device, state=card)
        run.close()

    def run(self) -> dict[str, Any] | None:
        file = self.root / "status.d/run-1.json"
        return json.loads(file.read_text()) if file.exists() else None

    @property
    def card_state(self) -> str | None:
        record = self.run()
        return str(record["card"]["state"]) if record else None


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    for name in ("notes", "requests", "block/sda/sda1"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "block/sda/sda1/partition").write_text("1\n")
    (tmp_path / "block/sda1").symlink_to("sda/sda1")
    record = StatusRecord(tmp_path / "status.json", "watch", tmp_path)
    record.change(state=State.IDLE, message="Waiting.")
    desk = Desk(tmp_path, record)
    desk.put_in(7)
    desk.note("seen", "7")
    yield desk
    record.close()


@pytest.fixture
def leaving(desk: Desk) -> CardRemoval:
    return CardRemoval(desk.root / "status.json", desk.record, desk.root / "block")


def test_a_run_whose_card_is_gone_has_the_last_word_all_the_same(
    desk: Desk, leaving: CardRemoval, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = StatusRecord(desk.root / "status.json", "run-1", desk.root)
    run.change(state=State.RUNNING, message="Sending.")
    run.change_card(label="EOS", device="/dev/sda1", state=CardState.SAFE)
    desk.put_in(8)
    read = Board.records

    def records_of_the_moment_before_it_ends(board: Board) -> dict[str, Any]:
        records = read(board)
        run.change(state=State.DONE, message="Shared.", url="https://example.com/")
        run.close()
        return records

    wait_until_written(desk, "Sending.")
    monkeypatch.setattr(Board, "records", records_of_the_moment_before_it_ends)
    leaving.look()
    told = desk.run()
    assert told is not None
    assert (told["state"], told["url"], told["card"]["state"]) == ("done", "https://example.com/", "removed")


def wait_until_written(desk: Desk, message: str) -> None:
    deadline = time.monotonic() + 30
    while (desk.run() or {}).get("message") != message:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_card_that_stays_in_its_reader_stays_safe_to_remove(desk: Desk, leaving: CardRemoval) -> None:
    desk.ended_run()
    leaving.look()
    assert desk.card_state == "safe"


def test_an_ejected_card_is_told_of_and_its_link_stays(desk: Desk, leaving: CardRemoval) -> None:
    desk.ended_run()
    leaving.look()
    desk.note("eject", "ejected")
    (desk.root / "block/sda1").unlink()  # the reader let go of it
    leaving.look()
    assert desk.card_state == "ejected"
    assert (desk.run() or {})["url"] == "https://example.com/"
    assert desk.record.status.card.state is CardState.EJECTED


@pytest.mark.parametrize("gone", ["the partition", "the medium", "another one"])
def test_a_card_that_was_pulled_is_gone_and_its_link_stays(desk: Desk, leaving: CardRemoval, gone: str) -> None:
    desk.ended_run()
    leaving.look()
    if gone == "the partition":
        (desk.root / "block/sda1").unlink()
    else:
        desk.put_in(8, 0 if gone == "the medium" else 4096)
    leaving.look()
    assert desk.card_state == "removed"
    assert (desk.run() or {})["state"] == "done"


def test_an_eject_of_the_next_card_says_nothing_of_the_last_one(desk: Desk, leaving: CardRemoval) -> None:
    desk.ended_run()
    leaving.look()
    desk.put_in(8)
    desk.note("seen", "8")
    desk.note("eject", "ejected")
    leaving.look()
    assert desk.card_state == "removed"


def test_a_card_that_is_not_to_be_taken_is_no_problem_once_it_is_out(desk: Desk, leaving: CardRemoval) -> None:
    desk.ended_run(State.ERROR, CardState.REJECTED)
    leaving.look()
    assert desk.card_state == "rejected"
    desk.put_in(8, 0)
    leaving.look()
    assert desk.run() is None


def test_a_card_torn_out_while_it_was_read_stays_a_problem(desk: Desk, leaving: CardRemoval) -> None:
    desk.ended_run(State.ERROR, CardState.REMOVED)
    desk.put_in(8, 0)
    leaving.look()
    assert (desk.run() or {})["state"] == "error"


def test_a_run_that_lives_speaks_for_itself(desk: Desk, leaving: CardRemoval) -> None:
    run = StatusRecord(desk.root / "status.json", "run-1", desk.root)
    run.change(state=State.RUNNING)
    run.change_card(label="EOS", device="/dev/sda1", state=CardState.SAFE)
    desk.put_in(8, 0)
    leaving.look()
    run.close()
    assert desk.card_state == "safe"


def test_a_card_that_was_changed_while_its_pictures_went_up_is_gone_when_they_are(
    desk: Desk, leaving: CardRemoval
) -> None:
    run = StatusRecord(desk.root / "status.json", "run-1", desk.root)
    run.change(state=State.RUNNING, url="https://example.com/")
    run.change_card(label="EOS", device="/dev/sda1", state=CardState.SAFE)
    deadline = time.monotonic() + 5
    while desk.card_state != "safe" and time.monotonic() < deadline:
        time.sleep(0.01)
    leaving.look()
    desk.put_in(8)
    desk.note("seen", "8")
    run.change(state=State.DONE)
    run.close()
    leaving.look()
    assert desk.card_state == "removed"


@pytest.mark.parametrize("device", ["/dev/sda1", "/dev/dm-0", "/dev/mapper/a card"])
def test_a_card_that_the_units_did_not_mount_is_nobody_s_business(
    desk: Desk, leaving: CardRemoval, device: str
) -> None:
    (desk.root / "notes/sda1.seen").unlink()
    desk.ended_run(device=device)
    desk.put_in(8, 0)
    leaving.look()
    assert desk.card_state == "safe"


def test_an_eject_that_no_record_is_about_is_told_until_the_next_card(desk: Desk, leaving: CardRemoval) -> None:
    desk.note("eject", "ejected")
    leaving.look()
    assert desk.record.status.card.state is CardState.EJECTED
    (desk.root / "notes/sda1.eject").unlink()
    leaving.look()
    assert desk.record.status.card.state is CardState.NONE


# The card of a session that is finished later


@pytest.fixture
def waiting(desk: Desk) -> Desk:
    """A run that saved its card and had no network; the card is in its reader."""
    run = StatusRecord(desk.root / "status.json", "run-1", desk.root)
    run.change(state=State.WAITING, session_id="S1")
    run.change_card(label="EOS", device="/dev/sda1", state=CardState.SAFE, files=3, saved=3, safe_to_format=True)
    run.close()
    return desk


def finish(desk: Desk, meanwhile: Callable[[], None] = lambda: None) -> CardStatus | None:
    """Finish the session as `resume` does, while something happens; return the card that it ends with."""
    source_card = SourceCard.observe(desk.root / "status.json", "S1", desk.root / "block")
    with closing(StatusRecord(desk.root / "status.json", "resume-1", desk.root)) as run:
        run.change(state=State.RUNNING)
        meanwhile()
        return source_card.if_unchanged()


def test_a_card_that_stays_in_is_spoken_of_when_its_session_is_finished(waiting: Desk) -> None:
    card = finish(waiting)
    assert card is not None
    assert (card.label, card.state, card.saved, card.safe_to_format) == ("EOS", CardState.SAFE, 3, True)


def test_one_that_is_pulled_changed_or_ejected_meanwhile_is_not(waiting: Desk) -> None:
    def changed() -> None:
        waiting.put_in(8)
        waiting.note("seen", "8")

    def told_of() -> None:
        run = StatusRecord(waiting.root / "status.json", "run-2", waiting.root)
        run.change_card(device="/dev/sda1", state=CardState.READING)
        run.change(state=State.DONE)
        run.close()

    for meanwhile in (
        lambda: waiting.put_in(7, size=0),
        lambda: waiting.put_in(8),
        changed,
        lambda: waiting.note("eject", "ejected"),
        told_of,
    ):
        run = StatusRecord(waiting.root / "status.json", "run-1", waiting.root)
        run.change(state=State.WAITING, session_id="S1")
        run.change_card(device="/dev/sda1", state=CardState.SAFE)
        run.close()
        waiting.put_in(7)
        waiting.note("seen", "7")
        (waiting.root / "notes/sda1.eject").unlink(missing_ok=True)
        assert finish(waiting, meanwhile) is None
    assert finish(waiting) is None, "nobody spoke of it last"


@pytest.mark.parametrize("state", [CardState.READING, CardState.REMOVED, CardState.EJECTED])
def test_one_that_was_not_safe_in_its_reader_before_is_not(desk: Desk, state: CardState) -> None:
    run = StatusRecord(desk.root / "status.json", "run-1", desk.root)
    run.change(state=State.WAITING, session_id="S1")
    run.change_card(device="/dev/sda1", state=state)
    run.close()
    assert finish(desk) is None


@pytest.mark.parametrize("device", [None, "/dev/sdb1", "/dev/mapper/x"])
def test_one_that_the_units_did_not_mount_is_nobody_s(desk: Desk, device: str | None) -> None:
    run = StatusRecord(desk.root / "status.json", "run-1", desk.root)
    run.change(state=State.WAITING, session_id="S1")
    run.change_card(device=device, state=CardState.SAFE)
    run.close()
    assert finish(desk) is None
