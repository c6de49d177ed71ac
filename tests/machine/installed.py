"""GhostRoll on a machine, as its owner finds it: the status, the journal, what lies on its disk, what a link shows."""

import base64
import gzip
import io
import json
import shlex
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import zxingcpp
from PIL import Image

from tests.machine.machine import Machine
from tests.machine.shell import FailedError
from tests.support.appliance import get, links
from tests.support.road import Road

if TYPE_CHECKING:
    from tests.machine.cardimages import Card

SESSIONS = "/var/lib/ghostroll/sessions"
# A run on two emulated cores that others use as well: Python alone takes seconds to start.
PATIENCE_SECONDS = 600.0

READ_CATALOG = """
import json, sqlite3
catalog = sqlite3.connect("file:/var/lib/ghostroll/ghostroll.db?mode=ro", uri=True, timeout=60)
print(json.dumps([sha256 for sha256, in catalog.execute("SELECT sha256 FROM ingested_files")]))
"""

OPEN_LINK = """
import http.client, json, sys
host, _, path = sys.argv[1].removeprefix("http://").partition("/")
connection = http.client.HTTPConnection(host, timeout=60)
connection.request("GET", "/" + path)
answer = connection.getresponse()
print(json.dumps([answer.status, answer.headers["Location"]]))
"""


@dataclass(frozen=True)
class Installed:
    """One owner's machine, and the road to the bucket that it was configured for."""

    machine: Machine
    road: Road

    # What it tells

    def status(self) -> dict[str, Any]:
        """What `status.json` says now; {} before there is one."""
        with suppress(json.JSONDecodeError):
            told: dict[str, Any] = json.loads(self.machine.says("cat /run/ghostroll/status.json"))
            return told
        return {}

    def picture(self) -> Image.Image:
        """What the panel shows."""
        shown = base64.b64decode(self.machine.run("base64 /run/ghostroll/status.png"))
        return Image.open(io.BytesIO(shown)).convert("L")

    def codes(self) -> list[str]:
        """What a phone reads off the panel."""
        return [code.text for code in zxingcpp.read_barcodes(self.picture())]

    def journal(self, unit: str = "ghostroll") -> str:
        """What an owner reads who asks for the story."""
        return self.machine.run(f"journalctl --no-pager -o cat -u {shlex.quote(unit)}")

    def asks(self, *arguments: str) -> str:
        """Call `ghostroll` as an owner does who has logged in."""
        return self.machine.run(shlex.join(["ghostroll", *arguments]))

    def is_active(self, unit: str) -> bool:
        return self.machine.shell.ended(f"systemctl is-active --quiet {shlex.quote(unit)}").returncode == 0

    def runs_started(self) -> int:
        """How often the pipeline was started for a card since boot."""
        started = "journalctl -b -o cat --no-pager -u 'ghostroll@*' | grep -c '^Starting ghostroll@'"
        return int(self.machine.says(started) or 0)

    # What it keeps

    def originals(self) -> dict[str, dict[str, str]]:
        """Return the SHA-256 of every original by path, by session; sha256sum(1) in the machine says so."""
        found: dict[str, dict[str, str]] = {}
        listed = self.machine.says(
            f"cd {SESSIONS} && find . -path './shoot-*/originals/*' -type f -exec sha256sum {{}} +"
        )
        for line in listed.splitlines():
            digest, _, path = line.partition("  ")
            _, session, _, photo = path.split("/", 3)
            if ".incoming" not in path:
                found.setdefault(session, {})[photo] = digest
        return found

    def saved_count(self) -> int:
        return sum(map(len, self.originals().values()))

    def catalogued(self) -> set[str]:
        """Return the SHA-256 of all that the catalog calls safe."""
        asked = f"runuser -u ghostroll -- python3 -c {shlex.quote(READ_CATALOG)}"
        return set(json.loads(self.machine.run(asked)))

    def link_of(self, session: str) -> str:
        """Return the link of a session; empty until there is one."""
        return self.machine.says(f"cat {SESSIONS}/{session}/share.txt")

    def opened(self, url: str) -> tuple[int, str | None]:
        """Return status and Location that a guest gets at a link on the machine's own network."""
        status, location = json.loads(self.machine.run(shlex.join(["python3", "-c", OPEN_LINK, url])))
        return status, location

    # What is waited for

    def wait_for(self, what: str, truth: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> Any:
        """Return the first true value of `truth`; else fail with what the machine says."""
        deadline = time.monotonic() + seconds
        while not (found := truth()):
            assert self.machine.is_on(), f"the machine went off while waiting for {what}"
            assert time.monotonic() < deadline, f"waited in vain: {what}\n{self.told()}"
            time.sleep(0.5)
        return found

    def told(self) -> str:
        """All that may explain a failure."""
        with suppress(FailedError):
            return self.machine.says(
                "cat /run/ghostroll/status.json; echo; journalctl --no-pager -b -u 'ghostroll*' -n 120; lsblk; "
                "grep ghostroll /proc/mounts; dmesg | tail -15; systemctl list-units --failed --no-legend"
            )
        return "nothing: the machine does not answer"

    def wait_for_link(self, card: "Card") -> str:
        """Wait until a session has exactly this card's photos and a link that shows them all; return the session."""

        def shared() -> str:
            for session, photos in self.originals().items():
                if set(photos.values()) == set(card.photos.values()) and self.shown(session) == len(card.photos):
                    return session
            return ""

        return str(self.wait_for("a link to the card's photos", shared))

    def page(self, session: str) -> list[str]:
        """Return what the page behind a session's link points to; [] before there is one."""
        if not (link := self.link_of(session)):
            return []
        answer = get(link)
        assert (answer.status, answer.headers["Content-Encoding"]) == (200, "gzip")
        return links(gzip.decompress(answer.body).decode())

    def shown(self, session: str) -> int:
        return sum("/share/" in link for link in self.page(session))

    def wait_until_idle(self) -> None:
        """Wait until no card is worked on any more."""
        quiet = "! systemctl list-units --no-legend --state=active,activating,deactivating 'ghostroll@*' | grep -q ."
        self.wait_for("the end of all runs", lambda: self.machine.shell.ended(quiet).returncode == 0)

    def wait_for_saved(self, at_least: int, below: int) -> None:
        """Wait for a moment in the middle of a copy."""
        count = self.wait_for("the first copies", lambda: self.saved_count() >= at_least and self.saved_count())
        assert count < below, "it was too fast to be interrupted"

    def assert_shared(self, session: str, card: "Card") -> None:
        """A guest who opens the link finds all photos of a card, and the zip."""
        found = self.page(session)
        thumbnails = [link for link in found if "/thumbs/" in link]
        images = [link for link in found if "/share/" in link]
        assert (len(thumbnails), len(images)) == (len(card.photos), len(card.photos))
        for link in (*thumbnails, *images, *(link for link in found if "share.zip" in link)):
            assert get(link).status == 200, link

    def assert_safe(self, *cards: "Card") -> None:
        """Every original is one of these cards', whole, under its right name; all are there, and catalogued."""
        right = {(path, digest) for card in cards for path, digest in card.photos.items()}
        kept = {entry for photos in self.originals().values() for entry in photos.items()}
        assert kept == right
        assert self.catalogued() == {digest for _, digest in right}
        assert all(card.is_untouched() for card in cards), "a card was written to"
