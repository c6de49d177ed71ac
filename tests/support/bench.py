"""What these tests share: a card of real files, a catalog, a status record, and a bench to save a card on."""

import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import settings

from ghostroll.base.session_paths import Session
from ghostroll.card.scan import Scan, scan
from ghostroll.card.volume import Volume, find_volume
from ghostroll.catalog import Catalog
from ghostroll.ingest.plan import Plan, PlannedFile, make_plan
from ghostroll.ingest.stage import Ingest
from ghostroll.status import run_records
from ghostroll.status.recorder import StatusRecord
from ghostroll.status.run_record import RunKind

# A machine may be busy; what takes longer than this hangs.
_DEADLINE = timedelta(seconds=20)
# The same examples each time, so that a test fails for what was changed and nothing else ...
settings.register_profile("quick", max_examples=100, derandomize=True, deadline=_DEADLINE)
# ... and for whoever looks for more: `HYPOTHESIS_PROFILE=long pytest tests -k fuzz`.
settings.register_profile("long", max_examples=3000, deadline=_DEADLINE)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

# 2026-06-01 12:00:00 UTC: an even second, as FAT keeps them.
TAKEN_NS = 1_780_315_200 * 10**9


@dataclass
class CardBuilder:
    """A directory that looks like a camera's card."""

    root: Path

    def write(self, path: str | bytes, content: bytes = b"", mtime_ns: int = TAKEN_NS) -> Path:
        """Put a file on the card; its path may be any bytes."""
        file = self.root / os.fsdecode(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        os.utime(file, ns=(mtime_ns, mtime_ns))
        return file

    def volume(self) -> Volume:
        """The card as found: a mere place."""
        (self.root / "DCIM").mkdir(parents=True, exist_ok=True)
        return find_volume(self.root)

    def identified(self, card_id: str = "uuid:4711") -> Volume:
        """The card as found where its filesystem has an id."""
        return replace(self.volume(), card_id=card_id)

    def scan(self) -> Scan:
        """What is on it."""
        return scan(self.volume())


@dataclass
class Bench:
    """A card, and all that is needed to save it."""

    card: CardBuilder
    catalog: Catalog
    session: Session
    record: StatusRecord
    stop: threading.Event = field(default_factory=threading.Event)
    failures: dict[str, str] = field(default_factory=dict)

    def failed(self, path: str, step: str, reason: str) -> None:
        """Take note of a failure."""
        assert step == "ingest"
        self.failures[path] = reason

    def plan(self, volume: Volume | None = None) -> Plan:
        """What there is to read."""
        volume = volume or self.card.volume()
        return make_plan(volume, scan(volume), self.catalog)

    def ingest(
        self,
        volume: Volume | None = None,
        session: Session | None = None,
        *,
        verify: bool = True,
        saved: Callable[[], None] = lambda: None,
    ) -> Ingest:
        """An ingest of the card into the session."""
        volume = volume or self.card.volume()
        session = session or self.session
        self.catalog.create_session(session.session_id, card_id=volume.card_id, card_label=volume.label)
        session.temporary.mkdir(parents=True, exist_ok=True)
        return Ingest(volume, session, self.catalog, self.record, self.failed, self.stop, verify=verify, on_saved=saved)

    def save(
        self,
        files: tuple[PlannedFile, ...] | None = None,
        volume: Volume | None = None,
        session: Session | None = None,
        *,
        verify: bool = True,
    ) -> None:
        """Save the card: all of it, or `files`."""
        volume = volume or self.card.volume()
        files = self.plan(volume).to_read if files is None else files
        ingest = self.ingest(volume, session, verify=verify)
        try:
            ingest.read(files)
            ingest.finish()
        finally:
            ingest.close()

    def saved(self) -> dict[str, bytes]:
        """The originals on disk, by path."""
        return {
            str(file.relative_to(self.session.originals)): file.read_bytes()
            for file in self.session.originals.rglob("*")
            if file.is_file()
        }

    def left_over(self) -> list[Path]:
        """Temporary files that nobody removed."""
        return list(self.session.temporary.iterdir())

    def assert_catalogued_means_safe(self) -> None:
        """Every row stands for an original with these very bytes: sha256sum(1) says so."""
        rows = self.catalog._rows("SELECT sha256, session_id, original, size_bytes FROM ingested_files")
        if not rows:
            return
        files = [
            self.session.base_dir
            / row[1]
            / "originals"
            / (os.fsdecode(row[2]) if isinstance(row[2], bytes) else row[2])
            for row in rows
        ]
        assert [file.stat().st_size for file in files] == [row[3] for row in rows]
        assert sha256sum(*files) == [row[0] for row in rows]


def sha256sum(*files: Path) -> list[str]:
    """What sha256sum(1) says of files."""
    program = shutil.which("sha256sum")
    assert program, "sha256sum(1) of the GNU coreutils is needed"
    done = subprocess.run([program, "--zero", "--", *files], check=True, capture_output=True)
    return [line.split(b" ", 1)[0].decode() for line in done.stdout.split(b"\0") if line]


@pytest.fixture
def card(tmp_path: Path) -> CardBuilder:
    return CardBuilder(tmp_path / "card")


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog(tmp_path / "db" / "ghostroll.db") as opened:
        yield opened


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session("shoot-2026-06-01_120000_000000", tmp_path / "sessions", "sessions/")


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StatusRecord]:
    monkeypatch.setattr(run_records, "INTERVAL_SECONDS", 0.01)  # whoever watches the pace brings a record of their own
    opened = StatusRecord(tmp_path / "run" / "status.json", RunKind.CARD, tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def bench(card: CardBuilder, catalog: Catalog, session: Session, record: StatusRecord) -> Bench:
    return Bench(card, catalog, session, record)
