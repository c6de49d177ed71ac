import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ghostroll.base import durable
from ghostroll.base.errors import CardFailed, DiskFailed, DiskFull, Interrupted
from ghostroll.base.media_kind import MediaKind
from ghostroll.base.session_paths import Session
from ghostroll.card.media import CardFile
from ghostroll.catalog import Catalog
from ghostroll.catalog.models import RenderState
from ghostroll.ingest.plan import PlannedFile, changed_files
from ghostroll.status.model import Bytes
from ghostroll.status.recorder import StatusRecord
from ghostroll.status.run_record import RunKind, RunRecord

if TYPE_CHECKING:
    from tests.support.bench import Bench

MIB = 1 << 20
LONG_AGO = 946_684_800 * 10**9

# Saves the card argv[1] into argv[2] with the catalog argv[3], and tells how it ended.
SAVE = """
import json, sys, threading
from pathlib import Path
from ghostroll.card.scan import scan
from ghostroll.card.volume import find_volume
from ghostroll.catalog import Catalog
from ghostroll.ingest.stage import Ingest
from ghostroll.ingest.plan import make_plan
from ghostroll.base.session_paths import Session
from ghostroll.status.recorder import StatusRecord
from ghostroll.status.run_record import RunKind
card, base, db, status = map(Path, sys.argv[1:5])
volume = find_volume(card)
session = Session("s", base, "")
session.temporary.mkdir(parents=True, exist_ok=True)
failed = []
ended = "done"
catalog = Catalog(db)
catalog.create_session("s", card_id=volume.card_id, card_label="card")
record = StatusRecord(status, RunKind.CARD, status.parent)
ingest = Ingest(volume, session, catalog, record, lambda *what: failed.append(what), threading.Event())
print("begun", flush=True)
try:
    ingest.read(make_plan(volume, scan(volume), catalog).to_read)
    ingest.finish()
except Exception as error:
    ended = type(error).__name__
finally:
    ingest.close()
safe = all(
    (session.originals / original.path).stat().st_size == original.size_bytes
    and __import__("hashlib").sha256((session.originals / original.path).read_bytes()).hexdigest() == original.sha256
    for original in catalog.originals("s")
)
rows = len(catalog.originals("s"))
print(json.dumps([ended, rows, safe, len(list(session.temporary.iterdir())), failed]), flush=True)
"""


def sized(bench: "Bench", number: int, size: int = 1000) -> list[str]:
    """Put `number` files of different content on the card."""
    paths = [f"DCIM/100/IMG_{n:04}.JPG" for n in range(number)]
    for n, path in enumerate(paths):
        bench.card.write(path, b"%d " % n + os.urandom(size))
    return paths


def on_disk(bench: "Bench") -> bool:
    return not durable.is_memory_filesystem(bench.session.base_dir)


def corrupt_copies(monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Path, int], bool]) -> list[Path]:
    """A disk that loses a bit of what `spoil(file, times it was read back)` names."""
    read_back = durable.sha256_from_disk
    seen: list[Path] = []

    def faulty(path: Path, *_: object) -> tuple[str, bool]:
        seen.append(path)
        if spoil(path, seen.count(path)):
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 1
            path.write_bytes(content)
        return read_back(path)

    monkeypatch.setattr(durable, "sha256_from_disk", faulty)
    return seen


# What is saved


def test_every_original_is_identical_and_catalogued(bench: "Bench") -> None:
    contents = {
        "DCIM/100/a.JPG": b"a",
        "DCIM/100/empty.JPG": b"",
        "DCIM/100/a.CR3": os.urandom(3 * MIB + 1),
        "DCIM/100/chunk.bin": os.urandom(MIB),
        "PRIVATE/M4ROOT/CLIP/C0001.MP4": os.urandom(2 * MIB),
        "DCIM/100/ä b.JPG": b"umlaut",
        "DCIM/100/line\nbreak.JPG": b"newline",
        os.fsdecode(b"DCIM/100/\xff\xfe.JPG"): b"no text",
        "DCIM/100/" + "n" * 251 + ".JPG": b"long",
        "DCIM/100/-rf": b"dash",
        "DCIM/100/$(touch pwned)'\".JPG": b"quotes",
    }
    for path, content in contents.items():
        bench.card.write(path, content)
    bench.save()
    assert bench.saved() == contents
    bench.assert_catalogued_means_safe()
    assert {original.path for original in bench.catalog.originals(bench.session.session_id)} == set(contents)
    assert bench.failures == {}
    assert bench.left_over() == []
    counts, card = bench.record.status.counts, bench.record.status.card
    assert (counts.ingested, counts.skipped, card.saved) == (len(contents), 0, len(contents))
    assert counts.verified == (len(contents) if on_disk(bench) else 0)
    assert bench.record.status.bytes.done == sum(map(len, contents.values()))


def test_an_original_keeps_the_time_of_the_file(bench: "Bench") -> None:
    place = bench.card.write("DCIM/a.jpg", b"x", mtime_ns=1_000_000_000_123_456_789)
    bench.save()
    assert (bench.session.originals / "DCIM/a.jpg").stat().st_mtime_ns == place.stat().st_mtime_ns


def test_the_card_is_left_without_a_trace(bench: "Bench") -> None:
    sized(bench, 3)
    places = [bench.card.root, *bench.card.root.rglob("*")]
    for place in places:
        os.utime(place, ns=(LONG_AGO, LONG_AGO + 10**9))
    before = {place: place.read_bytes() for place in places if place.is_file()}
    for place in places:
        os.utime(place, ns=(LONG_AGO, LONG_AGO + 10**9))
    bench.save()
    bench.plan()
    facts = {(place.stat().st_atime_ns, place.stat().st_mtime_ns) for place in places}
    assert facts == {(LONG_AGO, LONG_AGO + 10**9)}
    assert {place: place.read_bytes() for place in places if place.is_file()} == before
    assert sorted(bench.card.root.rglob("*")) == sorted(places[1:])


def test_without_verification_nothing_is_called_verified(bench: "Bench") -> None:
    sized(bench, 3)
    bench.save(verify=False)
    assert (bench.record.status.counts.ingested, bench.record.status.counts.verified) == (3, 0)
    assert {copy.verified for copy in bench.catalog.copies_of_card(bench.card.volume().card_id).values()} == {False}
    bench.assert_catalogued_means_safe()


def test_pictures_wait_for_their_derivatives_and_other_files_do_not(bench: "Bench") -> None:
    bench.card.write("DCIM/a.JPG", b"1")
    bench.card.write("DCIM/a.CR3", b"2")
    bench.card.write("DCIM/b.MP4", b"3")
    bench.card.write("DCIM/nameless", b"\xff\xd8\xff\xe0 a picture by its first bytes")
    bench.card.write("DCIM/text", b"no picture")
    bench.save()
    renders = {each.path: each.render for each in bench.catalog.originals(bench.session.session_id)}
    assert {path for path, render in renders.items() if render is RenderState.PENDING} == {
        "DCIM/a.JPG",
        "DCIM/nameless",
    }
    assert set(renders.values()) == {RenderState.PENDING, RenderState.NONE}


# Identical files


def test_of_identical_files_the_first_in_reading_order_is_kept(bench: "Bench") -> None:
    for path in ("DCIM/b.JPG", "DCIM/c.JPG", "DCIM/a.MP4", "DCIM/a.bin"):
        bench.card.write(path, b"the same")
    bench.card.write("DCIM/empty1.JPG")
    bench.card.write("DCIM/empty2.JPG")
    bench.save()
    assert set(bench.saved()) == {"DCIM/b.JPG", "DCIM/empty1.JPG"}
    assert (bench.record.status.counts.ingested, bench.record.status.counts.skipped) == (2, 4)
    assert bench.record.status.card.saved == 6
    bench.assert_catalogued_means_safe()
    assert bench.plan().to_read == ()


def test_a_file_that_another_session_has_is_not_saved_again(bench: "Bench") -> None:
    bench.card.write("DCIM/a.JPG", b"x")
    bench.save()
    (bench.card.root / "DCIM/a.JPG").rename(bench.card.root / "DCIM/renamed.JPG")
    later = Session("later", bench.session.base_dir, "")
    bench.save(session=later)
    assert bench.catalog.originals("later") == []
    assert not later.originals.exists()
    assert bench.plan().to_read == ()


def test_two_runs_that_save_the_same_files_at_once_keep_each_once(bench: "Bench", tmp_path: Path) -> None:
    sized(bench, 60)
    other = Session("other", bench.session.base_dir, "")
    planned = bench.plan().to_read
    errors: list[BaseException] = []

    def save(session: Session) -> None:
        try:
            with Catalog(tmp_path / "db" / "ghostroll.db") as catalog:
                again = type(bench)(bench.card, catalog, session, bench.record, bench.stop, bench.failures)
                again.save(planned)
        except BaseException as error:  # noqa: BLE001 - told below
            errors.append(error)

    threads = [threading.Thread(target=save, args=(session,)) for session in (bench.session, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    files = [file for session in (bench.session, other) for file in session.originals.rglob("*.JPG")]
    assert len(files) == 60
    bench.assert_catalogued_means_safe()
    assert bench.record.status.counts.ingested == 60
    assert bench.record.status.counts.skipped == 60
    assert bench.left_over() == []


class SlowRecord(StatusRecord):
    """A record that gives others time between reading it and changing it."""

    @property
    def status(self) -> RunRecord:
        now = super().status
        time.sleep(0.001)
        return now


def test_every_file_that_is_safe_is_counted_once(bench: "Bench", tmp_path: Path) -> None:
    """The reader counts what it skips while the settler counts what it saved."""
    for n in range(60):
        bench.card.write(f"DCIM/{n:03}a.JPG", b"%d" % n)
        bench.card.write(f"DCIM/{n:03}b.JPG", b"%d" % n)
    bench.record = SlowRecord(tmp_path / "slow" / "status.json", RunKind.CARD, tmp_path)
    try:
        bench.save(verify=False)
        status = bench.record.status
    finally:
        bench.record.close()
    assert (status.counts.ingested, status.counts.skipped) == (60, 60)
    assert status.card.saved == 120


# Names that meet


def test_an_original_is_never_overwritten_by_another_of_its_name(bench: "Bench") -> None:
    for turn in range(4):
        bench.card.write("DCIM/a.JPG", b"turn %d" % turn)
        bench.card.write("DCIM/a~2.JPG", b"tilde %d" % turn)
        bench.card.write("DCIM/.hidden", b"hidden %d" % turn)
        bench.save()
    saved = bench.saved()
    assert sorted(saved.values()) == sorted(
        b"%s %d" % (word, turn) for word in (b"turn", b"tilde", b"hidden") for turn in range(4)
    )
    assert saved["DCIM/a.JPG"] == b"turn 0"
    bench.assert_catalogued_means_safe()


def test_a_longest_name_that_meets_another_ends_no_run(bench: "Bench") -> None:
    path = "DCIM/" + "n" * 251 + ".JPG"
    for turn in range(2):
        bench.card.write(path, b"turn %d" % turn)
        bench.card.write("DCIM/z.JPG", b"another %d" % turn)
        bench.save()
    assert {b"another 0", b"another 1", b"turn 0"} <= set(bench.saved().values())
    assert b"turn 1" in bench.saved().values() or path in bench.failures
    bench.assert_catalogued_means_safe()


@pytest.mark.timeout(20)
def test_a_longest_suffix_that_meets_another_ends_no_run(bench: "Bench") -> None:
    path = "DCIM/a." + "x" * 253
    for turn in range(2):
        bench.card.write(path, b"turn %d" % turn)
        bench.save()
    assert b"turn 0" in bench.saved().values()
    assert b"turn 1" in bench.saved().values() or path in bench.failures
    bench.assert_catalogued_means_safe()


@pytest.mark.parametrize(("first", "second"), [("DCIM/100", "DCIM/100/a.JPG"), ("DCIM/100/a.JPG", "DCIM/100")])
def test_a_file_that_meets_a_directory_ends_no_run(bench: "Bench", first: str, second: str) -> None:
    bench.card.write(first, b"first")
    bench.save()
    shutil.rmtree(bench.card.root)
    bench.card.write(second, b"second")
    bench.card.write("DCIM/z.JPG", b"another")
    bench.save()
    assert {b"first", b"another"} <= set(bench.saved().values())
    assert b"second" in bench.saved().values() or second in bench.failures
    bench.assert_catalogued_means_safe()


# Files that cannot be saved


def test_a_file_that_changes_its_size_is_reported_and_the_others_go_on(bench: "Bench") -> None:
    paths = sized(bench, 5)
    planned = bench.plan().to_read
    bench.card.write(paths[1], b"shorter")
    bench.card.write(paths[3], b"longer" * 1000)
    bench.save(planned)
    assert set(bench.failures) == {paths[1], paths[3]}
    assert set(bench.saved()) == {paths[0], paths[2], paths[4]}
    assert bench.left_over() == []
    bench.assert_catalogued_means_safe()


def test_what_takes_the_place_of_a_file_is_not_followed(bench: "Bench", tmp_path: Path) -> None:
    paths = sized(bench, 5)
    planned = bench.plan().to_read
    secret = tmp_path / "secret"
    secret.write_bytes((bench.card.root / paths[0]).read_bytes())
    for path in paths[:4]:
        (bench.card.root / path).unlink()
    (bench.card.root / paths[0]).symlink_to(secret)
    os.mkfifo(bench.card.root / paths[1])
    (bench.card.root / paths[2]).mkdir()
    bench.save(planned)  # the fourth is missing
    assert set(bench.failures) == set(paths[:4])
    assert set(bench.saved()) == {paths[4]}
    assert bench.left_over() == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read any file")
def test_a_file_that_may_not_be_read_is_reported_and_the_others_go_on(bench: "Bench") -> None:
    paths = sized(bench, 3)
    (bench.card.root / paths[1]).chmod(0)
    bench.save()
    assert list(bench.failures) == [paths[1]]
    assert set(bench.saved()) == {paths[0], paths[2]}


def test_a_path_that_is_too_long_is_reported_and_the_others_go_on(bench: "Bench") -> None:
    (path,) = sized(bench, 1)
    deep = "DCIM/" + "d/" * 2100 + "a.JPG"
    planned = bench.plan().to_read
    bench.save((PlannedFile(CardFile(deep, MediaKind.STILL, 1, 0), None), *planned))
    assert list(bench.failures) == [deep]
    assert set(bench.saved()) == {path}


# A disk that fails


def test_a_copy_that_does_not_match_is_made_once_more(bench: "Bench", monkeypatch: pytest.MonkeyPatch) -> None:
    paths = sized(bench, 4)
    planned = bench.plan().to_read
    bench.record.change(bytes=Bytes(0, bench.plan().bytes_to_read))
    seen = corrupt_copies(monkeypatch, lambda path, times: path.name == "IMG_0002.JPG" and times == 1)
    bench.save(planned)
    assert [file.name for file in seen].count("IMG_0002.JPG") == 2
    assert bench.failures == {}
    assert bench.saved() == {path: (bench.card.root / path).read_bytes() for path in paths}
    assert bench.record.status.counts.ingested == bench.record.status.card.saved == 4
    assert bench.left_over() == []
    bench.assert_catalogued_means_safe()


def test_what_is_read_again_does_not_count_beyond_the_whole(bench: "Bench", monkeypatch: pytest.MonkeyPatch) -> None:
    sized(bench, 2)
    plan = bench.plan()
    bench.record.change(bytes=Bytes(0, plan.bytes_to_read))
    corrupt_copies(monkeypatch, lambda _, times: times == 1)
    bench.save(plan.to_read)
    assert bench.record.status.bytes.done <= bench.record.status.bytes.total


def test_a_copy_that_never_matches_is_reported_and_not_catalogued(
    bench: "Bench", monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = sized(bench, 4)
    seen = corrupt_copies(monkeypatch, lambda path, _: path.name == "IMG_0002.JPG")
    bench.save()
    assert [file.name for file in seen].count("IMG_0002.JPG") == 2
    assert list(bench.failures) == [paths[2]]
    assert "differs" in bench.failures[paths[2]]
    assert set(bench.saved()) == set(paths) - {paths[2]}
    assert bench.record.status.counts.ingested == bench.record.status.card.saved == 3
    bench.assert_catalogued_means_safe()
    assert bench.left_over() == []
    monkeypatch.undo()
    assert [planned.file.path for planned in bench.plan().to_read] == [paths[2]]


def test_a_duplicate_of_what_could_not_be_saved_is_not_called_saved(
    bench: "Bench", monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.card.write("DCIM/a.JPG", b"the same" * 1000)
    bench.card.write("DCIM/b.JPG", b"the same" * 1000)
    corrupt_copies(monkeypatch, lambda *_: True)
    bench.save()
    assert bench.saved() == {}
    assert bench.record.status.counts.skipped == 0
    assert bench.record.status.card.saved == 0
    assert set(bench.failures) == {"DCIM/a.JPG", "DCIM/b.JPG"}


def test_a_disk_that_fills_up_ends_the_run_and_costs_nothing_saved_before(
    bench: "Bench", monkeypatch: pytest.MonkeyPatch
) -> None:
    sized(bench, 30, size=100_000)
    room = 2 * MIB
    write = os.write

    def limited(fd: int, data: bytes) -> int:
        nonlocal room
        if room <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = write(fd, bytes(data)[:room])
        room -= written
        return written

    monkeypatch.setattr(os, "write", limited)
    with pytest.raises(DiskFull) as caught:
        bench.save()
    assert caught.value.exit_code == 73
    monkeypatch.undo()
    bench.assert_catalogued_means_safe()
    assert bench.failures == {}
    assert bench.left_over() == [] or len(bench.left_over()) <= 32  # cleared when the session's work begins again
    bench.save()
    assert len(bench.saved()) == 30
    bench.assert_catalogued_means_safe()


@pytest.mark.parametrize("catalog_on_it", [False, True])
def test_a_full_filesystem_is_told_as_such(bench: "Bench", tmp_path: Path, catalog_on_it: bool) -> None:
    sized(bench, 200, size=50_000)
    small = tmp_path / "small"
    small.mkdir()
    db = (small if catalog_on_it else tmp_path) / "own.db"
    arguments = [sys.executable, "-c", SAVE, bench.card.root, small / "sessions", db, tmp_path / "own" / "status.json"]
    mount = 'mount -t tmpfs -o size=3m small "$0" && exec "$@"'
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, str(small), *map(str, arguments)]
    if not shutil.which("unshare"):
        pytest.skip("unshare(1) is missing")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not done.stdout.startswith("begun"):
        pytest.skip(f"no filesystem of our own can be mounted here: {done.stderr[-200:]}")
    ended, rows, safe, _left_over, failed = json.loads(done.stdout.splitlines()[1])
    assert (ended, safe, failed) == ("DiskFull", True, [])
    assert 0 < rows < 200


def test_a_limit_on_file_sizes_is_an_error_of_the_disk(bench: "Bench", tmp_path: Path) -> None:
    sized(bench, 2, size=1000)
    bench.card.write("DCIM/100/large.MP4", os.urandom(3 * MIB))
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, 2 << 20))\n" + SAVE
    places = [tmp_path / "own" / "sessions", tmp_path / "own.db", tmp_path / "own" / "status.json"]
    done = subprocess.run(
        [sys.executable, "-c", limited, bench.card.root, *places], capture_output=True, text=True, check=True
    )
    ended, _rows, safe, left_over, failed = json.loads(done.stdout.splitlines()[1])
    assert (ended, safe, left_over, failed) == ("DiskFailed", True, 0, [])


def test_originals_that_cannot_be_put_in_place_are_an_error_of_the_disk(bench: "Bench") -> None:
    sized(bench, 3)
    bench.session.directory.mkdir(parents=True)
    bench.session.originals.touch()
    with pytest.raises(DiskFailed):
        bench.save()
    assert bench.catalog.originals(bench.session.session_id) == []


# A card that fails


def test_a_card_that_goes_away_ends_the_run_and_costs_nothing_saved_before(bench: "Bench") -> None:
    paths = sized(bench, 6)
    planned = bench.plan().to_read
    ingest = bench.ingest()
    try:
        ingest.read(planned[:3])
        shutil.rmtree(bench.card.root)
        with pytest.raises(CardFailed):
            ingest.read(planned[3:])
    finally:
        ingest.close()
    assert bench.failures == {}
    assert set(bench.saved()) <= set(paths[:3])
    assert set(bench.saved()) == {each.path for each in bench.catalog.originals(bench.session.session_id)}
    assert bench.left_over() == []
    bench.assert_catalogued_means_safe()


def test_what_was_read_before_the_card_went_away_is_still_made_safe(bench: "Bench") -> None:
    paths = sized(bench, 6)
    planned = bench.plan().to_read
    ingest = bench.ingest()
    try:
        ingest.read(planned[:3])
        shutil.rmtree(bench.card.root)
        with pytest.raises(CardFailed):
            ingest.read(planned[3:])
    finally:
        ingest.close()
    assert set(bench.saved()) == set(paths[:3])


def test_not_a_byte_of_another_card_at_the_same_place_is_saved(bench: "Bench") -> None:
    paths = sized(bench, 4)
    planned = bench.plan().to_read
    ingest = bench.ingest()
    try:
        ingest.read(planned[:2])
        contents = {path: (bench.card.root / path).read_bytes() for path in paths}
        bench.card.root.rename(bench.card.root.with_name("pulled"))
        for path, content in contents.items():
            bench.card.write(path, bytes(reversed(content)))
        with pytest.raises(CardFailed):
            ingest.read(planned[2:])
    finally:
        ingest.close()
    assert bench.saved().items() <= contents.items()
    bench.assert_catalogued_means_safe()


def test_a_file_during_which_the_card_is_changed_is_discarded(bench: "Bench") -> None:
    bench.card.write("DCIM/large.MP4", os.urandom(48 * MIB))
    bench.card.write("DCIM/next.MP4", b"x")

    def pull() -> None:
        while not bench.record.status.bytes.done:
            time.sleep(0.001)
        bench.card.root.rename(bench.card.root.with_name("pulled"))

    thread = threading.Thread(target=pull)
    thread.start()
    try:
        with pytest.raises(CardFailed):
            bench.save()
    finally:
        thread.join()
    assert bench.left_over() == []
    bench.assert_catalogued_means_safe()


def test_a_card_that_is_gone_before_the_first_file_is_not_a_card_of_bad_files(bench: "Bench") -> None:
    sized(bench, 3)
    volume = bench.card.volume()
    planned = bench.plan(volume).to_read
    shutil.rmtree(bench.card.root)
    with pytest.raises(CardFailed):
        bench.save(planned, volume=volume)
    assert bench.failures == {}


def test_not_a_byte_is_saved_of_a_card_that_took_the_place_of_the_one_that_was_listed(bench: "Bench") -> None:
    paths = sized(bench, 3)
    volume = bench.card.volume()
    planned = bench.plan(volume).to_read
    contents = [(bench.card.root / path).read_bytes() for path in paths]
    bench.card.root.rename(bench.card.root.with_name("pulled"))
    for path, content in zip(paths, contents, strict=True):
        bench.card.write(path, bytes(reversed(content)))
    with pytest.raises(CardFailed):
        bench.save(planned, volume=volume)
    assert bench.saved() == {}


# A run that is stopped


def test_a_stop_ends_the_copy_of_a_large_file_at_once(bench: "Bench") -> None:
    bench.card.write("DCIM/a.JPG", b"first")
    large = bench.card.write("DCIM/large.MP4")
    with large.open("wb") as file:
        file.truncate(4 << 30)  # a sparse file: reading it takes seconds
    threading.Timer(0.3, bench.stop.set).start()
    with pytest.raises(Interrupted):
        bench.save()
    assert bench.left_over() == []
    assert "DCIM/large.MP4" not in bench.saved()
    bench.assert_catalogued_means_safe()


def test_after_a_stop_nothing_is_begun(bench: "Bench") -> None:
    sized(bench, 3)
    volume = bench.card.identified()
    bench.save(volume=volume)
    known = bench.plan(volume).known
    bench.card.write("DCIM/new.JPG", b"new")
    bench.stop.set()
    with pytest.raises(Interrupted):
        bench.save()
    with pytest.raises(Interrupted):
        changed_files(volume, known, bench.stop)
    assert "DCIM/new.JPG" not in bench.saved()
    assert bench.left_over() == []


@pytest.mark.parametrize("after_seconds", [0.0, 0.02, 0.1])
def test_a_run_that_is_killed_leaves_only_safe_rows_and_the_next_one_completes_it(
    bench: "Bench", tmp_path: Path, after_seconds: float
) -> None:
    sized(bench, 150, size=60_000)
    db = tmp_path / "own.db"
    base = tmp_path / "own"
    command = [sys.executable, "-c", SAVE, *map(str, (bench.card.root, base, db, base / "status.json"))]
    base.mkdir()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as victim:
        assert victim.stdout is not None
        assert victim.stdout.readline() == "begun\n"
        time.sleep(after_seconds)
        victim.send_signal(signal.SIGKILL)
    with Catalog(db) as catalog:
        own = type(bench)(bench.card, catalog, Session("s", base, ""), bench.record)
        own.assert_catalogued_means_safe()
        own.save()
        own.assert_catalogued_means_safe()
        assert len(own.saved()) == len(catalog.originals("s")) == 150
        assert own.failures == {}


def test_an_ingest_that_read_nothing_ends(bench: "Bench") -> None:
    ingest = bench.ingest()
    ingest.read([])
    ingest.finish()
    ingest.close()
    assert bench.saved() == {}


def test_reading_and_finishing_may_take_turns(bench: "Bench") -> None:
    paths = sized(bench, 6)
    planned = bench.plan().to_read
    ingest = bench.ingest()
    for turn in range(3):
        ingest.read(planned[2 * turn : 2 * turn + 2])
        ingest.finish()
        assert set(bench.saved()) == set(paths[: 2 * turn + 2])
    ingest.close()
    assert not [thread for thread in threading.enumerate() if thread.name in ("hash", "commit")]


def test_whoever_waits_is_told_when_something_is_saved(bench: "Bench") -> None:
    sized(bench, 3)
    told: list[int] = []
    ingest = bench.ingest(saved=lambda: told.append(len(bench.catalog.originals(bench.session.session_id))))
    ingest.read(bench.plan().to_read)
    ingest.finish()
    ingest.close()
    assert told[-1] == 3


def test_the_known_files_of_a_card_that_did_not_change_are_not_read_again(bench: "Bench") -> None:
    volume = bench.card.identified()
    sized(bench, 3)
    bench.save(volume=volume)
    assert changed_files(volume, bench.plan(volume).known, bench.stop) == []


def test_a_stop_before_the_last_file_is_safe_is_no_end(bench: "Bench", monkeypatch: pytest.MonkeyPatch) -> None:
    bench.card.write("DCIM/100/A.JPG", b"picture")
    ingest = bench.ingest()
    in_place = durable.flush_and_rename

    def stopped_meanwhile(moves: Iterable[tuple[Path, Path]]) -> None:
        in_place(moves)
        bench.stop.set()

    monkeypatch.setattr(durable, "flush_and_rename", stopped_meanwhile)
    try:
        ingest.read(bench.plan().to_read)
        with pytest.raises(Interrupted):
            ingest.finish()
    finally:
        ingest.close()
    assert not bench.catalog.originals(bench.session.session_id)
