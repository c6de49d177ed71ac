"""Where the embedded store serves, and with which credentials: the store and its server both know this."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class StoreEndpoint:
    """An S3 server of our own.

    `url` is what guests see in links; `local_url` is the short way for our own uploads. `identity` stays the
    same when the address changes, and changes when the store was emptied.
    """

    url: str
    local_url: str
    bucket: str
    region: str
    access_key: str
    secret_key: str = field(repr=False)
    identity: str
