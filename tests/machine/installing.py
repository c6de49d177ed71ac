"""What an owner does to a fresh system: two files on the boot partition, and `install.sh`."""

import re
from pathlib import Path

from ghostroll.store.endpoint import StoreEndpoint
from tests.machine.machine import INSTALLATION_SECONDS, Machine

BOOT = "/boot/firmware"


def prepare(machine: Machine, endpoint: StoreEndpoint, store_url: str) -> None:
    """Put the owner's two files where the card reader of any computer shows them."""
    machine.shell.write(
        f"{BOOT}/ghostroll.toml",
        f's3_bucket = "{endpoint.bucket}"\n'
        f's3_endpoint_url = "{store_url}"\n'
        f's3_region = "{endpoint.region}"\n'
        'sd_label = "*"\n'
        'panel = "png"\n',
    )
    machine.shell.write(
        f"{BOOT}/ghostroll-aws-credentials",
        f"[default]\naws_access_key_id = {endpoint.access_key}\naws_secret_access_key = {endpoint.secret_key}\n",
    )


def pretend_board(machine: Machine) -> None:
    """Show the panel's service the board revision that this machine pretends: it has a /proc of its own."""
    machine.shell.write(
        "/etc/systemd/system/ghostroll-display.service.d/pretend-pi.conf",
        "[Service]\nBindReadOnlyPaths=/run/pretend-cpuinfo:/proc/cpuinfo\n",
    )


def first_boot_parameters(readme: Path) -> str:
    """Return what the README has its reader add to the kernel's command line."""
    (added,) = re.findall(r"^ *(systemd\.run=.*)$", readme.read_text(), re.MULTILINE)
    return str(added)


# What the Raspberry Pi Imager adds to cmdline.txt for its own settings, and the end of the script that it leaves.
IMAGER = "systemd.run=/boot/firstrun.sh systemd.run_success_action=reboot systemd.unit=kernel-command-line.target"
IMAGER_SCRIPT = r"""#!/bin/sh
touch /root/imager-was-here
rm -f {boot}/firstrun.sh
sed -i 's| systemd\.[^ ]*||g' {boot}/cmdline.txt
exit 0
"""


def as_corrected(command_line: str) -> str:
    """Return what bookworm's initramfs on a Pi makes of Imager's line (raspberrypi-sys-mods, imager_fixup)."""
    return command_line.replace("/boot/", "/boot/firmware/")


def for_systemd(command_line: str) -> str:
    """Return what of a Pi's cmdline.txt is meant for systemd; the rest is about a Pi's own hardware and disk."""
    return " ".join(word for word in command_line.split() if word.startswith("systemd."))


def configure_anew(machine: Machine, endpoint: StoreEndpoint, store_url: str) -> None:
    """Give an installed machine the bucket of another run of the tests."""
    prepare(machine, endpoint, store_url)
    machine.run("rm -f /etc/ghostroll/*; /opt/ghostroll/libexec/take-boot-files; systemctl restart ghostroll")


def install(machine: Machine, bundle: Path, version: str = "") -> str:
    """Unpack the bundle and install it, as if it were another version if one is given; return what it said."""
    unpack(machine, bundle)
    if version:
        machine.run(f"echo {version} > /root/ghostroll-*/VERSION")
    return machine.run("/root/ghostroll-*/install.sh 2>&1", INSTALLATION_SECONDS)


def unpack(machine: Machine, bundle: Path) -> None:
    machine.run("rm -rf /root/ghostroll-*")
    machine.shell.put(bundle, "/root/bundle.tar.gz")
    machine.run("tar -x -z -C /root -f /root/bundle.tar.gz && rm /root/bundle.tar.gz", seconds=900)
