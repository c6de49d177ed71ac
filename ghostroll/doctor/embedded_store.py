"""Check the embedded store: does it run or could it start, and can guests reach it."""

import os
import socket
from collections.abc import Iterator

from ghostroll.base import local_address
from ghostroll.base.config import Settings
from ghostroll.base.errors import GhostrollError
from ghostroll.doctor.findings import EX_CONFIGURATION, Finding, error_finding, failed, ok, warning
from ghostroll.embedded import seaweedfs
from ghostroll.embedded.process import serves
from ghostroll.embedded.server import TOO_LITTLE_MEMORY, EmbeddedStore, may_start_unasked
from ghostroll.store.endpoint import StoreEndpoint


def endpoint_of(settings: Settings) -> StoreEndpoint | None:
    """Return the endpoint of the running embedded store; None if it does not run."""
    if not serves(settings.base_dir / "store"):
        return None
    store = EmbeddedStore(settings)  # is not started
    try:
        return store.endpoint
    finally:
        store.close()


def findings(settings: Settings, endpoint: StoreEndpoint | None) -> Iterator[Finding]:
    """Check whether the store runs or can start, and the address in its links."""
    yield _running(settings) if endpoint else _stopped(settings)
    try:
        host = local_address.advertised_host(settings.store_host)
    except GhostrollError as error:
        yield error_finding("store-address", error)
        return
    yield _reachability(settings, host)


def _running(settings: Settings) -> Finding:
    return ok("store", f"No bucket is set: GhostRoll's own store runs at port {settings.store_port}.")


def _stopped(settings: Settings) -> Finding:
    directory = settings.base_dir / "store"
    if directory.exists() and not os.access(directory, os.R_OK | os.X_OK):
        return warning("store", f"{directory} cannot be read by this user.", "Run `sudo ghostroll doctor`.")
    try:
        seaweedfs.program()
    except GhostrollError as error:
        return error_finding("store", error)
    try:
        _require_port(settings)
    except OSError as error:
        text = f"GhostRoll's own store cannot start: port {settings.store_port} cannot be used ({error.strerror})."
        fix = "Set store_port to another port, or end the program that uses it: `sudo ss -ltnp` names it."
        return failed("store", text, fix, EX_CONFIGURATION)
    if not may_start_unasked():
        return warning(
            "store", TOO_LITTLE_MEMORY, "`ghostroll store`, or `sudo systemctl enable --now ghostroll-store`"
        )
    return ok("store", "No bucket is set: GhostRoll's own store starts with the next card.")


def _require_port(settings: Settings) -> None:
    """Raise OSError unless the port is free on every interface that the store will use."""
    seaweedfs.require_free(settings.store_port)
    if not local_address.is_loopback(settings.store_host):
        with socket.create_server(("", settings.store_port)):
            pass


def _reachability(settings: Settings, host: str) -> Finding:
    name, address = "store-address", f"http://{host}:{settings.store_port}"
    if not local_address.is_loopback(host.strip("[]")):
        return ok(name, f"Links lead to {address}: they open on the same network.")
    if settings.store_host == "auto":
        text = "This machine is on no network: links lead to itself, and no guest's phone can open them."
        return warning(name, text, "Connect it to the network that the guests are on. Links are updated automatically.")
    text = f"Links lead to {address}: only this machine itself can open them, no guest's phone."
    return warning(name, text, 'Set store_host = "auto", or s3_bucket to a bucket of your own.')
