"""What the tests of this directory measured, as the table in docs/reliability.md.

A test module names the faults that it makes in a module-level tuple of literals, `FAULTS`, so that they can be read
without running it. A test records what it measured with `Ledger.record`. With `--table` the rows that were recorded
take the place of the older ones of the same fault; the others stay, and the line that tells how they were measured.
"""

import ast
import os
import platform
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).parent
DOCUMENT = HERE.parents[1] / "docs/reliability.md"
BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"
COLUMNS = ("fault", "how it is made", "times", "survived", "what the owner sees")
CORES = {"x86_64": "x86", "aarch64": "ARM"}


@dataclass(frozen=True)
class Row:
    """One fault: how often it was made, and how often nothing was lost and the next run completed."""

    fault: str
    how: str
    times: int
    survived: int
    owner_sees: str

    def text(self) -> str:
        cells = (self.fault, self.how, f"{self.times:,}", f"{self.survived:,}", self.owner_sees)
        if any("|" in cell or "\n" in cell for cell in cells):
            raise ValueError(f"no cell of a table: {cells}")
        return f"| {' | '.join(cells)} |"

    @classmethod
    def parse(cls, line: str) -> "Row":
        fault, how, times, survived, owner_sees = (cell.strip() for cell in line.strip().strip("|").split("|"))
        return cls(fault, how, int(times.replace(",", "")), int(survived.replace(",", "")), owner_sees)


def declared(directory: Path = HERE) -> list[str]:
    """Return the faults that the tests make, in the order of the table: by module, then as the module has them."""
    return [fault for module in sorted(directory.glob("test_*.py")) for fault in _declared_in(module)]


def _declared_in(module: Path) -> tuple[str, ...]:
    for statement in ast.parse(module.read_bytes()).body:
        match statement:
            case (
                ast.Assign(targets=[ast.Name("FAULTS")], value=value)
                | ast.AnnAssign(target=ast.Name("FAULTS"), value=ast.expr() as value)
            ):
                found: tuple[str, ...] = ast.literal_eval(value)
                return found
    return ()


@dataclass
class Ledger:
    """The rows of one test session."""

    rows: dict[str, Row] = field(default_factory=dict)

    def record(self, *, fault: str, how: str, times: int, survived: int, owner_sees: str) -> None:
        """Add a row; what is recorded of one fault more than once is added up."""
        if fault not in declared():
            raise ValueError(f"{fault!r} stands in no FAULTS of tests/faults/test_*.py")
        before = self.rows.get(fault, Row(fault, how, 0, 0, owner_sees))
        self.rows[fault] = replace(before, times=before.times + times, survived=before.survived + survived)

    def write(self, header: str, document: Path = DOCUMENT) -> None:
        """Merge the rows into the table of a document."""
        if not self.rows:
            return
        text = document.read_text()
        older = {row.fault: row for row in table(text)}
        rows = older | self.rows
        if older.keys() - self.rows.keys() and (line := first_line(text)):  # how the rows that stay were measured
            apart = ", ".join(fault for fault in declared() if fault in self.rows)
            header = f"{line}\nMeasured apart from these: {apart}. {header}"
        lines = [f"| {' | '.join(COLUMNS)} |", "| --- | --- | ---: | ---: | --- |"]
        lines += [rows[fault].text() for fault in declared() if fault in rows]
        before, after = text.split(BEGIN)[0], text.split(END)[1]
        document.write_text("\n".join([f"{before}{BEGIN}", header, "", *lines, f"{END}{after}"]))


def table(text: str) -> list[Row]:
    """Return the rows between the markers of a document."""
    lines = text.split(BEGIN)[1].split(END, maxsplit=1)[0].splitlines()
    cells = [line for line in lines if line.startswith("|")]
    return [Row.parse(line) for line in cells[2:]]


def first_line(text: str) -> str:
    """Return the line above the table that tells how all of it was measured; "" where there is none."""
    return text.split(BEGIN)[1].split("|", maxsplit=1)[0].strip().partition("\n")[0]


def header(points: int, seed: int, directory: Path) -> str:
    """Return the line above the table: how and where it was measured."""
    cores = f"{os.cpu_count()} {CORES.get(platform.machine(), platform.machine())} cores"
    kernel = ".".join(platform.release().split(".")[:2])
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    machine = f"{cores}, {platform.system()} {kernel}, {filesystem(directory)}"
    return f"Last measured by `make faults` on {day} (UTC): seed {seed}, {points} points, {machine}."


def filesystem(directory: Path) -> str:
    """Return the type of the filesystem that holds a directory (proc_pid_mountinfo(5))."""
    found = ("", "unknown")
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        place, kind = line.split()[4], line.partition(" - ")[2].split()[0]
        if directory.resolve().is_relative_to(place) and len(place) >= len(found[0]):
            found = (place, kind)
    return found[1]
