"""What makes the faults is itself tried: it counts what it should, and strikes where it is told to."""

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.injection import Fault, Shim
from tests.faults.scene import Scene

WRITES_THREE_FILES = """
import os, sys
for name in ("a", "b", "c"):
    try:
        fd = os.open(os.path.join(sys.argv[1], name), os.O_WRONLY | os.O_CREAT, 0o644)
        os.write(fd, b"content")
        os.fsync(fd)
        os.close(fd)
    except OSError as error:
        print(name, error.errno)
"""


def write_three_files(shim: Shim, place: Path, fault: Fault) -> tuple[int, str, str]:
    """Return exit code, what failed with which errno, and what the shim says it hit."""
    disk = place / "disk"
    disk.mkdir()
    notes = place / "notes"
    ended = subprocess.run(
        [sys.executable, "-c", WRITES_THREE_FILES, str(disk)],
        env={**os.environ, **shim.environment(fault, [disk], notes)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        start_new_session=True,
    )
    return ended.returncode, ended.stdout, notes.read_text() if notes.exists() else ""


def test_every_kind_of_call_of_a_run_is_seen(scene: Scene) -> None:
    seen = {" ".join(call.split()[1:]) for call in scene.calls}
    for expected in (
        r"pwrite64 .*/ghostroll\.db-wal",  # SQLite's own calls
        r"fdatasync .*/ghostroll\.db-wal",
        r"write .*/\.incoming/[0-9a-f]+",  # the copy
        r"futimens .*/\.incoming/[0-9a-f]+",
        r"rename .*/originals/DCIM/100CANON/IMG_0000\.JPG",
        r"fsync .*/originals/DCIM/100CANON",
        r"write .*/\.incoming/[0-9a-f]+\.jpg",  # a render worker's
        r"rename .*/derived/thumbs/DCIM/100CANON/IMG_0000\.jpg",
        r"syncfs .*/derived/share/.*",
        r"rename .*/share\.zip",
        r"rename .*/status\.json",
        r"write .*/ghostroll\.log",
        r"rename .*/share\.txt",
        r"mkdir .*/shoot-[^/]+",
        r"unlink .*/status\.d/card-[0-9a-f]+\.lock",
    ):
        assert any(re.fullmatch(expected, call) for call in seen), expected


def test_calls_are_numbered_without_a_gap(scene: Scene) -> None:
    assert sorted(int(call.split()[0]) for call in scene.calls) == list(range(1, len(scene.calls) + 1))


def test_a_call_fails_once_or_from_then_on(shim: Shim, tmp_path: Path) -> None:
    once, on = (tmp_path / name for name in ("once", "on"))
    for place in (once, on):
        place.mkdir()
    code, failed, hit = write_three_files(shim, once, Fault("EIO", 5))
    assert (code, failed, hit) == (0, f"b {errno.EIO}\n", f"5 write {once}/disk/b\n")
    code, failed, hit = write_three_files(shim, on, Fault("EROFS", 5, lasts=True))
    assert (code, failed, hit) == (0, f"b {errno.EROFS}\nc {errno.EROFS}\n", f"5 write {on}/disk/b\n")


def test_a_full_disk_refuses_only_what_takes_room(shim: Shim, tmp_path: Path) -> None:
    code, failed, hit = write_three_files(shim, tmp_path, Fault("ENOSPC", 3, lasts=True))
    assert (code, failed, hit) == (0, f"b {errno.ENOSPC}\nc {errno.ENOSPC}\n", f"4 open64 {tmp_path}/disk/b\n")


@pytest.mark.parametrize(("at", "left"), [(4, {"a": "content"}), (5, {"a": "content", "b": "con"})])
def test_a_killed_program_leaves_what_it_had_done(shim: Shim, tmp_path: Path, at: int, left: dict[str, str]) -> None:
    code, _, hit = write_three_files(shim, tmp_path, Fault("kill", at))
    assert code == -9
    assert hit.startswith(f"{at} ")
    assert {file.name: file.read_text() for file in (tmp_path / "disk").iterdir()} == left
