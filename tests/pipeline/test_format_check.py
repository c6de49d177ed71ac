import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from ghostroll.base import config, durable
from ghostroll.base.errors import CardFailed
from ghostroll.card.scan import Scan, Unreadable, scan
from ghostroll.card.volume import Volume
from ghostroll.catalog.models import SessionState
from ghostroll.ingest.plan import make_plan
from ghostroll.pipeline.format_check import conclude_card
from ghostroll.pipeline.run import Run
from ghostroll.status.model import CardState, CardStatus

if TYPE_CHECKING:
    from tests.support.bench import Bench


def no_store() -> NoReturn:
    raise AssertionError("nothing here needs a store")


@pytest.fixture
def run(bench: "Bench", tmp_path: Path) -> Run:
    (tmp_path / "empty.toml").touch()
    flags = {"base_dir": str(bench.session.base_dir), "db_path": str(tmp_path / "unused.db")}
    settings = config.load(flags, {}, str(tmp_path / "empty.toml")).settings
    return Run(settings, bench.catalog, bench.record, no_store, threading.Event())


@pytest.fixture
def verdict(bench: "Bench", run: Run) -> Callable[..., CardStatus]:
    """Save the card and settle the accounts; `between` happens before that."""

    def settle(
        between: Callable[[], object] = lambda: None,
        seen: Callable[[Scan], Scan] = lambda found: found,
        volume: Volume | None = None,
        *,
        verify: bool = True,
    ) -> CardStatus:
        volume = volume or bench.card.volume()
        found = seen(scan(volume))
        plan = make_plan(volume, found, bench.catalog)
        bench.save(plan.to_read, volume, verify=verify)
        for path, reason in bench.failures.items():
            run.report_failure(bench.session.session_id, path, "ingest", reason)
        between()
        conclude_card(run, volume, found, plan, bench.session)
        return run.record.status.card

    return settle


@pytest.fixture
def two_files(bench: "Bench") -> list[Path]:
    if durable.is_memory_filesystem(bench.card.volume().root):
        pytest.skip("on a filesystem in memory nothing is ever safe to format")
    return [bench.card.write("DCIM/a.JPG", b"a" * 5000), bench.card.write("DCIM/b.CR3", b"b" * 5000)]


@pytest.mark.usefixtures("two_files")
class TestTwoFiles:
    """A card with two files, both saved."""

    def test_a_card_whose_every_file_has_a_verified_copy_may_be_pulled_and_formatted(
        self, bench: "Bench", verdict: Callable[..., CardStatus]
    ) -> None:
        card = verdict()
        assert (card.state, card.safe_to_format, card.reason) == (CardState.SAFE, True, None)
        row = bench.catalog.session(bench.session.session_id)
        assert row is not None
        assert (row.state, row.card_read) == (SessionState.INGESTED, True)

    def test_the_sums_of_the_session_are_right(self, bench: "Bench", verdict: Callable[..., CardStatus]) -> None:
        verdict()
        check = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
        done = subprocess.run(check, cwd=bench.session.directory, capture_output=True, text=True, check=True)
        assert done.stdout.splitlines() == ["originals/DCIM/a.JPG: OK", "originals/DCIM/b.CR3: OK"]

    def test_a_card_that_was_saved_by_earlier_sessions_may_be_formatted(
        self, bench: "Bench", verdict: Callable[..., CardStatus]
    ) -> None:
        verdict()
        bench.card.write("DCIM/c.JPG", b"c")
        assert verdict().safe_to_format

    def test_a_file_twice_on_the_card_needs_one_copy(self, bench: "Bench", verdict: Callable[..., CardStatus]) -> None:
        bench.card.write("DCIM/copy of a.JPG", b"a" * 5000)
        assert verdict().safe_to_format

    def test_a_copy_that_was_not_read_back_is_not_enough(self, verdict: Callable[..., CardStatus]) -> None:
        card = verdict(verify=False)
        assert (card.state, card.safe_to_format) == (CardState.SAFE, False)
        assert card.reason == "The copies were not verified."

    def test_one_copy_that_was_not_read_back_is_enough_to_keep_the_card(
        self, bench: "Bench", verdict: Callable[..., CardStatus]
    ) -> None:
        verdict()
        bench.card.write("DCIM/c.JPG", b"c")
        assert verdict(verify=False).reason == "1 copy was not verified."

    def test_copies_in_memory_are_not_enough(
        self, run: Run, verdict: Callable[..., CardStatus], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert run
        monkeypatch.setattr(durable, "is_memory_filesystem", lambda _: True)
        card = verdict()
        assert (card.safe_to_format, card.reason) == (False, "The copies lie in memory, not on a disk.")

    def test_a_copy_that_turned_out_damaged_is_not_enough(
        self, bench: "Bench", verdict: Callable[..., CardStatus]
    ) -> None:
        def forget() -> None:
            bench.catalog.forget_copy(bench.catalog.originals(bench.session.session_id)[0].sha256)

        assert not verdict(forget).safe_to_format

    def test_a_copy_that_is_gone_or_cut_is_not_enough(self, bench: "Bench", verdict: Callable[..., CardStatus]) -> None:
        copy = bench.session.originals / "DCIM/a.JPG"
        card = verdict(lambda: os.truncate(copy, 10))
        assert not card.safe_to_format
        assert card.reason == "1 file came in before, but the copies are no longer on this disk."
        assert not verdict(copy.unlink).safe_to_format
        assert not verdict(lambda: shutil.rmtree(bench.session.originals)).safe_to_format

    def test_a_file_outside_the_media_folders_keeps_a_card_from_being_formatted(
        self, bench: "Bench", verdict: Callable[..., CardStatus]
    ) -> None:
        bench.card.write("contract.pdf", b"x")
        card = verdict()
        assert (card.state, card.safe_to_format) == (CardState.SAFE, False)
        assert card.reason == "1 file outside the media folders was not saved: contract.pdf."

    def test_of_many_files_outside_all_are_counted_and_some_are_named_fit_to_be_shown(
        self, bench: "Bench", verdict: Callable[..., CardStatus]
    ) -> None:
        for number in range(7):
            bench.card.write(f"Documents/{number}\x1b.txt", b"x")
        assert verdict().reason == (
            "7 files outside the media folders were not saved: Documents/0\\x1b.txt, Documents/1\\x1b.txt,"
            " Documents/2\\x1b.txt, Documents/3\\x1b.txt, Documents/4\\x1b.txt and 2 more."
        )

    def test_a_computers_own_files_outside_do_not(self, bench: "Bench", verdict: Callable[..., CardStatus]) -> None:
        bench.card.write(".DS_Store", b"x")
        bench.card.write("System Volume Information/IndexerVolumeGuid", b"x")
        assert verdict().safe_to_format

    def test_a_directory_that_could_not_be_listed_keeps_a_card_from_being_formatted(
        self, verdict: Callable[..., CardStatus]
    ) -> None:
        unreadable = (Unreadable("DCIM/101", "Input/output error"),)
        card = verdict(seen=lambda found: replace(found, unreadable=unreadable))
        assert (card.safe_to_format, card.reason) == (False, "These could not be read: DCIM/101.")

    def test_a_file_that_failed_keeps_a_card_from_being_formatted(
        self, bench: "Bench", run: Run, verdict: Callable[..., CardStatus]
    ) -> None:
        card = verdict(lambda: run.report_failure("s", "DCIM/a.JPG", "ingest", "why"))
        assert not card.safe_to_format
        assert card.reason is not None
        assert card.reason.startswith("1 file could not be saved: DCIM/a.JPG.")
        row = bench.catalog.session(bench.session.session_id)
        assert row is not None
        assert row.card_read

    def test_a_picture_that_cannot_be_rendered_does_not(self, run: Run, verdict: Callable[..., CardStatus]) -> None:
        assert verdict(lambda: run.report_failure("s", "DCIM/a.JPG", "derive", "why")).safe_to_format

    def test_a_card_that_went_away_is_neither_safe_nor_read_to_its_end(
        self, bench: "Bench", run: Run, verdict: Callable[..., CardStatus]
    ) -> None:
        card = verdict(lambda: run.report_problem(CardFailed("gone")))
        assert (card.state, card.safe_to_format) == (CardState.REMOVED, False)
        row = bench.catalog.session(bench.session.session_id)
        assert row is not None
        assert not row.card_read

    def test_what_a_sample_recognised_is_recognised_by_its_time_from_then_on(
        self, bench: "Bench", two_files: list[Path], verdict: Callable[..., CardStatus]
    ) -> None:
        volume = bench.card.identified()
        verdict(volume=volume)
        os.utime(two_files[0], ns=(10**18, 10**18))
        assert {each.is_sample_verified for each in bench.plan(volume).known} == {True, False}
        verdict(volume=volume)
        assert {each.is_sample_verified for each in bench.plan(volume).known} == {False}

    def test_another_card_with_the_same_names_is_judged_by_its_own_files(
        self, bench: "Bench", run: Run, two_files: list[Path], verdict: Callable[..., CardStatus]
    ) -> None:
        assert verdict().safe_to_format
        volume = bench.card.volume()
        two_files[0].write_bytes(b"A" * 5000)
        found = scan(volume)
        plan = make_plan(volume, found, bench.catalog)
        assert [planned.file.path for planned in plan.to_read] == ["DCIM/a.JPG"]
        run.report_failure("s", "DCIM/a.JPG", "ingest", "the card cannot be read here")
        conclude_card(run, volume, found, plan, None)
        assert not run.record.status.card.safe_to_format


def test_an_empty_card_is_not_called_safe_to_format(verdict: Callable[..., CardStatus]) -> None:
    card = verdict()
    assert (card.state, card.safe_to_format, card.reason) == (CardState.SAFE, False, None)


def test_all_that_keeps_a_card_from_being_formatted_is_told(
    bench: "Bench", run: Run, verdict: Callable[..., CardStatus]
) -> None:
    bench.card.write("DCIM/a.JPG", b"a")
    bench.card.write("notes.txt", b"x")
    unreadable = (Unreadable("", "Input/output error"),)
    card = verdict(
        lambda: run.report_failure("s", "DCIM/a.JPG", "ingest", "why"),
        lambda found: replace(found, unreadable=unreadable),
        verify=False,
    )
    assert card.reason is not None
    sentences = card.reason.split(". ")
    assert [sentence.split(":")[0] for sentence in sentences] == [
        "1 file could not be saved",
        "These could not be read",
        "The copies were not verified" if not durable.is_memory_filesystem(bench.session.base_dir) else sentences[2],
        "1 file outside the media folders was not saved",
    ]


def test_where_nothing_is_new_no_session_is_touched(bench: "Bench", run: Run) -> None:
    bench.card.write("DCIM/a.JPG", b"a")
    bench.save()
    volume = bench.card.volume()
    conclude_card(run, volume, scan(volume), make_plan(volume, scan(volume), bench.catalog), None)
    assert run.record.status.card.state is CardState.SAFE
    assert not bench.session.checksums.exists()
