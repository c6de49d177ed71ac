"""Presigned links: AWS Signature Version 4 in the query, for many objects at one moment.

Source: Amazon S3 API reference, "Authenticating HelperRequests: Using Query Parameters (AWS Signature Version 4)".
The day's signing key and everything else that the links have in common is computed once.
"""

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlsplit

_ALGORITHM = "AWS4-HMAC-SHA256"
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Presigner:
    """Makes presigned GET links; each is what boto3's `generate_presigned_url` gives at the same moment.

    `base_url` is where the bucket is, without a slash at the end: `https://bucket.host` or `https://host/bucket`.
    """

    def __init__(
        self,
        *,
        base_url: str,
        access_key: str,
        secret_key: str,
        token: str | None,
        region: str,
        expires_seconds: int,
        now: datetime,
    ) -> None:
        signed_at = now.astimezone(UTC).replace(microsecond=0)
        self.expires_at = signed_at + timedelta(seconds=expires_seconds)
        stamp = signed_at.strftime("%Y%m%dT%H%M%SZ")
        scope = f"{stamp[:8]}/{region}/s3/aws4_request"
        fields = {
            "X-Amz-Algorithm": _ALGORITHM,
            "X-Amz-Credential": f"{access_key}/{scope}",
            "X-Amz-Date": stamp,
            "X-Amz-Expires": str(expires_seconds),
            "X-Amz-SignedHeaders": "host",
        }
        if token:
            fields["X-Amz-Security-Token"] = token
        pairs = [f"{name}={quote(value, safe='')}" for name, value in fields.items()]
        self._base_url = base_url
        self._path = urlsplit(base_url).path
        self._query = "&".join(pairs)
        # After the path, a canonical request to GET without a body is the same for every key.
        self._canonical_rest = f"\n{'&'.join(sorted(pairs))}\nhost:{_host(base_url)}\n\nhost\nUNSIGNED-PAYLOAD"
        self._text_to_sign = f"{_ALGORITHM}\n{stamp}\n{scope}\n"
        self._signing_key = _signing_key(secret_key, scope)

    def __call__(self, key: str) -> str:
        """Return the link to the object `key`."""
        path = "/" + quote(key, safe="/~")
        request = f"GET\n{self._path}{path}{self._canonical_rest}"
        text = self._text_to_sign + hashlib.sha256(request.encode()).hexdigest()
        signature = hmac.digest(self._signing_key, text.encode(), "sha256").hex()
        return f"{self._base_url}{path}?{self._query}&X-Amz-Signature={signature}"


def _host(url: str) -> str:
    """Return the Host header for `url`: the port only where it is not the scheme's own (RFC 9110, 7.2)."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    if parts.port is None or parts.port == _DEFAULT_PORTS.get(parts.scheme):
        return host
    return f"{host}:{parts.port}"


def _signing_key(secret_key: str, scope: str) -> bytes:
    """Return the key for one day, region and service: one HMAC for each part of `scope`."""
    key = b"AWS4" + secret_key.encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
