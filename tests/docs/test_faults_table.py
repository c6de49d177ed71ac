"""The table of faults in docs/reliability.md is that of the tests."""

from pathlib import Path

import pytest

from tests.faults.ledger import BEGIN, DOCUMENT, END, Ledger, Row, declared, table


def test_every_fault_that_is_made_has_its_row_and_no_row_is_without_a_test() -> None:
    assert [row.fault for row in table(DOCUMENT.read_text())] == declared()


def test_no_fault_is_made_by_two_tests() -> None:
    assert len(set(declared())) == len(declared())


def test_whatever_was_made_was_survived() -> None:
    assert [row.fault for row in table(DOCUMENT.read_text()) if row.times == 0 or row.survived < row.times] == []


@pytest.fixture
def document(tmp_path: Path) -> Path:
    file = tmp_path / "reliability.md"
    file.write_text(f"Before.\n\n{BEGIN}\n{END}\n\nAfter.\n")
    return file


def test_what_was_measured_takes_the_place_of_older_figures_of_the_same_fault(document: Path) -> None:
    first, second, *_ = declared()
    older, newer = Ledger(), Ledger()
    for fault in (second, first):
        older.record(fault=fault, how="so", times=1000, survived=999, owner_sees="nothing")
    for _ in range(2):
        newer.record(fault=second, how="so", times=2, survived=2, owner_sees="exit 3")
    older.write("Older.", document)
    newer.write("Newer.", document)
    assert table(document.read_text()) == [
        Row(first, "so", 1000, 999, "nothing"),
        Row(second, "so", 4, 4, "exit 3"),
    ]
    lines = document.read_text().splitlines()
    assert (lines[0], lines[-1]) == ("Before.", "After.")
    assert lines[lines.index("Older.") + 1] == f"Measured apart from these: {second}. Newer."


def test_what_was_all_measured_again_is_told_as_one(document: Path) -> None:
    for line in ("Older.", "Newer."):
        kept = Ledger()
        for fault in declared():
            kept.record(fault=fault, how="so", times=1, survived=1, owner_sees="nothing")
        kept.write(line, document)
    assert "Newer." in document.read_text().splitlines()
    assert "Older." not in document.read_text()


def test_a_program_was_killed_at_two_hundred_points_or_more() -> None:
    assert sum(row.times for row in table(DOCUMENT.read_text()) if row.fault.startswith("`kill -9` of ")) >= 200


def test_a_fault_that_no_test_declares_is_refused() -> None:
    with pytest.raises(ValueError, match="FAULTS"):
        Ledger().record(fault="a comet", how="", times=1, survived=1, owner_sees="")
