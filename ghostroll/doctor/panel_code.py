"""The code on the panel: which link it can be, and whether the short one opens where the full one is too large."""

from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus

from ghostroll.base import local_address
from ghostroll.base.config import Settings
from ghostroll.base.session_paths import session_of
from ghostroll.base.text import rfc3339
from ghostroll.catalog.models import SessionRow
from ghostroll.doctor.catalog import latest_link
from ghostroll.doctor.findings import Finding, ok, warning
from ghostroll.embedded import seaweedfs
from ghostroll.shortlink import registry
from ghostroll.store.presign import Presigner

_SHORT, _CODE = "short-link", "panel-code"
_USUAL_REGION = "eu-central-1"
_SOCKET = "`sudo systemctl enable --now ghostroll-link.socket`"
_ELSEWHERE = "Choose another port for short links: docs/configuration.md"


def findings(settings: Settings) -> Iterator[Finding]:
    """Find out whether the short link works, and which link the panel shows as its code."""
    share = latest_link(settings)
    try:
        url, finding = _short_link(settings, share)
    except PermissionError as error:
        url = ""
        finding = warning(
            _SHORT, f"{error.filename} may not be looked at by this user.", "Run `sudo ghostroll doctor`."
        )
    yield finding
    yield _code(settings, share.url if share and share.url else likely_link(settings), url)


def _short_link(settings: Settings, share: SessionRow | None) -> tuple[str, Finding]:
    """Return the short link, or one like it before there is a share; "" where there is none; and what is to be said."""
    obstacle = registry.obstacle(settings)
    if obstacle == registry.SWITCHED_OFF:
        return "", ok(_SHORT, "short_links = false: no short link is offered.")
    if obstacle:
        return "", ok(_SHORT, "No link server is installed here: no short link is offered.")
    base = registry.address(settings)
    if base is None:
        text = "This machine is on no network: there is no short link."
        return "", warning(
            _SHORT, text, "Connect it to the network that the guests are on. The rest follows by itself."
        )
    url = registry.expected(settings, registry.codes(settings), share) if share and _is_valid(share) else None
    wanted = (HTTPStatus.FOUND, share.url) if share and url else (HTTPStatus.NOT_FOUND, None)
    answer = registry.answer_at(url or f"{base}/")
    if answer is None:
        return "", warning(_SHORT, f"Nobody answers at {base}: short links do not open.", _SOCKET)
    if answer != wanted:
        return "", warning(_SHORT, f"Short links do not open: another program answers at {base}.", _ELSEWHERE)
    told = "the last share's leads there" if url else "there is nothing to lead to just now"
    return url or f"{base}/222222", ok(_SHORT, f"Short links begin with {base}/; {told}.")


def _is_valid(share: SessionRow) -> bool:
    return (share.expires_utc or "") > rfc3339(datetime.now(UTC))


def likely_link(settings: Settings) -> str:
    """Return a link such as will be signed; who signs it with temporary credentials gets a longer one."""
    region = settings.s3_region or _USUAL_REGION
    if settings.s3_bucket is None:
        base = f"http://{local_address.advertised_host(settings.store_host)}:{settings.store_port}/{seaweedfs.BUCKET}"
    elif settings.s3_endpoint_url:
        base = f"{settings.s3_endpoint_url}/{settings.s3_bucket}"
    else:
        base = f"https://{settings.s3_bucket}.s3.{region}.amazonaws.com"
    now = datetime.now(UTC)
    session = session_of(settings, now.strftime("shoot-%Y-%m-%d_%H%M%S_%f"))
    return Presigner(
        base_url=base,
        access_key="A" * 20,
        secret_key="",
        token=None,
        region=region,
        expires_seconds=settings.presign_expiry_seconds,
        now=now,
    )(session.page_key)


def _code(settings: Settings, link: str, short_url: str) -> Finding:
    """Return which of two links the panel would show."""
    from ghostroll_display import choice  # noqa: PLC0415 - Pillow is large

    if settings.panel == "none":
        return ok(_CODE, "panel = none: no code is shown.")
    shown = choice.answer(link, short_url, choice.likely_model(settings))
    text = f"{shown['reason']} The panel has {shown['size'][0]}x{shown['size'][1]} pixels."
    if shown["form"]:
        return ok(_CODE, text)
    return warning(_CODE, text, "Use a larger panel, or see to it that the short link works.")
