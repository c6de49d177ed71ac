"""Whether the store answers, asked without credentials: a real store does, a login page and a dead line don't."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from ghostroll.embedded.seaweedfs import free_ports
from ghostroll.store import probe

if TYPE_CHECKING:
    from tests.support.served import Served, SettingsMaker


@contextmanager
def login_page() -> Iterator[str]:
    class Page(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def answers(make: "SettingsMaker", base: Path, address: str) -> bool:
    return probe.answers(make(base, s3_bucket="ours", s3_endpoint_url=address))


def test_a_store_answers(served: "Served", store_settings: "SettingsMaker", tmp_path: Path) -> None:
    assert answers(store_settings, tmp_path, served.endpoint.local_url)


def test_a_login_page_is_no_store(store_settings: "SettingsMaker", tmp_path: Path) -> None:
    with login_page() as address:
        assert not answers(store_settings, tmp_path, address)


def test_nobody_there_is_no_store(store_settings: "SettingsMaker", tmp_path: Path) -> None:
    assert not answers(store_settings, tmp_path, f"http://127.0.0.1:{free_ports(1)[0]}")
    assert not answers(store_settings, tmp_path, "https://nowhere.invalid")


def test_nobody_who_speaks_is_no_store(store_settings: "SettingsMaker", tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert not answers(store_settings, tmp_path, f"http://127.0.0.1:{silent.getsockname()[1]}")
