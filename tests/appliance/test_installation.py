"""`install.sh` and `uninstall.sh`, as their owner meets them."""

from pathlib import Path

import pytest
from cardimages import CardMaker
from installed import SESSIONS, Installed
from installing import BOOT, install, prepare, unpack
from machine import Machine
from road import Road

from ghostroll.endpoint import StoreEndpoint

LONG_RUNNING = ("ghostroll.service", "ghostroll-display.service", "ghostroll-eject.path", "ghostroll-link.socket")
CONFIGURATION = "/etc/ghostroll/ghostroll.toml"


def test_after_the_installation_everything_runs(pi: Installed, endpoint: StoreEndpoint) -> None:
    for unit in LONG_RUNNING:
        assert pi.is_active(unit), unit
    assert not pi.machine.says("systemctl list-units --failed --no-legend 'ghostroll*'")
    assert f's3_bucket = "{endpoint.bucket}"' in pi.machine.run(f"cat {CONFIGURATION}")
    assert pi.machine.run("stat -c '%U %a' /etc/ghostroll/aws-credentials") == "root 600"
    assert pi.status()["state"] == "idle"


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
    install(pi.machine, bundle, version)
    reader.slow_down(0)
    assert "# mine" in pi.machine.run(f"cat {CONFIGURATION}")
    for session, photos in before.items():
        assert photos.items() <= pi.originals()[session].items()
    pi.assert_shared(pi.wait_for_link(card), card)
    pi.assert_safe(card)
    assert len(pi.machine.run("ls /opt/ghostroll/versions").split()) == 1


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


def test_files_on_the_boot_partition_are_all_that_a_first_boot_needs(
    plain: Machine, bundle: Path, endpoint: StoreEndpoint, road: Road, make_card: CardMaker
) -> None:
    """The bundle, the two files and the script beside them; the kernel's command line calls it, as on a Pi."""
    card = make_card(3)
    prepare(plain, endpoint, road.url)
    plain.shell.put(bundle, f"{BOOT}/{bundle.name}")
    script = f"{BOOT}/ghostroll-first-boot.sh"
    plain.run(
        f"tar -x -z -O --wildcards -f {BOOT}/{bundle.name} '*/ghostroll-first-boot.sh' > {script}; chmod 755 {script}"
    )
    call = f"systemd.run={script} systemd.run_success_action"
    plain.run(f"echo 'console=tty1 {call}=reboot rootwait' > {BOOT}/cmdline.txt; sync")
    plain.power_cut()
    # A Pi reads cmdline.txt itself and starts again; here the machine goes off instead, and is switched on.
    plain.boot_until_off(f"{call}=poweroff")
    plain.boot()
    plain.shell.open_way(road.port)
    assert plain.run(f"cat {BOOT}/cmdline.txt") == "console=tty1 rootwait"
    assert plain.says(f"ls {BOOT}/ghostroll-aws-credentials") == ""
    pi = Installed(plain, road)
    plain.plug_in_reader(card.image)
    pi.assert_shared(pi.wait_for_link(card), card)


def test_a_new_configuration_on_the_boot_partition_is_taken_at_the_next_boot(pi: Installed) -> None:
    pi.machine.run(f"sed 's/^panel.*/panel = \"none\"/' {CONFIGURATION} > {BOOT}/ghostroll.toml; sync")
    pi.machine.reboot()
    assert 'panel = "none"' in pi.machine.run(f"cat {CONFIGURATION}")
    assert pi.machine.says(f"ls {BOOT}/ghostroll.toml") == ""
