"""`ghostroll catalog rebuild`: make a lost or damaged catalog anew."""

import argparse
import json
from dataclasses import asdict

from ghostroll.base.config import Effective
from ghostroll.base.errors import EX_OK, EX_SOME_FAILED
from ghostroll.base.signals import stop_on_signals
from ghostroll.catalog import Catalog
from ghostroll.commands.printing import print_lines, progress_bar
from ghostroll.recovery import rebuild
from ghostroll.recovery.disk_reader import DiskReader
from ghostroll.recovery.unknown_sessions import require_base_dir


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")
    parser.add_argument(
        "action",
        choices=["rebuild"],
        help="quarantine a damaged catalog, and import every session on the disk that the catalog does not know",
    )


def main(options: argparse.Namespace, effective: Effective) -> int:
    """Rebuild a lost or damaged catalog from the sessions on the disk."""
    settings = effective.settings
    require_base_dir(settings, needed=True)
    rebuild.require_no_runs(settings.status_path)
    message = "Rebuilding the catalog."
    with stop_on_signals() as stop, progress_bar(message) as tell, rebuild.rebuild_status(settings, message):
        rebuilt = rebuild.RebuildResult(rebuild.quarantine_if_damaged(settings))
        reader = DiskReader(stop, 0, "Run `ghostroll catalog rebuild` again: it goes on where it stopped.", tell)
        with Catalog(settings.db_path) as catalog:
            rebuilt.sessions.extend(rebuild.import_unknown_sessions(settings, catalog, reader))
    if options.json:
        print(json.dumps(asdict(rebuilt), indent=1, default=str))
    else:
        print_lines(rebuild.summary_lines(rebuilt))
    return EX_SOME_FAILED if rebuilt.damaged else EX_OK
