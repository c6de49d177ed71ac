"""`ghostroll watch`: wait for cards, run each, finish what is unfinished."""

import argparse
from contextlib import suppress

from ghostroll.appliance import boot_config
from ghostroll.base.config import Effective
from ghostroll.base.log import logger
from ghostroll.card import discovery
from ghostroll.commands.prepare import check_catalog
from ghostroll.pipeline.invocation import open_invocation, report_startup_error
from ghostroll.pipeline.select_session import check_places
from ghostroll.service.watch import Watch
from ghostroll.status.run_record import RunKind
from ghostroll.status.run_records import RunRecords


def main(_: argparse.Namespace, effective: Effective) -> int:
    """Wait for cards, run each, finish what is unfinished, until a signal."""
    for volume in discovery.find_volumes(effective.settings.mount_roots):
        check_places(effective.settings, volume)
    with open_invocation(effective.settings, in_watch=True) as invocation:
        check_catalog(invocation)
        _tell_of_refused_configuration(effective)
        Watch(invocation).until_stopped()
    return 0


def _tell_of_refused_configuration(effective: Effective) -> None:
    """Say, where an owner without a keyboard sees it, why the file of the boot partition was not taken."""
    status_path = effective.settings.status_path
    if error := boot_config.refusal(effective.file):
        logger.error("%s %s", error, error.hint)
        report_startup_error(effective.settings, error, RunKind.CONFIGURATION)
    elif status_path.parent.is_dir():
        with suppress(OSError):  # what an earlier start has said
            RunRecords(status_path).remove(RunKind.CONFIGURATION)
