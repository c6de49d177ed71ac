"""Whether this is an appliance, whose units say where everything lies."""

from pathlib import Path

from ghostroll.config import Settings
from ghostroll.requests import Requests

# The only place that the units let the pipeline save to (ProtectSystem=strict, StateDirectory=).
STATE_DIRECTORY = Path("/var/lib/ghostroll")


def is_appliance(settings: Settings) -> bool:
    """Tell whether the appliance's units are at work here."""
    return Requests(settings.status_path.parent).are_heard
