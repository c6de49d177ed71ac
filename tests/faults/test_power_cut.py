"""The power goes while a card is saved and shared: what was called saved is there, and the next run completes."""

import contextlib
import json
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults.disk import HARSH, USUAL, Shelf, mounted, shelf
from tests.faults.ledger import Ledger
from tests.faults.outcome import Outcome, assert_whole, outcome
from tests.faults.scene import saved_is_there
from tests.support.appliance import Appliance, connected, make_card, objects, save_noise, save_photo, wait_until
from tests.support.mounts import NotPossible, run

if TYPE_CHECKING:
    from tests.support.served import Served

FAULTS = ("power cut", "power cut, and another while the next run makes up for it")
HOW = "the image of an ext4 disk is copied atomically at a random moment and mounted in its place"
CUTS_OF_A_RUN = 6
# Every so many cuts, the session is first finished without its card, or the power is cut once more.
FINISHED_WITHOUT_CARD, CUT_AGAIN = 4, 3

pytestmark = pytest.mark.timeout(7200)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    with contextlib.ExitStack() as stack:
        try:
            made = stack.enter_context(shelf(tmp_path_factory.mktemp("images")))
        except NotPossible as error:
            pytest.skip(str(error))
        yield made


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_card(tmp_path_factory.mktemp("card"), range(8))
    folder = root / "DCIM/100CANON"
    (root / "DCIM/101CANON").mkdir()
    (root / "DCIM/101CANON/TWIN.JPG").write_bytes((folder / "IMG_0003.JPG").read_bytes())
    save_photo(root / "DCIM/101CANON/img_0001.jpg", 100)
    save_noise(folder / "BROKEN.JPG", 30_000, 101)
    save_noise(folder / "MVI_0001.MP4", 12 << 20, 102)
    return root


@dataclass(frozen=True)
class Disk:
    """A disk as it is plugged in: `prefix` is where its catalog has its objects."""

    image: Path
    prefix: str
    options: str


@dataclass(frozen=True)
class Cut:
    """The disk as it was when the power went, what was said to be saved by then, and what the bucket held."""

    disk: Disk
    said: int
    objects: frozenset[str]


@dataclass(frozen=True)
class Bench:
    """Everything beside the disk. `place`: each is mounted here, so that the program's paths stay the same."""

    images: Shelf
    place: Path
    card: Path
    served: "Served"

    @contextmanager
    def running_on(self, disk: Disk) -> Iterator[Appliance]:
        """Give the program a disk; whatever runs on it has ended before the disk goes."""
        with mounted(disk.image, self.place, disk.options):
            with contextlib.suppress(FileNotFoundError):
                (self.place / "home").rmdir()
            appliance = connected(self.place, self.served, GHOSTROLL_S3_PREFIX_ROOT=disk.prefix)
            run("sync", "-f", str(self.place))
            try:
                yield appliance
            finally:
                appliance.kill_all()

    def cut(self, disk: Disk, appliance: Appliance, moments: list[float]) -> Iterator[Cut]:
        """Run the program, and cut the power at moments in seconds from its start; after its end only once."""
        child = appliance.start("run", "--volume", str(self.card), "--json")
        started = time.monotonic()
        for number, moment in enumerate(sorted(moments)):
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(max(0.0, started + moment - time.monotonic()))
            has_ended = child.poll() is not None
            said = said_to_be_saved(appliance)
            copy = self.images.snapshot(disk.image, f"{disk.image.name}-{number}")
            held = objects(self.served, appliance.prefix_root)
            yield Cut(Disk(copy, disk.prefix, disk.options), said, frozenset(held))
            if has_ended:
                return

    def rewind(self, prefix: str, held: frozenset[str] = frozenset()) -> None:
        """Take from the bucket what came after the cut; its page may be newer than the catalog all the same."""
        for key in objects(self.served, prefix).keys() - held:
            self.served.client.delete_object(Bucket=self.served.endpoint.bucket, Key=prefix + key)


def said_to_be_saved(appliance: Appliance) -> int:
    """Return how many files the catalog or the status calls safe now."""
    with contextlib.suppress(json.JSONDecodeError):  # the status is not flushed: an earlier cut may have emptied it
        return max(appliance.count("ingested_files"), appliance.status.get("counts", {}).get("verified", 0))
    return appliance.count("ingested_files")


@pytest.fixture(scope="module")
def bench(images: Shelf, card: Path, served: "Served", tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(images, tmp_path_factory.mktemp("disk"), card, served)


@dataclass(frozen=True)
class Undisturbed:
    """A run that nothing disturbed, and how long it took."""

    outcome: Outcome
    seconds: float


@pytest.fixture(scope="module")
def undisturbed(bench: Bench) -> Undisturbed:
    with bench.running_on(Disk(bench.images.new_disk("undisturbed"), "power-undisturbed/", USUAL)) as appliance:
        started = time.monotonic()
        assert len(appliance.run(bench.card, code=3)["failed"]) == 1
        return Undisturbed(outcome(appliance, bench.served), time.monotonic() - started)


def test_a_program_that_does_not_flush_is_caught(bench: Bench) -> None:
    """Proves the disk: a copy that was not flushed is gone after a cut, though its flushed row is there."""
    image = bench.images.new_disk("careless")
    rows = bench.place / "rows.db"
    with mounted(image, bench.place, HARSH):
        child = subprocess.Popen([sys.executable, "-c", CARELESS, str(bench.place)])
        try:
            wait_until(lambda: rows.exists() and count(rows) >= 5)
            after = bench.images.snapshot(image, "careless-cut")
            child.wait(30)
        finally:
            child.kill()
            child.wait()
    with mounted(after, bench.place, HARSH):
        assert count(rows) >= 5
        assert not all(is_whole(bench.place / f"copy{number}") for number in range(count(rows)))


CARELESS = """
import pathlib, sqlite3, sys, time
place = pathlib.Path(sys.argv[1])
catalog = sqlite3.connect(place / "rows.db", isolation_level=None)
catalog.execute("PRAGMA journal_mode = WAL")
catalog.execute("PRAGMA synchronous = FULL")
catalog.execute("CREATE TABLE copies (number)")
for number in range(20):
    (place / f"copy{number}").write_bytes(b"x" * 100_000)
    catalog.execute("INSERT INTO copies VALUES (?)", (number,))
    time.sleep(0.02)
"""


def count(rows: Path) -> int:
    with contextlib.closing(sqlite3.connect(rows, timeout=10)) as catalog:
        try:
            return int(catalog.execute("SELECT count(*) FROM copies").fetchone()[0])
        except sqlite3.OperationalError:
            return 0  # the table is not there yet


def is_whole(copy: Path) -> bool:
    return copy.exists() and copy.read_bytes() == b"x" * 100_000


def test_a_power_cut_loses_nothing_that_was_called_saved(
    bench: Bench, undisturbed: Undisturbed, points: int, seed: int, ledger: Ledger
) -> None:
    chance = random.Random(seed)
    made = 0
    while made < points:
        options = (HARSH, USUAL)[made // CUTS_OF_A_RUN % 2]
        disk = Disk(bench.images.new_disk(f"cut{made}"), f"cut{made}/", options)
        moments = [chance.uniform(0.2, undisturbed.seconds * 1.1) for _ in range(min(CUTS_OF_A_RUN, points - made))]
        with bench.running_on(disk) as appliance:
            cuts = list(bench.cut(disk, appliance, moments))
            appliance.end(appliance.children[0])
        # The last first: going back, the bucket only loses objects.
        for cut in reversed(cuts):
            bench.rewind(disk.prefix, cut.objects)
            made += 1
            print(f"cut {made}: {cut.disk.image.name}, {cut.said} said to be saved")  # noqa: T201 - shown on a failure
            if made % CUT_AGAIN == 0:
                cut = cut_once_more(bench, cut, chance)  # noqa: PLW2901
                record(ledger, FAULTS[1])
            assert_made_up_for(bench, cut, undisturbed, without_card_first=made % FINISHED_WITHOUT_CARD == 0)
            record(ledger, FAULTS[0])
        disk.image.unlink()
        bench.rewind(disk.prefix)


def cut_once_more(bench: Bench, cut: Cut, chance: random.Random) -> Cut:
    """Cut the power of the run that makes up for the first cut; return the second."""
    with bench.running_on(cut.disk) as appliance:
        (second,) = bench.cut(cut.disk, appliance, [chance.uniform(0.2, 1.5)])
    cut.disk.image.unlink()
    return Cut(second.disk, max(cut.said, second.said), second.objects)


def assert_made_up_for(bench: Bench, cut: Cut, undisturbed: Undisturbed, *, without_card_first: bool) -> None:
    with bench.running_on(cut.disk) as appliance:
        assert saved_is_there(appliance) >= cut.said
        if without_card_first:
            assert appliance.call("resume", "--json").code in (0, 3)
        assert appliance.call("run", "--volume", str(bench.card), "--json").code in (0, 3)
        assert_whole(appliance, bench.served, bench.card, undisturbed.outcome, taken_in=without_card_first)
    cut.disk.image.unlink()


def record(ledger: Ledger, fault: str) -> None:
    ledger.record(fault=fault, how=HOW, times=1, survived=1, owner_sees="the next run goes on in the same session")
