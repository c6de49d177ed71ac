"""How many wrong codes are borne with: what makes guessing hopeless.

A code is one of 31^6 = 887,503,681. All strangers together may try 40 at once and then one every 30 seconds: 20,200
in a week, which is the longest that a link lives. Of 43,935 such weeks, with one share that is valid all the time, one
finds it. One client alone has 10, then one every two minutes. Right codes cost nothing, so that guests don't use up
what is left to others; but where too many were wrong the right one is refused as well, else guessing would go on.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

CLIENT_MOST, CLIENT_SECONDS_EACH = 10, 120.0
ALL_MOST, ALL_SECONDS_EACH = 40, 30.0
# After so long without a guess all is as at the start: a server that ends then forgets nothing.
FULL_AGAIN_SECONDS = max(CLIENT_MOST * CLIENT_SECONDS_EACH, ALL_MOST * ALL_SECONDS_EACH)
# Who makes more addresses than this gains nothing by it: all share one allowance.
_CLIENTS_MOST = 1000


@dataclass
class TokenBucket:
    """A number of tries that grows back with time."""

    most: int
    seconds_each: float
    left: float
    at: float

    def available(self, now: float) -> float:
        """Return what is left at a moment."""
        return min(self.most, self.left + (now - self.at) / self.seconds_each)

    def use(self, now: float) -> None:
        """Take one."""
        self.left, self.at = self.available(now) - 1, now


@dataclass
class RateLimit:
    """What each client, and all of them, may still try. Times are those of a clock that only counts."""

    now: float
    _all: TokenBucket = field(init=False)
    _clients: OrderedDict[str, TokenBucket] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        self._all = TokenBucket(ALL_MOST, ALL_SECONDS_EACH, ALL_MOST, self.now)

    def are_over(self, client: str, now: float) -> bool:
        """Tell whether a client is to be refused, whatever it asks for."""
        own = self._clients.get(client)
        return self._all.available(now) < 1 or (own is not None and own.available(now) < 1)

    def wrong(self, client: str, now: float) -> None:
        """Take note of a wrong code."""
        self._all.use(now)
        own = self._clients.pop(client, None) or TokenBucket(CLIENT_MOST, CLIENT_SECONDS_EACH, CLIENT_MOST, now)
        own.use(now)
        self._clients[client] = own  # the last one
        while len(self._clients) > _CLIENTS_MOST:
            self._clients.popitem(last=False)
