import logging
import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostroll.base import log
from ghostroll.base.log import logger, printable

any_text = st.text(st.characters(codec=None, exclude_categories=()))
SAY = """
from ghostroll.base import log
log.setup()
log.logger.info("one\\ntwo")
log.logger.warning("three")
log.logger.debug("unheard")
"""


@pytest.fixture(autouse=True)
def _quiet() -> None:
    logger.handlers[:] = [logging.NullHandler()]


@given(any_text)
def test_printable_text_has_nothing_that_moves_the_cursor_or_fools_the_eye(text: str) -> None:
    shown = printable(text)
    assert not {unicodedata.category(char) for char in shown} & {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    assert not {unicodedata.bidirectional(char) for char in shown} & {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI"}
    shown.encode()  # so it fits into JSON and a terminal


@given(st.text(st.characters(exclude_categories=("C", "Z"))))
def test_ordinary_text_of_any_language_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


@given(st.binary())
def test_names_that_are_not_text_can_be_shown(raw: bytes) -> None:
    printable(os.fsdecode(raw)).encode()


def test_what_was_hidden_can_be_recognised() -> None:
    assert printable("a\nb\x1b[2J\u202egpj.exe\udcff") == "a\\nb\\x1b[2J\\u202egpj.exe\\udcff"


def run_with_stderr(file: Path, journal_stream: str) -> list[str]:
    with file.open("wb") as stderr:
        facts = os.fstat(stderr.fileno())
        stream = journal_stream.format(device=facts.st_dev, inode=facts.st_ino)
        environment = {**os.environ, "JOURNAL_STREAM": stream}
        subprocess.run([sys.executable, "-c", SAY], stderr=stderr, check=True, env=environment)
    return file.read_text().splitlines()


def test_every_line_for_the_journal_has_its_priority(tmp_path: Path) -> None:
    assert run_with_stderr(tmp_path / "err", "{device}:{inode}") == ["<6>one", "<6>two", "<4>three"]


@pytest.mark.parametrize("stream", ["", "1:2", "nonsense", "{device}", "{device}:0"])
def test_lines_for_a_terminal_have_a_time_and_no_priority(tmp_path: Path, stream: str) -> None:
    lines = run_with_stderr(tmp_path / "err", stream)
    assert lines[0].endswith(" one")
    assert not any(line.startswith("<") for line in lines)


def test_the_session_log_takes_every_line_as_long_as_it_lasts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logger, "propagate", False)  # pytest-xdist cannot send a captured surrogate
    file = tmp_path / "ghostroll.log"
    logger.info("before")
    with log.log_to_file(file):
        logger.debug("A debug line.")
        logger.warning("A name %s.", "\udcff")
    with log.log_to_file(file):
        logger.info("Again.")
    logger.info("after")
    lines = file.read_text().splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == [
        "DEBUG A debug line.",
        "WARNING A name \\udcff.",
        "INFO Again.",
    ]


def test_a_session_without_a_line_has_no_log(tmp_path: Path) -> None:
    with log.log_to_file(tmp_path / "ghostroll.log"):
        pass
    assert not list(tmp_path.iterdir())


def test_a_log_that_cannot_be_opened_ends_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log.setup()
    with log.log_to_file(tmp_path / "missing" / "ghostroll.log"):
        logger.info("A line.")
    assert "missing/ghostroll.log cannot be written: No such file or directory." in capsys.readouterr().err


def test_a_full_disk_costs_the_session_log_alone_and_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    log.setup()
    with log.log_to_file(Path("/dev/full")):
        for number in range(3):
            logger.info("Line %d.", number)
    lines = [line.split(" ", 1)[1] for line in capsys.readouterr().err.splitlines()]
    reason = "The log /dev/full cannot be written: No space left on device."
    assert sorted(lines) == sorted(["Line 0.", reason, "Line 1.", "Line 2."])
