"""Prepare the settings and the card of `ghostroll demo`."""

import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ghostroll.base.config import Effective, Settings


@contextmanager
def settings_for(effective: Effective, *, has_own_card: bool) -> Iterator[Settings]:
    """Yield the settings of a demo, with the embedded store on loopback.

    The sample card's session is saved to a temporary directory unless `base_dir` is set; that of the user's own card
    is kept in the base directory.
    """
    settings = replace(effective.settings, s3_bucket=None, store_host="127.0.0.1")
    if effective.origins["store_port"] == "default":
        settings = replace(settings, store_port=_free_port(settings.store_port))
    if has_own_card or effective.origins["base_dir"] != "default":
        yield settings
        return
    with tempfile.TemporaryDirectory(prefix="ghostroll-demo-") as directory:
        base = Path(directory)
        yield replace(
            settings,
            base_dir=base,
            db_path=base / "ghostroll.db",
            status_path=base / "status.json",
            status_image_path=base / "status.png",
        )


@contextmanager
def card_for(own_card: str | None) -> Iterator[Path]:
    """Yield the root of the card: the user's own, or a temporary sample card."""
    if own_card is not None:
        yield Path(own_card)
        return
    from ghostroll.demo.sample_card import write_sample_card  # noqa: PLC0415 - loads Pillow

    with tempfile.TemporaryDirectory(prefix="ghostroll-card-") as directory:
        root = Path(directory) / "SAMPLE"
        write_sample_card(root)
        yield root


def _free_port(wanted: int) -> int:
    """Return `wanted` if the port is free, else any free port."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    return wanted
