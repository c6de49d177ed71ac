"""`install.sh` and `uninstall.sh`, as their owner meets them."""

import json
from pathlib import Path

import pytest

from ghostroll.store.endpoint import StoreEndpoint
from tests.machine.cardimages import CardMaker
from tests.machine.installed import SESSIONS, Installed
from tests.machine.installing import (
    BOOT,
    IMAGER,
    IMAGER_SCRIPT,
    as_corrected,
    first_boot_parameters,
    for_systemd,
    install,
    prepare,
    unpack,
)
from tests.machine.machine import INSTALLATION_SECONDS

LONG_RUNNING = ("ghostroll.service", "ghostroll-display.service", "ghostroll-eject.path", "ghostroll-link.socket")
README = Path(__file__).parents[2] / "README.md"
CONFIGURATION = "/etc/ghostroll/ghostroll.toml"


@pytest.mark.core
def test_after_the_installation_everything_runs(pi: Installed, endpoint: StoreEndpoint) -> None:
    for unit in LONG_RUNNING:
        assert pi.is_active(unit), unit
    assert not pi.machine.says("systemctl list-units --failed --no-legend 'ghostroll*'")
    assert f's3_bucket = "{endpoint.bucket}"' in pi.machine.run(f"cat {CONFIGURATION}")
    assert pi.machine.run("stat -c '%U %a' /etc/ghostroll/aws-credentials") == "root 600"
    assert pi.status()["state"] == "idle"
    found = json.loads(pi.machine.says("ghostroll doctor --json"))["findings"]
    assert [finding for finding in found if finding["verdict"] == "failed"] == []
    well = {finding["name"] for finding in found if finding["verdict"] == "ok"}
    assert {"udev", "credentials", "store", "store-link", "store-private", *LONG_RUNNING} <= well


@pytest.mark.parametrize("version", ["", "999.0.0"], ids=["the same version", "an upgrade"])
def test_installing_again_keeps_configuration_data_and_a_session_that_is_not_done(
    pi: Installed, make_card: CardMaker, bundle: Path, version: str
) -> None:
    card = make_card(12)
    pi.machine.run(f"echo '# mine' >> {CONFIGURATION}")
    reader = pi.machine.plug_in_reader(card.image)
    reader.slow_down(50_000)
    pi.wait_for_saved(at_least=1, below=12)
    before = pi.originals()
    said = install(pi.machine, bundle, version)
    reader.slow_down(0)
    assert "udev starts a run for each card" in said, "it ends with what the doctor finds"
    assert "# mine" in pi.machine.run(f"cat {CONFIGURATION}")
    for session, photos in before.items():
        assert photos.items() <= pi.originals()[session].items()
    pi.assert_shared(pi.wait_for_link(card), card)
    pi.assert_safe(card)
    assert len(pi.machine.run("ls /opt/ghostroll/versions").split()) == 1


@pytest.mark.core
def test_uninstalling_leaves_data_and_configuration_and_nothing_else(
    pi: Installed, make_card: CardMaker, bundle: Path
) -> None:
    card = make_card(3)
    pi.machine.plug_in_reader(card.image)
    session = pi.wait_for_link(card)
    pi.wait_until_idle()
    unpack(pi.machine, bundle)
    for _ in range(2):  # it may be run again
        pi.machine.run("/root/ghostroll-*/uninstall.sh 2>&1", seconds=300)
    assert pi.machine.says("ls -d /opt/ghostroll /etc/udev/rules.d/*ghostroll* /usr/local/bin/ghostroll") == ""
    assert pi.machine.says("systemctl list-unit-files --no-legend 'ghostroll*'") == ""
    assert pi.machine.says("pgrep -u ghostroll") == ""
    pi.machine.run(f"test -s {CONFIGURATION} && cd {SESSIONS}/{session} && sha256sum --quiet -c SHA256SUMS")
    install(pi.machine, bundle)
    assert pi.catalogued() == set(card.photos.values())


@pytest.mark.parametrize("system", ["bookworm", "trixie"])
def test_the_readme_s_way_from_a_flashed_card_to_a_link(
    fresh: Installed, bundle: Path, endpoint: StoreEndpoint, make_card: CardMaker, system: str
) -> None:
    """Flash, drop, plug in: what the README says, and nothing else."""
    card = make_card(3)
    plain = fresh.machine
    prepare(plain, endpoint, fresh.road.url)  # the two files
    plain.shell.put(bundle, f"{BOOT}/{bundle.name}")
    script = f"{BOOT}/ghostroll-first-boot.sh"
    plain.run(
        f"tar -x -z -O --wildcards -f {BOOT}/{bundle.name} '*/ghostroll-first-boot.sh' > {script}; chmod 755 {script}"
    )
    before = "console=serial0,115200 console=tty1 root=PARTUUID=12345678-02 rootfstype=ext4 fsck.repair=yes rootwait"
    line = f"{before} {first_boot_parameters(README)}"
    if system == "bookworm":  # Imager's settings are a script there, cloud-init's business later
        line = as_corrected(f"{before} {IMAGER} {first_boot_parameters(README)}")
        plain.shell.write(f"{BOOT}/firstrun.sh", IMAGER_SCRIPT.format(boot=BOOT))
        plain.run(f"chmod 755 {BOOT}/firstrun.sh")
    plain.run(f"echo '{line}' > {BOOT}/cmdline.txt; sync")
    plain.power_cut()
    plain.boot_until_reboot(for_systemd(line))
    log = f"{BOOT}/ghostroll-first-boot.log"
    plain.boot()  # as its firmware does, with what is left of the line
    assert plain.run(f"cat {BOOT}/cmdline.txt") == before
    assert bool(plain.says("ls /root/imager-was-here")) is (system == "bookworm")
    if system == "trixie":
        fresh.wait_for("the installed units", lambda: plain.says("ls /etc/systemd/system/ghostroll.service"), 600)
        plain.power_cut()
        plain.boot()
    plain.shell.open_way(fresh.road.port)
    fresh.wait_for("the end of the installation", lambda: "Done." in plain.says(f"cat {log}"), INSTALLATION_SECONDS)
    said = plain.run(f"cat {log}")
    assert "is installed" in said
    assert "udev starts a run for each card" in said, "it ends with what the doctor finds"
    assert plain.says(f"ls {BOOT}/ghostroll-aws-credentials") == ""
    assert plain.says("systemctl is-enabled install-ghostroll.service") == "disabled"
    plain.plug_in_reader(card.image)
    fresh.assert_shared(fresh.wait_for_link(card), card)


def test_a_configuration_that_is_not_valid_is_told_of_and_changes_nothing(pi: Installed) -> None:
    before = pi.machine.run(f"cat {CONFIGURATION}")
    pi.machine.run(f"echo 's3_bucket = my-galleries' > {BOOT}/ghostroll.toml.txt; sync")
    pi.machine.reboot()
    pi.wait_for("it on the status", lambda: pi.status().get("state") == "error")
    error = pi.status()["error"]
    assert "not valid TOML" in error["message"]
    assert "not valid TOML" in pi.journal()
    assert pi.machine.run(f"cat {CONFIGURATION}") == before
    assert pi.machine.says(f"ls {BOOT}/ghostroll.toml.txt.refused")
    pi.machine.run(f"cp {CONFIGURATION} {BOOT}/ghostroll.toml; sync")
    pi.machine.reboot()
    pi.wait_for("the end of it", lambda: pi.status().get("state") == "idle")


def test_a_new_configuration_on_the_boot_partition_is_taken_at_the_next_boot(pi: Installed) -> None:
    pi.machine.run(f"sed 's/^panel.*/panel = \"none\"/' {CONFIGURATION} > {BOOT}/ghostroll.toml; sync")
    pi.machine.reboot()
    # ssh is there before the unit has ended.
    pi.wait_for("the new configuration", lambda: 'panel = "none"' in pi.machine.run(f"cat {CONFIGURATION}"))
    pi.wait_for("a boot partition without it", lambda: pi.machine.says(f"ls {BOOT}/ghostroll.toml") == "")
