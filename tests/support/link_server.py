"""The link server as systemd starts it: a child process that finds its listening socket at descriptor 3."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PROGRAM = Path(sys.executable).with_name("ghostroll-link")
# What sd_listen_fds(3) asks for: LISTEN_PID is the process's own, whose number exec(2) keeps.
_AS_SYSTEMD_DOES = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[2], sys.argv[2:])
"""
PATIENCE_SECONDS = 60.0


@dataclass
class LinkServer:
    """A server that runs, and where it listens."""

    process: subprocess.Popen[bytes]
    host: str
    port: int

    def connect(self, source: str = "") -> socket.socket:
        return socket.create_connection((self.host, self.port), PATIENCE_SECONDS, (source, 0) if source else None)

    def says(self, request: bytes, source: str = "") -> bytes:
        """Return all that is answered to a request, b"" where the connection is just closed."""
        with self.connect(source) as guest:
            with suppress(ConnectionError):
                guest.sendall(request)
            return everything(guest)

    def get(self, path: str, source: str = "") -> tuple[int, dict[str, str]]:
        """Return status and headers."""
        return parsed(self.says(f"GET {path} HTTP/1.1\r\nHost: {self.host}\r\n\r\n".encode(), source))


def everything(guest: socket.socket) -> bytes:
    """Read to the end of a connection."""
    told = b""
    with suppress(ConnectionError):
        while part := guest.recv(1 << 16):
            told += part
    return told


def parsed(answer: bytes) -> tuple[int, dict[str, str]]:
    """Return status and headers of an answer without a body."""
    head, _, body = answer.decode("ascii").partition("\r\n\r\n")
    assert body == ""
    first, *lines = head.split("\r\n")
    match = re.fullmatch(r"HTTP/1\.1 (\d{3}) [A-Za-z ]+", first)
    assert match, answer
    return int(match[1]), dict(line.split(": ", 1) for line in lines)


@contextmanager
def serving(directory: Path, host: str = "127.0.0.1", port: int = 0) -> Iterator[LinkServer]:
    """Run the server for a directory of records."""
    with socket.create_server((host, port)) as listener:
        process = subprocess.Popen(
            [sys.executable, "-c", _AS_SYSTEMD_DOES, str(listener.fileno()), str(PROGRAM), str(directory)],
            env={"PATH": os.environ["PATH"]},
            pass_fds=(listener.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        port = listener.getsockname()[1]
    try:
        yield LinkServer(process, host, port)
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE_SECONDS)
