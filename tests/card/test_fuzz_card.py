"""Names that a stranger gave to files, all the way: listed, planned, stored, summed, zipped, said."""

import hashlib
import os
import shutil
import subprocess
import unicodedata
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from ghostroll.base.errors import FileFailed
from ghostroll.base.log import printable
from ghostroll.base.media_kind import MediaKind
from ghostroll.base.session_paths import Session, object_name
from ghostroll.card.media import CardFile, kind_of
from ghostroll.card.scan import scan
from ghostroll.card.volume import find_volume
from ghostroll.catalog import manifests
from ghostroll.catalog.models import Derivative, Original, RenderState, Shot
from ghostroll.derivatives import Rendered, Task, render
from ghostroll.gallery import publish
from ghostroll.ingest.names import derivative_names, numbered, picture_sources, truncated_path
from tests.support.damage import NAME_BYTES_MOST, crowds, examples, fresh_directory, names, paths, write_files
from tests.support.photos import RECIPE

# Amazon S3 user guide, "Creating object key names".
KEY_BYTES_MOST = 1024
# The longest prefix and session id that settings take, and the slashes behind them.
PREFIX_BYTES_MOST = 201 + 100 + 1
# FAT and exFAT hold names of 255 UTF-16 units, which Linux shows as up to 765 bytes.
long_parts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0/"), min_size=1, max_size=255)
long_paths = st.lists(long_parts.filter(lambda part: part not in (".", "..")), min_size=1, max_size=6).map("/".join)
SESSION_ID = "shoot-2026-06-01_120000_000000"


def on_card(path: str) -> CardFile:
    return CardFile(path, kind_of(path.rpartition("/")[2]), 1, 0)


def part_bytes(path: str) -> list[int]:
    return [len(os.fsencode(part)) for part in path.split("/")]


def unicode_categories(text: str) -> set[str]:
    return {unicodedata.category(char) for char in text}


def the_program(name: str) -> str:
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"{name}(1) is not installed")
    return program


# --- listed


@given(crowds())
@examples(0.5)
def test_a_scan_lists_what_find_lists(card_paths: list[str]) -> None:
    find = the_program("find")
    with fresh_directory() as root:
        (root / "DCIM").mkdir()
        written = write_files(root, card_paths, [b"a", b"bb", b""])
        found = scan(find_volume(root))
        command = [find, "DCIM", "-type", "f", "-printf", r"%p\0%s\0"]
        listed = subprocess.run(command, cwd=root, check=True, capture_output=True).stdout.split(b"\0")
    sizes = {os.fsdecode(path): int(size) for path, size in zip(listed[:-1:2], listed[1::2], strict=True)}
    assert set(sizes) == set(written)
    assert len(found.files) + found.ignored == len(sizes)
    assert {file.path: file.size_bytes for file in found.files}.items() <= sizes.items()
    assert (found.outside, found.unreadable) == ((), ())


# --- planned


@given(crowds(), st.lists(paths, max_size=3))
@example(["DCIM/ß.png", "DCIM/SS.jpg", "DCIM/ss.cr3"], ["DCIM/SS.cr3.jpg"])
def test_each_picture_gets_a_name_of_its_own_that_a_filesystem_takes(card_paths: list[str], taken: list[str]) -> None:
    sources = picture_sources([on_card(path) for path in card_paths], [on_card(path) for path in card_paths])
    planned = derivative_names(sources, taken)
    assert set(planned) == {source.path for source in sources}
    folded = [name.casefold() for name in planned.values()]
    assert len(set(folded)) == len(folded)
    assert not set(folded) & {name.casefold() for name in taken}
    for path, name in planned.items():
        assert name.endswith(".jpg")
        assert name.rpartition("/")[0] == path.rpartition("/")[0]
        assert max(part_bytes(name)) <= NAME_BYTES_MOST
        assert not {"", ".", ".."} & set(name.split("/"))


@given(paths | long_paths, st.integers(2, 10**6))
@example("DCIM/" + "." * 255, 2)
@example("DCIM/" + "a." + "写" * 85, 2)
def test_a_name_that_is_too_long_is_cut_to_fit(path: str, number: int) -> None:
    fits = truncated_path(path)
    assert max(part_bytes(fits)) <= NAME_BYTES_MOST
    assert truncated_path(fits) == fits
    assert len(fits.split("/")) == len(path.split("/"))
    assert not {"", ".", ".."} & set(fits.split("/"))
    if max(part_bytes(path)) <= NAME_BYTES_MOST:
        assert fits == path
    others = [numbered(fits, number), numbered(fits, number + 1)]
    assert len({fits, *others}) == 3
    assert all(part_bytes(other)[-1] <= NAME_BYTES_MOST for other in others)


@given(st.lists(long_paths, max_size=6, unique=True))
def test_different_long_names_stay_different(some: list[str]) -> None:
    assert len({truncated_path(path) for path in some}) == len(some)


@given(crowds())
@example(["DCIM/a.png", "DCIM/a.jpg/a.jpg"])
@example(["DCIM/a.jpg/a.jpg/a.jpg", "DCIM/a.png", "DCIM/a.jpg/a.png"])
@examples(0.3)
def test_no_name_of_a_picture_looks_like_a_failing_disk(card_paths: list[str]) -> None:
    picture = BytesIO()
    Image.new("RGB", (8, 8)).save(picture, "PNG")
    with fresh_directory() as root:
        session = Session(SESSION_ID, root, "sessions/")
        session.temporary.mkdir(parents=True)
        files = [on_card(path) for path in write_files(session.originals, card_paths, picture.getvalue())]
        planned = derivative_names(picture_sources(files, files))
        made = [outcome(session, path, name) for path, name in planned.items()]
    assert len(made) - made.count(None) >= min(1, len(made))


def outcome(session: Session, original: str, name: str) -> Rendered | None:
    """Render one original; None where its name is at fault, which costs it alone."""
    share, thumbnail = session.share_image(name), session.thumbnail(name)
    task = Task(session.originals / original, MediaKind.STILL, share, thumbnail, session.temporary)
    try:
        made = render(task, RECIPE)
    except FileFailed:
        return None
    assert share.is_file()
    assert thumbnail.is_file()
    return made


# --- stored


@given(crowds() | st.lists(long_paths, min_size=2, max_size=6, unique=True))
@example(["DCIM/a=5Cb.jpg", "DCIM/a\\b.jpg"])
@example(["DCIM/a\udcff.jpg", "DCIM/a=FF.jpg", "DCIM/aÿ.jpg"])
@example(["DCIM/" + "/".join(["a" * 206, "b" * 206, "c" * 250, end]) for end in ("x" * 99, "y" * 99)])
def test_every_path_has_a_key_of_its_own_that_any_store_takes(some: list[str]) -> None:
    keys = [object_name(f"{role}/{path}") for path in some for role in ("share", "thumbs")]
    assert len(set(keys)) == len(keys)
    for key in keys:
        assert key.isprintable()
        assert not set(key) & set('\\{}^%`[]"<>~#|?*:&') or "~" in key
        assert not {"", ".", ".."} & set(key.split("/"))
        assert PREFIX_BYTES_MOST + len(key.encode()) <= KEY_BYTES_MOST
        assert max(map(len, map(str.encode, key.split("/")))) <= NAME_BYTES_MOST


@given(paths | long_paths)
@example("DCIM/" + "é" * 255 + ".jpg")
@example("DCIM/" + "/".join("abcd") * 200 + ".jpg")
def test_no_name_is_that_of_another_once_it_is_stored(path: str) -> None:
    key = object_name(path)
    assert key == path or object_name(key) != key


# --- summed


@given(crowds(), st.integers(0))
@example(["DCIM/a\\nb", "DCIM/a\nb", "DCIM/a\\\nb", "DCIM/a\rb", "DCIM/\\", "DCIM/ "], 2)
@examples(0.3)
def test_sha256sum_confirms_every_original_and_finds_the_one_that_changed(card_paths: list[str], which: int) -> None:
    sha256sum = the_program("sha256sum")
    with fresh_directory() as root:
        session = Session(SESSION_ID, root, "sessions/")
        written = write_files(session.originals, card_paths, [b"one", b"two", b""])
        manifests.write_checksums(session, [(hashlib.sha256(data).hexdigest(), path) for path, data in written.items()])
        command = [sha256sum, "--check", "--strict", "SHA256SUMS"]
        good = subprocess.run(command, cwd=session.directory, check=False, capture_output=True)
        (session.originals / list(written)[which % len(written)]).write_bytes(b"changed")
        bad = subprocess.run(command, cwd=session.directory, check=False, capture_output=True)
    assert (good.returncode, good.stderr) == (0, b"")
    assert good.stdout.count(b": OK\n") == len(written)
    assert (bad.returncode, bad.stdout.count(b": FAILED\n")) == (1, 1)


# --- zipped


@given(crowds(), st.none() | st.text(max_size=25) | st.datetimes().map(lambda moment: moment.isoformat()))
@examples(0.3)
def test_a_zip_unpacks_to_every_picture_and_to_nothing_elsewhere(card_paths: list[str], captured: str | None) -> None:
    unzip = the_program("unzip")
    with fresh_directory() as root:
        session = Session(SESSION_ID, root / "base", "sessions/")
        contents = [f"{number}".encode() for number in range(len(card_paths))]
        written = write_files(session.share_images, card_paths, contents)
        session.temporary.mkdir()
        assert publish.write_zip(session, [shot(path, data, captured) for path, data in written.items()])
        with zipfile.ZipFile(session.share_zip) as archive:
            listed = archive.namelist()
        (root / "unpacked").mkdir()
        command = [unzip, "-q", str(session.share_zip), "-d", str(root / "unpacked")]
        done = subprocess.run(command, check=False, capture_output=True, env={"LANG": "C.UTF-8"})
        unpacked = sorted(file.read_bytes() for file in root.rglob("*") if file.is_file() and "base" not in file.parts)
    assert (done.returncode, done.stderr) == (0, b"")
    assert unpacked == sorted(written.values())
    assert len(set(listed)) == len(written)
    for name in listed:
        assert name.startswith("DCIM/")
        assert name.isprintable()
        assert not {"", ".", ".."} & set(name.split("/"))
        assert "\\" not in name


def shot(name: str, content: bytes, captured: str | None) -> Shot:
    share = Derivative(name, "share", name, "k", hashlib.sha256(content).hexdigest(), len(content), 3, 2)
    return Shot(Original(name, MediaKind.STILL, 1, "aa", name, RenderState.DONE), captured, None, share, share)


# --- said


@given(names, st.text(st.characters(codec=None, exclude_categories=()), max_size=30))
@example(b"\xed\xa0\x80", "\ud800\u2066\x85")
def test_what_is_said_of_a_name_moves_no_cursor_and_fools_no_eye(name: bytes, text: str) -> None:
    for said in (printable(os.fsdecode(name)), printable(text)):
        assert not unicode_categories(said) & {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
        assert len(said.splitlines()) <= 1
        said.encode()


def test_a_card_is_never_asked_for_a_name_that_leaves_it(tmp_path: Path) -> None:
    (tmp_path / "DCIM").mkdir()
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "DCIM" / "..%2fsecret").write_bytes(b"")
    (tmp_path / "DCIM" / "..\\secret").write_bytes(b"")
    found = scan(find_volume(tmp_path))
    assert [file.path for file in found.files] == ["DCIM/..%2fsecret", "DCIM/..\\secret"]
    assert found.outside == ("secret",)
