"""A venue's network: slow is not the same as dead."""

import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from helpers import get
from PIL import Image

from ghostroll import config, pipeline
from ghostroll.card import find_volume
from ghostroll.invocation import begun, told

if TYPE_CHECKING:
    from conftest import Served

BYTES_A_SECOND = 4_000_000
CHUNK = 64 * 1024


@contextmanager
def slow_road(port: int) -> Iterator[int]:
    """Give a loopback port that leads to `port`, at `BYTES_A_SECOND` each way and connection."""
    door = socket.create_server(("127.0.0.1", 0))
    open_ends: list[socket.socket] = [door]

    def carry(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(CHUNK):
                target.sendall(data)
                time.sleep(len(data) / BYTES_A_SECOND)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def welcome() -> None:
        while True:
            try:
                guest, _ = door.accept()
            except OSError:
                return
            host = socket.create_connection(("127.0.0.1", port))
            open_ends.extend((guest, host))
            for ends in ((guest, host), (host, guest)):
                threading.Thread(target=carry, args=ends, daemon=True).start()

    threading.Thread(target=welcome, daemon=True).start()
    try:
        yield int(door.getsockname()[1])
    finally:
        for end in open_ends:
            end.close()


def save_grain(path: Path, seed: int) -> None:
    """Write a picture of nothing but grain, whose share image is some megabytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    grain = Image.frombytes("RGB", (1500, 1000), random.Random(seed).randbytes(1500 * 1000 * 3))
    grain.save(path, "JPEG", quality=90)


def test_a_zip_that_takes_longer_than_patience_is_sent_all_the_same(
    served: "Served", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Patience is for a network that lets nothing through; here every part of the zip does get through."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", served.endpoint.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", served.endpoint.secret_key)
    card = tmp_path / "card"
    for seed in range(14):
        save_grain(card / f"DCIM/100/IMG_{seed:04}.JPG", seed)
    with slow_road(int(served.endpoint.local_url.rpartition(":")[2])) as port:
        flags = {
            "base_dir": str(tmp_path / "base"),
            "db_path": str(tmp_path / "g.db"),
            "s3_bucket": served.endpoint.bucket,
            "s3_endpoint_url": f"http://127.0.0.1:{port}",
            "s3_region": served.endpoint.region,
            "s3_prefix_root": f"{tmp_path.name}/",
        }
        with begun(config.load(flags, {}).settings) as invocation, invocation.run() as run:
            patient = replace(run, give_up_seconds=1.0)
            summary = told(patient, lambda: pipeline.run_pipeline(patient, find_volume(card)))
        zipped = (tmp_path / "base" / str(summary.session_id) / "share.zip").stat().st_size
        assert zipped / BYTES_A_SECOND > 3 * patient.give_up_seconds, "else this test says nothing"
        assert patient.problems == []
        assert summary.url is not None
        assert get(summary.url).status == 200
