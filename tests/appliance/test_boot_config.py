"""A configuration that was refused at the boot is told of where its owner looks."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ghostroll.appliance import boot_config
from ghostroll.base.config import Effective, Settings
from ghostroll.commands import watch
from ghostroll.doctor import configuration
from ghostroll.service.watch import Watch
from ghostroll.status.run_records import RunRecords


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe"])
def test_where_nothing_was_refused_there_is_nothing_to_say(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "ghostroll.toml.refused").write_bytes(content)
    assert boot_config.refusal(tmp_path / "ghostroll.toml") is None
    assert boot_config.refusal(None) is None


def test_what_is_wrong_is_said_on_one_line(tmp_path: Path) -> None:
    (tmp_path / "ghostroll.toml").touch()
    (tmp_path / "ghostroll.toml.refused").write_text("the file is not valid TOML: line 1.\nmore\n")
    error = boot_config.refusal(tmp_path / "ghostroll.toml")
    assert error is not None
    assert "the file is not valid TOML: line 1." in str(error)
    assert "\n" not in str(error)


def test_a_refusal_is_over_when_another_file_is_put_in_its_place(tmp_path: Path) -> None:
    in_force, refused = tmp_path / "ghostroll.toml", tmp_path / "ghostroll.toml.refused"
    for file in (in_force, refused):
        file.write_text("x\n")
    os.utime(in_force, (1, 1))
    assert boot_config.refusal(in_force) is not None
    os.utime(refused, (0, 0))
    assert boot_config.refusal(in_force) is None


def test_it_is_on_the_status_when_the_steady_loop_starts(
    store_settings: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = store_settings(tmp_path / "base", mount_roots="")
    settings.base_dir.mkdir(parents=True)
    (tmp_path / "ghostroll.toml").touch()
    (tmp_path / "ghostroll.toml.refused").write_text("the file is not valid TOML.\n")
    seen = {}

    def until_stopped(_: object) -> None:
        seen.update(json.loads(settings.status_path.read_text()))

    monkeypatch.setattr(Watch, "until_stopped", until_stopped)
    watch.main(None, Effective(settings, {}, tmp_path / "ghostroll.toml"))  # type: ignore[arg-type]
    assert seen["state"] == "error"
    assert "not valid TOML" in seen["error"]["message"]
    assert "ghostroll.toml.refused" in seen["error"]["hint"]
    (tmp_path / "ghostroll.toml.refused").unlink()
    watch.main(None, Effective(settings, {}, tmp_path / "ghostroll.toml"))  # type: ignore[arg-type]
    assert RunRecords(settings.status_path).current()["state"] == "idle"


def test_the_doctor_says_so_too(store_settings: Callable[..., Settings], tmp_path: Path) -> None:
    (tmp_path / "ghostroll.toml").touch()
    (tmp_path / "ghostroll.toml.refused").write_text("the file is not valid TOML.\n")
    effective = Effective(store_settings(tmp_path / "base"), {}, tmp_path / "ghostroll.toml")
    assert [each.verdict for each in configuration.findings(effective) if "not valid TOML" in each.text] == ["warning"]
