"""What a run came to, printed on stdout."""

import json
import shutil
import sys
from dataclasses import asdict

from ghostroll.base.text import counted
from ghostroll.commands.printing import until
from ghostroll.gallery import qr
from ghostroll.pipeline.invocation import Invocation
from ghostroll.pipeline.narration import in_words
from ghostroll.pipeline.run import Summary
from ghostroll.status.model import State


def print_summary(summary: Summary, *, as_json: bool) -> None:
    """Print the outcome of a run; its link as a QR code, too."""
    if as_json:
        print(json.dumps(asdict(summary), indent=1))
        return
    if summary.ingested or summary.derived:
        saved, ready = counted(summary.ingested, "file"), counted(summary.derived, "picture")
        print(f"{saved} saved, {ready} made ready, in {summary.seconds:.1f} s.")
    for failure in summary.failed:
        print(in_words(failure))
    if summary.session_dir:
        print(f"On this disk: {summary.session_dir}")
    if summary.url:
        _print_code(summary.url, summary.session_dir)
        print(f"Valid until {until(summary.expires_at)}:\n{summary.url}\n")
    elif summary.session_id is None and summary.state == State.DONE:
        print("Nothing new on this card.")


def _print_code(url: str, session_dir: str | None) -> None:
    width = len(qr.qr_terminal(url, ansi=False).partition("\n")[0])
    if sys.stdout.isatty() and shutil.get_terminal_size().columns < width:
        print(f"\nThe window is too narrow for the QR code ({width} columns): see {session_dir}/share-qr.png\n")
    else:
        print(f"\n{qr.qr_terminal(url, ansi=sys.stdout.isatty())}\n")


def print_store_note(invocation: Invocation) -> None:
    """Say how long the link opens, where that depends on this process."""
    if invocation.opener.ends_with_us:
        print("The link opens while the embedded store runs: `ghostroll store` keeps it running.")
