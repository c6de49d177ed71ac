"""`ghostroll config`: show the effective settings, and where each came from."""

import argparse
import json
from typing import Any

from ghostroll.base.config import SETTINGS, Effective, Setting


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")


def main(options: argparse.Namespace, effective: Effective) -> int:
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
