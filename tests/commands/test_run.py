"""`ghostroll run`, from outside: a card in, and all that must be on the disk, in the bucket and behind the link."""

import gzip
import hashlib
import json
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest
from PIL import Image

from tests.support.appliance import (
    Appliance,
    captured_at,
    characters_read,
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

PHOTOS = {
    "DCIM/100CANON/IMG_0001.JPG": (3000, 2000, 1),
    "DCIM/100CANON/IMG_0002.JPG": (900, 600, 6),
    "DCIM/100CANON/IMG_0003.JPG": (400, 300, 3),
    "DCIM/100CANON/SUB/IMG 0004.jpeg": (900, 600, 1),
    "DCIM/101CANON/IMG_0001.JPG": (900, 600, 1),
}
OTHERS = {
    "DCIM/100CANON/IMG_0001.CR3": 40_000,
    "DCIM/100CANON/IMG_0001.XMP": 700,
    "DCIM/100CANON/MVI_0005.MP4": 300_000,
    "DCIM/100CANON/notes.unknown": 10,
    "PRIVATE/M4ROOT/CLIP/C0001.MP4": 100_000,
    "DCIM/100CANON/empty.txt": 0,
}
HOUSEKEEPING = (
    "DCIM/.DS_Store",
    "DCIM/100CANON/._IMG_0001.JPG",
    "DCIM/100CANON/Thumbs.db",
    "DCIM/CANONMSC/M0100.CTG",
    "DCIM/100CANON/NC_FLLST.DAT",
    "DCIM/desktop.ini",
    "PRIVATE/AVCHD/INDEX.BDM",
)
NAMES = {
    "DCIM/100CANON/IMG_0001.jpg": (2048, 1365),
    "DCIM/100CANON/IMG_0002.jpg": (600, 900),
    "DCIM/100CANON/IMG_0003.jpg": (400, 300),
    "DCIM/100CANON/SUB/IMG 0004.jpg": (900, 600),
    "DCIM/101CANON/IMG_0001.jpg": (900, 600),
    "DCIM/100CANON/SCREEN.jpg": (640, 480),
}


def write_card(root: Path) -> None:
    for seed, (name, (width, height, orientation)) in enumerate(PHOTOS.items()):
        save_photo(root / name, seed, (width, height), orientation)
    Image.linear_gradient("L").resize((640, 480)).save(root / "DCIM/100CANON/SCREEN.PNG")
    for seed, (name, size_bytes) in enumerate(OTHERS.items(), 100):
        save_noise(root / name, size_bytes, seed)
    # The reading order is stills before video, then by path: of these the one in 101CANON and the video are the copies.
    shutil.copyfile(root / "DCIM/100CANON/IMG_0003.JPG", root / "DCIM/101CANON/IMG_0009.JPG")
    shutil.copyfile(root / "DCIM/100CANON/MVI_0005.MP4", root / "DCIM/101CANON/MVI_0009.MP4")
    for name in HOUSEKEEPING:
        save_noise(root / name, 50, 7)
    save_noise(root / "MISC/AUTPRINT.MRK", 50, 8)


@dataclass
class Shared:
    """A card that went all the way through, and what the program said about it."""

    appliance: Appliance
    card: Path
    before: dict[str, str]
    document: dict[str, Any]
    served: "Served"
    seconds: tuple[datetime, datetime]

    @property
    def session(self) -> Path:
        return Path(self.document["session_dir"])

    @property
    def url(self) -> str:
        return str(self.document["url"])

    @property
    def prefix(self) -> str:
        return f"sessions/{self.document['session_id']}/"

    @property
    def page(self) -> str:
        return gzip.decompress(get(self.url).body).decode()


@pytest.fixture(scope="module")
def shared(served: "Served", tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    root = tmp_path_factory.mktemp("run")
    appliance = connected(root, served)
    card = root / "EOS_DIGITAL"
    write_card(card)
    before = tree(card)
    started = datetime.now().astimezone()
    document = appliance.run(card)
    yield Shared(appliance, card, before, document, served, (started, datetime.now().astimezone()))
    appliance.kill_all()


# The document


def test_the_document_has_every_field_and_its_numbers_agree(shared: Shared) -> None:
    document = shared.document
    assert set(document) == set(
        "session_id session_dir state discovered new skipped ingested derived uploaded failed bytes url expires_at "
        "seconds".split()
    )
    assert document["state"] == "done"
    assert document["discovered"] == len(PHOTOS) + 1 + len(OTHERS) + 2
    assert document["discovered"] == document["new"] + document["skipped"]
    assert document["skipped"] == 2
    assert document["ingested"] == document["new"] == len(PHOTOS) + 1 + len(OTHERS)
    assert document["derived"] == len(NAMES)
    assert document["uploaded"] >= 2 * len(NAMES) + 2
    assert document["failed"] == []
    assert 0 < document["seconds"] < (shared.seconds[1] - shared.seconds[0]).total_seconds()
    on_card = [path.stat().st_size for path in shared.card.rglob("*") if path.is_file()]
    assert (
        sum(path.stat().st_size for path in (shared.session / "originals").rglob("*") if path.is_file())
        <= (document["bytes"])
    )
    assert document["bytes"] <= sum(on_card)


def test_the_session_id_is_the_time_of_the_run(shared: Shared) -> None:
    name = shared.document["session_id"]
    assert re.fullmatch(r"shoot-\d{4}-\d\d-\d\d_\d{6}_\d{6}", name)
    moment = datetime.strptime(name, "shoot-%Y-%m-%d_%H%M%S_%f").astimezone()
    assert shared.seconds[0] <= moment <= shared.seconds[1]
    assert shared.session == shared.appliance.base / name


def test_the_link_is_valid_for_seven_days(shared: Shared) -> None:
    expires = datetime.fromisoformat(shared.document["expires_at"])
    assert expires.tzinfo is not None
    query = parse_qs(urlsplit(shared.url).query)
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    signed = datetime.strptime(query["X-Amz-Date"][0] + "+0000", "%Y%m%dT%H%M%SZ%z")
    assert expires == signed + timedelta(seconds=int(query["X-Amz-Expires"][0])) == signed + timedelta(days=7)


# The disk


def test_the_card_is_as_it_was(shared: Shared) -> None:
    assert tree(shared.card) == shared.before


def test_a_session_holds_what_it_should_and_nothing_else(shared: Shared) -> None:
    originals = {f"originals/{name}" for name in [*PHOTOS, *OTHERS, "DCIM/100CANON/SCREEN.PNG"]}
    derived = {f"derived/{role}/{name}" for role in ("share", "thumbs") for name in NAMES}
    others = (
        "share.zip index.html index.s3.html share.txt share-qr.png SHA256SUMS ghostroll.log .catalog.jsonl.gz".split()
    )
    assert set(tree(shared.session)) == originals | derived | {*others}
    assert left_overs(shared.appliance.base) == []


def test_originals_are_the_cards_files_byte_for_byte(shared: Shared) -> None:
    originals = tree(shared.session / "originals")
    assert originals == {name: shared.before[name] for name in originals}
    for name in originals:
        copy, on_card = shared.session / "originals" / name, shared.card / name
        assert abs(copy.stat().st_mtime - on_card.stat().st_mtime) < 0.001


def test_sha256sum_confirms_every_original(shared: Shared) -> None:
    checked = subprocess.run(
        ["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=shared.session, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    assert len(checked.stdout.splitlines()) == len(tree(shared.session / "originals"))


def test_derivatives_are_upright_and_of_the_promised_size(shared: Shared) -> None:
    for name, size in NAMES.items():
        with Image.open(shared.session / "derived/share" / name) as image:
            assert (image.format, image.size, image.mode) == ("JPEG", size, "RGB"), name
        with Image.open(shared.session / "derived/thumbs" / name) as image:
            scale = min(1, 512 / max(size))
            assert image.size == pytest.approx([scale * edge for edge in size], abs=1), name


def test_derivatives_say_nothing_but_the_picture(shared: Shared) -> None:
    exiftool = shutil.which("exiftool")
    if exiftool is None:
        pytest.skip("no exiftool on this machine (Debian: apt install libimage-exiftool-perl)")
    read = subprocess.run(
        [exiftool, "-json", "-G1", "-r", "-ee", str(shared.session / "derived")],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(read.stdout)
    assert len(found) == 2 * len(NAMES)
    for facts in found:
        groups = {key.partition(":")[0] for key in facts if ":" in key}
        assert groups <= {"ExifTool", "System", "File", "JFIF", "Composite", "ICC-header", "ICC_Profile"}, facts
        assert "File:Comment" not in facts


def test_share_images_lie_in_the_zip_as_they_are(shared: Shared) -> None:
    with zipfile.ZipFile(shared.session / "share.zip") as archive:
        assert archive.testzip() is None
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
        packed = {name: hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist()}
    assert packed == tree(shared.session / "derived/share")


def test_the_local_page_finds_every_file_beside_it(shared: Shared) -> None:
    found = [each for each in links((shared.session / "index.html").read_text()) if not each.startswith("data:")]
    assert all(not urlsplit(each).scheme and not each.startswith("/") for each in found)
    files = {(shared.session / unquote(each)).resolve() for each in found}
    assert all(file.is_file() for file in files)
    for name in NAMES:
        assert {shared.session / "derived/share" / name, shared.session / "derived/thumbs" / name} <= files
    assert shared.session / "share.zip" in files


def test_link_and_code_are_kept_beside_the_session(shared: Shared) -> None:
    zxingcpp = pytest.importorskip("zxingcpp")
    assert (shared.session / "share.txt").read_text() == shared.url + "\n"
    with Image.open(shared.session / "share-qr.png") as code:
        assert [each.text for each in zxingcpp.read_barcodes(code)] == [shared.url]
    log = (shared.session / "ghostroll.log").read_text()
    assert shared.url in log
    assert "█" in log


def test_the_status_is_the_documents(shared: Shared) -> None:
    status = shared.appliance.status
    document = shared.document
    assert (status["state"], status["step"], status["progress"], status["error"]) == ("done", "done", 1.0, None)
    assert [status[name] for name in ("session_id", "session_dir", "url", "expires_at")] == [
        document[name] for name in ("session_id", "session_dir", "url", "expires_at")
    ]
    counts = status["counts"]
    assert [counts[name] for name in ("discovered", "new", "skipped", "ingested", "uploaded", "failed")] == [
        *(document[name] for name in ("discovered", "new", "skipped", "ingested", "uploaded")),
        0,
    ]
    assert counts["processed"] == document["derived"]
    assert counts["verified"] <= counts["ingested"]
    assert status["card"]["state"] == "safe"
    assert status["card"]["saved"] == status["card"]["files"] == document["discovered"]
    assert len(status["thumbnails"]) == len(NAMES)
    assert all(Path(each).is_file() for each in status["thumbnails"])
    assert status["bytes"]["done"] == status["bytes"]["total"] == document["bytes"]
    assert status["runs"] == []


def test_the_status_is_as_its_schema_says(shared: Shared) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = Path(__file__).parents[2] / "docs" / "status.schema.json"
    if not schema.exists():
        pytest.skip("the schema is not there")
    jsonschema.validate(
        shared.appliance.status,
        json.loads(schema.read_text()),
        format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER,
    )


# The bucket


def test_the_bucket_holds_what_the_page_shows_and_nothing_else(shared: Shared) -> None:
    keys = set(objects(shared.served, shared.prefix))
    assert keys == {f"{role}/{name}" for role in ("share", "thumbs") for name in NAMES} | {"share.zip", "index.html"}


def test_the_link_opens_the_page(shared: Shared) -> None:
    answer = get(shared.url)
    assert answer.status == 200
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.headers["Content-Type"].replace(" ", "").lower() == "text/html;charset=utf-8"
    assert "private" in answer.headers["Cache-Control"]
    assert gzip.decompress(answer.body) == (shared.session / "index.s3.html").read_bytes()


def test_everything_the_page_names_opens(shared: Shared) -> None:
    found = [each for each in links(shared.page) if not each.startswith("data:")]
    answers = {each: get(each) for each in dict.fromkeys(found)}
    assert {answer.status for answer in answers.values()} == {200}
    types = [answer.headers["Content-Type"] for answer in answers.values()]
    assert sorted(types) == ["application/zip"] + 2 * len(NAMES) * ["image/jpeg"]
    assert all("private" in answer.headers["Cache-Control"] for answer in answers.values())
    local = {
        f"{role}/{name}": (shared.session / "derived" / role / name).read_bytes()
        for role in ("share", "thumbs")
        for name in NAMES
    } | {"share.zip": (shared.session / "share.zip").read_bytes()}
    got = {unquote(urlsplit(each).path).partition(shared.prefix)[2]: answer.body for each, answer in answers.items()}
    assert got == local


def test_without_its_signature_nothing_opens(shared: Shared) -> None:
    for link in {shared.url, *links(shared.page)}:
        if link.startswith("data:"):
            continue
        assert get(link.partition("?")[0]).status == 403
        altered = link[:-1] + ("0" if link[-1] != "0" else "1")
        assert get(altered).status == 403


def test_the_bucket_is_not_listed_for_strangers(shared: Shared) -> None:
    bucket = f"{shared.served.endpoint.local_url}/{shared.served.endpoint.bucket}"
    for address in (bucket, f"{bucket}/?list-type=2", f"{bucket}/?prefix={quote(shared.prefix)}"):
        assert get(address).status == 403


def test_pictures_come_in_the_order_they_were_taken(appliance: Appliance) -> None:
    order = [5, 1, 4, 2, 3]
    card = appliance.root / "card"
    for number, seed in enumerate(order):
        save_photo(card / f"DCIM/100CANON/IMG_{number:04}.JPG", seed)
    page = Path(appliance.run(card)["session_dir"]) / "index.html"
    shown = [unquote(each) for each in re.findall(r'<img[^>]*\ssrc="([^"]*)"', page.read_text())]
    wanted = sorted(range(len(order)), key=lambda number: captured_at(order[number]))
    assert shown == [f"derived/thumbs/DCIM/100CANON/IMG_{number:04}.jpg" for number in wanted]


# Again


def test_a_second_run_finds_nothing_new_and_reads_no_file(appliance: Appliance, served: "Served") -> None:
    card = make_card(appliance.root / "card", range(2))
    for seed in range(4):
        save_noise(card / f"DCIM/100CANON/MVI_{seed:04}.MP4", 32 << 20, seed)
    first = appliance.run(card)
    uploaded = objects(served, f"sessions/{first['session_id']}/")
    child = appliance.start("run", "--volume", str(card), "--json")
    read = characters_read(child)
    ended = appliance.end(child)
    document = ended.document
    assert ended.code == 0
    assert (document["session_id"], document["session_dir"], document["new"]) == (None, None, 0)
    assert document["skipped"] == document["discovered"] == 6
    assert (document["bytes"], document["uploaded"], document["ingested"]) == (0, 0, 0)
    assert read < 40 << 20, "of 128 MiB on the card"
    assert objects(served, f"sessions/{first['session_id']}/") == uploaded
    assert len(appliance.sessions()) == 1


def test_what_was_added_goes_into_a_session_of_its_own(appliance: Appliance) -> None:
    card = make_card(appliance.root / "card", range(2))
    first = appliance.run(card)
    save_photo(card / "DCIM/100CANON/IMG_0777.JPG", 777)
    second = appliance.run(card)
    assert second["session_id"] != first["session_id"]
    assert (second["new"], second["skipped"]) == (1, 2)
    assert set(tree(Path(second["session_dir"]) / "originals")) == {"DCIM/100CANON/IMG_0777.JPG"}
    assert get(second["url"]).status == get(first["url"]).status == 200


def test_a_file_that_changed_under_its_name_is_new(appliance: Appliance) -> None:
    card = make_card(appliance.root / "card", range(2))
    appliance.run(card)
    changed = card / "DCIM/100CANON/IMG_0001.JPG"
    body = bytearray(changed.read_bytes())
    body[-100] ^= 1
    changed.write_bytes(body)
    second = appliance.run(card)
    assert (second["new"], second["skipped"]) == (1, 1)
    assert list(tree(Path(second["session_dir"]) / "originals").values()) == [sha256(changed)]


def test_rehash_reads_all_and_still_finds_nothing_new(appliance: Appliance) -> None:
    card = make_card(appliance.root / "card", range(3))
    first = appliance.run(card)
    document = appliance.run(card, "--rehash")
    assert (document["new"], document["skipped"], document["session_id"]) == (0, 3, None)
    assert len(appliance.sessions()) == 1
    assert get(first["url"]).status == 200


def test_known_photos_under_other_names_make_no_gallery_of_nothing(appliance: Appliance) -> None:
    card = make_card(appliance.root / "card", range(3))
    first = appliance.run(card)
    (card / "DCIM/100CANON").rename(card / "DCIM/101CANON")
    document = appliance.run(card)
    assert (document["new"], document["skipped"]) == (0, 3)
    assert document["session_id"] is None
    assert appliance.status["url"] == first["url"], "guests find the photos, not an empty page"


def test_a_session_is_made_for_nothing_where_that_is_wanted(appliance: Appliance) -> None:
    card = make_card(appliance.root / "card", range(2))
    first = appliance.run(card)
    second = appliance.run(card, "--always-create-session")
    assert second["session_id"] not in (None, first["session_id"])
    assert (second["new"], second["ingested"]) == (0, 0)
    assert Path(second["session_dir"]).is_dir()


def test_a_named_session_takes_a_second_card(appliance: Appliance, served: "Served") -> None:
    first_card = make_card(appliance.root / "one", range(2))
    second_card = make_card(appliance.root / "two", range(1, 4))
    # The same name on both cards, and another picture.
    save_photo(second_card / "DCIM/100CANON/IMG_0000.JPG", 500)
    first = appliance.run(first_card, "--session-id", "wedding")
    second = appliance.run(second_card, "--session-id", "wedding")
    assert first["session_id"] == second["session_id"] == "wedding"
    session = appliance.base / "wedding"
    wanted = {sha256(path) for card in (first_card, second_card) for path in card.rglob("*.JPG")}
    assert len(wanted) == 5
    assert sorted(tree(session / "originals").values()) == sorted(wanted)
    assert (second["new"], second["skipped"]) == (3, 1)
    keys = objects(served, "sessions/wedding/")
    assert sum(key.startswith("share/") for key in keys) == sum(key.startswith("thumbs/") for key in keys) == 5
    assert len(re.findall("<img", (session / "index.html").read_text())) == 5
    assert get(second["url"]).status == 200
    checked = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=session, capture_output=True, check=False)
    assert checked.returncode == 0


@pytest.mark.parametrize("name", ["", ".", "..", "../up", "a/b", "-x", "a b", "a\nb", "x" * 101, "/abs", "é"])
def test_a_name_that_cannot_be_a_session_is_refused(appliance: Appliance, name: str) -> None:
    card = make_card(appliance.root / "card", range(1))
    ended = appliance.call("run", "--volume", str(card), f"--session-id={name}")
    assert ended.code == 64, ended.err
    assert "session id" in ended.err
    assert not list(appliance.root.rglob("originals"))


@pytest.mark.parametrize("name", ["store", "status.d", "status.json", "ghostroll.db"])
def test_a_session_never_takes_a_place_that_is_used(appliance: Appliance, name: str) -> None:
    card = make_card(appliance.root / "card", range(1))
    ended = appliance.call("run", "--volume", str(card), "--session-id", name)
    assert ended.code == 64, ended.err
    assert appliance.call("status", "--json").document["version"] == 1
