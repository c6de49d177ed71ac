"""The program as its owner sees it: cards made for a test, `ghostroll` as a child process, the bucket from outside."""

import contextlib
import hashlib
import html
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psutil
from PIL import Image

if TYPE_CHECKING:
    from tests.support.served import Served

GHOSTROLL = Path(sys.executable).with_name("ghostroll")
PHOTOS = Path(__file__).parents[2].parent / "shared" / "photos"
# Generous: the machine that tests may be busy.
PATIENCE_SECONDS = 120.0


# Cards


def save_photo(path: Path, seed: int, size: tuple[int, int] = (900, 600), orientation: int = 1) -> Path:
    """Write a JPEG such as a camera does: EXIF with date, model, position, orientation, a comment; unlike any other."""
    chance = random.Random(seed)
    small = Image.frombytes("RGB", (48, 32), chance.randbytes(48 * 32 * 3))
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0112] = "Maker", "Model One", orientation
    exif[0x8769] = {0x9003: captured_at(seed).replace("-", ":").replace("T", " ")}
    exif[0x8825] = {1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 36.0)}
    path.parent.mkdir(parents=True, exist_ok=True)
    small.resize(size, Image.Resampling.BICUBIC).save(path, "JPEG", quality=88, exif=exif, comment=f"secret {seed}")
    return path


def captured_at(seed: int) -> str:
    """Return the capture time of the photo with this seed: within a day of May 2024, later for greater seeds."""
    return f"2024-05-11T{8 + seed // 3600 % 12:02}:{seed // 60 % 60:02}:{seed % 60:02}"


def make_card(root: Path, seeds: range, size: tuple[int, int] = (900, 600)) -> Path:
    """Write a card of photos, one for each seed."""
    for seed in seeds:
        save_photo(root / f"DCIM/100CANON/IMG_{seed:04}.JPG", seed, size)
    return root


def save_noise(path: Path, size_bytes: int, seed: int, head: bytes = b"") -> Path:
    """Write a file that no decoder knows, unlike any other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(head + random.Random(seed).randbytes(size_bytes))
    return path


# The program


@dataclass
class Ended:
    """A child process that has ended."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def document(self) -> Any:
        """The one JSON document on stdout, and nothing beside it."""
        return json.loads(self.out)


@dataclass
class Appliance:
    """One owner's machine: a place of its own, and the environment in which `ghostroll` runs there."""

    root: Path
    environment: dict[str, str]
    children: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def base(self) -> Path:
        return self.root / "base"

    @property
    def database(self) -> Path:
        return self.root / "state" / "ghostroll.db"

    @property
    def prefix_root(self) -> str:
        return self.environment["GHOSTROLL_S3_PREFIX_ROOT"]

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start `ghostroll`; its output goes to files, so that it never waits for a reader."""
        number = len(self.children)
        with (self.root / f"out{number}").open("wb") as out, (self.root / f"err{number}").open("wb") as err:
            child = subprocess.Popen(
                [str(GHOSTROLL), *arguments],
                env={**self.environment, **environment},
                cwd=self.root,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        self.children.append(child)
        return child

    def output(self, child: subprocess.Popen[bytes]) -> tuple[str, str]:
        """Return what a child wrote so far."""
        number = self.children.index(child)
        out, err = ((self.root / f"{name}{number}").read_bytes().decode() for name in ("out", "err"))
        return out, err

    def end(self, child: subprocess.Popen[bytes], seconds: float = PATIENCE_SECONDS) -> Ended:
        """Wait for a child; a traceback is never right."""
        started = time.monotonic()
        code = child.wait(seconds)
        out, err = self.output(child)
        assert "Traceback" not in err, err
        assert "Traceback" not in out, out
        return Ended(code, out, err, time.monotonic() - started)

    def call(self, *arguments: str, **environment: str) -> Ended:
        """Run `ghostroll` to its end."""
        return self.end(self.start(*arguments, **environment))

    def run(self, card: Path, *arguments: str, code: int = 0, **environment: str) -> dict[str, Any]:
        """`ghostroll run --json` for a card."""
        ended = self.call("run", "--volume", str(card), "--json", *arguments, **environment)
        assert ended.code == code, ended.err
        document: dict[str, Any] = ended.document
        return document

    def resume(self, *sessions: str, code: int = 0, **environment: str) -> list[dict[str, Any]]:
        """`ghostroll resume --json`."""
        ended = self.call("resume", "--json", *sessions, **environment)
        assert ended.code == code, ended.err
        documents: list[dict[str, Any]] = ended.document
        return documents

    @property
    def status(self) -> dict[str, Any]:
        """What `status.json` says now; {} before there is one."""
        with contextlib.suppress(FileNotFoundError):
            record: dict[str, Any] = json.loads((self.base / "status.json").read_text())
            return record
        return {}

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """Read the catalog from outside; [] before there is one."""
        if not self.database.exists():
            return []
        with contextlib.closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=10)) as catalog:
            try:
                return catalog.execute(query).fetchall()
            except sqlite3.OperationalError:
                return []  # not made yet

    def count(self, table: str) -> int:
        rows = self.ask(f"SELECT count(*) FROM {table}")
        return int(rows[0][0]) if rows else 0

    def sessions(self) -> list[Path]:
        return sorted(self.base.glob("shoot-*"))

    def kill_all(self) -> None:
        """End what a failed test may have left."""
        for child in self.children:
            if child.poll() is None:
                child.kill()
                child.wait()


def make_appliance(root: Path, **environment: str) -> Appliance:
    """Return an appliance below `root` without a bucket."""
    root.mkdir(parents=True, exist_ok=True)
    home = root / "home"
    home.mkdir()
    ours = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "GHOSTROLL_CONFIG": os.devnull,
        "GHOSTROLL_BASE_DIR": str(root / "base"),
        "GHOSTROLL_DB_PATH": str(root / "state" / "ghostroll.db"),
        "GHOSTROLL_MOUNT_ROOTS": str(root / "media"),
        "GHOSTROLL_S3_PREFIX_ROOT": "sessions/",
    }
    return Appliance(root, {**ours, **environment})


def connected(root: Path, served: "Served", **environment: str) -> Appliance:
    """Return an appliance below `root` that is configured for the bucket of the tests' store."""
    return make_appliance(
        root,
        AWS_ACCESS_KEY_ID=served.endpoint.access_key,
        AWS_SECRET_ACCESS_KEY=served.endpoint.secret_key,
        GHOSTROLL_S3_BUCKET=served.endpoint.bucket,
        GHOSTROLL_S3_ENDPOINT_URL=served.endpoint.local_url,
        GHOSTROLL_S3_REGION=served.endpoint.region,
        **environment,
    )


def wait_until(truth: Callable[[], Any], seconds: float = 60.0, every: float = 0.005) -> Any:
    """Return the first true value of `truth`."""
    deadline = time.monotonic() + seconds
    while not (found := truth()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(every)
    return found


def family(pid: int) -> list[psutil.Process]:
    """Return all descendants of a process."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def is_running(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def characters_read(child: subprocess.Popen[bytes]) -> int:
    """Wait for a child and return how many bytes it read from files, its own program's included (proc_pid_io(5))."""
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    facts = dict(line.split(": ") for line in Path(f"/proc/{child.pid}/io").read_text().splitlines())
    return int(facts["rchar"])


# What lies on disk and in the bucket


def sha256(path: Path | str) -> str:
    with open(path, "rb") as file:  # noqa: PTH123 - a path may be bytes that are no text
        return hashlib.file_digest(file, "sha256").hexdigest()


def tree(directory: Path) -> dict[str, str]:
    """Return the SHA-256 of every file below a directory, by path."""
    return {
        os.path.relpath(os.path.join(place, name), directory): sha256(os.path.join(place, name))  # noqa: PTH118
        for place, _, names in os.walk(directory)
        for name in names
    }


# What tells one session from another, and not what was saved.
_OF_ITS_OWN = ("index.html", "index.s3.html", "share.txt", "share-qr.png", "ghostroll.log", ".catalog.jsonl.gz")


def lasting(session: Path) -> dict[str, str]:
    """Return the files of a session that are the same however often it was interrupted."""
    return {name: digest for name, digest in tree(session).items() if name not in _OF_ITS_OWN}


def left_overs(base: Path) -> list[str]:
    """Return temporary files and directories that nobody needs any more."""
    return [
        os.path.join(place, name)  # noqa: PTH118
        for place, directories, names in os.walk(base)
        for name in [*directories, *names]
        if name == ".incoming" or name.endswith(".tmp")
    ]


def objects(served: "Served", prefix: str) -> dict[str, tuple[str, int]]:
    """Return (ETag, size in bytes) of every object below a prefix, by the rest of its key."""
    pages = served.client.get_paginator("list_objects_v2").paginate(Bucket=served.endpoint.bucket, Prefix=prefix)
    return {
        entry["Key"].removeprefix(prefix): (entry["ETag"], entry["Size"])
        for page in pages
        for entry in page.get("Contents", [])
    }


@dataclass
class Answer:
    """What a store says to a guest."""

    status: int
    headers: dict[str, str]
    body: bytes


def get(url: str) -> Answer:
    """Open a link as a guest: no credentials but the link's own."""
    parts = urlsplit(url)
    assert parts.scheme == "http", url
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return Answer(answer.status, dict(answer.headers), answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, dict(error.headers), error.read())


def links(page: str) -> list[str]:
    """Return every double-quoted src and href of a page, as a program finds them that runs no script."""
    return [html.unescape(found) for found in re.findall(r'\s(?:src|href)="([^"]*)"', page)]


@contextlib.contextmanager
def terminated(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """End a child with SIGTERM, whatever happens."""
    try:
        yield
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
            child.wait(30)
