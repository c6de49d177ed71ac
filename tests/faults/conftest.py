"""How many faults are made, with what seed, and where the measured figures go."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

# They assert for the tests.
pytest.register_assert_rewrite("tests.faults.outcome", "tests.faults.scene")

from tests.faults.injection import Shim, build_shim  # noqa: E402
from tests.faults.ledger import Ledger, header  # noqa: E402
from tests.faults.scene import Scene, make_scene  # noqa: E402

if TYPE_CHECKING:
    from tests.support.served import Served


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("faults")
    group.addoption("--points", type=int, default=8, metavar="N", help="faults of each kind (default: %(default)s)")
    group.addoption("--seed", type=int, default=1, metavar="N", help="of what is left to chance (default: %(default)s)")
    group.addoption("--table", action="store_true", help="write the measured figures into docs/reliability.md")


@pytest.fixture(scope="session")
def points(pytestconfig: pytest.Config) -> int:
    """How many faults of each kind are made; few in `make test`, 240 in `make faults`."""
    asked: int = pytestconfig.getoption("--points")
    return asked


@pytest.fixture(scope="session")
def seed(pytestconfig: pytest.Config) -> int:
    asked: int = pytestconfig.getoption("--seed")
    return asked


@pytest.fixture(scope="session")
def ledger(
    pytestconfig: pytest.Config, points: int, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ledger]:
    """What was measured; with `--table` it goes into docs/reliability.md when all tests have ended."""
    kept = Ledger()
    yield kept
    if pytestconfig.getoption("--table"):
        kept.write(header(points, seed, tmp_path_factory.getbasetemp()))


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Shim:
    """The library that makes faults at a chosen call."""
    return build_shim(tmp_path_factory.mktemp("shim"))


@pytest.fixture(scope="session")
def scene(served: "Served", shim: Shim, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """One card, and what it comes to undisturbed."""
    return make_scene(served, shim, tmp_path_factory.mktemp("scene"))
