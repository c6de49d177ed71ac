"""`ghostroll run`: the pipeline once, for one card."""

import argparse
import functools
from collections.abc import Callable
from pathlib import Path

from ghostroll.base.config import Effective
from ghostroll.card import volume as card
from ghostroll.commands.prepare import check_catalog, run_card
from ghostroll.commands.printing import on_terminal
from ghostroll.commands.summary import print_store_note, print_summary
from ghostroll.pipeline import inserted_card, pipeline
from ghostroll.pipeline.invocation import open_invocation
from ghostroll.pipeline.run import Summary
from ghostroll.pipeline.select_session import check_places
from ghostroll.recovery.unknown_sessions import reject_unknown


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--volume", metavar="DIR", help="the mounted card, of any name")
    where.add_argument("--device", metavar="DEV", help="the card that the units mounted, such as /dev/sda1")
    parser.add_argument("--session-id", metavar="ID", help="use or go on with this session")
    parser.add_argument("--rehash", action="store_true", help="read every file, known or not")


def main(options: argparse.Namespace, effective: Effective) -> int:
    """Save, render and share what is new on one card; then finish what earlier runs left."""
    work = _work_for(options, effective)
    with open_invocation(effective.settings, bar=on_terminal()) as invocation:
        check_catalog(invocation)
        if options.session_id is not None:
            reject_unknown(effective.settings, invocation.catalog, options.session_id)
        summary, exit_code = run_card(
            invocation, functools.partial(work, session_id=options.session_id, rehash=options.rehash)
        )
        print_summary(summary, as_json=options.json)
        if summary.url and not options.json:
            print_store_note(invocation)
    return exit_code


def _work_for(options: argparse.Namespace, effective: Effective) -> Callable[..., Summary]:
    """Return what is to be done with the card; raises VolumeNotFound for a directory that is none."""
    if options.device:
        return functools.partial(inserted_card.run_inserted, device=options.device)
    volume = card.find_volume(Path(options.volume))
    check_places(effective.settings, volume)
    return functools.partial(pipeline.run_pipeline, volume=volume)
