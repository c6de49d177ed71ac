"""Find this machine's address on the local network."""

import fcntl
import ipaddress
import re
import socket
import struct
from contextlib import suppress

from ghostroll.base.errors import ConfigurationError

_SIOCGIFADDR = 0x8915  # netdevice(7)
_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


def is_loopback(host: str) -> bool:
    """Tell whether `host` is a loopback address or localhost."""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def advertised_host(store_host: str) -> str:
    """Return the host for links: `store_host`; for `auto`, this machine's IPv4 address, or loopback without a network.

    Raises ConfigurationError for an invalid host.
    """
    if store_host == "auto":
        return _route_address() or _interface_address() or "127.0.0.1"
    with suppress(ValueError):
        address = ipaddress.ip_address(store_host)
        return f"[{address}]" if address.version == 6 else str(address)  # noqa: PLR2004
    if not _HOST_NAME.fullmatch(store_host):
        raise ConfigurationError(f"store_host: {store_host!r} is neither an address, nor a host's name, nor auto.")
    return store_host


def _route_address() -> str | None:
    """Return the source address of the default route: connecting a datagram socket sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
        probe.connect(("192.0.2.1", 9))  # a documentation address (RFC 5737)
        return str(probe.getsockname()[0])
    return None


def _interface_address() -> str | None:
    """Return the address of the first interface, for a machine without a default route, such as a hotspot."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            with suppress(OSError):
                request = struct.pack("256s", name.encode()[:15])
                address = socket.inet_ntoa(fcntl.ioctl(probe, _SIOCGIFADDR, request)[20:24])
                if not is_loopback(address):
                    return address
    return None
