"""One run as a whole, where the store is out of reach."""

import threading
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from ghostroll.base.config import Settings
from ghostroll.base.errors import StoreUnreachable
from ghostroll.pipeline.pipeline import run_pipeline
from ghostroll.pipeline.run import Run
from ghostroll.status.model import State, Step
from ghostroll.store.s3 import Store
from tests.support.appliance import save_photo

if TYPE_CHECKING:
    from tests.support.bench import Bench


def no_store() -> Store:
    raise StoreUnreachable("There is no network.")


@pytest.fixture
def new_run(bench: "Bench", store_settings: Callable[..., Settings]) -> Callable[[Callable[[], None]], Run]:
    """Begin a run that gives this sign of life; the status record is the same for all."""
    settings = store_settings(bench.session.base_dir)

    def begin(heartbeat: Callable[[], None]) -> Run:
        stop = threading.Event()
        return Run(settings, bench.catalog, bench.record, no_store, stop, give_up_seconds=0.2, heartbeat=heartbeat)

    return begin


def test_each_phase_that_may_last_gives_signs_of_life_file_by_file(
    bench: "Bench", new_run: Callable[[Callable[[], None]], Run]
) -> None:
    number = 4
    for n in range(number):
        save_photo(bench.card.root / f"DCIM/100/{n}.JPG", n, (60, 40))
    signs = Counter[Step]()

    def heartbeat() -> None:
        signs[bench.record.status.step] += 1

    assert run_pipeline(new_run(heartbeat), bench.card.volume()).state == State.WAITING
    assert signs[Step.GALLERY] >= number  # the zip
    signs.clear()
    bench.record.change(step=Step.WATCH)
    assert run_pipeline(new_run(heartbeat), bench.card.volume()).ingested == number  # of both runs, in one record
    assert signs[Step.WATCH] >= number  # the card is listed
    assert signs[Step.SCAN] >= 2 * number  # what is known is told from what is new, then looked at closer
    assert sum(signs.values()) >= 6 * number  # looked at again before its end; may it be formatted; the zip
