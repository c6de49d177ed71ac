"""The steady loop where the machine itself is in trouble."""

import errno
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ghostroll.base.config import Settings
from ghostroll.base.errors import ConfigurationError
from ghostroll.pipeline.invocation import open_invocation
from ghostroll.service.run_journal import RunJournal
from ghostroll.service.watch import Watch


def test_a_disk_that_fails_for_a_while_does_not_end_it_and_is_said_once(
    store_settings: Callable[..., Settings],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    turns = 0
    in_trouble = threading.Event()
    in_trouble.set()

    def update(_: RunJournal) -> None:
        nonlocal turns
        turns += 1
        if in_trouble.is_set():
            raise OSError(errno.ENOSPC, "No space left on device")

    def wait_for_turns(more: int) -> None:
        until, deadline = turns + more, time.monotonic() + 10
        while turns < until and time.monotonic() < deadline:
            time.sleep(0.01)
        assert turns >= until

    monkeypatch.setattr(RunJournal, "update", update)
    with open_invocation(store_settings(tmp_path / "base", mount_roots="")) as invocation:
        loop = threading.Thread(target=Watch(invocation, poll_seconds=0.02).until_stopped)
        with caplog.at_level(logging.WARNING, "ghostroll"):
            loop.start()
            wait_for_turns(5)
            in_trouble.clear()
            wait_for_turns(2)
            in_trouble.set()
            wait_for_turns(3)
        invocation.stop.set()
        loop.join(10)
        assert not loop.is_alive()
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [message.split(".")[0] for message in warned] == ["The disk is full"] * 2


def test_a_catalog_that_is_not_what_was_written_ends_it(
    store_settings: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = store_settings(tmp_path / "base", mount_roots="")
    monkeypatch.setattr(RunJournal, "update", lambda _: settings.db_path.unlink())
    with pytest.raises(ConfigurationError, match="deleted or replaced"), open_invocation(settings) as invocation:
        Watch(invocation, poll_seconds=0.02).until_stopped()
