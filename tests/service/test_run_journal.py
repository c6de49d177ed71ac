"""What other processes' runs come to stands in this one's log, once, in plain sentences."""

import json
import logging
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path

import pytest

from ghostroll.service.run_journal import RunJournal
from ghostroll.status import run_records
from ghostroll.status.model import CardState, Problem, State
from ghostroll.status.recorder import StatusRecord
from ghostroll.status.run_record import RunKind
from ghostroll.status.run_records import RunRecords

URL = "https://bucket.example.com/sessions/x/index.html?X-Amz-Signature=1"


@pytest.fixture(autouse=True)
def records_are_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_records, "INTERVAL_SECONDS", 0.01)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "ghostroll")
    return caplog


def another_run(tmp_path: Path) -> StatusRecord:
    return StatusRecord(tmp_path / "status.json", RunKind.CARD, tmp_path)


def test_a_run_of_another_process_is_told_turn_by_turn(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    journal = RunJournal(RunRecords(tmp_path / "status.json"), lambda _: False)
    journal.begin()
    record = another_run(tmp_path)
    record.change(state=State.RUNNING, message="Looking at the card.")
    record.change_card(label="EOS", state=CardState.READING, files=3)
    record.close()  # writes its last word at once
    journal.update()
    journal.update()
    assert [line for line in log.messages if line.startswith("Card EOS")] == ["Card EOS: 3 files."]
    record = another_run(tmp_path)
    record.change_card(label="EOS", state=CardState.SAFE, files=3, saved=3, safe_to_format=True)
    record.change(state=State.DONE, message="Done: 3 pictures shared.", url=URL, expires_at="2099-12-01T12:00:00Z")
    record.close()
    log.clear()
    journal.update()
    journal.update()
    assert log.messages[1:3] == [
        "Safe to remove card EOS: 3 of 3 files on it are saved.",
        "It may be formatted.",
    ]
    assert [line for line in log.messages if URL in line] == [log.messages[3]]
    assert log.messages[4:] == ["Done: 3 pictures shared."]


def test_what_went_wrong_is_told_with_what_to_do(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    journal = RunJournal(RunRecords(tmp_path / "status.json"), lambda _: False)
    journal.begin()
    record = another_run(tmp_path)
    record.change(state=State.ERROR, message="No room.", error=Problem(73, "No room.", "Free some space."))
    record.close()
    journal.update()
    assert log.messages == ["No room. Free some space."]


@pytest.fixture
def status_path(tmp_path: Path) -> Path:
    return tmp_path / "status.json"


def restarted(status_path: Path, *ours: str) -> RunJournal:
    """The journal of a process that has just started."""
    journal = RunJournal(RunRecords(status_path), ours.__contains__)
    journal.begin()
    return journal


def done(tmp_path: Path, message: str = "Done: 3 pictures shared.") -> str:
    """A run from its beginning to its end; return its id."""
    record = another_run(tmp_path)
    record.change(state=State.DONE, message=message)
    record.close()
    return record.run_id


def test_what_happened_before_the_first_start_is_told(
    tmp_path: Path, status_path: Path, log: pytest.LogCaptureFixture
) -> None:
    done(tmp_path)  # of a card that was in when the machine started
    restarted(status_path).update()
    assert log.messages == ["Done: 3 pictures shared."]


def test_what_was_told_is_not_told_again_after_a_restart_and_what_came_since_is(
    tmp_path: Path, status_path: Path, log: pytest.LogCaptureFixture
) -> None:
    record = another_run(tmp_path)
    record.change_card(label="EOS", state=CardState.READING, files=3)
    record.change(state=State.RUNNING)
    record._write()
    restarted(status_path).update()
    assert log.messages == ["Card EOS: 3 files."]
    record.change(state=State.DONE, message="Done.")
    record._changed_at -= timedelta(seconds=5000)  # this process was away for long
    record.close()
    log.clear()
    restarted(status_path).update()
    assert log.messages == ["Done."]
    log.clear()
    restarted(status_path).update()
    assert log.messages == []


def test_our_own_runs_are_passed_over_even_by_a_later_process(
    tmp_path: Path, status_path: Path, log: pytest.LogCaptureFixture
) -> None:
    journal = restarted(status_path, done(tmp_path))
    journal.update()
    restarted(status_path).update()
    assert log.messages == []


@pytest.mark.parametrize("kept", [None, b"", b"[]", b'{"run-1": "Done."}', b'{"run-1": [1]}', b"\xff", b"[" * 100_000])
def test_where_it_is_not_known_what_was_told_only_what_ended_long_ago_is_passed_over(
    tmp_path: Path, status_path: Path, log: pytest.LogCaptureFixture, kept: bytes | None
) -> None:
    with ExitStack() as stack:
        for label in ("old", "new", "at work"):
            record = stack.enter_context(closing(another_run(tmp_path)))
            record.change_card(label=label, files=1)
            record.change(state=State.RUNNING if label == "at work" else State.DONE)
            record._changed_at -= timedelta(seconds=0 if label == "new" else 3700)
            record._write()
        if kept is not None:
            (tmp_path / "status.d/.logged").write_bytes(kept)
        journal = restarted(status_path)
        for _ in range(2):
            journal.update()
        assert sorted(log.messages) == ["Card at work: 1 files.", "Card new: 1 files."]


def test_a_disk_that_does_not_take_what_was_told_ends_nothing(
    tmp_path: Path, status_path: Path, log: pytest.LogCaptureFixture
) -> None:
    done(tmp_path)
    kept = tmp_path / "status.d/.logged"
    kept.mkdir()
    journal = restarted(status_path)
    for _ in range(2):
        journal.update()
    assert log.messages == ["Done: 3 pictures shared."]
    kept.rmdir()
    journal.update()
    restarted(status_path).update()
    assert log.messages == ["Done: 3 pictures shared."]


def test_what_was_told_goes_with_its_run_and_is_no_record_itself(
    tmp_path: Path, status_path: Path, log: pytest.LogCaptureFixture
) -> None:
    done(tmp_path)
    journal = restarted(status_path)
    journal.update()
    done(tmp_path, "Done: a second card.")
    last = done(tmp_path, "Done: a third card.")  # the first one's record is not needed any more
    journal.update()
    assert last in RunRecords(status_path).views()
    kept = json.loads((tmp_path / "status.d/.logged").read_text())
    assert list(kept) == list(RunRecords(status_path).views())
    assert kept[last] == ["Done: a third card."]
    assert ["Done: 3 pictures shared."] not in kept.values()
    assert [path.name for path in (tmp_path / "status.d").iterdir() if path.suffix == ".tmp"] == []
    assert len(log.messages) == 3
