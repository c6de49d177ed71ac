"""A status record for every screen, as runs write them, and thumbnails without a file."""

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from PIL import Image

from ghostroll_display import frame
from ghostroll_display.asking import acknowledgement, no_card, not_signed, unheard
from ghostroll_display.gestures import Wish
from ghostroll_display.models import PanelModel
from ghostroll_display.screens import Screen

GOLDEN = Path(__file__).parents[1] / "data" / "frames"
GOLDEN_PANELS = ("phatssd1608-black", "what-red", "impressions", "spectra73")
NOW = datetime(2026, 11, 24, 18, 30, tzinfo=UTC)
UNTIL = "2026-12-01T18:24:00.000000Z"
SESSION = "shoot-2026-11-24_181203_417000"
# What an IAM user signs: 371 characters, as the store's documentation has its parts.
FULL_LINK = (
    "https://ghostroll-example-bucket.s3.eu-central-1.amazonaws.com/sessions/" + SESSION + "/index.html"
    "?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20261124%2Feu-central-1%2Fs3"
    "%2Faws4_request&X-Amz-Date=20261124T182400Z&X-Amz-Expires=604800&X-Amz-SignedHeaders=host"
    "&X-Amz-Signature=" + "c0ffee5eed1e55ed" * 4
)
# With a session token of 700 characters.
TOKEN_LINK = FULL_LINK + "&X-Amz-Security-Token=" + "IQoJb3JpZ2luX2VjEHMaDGV1LWNlbnRyYWwtMSJHMEUC" * 16
SHORT_LINK = "http://192.168.178.120/k7Qz3M"
LINKS = {"full": FULL_LINK, "token": TOKEN_LINK, "short": SHORT_LINK}
PICTURES = tuple(f"/sessions/{SESSION}/derived/thumbs/DCIM/{number}.jpg" for number in range(24))
_CARD = {"label": "EOS_DIGITAL", "device": "/dev/sda1", "reason": None, "files": 1284}
_COUNTS = {
    "discovered": 1284,
    "new": 1284,
    "skipped": 0,
    "ingested": 1284,
    "verified": 1284,
    "processed": 1284,
    "uploaded": 2600,
    "failed": 0,
}


def record(**fields: Any) -> dict[str, Any]:
    """A record with everything in it that is written always."""
    return {
        "version": 1,
        "state": "idle",
        "step": "watch",
        "message": "Waiting for SD card…",
        "session_id": None,
        "session_dir": None,
        "receipt": None,
        "card": card("none", files=0, saved=0, label=None),
        "disk_free_bytes": 48_300_000_000,
        "thumbnails": [],
        "counts": dict.fromkeys(_COUNTS, 0),
        "bytes": {"done": 0, "total": 0},
        "progress": 0.0,
        "eta_seconds": None,
        "url": None,
        "short_url": None,
        "expires_at": None,
        "error": None,
        "updated_at": "2026-11-24T18:29:58.000000Z",
        "runs": [],
        **fields,
    }


def card(state: str, **fields: Any) -> dict[str, Any]:
    """The card's part of a record."""
    return {**_CARD, "state": state, "saved": 1284, "safe_to_format": False, **fields}


def shared(**fields: Any) -> dict[str, Any]:
    """A session that is shared, its card still there."""
    usual = {
        "state": "done",
        "step": "done",
        "message": "Done.",
        "progress": 1.0,
        "session_id": SESSION,
        "receipt": "KQXWZP",
        "card": card("safe", safe_to_format=True),
        "counts": _COUNTS,
        "thumbnails": list(PICTURES),
        "url": FULL_LINK,
        "short_url": SHORT_LINK,
        "expires_at": UNTIL,
    }
    return record(**usual | fields)


def error(code: int, message: str, hint: str) -> dict[str, Any]:
    """The error's part of a record."""
    return {"code": code, "message": message, "hint": hint}


_RUNNING: dict[str, Any] = {"state": "running", "session_id": SESSION, "receipt": "KQXWZP"}
SCENES: dict[str, dict[str, Any]] = {
    "starting": record(updated_at="", disk_free_bytes=0),
    "insert": record(),
    "insert_after_share": record(url=FULL_LINK, short_url=SHORT_LINK, expires_at=UNTIL),
    "reading": record(
        **_RUNNING, step="ingest", progress=0.2, eta_seconds=380, counts=_COUNTS, card=card("reading", saved=412)
    ),
    "saved": record(
        **_RUNNING, step="upload", progress=0.7, eta_seconds=95, counts=_COUNTS, card=card("safe", safe_to_format=True)
    ),
    "finishing": record(
        **_RUNNING, step="upload", progress=0.8, counts=_COUNTS, message="Finishing an earlier session."
    ),
    "offline": record(
        **_RUNNING | {"state": "waiting"},
        counts=_COUNTS,
        card=card("safe"),
        error=error(75, "The store does not answer.", "It goes on by itself when the store answers again."),
    ),
    "shared": shared(),
    "shared_short": shared(url=TOKEN_LINK),
    "shared_no_code": shared(url="https://example.com/" + "x" * 3000, short_url=None),
    "shared_ended": shared(expires_at="2026-11-24T18:00:00Z"),
    "nothing_new": record(
        state="done",
        step="done",
        message="Nothing new: all 1,284 files on the card came in before.",
        url=FULL_LINK,
        short_url=SHORT_LINK,
        expires_at=UNTIL,
        card=card("safe", safe_to_format=True),
    ),
    "done": record(state="done", step="done", message="There are no photos on this card.", card=card("safe", files=0)),
    "ejected": record(card=card("ejected")),
    "rejected": record(
        card=card("rejected", reason="Its label is BACKUP; only auto-import is taken (setting sd_label).")
    ),
    "interrupted": record(state="interrupted", card=card("safe"), message="Interrupted."),
    "error": record(
        state="error",
        card=card("safe"),
        error=error(
            77, "The store refuses our credentials.", "Put new ones into /etc/ghostroll/aws-credentials, then restart."
        ),
    ),
    "error_card": record(
        state="error",
        card=card("removed"),
        error=error(74, "The card was pulled while it was read.", "Put it in again: what is saved stays saved."),
    ),
}


# What stands in place of the status when the button was used.
ANSWERS: dict[str, Screen] = {
    "answer_eject": acknowledgement(Wish.EJECT, SCENES["shared"]),
    "answer_eject_reading": acknowledgement(Wish.EJECT, SCENES["reading"]),
    "answer_sign_anew": acknowledgement(Wish.SIGN_ANEW, SCENES["shared"]),
    "answer_power_off": acknowledgement(Wish.POWER_OFF, SCENES["shared"]),
    "answer_no_card": no_card(),
    "answer_not_signed": not_signed(
        "The store s3.example.com is out of reach (nobody answers there).",
        "The earlier link stays as it was; ask again when the network is back.",
    ),
    "answer_unheard": unheard(Wish.EJECT),
}
FRAMES = (*SCENES, *ANSWERS)


def draw(name: str, model: PanelModel) -> Image.Image:
    """The frame of this name."""
    return frame.draw(SCENES.get(name, {}), model, now=NOW, load=thumbnail, answer=ANSWERS.get(name))


def thumbnail(path: str) -> Image.Image | None:
    """A picture that stands for one: a sky, a hill and somebody, each of another colour."""
    number = int(path.rsplit("/", 1)[1].removesuffix(".jpg"))
    width, height = 96, 64
    picture = Image.new("RGB", (width, height))
    for x in range(width):
        hill = height * 6 // 10 + round(8 * math.sin((x + 17 * number) / 15))
        for y in range(height):
            sky = (90 + 2 * y, 150 + y, 250 - (37 * number) % 90)
            ground = (60 + (53 * number) % 120, 120 - y // 2, 40)
            picture.putpixel((x, y), ground if y > hill else sky)
    centre, skin = 20 + (29 * number) % 56, (225, 180 - (31 * number) % 90, 140 - (31 * number) % 80)
    shirt = ((91 * number) % 256, (47 * number) % 256, (173 * number) % 256)
    for x in range(centre - 14, centre + 15):
        for y in range(16, height):
            if (x - centre) ** 2 + (y - 26) ** 2 <= 81:
                picture.putpixel((x, y), skin)
            elif y > 36 and abs(x - centre) <= min(14, 4 + (y - 36)):
                picture.putpixel((x, y), shirt)
    return picture
