"""The running SeaweedFS server: started, watched, stopped, and never left behind."""

import json
import os
import subprocess
from concurrent.futures import Future
from contextlib import suppress
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from threading import Thread

from ghostroll.base.durable import write_unflushed
from ghostroll.base.errors import StoreUnreachable
from ghostroll.base.log import logger, printable
from ghostroll.embedded import seaweedfs
from ghostroll.store.presign import Presigner

_PROBE_SECONDS = 5
_LOG_BYTES_MOST = 4 << 20


class WeedProcess:
    """A server that has been started, and ends with this object's `stop` or with this process."""

    def __init__(self, directory: Path, s3_port: int, *, inherited_fd: int | None) -> None:
        """Start the server in `directory`; it holds `inherited_fd` open for as long as it lives."""
        self._directory = directory
        self._is_stopping = False
        started: Future[subprocess.Popen[bytes]] = Future()
        # The kernel ends a server whose starting thread ends, so that thread stays with it.
        Thread(target=self._keep, args=(s3_port, inherited_fd, started), name="store keeper", daemon=True).start()
        self._process = started.result()

    @property
    def is_alive(self) -> bool:
        """Whether the server runs."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End the server at once.

        A SIGTERM takes it 2.5 s, longer than who asked us to end may wait; and what it acknowledged is with the
        kernel by then, so that it is whole after a SIGKILL too.
        """
        self._is_stopping = True
        self._process.kill()
        self._process.wait()

    def last_words(self) -> str:
        """Return the line of its log that tells most about why it ended."""
        lines = self._log_path.read_text(errors="replace").splitlines()[-50:]
        # glog: a line begins with its severity, F(atal) or E(rror) among them.
        telling = [line for line in lines if line.startswith(("F", "E"))] or lines or ["it says nothing."]
        return printable(telling[-1][:300])

    def trim_log(self) -> None:
        """Empty a log that has grown large; the server appends, so it need not know."""
        with suppress(FileNotFoundError):
            if self._log_path.stat().st_size > _LOG_BYTES_MOST:
                os.truncate(self._log_path, 0)

    @property
    def _log_path(self) -> Path:
        return self._directory / "weed.log"

    def _keep(self, s3_port: int, inherited_fd: int | None, started: "Future[subprocess.Popen[bytes]]") -> None:
        try:
            process = self._spawn(s3_port, inherited_fd)
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
            started.set_exception(error)
            return
        started.set_result(process)
        status = process.wait()
        if not self._is_stopping:
            logger.warning("The embedded store has ended by itself (status %d); its log is %s.", status, self._log_path)

    def _spawn(self, s3_port: int, inherited_fd: int | None) -> subprocess.Popen[bytes]:
        keys = seaweedfs.make_keys(self._directory)
        seaweedfs.sweep(self._directory)
        seaweedfs.sweep_sockets()
        seaweedfs.write_configuration(self._directory, keys)
        has_certificate = seaweedfs.write_certificate(self._directory)
        if not has_certificate:
            logger.warning("openssl is not installed: other users of this machine could read the embedded store.")
        self.trim_log()
        with self._log_path.open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - our own program
                seaweedfs.command(os.getpid(), s3_port),
                cwd=self._directory,
                env=seaweedfs.environment(self._directory, keys, has_certificate=has_certificate),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[] if inherited_fd is None else [inherited_fd],
                start_new_session=True,
            )


def note_port(directory: Path, s3_port: int) -> None:
    """Leave word for other processes at which loopback port the store in `directory` serves."""
    write_unflushed(directory / "serving.json", json.dumps({"s3_port": s3_port}), mode=0o600)


def port_of(directory: Path) -> int:
    """Return the port that was noted last; raises StoreUnreachable when there is none."""
    try:
        return int(json.loads((directory / "serving.json").read_text())["s3_port"])
    except (OSError, ValueError, KeyError, TypeError):
        raise StoreUnreachable("The embedded store does not run.") from None


def serves(directory: Path) -> bool:
    """Ask as a guest would for an object that is not there: only our store, once whole, answers so."""
    try:
        keys, port = seaweedfs.keys_of(directory), port_of(directory)
        link = Presigner(
            base_url=f"http://127.0.0.1:{port}/{seaweedfs.BUCKET}",
            access_key=keys.access_key,
            secret_key=keys.secret_key,
            token=None,
            region=seaweedfs.REGION,
            expires_seconds=60,
            now=datetime.now(UTC),
        )
        return "<Code>NoSuchKey</Code>" in _get(port, link(".ghostroll-probe"))
    except (StoreUnreachable, OSError, HTTPException):
        return False


def _get(port: int, url: str) -> str:
    connection = HTTPConnection("127.0.0.1", port, timeout=_PROBE_SECONDS)
    try:
        connection.request("GET", url.partition(f":{port}")[2])
        return connection.getresponse().read(4096).decode(errors="replace")
    finally:
        connection.close()
