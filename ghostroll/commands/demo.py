"""`ghostroll demo`: the main job on a sample card, with the embedded store."""

import argparse
import functools
import sys

from ghostroll.base.config import Effective
from ghostroll.card import volume as card
from ghostroll.commands.prepare import run_card
from ghostroll.commands.printing import on_terminal
from ghostroll.commands.summary import print_summary
from ghostroll.demo import settings as demonstration
from ghostroll.pipeline import pipeline
from ghostroll.pipeline.invocation import open_invocation
from ghostroll.pipeline.select_session import check_places


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("--card", metavar="DIR", help="a real card in place of the sample")
    parser.add_argument("--once", action="store_true", help="end after the link was printed")


def main(options: argparse.Namespace, effective: Effective) -> int:
    """Do the main job on a sample card with the embedded store, and serve until Ctrl-C."""
    with (
        demonstration.settings_for(effective, has_own_card=options.card is not None) as settings,
        demonstration.card_for(options.card) as root,
        open_invocation(settings, bar=on_terminal(), store_asked=True) as invocation,
    ):
        volume = card.find_volume(root)
        check_places(settings, volume)
        summary, exit_code = run_card(invocation, functools.partial(pipeline.run_pipeline, volume=volume))
        print_summary(summary, as_json=False)
        if summary.url and not options.once:
            print("Serving until you press Ctrl-C: open the link in a browser on this machine.")
            sys.stdout.flush()
            while not invocation.stop.wait(1.0):
                invocation.opener.revive()
            kept = f"What was saved stays at {settings.base_dir}." if options.card else "The sample is gone."
            print(f"\nStopped: the link no longer opens. {kept}")
    return exit_code
