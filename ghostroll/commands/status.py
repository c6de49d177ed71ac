"""`ghostroll status`: show the current status."""

import argparse
import json
from contextlib import ExitStack, suppress
from typing import Any

from ghostroll.base.config import Effective, Settings
from ghostroll.base.errors import GhostrollError
from ghostroll.catalog import Catalog
from ghostroll.commands.printing import until
from ghostroll.pipeline.status_facts import FactFinder
from ghostroll.status.model import CardState
from ghostroll.status.run_records import RunRecords

# What is to be said of a card beside its numbers.
_SAID = {
    CardState.READING: "; it is being read",
    CardState.SAFE: "; safe to remove",
    CardState.REMOVED: "; it was taken out",
    CardState.EJECTED: "; it was released",
    CardState.REJECTED: "; it is not taken",
}


# `--panel` draws the panel here; it is no setting.
HIDDEN_SETTINGS = ("panel",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON document on stdout")
    form.add_argument("--panel", action="store_true", dest="draws_panel", help="draw the panel's frame in the terminal")


def main(options: argparse.Namespace, effective: Effective) -> int:
    """Show the current status."""
    if options.draws_panel:
        return _draw_panel(effective.settings)
    now = _current(effective.settings)
    if options.json:
        print(json.dumps(now, indent=1))
        return 0
    print(f"{now['state']}: {now['message'] or 'nothing happened yet'}")
    about = now["card"]
    if about["label"]:
        is_partly_saved = about["state"] == CardState.SAFE and about["saved"] < about["files"]
        said = "; it may be taken out" if is_partly_saved else _SAID.get(about["state"], "")
        print(f"Card {about['label']}: {about['saved']} of {about['files']} files saved{said}.")
    if about["safe_to_format"]:
        print("Every file on it has a verified copy: safe to format.")
    elif about["state"] == CardState.SAFE and about["reason"]:
        print(f"Not safe to format. {about['reason']}")
    if now["error"] and now["error"]["hint"]:
        print(now["error"]["hint"])
    if now["url"]:
        print(f"{now['url']}\nvalid until {until(now['expires_at'])}")
    return 0


def _current(settings: Settings) -> dict[str, Any]:
    """Return the status as it is now; without a catalog that can be read, as the runs have seen it."""
    with ExitStack() as stack:
        catalog = None
        with suppress(GhostrollError):
            catalog = stack.enter_context(Catalog(settings.db_path)) if settings.db_path.exists() else None
        return RunRecords(settings.status_path, FactFinder(settings, catalog)).current()


def _draw_panel(settings: Settings) -> int:
    """Draw the panel's frame in this terminal. Raises PanelFailed."""
    from ghostroll_display.terminal_frame import show_in_terminal  # noqa: PLC0415 - Pillow is large

    show_in_terminal(settings)
    return 0
