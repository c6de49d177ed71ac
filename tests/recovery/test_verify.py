"""Originals read again long after they were saved: what is told, what no longer counts as saved."""

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ghostroll.base import durable
from ghostroll.base.errors import FileFailed, Interrupted
from ghostroll.base.session_paths import Session
from ghostroll.card.fingerprint import SampleHash
from ghostroll.catalog.manifests import read_checksums, write_checksums, write_manifests
from ghostroll.recovery import disk_reader, verify
from ghostroll.recovery.disk_reader import DiskReader
from ghostroll.recovery.verify import VerifyResult

if TYPE_CHECKING:
    from tests.support.bench import Bench

NOT_UTF8 = os.fsdecode(b"DCIM/\xff\\\n\r.JPG")


@pytest.fixture
def saved(bench: "Bench") -> "Bench":
    bench.card.write("DCIM/a.JPG", b"a" * 5000)
    bench.card.write("DCIM/b.CR3", b"b" * 5000)
    bench.card.write(NOT_UTF8, b"c" * 5000)
    bench.save(volume=bench.card.identified())
    write_manifests(bench.catalog, bench.session)
    return bench


@pytest.fixture
def verified(saved: "Bench") -> Callable[[], VerifyResult]:
    def verify_session() -> VerifyResult:
        row = saved.catalog.session(saved.session.session_id)
        assert row
        return verify.verify_session(saved.catalog, saved.session, row, DiskReader(threading.Event()))

    return verify_session


def test_what_is_as_it_was_saved_is_fine(saved: "Bench", verified: Callable[[], VerifyResult]) -> None:
    before = saved.catalog.copies_of_card("uuid:4711")
    found = verified()
    assert (found.checked, found.ok, found.is_fine) == (3, 3, True)
    assert found == VerifyResult(
        saved.session.session_id,
        "open",
        checked=3,
        ok=3,
        from_disk=not durable.is_memory_filesystem(saved.session.directory),
    )
    assert list(verify.advice([found])) == []
    assert saved.catalog.copies_of_card("uuid:4711") == before


def test_a_damaged_copy_is_named_and_saved_anew_when_its_card_comes_back(
    saved: "Bench", verified: Callable[[], VerifyResult]
) -> None:
    path = saved.session.originals / "DCIM/a.JPG"
    path.write_bytes(b"a" * 2500 + b"x" + b"a" * 2499)
    found = verified()
    assert (found.damaged, found.ok, found.is_fine) == (["DCIM/a.JPG"], 2, False)
    assert any("Plug their cards in again before you format them" in line for line in verify.advice([found]))
    volume = saved.card.identified()
    assert "DCIM/a.JPG" not in saved.catalog.copies_of_card("uuid:4711")
    plan = saved.plan(volume)
    assert [planned.file.path for planned in plan.to_read] == ["DCIM/a.JPG"]
    other = Session("shoot-later", saved.session.base_dir, saved.session.prefix_root)
    saved.save(plan.to_read, volume, other)
    assert (other.originals / "DCIM/a.JPG").read_bytes() == b"a" * 5000
    saved.assert_catalogued_means_safe()
    again = verified()
    assert (again.damaged, again.replaced, again.is_fine) == ([], ["DCIM/a.JPG"], True)
    (other.originals / "DCIM/a.JPG").unlink()
    assert verified().damaged == ["DCIM/a.JPG"]


def test_one_bit_is_enough(saved: "Bench", verified: Callable[[], VerifyResult]) -> None:
    path = saved.session.originals / NOT_UTF8
    raw = bytearray(path.read_bytes())
    raw[4096] ^= 1
    path.write_bytes(raw)
    assert verified().damaged == ["DCIM/\\udcff\\\\n\\r.JPG".replace("\\\\n", "\\" + "\\n")]


def test_a_copy_that_is_gone_is_missing_and_its_row_stays(saved: "Bench", verified: Callable[[], VerifyResult]) -> None:
    (saved.session.originals / "DCIM/a.JPG").unlink()
    found = verified()
    assert (found.missing, found.checked, found.is_fine) == (["DCIM/a.JPG"], 2, False)
    assert any("--rehash" in line for line in verify.advice([found]))
    assert "DCIM/a.JPG" in saved.catalog.copies_of_card("uuid:4711")


def test_a_session_that_its_owner_deleted_is_one_line_and_fine(
    saved: "Bench", verified: Callable[[], VerifyResult]
) -> None:
    shutil.rmtree(saved.session.directory)
    found = verified()
    assert (found.deleted, found.is_fine) == (True, True)
    assert len(list(verify.summary_lines(found))) == 1


def test_all_originals_gone_from_a_session_that_is_there_are_missing(
    saved: "Bench", verified: Callable[[], VerifyResult]
) -> None:
    shutil.rmtree(saved.session.originals)
    assert len(verified().missing) == 3


def test_a_file_in_no_record_is_told_and_no_fault(saved: "Bench", verified: Callable[[], VerifyResult]) -> None:
    (saved.session.originals / "DCIM/stray.JPG").write_bytes(b"x")
    (saved.session.originals / "DCIM/.DS_Store").write_bytes(b"x")
    found = verified()
    assert (found.unrecorded, found.is_fine) == (["DCIM/stray.JPG"], True)


def test_what_the_two_records_say_differently_is_told_as_such(
    saved: "Bench", verified: Callable[[], VerifyResult], caplog: pytest.LogCaptureFixture
) -> None:
    sums = read_checksums(saved.session)
    write_checksums(saved.session, [("0" * 64 if path == "DCIM/a.JPG" else sums[path], path) for path in sums])
    found = verified()
    assert (found.disagreeing, found.damaged, found.is_fine) == (["DCIM/a.JPG"], [], False)
    assert "DCIM/a.JPG" in saved.catalog.copies_of_card("uuid:4711")
    path = saved.session.originals / "DCIM/b.CR3"
    path.write_bytes(b"other")
    sha256 = DiskReader(threading.Event()).read(path).sha256
    write_checksums(saved.session, [(sha256, "DCIM/b.CR3")])
    with caplog.at_level("WARNING", "ghostroll"):
        found = verified()
    assert found.damaged == ["DCIM/b.CR3"]
    assert "but it matches SHA256SUMS" in caplog.text


def test_without_sums_the_catalog_alone_is_compared(saved: "Bench", verified: Callable[[], VerifyResult]) -> None:
    saved.session.checksums.unlink()
    assert verified().ok == 3


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("b.CR3")])
def test_what_is_no_file_is_damaged_and_waited_for_by_nobody(
    saved: "Bench", verified: Callable[[], VerifyResult], make: Callable[[Path], object]
) -> None:
    path = saved.session.originals / "DCIM/a.JPG"
    path.unlink()
    make(path)
    assert verified().damaged == ["DCIM/a.JPG"]


def test_a_file_that_we_may_not_read_is_not_called_damaged(
    saved: "Bench", verified: Callable[[], VerifyResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: DiskReader, path: Path) -> disk_reader.ReadResult:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(DiskReader, "read", refuse)
    found = verified()
    assert (len(found.unreadable), found.damaged, found.is_fine) == (3, [], False)
    assert len(saved.catalog.copies_of_card("uuid:4711")) == 3


def test_a_file_that_the_disk_has_lost_is_damaged(
    saved: "Bench", verified: Callable[[], VerifyResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(_: DiskReader, path: Path) -> disk_reader.ReadResult:
        raise OSError(5, "Input/output error", str(path))

    monkeypatch.setattr(DiskReader, "read", lost)
    assert len(verified().damaged) == 3
    assert saved.catalog.copies_of_card("uuid:4711") == {}


def test_files_in_memory_are_said_to_prove_little(
    saved: "Bench", verified: Callable[[], VerifyResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert saved
    monkeypatch.setattr(durable, "is_memory_filesystem", lambda _: True)
    found = verified()
    assert not found.from_disk
    assert "not on a disk" in list(verify.summary_lines(found))[-1]


def test_sums_are_read_as_they_were_written(saved: "Bench") -> None:
    originals = {each.path: each.sha256 for each in saved.catalog.originals(saved.session.session_id)}
    assert read_checksums(saved.session) == originals
    with saved.session.checksums.open("ab") as file:
        file.write(b"no sum\n" + b"0" * 64 + b"  elsewhere/x\n\xff\xfe\n")
    assert read_checksums(saved.session) == originals


# Reading


def test_a_reading_is_of_all_the_file(tmp_path: Path) -> None:
    content = os.urandom(3_000_001)
    path = tmp_path / "file"
    path.write_bytes(content)
    told: list[float] = []
    reading = DiskReader(threading.Event(), len(content), on_progress=told.append).read(path)
    sampler = SampleHash()
    sampler.update(content)
    assert (reading.sample_sha256, reading.size_bytes) == (sampler.hexdigest(), len(content))
    assert reading.sha256 == durable.sha256_from_disk(path)[0]
    assert content.startswith(reading.head)
    assert told[-1] == 1.0
    assert told == sorted(told)


def test_a_stop_ends_a_reading_within_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(5 << 20))
    stop = threading.Event()
    reader = DiskReader(stop, 5 << 20, "Run it again.", lambda _: stop.set())
    with pytest.raises(Interrupted) as stopped:
        reader.read(path)
    assert stopped.value.hint == "Run it again."


def test_a_directory_is_no_file_to_read(tmp_path: Path) -> None:
    with pytest.raises((FileFailed, OSError)):
        DiskReader(threading.Event()).read(tmp_path)
