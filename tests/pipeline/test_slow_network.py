"""A venue's network: slow is not the same as dead."""

import hashlib
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from ghostroll.base import config
from ghostroll.base.config import Settings
from ghostroll.base.errors import StoreUnreachable
from ghostroll.card.volume import find_volume
from ghostroll.pipeline import pipeline
from ghostroll.pipeline.invocation import capture_errors, open_invocation
from ghostroll.store import client
from ghostroll.store.s3 import Store
from tests.support.appliance import get
from tests.support.road import Road, Stall, always, road_to

if TYPE_CHECKING:
    from tests.support.served import Served

BYTES_A_SECOND = 4_000_000


def port_of(served: "Served") -> int:
    return int(served.endpoint.local_url.rpartition(":")[2])


def save_grain(path: Path, seed: int) -> None:
    """Write a picture of nothing but grain, whose share image is some megabytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    grain = Image.frombytes("RGB", (1500, 1000), random.Random(seed).randbytes(1500 * 1000 * 3))
    grain.save(path, "JPEG", quality=90)


def test_a_zip_that_takes_longer_than_patience_is_sent_all_the_same(
    served: "Served", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Backoff is for a network that lets nothing through; here every part of the zip does get through."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", served.endpoint.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", served.endpoint.secret_key)
    card = tmp_path / "card"
    for seed in range(14):
        save_grain(card / f"DCIM/100/IMG_{seed:04}.JPG", seed)
    with road_to(port_of(served)) as road:
        road.up.bytes_a_second = road.down.bytes_a_second = BYTES_A_SECOND
        flags = {
            "base_dir": str(tmp_path / "base"),
            "db_path": str(tmp_path / "g.db"),
            "s3_bucket": served.endpoint.bucket,
            "s3_endpoint_url": road.url,
            "s3_region": served.endpoint.region,
            "s3_prefix_root": f"{tmp_path.name}/",
        }
        with open_invocation(config.load(flags, {}).settings) as invocation, invocation.run() as run:
            patient = replace(run, give_up_seconds=1.0)
            summary = capture_errors(patient, lambda: pipeline.run_pipeline(patient, find_volume(card)))
        zipped = (tmp_path / "base" / str(summary.session_id) / "share.zip").stat().st_size
        assert zipped / BYTES_A_SECOND > 3 * patient.give_up_seconds, "else this test says nothing"
        assert patient.problems == []
        assert summary.url is not None
        assert get(summary.url).status == 200


@pytest.fixture
def settings_for(served: "Served", tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Road], Settings]:
    """Return a function that gives settings whose only way to the store is a road."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", served.endpoint.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", served.endpoint.secret_key)

    def make(road: Road) -> Settings:
        flags = {
            "base_dir": str(tmp_path),
            "s3_bucket": served.endpoint.bucket,
            "s3_endpoint_url": road.url,
            "s3_region": served.endpoint.region,
        }
        return config.load(flags, {}).settings

    return make


def send(store: Store, key: str, size_bytes: int, signs: list[str]) -> None:
    """Send noise; `signs` gets the key whenever it is told that some of it got through."""
    body = random.Random(key).randbytes(size_bytes)
    store.put(
        key,
        body,
        sha256=hashlib.sha256(body).hexdigest(),
        size_bytes=size_bytes,
        content_type="image/jpeg",
        cache_control="private",
        part_sent=lambda: signs.append(key),
    )


def test_eight_at_once_get_through_where_a_block_takes_seconds(
    served: "Served", settings_for: Callable[[Road], Settings], tmp_path: Path
) -> None:
    """0.4 Mbit/s for all: one block of 128 KiB, as botocore sends them, would take 20 s and be given up."""
    with road_to(port_of(served)) as road:
        road.up.bytes_a_second = 50_000
        store = Store.open(settings_for(road))
        signs: list[str] = []
        keys = [f"{tmp_path.name}/{number}" for number in range(8)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda key: send(store, key, 160_000, signs), keys))
        store.close()
    assert len(road.requests) == 8, "none of them had to be sent again"
    assert set(signs) == set(keys), "progress is seen within an object"


def test_what_a_silent_network_swallows_is_no_progress(
    served: "Served",
    settings_for: Callable[[Road], Settings],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "_CONNECT_TIMEOUT_SECONDS", 3)
    monkeypatch.setattr(client, "_READ_TIMEOUT_SECONDS", 3)
    signs: list[str] = []
    with road_to(port_of(served)) as road:
        road.rule = always(Stall(40_000))
        store = Store.open(settings_for(road))
        with pytest.raises(StoreUnreachable):
            send(store, f"{tmp_path.name}/a", 4_000_000, signs)
        store.close()
    assert len(road.requests) == 2
    assert signs == []
