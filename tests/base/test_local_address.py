"""Our address on the network, and the door between it and loopback."""

import hashlib
import http.client
import http.server
import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from ghostroll.base import local_address
from ghostroll.base.errors import ConfigurationError
from ghostroll.embedded import tcp_forward

BODY = os.urandom(3_000_000)


class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("X-Host", self.headers["Host"])
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def do_PUT(self) -> None:
        digest = hashlib.sha256(self.rfile.read(int(self.headers["Content-Length"]))).hexdigest().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(digest)))
        self.end_headers()
        self.wfile.write(digest)

    def log_message(self, *_: object) -> None: ...


class Server(http.server.ThreadingHTTPServer):
    # A connection that the other side drops is not this test's business.
    def handle_error(self, *_: object) -> None: ...


@pytest.fixture
def inner() -> Iterator[int]:
    with Server(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture
def port() -> int:
    with socket.create_server(("", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture
def door(inner: int, port: int) -> Iterator[tcp_forward.TcpForwarder]:
    opened = tcp_forward.TcpForwarder(port, inner)
    yield opened
    opened.close()


def asked(port: int, method: str, body: bytes | None = None) -> tuple[bytes, str | None]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, "/x", body=body)
        answer = connection.getresponse()
        return answer.read(), answer.headers["X-Host"]
    finally:
        connection.close()


@pytest.mark.usefixtures("door")
def test_bytes_pass_the_door_unchanged_in_both_directions(port: int) -> None:
    assert asked(port, "GET") == (BODY, f"127.0.0.1:{port}")
    assert asked(port, "PUT", BODY)[0].decode() == hashlib.sha256(BODY).hexdigest()


@pytest.mark.usefixtures("door")
def test_many_guests_pass_at_once(port: int) -> None:
    with ThreadPoolExecutor(30) as guests:
        assert all(guests.map(lambda _: asked(port, "GET")[0] == BODY, range(60)))


@pytest.mark.usefixtures("door")
def test_a_guest_who_leaves_takes_nobody_along(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as guest:
        guest.sendall(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        guest.recv(100)
    assert asked(port, "GET")[0] == BODY


@pytest.mark.usefixtures("door")
def test_more_guests_than_fit_are_turned_away_and_later_welcome(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp_forward, "_CONNECTIONS_MOST", 1)
    with socket.create_connection(("127.0.0.1", port)) as first:
        first.sendall(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        assert first.recv(15).startswith(b"HTTP/1.1 200")
        with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
            asked(port, "GET")
    for _ in range(100):
        try:
            assert asked(port, "GET")[0] == BODY
        except (ConnectionError, http.client.RemoteDisconnected):
            continue
        return
    pytest.fail("the door stayed shut")


def test_a_closed_door_is_closed_for_those_inside_too(inner: int, port: int) -> None:
    door = tcp_forward.TcpForwarder(port, inner)
    with socket.create_connection(("127.0.0.1", port)) as guest:
        guest.sendall(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        guest.recv(100)
        door.close()
        assert ends(guest)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def ends(guest: socket.socket) -> bool:
    try:
        while guest.recv(1 << 20):
            pass
    except ConnectionError:
        pass
    return True


def test_nobody_behind_the_door_ends_the_connection(port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        nobody = int(gone.getsockname()[1])
    door = tcp_forward.TcpForwarder(port, nobody)
    with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
        asked(port, "GET")
    door.close()


def test_a_taken_port_is_an_error_at_once(inner: int) -> None:
    with socket.create_server(("", 0)) as taken, pytest.raises(OSError, match="in use"):
        tcp_forward.TcpForwarder(taken.getsockname()[1], inner)


@pytest.mark.parametrize(
    ("host", "advertised"),
    [
        ("192.168.4.1", "192.168.4.1"),
        ("ghostroll.local", "ghostroll.local"),
        ("fd00::17", "[fd00::17]"),
        ("127.0.0.1", "127.0.0.1"),
    ],
)
def test_a_configured_host_is_advertised_as_a_link_needs_it(host: str, advertised: str) -> None:
    assert local_address.advertised_host(host) == advertised


@pytest.mark.parametrize("host", ["http://pi", "pi:80", "a b", "pi/x", "-pi", "pi?", "ö"])
def test_what_cannot_be_a_host_names_the_setting(host: str) -> None:
    with pytest.raises(ConfigurationError, match="store_host"):
        local_address.advertised_host(host)


def test_auto_is_an_address_of_this_machine() -> None:
    with socket.create_server((local_address.advertised_host("auto"), 0)):
        pass


def test_without_a_route_an_interface_gives_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_address, "_route_address", lambda: None)
    with socket.create_server((local_address.advertised_host("auto"), 0)):
        pass


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_is_known(host: str) -> None:
    assert local_address.is_loopback(host)


@pytest.mark.parametrize("host", ["auto", "192.168.4.1", "0.0.0.0", "pi.local"])
def test_what_others_can_reach_is_not_loopback(host: str) -> None:
    assert not local_address.is_loopback(host)
