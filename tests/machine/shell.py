"""Into the machine: commands and files as root, and ways out that can be cut, all over one ssh connection."""

import contextlib
import shlex
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

PATIENCE_SECONDS = 600.0  # of any command: an emulated machine on busy cores


class FailedError(AssertionError):
    """A command in the machine ended otherwise than it should."""


@dataclass
class Shell:
    """One connection to the machine's sshd; it is made when it is first used."""

    key: Path
    control: Path
    port: int
    outward: set[int] = field(default_factory=set)  # ports in the machine that lead to the same ones outside

    def connect(self, alive: Callable[[], bool], seconds: float) -> None:
        """Wait for the machine's sshd, and open the ways out again that were open."""
        deadline = time.monotonic() + seconds
        while not (self._greets() and self._lets_in()):  # a machine on its way down greets as well
            self.close()
            if not alive() or time.monotonic() > deadline:
                raise FailedError("nobody answers in the machine")
            time.sleep(0.1)

    def _lets_in(self) -> bool:
        if self.ended("true").returncode:
            return False
        try:
            for port in sorted(self.outward):
                self._control("forward", port)
        except subprocess.CalledProcessError:
            return False
        return True

    def _greets(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 5) as door:
            door.settimeout(5)
            return door.recv(4) == b"SSH-"
        return False

    @property
    def _ssh(self) -> list[str]:
        # fmt: off
        return [
            "ssh", "-q", "-i", str(self.key), "-p", str(self.port), "-o", "StrictHostKeyChecking=no",
            "-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=30", "-o", "ControlMaster=auto",
            "-o", f"ControlPath={self.control}", "-o", "ControlPersist=600",
            # A machine that goes down in the middle of a command says nothing more.
            "-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=6",
        ]
        # fmt: on

    def ended(
        self, command: str, seconds: float = PATIENCE_SECONDS, given: str = ""
    ) -> "subprocess.CompletedProcess[str]":
        """Run a shell command as root and return how it ended."""
        return subprocess.run(
            [*self._ssh, "root@127.0.0.1", "--", command],
            input=given,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )

    def run(self, command: str, seconds: float = PATIENCE_SECONDS, given: str = "") -> str:
        """Run a shell command that must succeed, and return what it printed."""
        ended = self.ended(command, seconds, given)
        if ended.returncode:
            raise FailedError(f"[{ended.returncode}] {command}\n{ended.stdout}{ended.stderr}")
        return ended.stdout.strip()

    def put(self, source: Path, target: str) -> None:
        """Copy a file to a path, or what a directory holds into a directory."""
        place = shlex.quote(target)
        if source.is_dir():
            send = ["tar", "-C", str(source), "--owner=0", "--group=0", "-c", "."]
            receive = f"mkdir -p {place} && tar -x -C {place}"
        else:
            send = ["cat", str(source)]
            receive = f"mkdir -p $(dirname {place}) && cat > {place}"
        with subprocess.Popen(send, stdout=subprocess.PIPE) as sending:
            command = [*self._ssh, "root@127.0.0.1", "--", receive]
            subprocess.run(command, stdin=sending.stdout, check=True, capture_output=True)

    def write(self, path: str, text: str, mode: str = "644") -> None:
        """Write a file as an editor would."""
        place = shlex.quote(path)
        self.run(f"mkdir -p $(dirname {place}) && cat > {place} && chmod {mode} {place}", given=text)

    def open_way(self, port: int) -> None:
        """Let a loopback port in the machine lead to the same one outside, also after a boot."""
        self.outward.add(port)
        self._control("forward", port)

    def cut_way(self, port: int) -> None:
        """Let nobody listen at that port in the machine any more."""
        self.outward.discard(port)
        self._control("cancel", port)

    def _control(self, order: str, port: int) -> None:
        command = [*self._ssh, "-O", order, "-R", f"127.0.0.1:{port}:127.0.0.1:{port}", "root@127.0.0.1"]
        subprocess.run(command, check=True, capture_output=True)

    def close(self) -> None:
        """End the connection, if there is one."""
        if self.control.exists():
            subprocess.run([*self._ssh, "-O", "exit", "root@127.0.0.1"], capture_output=True, check=False)
        self.control.unlink(missing_ok=True)
