"""One worker, seen from the run: a process that is started, asked, killed and buried.

Tasks and answers are lines of JSON: a decoder that a picture took over can send data, not code. Workers get
to know no credentials, and do not outlive the run.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
from concurrent.futures import CancelledError
from dataclasses import asdict
from threading import Lock
from typing import IO, Any

from ghostroll.base.errors import FileFailed
from ghostroll.derivatives import Rendered, Task

_START_TIMEOUT_SECONDS = 60.0
# A worker that died of these was killed from outside: by the kernel short of memory, or together with the run.
_SIGNALS_FROM_OUTSIDE = frozenset((-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT))
# All of the environment that a worker gets to know; credentials stay behind.
_ENVIRONMENT = frozenset("PATH LANG LC_ALL LC_CTYPE LD_LIBRARY_PATH PYTHONHOME PYTHONUTF8 TZ".split())
_MAX_ANSWER_BYTES = 64 << 10


class _Died(Exception):
    """A worker ended in the midst of a task; `code` as `Popen.returncode`."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Worker:
    """One process, started when there is something to do, and again after it died. Used by one thread."""

    def __init__(self, arguments: tuple[str, ...], timeout_seconds: float) -> None:
        self._command = [sys.executable, "-P", "-m", "ghostroll.derivatives.worker_main", *arguments]
        self._timeout_seconds = timeout_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._is_terminated = False
        self._lock = Lock()  # of the two above, since `terminate` comes from another thread

    def render(self, task: Task) -> Rendered:
        """Have one task rendered; raise what came of it.

        What killed the worker from outside had nothing to do with the picture, at first: it gets a second chance.
        """
        try:
            return self._render(task)
        except _Died as died:
            if died.code not in _SIGNALS_FROM_OUTSIDE:
                raise FileFailed(f"the picture crashed its decoder ({_exit_name(died.code)})") from died
        try:
            return self._render(task)
        except _Died as died:
            raise FileFailed(f"the picture's decoder was killed twice ({_exit_name(died.code)})") from died

    def close(self) -> None:
        """End the process, whatever it does."""
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            with process:
                process.kill()

    def terminate(self) -> None:
        """Kill the process, and never start another one."""
        with self._lock:
            self._is_terminated = True
            if self._process is not None:
                self._process.kill()

    def _render(self, task: Task) -> Rendered:
        process = self._running_process()
        request = {name: str(value) for name, value in asdict(task).items()}
        answer = self._ask(process, json.dumps(request).encode() + b"\n")
        try:
            return _understood(json.loads(answer))
        except (ValueError, TypeError, LookupError) as error:
            self.close()
            raise FileFailed("the picture confused its decoder") from error

    def _running_process(self) -> subprocess.Popen[bytes]:
        process = self._process
        if process is not None and process.poll() is None and not _is_readable(process, 0):
            return process
        self.close()  # it died while it had nothing to do, or said what nobody asked for
        with self._lock:
            if self._is_terminated:
                raise CancelledError
            self._process = process = _start(self._command)
        try:
            _read_line(process, _START_TIMEOUT_SECONDS)
        except (TimeoutError, EOFError) as error:
            died = self._buried(process)
            if died.code in _SIGNALS_FROM_OUTSIDE:
                raise died from error
            raise RuntimeError(f"a worker does not start ({_exit_name(died.code)})") from error
        return process

    def _ask(self, process: subprocess.Popen[bytes], request: bytes) -> bytes:
        try:
            os.write(_fileno(process.stdin), request)
            return _read_line(process, self._timeout_seconds)
        except TimeoutError as error:
            self.close()
            raise FileFailed(f"the picture took longer than {self._timeout_seconds:.0f} seconds to read") from error
        except (BrokenPipeError, EOFError) as error:
            raise self._buried(process) from error

    def _buried(self, process: subprocess.Popen[bytes]) -> _Died:
        """Let go of a process that closed its end; return what it died of. Raises CancelledError if that was us."""
        self.close()
        if self._is_terminated:
            raise CancelledError
        return _Died(process.returncode)


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    """Start a worker out of reach of the terminal's Ctrl-C, which is for the run to answer."""
    environment = {name: value for name, value in os.environ.items() if name in _ENVIRONMENT}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    return subprocess.Popen(  # noqa: S603 - our own interpreter and module
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, env=environment, process_group=0
    )


def _read_line(process: subprocess.Popen[bytes], timeout_seconds: float) -> bytes:
    """Return one line; raise TimeoutError where it takes too long, EOFError where it does not come."""
    deadline = time.monotonic() + timeout_seconds
    line = b""
    while not line.endswith(b"\n"):
        if not _is_readable(process, deadline - time.monotonic()):
            raise TimeoutError
        chunk = os.read(_fileno(process.stdout), _MAX_ANSWER_BYTES)
        if not chunk or len(line) > _MAX_ANSWER_BYTES:
            raise EOFError
        line += chunk
    return line


def _is_readable(process: subprocess.Popen[bytes], timeout_seconds: float) -> bool:
    """Wait until a process has said something, or closed its end."""
    poll = select.poll()
    poll.register(_fileno(process.stdout), select.POLLIN)
    return bool(poll.poll(max(0.0, timeout_seconds) * 1000))


def _understood(answer: dict[str, Any]) -> Rendered:
    """Return what a worker rendered, or raise what it says; see `ghostroll.derivatives.worker_main`."""
    if "failed" in answer:
        raise FileFailed(str(answer["failed"]))
    if "errno" in answer:
        raise OSError(int(answer["errno"]), str(answer["message"]), str(answer["path"]))
    fields = answer["rendered"]
    captured, camera = (None if fields[name] is None else str(fields[name]) for name in ("captured", "camera"))
    return Rendered(
        share_size=_size(fields["share_size"]),
        thumb_size=_size(fields["thumb_size"]),
        share_sha256=str(fields["share_sha256"]),
        share_bytes=int(fields["share_bytes"]),
        thumb_sha256=str(fields["thumb_sha256"]),
        thumb_bytes=int(fields["thumb_bytes"]),
        captured=captured,
        camera=camera,
    )


def _size(value: list[Any]) -> tuple[int, int]:
    width, height = value
    return int(width), int(height)


def _fileno(pipe: IO[bytes] | None) -> int:
    return -1 if pipe is None else pipe.fileno()


def _exit_name(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit {code}"
