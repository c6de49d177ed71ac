"""What there is to be seen: sessions, status, settings. Nothing here changes anything."""

import argparse
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

from ghostroll import board
from ghostroll.catalog import Catalog
from ghostroll.config import SETTINGS, Effective, Setting, Settings
from ghostroll.errors import EX_BUG
from ghostroll.status import CardState

# What is to be said of a card beside its numbers.
_SAID = {
    CardState.READING: "; it is being read",
    CardState.SAFE: "; safe to remove",
    CardState.REMOVED: "; it was taken out",
    CardState.EJECTED: "; it was released",
    CardState.REJECTED: "; it is not taken",
}


def sessions(options: argparse.Namespace, effective: Effective) -> int:
    """List the sessions."""
    with Catalog(effective.settings.db_path) as catalog:
        counts = catalog.picture_counts()
        listed = [
            {
                "session_id": row.session_id,
                "state": row.state,
                "photos": counts.get(row.session_id, (0, 0))[1],
                "files": counts.get(row.session_id, (0, 0))[0],
                "url": row.url,
                "expires_at": row.expires_utc,
            }
            for row in catalog.sessions()
        ]
    if options.json:
        print(json.dumps(listed, indent=1))
    elif not listed:
        print("No sessions yet.")
    else:
        print(f"{'SESSION':38} {'STATE':10} {'PHOTOS':>6} {'FILES':>6}  LINK VALID UNTIL")
        for each in listed:
            print(
                f"{each['session_id']:38} {each['state']:10} {each['photos']:6} {each['files']:6}"
                f"  {until(each['expires_at'])}"
            )
    return 0


def until(expires_at: Any) -> str:
    """Return the end of a link in words, in local time."""
    if not expires_at:
        return "-"
    moment = datetime.fromisoformat(expires_at)
    words = moment.astimezone().strftime("%Y-%m-%d %H:%M")
    return words if moment > datetime.now(UTC) else f"{words} (expired)"


def status(options: argparse.Namespace, effective: Effective) -> int:
    """Show the current status."""
    if options.draws_panel:
        return _draw_panel(options, effective.settings)
    now = board.current(effective.settings.status_path)
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


def _draw_panel(options: argparse.Namespace, settings: Settings) -> int:
    """Have the display's program draw its frame in this terminal: it is a program of its own, and so it stays."""
    size = "x".join(map(str, settings.panel_size)) if settings.panel_size else "auto"
    environment = {
        **os.environ,
        "GHOSTROLL_STATUS_PATH": str(settings.status_path),
        "GHOSTROLL_STATUS_IMAGE_PATH": str(settings.status_image_path),
        "GHOSTROLL_PANEL": settings.panel,
        "GHOSTROLL_PANEL_SIZE": size,
    }
    config = ["--config", options.config] if options.config else []
    drawn = subprocess.run(  # noqa: S603 - this very interpreter
        [sys.executable, "-m", "ghostroll_display", "--terminal", *config], env=environment, check=False
    )
    return drawn.returncode if drawn.returncode >= 0 else EX_BUG


def show_config(options: argparse.Namespace, effective: Effective) -> int:
    """Show the effective settings and where each came from, in a form that a configuration file may have."""
    rows = [
        (setting, getattr(effective.settings, setting.name), effective.origins[setting.name]) for setting in SETTINGS
    ]
    if options.json:
        shown = {setting.name: {"value": _shown(value), "from": origin} for setting, value, origin in rows}
        print(json.dumps(shown, indent=1))
    else:
        for setting, value, origin in rows:
            in_vain = effective.overridden.get(setting.name)
            over = f", over {in_vain.value} (file {in_vain.file})" if in_vain else ""
            print(f"{setting.name:24} = {_toml(setting, value):40} # {origin}{over}")
        print("# Credentials are never settings: they come from AWS's own chain, or systemd's.")
    return 0


def _toml(setting: Setting, value: Any) -> str:
    """Return a value as TOML; JSON's strings, numbers and lists are TOML's too."""
    if value is None:
        return json.dumps(setting.default)
    if isinstance(value, tuple) and setting.name == "mount_roots":
        return json.dumps([str(path) for path in value])
    return json.dumps(value if isinstance(value, (bool, int)) else _shown(value), ensure_ascii=False)


def _shown(value: Any) -> str | None:
    if isinstance(value, tuple):
        return ("x" if value and isinstance(value[0], int) else ",").join(map(str, value))
    return None if value is None else str(value).lower() if isinstance(value, bool) else str(value)
