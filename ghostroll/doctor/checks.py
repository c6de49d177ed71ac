"""All checks of the doctor, in the order of a card's way."""

from collections.abc import Iterator
from functools import partial

from ghostroll.base.config import Effective, Settings
from ghostroll.doctor import bucket, cards, clock, configuration, disk, hardware, own_store, panel_code, records, system
from ghostroll.doctor.checkup import Check
from ghostroll.doctor.findings import EX_CREDENTIALS, EX_DISK, EX_STORE, Finding


def checks(effective: Effective) -> tuple[Check, ...]:
    """Return what is looked at, in the order of a card's way."""
    settings = effective.settings
    return (
        Check("settings", partial(configuration.findings, effective)),
        Check("clock", clock.findings),
        Check("disk", partial(disk.findings, settings), EX_DISK),
        Check("catalog", partial(records.findings, settings), EX_DISK),
        Check("udev", partial(system.rule, settings)),
        Check("units", partial(system.units, settings)),
        Check("hardware", partial(hardware.findings, settings)),
        Check("panel-code", partial(panel_code.findings, settings)),
        Check("card", partial(cards.findings, settings)),
        Check("credentials", partial(configuration.credentials, settings), EX_CREDENTIALS, "Check the network."),
        Check(
            "store", partial(_store, settings), EX_STORE, "Check the network: it is very slow, or lets nothing through."
        ),
    )


def _store(settings: Settings) -> Iterator[Finding]:
    """Look at the store that is in use: the bucket, or GhostRoll's own."""
    page_key = partial(records.latest_page_key, settings)
    if any(finding.exit_code for finding in configuration.credentials(settings)):
        return  # that was told
    if not settings.uses_embedded_store:
        yield from bucket.findings(settings, None, page_key)
        return
    endpoint = own_store.endpoint_of(settings)
    yield from own_store.findings(settings, endpoint)
    if endpoint:
        yield from bucket.findings(settings, endpoint, page_key)
