"""Runs a program and measures it together with all processes it starts."""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

INTERVAL_SECONDS = 0.05


@dataclass(frozen=True)
class Memory:
    """Memory of a process tree at one moment, in bytes; RSS counts shared pages once for each process."""

    rss: int = 0
    pss: int = 0

    def __add__(self, other: "Memory") -> "Memory":
        return Memory(self.rss + other.rss, self.pss + other.pss)

    def most(self, other: "Memory") -> "Memory":
        """Return the larger of each."""
        return Memory(max(self.rss, other.rss), max(self.pss, other.pss))


@dataclass(frozen=True)
class Usage:
    """What one program took, the processes it started included.

    `cpu_seconds` is the kernel's account (wait4), `sampled_cpu_seconds` what was last seen of each process, so
    somewhat less; `read_bytes` counts what read calls gave (`rchar`, proc_pid_io(5)): files, pipes, program start.
    """

    exit_code: int
    output: str
    wall_seconds: float
    cpu_seconds: float
    sampled_cpu_seconds: float
    read_bytes: int
    peak: Memory
    peak_with_other: Memory


class _Sampler(threading.Thread):
    """Looks at a process tree, and another one beside it, until told to stop."""

    def __init__(self, pid: int, other: int | None, watch: Callable[[float], None]) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._other = other
        self._watch = watch
        self._began = time.monotonic()
        self._ended = threading.Event()
        self._cpu_seconds: dict[int, float] = {}
        self.peak = Memory()
        self.peak_with_other = Memory()

    @property
    def cpu_seconds(self) -> float:
        return sum(self._cpu_seconds.values())

    def run(self) -> None:
        while not self._ended.wait(INTERVAL_SECONDS):
            self._watch(time.monotonic() - self._began)
            tree = _tree(self._pid)
            for process in tree:
                seen = self._cpu_seconds.get(process.pid, 0.0)
                self._cpu_seconds[process.pid] = max(seen, _cpu_seconds(process))
            memory = sum(map(_memory, tree), Memory())
            beside = sum(map(_memory, _tree(self._other)), Memory()) if self._other else Memory()
            self.peak = self.peak.most(memory)
            self.peak_with_other = self.peak_with_other.most(memory + beside)

    def stop(self) -> None:
        self._ended.set()
        self.join()


def measure(
    command: Sequence[str | Path],
    environment: Mapping[str, str],
    *,
    log: Path,
    other: int | None = None,
    watch: Callable[[float], None] = lambda _: None,
) -> Usage:
    """Run `command` to its end; what it says on stderr is added to `log`.

    `other` is a process whose tree is added for `peak_with_other`. `watch` is called with each sample, and gets
    the seconds since the start.
    """
    started = time.monotonic()
    with log.open("ab") as words:
        process = subprocess.Popen(command, env=dict(environment), stdout=subprocess.PIPE, stderr=words, text=True)
    sampler = _Sampler(process.pid, other, watch)
    sampler.start()
    assert process.stdout is not None
    with process.stdout as stdout:
        output = stdout.read()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    wall_seconds = time.monotonic() - started
    # Until it is waited for, the ended process still has its account, and that of those it waited for.
    read_bytes = _read_bytes(process.pid)
    sampler.stop()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Usage(
        exit_code=process.returncode,
        output=output,
        wall_seconds=wall_seconds,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        sampled_cpu_seconds=sampler.cpu_seconds,
        read_bytes=read_bytes,
        peak=sampler.peak,
        peak_with_other=sampler.peak_with_other,
    )


def cpu_seconds_of(pid: int) -> float:
    """Return what a running process tree took so far."""
    return sum(_cpu_seconds(process) for process in _tree(pid))


def _tree(pid: int) -> list[psutil.Process]:
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []


def _memory(process: psutil.Process) -> Memory:
    try:
        info = process.memory_full_info()
    except psutil.Error:
        return Memory()
    return Memory(info.rss, info.pss)


def _cpu_seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def _read_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["rchar"])
