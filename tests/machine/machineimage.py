"""The machine's disk, kernel and initrd, built once and kept under a name made of all that they are built from."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

RECIPE = Path(__file__).with_name("image")
TOOLS = Path(__file__).with_name("system-packages.sh")


@dataclass(frozen=True)
class Image:
    """What `image/build.sh` makes."""

    directory: Path

    @property
    def disk(self) -> Path:
        return self.directory / "disk.qcow2"

    @property
    def kernel(self) -> Path:
        return self.directory / "vmlinuz"

    @property
    def initrd(self) -> Path:
        return self.directory / "initrd.gz"

    @property
    def key(self) -> Path:
        """The ssh key that root in the machine knows."""
        return self.directory / "id_ed25519"


def obtain() -> Image:
    """Return the image, building it if nobody has yet: some minutes, and the network."""
    cache = Path(os.environ.get("GHOSTROLL_VM_CACHE") or Path.home() / ".cache" / "ghostroll-vm")
    cache.mkdir(parents=True, exist_ok=True)
    made = cache / digest(RECIPE)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run(["sh", str(TOOLS)], check=True)
        if not made.exists():
            build(made)
    return Image(made)


def build(target: Path) -> None:
    """Build the image beside its place and move it there when it is whole."""
    unfinished = target.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    environment = {**os.environ, "PYTHON": sys.executable}
    subprocess.run(["bash", str(RECIPE / "build.sh"), str(unfinished)], check=True, env=environment)
    unfinished.rename(target)


def digest(directory: Path) -> str:
    """Return a name for the content of a directory: paths, modes and bytes."""
    summed = hashlib.sha256()
    for path in sorted(file for file in directory.rglob("*") if file.is_file()):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        summed.update(f"{path.relative_to(directory)} {path.stat().st_mode & 0o111:o} {content}\n".encode())
    return summed.hexdigest()[:16]
