"""Working on a session: alone, and never at the price of a file."""

import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ghostroll.base import config
from ghostroll.base.errors import GhostrollError, StoreUnreachable, UsageError
from ghostroll.base.locks import is_busy
from ghostroll.base.session_paths import Session
from ghostroll.card.volume import find_volume
from ghostroll.catalog import Catalog
from ghostroll.derivatives.workers import RenderPool
from ghostroll.pipeline import pipeline
from ghostroll.pipeline.run import Run
from ghostroll.pipeline.session_work import can_be_finished, discard, is_empty, working_on
from ghostroll.recovery.orphans import catalogue_orphans
from ghostroll.status.recorder import StatusRecord
from ghostroll.status.run_record import RunKind
from ghostroll.store.s3 import Store


def no_store() -> Store:
    raise StoreUnreachable("There is no network.")


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    base = tmp_path / "base"
    settings = config.load({"base_dir": str(base), "db_path": str(base / "g.db")}, {}).settings
    record = StatusRecord(settings.status_path, RunKind.CARD, tmp_path)
    with Catalog(settings.db_path) as catalog:
        yield Run(settings, catalog, record, no_store, threading.Event(), give_up_seconds=0.2)
        record.close()


@pytest.fixture
def session(run: Run) -> Session:
    run.catalog.create_session("shoot", card_id="uuid:1", card_label="CARD")
    return Session("shoot", run.settings.base_dir, "sessions/")


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_session_that_another_works_on_is_left_as_it_is(run: Run, session: Session) -> None:
    with working_on(run, session):
        on_its_way = write(session.temporary / "half", b"half a photo")
        assert is_busy(session)
        with pytest.raises(UsageError), working_on(run, session):
            pass
        assert on_its_way.exists()
    assert not session.temporary.exists()
    assert not is_busy(session)


def test_a_session_with_a_copy_that_has_no_row_is_not_empty(run: Run, session: Session) -> None:
    write(session.originals / "DCIM/a.JPG", b"a whole photo")
    assert not is_empty(run.catalog, session)
    assert can_be_finished(run.catalog, session)


def test_what_is_taken_back_leaves_every_file_of_the_owner(run: Run, session: Session) -> None:
    photo = write(session.originals / "DCIM/a.JPG", b"a whole photo")
    discard(run, session)
    assert photo.read_bytes() == b"a whole photo"


def test_an_empty_session_is_taken_back_whole(run: Run, session: Session) -> None:
    with working_on(run, session):
        (session.originals / "DCIM/100").mkdir(parents=True)
        discard(run, session)
    assert not session.directory.exists()
    assert run.catalog.session("shoot") is None


def test_a_session_whose_directory_is_gone_is_given_up_once(run: Run, session: Session) -> None:
    write(session.originals / "DCIM/a.JPG", b"a whole photo")
    catalogue_orphans(run.catalog, session)
    shutil.rmtree(session.directory)
    assert not can_be_finished(run.catalog, session)
    assert run.catalog.unfinished_sessions() == []


def test_a_whole_copy_without_a_row_is_taken_in_but_not_called_verified(run: Run, session: Session) -> None:
    write(session.originals / "DCIM/a.JPG", b"a whole photo")
    catalogue_orphans(run.catalog, session)
    assert [original.path for original in run.catalog.originals("shoot")] == ["DCIM/a.JPG"]
    (copy,) = run.catalog.copies_of_card("uuid:1").values()
    assert not copy.verified
    assert "originals/DCIM/a.JPG" in session.checksums.read_text()


def test_taking_in_a_large_copy_gives_signs_of_life(run: Run, session: Session) -> None:
    signs: list[None] = []
    write(session.originals / "DCIM/a.MP4", bytes(3 << 20))
    catalogue_orphans(run.catalog, session, lambda: signs.append(None))
    assert len(signs) == 3


def test_a_copy_without_a_row_is_removed_only_for_a_twin_that_is_there(run: Run, session: Session) -> None:
    run.catalog.create_session("other", card_id="uuid:2", card_label="CARD")
    other = replace(session, session_id="other")
    first = write(other.originals / "DCIM/first.JPG", b"a whole photo")
    catalogue_orphans(run.catalog, other)
    second = write(session.originals / "DCIM/second.JPG", b"a whole photo")
    catalogue_orphans(run.catalog, session)
    assert first.exists()
    assert not second.exists()
    first.unlink()
    third = write(session.originals / "DCIM/third.JPG", b"a whole photo")
    catalogue_orphans(run.catalog, session)
    assert third.exists(), "the catalog has a row for a twin, but the disk has none"


def test_rendering_that_breaks_does_not_keep_the_card_from_being_saved(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault beside the copy: what is broken is told, but only when all is saved."""

    def broken(*_: object) -> None:
        raise RuntimeError("a worker does not start")

    monkeypatch.setattr(RenderPool, "submit", broken)
    for number in range(60):
        write(tmp_path / f"card/DCIM/100/{number:03}.JPG", b"photo %d" % number * 20_000)
    volume = find_volume(tmp_path / "card")
    with pytest.raises((RuntimeError, GhostrollError)):
        pipeline.run_pipeline(run, volume)
    assert len(run.catalog.copies_of_card(volume.card_id)) == 60


def test_a_session_that_another_run_just_begins_is_not_taken_for_dead(run: Run, session: Session) -> None:
    run.catalog.create_session("begun", card_id="uuid:1", card_label="CARD")
    begun = replace(session, session_id="begun")
    threading.Timer(0.3, begun.directory.mkdir).start()
    assert not can_be_finished(run.catalog, begun)
    assert run.catalog.session("begun") is not None


def test_a_session_that_a_crash_left_without_a_directory_is_forgotten(run: Run, session: Session) -> None:
    run.catalog.create_session("begun", card_id="uuid:1", card_label="CARD")
    assert not can_be_finished(run.catalog, replace(session, session_id="begun"))
    assert run.catalog.session("begun") is None


def test_an_empty_session_whose_log_cannot_be_removed_is_taken_back_all_the_same(run: Run, session: Session) -> None:
    (session.directory / "ghostroll.log").mkdir(parents=True)  # unlink(2) refuses it, for root too
    discard(run, session)
    assert run.catalog.session("shoot") is None
