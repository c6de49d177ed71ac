"""`ghostroll sessions`: list the sessions."""

import argparse
import json

from ghostroll.base.config import Effective
from ghostroll.catalog import Catalog
from ghostroll.commands.printing import until


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")


def main(options: argparse.Namespace, effective: Effective) -> int:
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
