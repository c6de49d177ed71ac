"""The appliance's units, rule and scripts, as systemd's own tools judge them."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
UNITS = sorted((REPOSITORY / "systemd").glob("ghostroll*"))
RULE = REPOSITORY / "udev" / "90-ghostroll.rules"
PROGRAMS = REPOSITORY / "deploy" / "libexec"
LONG_RUNNING = (
    "ghostroll.service",
    "ghostroll@.service",
    "ghostroll-display.service",
    "ghostroll-store.service",
    "ghostroll-link.service",
)
PLACE = re.compile(r"(?<![\w/.])/(?:opt|etc|var|run|usr/local)/[\w./-]*\w")
CONTRACT = (
    "/etc/ghostroll/aws-credentials",
    "/etc/ghostroll/ghostroll.toml",
    "/opt/ghostroll",
    "/run/ghostroll",
    "/var/lib/ghostroll",
)
# What of the contract the system itself prescribes: where its own files lie, and what it mounts.
OF_THE_SYSTEM = re.compile(
    r"/var/tmp/|/etc/(systemd/system|udev/rules\.d|(sysusers|tmpfiles|modules-load)\.d)|/run/(systemd|media)|/usr/local/bin/ghostroll"
)

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is missing: see tests/system-packages.sh"
)


def directives(unit: Path, name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", unit.read_text(), re.MULTILINE)


def installed(tmp_path: Path) -> Path:
    """A root with the units and the programs that they name, and with the units of the system that they refer to."""
    root = tmp_path / "root"
    units = root / "etc/systemd/system"
    units.mkdir(parents=True)
    for unit in UNITS:
        (units / unit.name).write_bytes(unit.read_bytes())
    places = root / "opt/ghostroll"
    shutil.copytree(PROGRAMS, places / "libexec")
    (places / "bin").mkdir()
    for program in ("ghostroll", "ghostroll-display", "ghostroll-link"):
        (places / "bin" / program).touch(0o755)
    (places / "README.md").touch()
    (root / "usr/lib/systemd").mkdir(parents=True)
    shutil.copytree("/usr/lib/systemd/system", root / "usr/lib/systemd/system", symlinks=True)
    return root


@needs_systemd
def test_systemd_finds_nothing_wrong_with_any_unit(tmp_path: Path) -> None:
    root = installed(tmp_path)
    names = [unit.name.replace("@.", "@sda1.") for unit in UNITS]
    verified = subprocess.run(
        ["systemd-analyze", "verify", f"--root={root}", "--man=no", "--recursive-errors=no", *names],
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in verified.stderr.splitlines() if "ghostroll" in line]
    assert (verified.returncode, ours) == (0, [])


@needs_systemd
@pytest.mark.parametrize("name", LONG_RUNNING)
def test_every_long_running_unit_is_exposed_by_2_5_at_most(name: str) -> None:
    unit = REPOSITORY / "systemd" / name
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=25", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert rated.returncode == 0, rated.stdout


def test_what_mounts_has_no_option_that_would_hide_the_mount() -> None:
    # systemd.exec(5): each of these gives a unit a mount namespace of its own.
    hiding = re.compile(
        r"^(Protect|Private|ReadWrite|ReadOnly|Inaccessible|Bind(Read|Paths)|Temporary|StateDir|LoadCred)", re.MULTILINE
    )
    text = (REPOSITORY / "systemd/ghostroll-card@.service").read_text()
    assert hiding.findall(text) == []


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_no_unit_runs_as_root_but_the_helpers(name: str) -> None:
    unit = REPOSITORY / "systemd" / name
    assert directives(unit, "User") == ["ghostroll"]
    assert directives(unit, "CapabilityBoundingSet") == [""]
    privileged = [line for line in directives(unit, "Exec[A-Za-z]*") if line.startswith(("+", "!"))]
    assert privileged == []


def test_the_link_server_sees_the_records_of_short_links_and_reaches_nothing() -> None:
    unit = REPOSITORY / "systemd/ghostroll-link.service"
    (started,) = directives(unit, "ExecStart")
    place = started.split()[-1]
    assert directives(unit, "TemporaryFileSystem") == ["/var/lib/ghostroll:ro"]
    assert directives(unit, "BindReadOnlyPaths") == [f"-{place}"]
    assert [directives(unit, name) for name in ("ReadWritePaths", "StateDirectory", "LoadCredential")] == [[], [], []]
    assert directives(unit, "PrivateNetwork") == ["yes"]
    assert directives(unit, "RestrictAddressFamilies") == ["none"]
    assert f"d {place} 0700 ghostroll ghostroll -" in (REPOSITORY / "systemd/tmpfiles.conf").read_text().splitlines()


def test_the_link_server_ends_with_its_socket_which_must_be_free_for_the_next_one() -> None:
    unit = REPOSITORY / "systemd/ghostroll-link.service"
    assert directives(unit, "Requires") == ["ghostroll-link.socket"]
    assert "ghostroll-link.socket" in (REPOSITORY / "deploy/install.sh").read_text().split("STEADY=")[1].split('"')[1]


def test_a_run_survives_its_card_s_release_and_a_dead_worker() -> None:
    unit = REPOSITORY / "systemd/ghostroll@.service"
    bound = [directives(unit, name) for name in ("BindsTo", "Requires", "PartOf", "Requisite")]
    assert bound == [[], [], [], []]
    assert directives(unit, "OOMPolicy") == ["continue"]
    assert set(directives(unit, "SuccessExitStatus")[0].split()) == {"3", "74", "75"}


def test_every_program_that_a_unit_or_the_rule_names_is_there() -> None:
    text = "\n".join(file.read_text() for file in (*UNITS, RULE))
    named = set(re.findall(r"/opt/ghostroll/libexec/([\w-]+)", text))
    assert named == {"is-card", "card-mount", "card-unmount", "card-requests", "medium-changed", "take-boot-files",
                     "wants-own-store"}  # fmt: skip
    assert [name for name in named if not os.access(PROGRAMS / name, os.X_OK)] == []
    wanted = re.findall(r"(ghostroll[\w-]*@)%k\.service", RULE.read_text())
    assert set(wanted) == {"ghostroll@", "ghostroll-card@", "ghostroll-medium@"}
    assert [name for name in wanted if not (REPOSITORY / "systemd" / f"{name}.service").exists()] == []


def test_every_place_is_one_of_the_contract() -> None:
    files = [*UNITS, *(REPOSITORY / "systemd").glob("*.*"), *PROGRAMS.iterdir(), *(REPOSITORY / "deploy").glob("*.sh"),
             REPOSITORY / "deploy/ghostroll", RULE]  # fmt: skip
    strange = {
        (file.name, place)
        for file in files
        for place in PLACE.findall(file.read_text())
        if not place.startswith(CONTRACT) and not OF_THE_SYSTEM.match(place) and place != "/etc/ghostroll"
    }
    assert strange == set()


def test_the_rule_has_a_label_for_every_goto() -> None:
    text = RULE.read_text()
    assert set(re.findall(r'GOTO="(\w+)"', text)) == set(re.findall(r'LABEL="(\w+)"', text))


def test_every_line_of_the_rule_is_one_that_udev_can_read() -> None:
    # udev(7): KEY or KEY{name}, an operator, a value in quotes; joined by commas.
    token = re.compile(r'[A-Z_]+(\{[\w/]+\})?\s*(==|!=|=|\+=|-=|:=)\s*"[^"]*"')
    lines = RULE.read_text().replace("\\\n", " ").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert [line for line in rules if not all(token.fullmatch(part.strip()) for part in line.split(","))] == []


def test_the_panel_s_lines_come_into_config_txt_once_and_go_again_without_a_trace(tmp_path: Path) -> None:
    config = tmp_path / "config.txt"
    config.write_text("dtparam=audio=on\n[cm4]\notg_mode=1\n")
    before = config.read_bytes()
    for _ in range(2):
        subprocess.run([PROGRAMS / "enable-panel", "on", config], check=True, capture_output=True)
    lines = config.read_text().splitlines()
    assert config.read_bytes().startswith(before)
    assert [lines.count(line) for line in ("dtparam=spi=on", "dtparam=i2c_arm=on", "dtoverlay=spi0-0cs")] == [1, 1, 1]
    assert lines.index("[cm4]") < lines.index("[all]") < lines.index("dtparam=spi=on")
    subprocess.run([PROGRAMS / "enable-panel", "off", config], check=True, capture_output=True)
    assert config.read_bytes() == before


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_line_of_config_txt_without_an_end_stays_as_it_is(tmp_path: Path, end: str) -> None:
    config = tmp_path / "config.txt"
    config.write_text(f"dtoverlay=vc4-kms-v3d{end}")
    for _ in range(2):
        subprocess.run([PROGRAMS / "enable-panel", "on", config], check=True, capture_output=True)
    lines = config.read_text().splitlines()
    assert lines.count("dtoverlay=vc4-kms-v3d") == lines.count("dtparam=spi=on") == 1
    subprocess.run([PROGRAMS / "enable-panel", "off", config], check=True, capture_output=True)
    assert config.read_text() == "dtoverlay=vc4-kms-v3d\n"


def test_what_follows_our_lines_stays_where_their_end_was_taken_away(tmp_path: Path) -> None:
    config = tmp_path / "config.txt"
    subprocess.run(["touch", config], check=True)
    subprocess.run([PROGRAMS / "enable-panel", "on", config], check=True, capture_output=True)
    theirs = [line for line in config.read_text().splitlines() if line != "# GhostRoll: end."] + ["arm_64bit=1"]
    config.write_text("\n".join(theirs))
    for how in ("on", "on", "off"):
        subprocess.run([PROGRAMS / "enable-panel", how, config], check=True, capture_output=True)
        assert "arm_64bit=1" in config.read_text().splitlines()
    assert not [line for line in config.read_text().splitlines() if "GhostRoll" in line]


def test_a_disk_that_the_system_runs_from_is_no_card() -> None:
    with Path("/proc/self/mountinfo").open() as mounts:
        numbers = {fields[2] for fields in map(str.split, mounts) if fields[4] == "/"}
    block = Path(f"/sys/dev/block/{numbers.pop()}")
    if not block.exists():
        pytest.skip("/ is on no block device here")
    refused = subprocess.run([PROGRAMS / "is-card", block.resolve().name], capture_output=True, text=True, check=False)
    assert (refused.returncode, "not a card" in refused.stderr) == (1, True)
