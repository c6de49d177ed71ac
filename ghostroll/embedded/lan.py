"""The local network: our address on it, and the one door through which it reaches the embedded store."""

import asyncio
import fcntl
import ipaddress
import re
import socket
import struct
import threading
from contextlib import suppress

from ghostroll.errors import ConfigurationError

_CHUNK_BYTES = 1 << 16
# Every browser keeps up to six connections to a server; the store behind should not see more than this.
_CONNECTIONS_MOST = 200
_SIOCGIFADDR = 0x8915  # netdevice(7)
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


def is_loopback(host: str) -> bool:
    """Tell whether `host` names this machine to itself only."""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def advertised_host(store_host: str) -> str:
    """Return the host that links name: `store_host`, or for `auto` our address on the local network.

    Without any network that is loopback. Raises ConfigurationError for what cannot be a host.
    """
    if store_host == "auto":
        return _route_address() or _interface_address() or "127.0.0.1"
    with suppress(ValueError):
        address = ipaddress.ip_address(store_host)
        return f"[{address}]" if address.version == 6 else str(address)  # noqa: PLR2004
    if not _NAME.fullmatch(store_host):
        raise ConfigurationError(f"store_host: {store_host!r} is neither an address, nor a host's name, nor auto.")
    return store_host


def _route_address() -> str | None:
    """Return the address we would speak from: connecting a datagram socket asks the routing table, sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
        probe.connect(("192.0.2.1", 9))  # any address does; this one is nobody's (RFC 5737)
        return str(probe.getsockname()[0])
    return None


def _interface_address() -> str | None:
    """Return the first interface's address: a hotspot of our own has no route to anywhere."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            with suppress(OSError):
                request = struct.pack("256s", name.encode()[:15])
                address = socket.inet_ntoa(fcntl.ioctl(probe, _SIOCGIFADDR, request)[20:24])
                if not is_loopback(address):
                    return address
    return None


class Door:
    """Passes connections from every interface's `port` on to a port of loopback, unread and unchanged."""

    def __init__(self, port: int, to_port: int) -> None:
        """Listen at once. Raises OSError when the port is taken."""
        both = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if both else socket.AF_INET
        self._listener = socket.create_server(("", port), family=family, dualstack_ipv6=both, backlog=128)
        self._to_port = to_port
        self._connections = 0
        self._close = asyncio.Event()
        self._is_open = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._stand()), name="store door", daemon=True)
        self._thread.start()
        self._is_open.wait()

    def close(self) -> None:
        """Close every connection and stop listening."""
        self._loop.call_soon_threadsafe(self._close.set)
        self._thread.join()
        self._listener.close()

    async def _stand(self) -> None:
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._pass, sock=self._listener)
        self._is_open.set()
        await self._close.wait()
        server.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        with suppress(OSError, asyncio.CancelledError):
            if self._connections <= _CONNECTIONS_MOST:
                inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._to_port)
                await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))
        writer.transport.abort()
        self._connections -= 1


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until one side ends, then close the other."""
    try:
        while chunk := await reader.read(_CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
    except OSError:
        writer.transport.abort()
    finally:
        writer.close()
