"""Whether the store answers: asked often while a session waits for it, so as cheaply as can be."""

import ssl
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from ghostroll.base.config import Settings

_TIMEOUT_SECONDS = 5
# What only an S3 store sends; a login page has no such thing (Amazon S3 API reference, "Common response headers").
_SIGN_OF_A_STORE = "x-amz-request-id"


def answers(settings: Settings) -> bool:
    """Tell whether the configured store answers, be it with a refusal. No credentials are shown to it."""
    address = settings.s3_endpoint_url or f"https://s3.{settings.s3_region or 'us-east-1'}.amazonaws.com"
    parts = urlsplit(address)
    try:
        with closing(_connection(parts.scheme, parts.hostname or "", parts.port)) as connection:
            connection.request("HEAD", f"/{settings.s3_bucket}/")
            return connection.getresponse().getheader(_SIGN_OF_A_STORE) is not None
    except (OSError, HTTPException, ValueError):
        return False


def _connection(scheme: str, host: str, port: int | None) -> HTTPConnection:
    if scheme == "http":
        return HTTPConnection(host, port, timeout=_TIMEOUT_SECONDS)
    return HTTPSConnection(host, port, timeout=_TIMEOUT_SECONDS, context=ssl.create_default_context())
