"""Measures the whole job on one card of 24-megapixel pictures: `make bench`.

    .venv/bin/python -m tests.bench [--pictures N] [--cards DIR] [--keep]

Every program is measured with all processes it starts, reading the card from the disk. The embedded store
runs beside, as on the appliance; its share is told apart. Nothing is asserted: the table is the result.
"""

import argparse
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import PIL

from ghostroll.store.presign import Presigner
from tests.bench import photos
from tests.bench.meter import Memory, Usage, cpu_seconds_of, measure

_GHOSTROLL = Path(sys.executable).parent / "ghostroll"
_STORE_START_SECONDS = 60
_LINKS = 2000
_MIB = 1 << 20


@dataclass
class Milestones:
    """When, in seconds after the start, status.json first said something."""

    status_path: Path
    safe: float | None = None
    linked: float | None = None
    _done: bool = field(default=False, init=False)

    def __call__(self, seconds: float) -> None:
        """Look once."""
        if self._done:
            return
        try:
            status = json.loads(self.status_path.read_bytes())
        except FileNotFoundError:
            return
        if self.safe is None and status["card"]["state"] == "safe":
            self.safe = seconds
        if self.linked is None and status["url"]:
            self.linked = seconds
        self._done = self.safe is not None and self.linked is not None


@dataclass(frozen=True)
class Job:
    """What the whole job took, the first time and again."""

    first: Usage
    store_cpu_seconds: float
    milestones: Milestones
    again: Usage
    bare: Usage


def main() -> None:
    options = _options()
    directory = Path(tempfile.mkdtemp(prefix="ghostroll-bench-"))
    try:
        _bench(directory, options.cards or directory, options.pictures)
    finally:
        if options.keep:
            print(f"Kept: {directory}")
        else:
            shutil.rmtree(directory)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=60, metavar="N", help="how many pictures (default: 60)")
    parser.add_argument("--cards", type=Path, metavar="DIR", help="where cards are kept for the next time")
    parser.add_argument("--keep", action="store_true", help="keep sessions, store and results")
    return parser.parse_args()


def _bench(directory: Path, cards: Path, pictures: int) -> None:
    started = time.monotonic()
    card = photos.card_of(cards, pictures)
    sizes = [path.stat().st_size for path in photos.pictures_on(card)]
    print(
        f"{pictures} pictures of 24 MP, {min(sizes) / 1e6:.1f} to {max(sizes) / 1e6:.1f} MB, "
        f"{sum(sizes) / 1e6:.0f} MB in all (there after {time.monotonic() - started:.0f} s)\n"
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, Pillow {PIL.__version__}\n"
    )
    naive, floor = (_baseline(name, card, directory) for name in ("naive", "floor"))
    _print_head()
    _print_usage("full decode, twice scaled", naive, naive, pictures)
    _print_usage("floor: djpeg 1/2, cjpeg", floor, naive, pictures)
    job = _job(card, directory)
    _print_usage("ghostroll run", job.first, naive, pictures)
    _print_usage("the same card again", job.again, naive, pictures)
    _print_usage("a card without pictures", job.bare, naive, pictures)
    _print_rest(job, sum(sizes))


def _job(card: Path, directory: Path) -> Job:
    """Run the whole job, the same card again, and an empty card."""
    empty = directory / "empty"
    (empty / "DCIM").mkdir(parents=True)
    environment = _environment(directory)
    milestones = Milestones(directory / "base" / "status.json")
    log = directory / "ghostroll.log"
    with _store(environment, log) as store:
        store_before = cpu_seconds_of(store)
        first = _run(card, environment, log, store, milestones)
        return Job(
            first=first,
            store_cpu_seconds=cpu_seconds_of(store) - store_before,
            milestones=milestones,
            again=_run(card, environment, log, store),
            bare=_run(empty, environment, log, store),
        )


def _baseline(name: str, card: Path, directory: Path) -> Usage:
    results = directory / name
    results.mkdir()
    log = directory / f"{name}.log"
    photos.drop_from_cache(card)
    usage = measure(
        [sys.executable, "-m", "tests.bench.baselines", name, card, results], _environment(directory), log=log
    )
    if usage.exit_code:
        sys.exit(f"{name} ended with {usage.exit_code}\n{log.read_text()}")
    return usage


def _environment(directory: Path) -> dict[str, str]:
    """Return an environment in which nothing of the user's own takes part."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "GHOSTROLL_"))}
    base = directory / "base"
    return inherited | {
        "HOME": str(directory),
        "GHOSTROLL_BASE_DIR": str(base),
        "GHOSTROLL_DB_PATH": str(base / "ghostroll.db"),
        "GHOSTROLL_STATUS_PATH": str(base / "status.json"),
        "GHOSTROLL_STORE_HOST": "127.0.0.1",
        "GHOSTROLL_PANEL": "none",
    }


@contextmanager
def _store(environment: dict[str, str], log: Path) -> Iterator[int]:
    """Run the embedded store on a free port, which `environment` gets to know; give its process id."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment["GHOSTROLL_STORE_PORT"] = str(port)
    with (
        log.open("ab") as words,
        subprocess.Popen([_GHOSTROLL, "store"], env=environment, stdout=words, stderr=words) as process,
    ):
        try:
            _wait_for_store(port)
            yield process.pid
        finally:
            process.send_signal(signal.SIGINT)


def _wait_for_store(port: int) -> None:
    """Wait until the store refuses strangers."""
    until = time.monotonic() + _STORE_START_SECONDS
    while time.monotonic() < until:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2).close()
        except urllib.error.HTTPError as error:
            error.close()
            return
        except OSError:
            time.sleep(0.1)
    sys.exit("The embedded store does not start.")


def _run(card: Path, environment: dict[str, str], log: Path, store: int, milestones: Milestones | None = None) -> Usage:
    photos.drop_from_cache(card)
    command: list[str | Path] = [_GHOSTROLL, "run", "--json", "--volume", card]
    usage = measure(command, environment, log=log, other=store, watch=milestones or (lambda _: None))
    if usage.exit_code:
        sys.exit(f"ghostroll run ended with {usage.exit_code}\n{usage.output}{log.read_text()}")
    return usage


def _print_head() -> None:
    print(f"{'':27}{'wall':>8}{'CPU':>8}{'CPU':>10}{'of full':>9}{'peak PSS':>10}{'peak RSS':>10}")
    print(f"{'':27}{'s':>8}{'s':>8}{'ms/pic':>10}{'decode':>9}{'MiB':>10}{'MiB':>10}")


def _print_usage(name: str, usage: Usage, naive: Usage, pictures: int) -> None:
    print(
        f"{name:27}{usage.wall_seconds:8.2f}{usage.cpu_seconds:8.2f}{usage.cpu_seconds / pictures * 1000:10.0f}"
        f"{usage.cpu_seconds / naive.cpu_seconds:9.2f}{_mib(usage.peak)}",
        flush=True,
    )


def _mib(memory: Memory) -> str:
    return f"{memory.pss / _MIB:10.0f}{memory.rss / _MIB:10.0f}"


def _print_rest(job: Job, card_bytes: int) -> None:
    summary, again = (json.loads(usage.output) for usage in (job.first, job.again))
    safe, linked = map(_seconds, (job.milestones.safe, job.milestones.linked))
    beyond = job.again.read_bytes - job.bare.read_bytes
    print(f"{'ghostroll run with store':27}{'':35}{_mib(job.first.peak_with_other)}")
    print(f"\nghostroll run: all files copied and verified after {safe}, link after {linked}")
    print("  outcome: " + ", ".join(f"{name} {summary[name]}" for name in ("state", "new", "derived", "uploaded")))
    print(f"  CPU as sampled by process: {job.first.sampled_cpu_seconds:.2f} s")
    print(f"  CPU of the store beside:   {job.store_cpu_seconds:.2f} s")
    print(f"the same card again: new {again['new']}, skipped {again['skipped']}, of {card_bytes / 1e6:.0f} MB")
    print(f"  read to start:             {job.bare.read_bytes / 1e6:.2f} MB (as without pictures)")
    print(f"  read beyond that:          {beyond / 1e6:.2f} MB, {beyond / again['skipped'] / 1024:.0f} KiB a file")
    print(f"{_LINKS} presigned links: {_presign_seconds() * 1000:.0f} ms of CPU")


def _seconds(seconds: float | None) -> str:
    return "?" if seconds is None else f"{seconds:.2f} s"


def _presign_seconds() -> float:
    started = time.process_time()
    presign = Presigner(
        base_url="https://photos.s3.eu-central-1.amazonaws.com",
        access_key="AKIAIOSFODNN7EXAMPLE",
        secret_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        token=None,
        region="eu-central-1",
        expires_seconds=604_800,
        now=datetime.now(UTC),
    )
    for number in range(_LINKS):
        presign(f"sessions/shoot-2026-06-20_174210_000000/share/DCIM/100BENCH/DSC_{number:04}.jpg")
    return time.process_time() - started


if __name__ == "__main__":
    main()
