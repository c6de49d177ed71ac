"""Tell whether GhostRoll is installed as an appliance, with fixed directories."""

from pathlib import Path

from ghostroll.appliance.helper_requests import HelperRequests
from ghostroll.base.config import Settings

# The only directory that the units allow the pipeline to save to (ProtectSystem=strict, StateDirectory=).
STATE_DIRECTORY = Path("/var/lib/ghostroll")


def is_appliance(settings: Settings) -> bool:
    """Tell whether the appliance's root helpers are installed here."""
    return HelperRequests(settings.status_path.parent).is_available
