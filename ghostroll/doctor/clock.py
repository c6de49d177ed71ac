"""The clock: a Raspberry Pi has none that runs while it is off, and learns the time from the network."""

from collections.abc import Iterator

from ghostroll.doctor.findings import Finding, ok, warning
from ghostroll.doctor.outside import answer_of, properties


def findings() -> Iterator[Finding]:
    """Find out whether the network sets the clock (timedatectl(1), properties of `show`)."""
    told = answer_of("timedatectl", "show")
    facts = properties(told) if told else {}
    if "NTPSynchronized" not in facts:
        yield ok("clock", "This system does not tell whether the network sets its clock (no timedatectl).")
    elif facts["NTPSynchronized"] == "yes":
        yield ok("clock", "The clock is set by the network.")
    elif facts.get("NTP") == "no":
        yield warning("clock", "The clock is not set by the network.", "`sudo timedatectl set-ntp true`")
    else:
        yield warning(
            "clock",
            "The clock has not been set by the network yet: sessions may bear a wrong date.",
            "Connect the network and wait a minute; `timedatectl` says when it is synchronized.",
        )
