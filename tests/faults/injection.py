"""Faults at a chosen call of the program: how `shim.c` is built and told what to do."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.appliance import Appliance

SOURCE = Path(__file__).with_name("shim.c")


@dataclass(frozen=True)
class Fault:
    """What happens at the call with number `at`; at 0 nothing does, and all calls are told.

    `what` is `kill`, or the name of an errno, with which from then on every call fails where it `lasts`.
    """

    what: str = ""
    at: int = 0
    lasts: bool = False

    def __str__(self) -> str:
        return f"{self.what}{' from' if self.lasts else ''} at call {self.at}"


@dataclass(frozen=True)
class Shim:
    """The built library."""

    library: Path

    def environment(self, fault: Fault, places: list[Path], notes: Path) -> dict[str, str]:
        """Return what a program needs in its environment; calls below `places` count, `notes` says what was hit."""
        environment = {
            "LD_PRELOAD": str(self.library),
            "FAULTS_UNDER": ":".join(map(str, places)),
            "FAULTS_COUNTER": f"{notes}.count",
            "FAULTS_LOG": str(notes),
            "FAULTS_AT": str(fault.at),
            "FAULTS_DO": fault.what,
            "FAULTS_FOR": "on" if fault.lasts else "once",
        }
        return environment if fault.at else {**environment, "FAULTS_TRACE": "1"}

    def start(self, appliance: Appliance, fault: Fault, *arguments: str) -> tuple["subprocess.Popen[bytes]", Path]:
        """Start `ghostroll` with a fault on its disk; return it, and where it will stand what was hit."""
        notes = appliance.root / f"calls{len(appliance.children)}"
        places = [appliance.base, appliance.database.parent]
        return appliance.start(*arguments, **self.environment(fault, places, notes)), notes


def build_shim(directory: Path) -> Shim:
    """Compile the library."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler: apt-get install gcc libc6-dev")
    library = directory / "shim.so"
    strict = ["-std=gnu11", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([compiler, *strict, "-O2", "-shared", "-fPIC", "-o", library, SOURCE], check=True)
    return Shim(library)
