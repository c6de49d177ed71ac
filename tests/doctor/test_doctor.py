"""What the doctor finds on the machine itself, and how it goes through its checks."""

import json
import logging
import os
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config
from PIL import Image

from ghostroll.base import config
from ghostroll.base.config import Settings
from ghostroll.base.errors import Interrupted
from ghostroll.catalog import Catalog
from ghostroll.catalog.models import SessionState
from ghostroll.catalog.schema import MIGRATIONS
from ghostroll.commands import doctor
from ghostroll.doctor import cards, catalog, clock, configuration, disk, embedded_store, hardware, panel_code, system
from ghostroll.doctor.checks import checks
from ghostroll.doctor.checkup import Check, run_checks
from ghostroll.doctor.findings import Finding, Verdict, failed, ok, warning
from tests.support.link_server import serving

if TYPE_CHECKING:
    from tests.support.bench import CardBuilder

SettingsMaker = Callable[..., Settings]

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")


@pytest.fixture
def settings(store_settings: SettingsMaker, tmp_path: Path) -> Settings:
    base = tmp_path / "base"
    base.mkdir()
    return store_settings(base, mount_roots=str(tmp_path / "media"))


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that is the whole PATH."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory))
    return directory


def install(directory: Path, name: str, prints: str, code: int = 0) -> None:
    """Put a program there that says this."""
    said = directory / f"{name}.said"
    said.write_text(prints)
    program = directory / name
    program.write_text(f"#!/bin/sh\n/bin/cat {said}\nexit {code}\n")
    program.chmod(0o755)


@contextmanager
def mounted(place: Path, *options: str) -> Iterator[Path]:
    place.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", *options, str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def verdicts(found: Iterable[Finding]) -> list[tuple[str, str]]:
    return [(finding.name, str(finding.verdict)) for finding in found]


def of(name: str, found: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in found if finding.name == name]


def tree(directory: Path) -> dict[str, bytes]:
    return {str(file.relative_to(directory)): file.read_bytes() for file in directory.rglob("*") if file.is_file()}


# The clock


@pytest.mark.parametrize(
    ("told", "verdict", "fix"),
    [
        ("NTP=yes\nNTPSynchronized=yes\n", "ok", ""),
        ("NTP=yes\nNTPSynchronized=no\n", "warning", "network"),
        ("NTP=no\nNTPSynchronized=no\n", "warning", "timedatectl set-ntp true"),
    ],
)
def test_the_clock_is_what_timedatectl_says(programs: Path, told: str, verdict: str, fix: str) -> None:
    install(programs, "timedatectl", told)
    (finding,) = clock.findings()
    assert finding.verdict == verdict
    assert fix in finding.fix


def test_a_system_without_timedatectl_says_so(programs: Path) -> None:
    assert verdicts(clock.findings()) == [("clock", "ok")]
    install(programs, "timedatectl", "", code=1)
    assert verdicts(clock.findings()) == [("clock", "ok")]


# The disk


def test_a_good_disk_is_tried_and_left_as_it_was(settings: Settings) -> None:
    found = list(disk.findings(settings))
    assert {finding.name for finding in found} == {"disk", "filesystem", "space"}
    assert all(not finding.exit_code for finding in found)
    assert list(settings.base_dir.iterdir()) == []


def test_no_directory_is_made(settings: Settings) -> None:
    settings.base_dir.rmdir()
    assert of("disk", disk.findings(settings))[0].verdict == "ok"
    assert not settings.base_dir.exists()


@as_root
def test_a_disk_that_is_read_only_is_73(settings: Settings) -> None:
    with mounted(settings.base_dir, "-t", "tmpfs", "-o", "ro", "none"):
        found = list(disk.findings(settings))
    assert found[0].verdict == Verdict.FAILED
    assert found[0].exit_code == 73
    assert "remount" in found[0].fix
    assert of("space", found) == []


@as_root
def test_memory_is_no_disk(settings: Settings) -> None:
    with mounted(settings.base_dir, "-t", "tmpfs", "none"):
        (finding,) = of("filesystem", disk.findings(settings))
    assert finding.verdict == "warning"
    assert "is in memory" in finding.text
    assert "base_dir" in finding.fix


@as_root
@pytest.mark.parametrize(("size", "verdict", "code"), [("40m", "warning", 0), ("40m full", "failed", 73)])
def test_the_room_is_compared_with_a_card(settings: Settings, size: str, verdict: str, code: int) -> None:
    size, _, full = size.partition(" ")
    with mounted(settings.base_dir, "-t", "tmpfs", "-o", f"size={size}", "none") as place:
        if full:
            (place / "photos").write_bytes(bytes(39 << 20))
        (finding,) = of("space", disk.findings(settings))
    assert (finding.verdict, finding.exit_code) == (verdict, code)
    assert finding.fix


@as_root
def test_on_an_appliance_a_disk_is_mounted_since_the_settings_do_nothing(
    store_settings: SettingsMaker, tmp_path: Path
) -> None:
    (tmp_path / "run/requests").mkdir(parents=True)
    settings = store_settings(tmp_path / "base", status_path=str(tmp_path / "run/status.json"))
    with mounted(settings.base_dir, "-t", "tmpfs", "-o", "size=40m", "none"):
        fixes = [finding.fix for finding in disk.findings(settings) if finding.name in ("filesystem", "space")]
    assert len(fixes) == 2
    assert all("mount it at /var/lib/ghostroll" in fix and "set base_dir" not in fix for fix in fixes)


# The catalog


def some_catalog(settings: Settings, **sessions: SessionState) -> None:
    with Catalog(settings.db_path) as catalog:
        for name, state in sessions.items():
            catalog.create_session(name, card_id="uuid:1", card_label="EOS")
            catalog.set_state(name, state)


def test_no_catalog_yet_is_well_and_none_is_made(settings: Settings) -> None:
    assert verdicts(catalog.findings(settings)) == [("catalog", "ok")]
    assert not settings.db_path.exists()


def test_a_whole_catalog_is_read_and_not_touched(settings: Settings) -> None:
    some_catalog(settings, one=SessionState.SHARED, two=SessionState.SHARED)
    before = tree(settings.base_dir)
    found = list(catalog.findings(settings))
    assert verdicts(found) == [("catalog", "ok"), ("sessions", "ok")]
    assert "2 sessions" in found[0].text
    assert tree(settings.base_dir) == before


def test_a_catalog_in_use_is_read_and_not_touched(settings: Settings) -> None:
    some_catalog(settings, one=SessionState.SHARED)
    with Catalog(settings.db_path) as in_use:
        in_use.create_session("two", card_id="uuid:1", card_label="EOS")
        before = {name: content for name, content in tree(settings.base_dir).items() if not name.endswith("-shm")}
        assert any(name.endswith("-wal") for name in before)
        found = list(catalog.findings(settings))
        after = {name: content for name, content in tree(settings.base_dir).items() if not name.endswith("-shm")}
    assert "2 sessions" in found[0].text
    assert verdicts(found)[1] == ("sessions", "warning")
    assert after == before


@pytest.mark.parametrize("damage", ["header", "page", "empty tables", "no database"])
def test_a_damaged_catalog_is_78_and_says_how_to_make_it_anew(settings: Settings, damage: str) -> None:
    some_catalog(settings, **{f"session{number}": SessionState.SHARED for number in range(200)})
    content = bytearray(settings.db_path.read_bytes())
    if damage == "header":
        content[100:200] = b"\xa5" * 100
    elif damage == "page":
        root = sqlite_root(settings.db_path, "sessions")
        content[(root - 1) * 4096 : root * 4096] = os.urandom(4096)
    elif damage == "no database":
        content = bytearray(b"photos, photos, photos\n" * 1000)
    settings.db_path.write_bytes(content)
    if damage == "empty tables":
        with closing(sqlite3.connect(settings.db_path)) as db:
            db.execute("DROP TABLE uploads")
    before = tree(settings.base_dir)
    found = list(catalog.findings(settings))
    assert [(each.verdict, each.exit_code) for each in found] == [("failed", 78)]
    assert "ghostroll catalog rebuild" in found[0].fix
    assert tree(settings.base_dir) == before


def sqlite_root(path: Path, table: str) -> int:
    with closing(sqlite3.connect(path)) as db:
        (root,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
        return int(root)


def test_a_newer_versions_catalog_is_told_from_a_damaged_one(settings: Settings) -> None:
    some_catalog(settings)
    with closing(sqlite3.connect(settings.db_path)) as db:
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    (finding,) = catalog.findings(settings)
    assert finding.exit_code == 78
    assert "newer" in finding.text


@pytest.mark.parametrize("known", [True, False])
def test_sessions_that_the_catalog_does_not_know_are_counted(settings: Settings, known: bool) -> None:
    if known:
        some_catalog(settings)
    for name in ("shoot-2026-06-01_120000_000000", "shoot-2026-06-02_120000_000000"):
        photo = settings.base_dir / name / "originals/DCIM/A.JPG"
        photo.parent.mkdir(parents=True)
        photo.write_bytes(b"photo")
    found = list(catalog.findings(settings))
    assert found[-1].verdict == "warning"
    assert "2 sessions" in found[-1].text
    assert "ghostroll catalog rebuild" in found[-1].fix


# Settings and credentials


def test_settings_are_named_with_where_they_come_from(tmp_path: Path) -> None:
    file = tmp_path / "ghostroll.toml"
    file.write_text('sd_label = "*"\nverify = "none"\n')
    effective = config.load({"store_port": "9000"}, {"GHOSTROLL_PANEL": "png"}, str(file))
    first, second = configuration.findings(effective)
    assert first.text == f"Set: sd_label, verify (file {file}); store_port (flag); panel (environment)."
    assert second.verdict == "warning"
    assert "not read back" in second.text


@pytest.mark.parametrize("is_appliance", [True, False])
def test_what_the_file_says_in_vain_is_told_with_what_to_do_instead(tmp_path: Path, *, is_appliance: bool) -> None:
    file, run = tmp_path / "ghostroll.toml", tmp_path / "run"
    (run / "requests" if is_appliance else run).mkdir(parents=True)
    file.write_text('base_dir = "/mnt/ssd"\nsd_label = "EOS"\npanel = "none"\n')
    environment = {
        "GHOSTROLL_BASE_DIR": "/var/lib/ghostroll/sessions",
        "GHOSTROLL_SD_LABEL": "*",
        "GHOSTROLL_STATUS_PATH": str(run / "status.json"),
    }
    _, *found = configuration.findings(config.load({"panel": "png"}, environment, str(file)))
    assert [finding.verdict for finding in found] == ["warning", "warning"]  # a flag is meant
    assert found[0].text.startswith(f"base_dir = '/mnt/ssd' ({file}) has no effect")
    assert "'/var/lib/ghostroll/sessions'" in found[0].text
    assert ("mount that there" in found[0].fix) == is_appliance
    assert ("GHOSTROLL_BASE_DIR" in found[0].fix) != is_appliance
    assert "GHOSTROLL_SD_LABEL" in found[1].fix


def test_a_second_file_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = (tmp_path / "first.toml", tmp_path / "second.toml")
    for module in (config, configuration):
        monkeypatch.setattr(module, "CONFIG_FILES", files)
    for file in files:
        file.write_text('sd_label = "*"\n')
    found = list(configuration.findings(config.load({}, {})))
    assert [str(files[1]) in finding.text for finding in found] == [False, True]


def credentials_of(settings: Settings) -> Finding:
    (finding,) = configuration.credentials(settings)
    assert "S3CR3T" not in finding.text + finding.fix
    return finding


@pytest.fixture
def bucket_settings(store_settings: SettingsMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(configuration, "INSTALLED_CREDENTIALS", tmp_path / "aws-credentials")
    return store_settings(tmp_path, s3_bucket="galleries")


def test_the_own_store_needs_no_credentials(settings: Settings) -> None:
    assert credentials_of(settings).verdict == "ok"


def test_no_credentials_are_77(bucket_settings: Settings) -> None:
    finding = credentials_of(bucket_settings)
    assert (finding.verdict, finding.exit_code) == ("failed", 77)
    configuration.INSTALLED_CREDENTIALS.touch()
    assert str(configuration.INSTALLED_CREDENTIALS) in credentials_of(bucket_settings).fix


def test_lasting_credentials_are_well(bucket_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "KEY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "S3CR3T")
    finding = credentials_of(bucket_settings)
    assert finding.verdict == "ok"
    assert "in the environment" in finding.text


def test_the_services_credentials_are_lent_to_root(bucket_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    configuration.INSTALLED_CREDENTIALS.write_text("[default]\naws_access_key_id=KEY\naws_secret_access_key=S3CR3T\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    configuration.use_installed_credentials()
    assert credentials_of(bucket_settings).exit_code == 77
    monkeypatch.delenv("AWS_SHARED_CREDENTIALS_FILE")
    configuration.use_installed_credentials()
    assert "in the AWS credentials file" in credentials_of(bucket_settings).text


@pytest.mark.parametrize(
    ("lasts", "verdict", "code"),
    [(timedelta(days=-1), "failed", 77), (timedelta(hours=12), "warning", 0), (timedelta(days=9), "ok", 0)],
    ids=["expired", "sooner than links", "long enough"],
)
def test_temporary_credentials_are_measured_by_the_links(
    bucket_settings: Settings, monkeypatch: pytest.MonkeyPatch, lasts: timedelta, verdict: str, code: int
) -> None:
    ends = datetime.now(UTC) + lasts
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "KEY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "S3CR3T")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "S3CR3TTOKEN")
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", ends.isoformat())
    finding = credentials_of(bucket_settings)
    assert (finding.verdict, finding.exit_code) == (verdict, code)
    assert ends.astimezone().strftime("%Y-%m-%d %H:%M") in finding.text


# GhostRoll's own store


def test_a_store_that_could_run_is_well_and_nothing_is_made(settings: Settings) -> None:
    assert embedded_store.endpoint_of(settings) is None
    found = list(embedded_store.findings(settings, None))
    assert verdicts(found) == [("store", "ok"), ("store-address", "warning")]
    assert "store_host" in found[1].fix
    assert list(settings.base_dir.iterdir()) == []


def test_a_port_that_is_taken_is_78(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", settings.store_port)):
        finding = next(embedded_store.findings(settings, None))
    assert (finding.verdict, finding.exit_code) == ("failed", 78)
    assert "store_port" in finding.fix


def test_an_address_on_the_network_is_well(store_settings: SettingsMaker, tmp_path: Path) -> None:
    (finding,) = of("store-address", embedded_store.findings(store_settings(tmp_path, store_host="192.0.2.7"), None))
    assert finding.verdict == "ok"
    assert "http://192.0.2.7:" in finding.text


# udev and systemd


def test_a_rule_that_udev_heeds_is_well(settings: Settings, tmp_path: Path) -> None:
    rule = tmp_path / "etc/udev/rules.d/90-ghostroll.rules"
    rule.parent.mkdir(parents=True)
    rule.write_text("# a rule\n")
    assert next(system.udev_rule(settings, tmp_path)).verdict == "failed"  # udev does not run
    (tmp_path / "run/udev").mkdir(parents=True)
    (tmp_path / "run/udev/control").touch()
    assert next(system.udev_rule(settings, tmp_path)).verdict == "ok"
    rule.unlink()
    rule.symlink_to("/dev/null")
    masked = next(system.udev_rule(settings, tmp_path))
    assert masked.verdict == "failed"
    assert str(rule) in masked.fix


def test_no_rule_is_well_only_where_cards_are_looked_for(
    settings: Settings, store_settings: SettingsMaker, tmp_path: Path
) -> None:
    assert next(system.udev_rule(settings, tmp_path)).verdict == "ok"
    finding = next(system.udev_rule(store_settings(tmp_path, mount_roots=""), tmp_path))
    assert (finding.verdict, finding.exit_code) == ("failed", 3)


def unit(name: str, active: str = "active", load: str = "loaded", sub: str = "running") -> str:
    return f"Id={name}\nLoadState={load}\nActiveState={active}\nSubState={sub}\n"


STEADY = (
    "ghostroll.service",
    "ghostroll-display.service",
    "ghostroll-eject.path",
    "ghostroll-store.service",
    "ghostroll-link.socket",
)


def test_units_that_run_are_well(settings: Settings, programs: Path) -> None:
    several = [unit(name) for name in (*STEADY, "ghostroll@sda1.service", "ghostroll.service")]
    install(programs, "systemctl", "\n".join(several))
    assert verdicts(system.units(settings)) == [(name, "ok") for name in STEADY]


def test_a_unit_that_failed_is_3_with_its_journal(settings: Settings, programs: Path) -> None:
    states = [
        unit("ghostroll.service", "activating", sub="auto-restart"),
        unit("ghostroll-display.service", "inactive", sub="dead"),
        unit("ghostroll-eject.path", "inactive", load="not-found"),
        unit("ghostroll-store.service", "inactive", load="bad-setting"),
        unit("ghostroll@sda1.service", "failed", sub="failed"),
    ]
    install(programs, "systemctl", "\n".join(states))
    found = list(system.units(settings))
    assert [finding.verdict for finding in found] == ["failed", "warning", "warning", "failed", "failed"]
    assert {finding.exit_code for finding in found} == {0, 3}
    assert "journalctl -u ghostroll@sda1.service" in found[-1].fix


@pytest.mark.parametrize(
    ("active", "load", "verdict"), [("active", "loaded", "ok"), ("failed", "loaded", "failed"), ("", "not-found", "")]
)
def test_an_owners_disk_that_is_not_mounted_is_told_of(
    settings: Settings, programs: Path, active: str, load: str, verdict: str
) -> None:
    states = [unit("var-lib-ghostroll.mount", active, load), unit("ghostroll.service")]
    install(programs, "systemctl", "\n".join(states))
    found = of("var-lib-ghostroll.mount", system.units(settings))
    assert [finding.verdict for finding in found] == ([verdict] if verdict else [])


def test_a_link_socket_without_its_port_says_what_is_missing_and_what_to_do(settings: Settings, programs: Path) -> None:
    install(programs, "systemctl", unit("ghostroll-link.socket", "failed", sub="failed"))
    (finding,) = system.units(settings)
    assert (finding.verdict, finding.exit_code) == ("failed", 3)
    assert "another program uses its port" in finding.text
    assert "ss -ltnp" in finding.fix
    assert list(system.units(replace(settings, short_links=False))) == []


def test_the_own_stores_unit_is_not_missed_where_a_bucket_is_set(bucket_settings: Settings, programs: Path) -> None:
    install(programs, "systemctl", unit("ghostroll.service") + "\n" + unit("ghostroll-store.service", "inactive"))
    assert verdicts(system.units(bucket_settings)) == [("ghostroll.service", "ok")]


@pytest.mark.parametrize("how", ["no systemctl", "no systemd", "not installed"])
def test_what_is_no_appliance_says_so_in_one_line(settings: Settings, programs: Path, how: str) -> None:
    if how == "no systemd":
        install(programs, "systemctl", "", code=1)
    elif how == "not installed":
        install(programs, "systemctl", "\n".join(unit(name, "inactive", "not-found", "dead") for name in STEADY))
    assert verdicts(system.units(settings)) == [("units", "ok")]


# The hardware of a Raspberry Pi, which is not here


@pytest.fixture
def pi(tmp_path: Path) -> Path:
    root = tmp_path / "pi"
    (root / "proc/device-tree").mkdir(parents=True)
    (root / "proc/device-tree/model").write_bytes(b"Raspberry Pi Zero 2 W Rev 1.0\0")
    (root / "dev").mkdir()
    for name in ("spidev0.0", "i2c-1", "gpiochip0"):
        (root / "dev" / name).touch()
    (root / "boot/firmware").mkdir(parents=True)
    (root / "boot/firmware/config.txt").write_text("dtparam=spi=on\ndtoverlay=spi0-0cs\n")
    return root


def test_what_is_no_pi_says_so_in_one_line(settings: Settings, tmp_path: Path) -> None:
    assert verdicts(hardware.findings(settings, tmp_path)) == [("hardware", "ok")]


def test_a_pi_with_everything_on_is_well(settings: Settings, pi: Path) -> None:
    found = list(hardware.findings(settings, pi))
    assert verdicts(found) == [(name, "ok") for name in ("hardware", "panel", "button", "groups")]
    assert found[0].text == "Raspberry Pi Zero 2 W Rev 1.0."


@pytest.mark.parametrize(
    ("missing", "panel", "told"),
    [
        ("dev/spidev0.0", "auto", ("warning", "do_spi 0")),
        ("dev/i2c-1", "auto", ("warning", "do_i2c 0")),
        ("dev/spidev0.0", "inky-impression", ("failed", "do_spi 0")),
        ("dev/spidev0.0", "png", ("ok", "")),
        ("boot/firmware/config.txt", "auto", ("warning", "dtoverlay=spi0-0cs")),
    ],
)
def test_what_is_switched_off_is_named_with_its_switch(
    store_settings: SettingsMaker, pi: Path, missing: str, panel: str, told: tuple[str, str]
) -> None:
    if missing.startswith("boot"):
        (pi / missing).write_text("dtparam=spi=on\n")
    else:
        (pi / missing).unlink()
    (finding,) = of("panel", hardware.findings(store_settings(pi, panel=panel), pi))
    assert finding.verdict == told[0]
    assert told[1] in finding.fix


@as_root
def test_a_user_without_the_group_is_told_which(settings: Settings, pi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "SERVICE_USER", "nobody")
    for file in (pi / "dev").iterdir():
        os.chown(file, 0, 1)  # group daemon
        file.chmod(0o660)
    (finding,) = of("groups", hardware.findings(settings, pi))
    assert finding.verdict == "warning"
    assert "usermod -aG daemon nobody" in finding.fix


# Cards


# The panel's code


@pytest.fixture
def links(settings: Settings) -> Path:
    directory = settings.db_path.parent / "links"
    directory.mkdir()
    return directory


@pytest.mark.parametrize(
    ("panel", "verdict", "words"),
    [
        ("phat-black", "warning", "No code"),
        ("spectra73", "ok", "The code is the full link"),
        ("none", "ok", "no code is shown"),
    ],
)
def test_before_there_is_a_share_a_likely_link_is_tried_on_the_panel(
    settings: Settings, panel: str, verdict: str, words: str
) -> None:
    (finding,) = of("panel-code", panel_code.findings(replace(settings, panel=panel)))
    assert (finding.verdict, words in finding.text) == (verdict, True)


def test_a_panel_that_is_looked_for_has_the_size_of_what_the_display_drew(settings: Settings) -> None:
    drawn = Image.new("P", (212, 104))
    drawn.putpalette([255, 255, 255, 0, 0, 0])
    drawn.save(settings.status_image_path)
    (finding,) = of("panel-code", panel_code.findings(settings))
    assert "212x104" in finding.text


@pytest.mark.parametrize("endpoint", [None, "https://s3.example.com"])
def test_a_likely_link_is_as_long_as_one_that_boto3_signs(settings: Settings, endpoint: str | None) -> None:
    style = Config(signature_version="s3v4", s3={"addressing_style": "path" if endpoint else "virtual"})
    region = "eu-north-1"
    client = boto3.client(
        "s3",
        region_name=region,
        endpoint_url=endpoint or f"https://s3.{region}.amazonaws.com",
        aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
        aws_secret_access_key="secret",
        config=style,
    )
    key = "sessions/shoot-2026-11-24_181203_417000/index.html"
    signed = client.generate_presigned_url("get_object", {"Bucket": "my-galleries", "Key": key}, ExpiresIn=604_800)
    client.close()
    ours = replace(settings, s3_bucket="my-galleries", s3_region=region, s3_endpoint_url=endpoint)
    assert len(panel_code.likely_link(ours)) == len(signed)


@pytest.mark.usefixtures("links")
def test_short_links_that_nobody_serves_are_told_with_their_unit(settings: Settings) -> None:
    here = replace(settings, short_link_host="127.0.0.1", short_link_port=9)
    (finding,) = of("short-link", panel_code.findings(here))
    assert (finding.verdict, "ghostroll-link.socket" in finding.fix) == ("warning", True)


def test_short_links_that_the_server_serves_are_well_before_there_is_a_share(settings: Settings, links: Path) -> None:
    with serving(links) as link:
        here = replace(settings, panel="phat-black", short_link_host=link.host, short_link_port=link.port)
        found = list(panel_code.findings(here))
    assert verdicts(found) == [("short-link", "ok"), ("panel-code", "ok")]
    assert "The code is the short link" in found[1].text


@pytest.mark.usefixtures("links")
def test_another_program_at_the_short_links_port_is_told(settings: Settings) -> None:
    class Another(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(200)

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Another) as another:
        thread = threading.Thread(target=another.handle_request)
        thread.start()
        here = replace(settings, short_link_host="127.0.0.1", short_link_port=another.server_port)
        (finding,) = of("short-link", panel_code.findings(here))
        thread.join()
    assert (finding.verdict, "another program" in finding.text) == ("warning", True)


@pytest.mark.parametrize("where", ["off", "not installed"])
def test_where_no_short_links_are_offered_that_is_said_and_is_well(settings: Settings, where: str) -> None:
    (finding,) = of("short-link", panel_code.findings(replace(settings, short_links=where != "off")))
    assert finding.verdict == "ok"


def test_a_card_of_another_label_is_told_what_to_set(settings: Settings, card: "CardBuilder", tmp_path: Path) -> None:
    card.root = tmp_path / "media/EOS_DIGITAL"
    card.write("DCIM/100CANON/IMG_0001.JPG", b"photo")
    before = tree(card.root)
    (finding,) = cards.findings(settings, tmp_path / "none")
    assert finding.verdict == "warning"
    assert "EOS_DIGITAL" in finding.text
    assert 'sd_label = "*"' in finding.fix
    assert tree(card.root) == before


@pytest.mark.parametrize("name", ["AUTO-IMPORT", "auto-import 2"])
def test_a_card_of_our_label_is_taken(settings: Settings, card: "CardBuilder", tmp_path: Path, name: str) -> None:
    card.root = tmp_path / "cards" / name
    card.write("DCIM/100CANON/IMG_0001.JPG", b"photo")
    (finding,) = cards.findings(settings, tmp_path / "cards")
    assert finding.verdict == "ok"


@pytest.mark.parametrize(
    ("properties", "verdict"),
    [
        ({"ID_FS_TYPE": "vfat", "ID_FS_LABEL": "NIKON D750"}, "warning"),
        ({"ID_FS_TYPE": "exfat"}, "warning"),
        ({"ID_FS_TYPE": "exfat", "ID_FS_LABEL": "Auto-Import"}, "ok"),
        ({"ID_FS_TYPE": "ext4", "ID_FS_LABEL": "backup"}, None),
        ({}, None),
    ],
)
def test_a_card_that_is_not_mounted_is_known_by_its_filesystem(
    settings: Settings, properties: dict[str, str], verdict: str | None
) -> None:
    finding = cards.device_finding(settings, {"DEVNAME": "/dev/sda1", **properties})
    assert (finding.verdict if finding else None) == verdict


def test_no_card_says_which_one_would_be_taken(settings: Settings, tmp_path: Path) -> None:
    (finding,) = cards.findings(settings, tmp_path / "none")
    assert "auto-import" in finding.text


# Going through them


def numbers() -> Iterator[Finding]:
    yield ok("one", "1")
    yield warning("two", "2", "count")


def buggy() -> Iterator[Finding]:
    yield ok("before", "0")
    raise ZeroDivisionError


def test_a_check_with_a_bug_does_not_end_the_others() -> None:
    found = list(run_checks([Check("buggy", buggy), Check("numbers", numbers)], threading.Event()))
    assert verdicts(found) == [("before", "ok"), ("buggy", "failed"), ("one", "ok"), ("two", "warning")]
    assert found[1].exit_code == 3


def test_a_check_that_hangs_is_given_up_and_does_not_end_the_others() -> None:
    gate = threading.Event()

    def hangs() -> Iterator[Finding]:
        yield ok("began", "0")
        gate.wait(60)

    checks = [Check("hangs", hangs, 75, "wait"), Check("numbers", numbers)]
    found = list(run_checks(checks, threading.Event(), limit_seconds=0.3))
    gate.set()
    assert verdicts(found) == [("began", "ok"), ("hangs", "failed"), ("one", "ok"), ("two", "warning")]
    assert (found[1].exit_code, found[1].fix) == (75, "wait")


def test_a_check_that_is_called_off_clears_away_what_it_made() -> None:
    made, stop, done = threading.Event(), threading.Event(), []

    def tidy() -> Iterator[Finding]:
        try:
            made.set()
            yield ok("made", "0")
            time.sleep(0.5)
            yield ok("tried", "1")
            done.append("went on")
        finally:
            done.append("cleared away")

    running = run_checks([Check("tidy", tidy)], stop)
    assert next(running).name == "made"
    stop.set()
    with pytest.raises(Interrupted):
        list(running)
    assert made.is_set()
    assert done == ["cleared away"]


# What is printed


def test_each_finding_is_a_line_with_its_fix_below() -> None:
    lines = doctor.in_words(failed("store", "It is\nout of \x1b[31mreach.", "Wait.")).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("FAILED ")
    assert "\x1b" not in lines[0]
    assert lines[1].strip() == "-> Wait."
    assert doctor.in_words(ok("store", "Well.")).splitlines() == ["ok       Well."]


def test_the_document_says_the_worst() -> None:
    found = [*numbers(), failed("disk", "Full.", "Free some.", 73)]
    document = json.loads(doctor.document(found, 73))
    assert (document["verdict"], document["exit_code"]) == ("failed", 73)
    assert [set(each) for each in document["findings"]] == [{"name", "verdict", "text", "fix", "exit_code"}] * 3
    assert json.loads(doctor.document([], 0))["verdict"] == "ok"


def test_the_log_is_as_loud_as_before() -> None:
    log = logging.getLogger("ghostroll")
    before = log.level
    with doctor._quiet(verbose=False):
        assert not log.isEnabledFor(logging.WARNING)
    assert log.level == before


def test_every_check_is_in_the_docs(settings: Settings) -> None:
    page = (Path(__file__).parents[2] / "docs/doctor.md").read_text()
    for check in checks(config.Effective(settings, {})):
        assert f"`{check.name}`" in page
