"""Many files, and large ones: all are saved and shared, and the memory hardly grows with their number."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.bench.meter import measure
from tests.faults.ledger import Ledger
from tests.support.appliance import GHOSTROLL, Appliance, connected, get, objects, save_photo, tree

if TYPE_CHECKING:
    from tests.support.served import Served

FAULTS = ("load: many small pictures", "load: many pictures of 24 megapixels")
HOW = "the memory of all processes of a run is sampled (PSS), and compared with that of a smaller card"
# The part that takes minutes.
LONG_FROM_POINTS = 100
# What one file may take: its name in the plan, and the page with two links (measured: 9 KiB).
GROWTH_BYTES_A_FILE = 12 << 10
# A sampled peak is not exact: an allocator keeps more or less.
MARGIN_BYTES = 24 << 20


def load(appliance: Appliance, served: "Served", picture: bytes, count: int) -> int:
    """Run a card with so many pictures, each its own; check that all is there, and return the peak in bytes."""
    folder = appliance.root / "card/DCIM/100CANON"
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"IMG_{number:04}.JPG").write_bytes(picture + f"{number}".encode())
    command: list[str | Path] = [GHOSTROLL, "run", "--volume", str(folder.parents[1]), "--json"]
    usage = measure(command, appliance.environment, log=appliance.root / "words")
    words = (appliance.root / "words").read_text()
    assert usage.exit_code == 0, words
    assert "Traceback" not in words
    (session,) = appliance.sessions()
    assert tree(session / "originals/DCIM/100CANON") == tree(folder)
    assert len(objects(served, f"{appliance.prefix_root}{session.name}/")) == 2 * count + 2
    (link,) = (session / "share.txt").read_text().split()
    assert get(link).status == 200
    again = appliance.call("run", "--volume", str(folder.parents[1]), "--json")
    assert (again.code, again.document["skipped"], again.document["bytes"]) == (0, count, 0)
    assert appliance.status["card"]["safe_to_format"]
    mebibytes = usage.peak.pss >> 20
    print(f"{count:,} files: {usage.wall_seconds:.0f} s, {mebibytes} MiB; again {again.seconds:.1f} s")  # noqa: T201
    return usage.peak.pss


def assert_memory_is_bounded(root: Path, served: "Served", picture: bytes, *, few: int, many: int) -> None:
    peaks = []
    for number in (few, many):
        appliance = connected(root / str(number), served, GHOSTROLL_S3_PREFIX_ROOT=f"{root.name}/{number}/")
        peaks.append(load(appliance, served, picture, number))
        shutil.rmtree(appliance.root)
    assert peaks[0] > 0
    assert peaks[1] < peaks[0] + MARGIN_BYTES + GROWTH_BYTES_A_FILE * many


@pytest.mark.timeout(3600)
def test_memory_hardly_grows_with_many_small_pictures(
    served: "Served", tmp_path: Path, points: int, ledger: Ledger
) -> None:
    picture = save_photo(tmp_path / "picture.jpg", 1, (60, 40)).read_bytes()
    few, many = (500, 5000) if points >= LONG_FROM_POINTS else (40, 400)
    assert_memory_is_bounded(tmp_path, served, picture, few=few, many=many)
    record(ledger, FAULTS[0], many)


@pytest.mark.timeout(3600)
def test_memory_hardly_grows_with_many_large_pictures(
    served: "Served", tmp_path: Path, points: int, ledger: Ledger
) -> None:
    picture = save_photo(tmp_path / "picture.jpg", 1, (6000, 4000)).read_bytes()
    few, many = (30, 300) if points >= LONG_FROM_POINTS else (8, 24)
    assert_memory_is_bounded(tmp_path, served, picture, few=few, many=many)
    record(ledger, FAULTS[1], many)


def record(ledger: Ledger, fault: str, count: int) -> None:
    sees = f"nothing but the time it takes ({count:,} pictures)"
    ledger.record(fault=fault, how=HOW, times=1, survived=1, owner_sees=sees)
