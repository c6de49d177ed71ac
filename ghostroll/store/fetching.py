"""Opening a link as a guest would: one GET, no credentials but the link's own, no redirect followed."""

import os
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPException
from typing import IO, Any
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

from ghostroll.base.errors import StoreUnreachable
from ghostroll.store.answers import of_answer

_TIMEOUT_SECONDS = 20
# Of the whole body, and its most: nothing that drips or never ends is a page of ours.
_BODY_SECONDS = 120
_BODY_BYTES_MOST = 64 << 20
_BLOCK_BYTES = 64 << 10


def fetch(url: str, bucket: str, *, through_proxy: bool = True) -> bytes:
    """Return the body behind `url` as it is stored; raises what any answer but 200 means."""
    parts = urlsplit(url)
    address = f"{parts.scheme}://{parts.netloc}"
    request = urllib.request.Request(url, headers={"Accept-Encoding": "identity"})  # noqa: S310 - http or https
    try:
        with _opener(through_proxy=through_proxy).open(request, timeout=_TIMEOUT_SECONDS) as answer:
            return _body(answer)
    except urllib.error.HTTPError as error:
        with error:
            headers = {name.lower(): value for name, value in error.headers.items()}
            raise of_answer(address, bucket, _parsed(error.code, headers, error.read(_BLOCK_BYTES))) from None
    except (OSError, HTTPException) as error:
        raise StoreUnreachable(f"The link does not open: {address} is out of reach ({error}).") from error


def _body(answer: IO[bytes]) -> bytes:
    deadline = time.monotonic() + _BODY_SECONDS
    got = bytearray()
    while block := answer.read(_BLOCK_BYTES):
        got += block
        if len(got) > _BODY_BYTES_MOST or time.monotonic() > deadline:
            raise TimeoutError("the answer does not end")
    return bytes(got)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Takes a redirect for what it is: a store never redirects a good link."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _opener(*, through_proxy: bool) -> urllib.request.OpenerDirector:
    # The same variable that boto3 reads, for a store with a certificate authority of its own.
    context = ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE"))
    proxies = urllib.request.ProxyHandler(None if through_proxy else {})
    return urllib.request.build_opener(_NoRedirect, proxies, urllib.request.HTTPSHandler(context=context))


def _parsed(status: int, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """Return an error answer in botocore's form; `Code` is the status where the body is not S3's."""
    fields = {"Code": str(status)}
    with suppress(ET.ParseError):
        root = ET.fromstring(body)  # noqa: S314 - Python's expat limits entity expansion and loads nothing
        if root.tag == "Error":
            fields.update({child.tag: child.text or "" for child in root})
    return {"Error": fields, "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers}}
