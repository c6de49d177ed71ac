"""`ghostroll share`: a fresh link to a session that was shared before."""

import argparse

from ghostroll.base.config import Effective
from ghostroll.commands.prepare import chosen_sessions
from ghostroll.commands.printing import on_terminal
from ghostroll.commands.summary import print_store_note, print_summary
from ghostroll.pipeline.invocation import open_invocation, renew_links


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")
    parser.add_argument("session", metavar="SESSION", help="its id, as `ghostroll sessions` lists it")


def main(options: argparse.Namespace, effective: Effective) -> int:
    """Make a fresh link to a session that was shared before; nothing but its page is uploaded."""
    with open_invocation(effective.settings, bar=on_terminal()) as invocation:
        ((run, summary),) = renew_links(invocation, chosen_sessions(invocation.catalog, [options.session]))
        if options.json or not run.problems:
            print_summary(summary, as_json=options.json)
        if summary.url and not options.json:
            print_store_note(invocation)
    return run.exit_code
