"""The command line where it needs no store: what is refused, how settings are found, what the help says."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ghostroll import cli
from ghostroll.base import config
from ghostroll.base.errors import EXIT_CODE_ORDER, worst_exit_code

COMMANDS = "run watch resume sessions verify status config demo catalog doctor eject store".split()
EXIT_CODES = (0, 1, 3, 64, 66, 73, 74, 75, 77, 78)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, and nothing set that the test does not set."""
    for name in list(os.environ):
        if name.startswith(("GHOSTROLL_", "XDG_", "JOURNAL_", "AWS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(config, "CONFIG_FILES", (tmp_path / "etc.toml", Path("~/.config/ghostroll/ghostroll.toml")))
    return tmp_path


def call(*arguments: str) -> int:
    """Return the exit code, whether it was returned or argparse ended the program."""
    try:
        return cli.main(arguments)
    except SystemExit as ended:
        return int(ended.code or 0)


def settings(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, dict[str, str]]:
    assert call("config", "--json", *arguments) == 0
    found: dict[str, dict[str, str]] = json.loads(capsys.readouterr().out)
    return found


# Usage


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["run"],
        ["run", "--volume"],
        ["run", "--volume", "a", "--device", "b"],
        ["run", "--volume", "a", "--no-such-option"],
        ["run", "--volume", "a", "stray"],
        ["watch", "stray"],
        ["--no-such-option"],
        ["sessions", "--panel"],
    ],
    ids=" ".join,
)
def test_a_command_line_that_makes_no_sense_is_64_with_a_usage_line(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*arguments) == 64
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("usage: ghostroll")
    assert "Traceback" not in said.err


def test_an_abbreviated_option_is_not_guessed(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("config", "--s3-buck", "guess") == 64
    assert "--s3-buck" in capsys.readouterr().err


def test_the_version_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--version") == 0
    assert re.fullmatch(r"ghostroll \d+\.\d+\.\d+\S*\n", capsys.readouterr().out)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_ends_with_every_exit_code(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(command, "--help") == 0
    text = capsys.readouterr().out
    codes = re.findall(r"^  (\d+) ", text.partition("exit status:")[2], re.MULTILINE)
    assert tuple(map(int, codes)) == EXIT_CODES


def test_every_setting_is_a_flag_of_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    for command in COMMANDS:
        call(command, "--help")
        text = capsys.readouterr().out
        assert [setting.flag for setting in config.SETTINGS if setting.flag not in text] == []


# Settings


def test_a_flag_beats_the_environment_beats_the_file_beats_the_default(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def said() -> tuple[str, str]:
        found = settings(capsys)["share_quality"]
        return found["value"], found["from"]

    assert said() == ("90", "default")
    file = home / ".config/ghostroll/ghostroll.toml"
    file.parent.mkdir(parents=True)
    file.write_text("share_quality = 81\n")
    assert said() == ("81", f"file {file}")
    monkeypatch.setenv("GHOSTROLL_SHARE_QUALITY", "82")
    assert said() == ("82", "environment")
    found = settings(capsys, "--share-quality", "83")["share_quality"]
    assert (found["value"], found["from"]) == ("83", "flag")


def test_the_first_file_of_four_places_is_taken(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    places = [home / name for name in ("flag.toml", "variable.toml", "etc.toml", ".config/ghostroll/ghostroll.toml")]
    places[3].parent.mkdir(parents=True)
    for number, place in enumerate(places):
        place.write_text(f"upload_workers = {number + 1}\n")
    assert settings(capsys)["upload_workers"]["value"] == "3"
    places[2].unlink()
    assert settings(capsys)["upload_workers"]["value"] == "4"
    monkeypatch.setenv("GHOSTROLL_CONFIG", str(places[1]))
    assert settings(capsys)["upload_workers"]["value"] == "2"
    assert settings(capsys, "--config", str(places[0]))["upload_workers"]["value"] == "1"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('s3_buckett = "x"', ["s3_buckett", "s3_bucket"]),
        ("[s3]\nbucket = 1", ["s3"]),
        ('share_quality = "best"', ["share_quality", "best", "from 1 to 95"]),
        ("share_quality = true", ["share_quality", "from 1 to 95"]),
        ("share_quality = 90.5", ["share_quality", "90.5"]),
        ('s3_bucket = "No_Bucket"', ["s3_bucket", "lower-case"]),
        ('s3_endpoint_url = "s3.example.com"', ["s3_endpoint_url", "https://"]),
        ("presign_expiry_seconds = 604801", ["presign_expiry_seconds", "604800"]),
        ('verify = "maybe"', ["verify", "readback"]),
        ('always_create_session = "perhaps"', ["always_create_session", "true or false"]),
        ('s3_prefix_root = "../up/"', ["s3_prefix_root"]),
        ("base_dir = 3", ["base_dir"]),
        ("share_quality = ", ["TOML"]),
    ],
)
def test_a_setting_that_is_wrong_is_78_and_says_which_where_and_what_would_be_right(
    home: Path, text: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    file = home / "ghostroll.toml"
    file.write_text(text)
    assert call("config", "--config", str(file)) == 78
    said = capsys.readouterr()
    assert said.out == ""
    for word in [*words, str(file)]:
        assert word in said.err
    assert len(said.err.splitlines()) == 1


def test_bytes_that_are_no_text_and_files_that_cannot_be_read_are_78(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "bytes.toml").write_bytes(b"\xff\xfe")
    for name in ("bytes.toml", "no-such.toml", "."):
        assert call("config", "--config", str(home / name)) == 78
        assert str(home / name) in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value"),
    [("GHOSTROLL_BUCKET", "x"), ("GHOSTROLL_STORE_PORT", "0"), ("GHOSTROLL_PANEL_SIZE", "big"), ("GHOSTROLL_", "x")],
)
def test_a_variable_that_is_wrong_is_78_and_named(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, value)
    assert call("status") == 78
    said = capsys.readouterr().err
    assert name in said or name.removeprefix("GHOSTROLL_").lower() in said


def test_credentials_are_never_shown(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    assert call("config") == 0
    assert "very-secret" not in capsys.readouterr().out
    (home / "ghostroll.toml").write_text('s3_endpoint_url = "https://user:very-secret@example.com"')
    assert call("config", "--config", str(home / "ghostroll.toml")) == 78
    assert "very-secret" not in capsys.readouterr().err


# What is said


@pytest.mark.parametrize("where", ["no-such", "file", "empty"])
def test_a_volume_that_is_none_is_66_and_one_sentence(
    home: Path, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "file").write_text("")
    (home / "empty").mkdir()
    assert call("run", "--volume", str(home / where)) == 66
    said = capsys.readouterr()
    assert said.out == ""
    assert str(home / where) in said.err
    assert len(said.err.splitlines()) == 1
    assert not (home / "ghostroll").exists(), "nothing is made before there is a card"


def test_a_volume_of_a_strange_name_is_told_in_plain_characters(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("run", "--volume", str(home / "a\x1b[31m\nb\udcff\u202e")) == 66
    said = capsys.readouterr().err
    assert said.rstrip("\n").isprintable()


def test_in_the_journal_every_line_has_its_priority(home: Path) -> None:
    with (home / "err").open("wb") as err:
        facts = os.fstat(err.fileno())
        ended = subprocess.run(
            [str(Path(sys.executable).with_name("ghostroll")), "run", "--volume", "/no/such"],
            stderr=err,
            env={"PATH": os.environ["PATH"], "HOME": str(home), "JOURNAL_STREAM": f"{facts.st_dev}:{facts.st_ino}"},
            check=False,
        )
    assert ended.returncode == 66
    assert (home / "err").read_text().startswith("<3>There is no volume at /no/such.")


def test_of_several_outcomes_the_worst_is_the_exit_code() -> None:
    assert EXIT_CODE_ORDER[:7] == (1, 78, 77, 74, 73, 75, 3)
    assert worst_exit_code(set()) == 0
    assert worst_exit_code({0, 3}) == 3
    assert worst_exit_code({3, 75}) == 75
    assert worst_exit_code({75, 73}) == 73
    assert worst_exit_code({73, 74}) == 74
    assert worst_exit_code({74, 77}) == 77
    assert worst_exit_code({77, 78}) == 78
    assert worst_exit_code({78, 1}) == 1


def test_the_program_starts_light() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, ghostroll.cli; print(*sorted(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    heavy = {"boto3", "botocore", "PIL", "rawpy", "numpy", "pillow_heif", "jinja2", "tqdm", "qrcode"}
    assert sorted(heavy & set(loaded)) == []


def test_a_device_without_a_card_has_none_to_eject(home: Path) -> None:
    (home / "run/requests").mkdir(parents=True)
    assert call("eject", "/dev/sdz9", "--status-path", str(home / "run/status.json")) == 66
    assert list((home / "run/requests").iterdir()) == []


def test_config_shows_what_the_file_says_in_vain(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = home / "own.toml"
    file.write_text('sd_label = "EOS"\nstore_port = 9000\n')
    assert call("config", "--config", str(file), "--sd-label", "*") == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert lines["sd_label"].endswith(f"# flag, over 'EOS' (file {file})")
    assert lines["store_port"].endswith(f"# file {file}")


def test_what_config_shows_can_be_a_configuration_file(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("config", "--mount-roots", "/a,/b", "--panel-size", "400x300", "--s3-bucket", "my-photos") == 0
    (home / "shown.toml").write_text(capsys.readouterr().out)
    assert call("config", "--json") == 0
    plain = json.loads(capsys.readouterr().out)
    assert call("config", "--json", "--config", str(home / "shown.toml")) == 0
    again = json.loads(capsys.readouterr().out)
    assert {name for name in again if again[name]["value"] != plain[name]["value"]} == {
        "mount_roots",
        "panel_size",
        "s3_bucket",
    }
    assert again["mount_roots"]["value"] == "/a,/b"
