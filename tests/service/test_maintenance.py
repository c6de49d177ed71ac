"""Links stay open, whatever happens to the clock; what is unfinished is tried again, by one at a time."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ghostroll.base.config import Settings
from ghostroll.base.errors import StoreUnreachable
from ghostroll.base.media_kind import MediaKind
from ghostroll.base.session_paths import session_of
from ghostroll.catalog.models import Derivative, Original, RenderState, SavedFile, SessionState, Shot
from ghostroll.pipeline.invocation import Invocation, open_invocation
from ghostroll.pipeline.session_work import working_on
from ghostroll.service import maintenance as upkeep_module
from ghostroll.service.maintenance import Maintenance, WallClock

NOON = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)


class Clocks:
    """A wall clock that may be set, and one that only counts."""

    def __init__(self) -> None:
        self.wall = NOON.timestamp()
        self.counted = 1000.0

    def tick(self, seconds: float) -> None:
        self.wall += seconds
        self.counted += seconds

    def watched(self) -> WallClock:
        return WallClock(lambda: self.wall, lambda: self.counted)


def test_a_clock_that_goes_on_has_not_jumped() -> None:
    clocks = Clocks()
    clock = clocks.watched()
    clocks.tick(90_000)
    assert not clock.has_jumped
    assert clock.moments() == (NOON + timedelta(seconds=90_000),) * 2


def test_a_clock_that_is_set_tells_both_times_once() -> None:
    clocks = Clocks()
    clock = clocks.watched()
    clocks.tick(100)
    clocks.wall += 40 * 86_400
    assert clock.has_jumped
    assert clock.moments() == (NOON + timedelta(seconds=100), NOON + timedelta(days=40, seconds=100))
    assert not clock.has_jumped
    clocks.tick(10)
    assert clock.moments() == (NOON + timedelta(days=40, seconds=110),) * 2


def test_a_clock_that_is_set_back_is_noticed_too_and_a_small_step_is_none() -> None:
    clocks = Clocks()
    clock = clocks.watched()
    clocks.wall -= 59
    assert not clock.has_jumped
    clocks.wall -= 3600
    assert clock.has_jumped
    before, now = clock.moments()
    assert before - now == timedelta(seconds=3659)


# What is unfinished


class EmptyStore:
    """A store that has lost everything."""

    identity = "https://bucket.example"

    def listing(self, _: str) -> dict[str, int]:
        return {}


class Opener:
    """Opens a store that has lost everything, or none."""

    def __init__(self, *, is_in_reach: bool) -> None:
        self._is_in_reach = is_in_reach

    def __call__(self) -> EmptyStore:
        if not self._is_in_reach:
            raise StoreUnreachable("There is no network.")
        return EmptyStore()

    def revive(self) -> None:
        pass


@pytest.fixture
def invocation(store_settings: Callable[..., Settings], tmp_path: Path) -> Iterator[Invocation]:
    """With one session that is shared, of one picture."""
    with open_invocation(store_settings(tmp_path / "base", s3_bucket="bucket", mount_roots="")) as made:
        share_one_picture(made)
        made.opener = Opener(is_in_reach=True)  # type: ignore[assignment]
        yield made


def share_one_picture(made: Invocation) -> None:
    session, catalog = session_of(made.settings, "shoot"), made.catalog
    session.directory.mkdir(parents=True)
    catalog.create_session("shoot", card_id="uuid:1", card_label="EOS")
    original = Original("DCIM/a.jpg", MediaKind.STILL, 1, "0" * 64, "DCIM/a.jpg", RenderState.DONE)
    catalog.record_saved("shoot", "uuid:1", [SavedFile(original, original.path, 0, "1" * 64, verified=True)])
    share, thumb = (
        Derivative(original.path, role, original.path, key, "2" * 64, 1, 3, 2)
        for role, key in (
            ("share", session.share_key(original.path)),
            ("thumb", session.thumbnail_key(original.path)),
        )
    )
    catalog.record_rendered("shoot", [Shot(original, None, None, share, thumb)])
    catalog.record_uploaded(EmptyStore.identity, [(each.s3_key, each.sha256, 1) for each in (share, thumb)])
    catalog.set_share("shoot", url="https://bucket.example/x", expires_utc="2100-01-01T00:00:00Z")
    catalog.set_state("shoot", SessionState.SHARED)


def names(maintenance: Maintenance) -> list[str]:
    """What is due of the two that may not go on twice."""
    return [name for name, _ in maintenance.due(card_at_work=False) if name in ("resume", "sign")]


def after_its_first_try(invocation: Invocation) -> Maintenance:
    maintenance = Maintenance(invocation)
    works = dict(maintenance.due(card_at_work=False))
    works["resume"]()
    assert names(maintenance) == []
    return maintenance


def test_pictures_that_the_store_has_lost_are_sent_again_at_once(invocation: Invocation) -> None:
    maintenance = after_its_first_try(invocation)
    maintenance._sign_last_anew()
    row = invocation.catalog.session("shoot")
    assert row is not None
    assert row.state is SessionState.INGESTED
    assert names(maintenance) == ["resume"]


def test_a_link_that_could_not_be_signed_for_another_reason_starts_nothing(invocation: Invocation) -> None:
    maintenance = after_its_first_try(invocation)
    with invocation.run() as run, working_on(run, session_of(invocation.settings, "shoot")):
        maintenance._sign_last_anew()
        assert names(maintenance) == [], "another run is working on it"
    invocation.opener = Opener(is_in_reach=False)  # type: ignore[assignment]
    invocation.stop.set()
    maintenance._sign_last_anew()
    assert names(maintenance) == [], "there is no store"


def test_what_is_unfinished_is_finished_by_one_at_a_time(
    invocation: Invocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun_it, go_on = threading.Event(), threading.Event()

    def finish_sessions(*_: object) -> list[None]:
        begun_it.set()
        assert go_on.wait(60)
        return []

    monkeypatch.setattr(upkeep_module, "finish_sessions", finish_sessions)
    maintenance = Maintenance(invocation)
    resume = threading.Thread(target=dict(maintenance.due(card_at_work=False))["resume"])
    resume.start()
    assert begun_it.wait(60)
    maintenance._sign_last_anew()
    with invocation.run() as run:
        maintenance.card_done(run)
    maintenance._retry_at = 0.0
    assert names(maintenance) == [], "it goes on"
    go_on.set()
    resume.join(60)
    assert names(maintenance) == ["resume"], "what was lost meanwhile is not forgotten"
