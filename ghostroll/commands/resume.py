"""`ghostroll resume`: finish sessions that were interrupted or offline."""

import argparse
import json
from dataclasses import asdict

from ghostroll.base.config import Effective
from ghostroll.base.errors import worst_exit_code
from ghostroll.commands.prepare import check_catalog, chosen_sessions
from ghostroll.commands.printing import on_terminal
from ghostroll.commands.summary import print_store_note, print_summary
from ghostroll.pipeline.invocation import finish_sessions, open_invocation


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")
    parser.add_argument("sessions", metavar="SESSION", nargs="*", help="only these; default: all unfinished ones")


def main(options: argparse.Namespace, effective: Effective) -> int:
    """Finish sessions that were interrupted or offline."""
    with open_invocation(effective.settings, bar=on_terminal()) as invocation:
        check_catalog(invocation)
        rows = chosen_sessions(invocation.catalog, options.sessions)
        codes = set()
        summaries = []
        for run, summary in finish_sessions(invocation, rows):
            codes.add(run.exit_code)
            summaries.append(summary)
            if not options.json:
                print_summary(summary, as_json=False)
                print_store_note(invocation)
    if options.json:
        print(json.dumps([asdict(summary) for summary in summaries], indent=1))
    elif not rows:
        print("Nothing to finish: every session is shared.")
    return worst_exit_code(codes)
