import dataclasses
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from enum import StrEnum
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ghostroll.base.errors import EXIT_CODE_ORDER, UsageError
from ghostroll.status import model, run_records
from ghostroll.status import recorder as record_module
from ghostroll.status.compose import INTERRUPTED_MESSAGE
from ghostroll.status.model import (
    THUMBNAILS_MOST,
    VERSION,
    Bytes,
    CardState,
    CardStatus,
    Counts,
    Problem,
    State,
    Status,
    Step,
)
from ghostroll.status.recorder import StatusRecord
from ghostroll.status.run_record import RunKind
from ghostroll.status.run_records import RunRecords

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "status.schema.json").read_text())
RECORD = SCHEMA["$defs"]["record"]["properties"]

HOLD = """
import sys, time
from pathlib import Path
from ghostroll.status.recorder import StatusRecord
from ghostroll.status.model import State
from ghostroll.status.run_record import RunKind
path = Path(sys.argv[1])
record = StatusRecord(path, RunKind.CARD, path.parent)
record.change(state=State(sys.argv[2]), message="I am at work.")
while "I am at work." not in (path.read_text() if path.exists() else ""):
    time.sleep(0.01)
print("written", flush=True)
time.sleep(60)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "status.json"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the pace does not matter."""
    monkeypatch.setattr(run_records, "INTERVAL_SECONDS", 0.01)
    monkeypatch.setattr(record_module, "INTERVAL_SECONDS", 0.01)


def start(path: Path, kind: RunKind = RunKind.CARD, **fields: Any) -> StatusRecord:
    record = StatusRecord(path, kind, path.parent)
    record.change(**fields)
    return record


def finish(path: Path, kind: RunKind = RunKind.CARD, **fields: Any) -> None:
    start(path, kind, **fields).close()


def shown(path: Path) -> dict[str, Any]:
    record = json.loads(path.read_text())
    validate(record)
    assert isinstance(record, dict)
    return record


def eventually(path: Path, **fields: Any) -> dict[str, Any]:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        record = model.read(path)
        if all(record[name] == value for name, value in fields.items()):
            return shown(path)
        time.sleep(0.01)
    raise AssertionError(f"{path} never showed {fields}, but {model.read(path)}")


def validate(record: object) -> None:
    jsonschema.validate(record, SCHEMA, cls=jsonschema.Draft202012Validator)


@pytest.fixture
def killed(path: Path) -> None:
    """A run whose process was killed while it was at work."""
    path.parent.mkdir(parents=True)
    with subprocess.Popen([sys.executable, "-c", HOLD, path, "running"], stdout=subprocess.PIPE) as victim:
        assert victim.stdout is not None
        assert victim.stdout.readline() == b"written\n"
        victim.kill()


# The schema


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    ("kind", "properties"),
    [
        (Status, RECORD),
        (CardStatus, RECORD["card"]["properties"]),
        (Counts, RECORD["counts"]["properties"]),
        (Bytes, RECORD["bytes"]["properties"]),
        (Problem, RECORD["error"]["anyOf"][0]["properties"]),
    ],
)
def test_every_field_is_in_the_schema_and_described_and_the_schema_has_no_other(
    kind: type[Any], properties: dict[str, dict[str, Any]]
) -> None:
    assert sorted(properties) == sorted(field.name for field in dataclasses.fields(kind))
    assert all(described["description"] for described in properties.values())


@pytest.mark.parametrize(
    ("kind", "described"),
    [(State, RECORD["state"]), (Step, RECORD["step"]), (CardState, RECORD["card"]["properties"]["state"])],
)
def test_every_word_is_in_the_schema_and_the_schema_has_no_other(
    kind: type[StrEnum], described: dict[str, Any]
) -> None:
    assert described["enum"] == [word.value for word in kind]


def test_numbers_of_the_schema_are_those_of_the_code() -> None:
    assert RECORD["version"]["const"] == VERSION
    assert RECORD["thumbnails"]["maxItems"] == THUMBNAILS_MOST
    assert set(RECORD["error"]["anyOf"][0]["properties"]["code"]["enum"]) == set(EXIT_CODE_ORDER) - {0} | {64, 66}


@pytest.mark.parametrize(
    "wrong",
    [
        {"state": "busy"},
        {"progress": 1.5},
        {"surprise": 1},
        {"url": "file:///etc/passwd"},
        {"counts": {}},
        {"error": {"code": 2, "message": "", "hint": ""}},
        {"message": "two\nlines"},
        {"runs": [{}]},
    ],
)
def test_the_schema_refuses_what_is_wrong(wrong: dict[str, Any]) -> None:
    plain = json.loads(json.dumps(dataclasses.asdict(Status()) | {"runs": []}))
    validate(plain)
    with pytest.raises(jsonschema.ValidationError):
        validate(plain | wrong)


def test_a_full_record_has_the_form_of_the_schema(path: Path) -> None:
    finish(
        path,
        state=State.ERROR,
        step=Step.UPLOAD,
        message="Sending the pictures…",
        session_id="shoot-2026-06-01_120000_000000",
        session_dir="/var/lib/ghostroll/sessions/shoot-2026-06-01_120000_000000",
        receipt="KTRBAQ",
        card=CardStatus("EOS", "/dev/sda1", CardState.SAFE, "read", 3, 2, safe_to_format=True),
        thumbnails=tuple(f"/t/{n}.jpg" for n in range(24)),
        counts=Counts(1, 2, 3, 4, 5, 6, 7, 8),
        bytes=Bytes(1, 2),
        progress=0.25,
        eta_seconds=12,
        url="https://s3.example/x",
        short_url="http://r.example/x",
        expires_at="2026-06-08T12:00:00Z",
        error=Problem(73, "The disk is full.", "Free some space."),
    )
    record = shown(path)
    assert record["disk_free_bytes"] > 0
    assert record["card"]["state"] == "safe"
    assert record["runs"] == []


def test_where_nothing_was_written_the_status_is_idle(path: Path) -> None:
    record = model.read(path)
    validate(json.loads(json.dumps(record)))
    assert (record["state"], record["step"]) == ("idle", "watch")


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"null", b"\xff\xff"])
def test_a_file_that_is_no_status_counts_as_none(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert model.read(path)["state"] == "idle"


# One record


def test_changes_are_shown_and_the_last_word_stays(path: Path) -> None:
    record = start(path, state=State.RUNNING)
    record.change_card(label="EOS", files=3)
    record.add(ingested=2, skipped=1)
    record.add(ingested=-1)
    record.add_bytes(done=7)
    seen = eventually(path, state="running")
    assert seen["updated_at"].endswith("Z")
    record.change(state=State.DONE, message="Done.")
    record.close()
    record.close()
    seen = shown(path)
    assert (seen["state"], seen["message"]) == ("done", "Done.")
    assert (seen["card"]["label"], seen["card"]["files"]) == ("EOS", 3)
    assert (seen["counts"]["ingested"], seen["counts"]["skipped"], seen["bytes"]["done"]) == (1, 1, 7)
    assert not [
        file
        for file in path.parent.rglob("*")
        if file.suffix == ".tmp" or (file.name.endswith(".lock") and file.name != ".lock")
    ]


@pytest.mark.usefixtures("quick")
def test_counts_of_many_threads_are_all_there(path: Path) -> None:
    record = start(path, state=State.RUNNING)

    def count() -> None:
        for _ in range(500):
            record.add(ingested=1)
            record.add_bytes(done=2)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    record.close()
    seen = shown(path)
    assert (seen["counts"]["ingested"], seen["bytes"]["done"]) == (2000, 4000)


@pytest.mark.usefixtures("quick")
def test_listeners_hear_the_last_word(path: Path) -> None:
    heard: list[Status] = []
    record = StatusRecord(path, RunKind.CARD, path.parent, (heard.append,))
    record.change(message="one")
    record.change(message="two", state=State.DONE)
    record.close()
    assert heard[-1].message == "two"
    assert heard[-1].updated_at


def test_the_file_is_rewritten_at_most_twice_a_second(path: Path) -> None:
    """Two runs that change all the time: the times of the file tell how often it was written."""
    records = [start(path, state=State.RUNNING) for name in "ab"]
    times: set[int] = set()
    until = time.monotonic() + 2
    turn = 0
    while time.monotonic() < until:
        turn += 1
        for record in records:
            record.change(message=f"Turn {turn}.")
        if path.exists():
            times.add(path.stat().st_mtime_ns)
        time.sleep(0.002)
    for record in records:
        record.close()
    assert 3 <= len(times) <= 5
    apart = [(later - earlier) / 1e9 for earlier, later in zip(sorted(times), sorted(times)[1:], strict=False)]
    assert min(apart) > 0.48  # a file's time is as coarse as the kernel's clock tick


@pytest.mark.usefixtures("quick")
def test_a_reader_never_sees_a_part_of_the_file(path: Path) -> None:
    records = [start(path, state=State.RUNNING, message="x" * 20_000) for name in "ab"]
    eventually(path, state="running")
    until = time.monotonic() + 1.5
    seen = set()
    turn = 0
    while time.monotonic() < until:
        turn += 1
        for record in records:
            record.add(ingested=1)
        text = path.read_text()
        assert json.loads(text)["state"] == "running"
        seen.add(hash(text))
    for record in records:
        record.close()
    assert len(seen) > 10


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write into a read-only directory")
@pytest.mark.usefixtures("quick")
def test_a_status_that_cannot_be_written_ends_no_run(path: Path) -> None:
    record = start(path, state=State.RUNNING)
    eventually(path, state="running")
    (path.parent / "status.d").chmod(0o500)
    record.change(message="Unheard.")
    time.sleep(0.1)
    (path.parent / "status.d").chmod(0o700)
    record.change(message="Heard.")
    record.close()
    assert shown(path)["message"] == "Heard."


# Several runs


@pytest.mark.parametrize(
    ("one", "other", "first"),
    [
        (State.ERROR, State.RUNNING, State.ERROR),
        (State.RUNNING, State.WAITING, State.RUNNING),
        (State.WAITING, State.INTERRUPTED, State.WAITING),
        (State.INTERRUPTED, State.DONE, State.INTERRUPTED),
        (State.DONE, State.IDLE, State.DONE),
        (State.RUNNING, State.IDLE, State.RUNNING),
    ],
)
@pytest.mark.usefixtures("quick")
def test_the_most_urgent_of_two_runs_is_shown_and_both_are_listed(
    path: Path, one: State, other: State, first: State
) -> None:
    for states in ((one, other), (other, one)):
        records = [start(path, state=state) for name, state in zip("ab", states, strict=True)]
        eventually(path, state=first)
        for record in records:
            record.add(ingested=1)
        deadline = time.monotonic() + 5
        wanted = [] if State.IDLE in states else [one, other]
        while len(runs := shown(path)["runs"]) < len(wanted) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert [run["state"] for run in runs] == wanted
        for record in records:
            record.change(state=State.IDLE)
            record.close()


@pytest.mark.usefixtures("quick")
def test_of_two_runs_in_the_same_state_the_later_one_is_shown(path: Path) -> None:
    records = [start(path, state=State.RUNNING, message=name) for name in "ab"]
    eventually(path, message="b")
    records[0].change(message="a again")
    eventually(path, message="a again")
    for record in records:
        record.close()


@pytest.mark.usefixtures("quick", "killed")
def test_a_run_that_is_killed_is_shown_as_interrupted_to_the_next(path: Path) -> None:
    watch = start(path, RunKind.WATCH, state=State.IDLE, message="Waiting.")
    seen = eventually(path, state="interrupted")
    assert "safe" in seen["message"]
    watch.close()


@pytest.mark.usefixtures("killed")
def test_whoever_reads_the_status_is_not_told_that_a_killed_run_is_at_work(path: Path) -> None:
    assert RunRecords(path).current()["state"] == "interrupted"


@pytest.mark.usefixtures("quick", "killed")
def test_a_run_that_starts_alone_begins_with_a_clean_board(path: Path) -> None:
    finish(path, state=State.DONE)
    record = start(path, state=State.RUNNING)
    assert eventually(path, state="running")["runs"] == []
    record.close()


@pytest.mark.usefixtures("quick")
def test_what_has_ended_stays_shown_while_another_run_is_active(path: Path) -> None:
    active = start(path, state=State.RUNNING)
    eventually(path, state="running")
    finish(path, state=State.ERROR, message="The card failed.")
    record = start(path, state=State.RUNNING)
    seen = eventually(path, state="error")
    assert seen["message"] == "The card failed."
    record.close()
    active.close()


@pytest.mark.usefixtures("quick")
def test_watching_alone_is_no_activity_that_keeps_old_records(path: Path) -> None:
    watch = start(path, RunKind.WATCH, state=State.IDLE)
    finish(path, state=State.ERROR)
    record = start(path, state=State.RUNNING)
    assert [run["state"] for run in eventually(path, state="running")["runs"]] == ["running", "error"]
    record.change(state=State.DONE)
    assert eventually(path, state="done")["runs"] == []
    record.close()
    watch.close()


@pytest.mark.usefixtures("quick")
def test_watching_shows_how_the_last_run_ended(path: Path) -> None:
    watch = start(path, RunKind.WATCH, state=State.IDLE)
    finish(path, state=State.DONE, message="Done.")
    watch.change(message="Waiting.")
    time.sleep(0.1)
    assert shown(path)["message"] == "Done."
    watch.close()


@pytest.mark.usefixtures("quick")
def test_a_run_that_left_its_pictures_to_be_shared_later_still_says_so(path: Path) -> None:
    finish(path, state=State.WAITING, message="Saved; waiting to share.")
    assert shown(path)["state"] == "waiting"
    watch = start(path, RunKind.WATCH, state=State.IDLE, message="Waiting for SD card…")
    time.sleep(0.2)
    seen = shown(path)
    watch.close()
    assert (seen["state"], seen["message"]) == ("waiting", "Saved; waiting to share.")


@pytest.mark.usefixtures("quick")
def test_a_run_that_only_ever_waited_leaves_no_record(path: Path) -> None:
    finish(path, state=State.IDLE)
    assert not list((path.parent / "status.d").glob("card-*"))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "null",
        "[]",
        "{}",
        '{"state": "paused", "updated_at": ""}',
        '{"state": "running"}',
        '{"state": ["running"]}',
    ],
)
@pytest.mark.usefixtures("quick")
def test_a_record_that_makes_no_sense_is_passed_over(path: Path, content: str) -> None:
    record = start(path, state=State.RUNNING, message="At work.")
    try:
        eventually(path, message="At work.")
        (path.parent / "status.d" / "card-other.json").write_text(content)
        record.change(message="Here I am.")
        eventually(path, message="Here I am.")
    finally:
        (path.parent / "status.d" / "card-other.json").unlink(missing_ok=True)
        record.close()


@pytest.mark.parametrize("error", [None, {}, {"code": 73}])
@pytest.mark.usefixtures("quick")
def test_the_record_of_another_version_is_shown_with_every_field(path: Path, error: dict[str, Any] | None) -> None:
    finish(path, state=State.DONE)
    for old in (path.parent / "status.d").glob("*.json"):
        old.write_text(json.dumps({"state": "done", "updated_at": "2026-01-01T00:00:00Z", "card": {}, "error": error}))
    now = RunRecords(path).current()
    validate(json.loads(json.dumps(now)))
    assert now["state"] == "done"


@pytest.mark.usefixtures("quick")
def test_a_run_that_ended_by_a_bug_is_not_shown_at_work_for_ever(path: Path) -> None:
    finish(path, state=State.RUNNING, message="Reading the card: keep it in.")
    watch = start(path, RunKind.WATCH, state=State.IDLE)
    time.sleep(0.2)
    seen = shown(path)
    watch.close()
    assert seen["state"] == "interrupted"


@pytest.mark.usefixtures("quick")
def test_two_runs_of_the_same_name_are_refused(path: Path) -> None:
    watch = start(path, RunKind.WATCH)
    with pytest.raises(UsageError, match="running already"):
        StatusRecord(path, RunKind.WATCH, path.parent)
    watch.close()


@pytest.mark.usefixtures("quick")
def test_a_run_ends_in_good_order_where_its_status_directory_is_gone(path: Path) -> None:
    record = start(path)
    shutil.rmtree(path.parent)
    assert record.refresh() is None
    record.change(state=State.DONE)
    record.close()
    assert not path.exists()


@pytest.mark.usefixtures("quick")
def test_what_a_crash_left_half_written_is_removed_by_the_next_run(path: Path) -> None:
    finish(path, state=State.DONE)
    left = path.parent / "status.d" / ".0123456789abcdef.tmp"
    left.write_text('{"version"')
    finish(path, state=State.DONE)
    assert not left.exists()


@pytest.mark.usefixtures("quick")
def test_whoever_closes_a_record_first_has_the_last_word(path: Path) -> None:
    """As when `watch` ends before one of its runs does."""
    record = start(path, state=State.RUNNING, message="At work.")
    eventually(path, state="running")
    closers = [threading.Thread(target=record.close) for _ in range(4)]
    for closer in closers:
        closer.start()
    for closer in closers:
        closer.join()
    assert shown(path)["state"] == "interrupted"
    record.change(message="Still at work.")
    record.close()
    assert shown(path)["message"] == INTERRUPTED_MESSAGE
    assert not list((path.parent / "status.d").glob("card-*.lock"))
