"""What the pipeline asks of the root's helpers, as files."""

from pathlib import Path

import pytest

from ghostroll.appliance.helper_requests import HelperRequests
from ghostroll.base.errors import UsageError


@pytest.fixture
def run_directory(tmp_path: Path) -> Path:
    for name in ("requests", "notes"):
        (tmp_path / name).mkdir()
    return tmp_path


def asked(run_directory: Path) -> set[str]:
    return {file.name for file in (run_directory / "requests").iterdir()}


@pytest.mark.parametrize(
    ("device", "request_name"), [(None, "eject"), ("/dev/sda1", "eject-sda1"), ("mmcblk1p1", "eject-mmcblk1p1")]
)
def test_an_eject_is_asked_for_by_a_file_s_name(run_directory: Path, device: str | None, request_name: str) -> None:
    HelperRequests(run_directory).eject(device)
    HelperRequests(run_directory).eject(device)  # pressed again
    assert asked(run_directory) == {request_name}


@pytest.mark.parametrize("device", ["../x", "/dev/../etc/passwd", "sda 1", "/dev/", "sda1\n", "SDA1"])
def test_what_is_no_device_never_becomes_a_path(run_directory: Path, device: str) -> None:
    with pytest.raises(UsageError):
        HelperRequests(run_directory).eject(device)
    assert asked(run_directory) == set()


def test_a_card_is_given_back_only_while_it_is_the_one_that_is_mounted(run_directory: Path) -> None:
    requests = HelperRequests(run_directory)
    requests.release("/dev/sda1", "17")
    assert asked(run_directory) == set()
    (run_directory / "notes/sda1.mounted").write_text("18\n")
    requests.release("/dev/sda1", "17")
    assert asked(run_directory) == set()
    requests.release("/dev/sda1", "18")
    assert asked(run_directory) == {"release-sda1"}


def test_where_nobody_would_hear_it_a_release_is_nothing_and_an_eject_an_error(tmp_path: Path) -> None:
    requests = HelperRequests(tmp_path)
    requests.release("/dev/sda1", "17")
    with pytest.raises(UsageError, match="cannot be ejected here"):
        requests.eject()
    assert list(tmp_path.iterdir()) == []


def test_the_notes_tell_what_the_owner_wants_and_what_is_wrong(run_directory: Path) -> None:
    requests = HelperRequests(run_directory)
    assert (requests.is_eject_requested("sda1"), requests.is_ejected("sda1"), requests.filesystem_error("sda1")) == (
        False,
    ) * 2 + (None,)
    (run_directory / "notes/sda1.eject").write_text("asked\n")
    (run_directory / "notes/sda1.damaged").write_text("its filesystem is damaged.\n")
    assert (requests.is_eject_requested("/dev/sda1"), requests.is_ejected("/dev/sda1")) == (True, False)
    assert requests.filesystem_error("/dev/sda1") == "its filesystem is damaged."
    (run_directory / "notes/sda1.eject").write_text("ejected\n")
    assert (requests.is_eject_requested("sda1"), requests.is_ejected("sda1")) == (False, True)


def test_only_a_card_that_is_still_in_its_reader_is_present(run_directory: Path) -> None:
    reader = run_directory / "block/sda"
    reader.mkdir(parents=True)
    for name, text in (("diskseq", "7"), ("size", "4096")):
        (reader / name).write_text(f"{text}\n")
    requests = HelperRequests(run_directory, run_directory / "block")
    assert not requests.is_present("sda")  # never looked at
    (run_directory / "notes/sda.seen").write_text("7\n")
    assert requests.is_present("/dev/sda")
    (reader / "size").write_text("0\n")
    assert not requests.is_present("sda")
    (reader / "size").write_text("4096\n")
    (reader / "diskseq").write_text("8\n")
    assert not requests.is_present("sda")
    assert not requests.is_present("sdb")


def test_a_release_names_the_card_it_is_about(run_directory: Path) -> None:
    (run_directory / "notes/sda1.mounted").write_text("18\n")
    HelperRequests(run_directory).release("/dev/sda1", "18")
    assert (run_directory / "requests/release-sda1").read_text() == "18"
    assert {file.name for file in run_directory.iterdir()} == {"notes", "requests"}, "nothing half written is left"
