"""Check what starts GhostRoll on an appliance: the udev rule and the systemd units."""

from collections.abc import Iterator
from pathlib import Path

from ghostroll.base.config import Settings
from ghostroll.doctor.findings import Finding, failed, ok, warning
from ghostroll.doctor.system_commands import command_output, parse_properties

# udev(7), "Rules files": of files with the same name, the one in the first directory counts.
_RULE_DIRECTORIES = (
    "etc/udev/rules.d",
    "run/udev/rules.d",
    "usr/local/lib/udev/rules.d",
    "usr/lib/udev/rules.d",
    "lib/udev/rules.d",
)
_RULE_NAME = "*-ghostroll.rules"
_INSTALL = "Run `sudo ./install.sh` of the bundle again."

_MAIN, _STORE, _LINKS = "ghostroll.service", "ghostroll-store.service", "ghostroll-link.socket"
# The units that always run or listen, and what does not work without each.
_LONG_RUNNING = {
    _MAIN: "sessions that wait for the network are not shared",
    "ghostroll-display.service": "the panel shows nothing, and the button does nothing",
    "ghostroll-eject.path": "cards are not released, and the button does nothing",
    _STORE: "links do not open",
    _LINKS: "panels that are too small for the full link show no QR code",
}
# An optional disk for all data. The units wait for its mount (StateDirectory=: systemd.exec(5)) without a message.
_DISK = "var-lib-ghostroll.mount"
_PROPERTIES = "Id,LoadState,ActiveState,SubState"
Units = dict[str, dict[str, str]]


def udev_rule(settings: Settings, root: Path = Path("/")) -> Iterator[Finding]:
    """Check that the udev rule is installed below `root` and in effect."""
    name = "udev"
    files = [file for directory in _RULE_DIRECTORIES for file in sorted((root / directory).glob(_RULE_NAME))]
    if not files:
        yield _without_rule(settings)
    elif files[0].stat().st_size == 0:  # masked by a link to /dev/null or an empty file
        yield failed(name, f"The udev rule is switched off by {files[0]}.", f"`sudo rm {files[0]}`")
    elif not (root / "run/udev/control").exists():
        fix = "`sudo systemctl start systemd-udevd`"
        yield failed(name, f"The udev rule {files[0]} is installed, but udev does not run: cards are not noticed.", fix)
    else:
        yield ok(name, f"udev starts a run for each card ({files[0]}).")


def _without_rule(settings: Settings) -> Finding:
    if settings.mount_roots:
        places = ", ".join(map(str, settings.mount_roots))
        return ok("udev", f"No udev rule is installed: `ghostroll watch` looks for cards below {places}.")
    text = "Cards are not noticed: no udev rule is installed, and mount_roots is empty."
    return failed("udev", text, f"{_INSTALL} Or set mount_roots to where cards are mounted, such as /media.")


def units(settings: Settings) -> Iterator[Finding]:
    """Check the state of the units (org.freedesktop.systemd1(5), the properties of a unit)."""
    output = command_output("systemctl", "show", f"--property={_PROPERTIES}", "--", _DISK, *_LONG_RUNNING, "ghostroll*")
    known = _parse_units(output) if output else {}
    if not any(facts["LoadState"] != "not-found" for facts in known.values()):
        yield ok("units", "GhostRoll is not installed as a service here: this is not an appliance.")
        return
    for unit, facts in known.items():
        finding = _unit_finding(unit, facts, settings)
        if finding:
            yield finding


def _parse_units(output: str) -> Units:
    """Return the properties of each unit by its name; systemctl prints a unit once per pattern that matches."""
    blocks = [parse_properties(block) for block in output.split("\n\n")]
    return {facts["Id"]: facts for facts in blocks if "Id" in facts}


def _unit_finding(unit: str, facts: dict[str, str], settings: Settings) -> Finding | None:
    """Return the finding for a unit; None if it is not needed or may stop at any time."""
    if (unit == _STORE and not settings.uses_embedded_store) or (unit == _LINKS and not settings.short_links):
        return None
    log = f"`journalctl -u {unit} -e` shows why."
    if unit == _DISK:
        return _disk_finding(facts, log)
    if facts.get("ActiveState") == "failed" and unit == _LINKS:
        text = f"{unit} has failed: {_LONG_RUNNING[unit]}. Most likely another program uses its port."
        return failed(unit, text, "`sudo ss -ltnp` names it. End it, or choose another port: docs/configuration.md")
    if facts.get("ActiveState") == "failed":
        return failed(unit, f"{unit} has failed.", f"{log} Then: `sudo systemctl restart {unit}`")
    if facts.get("SubState") == "auto-restart":
        return failed(unit, f"{unit} keeps failing and restarting.", log)
    return _long_running(unit, facts) if unit in _LONG_RUNNING else None


def _disk_finding(facts: dict[str, str], log: str) -> Finding | None:
    if facts["LoadState"] == "not-found":
        return None  # all data is on the system disk
    if facts.get("ActiveState") == "active":
        return ok(_DISK, "The disk for photos is mounted.")
    text = "The disk for photos is not mounted: no card can be saved."
    return failed(_DISK, text, f"Check the disk and its cable, then restart the machine. {log}")


def _long_running(unit: str, facts: dict[str, str]) -> Finding:
    """Return the finding for a unit that should always run, with what does not work without it."""
    load, missing = facts.get("LoadState", ""), _LONG_RUNNING[unit]
    if load == "not-found":
        return warning(unit, f"{unit} is not installed: {missing}.", _INSTALL)
    if load != "loaded":
        return failed(unit, f"{unit} cannot be used ({load}): {missing}.", f"`systemctl status {unit}` shows why.")
    if facts.get("ActiveState") in ("active", "activating", "reloading"):
        return ok(unit, f"{unit} runs.")
    return warning(unit, f"{unit} does not run: {missing}.", f"`sudo systemctl enable --now {unit}`")
