"""The link server, a real process with a real socket: what it says to guests, to strangers and to whoever means ill."""

import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostroll.shortlink import server
from ghostroll.shortlink.rate_limit import ALL_MOST, CLIENT_MOST, FULL_AGAIN_SECONDS
from ghostroll.shortlink.records import ALPHABET, Record
from ghostroll.shortlink.server import CONNECTIONS_MOST, HEAD_BYTES_MOST, local_client
from tests.support.link_server import PROGRAM, LinkServer, everything, parsed, serving

LINK = "https://bucket.example/sessions/S1/index.html?X-Amz-Signature=" + "c0ffee" * 10
CODE = "k7qz3m"
EXPIRED = "expred"
LATER = 4_102_444_800  # 2100-01-01
# What an answer says, whatever it is.
HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Content-Length": "0",
    "Connection": "close",
}
SOURCES = [f"127.0.0.{number}" for number in range(2, 250)]


def put(directory: Path, code: str, url: str = LINK, expires: int = LATER) -> None:
    (directory / code).write_text(str(Record(url, expires, "S1")))


@pytest.fixture
def records(tmp_path: Path) -> Path:
    directory = tmp_path / "links"
    directory.mkdir()
    put(directory, CODE)
    put(directory, EXPIRED, expires=int(time.time()) - 1)
    return directory


@pytest.fixture
def link(records: Path) -> Iterator[LinkServer]:
    with serving(records) as running:
        yield running
        assert running.process.poll() is None, "it has ended"


@pytest.mark.parametrize("path", [f"/{CODE}", f"/{CODE.upper()}"])
def test_a_code_leads_to_its_share(link: LinkServer, path: str) -> None:
    assert link.get(path) == (302, {"Location": LINK, **HEADERS})


def test_a_code_leads_there_for_head_and_old_http_too(link: LinkServer) -> None:
    for request in (f"HEAD /{CODE} HTTP/1.1\r\nHost: x\r\n\r\n", f"GET /{CODE} HTTP/1.0\n\n"):
        assert parsed(link.says(request.encode())) == (302, {"Location": LINK, **HEADERS})


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/zzzzzz",
        f"/{EXPIRED}",
        f"/{CODE}/",
        f"/{CODE}?a=b",
        f"//{CODE}",
        f"/../{CODE}",
        f"/{CODE}%00",
        f"/{CODE[:5]}",
        f"/{CODE}x",
        "/favicon.ico",
        "/robots.txt",
        "/.well-known/x",
        "/index.html",
        "/%2e%2e%2fetc%2fpasswd",
        "/" + "a" * 1500,
    ],
)
def test_everything_else_is_404_and_says_nothing(link: LinkServer, path: str) -> None:
    assert link.get(path) == (404, HEADERS)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PROPFIND", "CONNECT", "TRACE", "PATCH"])
def test_other_methods_are_405_for_a_code_and_for_none(link: LinkServer, method: str) -> None:
    for path in (CODE, "zzzzzz"):
        answer = link.says(f"{method} /{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert parsed(answer) == (405, {"Allow": "GET, HEAD", **HEADERS})


def test_a_share_that_ends_or_is_taken_back_is_404_at_once_and_a_new_link_is_followed(
    records: Path, link: LinkServer
) -> None:
    assert link.get(f"/{CODE}")[0] == 302
    put(records, CODE, LINK + "2")
    assert link.get(f"/{CODE}")[1]["Location"] == LINK + "2"
    put(records, CODE, expires=int(time.time()))
    assert link.get(f"/{CODE}") == (404, HEADERS)
    put(records, CODE)
    assert link.get(f"/{CODE}")[0] == 302
    (records / CODE).unlink()
    assert link.get(f"/{CODE}") == (404, HEADERS)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "no record",
        f"{LATER}\nhttps://x.example/\r\nSet-Cookie: a=b\nS1\n",
        f"{LATER}\nhttps://x.example/\n\nS1\n",
        f"{LATER}\njavascript:alert(1)\nS1\n",
        f"{LATER}\nhttps://x.example/ö\nS1\n",
        f"{LATER}\nhttps://x.example/{'x' * 9000}\nS1\n",
        f"-{LATER}\n{LINK}\nS1\n",
        f"{'9' * 5000}\n{LINK}\nS1\n",
    ],
)
def test_a_record_that_makes_no_sense_leads_nowhere(records: Path, link: LinkServer, content: str) -> None:
    (records / "aaaaaa").write_bytes(content.encode())
    assert link.get("/aaaaaa") == (404, HEADERS)


def test_a_record_that_is_a_link_a_pipe_or_a_directory_leads_nowhere(records: Path, link: LinkServer) -> None:
    (records / "aaaaaa").symlink_to(records / CODE)
    os.mkfifo(records / "bbbbbb")
    (records / "cccccc").mkdir()
    for code in ("aaaaaa", "bbbbbb", "cccccc"):
        assert link.get(f"/{code}") == (404, HEADERS)


def test_one_who_guesses_is_refused_and_the_right_code_too_while_others_are_served(link: LinkServer) -> None:
    guesser, guest = SOURCES[:2]
    chance = random.Random(7)
    for _ in range(CLIENT_MOST):
        assert link.get("/" + "".join(chance.choices(ALPHABET, k=6)), guesser)[0] == 404
    for path in ("/zzzzzz", f"/{CODE}"):
        status, headers = link.get(path, guesser)
        assert (status, headers.pop("Retry-After"), headers) == (429, "120", HEADERS)
    assert link.get(f"/{CODE}", guest)[0] == 302


def test_guessers_with_many_addresses_share_one_allowance(link: LinkServer) -> None:
    statuses = [link.get("/zzzzzz", source)[0] for source in SOURCES]
    assert statuses.count(404) == ALL_MOST
    assert link.get(f"/{CODE}", SOURCES[-1])[0] == 429


def test_right_codes_use_up_nothing(link: LinkServer) -> None:
    assert {link.get(f"/{CODE}")[0] for _ in range(3 * ALL_MOST)} == {302}
    assert {link.get("/favicon.ico")[0] for _ in range(3 * ALL_MOST)} == {404}
    assert link.get(f"/{CODE}")[0] == 302


# Whoever means ill


def test_connections_that_say_nothing_take_no_place_from_guests(link: LinkServer) -> None:
    silent = [link.connect() for _ in range(4 * CONNECTIONS_MOST)]
    assert link.get(f"/{CODE}")[0] == 302
    assert [everything(guest) for guest in silent[:CONNECTIONS_MOST]] == [b""] * CONNECTIONS_MOST  # their places went
    for guest in silent:
        guest.close()
    assert link.get(f"/{CODE}")[0] == 302


def test_a_head_that_drips_in_is_waited_for_and_no_longer_than_the_deadline(link: LinkServer) -> None:
    request = f"GET /{CODE} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    with link.connect() as slow, link.connect() as slower:
        slower.sendall(request[:-1])
        for number in range(len(request)):
            slow.sendall(request[number : number + 1])
        assert parsed(everything(slow))[0] == 302
        assert everything(slower) == b""  # closed by the server: nothing else ends this


def test_a_head_that_never_ends_is_cut_off(link: LinkServer) -> None:
    told = link.says(f"GET /{CODE} HTTP/1.1\r\nX: ".encode() + b"a" * (100 * HEAD_BYTES_MOST))
    assert told == b""
    whole = f"GET /{CODE} HTTP/1.1\r\nX: ".encode() + b"a" * HEAD_BYTES_MOST + b"\r\n\r\n"
    told = link.says(whole)  # nothing, where the end of the connection was quicker
    assert not told or parsed(told)[0] == 431
    fits = f"GET /{CODE} HTTP/1.1\r\nX: ".encode()
    assert parsed(link.says(fits + b"a" * (HEAD_BYTES_MOST - len(fits) - 4) + b"\r\n\r\n"))[0] == 302


@pytest.mark.parametrize("size", [0, 1, 100])
def test_a_guest_who_leaves_at_any_moment_takes_nobody_along(link: LinkServer, size: int) -> None:
    for reset in (False, True):
        guest = link.connect()
        guest.sendall(f"GET /{CODE} HTTP/1.1\r\nHost: x\r\n\r\n".encode()[:size])
        if reset:  # SO_LINGER with no time: RST in place of FIN (socket(7))
            guest.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        guest.close()
    assert link.get(f"/{CODE}")[0] == 302


@pytest.fixture(scope="module")
def tough(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LinkServer]:
    directory = tmp_path_factory.mktemp("links")
    put(directory, CODE)
    with serving(directory) as running:
        yield running


_lines = st.lists(st.binary(max_size=40) | st.sampled_from([b"GET /k7qz3m HTTP/1.1", b"Host: x", b""]), max_size=6)


@given(head=st.binary(max_size=300) | _lines.map(b"\r\n".join))
def test_whatever_is_sent_it_goes_on_and_gives_a_link_to_nobody_but_who_asks_for_it(
    tough: LinkServer, head: bytes
) -> None:
    with tough.connect(SOURCES[0]) as guest:
        guest.sendall(head + b"\r\n\r\n")
        guest.shutdown(socket.SHUT_WR)
        told = everything(guest)
    if told:
        status, headers = parsed(told)
        first = (head + b"\r\n\r\n").split(b"\n", 1)[0].removesuffix(b"\r")
        assert ("Location" in headers) == (status == 302)
        assert status != 302 or first in (b"GET /k7qz3m HTTP/1.1", b"GET /K7QZ3M HTTP/1.1")
    assert tough.process.poll() is None


def test_after_all_that_it_still_serves_and_holds_on_to_nothing(tough: LinkServer) -> None:
    process = psutil.Process(tough.process.pid)
    assert tough.get(f"/{CODE}", SOURCES[1])[0] == 302
    assert process.num_fds() < 12
    assert process.memory_info().rss < 40 << 20


# How it starts and ends


def test_it_ends_when_nobody_came_for_a_while_and_what_comes_then_waits(records: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server.Server([listener], str(records)).until_idle(0.0)
        with socket.create_connection(listener.getsockname()) as guest:
            guest.sendall(f"GET /{CODE} HTTP/1.1\r\n\r\n".encode())
            server.Server([listener], str(records)).until_idle(0.2)
            assert parsed(everything(guest))[0] == 302


def test_its_end_gives_no_guesser_anything() -> None:
    assert server.IDLE_SECONDS >= FULL_AGAIN_SECONDS


@pytest.mark.skipif(shutil.which("systemd-socket-activate") is None, reason="systemd-socket-activate(1) is missing")
def test_systemd_s_own_tool_starts_it_with_the_first_guest(records: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = ["systemd-socket-activate", "-l", f"127.0.0.1:{port}", str(PROGRAM), str(records)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as activator:
        try:
            assert activator.stderr is not None
            activator.stderr.readline()  # "Listening on …"
            assert LinkServer(activator, "127.0.0.1", port).get(f"/{CODE}")[0] == 302
        finally:
            activator.terminate()


@pytest.mark.parametrize("environment", [{}, {"LISTEN_FDS": "1", "LISTEN_PID": "1"}])
def test_without_a_socket_it_says_who_starts_it(records: Path, environment: dict[str, str]) -> None:
    ended = subprocess.run([PROGRAM, records], env=environment, capture_output=True, text=True, check=False)
    assert (ended.returncode, "ghostroll-link.socket" in ended.stderr) == (64, True)


def test_it_says_nothing_of_codes_links_and_guests(records: Path) -> None:
    with serving(records) as running:
        for path in (f"/{CODE}", "/zzzzzz", "/"):
            running.get(path)
        running.process.terminate()
        told, _ = running.process.communicate(timeout=60)
    assert told == b""


def test_it_starts_light() -> None:
    """A Pi with 512 MB starts it for a guest: none of the libraries that the pipeline has."""
    code = "import sys; before = set(sys.modules); import ghostroll.shortlink.server; print(*set(sys.modules) - before)"
    listed = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    ours = {name for name in listed if name.startswith("ghostroll")}
    assert ours == {"ghostroll", "ghostroll.shortlink"} | {
        f"ghostroll.shortlink.{name}" for name in ("server", "rate_limit", "records")
    }
    assert not {"ssl", "asyncio", "http", "email", "logging", "ctypes", "json", "pathlib", "threading"} & set(listed)


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.168.1.20", "192.168.1.20"),
        ("10.1.2.3", "10.1.2.3"),
        ("169.254.3.4", "169.254.3.4"),
        ("127.0.0.1", "127.0.0.1"),
        ("::ffff:192.168.1.20", "192.168.1.20"),
        ("fe80::1:2:3:4%eth0", "fe80:0000:0000:0000"),
        ("fd12:3456:789a:1:aaaa::1", "fd12:3456:789a:0001"),
        ("8.8.8.8", None),
        ("::ffff:8.8.8.8", None),
        ("2001:4860:4860::8888", None),
        ("100.64.0.1", None),
    ],
)
def test_only_clients_of_the_local_network_count(address: str, client: str | None) -> None:
    assert local_client(address) == client
