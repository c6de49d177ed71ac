"""The local network: our address on it, and the one door through which it reaches the embedded store."""

import asyncio
import socket
import threading
from contextlib import suppress

_CHUNK_BYTES = 1 << 16
# Every browser keeps up to six connections to a server; the store behind should not see more than this.
_CONNECTIONS_MOST = 200


class TcpForwarder:
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
