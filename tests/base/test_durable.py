import ctypes
import itertools
import mmap
import os
import re
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ghostroll.base import durable
from ghostroll.base.durable import CHUNK_BYTES

SHM = Path("/dev/shm")

WRITE_TOO_MUCH = """
import resource, sys
from pathlib import Path
from ghostroll.base import durable
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    durable.write_atomically(Path(sys.argv[1]), b"x" * 5000)
except OSError:
    sys.exit(7)
"""
MOVE = """
import sys
from pathlib import Path
from ghostroll.base import durable
here, number = Path(sys.argv[1]), int(sys.argv[2])
pairs = [(here / f"t{n}", here / "new" / str(n % 2) / f"f{n}") for n in range(number)]
for temporary, _ in pairs:
    temporary.write_bytes(b"x")
durable.flush_and_rename(pairs)
"""


def sha256sum(file: Path) -> str:
    return subprocess.run(["sha256sum", "--zero", file], check=True, capture_output=True, text=True).stdout[:64]


def filesystem_of(path: Path) -> str:
    return subprocess.run(["stat", "-f", "-c", "%T", path], check=True, capture_output=True, text=True).stdout.strip()


def resident_pages(file: Path) -> int:
    """How many pages of a file are in the page cache: mincore(2)."""
    size = file.stat().st_size
    with file.open("r+b") as opened, mmap.mmap(opened.fileno(), size) as mapped:
        pages = (size + mmap.PAGESIZE - 1) // mmap.PAGESIZE
        resident = (ctypes.c_ubyte * pages)()
        view = ctypes.c_char.from_buffer(mapped)
        try:
            assert (
                ctypes.CDLL(None).mincore(ctypes.c_void_p(ctypes.addressof(view)), ctypes.c_size_t(size), resident) == 0
            )
        finally:
            del view
        return sum(page & 1 for page in resident)


@pytest.mark.parametrize("write", [durable.write_atomically, durable.write_unflushed])
@pytest.mark.parametrize("content", [b"new \xff", "new ä…", b"", b"x" * 3_000_000])
def test_content_is_replaced_whole_and_nothing_is_left_beside_it(
    tmp_path: Path, write: Callable[[Path, bytes | str], None], content: bytes | str
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"old")
    write(file, content)
    assert file.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert list(tmp_path.iterdir()) == [file]


def test_the_mode_is_the_one_asked_for(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        durable.write_atomically(tmp_path / "public", "x")
        durable.write_atomically(tmp_path / "secret", "x", mode=0o600)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "public").stat().st_mode) == 0o644
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


def test_a_write_that_fails_leaves_the_old_content_and_no_temporary_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"old")
    assert subprocess.run([sys.executable, "-c", WRITE_TOO_MUCH, file], check=False).returncode == 7
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_rename_that_fails_leaves_no_temporary_file(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    with pytest.raises(OSError, match="directory"):
        durable.write_atomically(tmp_path / "directory", "x")
    assert [path.name for path in tmp_path.iterdir()] == ["directory"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write into a read-only directory")
def test_a_directory_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PermissionError):
            durable.write_atomically(tmp_path / "file", "new")
    finally:
        tmp_path.chmod(0o700)
    assert (tmp_path / "file").read_text() == "old"


def test_a_link_is_replaced_and_what_it_points_to_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to("target")
    durable.write_atomically(tmp_path / "link", "new")
    assert (tmp_path / "target").read_text() == "old"
    assert (tmp_path / "link").read_text() == "new"


def test_readers_see_the_old_or_the_new_content_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "file"
    durable.write_unflushed(file, b"0" * 300_000)
    done = threading.Event()

    def write() -> None:
        for digit in itertools.islice(itertools.cycle(b"0123456789"), 200):
            durable.write_unflushed(file, bytes([digit]) * 300_000)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        content = file.read_bytes()
        assert content == content[:1] * 300_000
    writer.join()


@settings(max_examples=25)
@given(st.integers(0, 3).flatmap(lambda chunks: st.integers(-2, 2).map(lambda off: max(0, chunks * CHUNK_BYTES + off))))
def test_the_digest_from_disk_is_that_of_sha256sum(tmp_path_factory: pytest.TempPathFactory, size: int) -> None:
    file = tmp_path_factory.getbasetemp() / "digest"
    file.write_bytes(os.urandom(size))
    digest, from_disk = durable.sha256_from_disk(file)
    assert digest == sha256sum(file)
    assert from_disk == (filesystem_of(file) not in ("tmpfs", "ramfs"))


def test_dropped_pages_are_read_from_the_disk_again(tmp_path: Path) -> None:
    if filesystem_of(tmp_path) in ("tmpfs", "ramfs"):
        pytest.skip("a filesystem in memory has nothing else to read from")
    file = tmp_path / "file"
    file.write_bytes(os.urandom(4 << 20))
    durable.flush_files([file])
    assert resident_pages(file) > 0
    with file.open("rb") as opened:
        durable.drop_from_cache(opened.fileno())
    assert resident_pages(file) == 0


@pytest.mark.skipif(not SHM.is_dir() or not os.access(SHM, os.W_OK), reason="there is no /dev/shm")
def test_a_filesystem_in_memory_is_told_from_a_disk(tmp_path: Path) -> None:
    if filesystem_of(SHM) != "tmpfs":
        pytest.skip("/dev/shm is not in memory here")
    assert durable.is_memory_filesystem(SHM)
    assert durable.is_memory_filesystem(tmp_path) == (filesystem_of(tmp_path) in ("tmpfs", "ramfs"))
    file = SHM / f"ghostroll-test-{os.getpid()}"
    try:
        file.write_bytes(b"x")
        assert durable.sha256_from_disk(file) == (sha256sum(file), False)
    finally:
        file.unlink()


OVERLAY = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.support.mounts import NotPossible, own_mounts, run
from ghostroll.base import durable
place = Path(sys.argv[2])
try:
    own_mounts()
except NotPossible:
    sys.exit(5)
for layers in ("memory", "disk"):
    for name in ("lower", "upper", "merged"):
        (place / layers / name).mkdir(parents=True)
run("mount", "-t", "tmpfs", "none", str(place / "memory/upper"))
for layers in ("memory", "disk"):
    here = place / layers
    for name in ("changes", "work"):
        (here / "upper" / name).mkdir()
    options = f"lowerdir={here}/lower,upperdir={here}/upper/changes,workdir={here}/upper/work"
    run("mount", "-t", "overlay", "overlay", "-o", options, str(here / "merged"))
    file = here / "merged/file"
    file.write_bytes(b"x")
    print(layers, durable.is_memory_filesystem(here / "merged"), durable.sha256_from_disk(file)[1])
"""


def test_a_system_whose_changes_are_kept_in_memory_is_told_from_a_disk(tmp_path: Path) -> None:
    """As of a Raspberry Pi whose "overlay file system" is switched on: all that is saved there is gone at its end."""
    if filesystem_of(tmp_path) in ("tmpfs", "ramfs", "overlayfs"):
        pytest.skip("the tests' own disk is none")
    repository = Path(__file__).parents[2]
    ended = subprocess.run(
        [sys.executable, "-c", OVERLAY, repository, tmp_path], check=False, capture_output=True, text=True
    )
    if ended.returncode == 5 or "mount" in ended.stderr:
        pytest.skip("nothing can be mounted here")
    assert ended.stdout.splitlines() == ["memory True False", "disk False True"], ended.stderr


ROOT = (
    "22 1 0:20 / / rw,noatime shared:1 - overlay overlay rw,lowerdir=/lower,upperdir={upper},workdir=/upper/work\n"
    "23 22 0:21 / /media/root-rw rw shared:2 - tmpfs tmpfs-root rw\n"
    "24 22 179:2 / /media/root-ro ro shared:3 - ext4 /dev/mmcblk0p2 ro\n"
    "25 22 8:1 / /mnt/ssd rw shared:4 - ext4 /dev/sda1 rw\n"
    "26 22 254:0 / /var/log rw shared:5 - ext4 /dev/zram0 rw\n"
)


@pytest.mark.parametrize(
    ("upper", "command_line", "in_memory"),
    [
        ("/media/root-rw/overlay", "quiet", True),
        ("/upper/data", "boot=overlay quiet", True),  # out of sight since the system has started
        ("/upper/data", "overlayroot=tmpfs:recurse=0 overlayroot=tmpfs", True),
        ("/upper/data", "quiet", False),  # as of a container
        ("/mnt/ssd/changes", "boot=overlay quiet", False),
    ],
)
def test_where_an_overlay_keeps_its_changes_decides(
    monkeypatch: pytest.MonkeyPatch, upper: str, command_line: str, *, in_memory: bool
) -> None:
    monkeypatch.setattr(durable, "_read_text", {"/proc/cmdline": command_line}.__getitem__)
    mounts = durable._mounts(ROOT.format(upper=upper))
    assert durable._is_in_memory(os.makedev(0, 20), mounts) == in_memory
    assert not durable._is_in_memory(os.makedev(8, 1), mounts)
    assert durable._is_in_memory(os.makedev(254, 0), mounts)


@pytest.mark.parametrize("number", [0, 1, 2, 3, 40])
def test_files_move_to_their_final_names(tmp_path: Path, number: int) -> None:
    pairs = [(tmp_path / f"t{n}", tmp_path / "a" / str(n % 3) / f"f{n}") for n in range(number)]
    for n, (temporary, _) in enumerate(pairs):
        temporary.write_bytes(b"%d" % n)
    durable.flush_and_rename(iter(pairs))
    assert [final.read_bytes() for _, final in pairs] == [b"%d" % n for n in range(number)]
    assert not [temporary for temporary, _ in pairs if temporary.exists()]


@pytest.mark.parametrize("number", [2, 5])
def test_when_a_move_fails_each_file_is_at_one_of_its_names(tmp_path: Path, number: int) -> None:
    pairs = [(tmp_path / f"t{n}", tmp_path / f"f{n}") for n in range(number)]
    for temporary, _ in pairs:
        temporary.write_bytes(b"x")
    pairs[1][1].mkdir()
    with pytest.raises(OSError, match="f1"):
        durable.flush_and_rename(pairs)
    assert all(temporary.is_file() != final.is_file() for temporary, final in pairs)


@pytest.mark.parametrize("number", [1, 2, 5])
def test_content_is_flushed_before_the_rename_and_names_after_it(tmp_path: Path, number: int) -> None:
    strace = shutil.which("strace")
    trace = tmp_path / "trace"
    here = tmp_path / "here"
    here.mkdir()
    calls = "trace=fsync,fdatasync,syncfs,rename,renameat,renameat2,mkdir,mkdirat"
    command = [strace or "", "-f", "-y", "-e", calls, "-o", str(trace)]
    command += [sys.executable, "-c", MOVE, str(here), str(number)]
    if strace is None or subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("strace(1) is missing or may not trace here")
    lines = [line for line in trace.read_text().splitlines() if str(here) in line]
    renames = [at for at, line in enumerate(lines) if "rename" in line]
    assert len(renames) == number
    before, after = lines[: renames[0]], lines[renames[-1] :]
    if number < 3:
        flushed = [re.search(r"/(t\d+)>", line) for line in before if "fsync(" in line]
        assert {match[1] for match in flushed if match} == {f"t{n}" for n in range(number)}
    else:
        assert any("syncfs(" in line for line in before)
    for directory in {f"{here}/new/{n % 2}" for n in range(number)}:
        assert any(f"{directory}>" in line or "syncfs(" in line for line in after), directory
    # Each new directory's own entry is flushed as well.
    made = [match[1] for line in lines if (match := re.search(r'mkdir(?:at)?\(.*"([^"]+)"', line))]
    for directory in made:
        assert any(f"<{Path(directory).parent}>" in line and "fsync(" in line for line in lines), directory


def test_directories_are_made_with_their_parents_by_many_at_once(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b" / "c"
    errors: list[Exception] = []

    def make() -> None:
        try:
            durable.make_directory(deep)
        except OSError as error:
            errors.append(error)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert deep.is_dir()
    assert errors == []


def test_a_file_where_a_directory_should_be_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        durable.make_directory(tmp_path / "file")


def test_a_temporary_file_lies_where_its_owner_looks_for_left_overs(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(FileNotFoundError, match="missing"):
        durable.write_unflushed(tmp_path / "file", b"content", temporary_dir=missing)
    missing.mkdir()
    durable.write_unflushed(tmp_path / "file", b"content", temporary_dir=missing)
    assert (tmp_path / "file").read_bytes() == b"content"
    assert list(missing.iterdir()) == []
