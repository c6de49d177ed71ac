"""A Debian with GhostRoll installed as an owner installs it; each test has one of its own, minutes after power on."""

import itertools
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ghostroll.store.endpoint import StoreEndpoint
from tests.machine import cardimages, machineimage
from tests.machine.cardimages import Card, CardMaker, Shape
from tests.machine.installed import Installed
from tests.machine.installing import configure_anew, install, prepare, pretend_board
from tests.machine.machine import Machine, SavedState, booted
from tests.support.road import Road

# For work on these tests: the installed machine is kept in this directory, and the next run goes on from it.
KEPT = Path(os.environ["GHOSTROLL_VM_INSTALLED"]) if "GHOSTROLL_VM_INSTALLED" in os.environ else None
REPOSITORY = Path(__file__).parents[2]
TEST_SECONDS = 3600  # the first one builds the image, boots the machine and installs the bundle, all emulated


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(TEST_SECONDS))


@pytest.fixture(scope="session")
def bundle() -> Path:
    """What an owner downloads: `GHOSTROLL_BUNDLE`, or one made of what lies here."""
    if given := os.environ.get("GHOSTROLL_BUNDLE"):
        return Path(given)
    subprocess.run(["make", "bundle", "ARCH=amd64"], cwd=REPOSITORY, check=True)
    made = max((REPOSITORY / "dist").glob("ghostroll-*-amd64.tar.gz"), key=lambda path: path.stat().st_mtime)
    return Path(made)


@pytest.fixture(scope="session")
def endpoint(request: pytest.FixtureRequest) -> StoreEndpoint:
    """The bucket of this test session."""
    found: StoreEndpoint = request.getfixturevalue("served").endpoint
    return found


@pytest.fixture(scope="session")
def road(endpoint: StoreEndpoint) -> Iterator[Road]:
    """The way from the machine to the bucket; links lead over it as well."""
    made = Road(int(endpoint.local_url.rpartition(":")[2]))
    yield made
    made.shut()


@pytest.fixture(scope="session")
def plain_state() -> SavedState:
    """A machine that has booted and knows nothing of GhostRoll."""
    return booted(machineimage.obtain())


@pytest.fixture(scope="session")
def installed_state(
    plain_state: SavedState,
    bundle: Path,
    road: Road,
    endpoint: StoreEndpoint,
    tmp_path_factory: pytest.TempPathFactory,
) -> SavedState:
    """A machine after `install.sh`: the state that tests begin with."""
    place = KEPT or tmp_path_factory.mktemp("installed")
    if (place / "memory").exists():
        return SavedState(plain_state.image, place / "disk.qcow2", place / "memory")
    machine = Machine(plain_state.image, place / "machine")
    machine.shell.outward.add(road.port)
    machine.start(plain_state)
    try:
        prepare(machine, endpoint, road.url)
        pretend_board(machine)
        install(machine, bundle)
        return machine.save(place)
    finally:
        machine.power_cut()


@pytest.fixture
def plain(plain_state: SavedState, tmp_path: Path) -> Iterator[Machine]:
    """A machine before anything is installed."""
    made = Machine(plain_state.image, tmp_path / "plain")
    made.start(plain_state)
    yield made
    made.stop()


@pytest.fixture
def fresh(plain: Machine, road: Road) -> Installed:
    """An owner's machine on which GhostRoll is still to be installed."""
    return Installed(plain, road)


@pytest.fixture
def pi(installed_state: SavedState, road: Road, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Installed]:
    """An owner's machine, idle, with an empty disk and the network up."""
    machine = Machine(installed_state.image, tmp_path / "machine")
    machine.shell.outward.add(road.port)
    machine.start(installed_state)
    if KEPT:
        configure_anew(machine, request.getfixturevalue("endpoint"), road.url)
    made = Installed(machine, road)
    failures = request.session.testsfailed
    yield made
    if request.session.testsfailed > failures:
        print(made.told())  # noqa: T201 - pytest shows it with the failure
    machine.stop()
    road.mend()


@pytest.fixture
def make_card(tmp_path: Path) -> CardMaker:
    """Return a function that makes a card of so many photos, unlike those of any other card, but named the same."""
    numbers = itertools.count()

    def make(photos: int, **shape: str | bool) -> Card:
        number = next(numbers)
        first = 1000 * number + 1
        content = cardimages.draw_photos(tmp_path / f"content{number}", range(first, first + photos))
        return cardimages.make(tmp_path / f"card{number}.img", content, Shape(**shape))  # type: ignore[arg-type]

    return make


@pytest.fixture
def offline(pi: Installed) -> Iterator[Callable[[bool], None]]:
    """Return a function that takes the network away, or gives it back."""

    def take(away: bool) -> None:
        if away:
            pi.machine.shell.cut_way(pi.road.port)
            pi.road.shut()
        else:
            pi.road.reopen()
            pi.machine.shell.open_way(pi.road.port)

    yield take
    if pi.road.port not in pi.machine.shell.outward:
        pi.road.reopen()
