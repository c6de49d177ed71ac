"""List all checks of the doctor, in the order in which a card needs them."""

from collections.abc import Iterator
from functools import partial

from ghostroll.base.config import Effective, Settings
from ghostroll.doctor import (
    bucket,
    cards,
    catalog,
    clock,
    configuration,
    disk,
    embedded_store,
    hardware,
    panel_code,
    system,
)
from ghostroll.doctor.checkup import Check
from ghostroll.doctor.findings import EX_CREDENTIALS, EX_DISK, EX_STORE, Finding


def checks(effective: Effective) -> tuple[Check, ...]:
    """Return the checks in the order in which they run."""
    settings = effective.settings
    return (
        Check("settings", partial(configuration.findings, effective)),
        Check("clock", clock.findings),
        Check("disk", partial(disk.findings, settings), EX_DISK),
        Check("catalog", partial(catalog.findings, settings), EX_DISK),
        Check("udev", partial(system.udev_rule, settings)),
        Check("units", partial(system.units, settings)),
        Check("hardware", partial(hardware.findings, settings)),
        Check("panel-code", partial(panel_code.findings, settings)),
        Check("card", partial(cards.findings, settings)),
        Check("credentials", partial(configuration.credentials, settings), EX_CREDENTIALS, "Check the network."),
        Check(
            "store",
            partial(_store, settings),
            EX_STORE,
            "Check the network: it is very slow or blocks traffic.",
        ),
    )


def _store(settings: Settings) -> Iterator[Finding]:
    """Check the store in use: the bucket or the embedded store."""
    page_key = partial(catalog.latest_page_key, settings)
    if any(finding.exit_code for finding in configuration.credentials(settings)):
        return  # reported by the check of the credentials
    if not settings.uses_embedded_store:
        yield from bucket.findings(settings, None, page_key)
        return
    endpoint = embedded_store.endpoint_of(settings)
    yield from embedded_store.findings(settings, endpoint)
    if endpoint:
        yield from bucket.findings(settings, endpoint, page_key)
