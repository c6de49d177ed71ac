import os
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ghostroll.base.media_kind import MediaKind
from ghostroll.card.media import JPEG_SUFFIXES, CardFile, kind_of, suffix_of
from ghostroll.card.scan import Scan, scan
from ghostroll.card.volume import Volume
from ghostroll.ingest.names import derivative_names, picture_sources
from ghostroll.ingest.plan import Plan, PlannedFile, changed_files, make_plan, plan_reread

if TYPE_CHECKING:
    from tests.support.bench import Bench

BIG = bytes(range(256)) * 2048  # half a megabyte: head, tail, and a middle that no sample sees

stems = st.sampled_from(["a", "A", "b", "ß", "SS", "a.b", "x" * 254, "x" * 255, "é", "a.jpg", ".a", "\udcff"])
suffixes = st.sampled_from(["jpg", "JPG", "jpeg", "CR3", "heic", "png", "2.jpg", ""])
folders = st.sampled_from(["DCIM", "DCIM/100", "DCIM/100.jpg", "dcim"])
card_paths = st.builds(
    lambda folder, stem, suffix: f"{folder}/{stem}.{suffix}" if suffix else f"{folder}/{stem}", folders, stems, suffixes
) | st.binary(min_size=1, max_size=255).map(
    lambda raw: "DCIM/" + os.fsdecode(raw.replace(b"\0", b"_").replace(b"/", b"_"))
).filter(lambda path: path not in ("DCIM/.", "DCIM/.."))
some_paths = st.lists(card_paths, unique=True, max_size=12)


def listed(paths: Iterable[str]) -> list[CardFile]:
    return [CardFile(path, kind_of(path), 1, 0) for path in paths]


def to_read(plan: Plan) -> list[str]:
    return [planned.file.path for planned in plan.to_read]


def named(*paths: str, taken: Iterable[str] = ()) -> dict[str, str]:
    return derivative_names(listed(paths), taken)


# The names of derivatives


@given(some_paths, some_paths)
@example(["DCIM/a.jpg", "DCIM/A.CR3", "DCIM/a.cr3.jpg"], [])
@example(["DCIM/" + "x" * 255, "DCIM/" + "x" * 254 + "y", "DCIM/" + "x" * 253 + "yz"], [])
def test_derivative_names_are_unique_whatever_the_case_and_fit_a_filesystem(paths: list[str], taken: list[str]) -> None:
    names = named(*paths, taken=taken)
    assert sorted(names) == sorted(paths)
    folded = [name.casefold() for name in names.values()]
    assert len(set(folded)) == len(folded)
    assert not set(folded) & {name.casefold() for name in taken}
    assert max((len(os.fsencode(name.rpartition("/")[2])) for name in names.values()), default=0) <= 255
    assert all(name.endswith(".jpg") for name in names.values())
    assert all(names[path].rpartition("/")[0] == path.rpartition("/")[0] for path in paths)


@given(some_paths)
def test_a_jpeg_keeps_the_plain_name_unless_another_jpeg_has_it(paths: list[str]) -> None:
    names = named(*paths)
    jpegs = [path for path in paths if suffix_of(path) in JPEG_SUFFIXES]
    plain = {path: path[: -len(suffix_of(path)) - 1] + ".jpg" for path in jpegs}
    for path in jpegs:
        if len(os.fsencode(plain[path].rpartition("/")[2])) <= 255:
            rivals = [other for other in jpegs if plain[other].casefold() == plain[path].casefold()]
            assert any(names[rival] == plain[rival] for rival in rivals)


@given(some_paths)
def test_names_do_not_depend_on_the_order_of_the_files(paths: list[str]) -> None:
    assert named(*paths) == named(*reversed(paths))


def test_where_two_would_meet_the_others_keep_their_suffix() -> None:
    assert named("DCIM/a.CR3", "DCIM/A.JPG", "DCIM/a.heic") == {
        "DCIM/A.JPG": "DCIM/A.jpg",
        "DCIM/a.CR3": "DCIM/a.CR3.jpg",
        "DCIM/a.heic": "DCIM/a.heic.jpg",
    }


def test_a_name_that_the_session_uses_already_is_not_used_again() -> None:
    assert named("DCIM/a.JPG", taken=["dcim/A.jpg"]) == {"DCIM/a.JPG": "DCIM/a.JPG.jpg"}
    assert named("DCIM/a.JPG", taken=["DCIM/a.jpg", "DCIM/a.jpg.jpg"]) == {"DCIM/a.JPG": "DCIM/a.JPG.2.jpg"}


def test_equal_names_in_different_folders_do_not_meet() -> None:
    assert named("DCIM/100/a.JPG", "DCIM/101/a.JPG") == {
        "DCIM/100/a.JPG": "DCIM/100/a.jpg",
        "DCIM/101/a.JPG": "DCIM/101/a.jpg",
    }


# What derivatives are made from


@pytest.mark.parametrize(
    ("paths", "shown"),
    [
        ("a.JPG a.CR3", "a.JPG"),
        ("a.HIF a.CR3", "a.HIF"),
        ("a.heic a.DNG a.JPG", "a.heic a.JPG"),
        ("IMG_1.jpg img_1.ARW", "IMG_1.jpg"),
        ("a.CR3", "a.CR3"),
        ("a.CR3 b.JPG", "a.CR3 b.JPG"),
        ("a.CR3 a.PNG", "a.CR3 a.PNG"),
        ("a.NEF a.CR3", "a.NEF a.CR3"),
        ("a.MP4 a.THM a.xmp a.WAV", ""),
        ("nameless a.bin", "nameless a.bin"),
    ],
)
def test_a_raw_is_shown_only_where_no_jpeg_or_heic_stands_for_it(paths: str, shown: str) -> None:
    files = listed(paths.split())
    assert [file.path for file in picture_sources(files, files)] == shown.split()


def test_a_raw_whose_jpeg_was_saved_before_is_still_not_shown(bench: "Bench") -> None:
    bench.card.write("DCIM/a.JPG", b"jpeg")
    bench.save()
    bench.card.write("DCIM/a.CR3", b"raw")
    (planned,) = bench.plan().to_read
    assert (planned.file.path, planned.name) == ("DCIM/a.CR3", None)


def test_a_jpeg_in_another_folder_does_not_stand_for_a_raw() -> None:
    files = listed(["DCIM/100/a.JPG", "DCIM/101/a.CR3"])
    assert len(picture_sources(files, files)) == 2


# What is known


def test_a_new_card_is_read_whole_in_reading_order(bench: "Bench") -> None:
    for path in ("DCIM/b.JPG", "DCIM/a.MP4", "DCIM/c.CR3", "DCIM/a.txt", "DCIM/a.JPG"):
        bench.card.write(path, path.encode())
    plan = bench.plan()
    assert to_read(plan) == ["DCIM/a.JPG", "DCIM/b.JPG", "DCIM/c.CR3", "DCIM/a.MP4", "DCIM/a.txt"]
    assert plan.known == ()
    assert [planned.file.path for planned in plan.stills()] == ["DCIM/a.JPG", "DCIM/b.JPG"]
    assert plan.stills() + plan.others() == plan.to_read
    assert plan.bytes_to_read == sum(file.size_bytes for file in bench.card.scan().files)
    assert plan.bytes_to_derive > 0


def test_a_card_without_an_id_is_known_by_its_samples(bench: "Bench") -> None:
    place = bench.card.write("DCIM/a.jpg", BIG)
    bench.save()
    plan = bench.plan()
    assert to_read(plan) == []
    assert [each.is_sample_verified for each in plan.known] == [True]
    # As FAT cards come: the same name, size and time, and another picture.
    facts = place.stat()
    for at in (0, len(BIG) - 1):
        changed = bytearray(BIG)
        changed[at] ^= 1
        bench.card.write("DCIM/a.jpg", bytes(changed), mtime_ns=facts.st_mtime_ns)
        assert to_read(bench.plan()) == ["DCIM/a.jpg"]


def test_the_time_of_a_card_without_an_id_does_not_matter(bench: "Bench") -> None:
    bench.card.write("DCIM/a.jpg", b"x")
    bench.save()
    bench.card.write("DCIM/a.jpg", b"x", mtime_ns=10**18)
    assert to_read(bench.plan()) == []


def test_a_file_that_was_moved_or_renamed_is_read(bench: "Bench") -> None:
    bench.card.write("DCIM/a.jpg", b"x")
    bench.save()
    (bench.card.root / "DCIM/a.jpg").rename(bench.card.root / "DCIM/b.jpg")
    assert to_read(bench.plan()) == ["DCIM/b.jpg"]


def test_an_identified_card_is_known_by_name_size_and_time_without_opening_a_file(bench: "Bench") -> None:
    volume = bench.card.identified()
    bench.card.write("DCIM/a.jpg", BIG)
    bench.card.write("DCIM/b.jpg", b"same")
    bench.save(volume=volume)
    bench.card.write("DCIM/a.jpg", b"\1" + BIG[1:])  # the same size and time
    plan = bench.plan(volume)
    assert to_read(plan) == []
    assert [each.is_sample_verified for each in plan.known] == [False, False]
    changed = changed_files(volume, plan.known, bench.stop)
    assert [file.path for file in changed] == ["DCIM/a.jpg"]
    assert [planned.name for planned in plan_reread(changed, scan(volume))] == ["DCIM/a.jpg"]


def test_where_the_time_of_an_identified_cards_file_changed_its_sample_decides(bench: "Bench") -> None:
    volume = bench.card.identified()
    for name in "abc":
        bench.card.write(f"DCIM/{name}.jpg", BIG + name.encode())
    bench.save(volume=volume)
    bench.card.write("DCIM/a.jpg", BIG + b"a", mtime_ns=10**18)
    bench.card.write("DCIM/b.jpg", BIG + b"B", mtime_ns=10**18)
    plan = bench.plan(volume)
    assert to_read(plan) == ["DCIM/b.jpg"]
    assert {each.file.path: each.is_sample_verified for each in plan.known} == {"DCIM/a.jpg": True, "DCIM/c.jpg": False}


def test_two_cards_with_the_same_names_are_told_apart(bench: "Bench") -> None:
    bench.card.write("DCIM/IMG_0001.JPG", b"first card")
    bench.save(volume=bench.card.identified("uuid:1"))
    other = bench.card.identified("uuid:2")
    assert to_read(bench.plan(other)) == []
    bench.card.write("DCIM/IMG_0001.JPG", b"other card")
    assert to_read(bench.plan(other)) == ["DCIM/IMG_0001.JPG"]


def test_rehash_reads_every_file(bench: "Bench") -> None:
    volume = bench.card.identified()
    bench.card.write("DCIM/a.jpg", b"x")
    bench.save(volume=volume)
    plan = make_plan(volume, scan(volume), bench.catalog, rehash=True)
    assert to_read(plan) == ["DCIM/a.jpg"]
    assert plan.known == ()


def test_a_known_file_that_cannot_be_read_any_more_is_read_whole_to_see_why(bench: "Bench") -> None:
    place = bench.card.write("DCIM/a.jpg", b"x")
    bench.save()
    found = bench.card.scan()
    place.unlink()
    assert to_read(make_plan(bench.card.volume(), found, bench.catalog)) == ["DCIM/a.jpg"]


def test_a_known_file_whose_size_changes_after_the_scan_is_not_known(bench: "Bench") -> None:
    volume = bench.card.identified()
    bench.card.write("DCIM/a.jpg", b"x")
    bench.save(volume=volume)
    plan = bench.plan(volume)
    bench.card.write("DCIM/a.jpg", b"xy")
    assert [file.path for file in changed_files(volume, plan.known, bench.stop)] == ["DCIM/a.jpg"]


def test_each_known_file_is_a_sign_of_life_when_the_card_is_planned_and_when_it_is_looked_at_closer(
    bench: "Bench",
) -> None:
    for name in "abcde":
        bench.card.write(f"DCIM/{name}.jpg", name.encode())
    bench.save()
    volume = bench.card.volume()
    signs: list[None] = []
    plan = make_plan(volume, scan(volume), bench.catalog, heartbeat=lambda: signs.append(None))
    assert (len(plan.known), len(signs)) == (5, 5)
    assert changed_files(volume, plan.known, bench.stop, lambda: signs.append(None)) == []
    assert len(signs) == 10


def test_names_of_any_bytes_are_known_again(bench: "Bench") -> None:
    for name in (b"\xff.jpg", b"a\nb.jpg", "ä.jpg".encode(), b"n" * 255):
        bench.card.write(b"DCIM/" + name, name)
    bench.save()
    assert to_read(bench.plan()) == []
    assert len(bench.plan().known) == 4


@pytest.mark.parametrize("kind", [MediaKind.STILL, MediaKind.RAW, MediaKind.VIDEO, MediaKind.OTHER])
def test_there_is_room_for_every_copy(kind: MediaKind) -> None:
    files = tuple(PlannedFile(CardFile(f"DCIM/{n}", kind, 10**n, 0), f"{n}.jpg") for n in range(9))
    assert Plan(files, ()).bytes_to_read == sum(10**n for n in range(9))


def test_an_empty_card_needs_nothing(bench: "Bench") -> None:
    volume = Volume(bench.card.volume().root, "card", None, "uuid:0")
    plan = make_plan(volume, replace(bench.card.scan(), files=()), bench.catalog)
    assert (plan.to_read, plan.known, plan.bytes_to_read, plan.bytes_to_derive) == ((), (), 0, 0)
    assert isinstance(bench.card.scan(), Scan)


def test_a_picture_is_not_called_like_a_directory_of_another() -> None:
    names = named("DCIM/a.png", "DCIM/a.jpg/b.jpg")
    assert names == {"DCIM/a.png": "DCIM/a.png.jpg", "DCIM/a.jpg/b.jpg": "DCIM/a.jpg/b.jpg"}


def test_a_directory_with_a_name_too_long_for_us_costs_no_picture() -> None:
    long = "ä" * 200
    (name,) = named(f"DCIM/{long}/b.jpg").values()
    assert all(len(part.encode()) <= 255 for part in name.split("/"))
