"""The short link of the share that is shown: tried when link or address change, and seldom where it fails."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ghostroll.base.config import Settings
from ghostroll.base.errors import DiskFailed
from ghostroll.catalog import Catalog
from ghostroll.pipeline.status_facts import FactFinder
from ghostroll.service import latest_link
from ghostroll.service.latest_link import LatestLink
from ghostroll.shortlink import registry
from ghostroll.status.model import State
from ghostroll.status.recorder import StatusRecord
from ghostroll.status.run_record import RunKind
from ghostroll.status.run_records import RunRecords
from tests.support.link_server import LinkServer, serving

LATER = datetime.now(UTC) + timedelta(days=7)


@dataclass
class Shop:
    """An appliance with a catalog, its link server, and the steady loop's record."""

    settings: Settings
    catalog: Catalog
    record: StatusRecord
    link: LatestLink

    def share(self, session_id: str, until: datetime = LATER) -> str:
        if self.catalog.session(session_id) is None:
            self.catalog.create_session(session_id, card_id="card", card_label="CARD")
        (self.settings.base_dir / session_id).mkdir(parents=True, exist_ok=True)
        url = f"https://bucket.example/sessions/{session_id}/index.html?{until.timestamp()}"
        self.catalog.set_share(session_id, url=url, expires_utc=until.isoformat(timespec="seconds"))
        registry.publish(self.settings, self.catalog)
        return url

    @property
    def status(self) -> dict[str, Any]:
        return RunRecords(self.settings.status_path, FactFinder(self.settings, self.catalog)).current()

    def look(self) -> None:
        """One turn of the steady loop, and the record's next writing."""
        if self.link.is_due(self.status):
            self.link.look(self.status)
        self.record._write()


@pytest.fixture
def link_server(store_settings: Callable[..., Settings], tmp_path: Path) -> Iterator[LinkServer]:
    directory = registry.directory_of(store_settings(tmp_path / "base"))
    directory.mkdir(parents=True)
    with serving(directory) as server:
        yield server


@pytest.fixture
def shop(store_settings: Callable[..., Settings], tmp_path: Path, link_server: LinkServer) -> Iterator[Shop]:
    settings = store_settings(tmp_path / "base", short_link_host="127.0.0.1", short_link_port=str(link_server.port))
    settings.base_dir.mkdir(parents=True, exist_ok=True)
    with Catalog(settings.db_path) as catalog:
        record = StatusRecord(
            settings.status_path, RunKind.WATCH, settings.base_dir, look_up=FactFinder(settings, catalog)
        )
        record.change(state=State.IDLE, message="Waiting.")
        yield Shop(settings, catalog, record, LatestLink(settings, catalog, record))
        record.close()


def test_the_latest_share_is_shown_with_the_short_link_that_works(shop: Shop) -> None:
    assert shop.status["url"] is None
    assert not shop.link.is_due(shop.status)
    url = shop.share("S1")
    assert (shop.status["url"], shop.status["short_url"]) == (url, None), "nobody has tried it yet"
    shop.look()
    assert shop.status["short_url"].startswith(f"http://127.0.0.1:{shop.settings.short_link_port}/")
    assert not shop.link.is_due(shop.status), "what holds is left alone"


def test_another_address_hides_the_short_link_until_the_new_one_works(shop: Shop) -> None:
    shop.share("S1")
    shop.look()
    elsewhere = replace(shop.settings, short_link_port=9)  # nobody answers there
    shop.settings = shop.link.settings = elsewhere
    assert shop.status["short_url"] is None
    assert shop.link.is_due(shop.status)
    shop.look()
    assert shop.status["short_url"] is None


def test_one_that_fails_is_not_tried_all_the_time(
    shop: Shop, link_server: LinkServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    link_server.process.terminate()
    link_server.process.wait()
    shop.share("S1")
    shop.look()
    assert shop.status["url"]
    assert not shop.link.is_due(shop.status)
    monkeypatch.setattr(latest_link, "_RETRY_SECONDS", 0.0)
    shop.link.look(shop.status)
    assert shop.link.is_due(shop.status)


def test_a_share_that_has_ended_is_not_shown_and_not_tried(shop: Shop) -> None:
    shop.share("S1", until=datetime.now(UTC) - timedelta(seconds=1))
    assert (shop.status["url"], shop.status["short_url"]) == (None, None)
    assert not shop.link.is_due(shop.status)


def test_what_fails_is_tried_again_after_a_while(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.share("S1")
    status = shop.status
    with monkeypatch.context() as patch:
        patch.setattr(registry, "of", lambda *_: (_ for _ in ()).throw(DiskFailed("Held.")))
        with pytest.raises(DiskFailed):
            shop.link.look(status)
    shop.look()
    assert shop.status["short_url"]
