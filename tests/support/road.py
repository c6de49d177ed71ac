"""The road to the store, as bad as it gets: a TCP proxy on loopback that delays, throttles, cuts, stalls and lies.

It reads requests far enough to tell one from the other; whatever it lets through, it lets through unchanged. Its
buffers are small and its segments as long as Ethernet's, so that a client feels what is behind it.
"""

import contextlib
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

CHUNK_BYTES = 8192
BUFFER_BYTES = 16 * 1024
SEGMENT_BYTES = 1460  # of TCP over Ethernet: loopback's own of 64 KiB make the kernel's buffers as much larger
HEAD_BYTES = 64 * 1024
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time at all (socket(7))

XML = "application/xml"
HTML = "text/html; charset=utf-8"
LOGIN_PAGE = b"<!DOCTYPE html><html><head><title>Hotel WLAN</title></head><body><br>Please sign in</body></html>"


@dataclass(frozen=True)
class Request:
    """What the client asks. `number` counts all requests that came this way, from 1."""

    method: str
    path: str
    size_bytes: int
    number: int


@dataclass(frozen=True)
class Through:
    """Lets a request through."""


@dataclass(frozen=True)
class Cut:
    """Breaks the connection off after so many bytes of the request's body, or of the answer; `reset` is a RST."""

    after_bytes: int
    reset: bool = False
    in_answer: bool = False


@dataclass(frozen=True)
class Stall:
    """Takes so many bytes of the body, then nothing any more, in neither direction, without a word.

    The store is told at once: SeaweedFS lets nobody else write an object that is being written.
    """

    after_bytes: int = 0


@dataclass(frozen=True)
class Answer:
    """Answers in the store's place."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


Fault = Through | Cut | Stall | Answer
Rule = Callable[[Request], Fault]
THROUGH = Through()


def s3_error(status: int, code: str, message: str = "", **headers: str) -> Answer:
    """Return an error as S3 tells it (Amazon S3 API reference, "Error responses")."""
    text = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Answer(status, text.encode(), {"Content-Type": XML, "x-amz-request-id": "0123456789ABCDEF", **headers})


def always(fault: Fault) -> Rule:
    return lambda _: fault


def now_and_then(faults: list[Fault], share: float, seed: int) -> Rule:
    """Return a rule by which this share of all requests meets one of the faults, the same ones for the same seed."""

    def rule(request: Request) -> Fault:
        chance = random.Random(f"{seed} {request.number}")
        return chance.choice(faults) if chance.random() < share else THROUGH

    return rule


class Lane:
    """One direction of the road: all that goes through shares its rate."""

    def __init__(self) -> None:
        self.bytes_a_second: float | None = None
        self.delay_seconds = 0.0
        self._free_at = 0.0
        self._lock = threading.Lock()

    def carry(self, count: int) -> None:
        """Take the time that so many bytes need."""
        if self.bytes_a_second is None:
            return
        with self._lock:
            self._free_at = max(self._free_at, time.monotonic()) + count / self.bytes_a_second
            wait = self._free_at - time.monotonic()
        time.sleep(max(0.0, wait))


class OverError(Exception):
    """This connection has come to its end."""


class Road:
    """The proxy. `rule` and both lanes may be changed at any time; what is under way keeps what it met."""

    def __init__(self, store_port: int) -> None:
        self.store_port = store_port
        self.rule: Rule = always(THROUGH)
        self.up, self.down = Lane(), Lane()
        self.requests: list[Request] = []
        self._ends: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._door = self._build_door(0)
        self.port: int = self._door.getsockname()[1]
        self._welcome()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def mend(self) -> None:
        """Let everything through from now on, at full speed; what is stuck stays stuck, as it does elsewhere."""
        self.rule = always(THROUGH)
        self.up.bytes_a_second = self.down.bytes_a_second = None
        self.up.delay_seconds = self.down.delay_seconds = 0.0

    def shut(self) -> None:
        """Refuse connections, and reset those that are there."""
        with contextlib.suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)  # closing alone wakes nobody who waits for it
        self._door.close()
        self._drop_all()

    def reopen(self) -> None:
        """Listen again at the same port."""
        self._door = self._build_door(self.port)
        self._welcome()

    def close(self) -> None:
        self._closed.set()
        self.shut()

    def _build_door(self, port: int) -> socket.socket:
        door = socket.socket()
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        door.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
        door.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT_BYTES)
        door.bind(("127.0.0.1", port))
        door.listen(128)
        return door

    def _welcome(self) -> None:
        threading.Thread(target=self._accept, args=(self._door,), daemon=True).start()

    def _accept(self, door: socket.socket) -> None:
        while True:
            try:
                guest, _ = door.accept()
            except OSError:
                return
            with self._lock:
                self._ends.add(guest)
            threading.Thread(target=self._serve, args=(guest,), daemon=True).start()

    def _drop_all(self) -> None:
        with self._lock:
            ends, self._ends = self._ends, set()
        for end in ends:
            _drop(end, reset=True)

    def _serve(self, guest: socket.socket) -> None:
        """Take the requests of one connection, one after the other."""
        trip = Trip(self, guest)
        try:
            while True:
                trip.carry_one()
        except (OSError, OverError):
            pass
        finally:
            for end in trip.ends:
                self.forget(end)
                _drop(end)

    def forget(self, end: socket.socket) -> None:
        with self._lock:
            self._ends.discard(end)

    def reach(self) -> socket.socket:
        """Connect to the store."""
        host = socket.create_connection(("127.0.0.1", self.store_port))
        with self._lock:
            self._ends.add(host)
        return host

    def note(self, head: bytes) -> Request:
        method, path = head.split(b" ", 2)[:2]
        fields = dict(line.split(b":", 1) for line in head.lower().split(b"\r\n")[1:] if b":" in line)
        with self._lock:
            size_bytes = int(fields.get(b"content-length", 0))
            request = Request(method.decode(), path.decode(), size_bytes, len(self.requests) + 1)
            self.requests.append(request)
        return request

    def wait_for_the_end(self) -> None:
        self._closed.wait()


class Trip:
    """One connection of a client, and the one to the store that its requests take."""

    def __init__(self, road: Road, guest: socket.socket) -> None:
        self.road = road
        self.guest = guest
        self._host: socket.socket | None = None
        self._cut: Cut | None = None  # of the answer that is awaited
        self._silent = False

    @property
    def ends(self) -> list[socket.socket]:
        return [self.guest, self._host] if self._host else [self.guest]

    def carry_one(self) -> None:
        """Take one request as far as the rule lets it."""
        head, body = _read_head(self.guest)
        request = self.road.note(head)
        fault = self.road.rule(request)
        time.sleep(self.road.up.delay_seconds)
        if isinstance(fault, Answer):
            self._take(request.size_bytes - len(body))
            self.guest.sendall(_written(fault, request.method))
            raise OverError
        in_answer = isinstance(fault, Cut) and fault.in_answer
        self._cut = fault if isinstance(fault, Cut) and in_answer else None
        host = self._reach()
        host.sendall(head)
        if isinstance(fault, Cut | Stall) and not in_answer:
            self._send(host, body, min(fault.after_bytes, request.size_bytes))
            self._end_badly(fault)
        self._send(host, body, request.size_bytes)

    def _take(self, count: int) -> None:
        """Read the rest of a body that goes nowhere."""
        while count > 0:
            data = _received(self.guest, min(CHUNK_BYTES, count))
            self.road.up.carry(len(data))
            count -= len(data)

    def _send(self, host: socket.socket, first: bytes, count: int) -> None:
        """Carry `count` bytes of a body to the store, of which `first` were read."""
        data = first[:count]
        while True:
            self.road.up.carry(len(data))
            host.sendall(data)
            count -= len(data)
            if count <= 0:
                return
            data = _received(self.guest, min(CHUNK_BYTES, count))

    def _reach(self) -> socket.socket:
        """Return the connection to the store; makes it, and has its answers carried back, for the first request."""
        if self._host is None:
            try:
                self._host = self.road.reach()
            except OSError as error:
                _drop(self.guest, reset=True)
                raise OverError from error
            threading.Thread(target=self._carry_back, args=(self._host,), daemon=True).start()
        return self._host

    def _carry_back(self, host: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := host.recv(CHUNK_BYTES):
                time.sleep(self.road.down.delay_seconds)
                self.road.down.carry(len(data))
                self.guest.sendall(data[: self._cut.after_bytes] if self._cut else data)
                if self._cut:
                    break
        if not self._silent:
            _drop(self.guest, reset=self._cut is not None and self._cut.reset)

    def _end_badly(self, fault: Cut | Stall) -> None:
        if isinstance(fault, Stall):
            self._silent = True
            self._reach().shutdown(socket.SHUT_RDWR)
            self.road.wait_for_the_end()
        else:
            for end in self.ends:
                _drop(end, reset=fault.reset)
        raise OverError


def _read_head(guest: socket.socket) -> tuple[bytes, bytes]:
    """Return a request's head, and what came with it of its body."""
    got = b""
    while b"\r\n\r\n" not in got and len(got) < HEAD_BYTES:
        got += _received(guest, CHUNK_BYTES)
    head, _, body = got.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", body


def _received(end: socket.socket, count: int) -> bytes:
    data = end.recv(count)
    if not data:
        raise OverError
    return data


def _written(answer: Answer, method: str) -> bytes:
    lines = {"Content-Length": str(len(answer.body)), "Connection": "close", **answer.headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    body = b"" if method == "HEAD" else answer.body
    return f"HTTP/1.1 {answer.status} Whatever\r\n{head}\r\n".encode() + body


def _drop(end: socket.socket, *, reset: bool = False) -> None:
    """Close a connection for both sides, whoever waits for it."""
    with contextlib.suppress(OSError):
        if reset:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        # A thread that waits for this socket keeps it open until it is woken.
        end.shutdown(socket.SHUT_RD if reset else socket.SHUT_RDWR)
    end.close()


@contextmanager
def road_to(store_port: int) -> Iterator[Road]:
    """Give a road to the store that listens at this port of loopback."""
    road = Road(store_port)
    try:
        yield road
    finally:
        road.close()
