"""What starts GhostRoll on an appliance: the udev rule and the units of systemd."""

from collections.abc import Iterator
from pathlib import Path

from ghostroll.base.config import Settings
from ghostroll.doctor.findings import Finding, failed, ok, warning
from ghostroll.doctor.outside import answer_of, properties

# udev(7), "Rules files": in this order, the first file of a name counts.
_RULE_PLACES = (
    "etc/udev/rules.d",
    "run/udev/rules.d",
    "usr/local/lib/udev/rules.d",
    "usr/lib/udev/rules.d",
    "lib/udev/rules.d",
)
_RULE_NAME = "*-ghostroll.rules"
_INSTALL = "Run `sudo ./install.sh` of the bundle again."

_MAIN, _STORE, _LINKS = "ghostroll.service", "ghostroll-store.service", "ghostroll-link.socket"
# What runs or listens all the time, and what is missing without it.
_STEADY = {
    _MAIN: "nobody shares what waits for the network",
    "ghostroll-display.service": "the panel shows nothing, and the button does nothing",
    "ghostroll-eject.path": "cards are not released, and the button does nothing",
    _STORE: "links do not open",
    _LINKS: "panels that are too small for the full link show no code",
}
# An owner's own disk for all that is kept. The units wait for it (StateDirectory=: systemd.exec(5)), and say nothing.
_DISK = "var-lib-ghostroll.mount"
_PROPERTIES = "Id,LoadState,ActiveState,SubState"
Units = dict[str, dict[str, str]]


def rule(settings: Settings, root: Path = Path("/")) -> Iterator[Finding]:
    """Find out whether the udev rule is there and heeded; what lies below `root` is looked at."""
    name = "udev"
    files = [file for place in _RULE_PLACES for file in sorted((root / place).glob(_RULE_NAME))]
    if not files:
        yield _without_rule(settings)
    elif files[0].stat().st_size == 0:  # masked: a link to /dev/null, or an empty file
        yield failed(name, f"The udev rule is switched off by {files[0]}.", f"`sudo rm {files[0]}`")
    elif not (root / "run/udev/control").exists():
        fix = "`sudo systemctl start systemd-udevd`"
        yield failed(name, f"The udev rule {files[0]} is there, but udev does not run: no card is noticed.", fix)
    else:
        yield ok(name, f"udev starts a run for each card ({files[0]}).")


def _without_rule(settings: Settings) -> Finding:
    if settings.mount_roots:
        places = ", ".join(map(str, settings.mount_roots))
        return ok("udev", f"No udev rule is installed: `ghostroll watch` looks for cards below {places}.")
    text = "Nothing notices a card: no udev rule is installed, and mount_roots is empty."
    return failed("udev", text, f"{_INSTALL} Or set mount_roots to where cards are mounted, such as /media.")


def units(settings: Settings) -> Iterator[Finding]:
    """Find out how the units are, as systemd tells (org.freedesktop.systemd1(5), the properties of a unit)."""
    told = answer_of("systemctl", "show", f"--property={_PROPERTIES}", "--", _DISK, *_STEADY, "ghostroll*")
    known = _known(told) if told else {}
    if not any(facts["LoadState"] != "not-found" for facts in known.values()):
        yield ok("units", "GhostRoll is not installed as a service here: this is not an appliance.")
        return
    for unit, facts in known.items():
        finding = _state(unit, facts, settings)
        if finding:
            yield finding


def _known(told: str) -> Units:
    """Return the properties of each unit by its name; one that is named twice is told of twice."""
    blocks = [properties(block) for block in told.split("\n\n")]
    return {facts["Id"]: facts for facts in blocks if "Id" in facts}


def _state(unit: str, facts: dict[str, str], settings: Settings) -> Finding | None:
    """Return what there is to say of a unit; None of one that comes and goes, and of one that is not needed."""
    if (unit == _STORE and not settings.uses_embedded_store) or (unit == _LINKS and not settings.short_links):
        return None
    log = f"`journalctl -u {unit} -e` tells why."
    if unit == _DISK:
        return _disk(facts, log)
    if facts.get("ActiveState") == "failed" and unit == _LINKS:
        text = f"{unit} has failed: {_STEADY[unit]}. Most likely another program has its port."
        return failed(unit, text, "`sudo ss -ltnp` names it. End it, or choose another port: docs/configuration.md")
    if facts.get("ActiveState") == "failed":
        return failed(unit, f"{unit} has failed.", f"{log} Then: `sudo systemctl restart {unit}`")
    if facts.get("SubState") == "auto-restart":
        return failed(unit, f"{unit} ends and is started again and again.", log)
    return _steady(unit, facts) if unit in _STEADY else None


def _disk(facts: dict[str, str], log: str) -> Finding | None:
    if facts["LoadState"] == "not-found":
        return None  # all is kept on the system's own
    if facts.get("ActiveState") == "active":
        return ok(_DISK, "The disk for photos is mounted.")
    text = "The disk for photos is not mounted: no card is saved."
    return failed(_DISK, text, f"Check the disk and its cable, then restart the machine. {log}")


def _steady(unit: str, facts: dict[str, str]) -> Finding:
    """Return whether a unit that should always be there runs, and what is missing without it."""
    load, missing = facts.get("LoadState", ""), _STEADY[unit]
    if load == "not-found":
        return warning(unit, f"{unit} is not installed: {missing}.", _INSTALL)
    if load != "loaded":
        return failed(unit, f"{unit} cannot be used ({load}): {missing}.", f"`systemctl status {unit}` tells why.")
    if facts.get("ActiveState") in ("active", "activating", "reloading"):
        return ok(unit, f"{unit} runs.")
    return warning(unit, f"{unit} does not run: {missing}.", f"`sudo systemctl enable --now {unit}`")
