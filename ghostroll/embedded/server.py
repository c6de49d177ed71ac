"""The embedded store: an S3 server of our own where no bucket is configured.

One process serves a base directory, and all others use it. Who serves holds a lock; the server inherits it
and dies with its owner, so that a lock which can be had means that nobody serves.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Lock

from ghostroll.base import local_address, locks
from ghostroll.base.config import Settings
from ghostroll.base.errors import ConfigurationError, StoreUnreachable
from ghostroll.base.log import logger
from ghostroll.embedded import seaweedfs, tcp_forward
from ghostroll.embedded.process import WeedProcess, note_port, port_of, serves
from ghostroll.store.endpoint import StoreEndpoint

TOO_LITTLE_MEMORY = (
    "This machine has too little memory to run the embedded store unasked: "
    "`ghostroll store` starts it, or set s3_bucket to a bucket of your own."
)
# A Raspberry Pi with 1 GB reports about 900 MiB, one with 512 MB about 430.
_ENOUGH_MEMORY_BYTES = 768 << 20
# A Pi that boots reads 150 MB of program from its microSD card first.
_START_SECONDS = 60


def may_start_unasked() -> bool:
    """Tell whether there is memory enough to start the store without being told to."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >= _ENOUGH_MEMORY_BYTES


@contextmanager
def serve(settings: Settings, *, asked: bool = False) -> Iterator["EmbeddedStore"]:
    """Have the store of `settings.base_dir` served: by whoever does already, else by this process until the end.

    Raises ConfigurationError when the port is taken, or when memory is short and nobody `asked`;
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
        self._server: WeedProcess | None = None
        self._door: tcp_forward.TcpForwarder | None = None
        self._guard = Lock()
        self._closing = Event()
        try:
            settings.base_dir.mkdir(parents=True, exist_ok=True)
            for directory in (self._directory, self._directory / "data"):
                directory.mkdir(mode=0o700, exist_ok=True)
            self._directory.chmod(0o700)
        except OSError as error:
            raise ConfigurationError(
                f"base_dir: no store can be kept in {self._directory}: {error.strerror}."
            ) from error

    @property
    def is_owner(self) -> bool:
        """Whether this process is the one that serves."""
        return self._lock_fd is not None

    @property
    def endpoint(self) -> StoreEndpoint:
        """Where the store serves now; the advertised address is looked up each time, since it may change."""
        keys = seaweedfs.keys_of(self._directory)
        host = local_address.advertised_host(self._settings.store_host)
        return StoreEndpoint(
            url=f"http://{host}:{self._settings.store_port}",
            local_url=f"http://127.0.0.1:{port_of(self._directory)}",
            bucket=seaweedfs.BUCKET,
            region=seaweedfs.REGION,
            access_key=keys.access_key,
            secret_key=keys.secret_key,
            identity=f"embedded:{keys.store_id}/{seaweedfs.BUCKET}",
        )

    def ensure_running(self) -> None:
        """Return when the store serves: start it if nobody does, or again if it died. Cheap when all is well."""
        with self._guard:
            until = time.monotonic() + _START_SECONDS
            while not serves(self._directory):
                if self._has_ended() and (self.is_owner or self._take_lock()):
                    self._start()
                    return
                if time.monotonic() > until:
                    self._give_up()
                if self._closing.wait(0.1):
                    raise StoreUnreachable("The embedded store is being closed.")
            if self._server is not None:
                self._server.trim_log()

    def close(self) -> None:
        """Stop the server if it is ours; whoever waits for it to come up waits no longer."""
        self._closing.set()
        with self._guard:
            self._stop()
            self._release_lock()

    def _has_ended(self) -> bool:
        return self._server is None or not self._server.is_alive

    def _give_up(self) -> None:
        """Raise, after ending a server of ours that no longer answers, so that the next call starts another."""
        self._stop()
        raise StoreUnreachable("The embedded store runs but does not answer.")

    def _take_lock(self) -> bool:
        self._lock_fd = locks.acquire(self._directory / "lock", mode=0o600)
        return self._lock_fd is not None

    def _release_lock(self) -> None:
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def _start(self) -> None:
        """Start the server; whatever fails, the lock is not kept without one."""
        try:
            self._require_memory()
            self._stop()
            port = self._open_door()
            note_port(self._directory, port)
            self._server = WeedProcess(self._directory, port, inherited_fd=self._lock_fd)
            self._wait_until_ready(self._server)
        except BaseException:
            self._stop()
            self._release_lock()
            raise
        logger.info("The embedded store serves at %s.", self.endpoint.url)

    def _require_memory(self) -> None:
        if not (self._asked or may_start_unasked()):
            raise ConfigurationError(TOO_LITTLE_MEMORY)

    def _open_door(self) -> int:
        """Return the loopback port for S3: the advertised one itself, or one behind a door to the network."""
        port = self._settings.store_port
        try:
            if local_address.is_loopback(self._settings.store_host):
                seaweedfs.require_free(port)
                return port
            behind = seaweedfs.free_ports(1)[0]
            self._door = tcp_forward.TcpForwarder(port, behind)
        except OSError as error:
            raise ConfigurationError(
                f"store_port: port {port} cannot be had: {error.strerror}.", hint="Set store_port to another port."
            ) from error
        return behind

    def _wait_until_ready(self, server: WeedProcess) -> None:
        until = time.monotonic() + _START_SECONDS
        while server.is_alive and time.monotonic() < until:
            if serves(self._directory):
                return
            if self._closing.wait(0.05):
                break
        raise StoreUnreachable(f"The embedded store does not start: {server.last_words()}")

    def _stop(self) -> None:
        if self._door is not None:
            self._door.close()
            self._door = None
        if self._server is not None:
            self._server.stop()
            self._server = None
