"""`ghostroll store`: run the embedded S3 server in the foreground."""

import argparse
import sys

from ghostroll.base.config import Effective
from ghostroll.base.log import logger
from ghostroll.base.signals import stop_on_signals
from ghostroll.embedded.server import serve


def main(_: argparse.Namespace, effective: Effective) -> int:
    """Run the embedded S3 server in the foreground."""
    settings = effective.settings
    if not settings.uses_embedded_store:
        logger.warning("The bucket %s is configured: runs use that one, not this store.", settings.s3_bucket)
    with stop_on_signals() as stop, serve(settings, asked=True) as server:
        print(f"The embedded store serves {server.endpoint.url} (bucket {server.endpoint.bucket}). Ctrl-C ends it.")
        sys.stdout.flush()
        while not stop.wait(1.0):
            server.ensure_running()
        logger.info("The embedded store ends: its links do not open until it runs again.")
    return 0
