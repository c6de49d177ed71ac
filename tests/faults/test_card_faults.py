"""Cards and readers that fail: on a real filesystem that gives errors, lies, hangs and goes away."""

import os
import random
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from tests.faults.cards import Fault, inserted
from tests.faults.ledger import Ledger
from tests.faults.outcome import assert_saved_is_there
from tests.support.appliance import (
    Appliance,
    connected,
    get,
    left_overs,
    make_card,
    save_noise,
    save_photo,
    sha256,
    tree,
    wait_until,
)
from tests.support.mounts import NotPossible

if TYPE_CHECKING:
    from tests.support.served import Served

FAULTS = (
    "card: a file cannot be read",
    "card: a directory cannot be listed",
    "card: taken out while it is listed or read",
    "card: another card behind the same mount",
    "card: the reader hangs",
    "card: a size that is not true",
    "card: content that changes from one reading to the next",
    "card: odd times and names",
    "card: short and slow reads",
    "card: 20,000 files",
    "card: a file of more than 4 GiB",
)
FUSE = "a FUSE filesystem that is the card"
FOLDER = "DCIM/100CANON"
PHOTO = f"{FOLDER}/IMG_0002.JPG"
VIDEO = f"{FOLDER}/MVI_0001.MP4"
VIDEO_BYTES = 3 << 20
# The part that takes minutes.
LONG_FROM_POINTS = 100


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_card(tmp_path_factory.mktemp("card") / "source", range(5), (600, 400))
    save_photo(root / "DCIM/101CANON/IMG_0101.JPG", 101, (600, 400))
    save_noise(root / VIDEO, VIDEO_BYTES, 102)
    try:
        with inserted(root, root.with_name("try")):
            pass
    except NotPossible as error:
        pytest.skip(f"no card can be mounted: {error}")
    return root


@pytest.fixture(scope="module")
def other_card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A card of the same names and nothing else in common."""
    root = tmp_path_factory.mktemp("other")
    for seed in range(5):
        save_photo(root / f"{FOLDER}/IMG_{seed:04}.JPG", 200 + seed, (600, 400))
    save_noise(root / VIDEO, VIDEO_BYTES, 202)
    return root


@dataclass(frozen=True)
class Slot:
    """The place where cards are put in, and the program that reads them."""

    appliance: Appliance
    card: Path
    place: Path

    def run(self, *faults: Fault, code: int = 0) -> dict[str, Any]:
        """Put the card in, faulty or not, run the program, and take the card out."""
        with inserted(self.card, self.place, *faults):
            return self.appliance.run(self.place, code=code)

    @property
    def wanted(self) -> set[str]:
        return set(tree(self.card).values())

    @property
    def saved(self) -> set[str]:
        """The content of what the catalog calls saved, as found on the disk, of all sessions."""
        assert_saved_is_there(self.appliance)
        found = {digest for session in self.appliance.sessions() for digest in tree(session / "originals").values()}
        assert {digest for (digest,) in self.appliance.ask("SELECT sha256 FROM ingested_files")} == found
        return found

    @property
    def is_safe_to_format(self) -> bool:
        answer: bool = self.appliance.status["card"]["safe_to_format"]
        return answer

    def assert_card_completes(self, session_id: str | None = None) -> None:
        """The card is back and in order: all of it is saved and shared, into the same session if one is given."""
        document = self.run()
        assert document["failed"] == []
        assert session_id is None or document["session_id"] == session_id
        assert self.saved == self.wanted
        assert self.is_safe_to_format
        assert left_overs(self.appliance.base) == []
        for session in self.appliance.sessions():
            assert get((session / "share.txt").read_text().strip()).status == 200
        again = self.run()
        assert (again["session_id"], again["new"]) == (None, 0)
        assert self.is_safe_to_format


SlotMaker = Callable[[str], Slot]


@pytest.fixture
def slots(served: "Served", card: Path, tmp_path: Path) -> Iterator[SlotMaker]:
    """Return a function that makes a slot, with a machine of its own."""
    made = []

    def make(name: str) -> Slot:
        made.append(Slot(connected(tmp_path / name, served), card, tmp_path / name / "slot"))
        made[-1].appliance.environment["GHOSTROLL_S3_PREFIX_ROOT"] = f"{tmp_path.name}/{name}/"
        return made[-1]

    yield make
    for slot in made:
        slot.appliance.kill_all()


@pytest.fixture
def slot(slots: SlotMaker) -> Slot:
    return slots("only")


_Case = TypeVar("_Case")


def chosen(cases: Sequence[_Case], points: int, seed: int) -> list[_Case]:
    """Return all cases where there is time, else some."""
    return random.Random(seed).sample(cases, min(len(cases), max(2, points // 4)))


UNREADABLE = (
    Fault("unreadable", PHOTO),
    Fault("unreadable", PHOTO, at=20_000),
    Fault("unreadable", VIDEO, at=VIDEO_BYTES - 1),
    Fault("unopenable", PHOTO),
    Fault("unlookable", PHOTO),
)


def test_a_file_that_cannot_be_read_costs_only_itself(slots: SlotMaker, points: int, seed: int, ledger: Ledger) -> None:
    for fault in chosen(UNREADABLE, points, seed):
        print(fault)  # noqa: T201 - shown on a failure
        slot = slots(f"{fault.kind}-{fault.at}")
        document = slot.run(fault, code=3)
        assert [failure["path"] for failure in document["failed"]] == [fault.path]
        assert document["failed"][0]["step"] == ("scan" if fault.kind == "unlookable" else "ingest")
        assert document["failed"][0]["reason"]
        assert slot.saved == slot.wanted - {sha256(slot.card / fault.path)}
        assert get(document["url"]).status == 200
        assert not slot.is_safe_to_format
        slot.assert_card_completes()
        record(ledger, FAULTS[0], "exit 3, the file by name, not safe to format")


def test_a_directory_that_cannot_be_listed_costs_only_itself(slot: Slot, ledger: Ledger) -> None:
    document = slot.run(Fault("unlistable", "DCIM/101CANON"), code=3)
    assert [(each["path"], each["step"]) for each in document["failed"]] == [("DCIM/101CANON", "scan")]
    assert slot.saved == slot.wanted - set(tree(slot.card / "DCIM/101CANON").values())
    assert not slot.is_safe_to_format
    slot.assert_card_completes()
    record(ledger, FAULTS[1], "exit 3, the directory by name, not safe to format")


def test_a_card_of_which_nothing_can_be_listed_is_not_an_empty_card(slot: Slot, ledger: Ledger) -> None:
    document = slot.run(Fault("unlistable", "DCIM"), code=3)
    assert [(each["path"], each["step"]) for each in document["failed"]] == [("DCIM", "scan")]
    assert not slot.is_safe_to_format
    assert slot.appliance.sessions() == []
    slot.assert_card_completes()
    record(ledger, FAULTS[1], "exit 3, the directory by name, not safe to format")


MOMENTS = {
    "listing": ("DCIM/101CANON", 0),
    "first file": (f"{FOLDER}/IMG_0000.JPG", 0),
    "after a file": (PHOTO, -1),
    "in a video": (VIDEO, VIDEO_BYTES // 2),
    "last byte": (VIDEO, VIDEO_BYTES - 1),
}


ENDS = [(kind, moment) for kind in ("dead", "gone", "covered") for moment in MOMENTS]


def test_a_card_that_goes_away_is_finished_when_it_is_back(
    slots: SlotMaker, other_card: Path, points: int, seed: int, ledger: Ledger
) -> None:
    for kind, moment in chosen(ENDS, points + 4, seed):
        print(kind, moment)  # noqa: T201 - shown on a failure
        slot = slots(f"{kind} {moment}".replace(" ", "-"))
        path, at = MOMENTS[moment]
        at = (slot.card / path).stat().st_size if at < 0 else at  # the read that finds the end
        document = slot.run(Fault(kind, path, at=at, other=str(other_card)), code=74)
        saved = slot.saved
        assert saved < slot.wanted  # none of the other card, and not the file that was read
        assert not slot.is_safe_to_format
        assert slot.appliance.status["card"]["state"] in ("removed", "rejected")
        assert bool(saved) == bool(document["session_id"]) == bool(document["url"])
        if document["url"]:
            assert get(document["url"]).status == 200
        slot.assert_card_completes(document["session_id"])
        assert len(slot.appliance.sessions()) == 1
        fault = FAULTS[3] if kind == "covered" else FAULTS[2]
        record(ledger, fault, "exit 74; what was saved is shared, the rest follows into the same session")


@pytest.mark.parametrize("ending", ["signal", "pulled"])
def test_a_reader_that_hangs_does_not_hold_the_program(slot: Slot, ending: str, ledger: Ledger) -> None:
    with inserted(slot.card, slot.place, Fault("stuck", PHOTO)) as slotted:
        child = slot.appliance.start("run", "--volume", str(slot.place), "--json")
        wait_until(lambda: slot.appliance.count("ingested_files") >= 2)
        if ending == "signal":
            child.send_signal(signal.SIGTERM)
            # The kernel itself keeps the process until the reader answers or goes; but all is told.
            wait_until(lambda: slot.appliance.status.get("state") == "interrupted", 10)
        slotted.kill()
        ended = slot.appliance.end(child, 30)
        assert ended.code == (75 if ending == "signal" else 74), ended.err
    assert len(slot.saved) == 2
    assert not slot.is_safe_to_format
    (session,) = slot.appliance.sessions()
    slot.assert_card_completes(session.name)
    record(ledger, FAULTS[4], "status `interrupted` on a signal, exit 74 when it is pulled; the rest follows")


UNTRUE_SIZES = (0, 20_000, 1 << 20, 1 << 50)


def test_a_size_that_is_not_true_costs_only_its_file(slots: SlotMaker, points: int, seed: int, ledger: Ledger) -> None:
    for size_bytes in chosen(UNTRUE_SIZES, points, seed):
        print(size_bytes)  # noqa: T201 - shown on a failure
        slot = slots(f"size-{size_bytes}")
        document = slot.run(Fault("size", PHOTO, value=size_bytes), code=3)
        assert [failure["path"] for failure in document["failed"]] == [PHOTO]
        assert slot.saved == slot.wanted - {sha256(slot.card / PHOTO)}
        assert not slot.is_safe_to_format
        slot.assert_card_completes()
        record(ledger, FAULTS[5], "exit 3, the file by name, not safe to format")


def test_content_that_changes_from_one_reading_to_the_next_is_saved_each_time(
    slot: Slot, tmp_path: Path, ledger: Ledger
) -> None:
    """Size and time stay as they were: only the bytes tell."""
    content = bytearray((slot.card / PHOTO).read_bytes())
    content[-1000] ^= 1
    other = tmp_path / "other"
    other.write_bytes(content)
    with inserted(slot.card, slot.place, Fault("other", PHOTO, other=str(other))):
        first = slot.appliance.run(slot.place)
        assert slot.saved == slot.wanted
        second = slot.appliance.run(slot.place)
        assert (second["new"], second["failed"]) == (1, [])
        assert slot.saved == slot.wanted | {sha256(other)}
        assert slot.is_safe_to_format
        assert slot.appliance.run(slot.place)["new"] == 0
    assert second["session_id"] not in (None, first["session_id"])
    record(ledger, FAULTS[6], "both are saved")


NAMES = (b"img_0000.jpg", b"IMG_0000.jpg", b"\xff\xfe.JPG", "caf\u00e9.JPG".encode(), "cafe\u0301.JPG".encode())
TIMES = {"1970": 0, "1980": 315_532_800, "2038": 2**31, "2107": 4_354_819_198}


def test_odd_times_and_names_are_kept_as_they_are(appliance: Appliance, tmp_path: Path, ledger: Ledger) -> None:
    source = make_card(tmp_path / "source", range(1), (600, 400))
    faults = []
    for number, raw_name in enumerate(NAMES):
        save_photo(source / FOLDER / os.fsdecode(raw_name), 300 + number, (60, 40))
    for number, (name, moment) in enumerate(TIMES.items()):
        save_photo(source / FOLDER / f"{name}.JPG", 400 + number, (60, 40))
        faults.append(Fault("time", f"{FOLDER}/{name}.JPG", value=moment))
    slot = Slot(appliance, source, tmp_path / "slot")
    document = slot.run(*faults)
    assert document["failed"] == []
    originals = Path(document["session_dir"]) / "originals"
    assert tree(originals) == tree(source)
    for name, moment in TIMES.items():
        assert (originals / FOLDER / f"{name}.JPG").stat().st_mtime == moment
    assert slot.is_safe_to_format
    assert slot.run(*faults)["session_id"] is None
    record(ledger, FAULTS[7], "nothing: names, bytes and times are kept")


def test_short_and_slow_reads_change_nothing(slot: Slot, ledger: Ledger) -> None:
    faults = (Fault("short", PHOTO, value=1000), Fault("short", VIDEO, value=99_999), Fault("slow", VIDEO, value=30))
    assert slot.run(*faults)["failed"] == []
    assert slot.saved == slot.wanted
    again = slot.run(*faults)
    assert (again["session_id"], again["bytes"]) == (None, 0), "it was recognised without being read whole"
    assert slot.is_safe_to_format
    record(ledger, FAULTS[8], "nothing but the time it takes")


@pytest.mark.timeout(3600)
def test_twenty_thousand_files_are_saved(appliance: Appliance, tmp_path: Path, points: int, ledger: Ledger) -> None:
    if points < LONG_FROM_POINTS:
        pytest.skip("only in the long part: --points 100 or more")
    card = make_card(tmp_path / "card", range(3), (60, 40))
    for number in range(20_000):
        place = card / f"DCIM/{100 + number // 1000}CANON/IMG_{number:05}.XMP"
        place.parent.mkdir(exist_ok=True)
        place.write_text(f"<x:xmpmeta>{number}</x:xmpmeta>")
    first = appliance.call("run", "--volume", str(card), "--json")
    assert (first.code, first.document["new"]) == (0, 20_003)
    (session,) = appliance.sessions()
    assert tree(session / "originals") == tree(card)
    again = appliance.call("run", "--volume", str(card), "--json")
    assert (again.code, again.document["skipped"]) == (0, 20_003)
    assert appliance.status["card"]["safe_to_format"]
    print(f"20,000 files: {first.seconds:.0f} s, again {again.seconds:.0f} s")  # noqa: T201 - shown by `pytest -rP`
    record(ledger, FAULTS[9], "nothing but the time it takes")


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("size_bytes", [(4 << 30) + 12_345, 30 * 10**9], ids=["4GiB", "30GB"])
def test_a_file_of_more_than_4_gib_is_saved(
    appliance: Appliance, tmp_path: Path, points: int, size_bytes: int, ledger: Ledger
) -> None:
    if points < LONG_FROM_POINTS:
        pytest.skip("only in the long part: --points 100 or more")
    facts = os.statvfs(tmp_path)
    if facts.f_bavail * facts.f_frsize < max(20 * 10**9, 2.7 * size_bytes):
        pytest.skip("the disk has too little room")
    card = make_card(tmp_path / "card", range(1), (60, 40))
    with (card / VIDEO).open("wb") as video:  # sparse: only its ends are there
        video.write(b"begin")
        video.seek(size_bytes - 3)
        video.write(b"end")
    ended = appliance.end(appliance.start("run", "--volume", str(card), "--json"), 3000)
    assert ended.code == 0, ended.err
    (session,) = appliance.sessions()
    assert (session / "originals" / VIDEO).stat().st_size == size_bytes
    assert tree(session / "originals") == tree(card)
    assert appliance.status["card"]["safe_to_format"]
    (session / "originals" / VIDEO).unlink()
    print(f"{size_bytes:,} bytes: {ended.seconds:.0f} s")  # noqa: T201 - shown by `pytest -rP`
    record(ledger, FAULTS[10], "nothing but the time it takes")


def record(ledger: Ledger, fault: str, owner_sees: str) -> None:
    how = "a directory of such files" if fault in FAULTS[9:] else FUSE
    ledger.record(fault=fault, how=how, times=1, survived=1, owner_sees=owner_sees)
