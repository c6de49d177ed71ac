"""The embedded store: an S3 server of our own where no bucket is configured.

One process serves a base directory, and all others use it. Who serves holds a lock; the server inherits it
and dies with its owner, so a lock that can be had means that nobody serves.
"""

import fcntl
import json
import os
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ghostroll import weed
from ghostroll.config import Settings
from ghostroll.durable import write_atomically
from ghostroll.endpoint import StoreEndpoint
from ghostroll.errors import ConfigurationError, StoreUnreachable
from ghostroll.log import logger

TOO_LITTLE_MEMORY = (
    "This machine has too little memory to run the embedded store unasked; "
    "`ghostroll store` starts it, or set s3_bucket to a bucket of your own."
)
# A Raspberry Pi with 1 GB reports about 900 MiB, one with 512 MB about 430.
_ENOUGH_MEMORY_BYTES = 768 << 20
_START_SECONDS = 60
_STOP_SECONDS = 5
_LOG_BYTES_MOST = 4 << 20
_LOOPBACK_NAMES = frozenset(("127.0.0.1", "localhost", "::1"))


def may_start_unasked() -> bool:
    """Tell whether there is memory enough to start the store without being told to."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >= _ENOUGH_MEMORY_BYTES


@contextmanager
def serve(settings: Settings, *, asked: bool = False) -> Iterator["EmbeddedStore"]:
    """Have the store of `settings.base_dir` served: by whoever does already, else by this process until the end.

    Raises ConfigurationError when the port is taken, or when there is too little memory and nobody `asked`;
    StoreUnreachable when the server does not come up.
    """
    store = EmbeddedStore(settings, asked=asked)
    try:
        store.ensure_running()
        yield store
    finally:
        store.close()


class EmbeddedStore:
    """The store of one base directory, served by this process or by another."""

    def __init__(self, settings: Settings, *, asked: bool = False) -> None:
        self._settings = settings
        self._asked = asked
        self._directory = settings.base_dir / "store"
        self._lock_fd: int | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._guard = threading.Lock()
        for directory in (settings.base_dir, self._directory, self._directory / "data"):
            directory.mkdir(mode=0o755 if directory == settings.base_dir else 0o700, parents=True, exist_ok=True)
        self._directory.chmod(0o700)

    @property
    def endpoint(self) -> StoreEndpoint:
        """Where the store serves now; the advertised address is looked up each time, since it may change."""
        keys = weed.keys_of(self._directory)
        local_port = json.loads((self._directory / "serving.json").read_text())["s3_port"]
        return StoreEndpoint(
            url=f"http://{advertised_host(self._settings.store_host)}:{self._settings.store_port}",
            local_url=f"http://127.0.0.1:{local_port}",
            bucket=weed.BUCKET,
            region=weed.REGION,
            access_key=keys.access_key,
            secret_key=keys.secret_key,
            identity=f"embedded:{keys.store_id}/{weed.BUCKET}",
        )

    @property
    def is_owner(self) -> bool:
        """Whether this process is the one that serves."""
        return self._lock_fd is not None

    def ensure_running(self) -> None:
        """Start the server if nobody serves, or if it died. Cheap when all is well."""
        with self._guard:
            if self._server is not None and self._server.poll() is None:
                return
            if self._lock_fd is None and not self._take_lock():
                return
            if not (self._asked or may_start_unasked()):
                self._release_lock()
                raise ConfigurationError(TOO_LITTLE_MEMORY)
            self._start()

    def _take_lock(self) -> bool:
        fd = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        self._lock_fd = fd
        return True

    def _release_lock(self) -> None:
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def _start(self) -> None:
        keys = weed.keys_of(self._directory)
        weed.write_identities(self._directory, keys)
        port = self._settings.store_port
        _require_free(port)
        write_atomically(self._directory / "serving.json", json.dumps({"s3_port": port}), mode=0o600)
        with (self._directory / "weed.log").open("ab") as log:
            if log.tell() > _LOG_BYTES_MOST:
                log.truncate(0)
            self._server = subprocess.Popen(  # noqa: S603 - our own program
                weed.command(os.getpid(), port),
                cwd=self._directory,
                env=weed.environment(self._directory, keys),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[self._lock_fd] if self._lock_fd is not None else [],
                start_new_session=True,
            )
        self._wait_until_ready(port)
        logger.info("The embedded store serves at %s.", self.endpoint.url)

    def _wait_until_ready(self, port: int) -> None:
        """Wait until the server refuses strangers and has our bucket."""
        until = time.monotonic() + _START_SECONDS
        while time.monotonic() < until:
            if self._server is None or self._server.poll() is not None:
                break
            if _answers(port):
                return
            time.sleep(0.05)
        last = _last_line(self._directory / "weed.log")
        self._stop()
        raise StoreUnreachable(f"The embedded store does not start: {last}")

    def _stop(self) -> None:
        if self._server is None:
            return
        self._server.terminate()
        try:
            self._server.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        self._server = None

    def close(self) -> None:
        """Stop the server if it is ours."""
        with self._guard:
            self._stop()
            self._release_lock()


def advertised_host(store_host: str) -> str:
    """Return the address that links name; for `auto` the local network's, else loopback when there is none."""
    if store_host != "auto":
        return store_host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
        # Connecting a datagram socket sends nothing: it only asks the routing table (RFC 5737 address).
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])
    return "127.0.0.1"


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ConfigurationError(
                f"store_port: port {port} is taken by another program ({error.strerror}).",
                hint="Set store_port to another port.",
            ) from error


def _answers(port: int) -> bool:
    """Tell whether the S3 server is up, and has read its credentials: strangers get 403."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2):
            return False
    except urllib.error.HTTPError as error:
        with error:
            return error.code == 403
    except OSError:
        return False


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return lines[-1][:300] if lines else "it says nothing."
