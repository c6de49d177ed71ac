"""QEMU's machine protocol, as much of it as plugging things in takes (QEMU manual, "QEMU QMP Reference Manual")."""

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


class RefusedError(Exception):
    """QEMU did not do what it was asked for."""


class Qmp:
    """One connection to a running QEMU."""

    def __init__(self, path: Path, alive: Callable[[], bool], seconds: float = 30.0) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(120)
        deadline = time.monotonic() + seconds
        while self._socket.connect_ex(str(path)):
            if not alive() or time.monotonic() > deadline:
                self._socket.close()
                raise RefusedError("QEMU did not start")
            time.sleep(0.02)
        self._lines = self._socket.makefile("rwb", 0)
        self._events: list[dict[str, Any]] = []
        try:
            self._lines.readline()  # its greeting
            self.ask("qmp_capabilities")
        except ConnectionResetError as error:
            raise RefusedError("QEMU ended at once") from error

    def ask(self, command: str, as_named: dict[str, Any] | None = None, /, **arguments: Any) -> Any:
        """Return QEMU's answer to one command. Underscores in keywords stand for hyphens, which most names have."""
        named = (as_named or {}) | {name.replace("_", "-"): value for name, value in arguments.items()}
        self._lines.write(json.dumps({"execute": command, "arguments": named}).encode() + b"\n")
        while line := self._lines.readline():
            answer = json.loads(line)
            if "event" in answer:
                self._events.append(answer)
            elif "error" in answer:
                raise RefusedError(f"{command} {named}: {answer['error']['desc']}")
            else:
                return answer["return"]
        raise RefusedError(f"QEMU ended during {command}")

    def wait_until(self, truth: Callable[[], bool], what: str, seconds: float = 120.0) -> None:
        deadline = time.monotonic() + seconds
        while not truth():
            if time.monotonic() > deadline:
                raise RefusedError(what)
            time.sleep(0.02)

    def wait_for_event(self, name: str, device: str) -> None:
        """Wait for an event about one device; one that has come already counts."""

        def has_come() -> bool:
            self.ask("query-status")  # events come along with answers
            return any(told["event"] == name and told["data"].get("device") == device for told in self._events)

        self.wait_until(has_come, f"no {name} of {device}")
        self._events.clear()

    def close(self) -> None:
        self._lines.close()
        self._socket.close()
