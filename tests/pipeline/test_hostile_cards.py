"""Cards made by a stranger: names, links, pipes, broken pictures, crowds; and a whole set of real camera files."""

import json
import os
import re
import shutil
import socket
import subprocess
import zipfile
from dataclasses import dataclass
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes, urlsplit

import pytest
from PIL import Image

from tests.support.appliance import (
    PHOTOS,
    Appliance,
    connected,
    get,
    left_overs,
    links,
    make_card,
    objects,
    save_noise,
    save_photo,
    sha256,
    tree,
)

if TYPE_CHECKING:
    from tests.support.served import Served

NAMES: list[bytes] = [
    b'it\'s "quoted" & $HOME `id`.jpg',
    b'"onerror="alert(1)" x=".jpg',
    b"<script>alert(1)<script>.jpg",
    b"--><img src=x onerror=alert(1)>.jpg",
    b"&lt;b&gt;&quot;.jpg",
    b"{{7*7}}{% raw %}.jpg",
    b"javascript:alert(1).jpg",
    b"line\nbreak.jpg",
    b"return\rhere.jpg",
    b"tab\there.jpg",
    b"\x1b[31mred\x07.jpg",
    b"back\\slash.jpg",
    b"..jpg",
    b"...jpg",
    b"..%2f..%2f..%2fetc%2fpasswd.jpg",
    b"%00.jpg",
    b"-rf.jpg",
    b"--help",
    b" .jpg",
    b"trailing space .jpg ",
    b"a b.jpg",
    b"a%20b.jpg",
    b"a+b.jpg",
    b"a#b?c=d&e.jpg",
    b"IMG.JPG",
    b"img.jpg",
    b"IMG.jpg.jpg",
    b"IMG.png.jpg",
    b"IMG",
    b".hidden.jpg",
    b"~1.jpg",
    b"share.zip",
    b"index.html",
    b"x" * 251 + b".jpg",
    b"x" * 255,
    ("é" * 125 + ".jpg").encode(),
    ("写" * 83 + ".jpg").encode(),
    "\u202egpj.exe.jpg".encode(),
    "\u2028line\u2029.jpg".encode(),
    "\ufeffbom\u200b.jpg".encode(),
    "caf\u00e9.jpg".encode(),
    "cafe\u0301.jpg".encode(),
    "😀.jpg".encode(),
    "\udbff".encode("utf-16", "surrogatepass") + b".jpg",
    b"\xff\xfe.jpg",
    b"\xff\xfd.jpg",
    b"\xc3.jpg",
]
DIRECTORIES: list[bytes] = [b'<b>"dir"', b"..", b"-dir", b"new\nline", b"\xff", b"d" * 255, b"...", b"derived"]


@dataclass
class Gone:
    """What came of a card."""

    appliance: Appliance
    card: Path
    document: dict[str, Any]
    code: int
    wanted: dict[str, str]

    @property
    def session(self) -> Path:
        return Path(self.document["session_dir"])


def go(appliance: Appliance, card: Path, wanted: dict[str, str] | None = None) -> Gone:
    wanted = tree(card) if wanted is None else wanted
    ended = appliance.call("run", "--volume", str(card), "--json")
    assert ended.code in (0, 3), ended.err
    assert "\x1b" not in ended.err
    gone = Gone(appliance, card, ended.document, ended.code, wanted)
    assert (ended.code == 3) == bool(gone.document["failed"])
    return gone


def assert_kept(gone: Gone) -> None:
    """Every content that was on the card is in the session, once, and the checksums say so."""
    saved = tree(gone.session / "originals")
    assert sorted(saved.values()) == sorted(set(gone.wanted.values()))
    # A file keeps its place unless another of the same content came first.
    assert all(gone.wanted.get(path) == digest for path, digest in saved.items())
    checked = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=gone.session, capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert left_overs(gone.appliance.base) == []
    for failure in gone.document["failed"]:
        assert set(failure) == {"path", "step", "reason"}
        assert failure["step"] == "derive", failure
        assert failure["reason"]
        assert failure["path"].isprintable()


class Elements(HTMLParser):
    """The elements of a page, as a browser without script sees them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.sources: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]
        if tag == "img":
            self.sources += [value or "" for name, value in attrs if name == "src"]


def assert_clean(gone: Gone, calm: Gone) -> None:
    """A page of strange names has no element and no attribute that a page of plain names has not."""
    for name in ("index.html", "index.s3.html"):
        page = Elements((gone.session / name).read_text(encoding="utf-8"))
        plain = Elements((calm.session / name).read_text(encoding="utf-8"))
        assert page.tags.count("script") == plain.tags.count("script")
        assert set(page.tags) <= set(plain.tags)
        assert set(page.attributes) <= set(plain.attributes)
        assert len(page.sources) == gone.document["derived"]
    local = links((gone.session / "index.html").read_text(encoding="utf-8"))
    for link in local:
        if not link.startswith("data:"):
            assert os.path.isfile(os.fsencode(gone.session) + b"/" + unquote_to_bytes(link)), link  # noqa: PTH113


def assert_all_opens(gone: Gone, served: "Served") -> None:
    assert get(gone.document["url"]).status == 200
    shown = {link for link in links((gone.session / "index.s3.html").read_text()) if not link.startswith("data:")}
    assert {get(link).status for link in shown} == {200}
    assert {get(link.partition("?")[0]).status for link in shown} == {403}
    keys = objects(served, f"sessions/{gone.session.name}/")
    pictures = gone.document["derived"]
    assert sum(key.startswith("share/") for key in keys) == pictures
    assert sum(key.startswith("thumbs/") for key in keys) == pictures
    assert len(keys) == 2 * pictures + 2
    assert all(".." not in urlsplit(link).path.split("/") for link in shown)
    with zipfile.ZipFile(gone.session / "share.zip") as archive:
        assert archive.testzip() is None
        for name in archive.namelist():
            assert not name.startswith("/")
            assert ".." not in PurePosixPath(name).parts
        assert len(set(archive.namelist())) == pictures


@pytest.fixture(scope="module")
def calm(served: "Served", tmp_path_factory: pytest.TempPathFactory) -> Gone:
    """A card with plain names; one picture without a date, so that the page has headings."""
    root = tmp_path_factory.mktemp("calm")
    card = make_card(root / "card", range(2))
    Image.linear_gradient("L").save(card / "DCIM/100CANON/IMG_0009.PNG")
    save_noise(card / "DCIM/100CANON/MVI_0001.MP4", 1000, 5)
    return go(connected(root, served), card)


def test_strange_names_are_kept_shown_and_harmless(appliance: Appliance, calm: Gone, served: "Served") -> None:
    card = appliance.root / "<i>card\n"
    small = save_photo(appliance.root / "small.jpg", 1, (60, 40)).read_bytes()
    places = [os.fsencode(card / "DCIM")]
    places += [places[0] + b"/" + name for name in DIRECTORIES if name != b".."]
    number = 0
    for place in places:
        Path(os.fsdecode(place)).mkdir(parents=True)
        for name in NAMES if place == places[0] else [b"IMG_0001.JPG"]:
            number += 1
            with open(place + b"/" + name, "wb") as file:  # noqa: PTH123 - bytes that are no text
                file.write(small + f"{number}".encode())
    before = set(appliance.root.iterdir())
    gone = go(appliance, card)
    assert_kept(gone)
    assert gone.document["new"] == number
    assert gone.document["derived"] == number
    assert gone.document["failed"] == []
    assert_clean(gone, calm)
    assert_all_opens(gone, served)
    assert {path.name for path in set(appliance.root.iterdir()) - before} <= {"base", "state", "out0", "err0"}
    assert appliance.status["card"]["label"].isprintable()
    assert "\x1b" not in (gone.session / "ghostroll.log").read_text()


def test_what_is_no_regular_file_is_left_alone(appliance: Appliance, calm: Gone) -> None:
    card = make_card(appliance.root / "card", range(2))
    outside = save_photo(appliance.root / "outside" / "secret.jpg", 77)
    folder = card / "DCIM/100CANON"
    wanted = tree(card)
    (folder / "link.jpg").symlink_to(outside)
    (folder / "passwd").symlink_to("/etc/passwd")
    (folder / "dangling.jpg").symlink_to("nowhere")
    (folder / "loop").symlink_to(".")
    (folder / "away").symlink_to(outside.parent)
    (card / "PRIVATE").symlink_to(outside.parent)
    os.mkfifo(folder / "pipe.jpg")
    here = Path.cwd()
    with socket.socket(socket.AF_UNIX) as door:
        os.chdir(folder)  # a socket's path has at most 107 bytes (unix(7))
        try:
            door.bind("door.jpg")
        finally:
            os.chdir(here)
    gone = go(appliance, card, wanted)
    assert gone.document["discovered"] == 2
    assert_kept(gone)
    assert_clean(gone, calm)
    assert sha256(outside) not in tree(gone.session).values()


def test_empty_short_and_lying_files_are_kept_and_reported_by_name(appliance: Appliance, calm: Gone) -> None:
    card = make_card(appliance.root / "card", range(2))
    folder = card / "DCIM/100CANON"
    photo = (folder / "IMG_0001.JPG").read_bytes()
    bad = {
        "ZERO.JPG": b"",
        "ONE.JPG": b"\xff",
        "HALF.JPG": photo[: len(photo) // 2],
        "TEXT.JPG": b"<script>alert(1)</script>" * 40,
        "NOISE.CR2": bytes(range(256)) * 64,
    }
    for name, content in bad.items():
        (folder / name).write_bytes(content)
    (folder / "ZERO.MP4").write_bytes(b"")
    gone = go(appliance, card)
    assert_kept(gone)
    assert gone.code == 3
    failed = {PurePosixPath(failure["path"]).name for failure in gone.document["failed"]}
    assert failed <= set(bad)
    assert {"ONE.JPG", "ZERO.JPG", "TEXT.JPG", "NOISE.CR2"} <= failed
    assert gone.document["derived"] == 2 + len(set(bad) - failed)
    assert_clean(gone, calm)
    assert "ONE.JPG" in (gone.session / "ghostroll.log").read_text()
    # Said once: the next run is about what is new.
    again = appliance.run(card)
    assert (again["failed"], again["session_id"]) == ([], None)
    assert appliance.resume(gone.session.name)[0]["failed"] == []


def test_a_directory_that_is_too_deep_costs_only_itself(appliance: Appliance) -> None:
    card = make_card(appliance.root / "card", range(1))
    deep = card / "DCIM" / "/".join("d" for _ in range(60))
    save_photo(deep / "IMG_0002.JPG", 2)
    ended = appliance.call("run", "--volume", str(card), "--json")
    assert ended.code in (0, 3), ended.err
    found = set(tree(Path(ended.document["session_dir"]) / "originals").values())
    assert sha256(card / "DCIM/100CANON/IMG_0000.JPG") in found
    kept = sha256(deep / "IMG_0002.JPG") in found
    assert kept or ended.document["failed"], "kept, or said"
    assert kept or not appliance.status["card"]["safe_to_format"]


# Real files


def manifest() -> list[dict[str, Any]]:
    if not (PHOTOS / "manifest.json").exists():
        pytest.skip("the collection of camera files is not there")
    found: list[dict[str, Any]] = json.loads((PHOTOS / "manifest.json").read_text())
    return found


def is_media(path: str) -> bool:
    name = PurePosixPath(path).name
    roots = ("DCIM/", "PRIVATE/M4ROOT/", "PRIVATE/AVCHD/")
    ignored = (".DS_Store", "Thumbs.db", "desktop.ini", "NC_FLLST.DAT", "INDEX.BDM")
    return path.startswith(roots) and name not in ignored and not name.startswith("._") and not name.endswith(".CTG")


def assert_shared(gone: Gone, entries: list[dict[str, Any]], by: dict[str, str], least: int) -> None:
    """Each picture that a decoder reads is shared, upright, and in the order they were taken."""
    asked = gone.appliance.ask(
        "SELECT o.path, d.name, d.width, d.height FROM originals o JOIN derivatives d USING (session_id, path)"
        " WHERE d.role = 'share'"
    )
    made = {os.fsdecode(row[0]) if isinstance(row[0], bytes) else row[0]: row[1:] for row in asked}
    by_digest = {digest: path for path, digest in tree(gone.session / "originals").items()}
    checked = 0
    for entry in entries:
        if by[entry["path"]] not in gone.wanted:
            continue
        is_still = entry["kind"] in ("jpeg", "heic") or entry["content"] in ("PNG", "TIFF", "AVIF")
        if not (entry["decodable"] or "pillow-heif" in entry["decodable_with"]) or not is_still:
            continue
        path = by_digest[entry["sha256"]]
        assert path in made, entry["path"]
        _, width, height = made[path]
        with Image.open(gone.session / "derived/share" / os.fsdecode(made[path][0])) as image:
            assert image.size == (width, height)
        if entry.get("ambiguous"):
            continue
        scale = min(1, 2048 / max(entry["width"], entry["height"]))
        wanted = [max(1, round(scale * entry[edge])) for edge in ("width", "height")]
        assert [width, height] == pytest.approx(wanted, abs=1), entry["path"]
        checked += 1
    assert checked >= least
    assert_order(gone, entries, made, by_digest)


def assert_order(
    gone: Gone, entries: list[dict[str, Any]], made: dict[str, tuple[Any, ...]], by_digest: dict[str, str]
) -> None:
    page = (gone.session / "index.html").read_text()
    shown = [os.fsdecode(unquote_to_bytes(each)) for each in re.findall(r'<img[^>]*\ssrc="([^"]*)"', page)]
    at = {name.removeprefix("derived/thumbs/"): place for place, name in enumerate(shown)}
    dated = sorted(
        (entry["captured"][:19], at[os.fsdecode(made[path][0])], entry["path"])
        for entry in entries
        if entry["captured"] and not entry.get("ambiguous") and (path := by_digest.get(entry["sha256"])) in made
    )
    for (earlier, before, one), (later, after, other) in pairwise(dated):
        assert before < after or earlier == later, (one, earlier, before, other, later, after)


def test_a_real_card_is_kept_and_shared(appliance: Appliance, calm: Gone, served: "Served") -> None:
    entries = [entry for entry in manifest() if entry["path"].startswith("card/")]
    by = {entry["path"]: entry["path"].removeprefix("card/") for entry in entries}
    wanted = {path: entry["sha256"] for entry in entries if is_media(path := by[entry["path"]])}
    gone = go(appliance, PHOTOS / "card", wanted)
    assert gone.document["discovered"] == len(wanted)
    assert_kept(gone)
    assert_clean(gone, calm)
    assert_all_opens(gone, served)
    assert_shared(gone, entries, by, 25)


def test_all_that_is_odd_or_broken_is_kept_and_what_can_be_is_shared(
    appliance: Appliance, calm: Gone, served: "Served"
) -> None:
    entries = [entry for entry in manifest() if not entry["path"].startswith("card/")]
    by = {entry["path"]: f"DCIM/{entry['path']}" for entry in entries}
    card = appliance.root / "card"
    for entry in entries:
        (card / by[entry["path"]]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PHOTOS / entry["path"], card / by[entry["path"]])
    wanted = {path: entry["sha256"] for entry in entries if is_media(path := by[entry["path"]])}
    gone = go(appliance, card, wanted)
    assert gone.document["discovered"] == len(wanted)
    assert gone.code == 3
    assert_kept(gone)
    assert_clean(gone, calm)
    assert_all_opens(gone, served)
    assert_shared(gone, entries, by, 40)
