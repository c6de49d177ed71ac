"""The link server: `http://<address>/<code>` leads to a share that is still valid. It answers nothing else.

`ghostroll-link DIRECTORY` is started by systemd with its socket (sd_listen_fds(3)) when a guest comes, and ends when
nobody came for a while. One thread, no library: http.server and asyncio each take as much memory again as all of this.
"""

import errno
import ipaddress
import os
import re
import selectors
import socket
import sys
import time
from dataclasses import dataclass, field

from ghostroll.shortlink.rate_limit import FULL_AGAIN_SECONDS, RateLimit
from ghostroll.shortlink.records import ALPHABET, LENGTH, read

IDLE_SECONDS = FULL_AGAIN_SECONDS
# A phone's request is under a kilobyte, with another program's cookies some more.
HEAD_BYTES_MOST = 8192
# From the connection to the end of the request's head: a slow phone takes one second.
REQUEST_SECONDS = 10.0
# A phone opens two or three.
CONNECTIONS_MOST = 64
_FIRST_PASSED_FD = 3  # sd_listen_fds(3)
_EX_USAGE = 64

_REQUEST = re.compile(rb"([A-Z]{1,20}) (/[!-~]{0,2000}) HTTP/1\.[01]\r?")
_CODE = re.compile(rf"/([{ALPHABET}{ALPHABET.upper()}]{{{LENGTH}}})")
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_HEAD_END_BYTES = 4
# accept(2): no file or no memory left for another connection.
_SHORTAGES = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
_SHORTAGE_SECONDS = 0.1


@dataclass(eq=False)
class _Guest:
    connection: socket.socket
    client: str
    deadline: float
    head: bytearray = field(default_factory=bytearray)


class Server:
    """Answers guests at sockets that listen already. One at a time: an answer is one look at a small file."""

    def __init__(self, listeners: list[socket.socket], directory: str) -> None:
        self._directory = directory
        self._rate_limit = RateLimit(time.monotonic())
        self._guests: dict[_Guest, None] = {}  # the one who came first is the first
        self._selector = selectors.DefaultSelector()
        self._last_at = time.monotonic()
        for listener in listeners:
            listener.setblocking(False)
            self._selector.register(listener, selectors.EVENT_READ)

    def until_idle(self, idle_seconds: float) -> None:
        """Serve until nobody came for so long. Who comes just then waits at the socket for the next server."""
        while self._guests or time.monotonic() - self._last_at < idle_seconds:
            for key, _ in self._selector.select(self._seconds_to_wait(idle_seconds)):
                if key.data is None:
                    self._welcome(key.fileobj)  # type: ignore[arg-type]
                elif key.data in self._guests:  # one who came after may have taken the place
                    self._listen_to(key.data)
            self._dismiss_slow()

    def _seconds_to_wait(self, idle_seconds: float) -> float:
        first = next(iter(self._guests), None)
        until = first.deadline if first else self._last_at + idle_seconds
        return max(0.0, until - time.monotonic())

    def _welcome(self, listener: socket.socket) -> None:
        """Take one connection. Where there are too many, the one that has kept us waiting longest goes."""
        self._last_at = time.monotonic()
        try:
            connection, address = listener.accept()
        except OSError as error:
            if error.errno in _SHORTAGES:
                self._make_room()
            return  # else it is gone again
        client = local_client(address[0])
        if client is None:
            connection.close()
            return
        if len(self._guests) >= CONNECTIONS_MOST:
            self._make_room()
        connection.setblocking(False)
        guest = _Guest(connection, client, self._last_at + REQUEST_SECONDS)
        self._guests[guest] = None
        self._selector.register(connection, selectors.EVENT_READ, guest)

    def _make_room(self) -> None:
        if self._guests:
            self._dismiss(next(iter(self._guests)))
        else:
            time.sleep(_SHORTAGE_SECONDS)  # it is not us who have it all

    def _listen_to(self, guest: _Guest) -> None:
        """Read on; answer once the head is whole."""
        try:
            part = guest.connection.recv(HEAD_BYTES_MOST)
            seen = max(0, len(guest.head) - _HEAD_END_BYTES)
            guest.head += part
            if _HEAD_END.search(guest.head, seen):
                guest.connection.send(self._answer(guest))  # a new connection takes it whole
            elif part and len(guest.head) <= HEAD_BYTES_MOST:
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._dismiss(guest)

    def _answer(self, guest: _Guest) -> bytes:
        if len(guest.head) > HEAD_BYTES_MOST:
            return _reply("431 Request Header Fields Too Large")
        request = _REQUEST.fullmatch(bytes(guest.head).split(b"\n", 1)[0])
        if request is None:
            return _reply("400 Bad Request")
        if request[1] not in (b"GET", b"HEAD"):
            return _reply("405 Method Not Allowed", "Allow: GET, HEAD")
        code = _CODE.fullmatch(request[2].decode("ascii"))
        if code is None:
            return _reply("404 Not Found")
        return self._lead(code[1].lower(), guest.client)

    def _lead(self, code: str, client: str) -> bytes:
        now = time.monotonic()
        if self._rate_limit.are_over(client, now):
            return _reply("429 Too Many HelperRequests", "Retry-After: 120")
        record = read(self._directory, code)
        if record is None or record.expires <= time.time():
            self._rate_limit.wrong(client, now)
            return _reply("404 Not Found")
        return _reply("302 Found", f"Location: {record.url}")

    def _dismiss_slow(self) -> None:
        now = time.monotonic()
        while (first := next(iter(self._guests), None)) and first.deadline <= now:
            self._dismiss(first)

    def _dismiss(self, guest: _Guest) -> None:
        del self._guests[guest]
        self._selector.unregister(guest.connection)
        guest.connection.close()


def _reply(status: str, *headers: str) -> bytes:
    """Return an answer: no body, nothing about us, nothing that anybody keeps or passes on."""
    lines = (
        f"HTTP/1.1 {status}",
        *headers,
        "Cache-Control: no-store",
        "Referrer-Policy: no-referrer",
        "Content-Length: 0",
        "Connection: close",
    )
    return "\r\n".join((*lines, "", "")).encode("ascii")


def local_client(address: str) -> str | None:
    """Return what counts as one client of the local network; None for who comes from farther away.

    That is an address of IPv4, and of IPv6 the network, in which a machine has as many addresses as it likes.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    ip = getattr(ip, "ipv4_mapped", None) or ip
    if not ip.is_private:
        return None
    return str(ip) if ip.version == 4 else ip.exploded[:19]  # noqa: PLR2004


def passed_sockets() -> list[socket.socket]:
    """Return the sockets that systemd passed to this process (sd_listen_fds(3))."""
    if os.environ.pop("LISTEN_PID", "") != str(os.getpid()):
        return []
    number = int(os.environ.pop("LISTEN_FDS", "0"))
    return [socket.socket(fileno=fd) for fd in range(_FIRST_PASSED_FD, _FIRST_PASSED_FD + number)]


def main() -> int:
    """Serve the short links of a directory; return the exit code."""
    listeners = passed_sockets()
    if len(sys.argv) != 2 or not listeners:  # noqa: PLR2004
        sys.stderr.write("Started by ghostroll-link.socket of systemd, with the directory of the short links.\n")
        return _EX_USAGE
    Server(listeners, sys.argv[1]).until_idle(IDLE_SECONDS)
    return 0
