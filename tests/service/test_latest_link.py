"""The link that stays in view: the last share's, and that of a card which is still there."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ghostroll.base.config import Settings
from ghostroll.base.errors import DiskFailed
from ghostroll.catalog import Catalog
from ghostroll.service import latest_link
from ghostroll.service.latest_link import LinkInView
from ghostroll.status import run_records
from ghostroll.status.model import CardState, State
from ghostroll.status.recorder import StatusRecord
from ghostroll.status.run_records import Board


@dataclass
class Shop:
    """A catalog, and the steady loop's record."""

    settings: Settings
    catalog: Catalog
    record: StatusRecord
    view: LinkInView

    def share(self, session_id: str, path: str, days: int = 7) -> None:
        until = datetime.now(UTC) + timedelta(days=days)
        if self.catalog.session(session_id) is None:
            self.catalog.create_session(session_id, card_id="card", card_label="CARD")
        url = f"https://bucket.example/sessions/{path}/index.html"
        self.catalog.set_share(session_id, url=url, expires_utc=until.isoformat(timespec="seconds"))

    def card_run(self, url: str | None, session_id: str | None = None) -> None:
        run = StatusRecord(self.settings.status_path, "run-1", self.settings.base_dir)
        run.change(state=State.DONE, url=url, session_id=session_id)
        run.change_card(label="CARD", state=CardState.SAFE)
        run.close()

    @property
    def shown(self) -> str | None:
        return self.record.status.url


@pytest.fixture
def shop(store_settings: Callable[..., Settings], tmp_path: Path) -> Iterator[Shop]:
    settings = store_settings(tmp_path / "base")
    settings.base_dir.mkdir(parents=True)
    with Catalog(settings.db_path) as catalog:
        record = StatusRecord(settings.status_path, "watch", settings.base_dir)
        record.change(state=State.IDLE, message="Waiting.")
        yield Shop(settings, catalog, record, LinkInView(settings, catalog, record))
        record.close()


def test_it_is_due_when_there_is_another_share_or_none_any_more(shop: Shop) -> None:
    assert not shop.view.is_due()
    shop.share("S1", "S1?1")
    assert shop.view.is_due()
    shop.view.show()
    assert not shop.view.is_due()
    assert str(shop.shown).endswith("S1?1/index.html")
    shop.share("S1", "S1?1", days=-1)
    assert shop.view.is_due()
    shop.view.show()
    assert shop.shown is None
    assert shop.record.status.expires_at is None


def test_it_is_shown_anew_where_that_is_asked_for(shop: Shop) -> None:
    shop.share("S1", "S1")
    shop.view.show()
    shop.record.change(url=None)
    shop.view.refresh()
    assert shop.view.is_due()
    shop.view.show()
    assert shop.shown
    assert not shop.view.is_due()


def test_what_fails_is_due_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.view.show()
    with monkeypatch.context() as patch:
        patch.setattr(shop.catalog, "latest_share", lambda: (_ for _ in ()).throw(DiskFailed("Held.")))
        with pytest.raises(DiskFailed):
            shop.view.show()
    assert not shop.view.is_due(), "not at once"
    monkeypatch.setattr(latest_link, "_RETRY_SECONDS", 0.0)
    monkeypatch.setattr(shop.catalog, "latest_share", lambda: (_ for _ in ()).throw(DiskFailed("Held.")))
    with pytest.raises(DiskFailed):
        shop.view.show()
    monkeypatch.undo()
    assert shop.view.is_due()


@pytest.mark.parametrize("names_its_session", [True, False], ids=["a card", "a card with nothing new"])
def test_a_card_in_its_reader_has_its_own_link_as_it_is_now(shop: Shop, *, names_its_session: bool) -> None:
    shop.share("S1", "S1/index.html?old")
    shop.share("S2", "S2", days=9)
    old = shop.catalog.session("S1")
    assert old is not None
    shop.card_run(old.url, "S1" if names_its_session else None)
    shop.share("S1", "S1/index.html?new", days=8)
    shop.view.show()
    (run,) = [record for record in Board(shop.settings.status_path).records().values() if record["state"] == "done"]
    assert "S1/index.html?new" in run["url"]
    assert (run["card"]["state"], run["card"]["label"]) == ("safe", "CARD")
    deadline = time.monotonic() + 5
    while run_records.read(shop.settings.status_path)["url"] != run["url"] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert run_records.read(shop.settings.status_path)["url"] == run["url"]
    assert "S2" in str(shop.shown)


def test_a_card_that_was_not_shared_gets_no_link(shop: Shop) -> None:
    shop.share("S1", "S1")
    shop.card_run(None)
    shop.view.show()
    assert Board(shop.settings.status_path).records()["run-1"]["url"] is None


def test_a_card_whose_share_has_ended_is_still_spoken_of_without_a_link(shop: Shop) -> None:
    shop.share("S1", "S1")
    row = shop.catalog.session("S1")
    assert row is not None
    shop.card_run(row.url, "S1")
    shop.share("S1", "S1", days=-1)
    shop.view.show()
    run = Board(shop.settings.status_path).records()["run-1"]
    assert (run["url"], run["expires_at"], run["card"]["state"]) == (None, None, "safe")
