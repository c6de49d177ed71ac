import os
import shutil
import socket
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ghostroll.base.errors import GhostrollError, VolumeNotFound
from ghostroll.base.log import printable
from ghostroll.card import volume as card_module
from ghostroll.card.directories import find_directory
from ghostroll.card.scan import scan
from ghostroll.card.volume import current_medium, find_volume, mount_point

if TYPE_CHECKING:
    from tests.support.bench import CardBuilder

LONG_AGO = 946_684_800 * 10**9
AWKWARD = [
    b"DCIM/100/line\nbreak.jpg",
    b"DCIM/100/\xe2\x80\xaegpj.exe",
    b"DCIM/100/\xff\xfe.jpg",
    b"DCIM/100/" + b"n" * 251 + b".jpg",
    b"DCIM/100/ .jpg",
    b"DCIM/100/-rf",
    b"DCIM/100/a\\b.jpg",
    b"DCIM/100/$(reboot).jpg",
    b"DCIM/100/\x1b[2J.jpg",
]


def paths(card: "CardBuilder") -> list[str]:
    return [file.path for file in card.scan().files]


def test_each_entry_of_a_card_is_a_sign_of_life_while_it_is_listed(card: "CardBuilder") -> None:
    for n in range(20):
        card.write(f"DCIM/{n % 2}/{n}.jpg")
    signs: list[None] = []
    assert len(scan(card.volume(), lambda: signs.append(None)).files) == 20
    assert len(signs) >= 22  # the directories, too


# Finding a volume


def test_a_directory_with_dcim_is_a_volume_named_like_it(card: "CardBuilder") -> None:
    volume = card.volume()
    assert (volume.root, volume.label, volume.device) == (card.root.resolve(), "card", None)
    assert not volume.is_identified


def test_dcim_may_be_lower_case(card: "CardBuilder") -> None:
    card.write("dcim/100/a.jpg")
    assert [file.path for file in scan(find_volume(card.root)).files] == ["dcim/100/a.jpg"]


def test_where_names_differ_only_in_case_the_plain_one_is_taken_and_the_other_is_outside(card: "CardBuilder") -> None:
    card.write("dcim/a.jpg")
    card.write("DCIM/b.jpg")
    found = card.scan()
    assert [file.path for file in found.files] == ["DCIM/b.jpg"]
    assert found.outside == ("dcim/a.jpg",)


@pytest.mark.parametrize("name", ["nothing", "n" * 300])
def test_there_is_no_volume_where_there_is_no_directory(tmp_path: Path, name: str) -> None:
    with pytest.raises(VolumeNotFound):
        find_volume(tmp_path / name)


def test_a_file_is_no_volume(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(VolumeNotFound):
        find_volume(tmp_path / "file")
    with pytest.raises(VolumeNotFound):
        find_volume(tmp_path / "file" / "below")


def test_a_directory_without_dcim_is_no_card_and_the_hint_helps(tmp_path: Path) -> None:
    with pytest.raises(VolumeNotFound, match="DCIM") as caught:
        find_volume(tmp_path)
    assert caught.value.hint


def test_dcim_must_be_a_directory_and_no_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "file").mkdir()
    (tmp_path / "file" / "DCIM").touch()
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / "DCIM").symlink_to(tmp_path / "elsewhere")
    for name in ("file", "link"):
        with pytest.raises(VolumeNotFound):
            find_volume(tmp_path / name)


def test_a_link_to_a_volume_is_that_volume(card: "CardBuilder", tmp_path: Path) -> None:
    volume = card.volume()
    (tmp_path / "link").symlink_to(card.root)
    assert find_volume(tmp_path / "link") == volume


def test_an_error_shows_an_awkward_place_in_safe_letters(tmp_path: Path) -> None:
    with pytest.raises(VolumeNotFound) as caught:
        find_volume(tmp_path / "\x1b[2J\u202e\udcff")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("device", ["/dev/no-such-device", "/dev/null"])
def test_a_device_that_is_not_there_or_not_mounted_has_no_volume(device: str) -> None:
    with pytest.raises(VolumeNotFound):
        find_volume(mount_point(device))


@pytest.mark.parametrize(
    ("escaped", "plain"), [(r"/mnt/a\040b", "/mnt/a b"), (r"/a\134040b", r"/a\040b"), (r"/a\011\012", "/a\t\n")]
)
def test_mount_points_are_read_as_the_kernel_wrote_them(escaped: str, plain: str) -> None:
    assert card_module._unescaped(escaped) == plain


def test_directories_are_found_part_by_part_whatever_their_case(tmp_path: Path) -> None:
    (tmp_path / "Private" / "m4root").mkdir(parents=True)
    (tmp_path / "PRIVATE2").mkdir()
    assert find_directory(tmp_path, "PRIVATE/M4ROOT") == tmp_path / "Private" / "m4root"
    assert find_directory(tmp_path, "PRIVATE/AVCHD") is None
    assert find_directory(tmp_path / "none", "DCIM") is None


# What is on it


def test_every_regular_file_of_the_media_folders_is_listed_in_reading_order(card: "CardBuilder") -> None:
    for path in (
        "DCIM/100/b.JPG",
        "DCIM/100/a.JPG",
        "DCIM/100/a.CR3",
        "DCIM/100/what.ever",
        "PRIVATE/M4ROOT/CLIP/C0001.MP4",
        "PRIVATE/M4ROOT/CLIP/C0001M01.XML",
        "PRIVATE/AVCHD/BDMV/STREAM/00001.MTS",
        "CONTENTS/CLIPS001/A001.MXF",
    ):
        card.write(path, b"12")
    assert paths(card) == [
        "DCIM/100/a.JPG",
        "DCIM/100/b.JPG",
        "DCIM/100/a.CR3",
        "CONTENTS/CLIPS001/A001.MXF",
        "PRIVATE/AVCHD/BDMV/STREAM/00001.MTS",
        "PRIVATE/M4ROOT/CLIP/C0001.MP4",
        "DCIM/100/what.ever",
        "PRIVATE/M4ROOT/CLIP/C0001M01.XML",
    ]
    assert card.scan().outside == ()


def test_size_and_time_are_those_of_the_file(card: "CardBuilder") -> None:
    card.write("DCIM/a.jpg", b"12345", mtime_ns=1_700_000_000_123_456_789)
    (file,) = card.scan().files
    facts = (card.root / "DCIM/a.jpg").stat()
    assert (file.size_bytes, file.mtime_ns) == (facts.st_size, facts.st_mtime_ns)


def test_book_keeping_is_counted_and_left_aside(card: "CardBuilder") -> None:
    for name in ("._a.jpg", ".DS_Store", "THUMBS.DB", "desktop.ini", "M0100.CTG", "NC_FLLST.DAT"):
        card.write(f"DCIM/100/{name}", b"x")
    card.write("PRIVATE/AVCHD/BDMV/INDEX.BDM", b"x")
    card.write("DCIM/100/a.jpg", b"x")
    found = card.scan()
    assert [file.path for file in found.files] == ["DCIM/100/a.jpg"]
    assert found.ignored == 7
    assert found.outside == ()


def test_files_outside_the_media_folders_are_listed_as_not_saved(card: "CardBuilder") -> None:
    card.write("DCIM/a.jpg")
    card.write("contract.pdf", b"x")
    card.write("PRIVATE/SONY/a.bin", b"x")
    card.write("MISC/deep/er/b.txt", b"x")
    card.write(".Trashes/501/c.jpg", b"x")
    card.write("System Volume Information/IndexerVolumeGuid", b"x")
    card.write("._DCIM", b"x")
    assert card.scan().outside == ("MISC/deep/er/b.txt", "PRIVATE/SONY/a.bin", "contract.pdf")


def test_links_are_not_followed_wherever_they_lead(card: "CardBuilder", tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.jpg").write_bytes(b"secret")
    card.write("DCIM/100/a.jpg", b"x")
    links = {
        "DCIM/file.jpg": tmp_path / "outside" / "secret.jpg",
        "DCIM/directory": tmp_path / "outside",
        "DCIM/up": Path(".."),
        "DCIM/loop": Path("loop"),
        "DCIM/100/to-a.jpg": Path("a.jpg"),
        "PRIVATE": tmp_path / "outside",
        "top.jpg": tmp_path / "outside" / "secret.jpg",
    }
    for link, target in links.items():
        (card.root / link).symlink_to(target)
    found = card.scan()
    assert [file.path for file in found.files] == ["DCIM/100/a.jpg"]
    assert found.outside == ()


def test_pipes_and_sockets_are_never_opened(card: "CardBuilder", monkeypatch: pytest.MonkeyPatch) -> None:
    card.write("DCIM/a.jpg", b"x")
    os.mkfifo(card.root / "DCIM" / "pipe.jpg")
    monkeypatch.chdir(card.root / "DCIM")  # the name of a socket is short
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind("socket.jpg")
        assert paths(card) == ["DCIM/a.jpg"]


@pytest.mark.parametrize("name", AWKWARD)
def test_a_file_of_any_name_is_listed_under_its_own_bytes(card: "CardBuilder", name: bytes) -> None:
    card.write(name, b"x")
    assert [os.fsencode(path) for path in paths(card)] == [name]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.binary(min_size=1, max_size=40)
        .map(lambda raw: raw.replace(b"\0", b"_").replace(b"/", b"_"))
        .filter(lambda name: name not in (b".", b"..")),
        unique=True,
        max_size=8,
    )
)
def test_every_file_is_listed_left_aside_or_nothing(card: "CardBuilder", names: list[bytes]) -> None:
    shutil.rmtree(card.root, ignore_errors=True)
    for name in names:
        card.write(b"DCIM/" + name, b"x")
    found = card.scan()
    assert len(found.files) + found.ignored == len(names)
    assert {os.fsencode(file.path) for file in found.files} <= {b"DCIM/" + name for name in names}
    for file in found.files:
        printable(file.path).encode()


def test_directories_nested_too_deep_are_reported(card: "CardBuilder") -> None:
    card.write("DCIM/" + "d/" * 39 + "kept.jpg", b"x")
    card.write("DCIM/" + "e/" * 60 + "lost.jpg", b"x")
    found = card.scan()
    assert [file.path for file in found.files] == ["DCIM/" + "d/" * 39 + "kept.jpg"]
    (unreadable,) = found.unreadable
    assert unreadable.path.startswith("DCIM/e/e")
    assert "deep" in unreadable.reason


def test_what_cannot_be_looked_at_outside_the_media_folders_is_not_passed_over_in_silence(card: "CardBuilder") -> None:
    card.write("DCIM/a.jpg", b"x")
    card.write("OTHER/" + "e/" * 60 + "lost.jpg", b"x")
    found = card.scan()
    assert found.outside or found.unreadable


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list any directory")
def test_a_directory_that_cannot_be_listed_is_reported_and_the_others_go_on(card: "CardBuilder") -> None:
    card.write("DCIM/100/a.jpg", b"x")
    card.write("DCIM/101/b.jpg", b"x")
    (card.root / "DCIM/100").chmod(0)
    try:
        found = card.scan()
    finally:
        (card.root / "DCIM/100").chmod(0o700)
    assert [file.path for file in found.files] == ["DCIM/101/b.jpg"]
    assert [each.path for each in found.unreadable] == ["DCIM/100"]


def test_a_file_that_cannot_be_looked_at_costs_only_itself(card: "CardBuilder") -> None:
    """Files vanish while their directory is listed: the kernel then says so for each of them."""
    for n in range(100):
        card.write(f"DCIM/100/stays{n:03}.jpg", b"x")
    volume = card.volume()
    for _ in range(20):
        going = [card.write(f"DCIM/100/goes{n:04}.jpg") for n in range(400)]

        def go(files: list[Path] = going) -> None:
            for file in reversed(files):
                file.unlink()

        thread = threading.Thread(target=go)
        before = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        thread.start()
        try:
            found = scan(volume)
        finally:
            thread.join()
            sys.setswitchinterval(before)
        assert len([file for file in found.files if "stays" in file.path]) == 100
        assert found.unreadable == ()


def test_a_card_that_is_gone_is_not_an_empty_card(card: "CardBuilder") -> None:
    card.write("DCIM/a.jpg", b"x")
    volume = card.volume()
    shutil.rmtree(card.root)
    with pytest.raises((GhostrollError, OSError)):
        scan(volume)


def test_looking_at_a_card_leaves_no_trace(card: "CardBuilder") -> None:
    card.write("DCIM/100/a.jpg", b"x" * 100)
    card.write("PRIVATE/M4ROOT/CLIP/c.mp4", b"x")
    places = [card.root, *card.root.rglob("*")]
    for place in places:
        os.utime(place, ns=(LONG_AGO, LONG_AGO + 10**9))
    scan(find_volume(card.root))
    assert {place.stat().st_atime_ns for place in places} == {LONG_AGO}
    assert {place.stat().st_mtime_ns for place in places} == {LONG_AGO + 10**9}
    assert sorted(card.root.rglob("*")) == sorted(places[1:])


# Which medium it is


def test_another_directory_at_the_same_place_is_another_medium(card: "CardBuilder") -> None:
    volume = card.volume()
    before = current_medium(volume)
    card.write("DCIM/a.jpg")
    assert current_medium(volume) == before
    card.root.rename(card.root.with_name("old"))
    with pytest.raises(OSError, match="card"):
        current_medium(volume)
    card.root.mkdir()
    assert current_medium(volume) != before
    card.root.rmdir()
    card.root.touch()
    with pytest.raises(OSError, match="card"):
        current_medium(volume)


@pytest.mark.parametrize(
    ("properties", "label"),
    [
        ({"ID_FS_LABEL": "AUTO-IMPORT_2", "ID_FS_LABEL_ENC": r"AUTO-IMPORT\x202"}, "AUTO-IMPORT 2"),
        ({"ID_FS_LABEL": "CANON_É", "ID_FS_LABEL_ENC": r"CANON\x20É"}, "CANON É"),
        ({"ID_FS_LABEL": "A_B", "ID_FS_LABEL_ENC": "A_B"}, "A_B"),
        ({"ID_FS_LABEL": "x", "ID_FS_LABEL_ENC": r"\xff\x5cx41"}, "\N{REPLACEMENT CHARACTER}\\x41"),
        ({"ID_FS_LABEL": "EOS_DIGITAL"}, "EOS_DIGITAL"),
        ({}, ""),
    ],
)
def test_a_label_is_taken_as_it_is_and_not_as_udev_shortens_it(properties: dict[str, str], label: str) -> None:
    assert card_module.label_in(properties) == label
