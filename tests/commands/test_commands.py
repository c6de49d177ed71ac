"""What the commands say and end with: refusals, the embedded store beside the runs, progress, the demo."""

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from ghostroll.embedded.seaweedfs import free_ports
from tests.support.appliance import (
    GHOSTROLL,
    Appliance,
    Ended,
    family,
    get,
    is_running,
    make_appliance,
    make_card,
    save_noise,
    terminated,
    wait_until,
)

if TYPE_CHECKING:
    from tests.support.served import Served


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Appliance]:
    """An appliance without a bucket: the embedded store serves."""
    made = make_appliance(tmp_path, GHOSTROLL_STORE_PORT=str(free_ports(1)[0]))
    yield made
    made.kill_all()


def said_in_words(ended: Ended) -> str:
    """Return the last line on stderr: a sentence for its owner, not for its author."""
    line = ended.err.strip().splitlines()[-1]
    assert re.search(r"[a-z] [a-z]", line), ended.err
    return line


# Refusals


def test_a_directory_without_dcim_is_no_card(appliance: Appliance) -> None:
    (appliance.root / "stick" / "Documents").mkdir(parents=True)
    ended = appliance.call("run", "--volume", str(appliance.root / "stick"), "--json")
    assert ended.code == 66
    assert "DCIM" in said_in_words(ended)
    assert ended.out == ""


def test_a_missing_directory_is_named(appliance: Appliance) -> None:
    ended = appliance.call("run", "--volume", str(appliance.root / "nowhere"))
    assert ended.code == 66
    assert str(appliance.root / "nowhere") in said_in_words(ended)


@pytest.mark.parametrize("kind", ["file", "link", "volume is a file", "dangling"])
def test_what_is_no_directory_is_no_card(appliance: Appliance, kind: str) -> None:
    volume = appliance.root / "volume"
    if kind == "volume is a file":
        volume.write_text("")
    else:
        volume.mkdir()
        make_card(appliance.root / "real", range(1))
        if kind == "file":
            (volume / "DCIM").write_text("")
        else:
            (volume / "DCIM").symlink_to(appliance.root / "real" / "DCIM" if kind == "link" else "nowhere")
    ended = appliance.call("run", "--volume", str(volume))
    assert ended.code == 66
    assert said_in_words(ended)


@pytest.mark.parametrize("device", ["/dev/no-such-device", "/dev/null"])
def test_a_device_that_is_no_mounted_card_is_named(appliance: Appliance, device: str) -> None:
    ended = appliance.call("run", "--device", device)
    assert ended.code == 66
    assert device in said_in_words(ended)


def test_an_empty_card_is_nothing_new(appliance: Appliance) -> None:
    (appliance.root / "card" / "DCIM" / "100CANON").mkdir(parents=True)
    document = appliance.run(appliance.root / "card")
    assert (document["discovered"], document["session_id"], document["state"]) == (0, None, "done")


def test_a_wrong_secret_is_told_apart_and_nothing_is_lost(appliance: Appliance) -> None:
    card = make_card(appliance.root / "card", range(2))
    right = appliance.environment["AWS_SECRET_ACCESS_KEY"]
    ended = appliance.call("run", "--volume", str(card), "--json", AWS_SECRET_ACCESS_KEY="not-it")
    assert ended.code == 77, ended.err
    assert "credentials" in said_in_words(ended)
    assert "not-it" not in ended.err
    assert (ended.document["ingested"], ended.document["url"]) == (2, None)
    assert (appliance.status["state"], appliance.status["error"]["code"]) == ("error", 77)
    assert appliance.status["card"]["state"] == "safe"
    assert ended.seconds < 20, "no use in trying for long"
    assert right not in "".join(path.read_text() for path in appliance.base.rglob("*.log"))
    (again,) = appliance.resume()
    assert get(again["url"]).status == 200


def test_without_credentials_it_says_so(appliance: Appliance) -> None:
    card = make_card(appliance.root / "card", range(1))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        del appliance.environment[name]
    ended = appliance.call("run", "--volume", str(card))
    assert ended.code == 77, ended.err
    assert "credentials" in said_in_words(ended)


def test_a_missing_bucket_is_named(appliance: Appliance) -> None:
    card = make_card(appliance.root / "card", range(1))
    ended = appliance.call("run", "--volume", str(card), GHOSTROLL_S3_BUCKET="no-such-bucket")
    # The tests' credentials are good for one bucket only: the store may say that they are refused for another.
    assert ended.code in (77, 78), ended.err
    assert ended.code == 77 or "no-such-bucket" in said_in_words(ended)
    assert appliance.count("ingested_files") == 1


def test_an_unknown_session_is_named(appliance: Appliance) -> None:
    ended = appliance.call("resume", "shoot-of-nobody")
    assert ended.code == 64
    assert "shoot-of-nobody" in said_in_words(ended)


def test_a_catalog_that_is_none_is_a_matter_of_configuration(appliance: Appliance) -> None:
    card = make_card(appliance.root / "card", range(1))
    save_noise(appliance.database, 10_000, 1)
    ended = appliance.call("run", "--volume", str(card))
    assert ended.code == 78, ended.err
    assert str(appliance.database) in said_in_words(ended)


@pytest.mark.parametrize("name", ["GHOSTROLL_BASE_DIR", "GHOSTROLL_DB_PATH", "GHOSTROLL_STATUS_PATH"])
def test_a_place_that_cannot_be_written_is_named(appliance: Appliance, name: str) -> None:
    card = make_card(appliance.root / "card", range(1))
    (appliance.root / "file").write_text("")
    place = str(appliance.root / "file" / "inner")
    ended = appliance.call("run", "--volume", str(card), **{name: place})
    assert ended.code in (73, 78), ended.err
    assert said_in_words(ended)


# What is printed


def test_a_run_ends_with_the_link_and_its_code(appliance: Appliance) -> None:
    ended = appliance.call("run", "--volume", str(make_card(appliance.root / "card", range(2))))
    assert ended.code == 0
    url = (appliance.sessions()[0] / "share.txt").read_text().strip()
    assert url in ended.out.strip().splitlines()[-3:]
    assert "█" in ended.out
    assert "\x1b" not in ended.out + ended.err
    assert "\r" not in ended.err, "plain lines"
    assert all(re.match(r"\d\d:\d\d:\d\d ", line) for line in ended.err.splitlines())


def test_every_json_document_stands_alone(appliance: Appliance) -> None:
    card = make_card(appliance.root / "card", range(1))
    appliance.run(card)
    assert appliance.call("status", "--json").document["state"] == "done"
    (listed,) = appliance.call("sessions", "--json").document
    assert (listed["photos"], listed["files"], listed["state"]) == (1, 1, "shared")
    assert appliance.call("config", "--json").document["sd_label"]["value"] == "auto-import"
    assert appliance.call("resume", "--json").document == []
    for verb in ("status", "sessions", "config", "resume"):
        ended = appliance.call(verb)
        assert (ended.code, ended.err) == (0, "")
        assert appliance.environment["AWS_SECRET_ACCESS_KEY"] not in ended.out


def test_before_the_first_card_every_command_answers(alone: Appliance) -> None:
    for verb in ("status", "sessions", "config"):
        for arguments in ([verb], [verb, "--json"]):
            ended = alone.call(*arguments)
            assert (ended.code, ended.err) == (0, "")
            assert ended.out
    assert alone.call("resume").code == 0


def test_on_a_terminal_there_is_a_bar(appliance: Appliance) -> None:
    card = make_card(appliance.root / "card", range(8), (2000, 1333))
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("4H", 24, 100, 0, 0))
    child = subprocess.Popen(
        [str(GHOSTROLL), "run", "--volume", str(card), "--json"],
        env={**appliance.environment, "TERM": "xterm", "COLUMNS": "100"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=follower,
        start_new_session=True,
    )
    os.close(follower)
    shown: list[bytes] = []

    def read() -> None:
        with contextlib.suppress(OSError):  # EIO: the other end is closed (pty(7))
            while chunk := os.read(leader, 4096):
                shown.append(chunk)

    reader = threading.Thread(target=read)
    reader.start()
    out, _ = child.communicate(timeout=120)
    reader.join(10)
    os.close(leader)
    text = b"".join(shown).decode()
    assert child.returncode == 0, text
    assert json.loads(out)["state"] == "done"
    assert re.search(r"\r *\d+ %", text)
    assert "The link to 8 pictures works" in text
    assert "█" not in re.sub(r"\r *\d+ %[^\r]*", "", text), "the code belongs to the end, and is there on stdout"


def test_a_reader_that_leaves_ends_nothing_with_a_traceback(appliance: Appliance) -> None:
    appliance.run(make_card(appliance.root / "card", range(1)))
    for verb in ("config", "sessions", "status"):
        reading, writing = os.pipe()
        os.close(reading)
        child = subprocess.Popen(
            [str(GHOSTROLL), verb], env=appliance.environment, stdout=writing, stderr=subprocess.PIPE
        )
        os.close(writing)
        _, err = child.communicate(timeout=60)
        assert b"Traceback" not in err
        assert b"Exception" not in err


# Beside each other


def test_a_run_that_is_done_leaves_another_at_work_alone(appliance: Appliance) -> None:
    long = make_card(appliance.root / "long", range(10, 24), (3000, 2000))
    worker = appliance.start("run", "--volume", str(long), "--json", GHOSTROLL_PROCESS_WORKERS="1")
    wait_until(lambda: appliance.count("ingested_files") >= 14)
    ended = appliance.call("run", "--volume", str(make_card(appliance.root / "short", range(1))), "--json")
    assert worker.poll() is None, "the other one is still at work"
    assert ended.code == 0
    assert "nother run" not in ended.err, ended.err
    assert appliance.status["state"] == "running"
    assert appliance.end(worker).code == 0
    assert {row[0] for row in appliance.ask("SELECT state FROM sessions")} == {"shared"}


def test_resuming_leaves_a_run_at_work_alone(appliance: Appliance) -> None:
    long = make_card(appliance.root / "long", range(14), (3000, 2000))
    worker = appliance.start("run", "--volume", str(long), "--json", GHOSTROLL_PROCESS_WORKERS="1")
    wait_until(lambda: appliance.count("ingested_files") >= 14)
    ended = appliance.call("resume")
    assert worker.poll() is None, "it is still at work"
    assert ended.code == 0, ended.err
    assert appliance.status["state"] == "running"
    assert appliance.end(worker).code == 0


# The embedded store


def weeds(appliance: Appliance) -> list[psutil.Process]:
    """Return the servers that run in an appliance's store."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if "weed" in process.name() and process.cwd().startswith(str(appliance.base)):
                found.append(process)
    return found


def test_without_a_bucket_a_run_is_enough(alone: Appliance) -> None:
    card = make_card(alone.root / "card", range(2))
    ended = alone.call("run", "--volume", str(card))
    assert ended.code == 0, ended.err
    assert "`ghostroll store`" in ended.out
    assert weeds(alone) == []
    url = (alone.sessions()[0] / "share.txt").read_text().strip()
    assert url.startswith(f"http://127.0.0.1:{alone.environment['GHOSTROLL_STORE_PORT']}/")
    with terminated(alone.start("store")):
        assert wait_until(lambda: opens(url))
        document = alone.run(make_card(alone.root / "card", range(2, 4)))
        assert get(document["url"]).status == 200
    assert weeds(alone) == []


def opens(url: str) -> bool:
    try:
        return get(url).status == 200
    except OSError:
        return False


def test_the_store_stays_whatever_happens_to_the_runs_beside_it(alone: Appliance) -> None:
    store = alone.start("store")
    wait_until(lambda: "Ctrl-C" in alone.output(store)[0])
    document = alone.run(make_card(alone.root / "first", range(1)))

    def has_saved(files: int) -> bool:
        return alone.count("ingested_files") >= files

    for number, files in enumerate((1, 4, 8)):  # so many are saved when the run is killed
        card = make_card(alone.root / f"card{number}", range(10 * number + 10, 10 * number + 18), (1600, 1067))
        before = alone.count("ingested_files")
        child = alone.start("run", "--volume", str(card))
        wait_until(partial(has_saved, before + files), every=0.01)
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    assert store.poll() is None
    assert get(document["url"]).status == 200
    assert all(get(each["url"]).status == 200 for each in alone.resume())
    assert {row[0] for row in alone.ask("SELECT state FROM sessions")} == {"shared"}
    store.send_signal(signal.SIGTERM)
    ended = alone.end(store)
    assert ended.code == 0
    assert ended.seconds < 25  # one that heeds no signal goes on for its backoff of 30 s
    assert weeds(alone) == []


def test_a_store_that_is_asked_to_end_says_so(alone: Appliance) -> None:
    store = alone.start("store")
    wait_until(lambda: "Ctrl-C" in alone.output(store)[0])
    said = alone.output(store)[1]
    store.send_signal(signal.SIGHUP)
    ended = alone.end(store)
    assert ended.code == 0
    assert len(ended.err) > len(said), "or it seems to vanish"


def test_the_store_takes_over_from_a_run_that_was_killed(alone: Appliance) -> None:
    document = alone.run(make_card(alone.root / "first", range(1)))
    child = alone.start("run", "--volume", str(make_card(alone.root / "card", range(10, 30), (2000, 1333))))
    wait_until(lambda: opens(document["url"]), every=0.05)
    store = alone.start("store")
    relatives = family(child.pid)
    child.kill()
    child.wait()
    wait_until(lambda: opens(document["url"]), every=0.05)
    assert store.poll() is None
    wait_until(lambda: not any(map(is_running, relatives)), seconds=5)
    assert len(alone.resume()) <= 1
    store.send_signal(signal.SIGINT)
    assert alone.end(store).code == 0


def test_a_run_goes_on_when_the_store_beside_it_is_killed(alone: Appliance) -> None:
    store = alone.start("store")
    wait_until(lambda: "Ctrl-C" in alone.output(store)[0])
    card = make_card(alone.root / "card", range(16), (2000, 1333))
    child = alone.start("run", "--volume", str(card), "--json")
    wait_until(lambda: alone.count("uploads") >= 4 or child.poll() is not None)
    store.kill()
    store.wait()
    ended = alone.end(child)
    assert ended.code == 0, ended.err
    assert (ended.document["derived"], ended.document["state"]) == (16, "done")


def test_a_run_ends_soon_though_the_store_beside_it_hangs(alone: Appliance) -> None:
    with terminated(alone.start("store")):
        (server,) = wait_until(lambda: weeds(alone))
        wait_until(lambda: "Ctrl-C" in alone.output(alone.children[0])[0])
        server.suspend()
        try:
            child = alone.start("run", "--volume", str(make_card(alone.root / "card", range(2))), "--json")
            wait_until(lambda: alone.count("derivatives") == 4)
            time.sleep(1)
            child.send_signal(signal.SIGTERM)
            ended = alone.end(child, 10)
        finally:
            server.resume()
    assert ended.code == 75
    assert alone.status["state"] == "interrupted"
    assert alone.count("ingested_files") == 2


def test_a_port_that_is_taken_is_named_and_nothing_is_lost(alone: Appliance, served: "Served") -> None:
    port = served.settings.store_port
    card = make_card(alone.root / "card", range(1))
    ended = alone.call("run", "--volume", str(card), GHOSTROLL_STORE_PORT=str(port))
    assert ended.code == 78, ended.err
    assert "store_port" in ended.err
    assert str(port) in ended.err
    assert alone.count("ingested_files") == 1
    assert len(alone.resume()) == 1


def test_many_that_start_a_new_store_at_once_agree_on_its_keys(alone: Appliance) -> None:
    cards = [make_card(alone.root / f"card{number}", range(number, number + 1)) for number in range(4)]
    started = time.monotonic()
    children = [alone.start("run", "--volume", str(card)) for card in cards]
    assert [alone.end(child).code for child in children] == [0, 0, 0, 0]
    assert time.monotonic() - started < 45


# The demo


def test_the_demo_prints_a_link_and_leaves_nothing(tmp_path: Path) -> None:
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    home.mkdir()
    temporary.mkdir()
    ended = subprocess.run(
        [str(GHOSTROLL), "demo", "--once"],
        env={"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(temporary)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert re.search(r"^http://127\.0\.0\.1:\d+/.*X-Amz-Signature=\w{64}$", ended.stdout, re.MULTILINE)
    assert "█" in ended.stdout
    assert "Traceback" not in ended.stderr
    assert list(temporary.iterdir()) == []
    assert [path for path in home.rglob("*") if path.is_file()] == []
