"""Whether this is an appliance, whose units say where everything lies."""

from pathlib import Path

from ghostroll.appliance.helper_requests import HelperRequests
from ghostroll.base.config import Settings

# The only place that the units let the pipeline save to (ProtectSystem=strict, StateDirectory=).
STATE_DIRECTORY = Path("/var/lib/ghostroll")


def is_appliance(settings: Settings) -> bool:
    """Tell whether the appliance's units are at work here."""
    return HelperRequests(settings.status_path.parent).is_available
