"""Short links as they are offered: a code for each share, shown only where it leads there."""

import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ghostroll.base import local_address
from ghostroll.base.config import Settings
from ghostroll.base.session_paths import Session
from ghostroll.catalog import Catalog
from ghostroll.catalog.models import SessionRow, SessionState
from ghostroll.shortlink import records, registry
from tests.support.link_server import LinkServer, serving

SettingsMaker = Callable[..., Settings]
LINK = "https://bucket.example/sessions/S1/index.html?X-Amz-Signature=abc"
LATER = datetime.now(UTC) + timedelta(days=7)


@pytest.fixture
def settings(store_settings: SettingsMaker, tmp_path: Path) -> Settings:
    """The settings of an appliance whose link server nobody has started yet."""
    made = store_settings(tmp_path / "base", short_link_host="127.0.0.1")
    registry.directory_of(made).mkdir(parents=True)
    return made


@pytest.fixture
def catalog(settings: Settings) -> Iterator[Catalog]:
    with Catalog(settings.db_path) as opened:
        yield opened


@pytest.fixture
def link(settings: Settings) -> Iterator[LinkServer]:
    with serving(registry.directory_of(settings)) as running:
        yield running


def at(settings: Settings, link: LinkServer) -> Settings:
    return replace(settings, short_link_port=link.port)


def share(
    settings: Settings, catalog: Catalog, session_id: str = "S1", url: str = LINK, until: datetime = LATER
) -> SessionRow:
    """Record a share, and make its session's directory."""
    Session(session_id, settings.base_dir, "sessions/").directory.mkdir(parents=True, exist_ok=True)
    catalog.create_session(session_id, card_id="card", card_label="CARD")
    catalog.set_share(session_id, url=url, expires_utc=until.isoformat(timespec="seconds"))
    row = catalog.session(session_id)
    assert row is not None
    return row


def files(settings: Settings) -> set[str]:
    return {file.name for file in registry.directory_of(settings).iterdir()}


def test_an_offered_link_leads_to_the_share_through_the_real_server(
    settings: Settings, catalog: Catalog, link: LinkServer
) -> None:
    url = registry.of(at(settings, link), catalog, share(settings, catalog)).url
    assert url is not None
    base, _, code = url.rpartition("/")
    assert base == f"http://127.0.0.1:{link.port}"
    assert records.CODE.fullmatch(code)
    assert link.get(f"/{code}")[1]["Location"] == LINK


def test_a_session_keeps_its_code_when_it_is_signed_anew_and_after_a_restart(
    settings: Settings, catalog: Catalog, link: LinkServer
) -> None:
    before = registry.of(at(settings, link), catalog, share(settings, catalog)).url
    share(settings, catalog, until=datetime.now(UTC) - timedelta(seconds=1))
    assert registry.publish(settings, catalog) == {}
    with Catalog(settings.db_path) as again:
        after = registry.of(at(settings, link), again, share(settings, again, url=LINK + "2")).url
    assert before == after is not None
    assert link.get("/" + after.rpartition("/")[2])[1]["Location"] == LINK + "2"


@pytest.mark.parametrize("end", ["expired", "directory deleted", "given up"])
def test_a_share_that_is_over_has_no_record_any_more(settings: Settings, catalog: Catalog, end: str) -> None:
    share(settings, catalog, "S1")
    share(settings, catalog, "S2")
    kept = registry.publish(settings, catalog)
    assert files(settings) == set(kept.values())
    if end == "expired":
        share(settings, catalog, "S1", until=datetime.now(UTC) - timedelta(seconds=1))
    elif end == "directory deleted":
        Session("S1", settings.base_dir, "sessions/").directory.rmdir()
    else:
        catalog.set_state("S1", SessionState.ABANDONED)
    assert registry.publish(settings, catalog) == {"S2": kept["S2"]}
    assert files(settings) == {kept["S2"]}


def test_records_are_for_nobody_else_and_the_key_lies_elsewhere(settings: Settings, catalog: Catalog) -> None:
    share(settings, catalog)
    registry.publish(settings, catalog)
    (record,) = registry.directory_of(settings).iterdir()
    assert record.stat().st_mode & 0o777 == 0o600
    key = settings.db_path.parent / "links.key"
    assert key.stat().st_mode & 0o777 == 0o600


def test_another_machine_has_other_codes(settings: Settings, catalog: Catalog) -> None:
    share(settings, catalog)
    here = registry.publish(settings, catalog)
    (settings.db_path.parent / "links.key").unlink()
    there = registry.publish(settings, catalog)
    assert here.keys() == there.keys()
    assert set(here.values()).isdisjoint(there.values())
    assert files(settings) == set(there.values())


def test_no_two_shares_have_one_code_and_each_keeps_its_own(
    settings: Settings, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With codes of one character nearly every session meets another's."""
    monkeypatch.setattr(registry, "LENGTH", 1)
    monkeypatch.setattr(registry, "CODE", re.compile(f"[{records.ALPHABET}]"))
    for number in range(20):
        share(settings, catalog, f"S{number}")
    codes = registry.publish(settings, catalog)
    assert len(codes) > 10
    assert len(set(codes.values())) == len(codes)
    gone = next(iter(codes))
    share(settings, catalog, gone, until=datetime.now(UTC) - timedelta(seconds=1))
    after = registry.publish(settings, catalog)
    assert {session_id: after[session_id] for session_id in codes if session_id != gone} == {
        session_id: code for session_id, code in codes.items() if session_id != gone
    }


def test_many_who_publish_at_once_agree(settings: Settings, catalog: Catalog) -> None:
    for number in range(5):
        share(settings, catalog, f"S{number}")
    found: list[dict[str, str]] = []
    threads = [
        threading.Thread(target=lambda: found.append(registry.publish(settings, catalog)), name=str(number))
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert all(codes == found[0] for codes in found)
    assert files(settings) == set(found[0].values())


# Where there is none


def test_nothing_is_offered_where_it_is_off_or_not_installed(settings: Settings, catalog: Catalog) -> None:
    row = share(settings, catalog)
    off = replace(settings, short_links=False)
    assert registry.of(off, catalog, row) == registry.Offer(reason=registry.SWITCHED_OFF)
    assert files(settings) == set()
    registry.directory_of(settings).rmdir()
    assert registry.of(settings, catalog, row) == registry.Offer(reason=registry.NOT_SERVED)
    assert not registry.directory_of(settings).exists()
    assert registry.of(settings, catalog, None).url is None


def test_nothing_is_offered_without_a_network(
    settings: Settings, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_address, "_route_address", lambda: None)
    monkeypatch.setattr(local_address, "_interface_address", lambda: None)
    offered = registry.of(replace(settings, short_link_host="auto"), catalog, share(settings, catalog))
    assert offered == registry.Offer(reason=registry.NO_NETWORK)


def test_nothing_is_offered_where_nobody_serves_or_somebody_else(
    settings: Settings, catalog: Catalog, tmp_path: Path
) -> None:
    row = share(settings, catalog)
    (tmp_path / "elsewhere").mkdir()
    with serving(tmp_path / "elsewhere") as another:
        there = at(settings, another)
        assert "does not lead there" in registry.of(there, catalog, row).reason
    nobody = registry.of(there, catalog, row)
    assert (nobody.url, "nobody answers" in nobody.reason) == (None, True)


def test_the_address_is_the_local_networks_and_names_a_port_only_where_it_must(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_address, "_route_address", lambda: "192.168.1.20")
    auto = replace(settings, short_link_host="auto")
    assert registry.address(auto) == "http://192.168.1.20"
    assert registry.address(replace(auto, short_link_port=8080)) == "http://192.168.1.20:8080"
    assert registry.address(replace(auto, short_link_host="pi.local")) == "http://pi.local"
