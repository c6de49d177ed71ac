"""What other processes' runs come to stands in this one's log, once, in plain sentences."""

import logging
from pathlib import Path

import pytest

from ghostroll.chronicle import Chronicle
from ghostroll.record import StatusRecord
from ghostroll.status import CardState, Problem, State

URL = "https://bucket.example.com/sessions/x/index.html?X-Amz-Signature=1"


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "ghostroll")
    return caplog


def another_run(tmp_path: Path, run_id: str = "run-1") -> StatusRecord:
    return StatusRecord(tmp_path / "status.json", run_id, tmp_path)


def test_a_run_of_another_process_is_told_turn_by_turn(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    chronicle = Chronicle(tmp_path / "status.json", lambda _: False)
    chronicle.begin()
    record = another_run(tmp_path)
    record.change(state=State.RUNNING, message="Looking at the card.")
    record.change_card(label="EOS", state=CardState.READING, files=3)
    record.close()  # writes its last word at once
    chronicle.tell()
    chronicle.tell()
    assert [line for line in log.messages if line.startswith("Card EOS")] == ["Card EOS: 3 files."]
    record = another_run(tmp_path, "run-2")
    record.change_card(label="EOS", state=CardState.SAFE, files=3, saved=3, safe_to_format=True)
    record.change(state=State.DONE, message="Done: 3 pictures shared.", url=URL, expires_at="2026-12-01T12:00:00Z")
    record.close()
    log.clear()
    chronicle.tell()
    chronicle.tell()
    assert log.messages[1:3] == [
        "Safe to remove card EOS: 3 of 3 files on it are saved.",
        "It may be formatted.",
    ]
    assert [line for line in log.messages if URL in line] == [log.messages[3]]
    assert log.messages[4:] == ["Done: 3 pictures shared."]


def test_what_went_wrong_is_told_with_what_to_do(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    chronicle = Chronicle(tmp_path / "status.json", lambda _: False)
    chronicle.begin()
    record = another_run(tmp_path)
    record.change(state=State.ERROR, message="No room.", error=Problem(73, "No room.", "Free some space."))
    record.close()
    chronicle.tell()
    assert log.messages == ["No room. Free some space."]


def test_what_was_told_before_and_our_own_runs_are_passed_over(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    earlier, ours = another_run(tmp_path, "run-old"), another_run(tmp_path, "run-ours")
    for record in (earlier, ours):
        record.change(state=State.DONE, message="Done.")
    earlier.close()
    chronicle = Chronicle(tmp_path / "status.json", lambda run_id: run_id == "run-ours")
    chronicle.begin()
    ours.close()
    chronicle.tell()
    assert log.messages == []
