"""Check the clock: a Raspberry Pi without a battery sets it from the network."""

from collections.abc import Iterator

from ghostroll.doctor.findings import Finding, ok, warning
from ghostroll.doctor.system_commands import command_output, parse_properties


def findings() -> Iterator[Finding]:
    """Check whether the clock is synchronised by NTP (timedatectl(1), properties of `show`)."""
    output = command_output("timedatectl", "show")
    facts = parse_properties(output) if output else {}
    if "NTPSynchronized" not in facts:
        yield ok("clock", "This system does not tell whether the network sets its clock (no timedatectl).")
    elif facts["NTPSynchronized"] == "yes":
        yield ok("clock", "The clock is set by the network.")
    elif facts.get("NTP") == "no":
        yield warning("clock", "The clock is not set by the network.", "`sudo timedatectl set-ntp true`")
    else:
        yield warning(
            "clock",
            "The clock has not been set by the network yet: sessions may get a wrong date.",
            "Connect the network and wait a minute; `timedatectl` says when it is synchronized.",
        )
