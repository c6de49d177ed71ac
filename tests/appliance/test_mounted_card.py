"""A card in the appliance's slot goes back to its owner: when it was read, and when it is wanted."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ghostroll.appliance.helper_requests import HelperRequests, MountedCard
from ghostroll.base.errors import CardEjected, UsageError

if TYPE_CHECKING:
    from tests.support.bench import Bench


@pytest.fixture
def requests(tmp_path: Path) -> HelperRequests:
    for name in ("requests", "notes"):
        (tmp_path / name).mkdir()
    (tmp_path / "notes" / "sda1.mounted").write_text("7\n")
    (tmp_path / "notes" / "sda1.seen").write_text("7\n")
    return HelperRequests(tmp_path)


def asked(requests: HelperRequests) -> list[str]:
    return sorted(file.name for file in (requests.run_directory / "requests").iterdir())


def test_a_card_is_given_back_by_name(requests: HelperRequests) -> None:
    MountedCard(requests, "/dev/sda1", "7").release()
    assert asked(requests) == ["release-sda1"]
    assert requests.devices() == ["sda1"]


def test_another_card_in_the_same_slot_is_not_given_back(requests: HelperRequests) -> None:
    MountedCard(requests, "/dev/sda1", "6").release()
    assert asked(requests) == []


@pytest.mark.parametrize("device", ["../sda1", "/dev/../sda1", "sda1;reboot", "", "SDA1"])
def test_what_is_no_device_is_refused(requests: HelperRequests, device: str) -> None:
    with pytest.raises(UsageError):
        MountedCard(requests, device, "7").release()
    assert asked(requests) == []


def test_a_card_that_is_wanted_back_is_left_after_its_current_file(bench: "Bench") -> None:
    for name in ("A", "B", "C"):
        bench.card.write(f"DCIM/100/{name}.JPG", name.encode())
    ingest = bench.ingest()
    wanted = iter([False, True])
    ingest.is_eject_requested = lambda: next(wanted)
    with pytest.raises(CardEjected) as ejected:
        ingest.read(bench.plan().to_read)
    ingest.close()
    assert ejected.value.exit_code == 74
    assert list(bench.saved()) == ["DCIM/100/A.JPG"]
    bench.assert_catalogued_means_safe()
