"""`ghostroll verify`: read saved files again and compare them."""

import argparse
import json
from dataclasses import asdict

from ghostroll.base.config import Effective
from ghostroll.base.errors import EX_OK, EX_SOME_FAILED, translate_disk_errors
from ghostroll.base.session_paths import session_of
from ghostroll.commands.prepare import chosen_sessions
from ghostroll.commands.printing import print_lines, progress_bar
from ghostroll.pipeline.invocation import open_invocation
from ghostroll.recovery import verify
from ghostroll.recovery.disk_reader import DiskReader
from ghostroll.recovery.unknown_sessions import require_base_dir


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")
    parser.add_argument("sessions", metavar="SESSION", nargs="*", help="only these; default: all")


def main(options: argparse.Namespace, effective: Effective) -> int:
    """Read originals again from the disk, and tell which are not what came off the card."""
    with open_invocation(effective.settings) as invocation, progress_bar("Reading the originals again.") as tell:
        catalog, stop = invocation.catalog, invocation.stop
        catalog.check(thorough=True)
        rows = chosen_sessions(catalog, options.sessions) if options.sessions else catalog.sessions()
        require_base_dir(effective.settings, needed=bool(rows))
        sessions = [session_of(effective.settings, row.session_id) for row in rows]
        reader = DiskReader(stop, verify.bytes_to_read(catalog, sessions), "Run `ghostroll verify` again.", tell)
        with translate_disk_errors():
            findings = [
                verify.verify_session(catalog, session, row, reader)
                for session, row in zip(sessions, rows, strict=True)
            ]
    if options.json:
        print(json.dumps([asdict(each) for each in findings], indent=1))
    else:
        print_lines([line for each in findings for line in verify.summary_lines(each)] or ["No sessions yet."])
        print_lines(verify.advice(findings))
    return EX_OK if all(each.is_fine for each in findings) else EX_SOME_FAILED
