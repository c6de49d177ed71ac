"""What the running units may do, asked from inside."""

import shlex

import pytest

from tests.machine.cardimages import CardMaker
from tests.machine.installed import Installed

UNITS = (
    "ghostroll.service",
    "ghostroll@sda1.service",
    "ghostroll-display.service",
    "ghostroll-store.service",
    "ghostroll-link.service",
)


def inside(pi: Installed, unit: str, command: str) -> bool:
    """Whether a command succeeds in a unit's namespaces and as its user."""
    entered = (
        f"pid=$(systemctl show --property=MainPID --value {unit}) && test $pid -gt 0 && "
        f'nsenter --target $pid --all --setuid "$(id -u ghostroll)" --setgid "$(id -g ghostroll)" '
        f"-- sh -c {shlex.quote(command)}"
    )
    return pi.machine.shell.ended(entered).returncode == 0


def facts(pi: Installed, unit: str) -> dict[str, str]:
    """What the kernel says about a unit's main process (proc_pid_status(5))."""
    told = pi.machine.run(f"cat /proc/$(systemctl show --property=MainPID --value {unit})/status")
    return dict(line.split(":\t", 1) for line in told.splitlines() if ":\t" in line)


def assert_confined(pi: Installed, unit: str) -> None:
    ours = pi.machine.run("id -u ghostroll")
    told = facts(pi, unit)
    assert told["Uid"].split() == [ours] * 4, unit
    assert int(told["CapEff"], 16) == int(told["CapBnd"], 16) == 0, unit
    assert (told["NoNewPrivs"], told["Seccomp"]) == ("1", "2"), unit


@pytest.mark.core
def test_the_pipeline_and_the_steady_loop_are_unprivileged_and_confined(pi: Installed, make_card: CardMaker) -> None:
    card = make_card(24)
    reader = pi.machine.plug_in_reader(card.image)
    reader.slow_down(100_000)
    pi.wait_for_saved(at_least=1, below=24)
    reader.slow_down(10_000)  # all that follows is asked while the card is read
    for unit in ("ghostroll.service", "ghostroll@sda1.service"):
        assert_confined(pi, unit)
        assert inside(pi, unit, "touch /var/lib/ghostroll/trial && rm /var/lib/ghostroll/trial"), unit
        for forbidden in (
            "touch /etc/trial",
            "touch /opt/ghostroll/trial",
            "ls /root",
            "cat /etc/ghostroll/aws-credentials",
        ):
            assert not inside(pi, unit, forbidden), (unit, forbidden)
    place = "/run/ghostroll/cards/sda1"
    assert inside(pi, "ghostroll@sda1.service", f"test -r {place}/DCIM/100CANON/IMG_0001.JPG")
    assert not inside(pi, "ghostroll@sda1.service", f"touch {place}/trial")
    assert not inside(pi, "ghostroll@sda1.service", "head -c 1 /dev/sda1")
    assert not inside(pi, "ghostroll@sda1.service", f"umount {place}")
    options = pi.machine.run(f"findmnt --noheadings --output OPTIONS {place}").split(",")
    assert {"ro", "nosuid", "nodev", "noexec"} <= set(options)


def test_the_panel_s_service_is_unprivileged_and_reaches_no_network(pi: Installed) -> None:
    unit = "ghostroll-display.service"
    assert_confined(pi, unit)
    assert pi.machine.run(f"systemctl show --property=PrivateNetwork --value {unit}") == "yes"


def test_the_link_server_sees_nothing_but_its_records_and_reaches_no_network(pi: Installed) -> None:
    unit = "ghostroll-link.service"
    assert pi.opened("http://127.0.0.1/222222") == (404, None)  # starts it
    assert_confined(pi, unit)
    assert pi.machine.run(f"systemctl show --property=PrivateNetwork --value {unit}") == "yes"
    assert inside(pi, unit, "ls /var/lib/ghostroll/links")
    for forbidden in (
        "touch /var/lib/ghostroll/links/222222",
        "ls /var/lib/ghostroll/sessions",
        "cat /var/lib/ghostroll/ghostroll.db",
        "ls /run/ghostroll/requests",
        "ls /etc/ghostroll",
    ):
        assert not inside(pi, unit, forbidden), forbidden


def test_every_long_running_unit_is_rated_well(pi: Installed) -> None:
    for unit in UNITS:
        pi.machine.run(f"systemd-analyze security --no-pager --threshold=25 {unit}")


@pytest.mark.parametrize(("group", "module"), [("spi", "spidev"), ("i2c", "i2c-dev"), ("gpiochip", "gpio-sim")])
def test_the_display_may_use_devices_by_the_names_that_the_kernel_gives_them(
    pi: Installed, group: str, module: str
) -> None:
    """systemd finds a group of devices by its name in /proc/devices, and without it allows nothing, silently."""
    pi.machine.run(f"modprobe {module}")
    assert group in {line.split()[-1] for line in pi.machine.run("cat /proc/devices").splitlines() if line.strip()}
    assert f"char-{group} rw" in pi.machine.run("systemctl show --property=DeviceAllow ghostroll-display")
