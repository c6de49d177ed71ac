"""`ghostroll eject`: release a card."""

import argparse
import time

from ghostroll.appliance.helper_requests import HelperRequests, cancel
from ghostroll.base.config import Effective
from ghostroll.base.errors import EX_OK, UsageError, VolumeNotFound, translate_disk_errors

# How long `eject` waits for the release of a card, and how often it looks.
_EJECT_SECONDS, _EJECT_POLL_SECONDS = 12.0, 0.2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("device", metavar="DEVICE", nargs="?", help="such as sda1; default: every card")


def main(options: argparse.Namespace, effective: Effective) -> int:
    """Release one card or all, and say when they may be pulled."""
    requests = HelperRequests(effective.settings.status_path.parent)
    asked = options.device.removeprefix("/dev/") if options.device else None
    if asked and requests.is_available and asked not in requests.devices():
        raise VolumeNotFound(f"There is no card in {options.device}.", hint="`ghostroll eject` releases every card.")
    with translate_disk_errors():
        request = requests.eject(asked)
    in_readers = [device for device in requests.devices() if requests.is_present(device) or requests.is_ejected(device)]
    waiting = [asked] if asked else in_readers
    if not waiting:
        print("There is no card to eject.")
    until = time.monotonic() + _EJECT_SECONDS
    while waiting and time.monotonic() < until:
        for device in [device for device in waiting if requests.is_ejected(device)]:
            print(f"Safe to remove: the card in {device}.")
            waiting.remove(device)
        time.sleep(_EJECT_POLL_SECONDS)
    if waiting and cancel(request):
        raise UsageError("Nobody heard it.", hint="`ghostroll doctor` tells whether ghostroll-eject.path runs.")
    for device in waiting:
        print(
            f"The card in {device} is being read: it is released after the current file. Ask again to have it at once."
        )
    return EX_OK
