"""The root's helper that does what the requests ask for, with the appliance's places and its systemctl replaced."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parents[2] / "deploy" / "libexec"


class Helper:
    """The helper, in a directory of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        shutil.copytree(PROGRAMS, root / "libexec")
        places = root / "libexec" / "places.sh"
        places.write_text(places.read_text().replace("RUN=/run/ghostroll", f"RUN={root}/run"))
        for name in ("requests", "notes", "cards"):
            (root / "run" / name).mkdir(parents=True)
        (root / "bin").mkdir()
        self.says("systemctl", f'#!/bin/sh\necho "$@" >>{root}/calls\n')

    def says(self, name: str, text: str) -> None:
        program = self.root / "bin" / name
        program.write_text(text)
        program.chmod(0o755)

    @property
    def requests(self) -> Path:
        return self.root / "run" / "requests"

    def called(self) -> list[str]:
        """Run it and return what it asked systemd for."""
        path = f"{self.root / 'bin'}:{os.environ['PATH']}"
        subprocess.run([self.root / "libexec" / "card-requests"], env={"PATH": path}, check=True, capture_output=True)
        calls = self.root / "calls"
        found = calls.read_text().splitlines() if calls.exists() else []
        calls.unlink(missing_ok=True)
        return found


@pytest.fixture
def helper(tmp_path: Path) -> Helper:
    return Helper(tmp_path)


def test_a_request_to_shut_down_is_heard_once_and_leaves_nothing_that_would_start_the_unit_again(
    helper: Helper,
) -> None:
    (helper.requests / "power-off").touch()
    assert helper.called() == ["poweroff"]
    assert list(helper.requests.iterdir()) == []
    assert helper.called() == []


def test_a_card_that_does_not_let_go_does_not_keep_the_machine_from_shutting_down(helper: Helper) -> None:
    for name in ("eject", "power-off", "release-sda1"):
        (helper.requests / name).touch()
    assert helper.called()[0] == "poweroff"
    assert list(helper.requests.iterdir()) == []


@pytest.mark.parametrize("name", ["power-off2", "Power-off", "power-off ", "sign-anew", "x;systemctl poweroff"])
def test_other_names_mean_nothing_and_are_cleared_away(helper: Helper, name: str) -> None:
    (helper.requests / name).touch()
    assert helper.called() == []
    assert list(helper.requests.iterdir()) == []


def test_links_are_removed_and_never_followed(helper: Helper) -> None:
    precious = helper.root / "precious"
    (precious / "kept").mkdir(parents=True)
    (helper.requests / "power-off").symlink_to(precious)
    (helper.requests / "elsewhere").symlink_to(precious)
    assert helper.called() == ["poweroff"]
    assert list(helper.requests.iterdir()) == []
    assert (precious / "kept").is_dir()


def note(helper: Helper, kind: str, text: str) -> Path:
    file = helper.root / "run" / "notes" / f"sda1.{kind}"
    file.write_text(f"{text}\n")
    return file


@pytest.mark.parametrize(("named", "is_done"), [("7", True), ("", True), ("8", False), ("7 8", False)])
def test_a_release_is_for_the_card_that_it_names(helper: Helper, named: str, is_done: bool) -> None:
    note(helper, "mounted", "7")
    (helper.requests / "release-sda1").write_text(named)
    assert ("stop ghostroll-card@sda1.service" in helper.called()) == is_done
    assert list(helper.requests.iterdir()) == []


def test_a_release_that_is_no_file_is_for_whatever_card_is_there_and_read_from_nowhere(helper: Helper) -> None:
    note(helper, "mounted", "7")
    precious = helper.root / "precious"
    precious.write_text("8")
    (helper.requests / "release-sda1").symlink_to(precious)
    os.mkfifo(helper.requests / "release-sdb1")  # nobody ever writes into it
    assert helper.called() == ["stop ghostroll-card@sda1.service", "stop ghostroll-card@sdb1.service"]
    assert precious.read_text() == "8"


@pytest.mark.parametrize(
    ("told", "is_asked"),
    [("ActiveState=activating", True), ("ActiveState=inactive\\nJob=42", True), ("ActiveState=inactive", False)],
)
def test_an_eject_of_a_card_that_is_just_being_mounted_waits_for_its_run(
    helper: Helper, told: str, is_asked: bool
) -> None:
    note(helper, "seen", "7")
    helper.says("systemctl", f'#!/bin/sh\nprintf "{told}\\n"\n')
    (helper.requests / "eject-sda1").touch()
    helper.called()
    assert (helper.root / "run/notes/sda1.eject").read_text() == ("asked\n" if is_asked else "ejected\n")
