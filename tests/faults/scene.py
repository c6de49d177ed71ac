"""One card, what it comes to undisturbed, and how a disturbed run is held against that."""

import random
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tests.faults.injection import Fault, Shim
from tests.faults.outcome import Outcome, assert_saved_is_there, assert_whole, outcome
from tests.support.appliance import Appliance, connected, save_noise, save_photo

if TYPE_CHECKING:
    from tests.faults.ledger import Ledger
    from tests.support.served import Served

_Point = TypeVar("_Point")
# Points mostly wait, and the machine may be small.
_AT_ONCE = 3
# One picture cannot be decoded, which is said once.
DONE = (0, 3)


def make_scene_card(root: Path) -> Path:
    """Write a small card with a twin, a RAW file, a video, two names that meet, and a broken picture."""
    folder = root / "DCIM/100CANON"
    for seed in range(4):
        save_photo(folder / f"IMG_{seed:04}.JPG", seed)
    shutil.copy(folder / "IMG_0002.JPG", folder / "IMG_0009.JPG")
    save_photo(root / "DCIM/100canon/img_0001.jpg", 11)
    save_noise(folder / "IMG_0003.CR2", 200_000, 1)
    save_noise(folder / "BROKEN.JPG", 50_000, 2, b"\xff\xd8\xff\xe0")
    save_noise(folder / "MVI_0001.MP4", 3 << 20, 3)
    return root


@dataclass(frozen=True)
class Scene:
    """What every point starts from. `calls` is what an undisturbed run does to the disk."""

    served: "Served"
    shim: Shim
    card: Path
    place: Path
    undisturbed: Outcome
    calls: tuple[str, ...]
    seconds: float

    @contextmanager
    def appliance(self, name: str) -> Iterator[Appliance]:
        """Give an appliance with a disk and a prefix in the bucket of its own; gone afterwards if all was well."""
        made = self.connected(name)
        try:
            yield made
        finally:
            made.kill_all()
        shutil.rmtree(made.root)

    def connected(self, name: str) -> Appliance:
        environment = {"GHOSTROLL_S3_PREFIX_ROOT": f"{name}/", "GHOSTROLL_MOUNT_ROOTS": str(self.card.parent)}
        return connected(self.place / name, self.served, **environment)

    def run_under(self, appliance: Appliance, fault: Fault, *command: str) -> str:
        """Run a command until the fault has killed it, or it ended; return what was hit, "" for nothing."""
        child, notes = self.shim.start(appliance, fault, *command)
        appliance.end(child)
        return notes.read_text().strip() if notes.exists() else ""

    @property
    def run(self) -> tuple[str, ...]:
        return ("run", "--volume", str(self.card), "--json")

    def finish(self, appliance: Appliance, *, without_card: bool = False) -> None:
        """Run the card again, and once more; the end is as undisturbed.

        `without_card` was `resume` at work before, which takes in copies that nobody compared with the card.
        """
        ended = appliance.call(*self.run)
        assert ended.code in DONE, (ended.code, ended.err)
        assert_whole(appliance, self.served, self.card, self.undisturbed, taken_in=without_card)
        assert self.unfinished_uploads(appliance) == []

    def resume(self, appliance: Appliance) -> None:
        ended = appliance.call("resume", "--json")
        assert ended.code in DONE, (ended.code, ended.err)

    def unfinished_uploads(self, appliance: Appliance) -> list[str]:
        """Return the keys of multipart uploads that were begun and neither completed nor aborted."""
        found = self.served.client.list_multipart_uploads(
            Bucket=self.served.endpoint.bucket, Prefix=appliance.prefix_root
        )
        return [upload["Key"] for upload in found.get("Uploads", [])]


def make_scene(served: "Served", shim: Shim, place: Path) -> Scene:
    """Run the card undisturbed, with every call written down."""
    card = make_scene_card(place / "media/card")
    scene = Scene(served, shim, card, place, Outcome({}, {}, {}), (), 0.0)
    appliance = scene.connected("undisturbed")
    child, notes = shim.start(appliance, Fault(), *scene.run)
    ended = appliance.end(child)
    assert ended.code == 3, ended.err
    return replace(
        scene,
        undisturbed=outcome(appliance, served),
        calls=tuple(notes.read_text().splitlines()),
        seconds=ended.seconds,
    )


def saved_is_there(appliance: Appliance) -> int:
    """Check the disk as a crash left it, on a copy of the catalog: its journal is for the program to recover."""
    seen = appliance.root / "seen"
    shutil.copytree(appliance.database.parent, seen / "state") if appliance.database.exists() else seen.mkdir()
    (seen / "base").symlink_to(appliance.base)
    count = assert_saved_is_there(replace(appliance, root=seen))
    shutil.rmtree(seen)
    return count


def spread(count: int, most: int, chance: random.Random) -> list[int]:
    """Return `count` numbers from 1 to `most`, one at a random place of each equal part; all where that is fewer."""
    if count >= most:
        return list(range(1, most + 1))
    return [1 + int((part + chance.random()) * most / count) for part in range(count)]


@dataclass(frozen=True)
class Tally:
    """How many points did what they should have done to the run, and what went wrong after some of them."""

    times: int
    wrong: tuple[str, ...]

    @property
    def survived(self) -> int:
        return self.times - len(self.wrong)


def tally(points: Iterable[_Point], trial: Callable[[int, _Point], bool]) -> Tally:
    """Try all points, a few at once. `trial` gets the number of the point and tells whether the fault struck."""

    def tried(numbered: tuple[int, _Point]) -> bool | str:
        number, point = numbered
        try:
            return trial(number, point)
        except Exception as error:  # noqa: BLE001 - reported with all others
            return f"{point}: {type(error).__name__}: {error}"

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        ended = list(pool.map(tried, enumerate(points)))
    return Tally(sum(map(bool, ended)), tuple(each for each in ended if isinstance(each, str)))


def recorded(ledger: "Ledger", fault: str, how: str, result: Tally, owner_sees: str) -> None:
    """Put a tally into the ledger; fails where a point did not survive, or none was hit."""
    ledger.record(fault=fault, how=how, times=result.times, survived=result.survived, owner_sees=owner_sees)
    assert not result.wrong, "\n".join(result.wrong)
    assert result.times > 0, "no point was hit"
