"""The connections to the store: little of what is sent lies about in this machine before it is on its way."""

import socket
from functools import cache

# Unsent bytes that a socket takes (tcp(7), TCP_NOTSENT_LOWAT). Linux takes megabytes otherwise, so that on a slow
# network a body seems sent minutes before it is, and the time for its answer runs out. Throughput does not suffer:
# what is on its way is not limited.
_UNSENT_BYTES = 16 << 10


@cache
def send_without_hoarding() -> None:
    """Have every connection of botocore, from now on, take a block only when most of the one before is on its way."""
    from botocore import awsrequest  # noqa: PLC0415 - slow to import

    def frugal(kind: type) -> type:
        class Frugal(kind):  # type: ignore[misc]
            def connect(self) -> None:
                super().connect()
                _limit(self.sock)

        return Frugal

    for pool in (awsrequest.AWSHTTPConnectionPool, awsrequest.AWSHTTPSConnectionPool):
        pool.ConnectionCls = frugal(pool.ConnectionCls)


def _limit(end: socket.socket) -> None:
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
