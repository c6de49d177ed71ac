import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostroll.status.model import Bytes, Counts, State, Status, Step
from ghostroll.status.systemd import SystemdNotifier, ascii_fold


class Manager:
    """Takes what systemd would take."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.setblocking(False)

    def heard(self) -> list[list[str]]:
        """The datagrams that came, as lines."""
        datagrams = []
        while True:
            try:
                datagrams.append(self.socket.recv(65536).decode().split("\n"))
            except BlockingIOError:
                return datagrams


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    monkeypatch.chdir(tmp_path)  # the address of a socket is short
    monkeypatch.setenv("NOTIFY_SOCKET", "notify")
    made = Manager("notify")
    yield made
    made.socket.close()


@pytest.fixture
def notifier(manager: Manager) -> Iterator[SystemdNotifier]:
    assert manager.socket.getsockname() == "notify"
    made = SystemdNotifier()
    yield made
    made._notify.socket.close()


def test_without_systemd_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    SystemdNotifier()(Status(message="x"))


def test_systemd_is_told_once_that_the_program_is_ready_and_always_what_it_does(
    manager: Manager, notifier: SystemdNotifier
) -> None:
    notifier(Status(message="Waiting for SD card…"))
    notifier(Status(message="Reading the card: keep it in."))
    first, second = manager.heard()
    assert {"READY=1", "STATUS=Waiting for SD card..."} <= set(first)
    assert second == ["STATUS=Reading the card: keep it in."]


def test_the_watchdog_is_fed_by_progress_alone(manager: Manager, notifier: SystemdNotifier) -> None:
    status = Status()
    turns = [
        status,
        replace(status, updated_at="later", message="words are no progress"),
        replace(status, bytes=Bytes(1, 9)),
        replace(status, bytes=Bytes(1, 9)),
        replace(status, counts=Counts(uploaded=1)),
        replace(status, step=Step.UPLOAD),
        replace(status, state=State.RUNNING),
    ]
    for turn in turns:
        notifier(turn)
    fed = ["WATCHDOG=1" in lines for lines in manager.heard()]
    assert fed == [True, False, True, False, True, True, True]


def test_a_message_cannot_tell_systemd_anything_else(manager: Manager, notifier: SystemdNotifier) -> None:
    notifier(Status(message="Card A\nMAINPID=1\nSTOPPING=1\r\nB"))
    (lines,) = manager.heard()
    assert {line.partition("=")[0] for line in lines} <= {"STATUS", "READY", "WATCHDOG"}


@given(st.text())
def test_whatever_the_message_it_is_one_line_of_ascii(text: str) -> None:
    folded = ascii_fold(text)
    assert folded.isascii()
    assert len(folded.splitlines()) <= 1


@given(st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S", "Zs"))))
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert ascii_fold(text) == text


def test_letters_with_marks_lose_them() -> None:
    assert ascii_fold("Señor Ångström is waiting…") == "Senor Angstrom is waiting..."


def test_progress_that_no_count_shows_feeds_the_watchdog_but_not_at_every_step(
    manager: Manager, notifier: SystemdNotifier
) -> None:
    for _ in range(50):
        notifier.heartbeat()
    assert manager.heard() == [["WATCHDOG=1"]]
