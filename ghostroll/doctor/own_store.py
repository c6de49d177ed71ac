"""GhostRoll's own store, where no bucket is set: does it run, could it, and can a guest's phone reach it."""

import os
import socket
from collections.abc import Iterator

from ghostroll.base import local_address
from ghostroll.base.config import Settings
from ghostroll.base.errors import GhostrollError
from ghostroll.doctor.findings import EX_CONFIGURATION, Finding, failed, of_error, ok, warning
from ghostroll.embedded import seaweedfs
from ghostroll.embedded.process import serves
from ghostroll.embedded.server import TOO_LITTLE_MEMORY, EmbeddedStore, may_start_unasked
from ghostroll.store.endpoint import StoreEndpoint


def endpoint_of(settings: Settings) -> StoreEndpoint | None:
    """Return where the store of these settings serves just now; None where it doesn't."""
    if not serves(settings.base_dir / "store"):
        return None
    store = EmbeddedStore(settings)  # not started: only asked
    try:
        return store.endpoint
    finally:
        store.close()


def findings(settings: Settings, endpoint: StoreEndpoint | None) -> Iterator[Finding]:
    """Find out what is so about the store itself."""
    yield _runs(settings) if endpoint else _could_run(settings)
    try:
        host = local_address.advertised_host(settings.store_host)
    except GhostrollError as error:
        yield of_error("store-address", error)
        return
    yield _reach(settings, host)


def _runs(settings: Settings) -> Finding:
    return ok("store", f"No bucket is set: GhostRoll's own store serves, at port {settings.store_port}.")


def _could_run(settings: Settings) -> Finding:
    directory = settings.base_dir / "store"
    if directory.exists() and not os.access(directory, os.R_OK | os.X_OK):
        return warning("store", f"{directory} may not be looked at by this user.", "Run `sudo ghostroll doctor`.")
    try:
        seaweedfs.program()
    except GhostrollError as error:
        return of_error("store", error)
    try:
        _require_free(settings)
    except OSError as error:
        text = f"GhostRoll's own store cannot start: port {settings.store_port} cannot be had ({error.strerror})."
        fix = "Set store_port to another port, or end the program that has it: `sudo ss -ltnp` names it."
        return failed("store", text, fix, EX_CONFIGURATION)
    if not may_start_unasked():
        return warning(
            "store", TOO_LITTLE_MEMORY, "`ghostroll store`, or `sudo systemctl enable --now ghostroll-store`"
        )
    return ok("store", "No bucket is set: GhostRoll's own store starts with the next card.")


def _require_free(settings: Settings) -> None:
    """Raise OSError unless the port can be had on every interface that it will be wanted on."""
    seaweedfs.require_free(settings.store_port)
    if not local_address.is_loopback(settings.store_host):
        with socket.create_server(("", settings.store_port)):
            pass


def _reach(settings: Settings, host: str) -> Finding:
    name, address = "store-address", f"http://{host}:{settings.store_port}"
    if not local_address.is_loopback(host.strip("[]")):
        return ok(name, f"Links lead to {address}: open to who is on the same network.")
    if settings.store_host == "auto":
        text = "This machine is on no network: links lead to itself, and no guest's phone can open them."
        return warning(name, text, "Connect it to the network that the guests are on. Links follow by themselves.")
    text = f"Links lead to {address}: only this machine itself can open them, no guest's phone."
    return warning(name, text, 'Set store_host = "auto", or s3_bucket to a bucket of your own.')
