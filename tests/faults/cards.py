"""Cards that are mounted for a test, faulty where it wants them."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.support.mounts import NotPossible, is_mounted, own_mounts, run

PROGRAM = Path(__file__).with_name("cardfs.py")


@dataclass(frozen=True)
class Fault:
    """What is wrong at `path`, a file or directory of the card as text ("" is the card).

    | kind | what happens |
    | --- | --- |
    | unreadable | reading at `at` or behind it gives EIO |
    | unlistable, unlookable, unopenable | listing the directory, looking at the file, opening it gives EIO |
    | size | the file says that it has `value` bytes |
    | time | the file says that it was changed at `value` seconds since 1970 |
    | short | a read gives at most `value` bytes |
    | slow | each read takes `value` milliseconds |
    | other | every opening but the first gives the content of `other` |
    | dead | at the read of byte `at`, or at the listing, the filesystem dies: all is ENOTCONN |
    | gone | ... it is unmounted, and the empty directory below shows |
    | covered | ... another card, the directory `other`, is mounted over it |
    | stuck | ... it never answers again |
    """

    kind: str
    path: str = ""
    at: int = 0
    value: int = 0
    other: str = ""


@contextmanager
def inserted(source: Path, place: Path, *faults: Fault) -> Iterator["subprocess.Popen[bytes]"]:
    """Mount a card that shows `source`, and give the process that is its filesystem.

    When it is taken out, nobody must have tried to write to it. Reads reach the card as they are made: the kernel
    neither reads ahead nor keeps what it read.
    """
    own_mounts()
    place.mkdir(exist_ok=True)
    notes = place.with_name(f"{place.name}.writes")
    notes.write_text("")
    description = json.dumps([asdict(fault) for fault in faults])
    arguments = [str(source), str(place), str(notes), description]
    child = subprocess.Popen([sys.executable, str(PROGRAM), *arguments], stderr=subprocess.PIPE, start_new_session=True)
    assert child.stderr
    try:
        _wait_until_mounted(place, child)
        yield child
    finally:
        while is_mounted(place):
            run("umount", "-l", str(place))
        child.kill()
        child.wait()
        child.stderr.close()
    assert notes.read_text(errors="surrogateescape") == "", "the card was to be written to"


def _wait_until_mounted(place: Path, child: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 30
    while not is_mounted(place):
        if child.poll() is not None:
            raise NotPossible(_reason(child.communicate()[1].decode()))
        assert time.monotonic() < deadline, "the card was never mounted"
        time.sleep(0.01)


def _reason(words: str) -> str:
    """Return what the filesystem ended with: a word of FUSE itself, or else the last line of a traceback."""
    lines = words.strip().splitlines() or ["it ended without a word"]
    return lines[0] if lines[0].startswith("fuse") else lines[-1]
