"""Without a bucket the embedded store serves, as a service of its own, to guests in the local network."""

import shlex

from tests.machine.cardimages import CardMaker
from tests.machine.installed import Installed

# From inside: no guest's phone is in this network. The address is the one that a phone would use.
OPEN = """
import sys, urllib.error, urllib.request
try:
    print(urllib.request.urlopen(sys.argv[1], timeout=60).status)
except urllib.error.HTTPError as error:
    print(error.code)
except OSError:
    print(0)  # nobody listens yet
"""


def answer(pi: Installed, url: str) -> int:
    return int(pi.machine.run(f"python3 -c {shlex.quote(OPEN)} {shlex.quote(url)}"))


def test_without_a_bucket_the_link_leads_to_the_appliance_itself(pi: Installed, make_card: CardMaker) -> None:
    pi.machine.run("sed -i '/^s3_/d' /etc/ghostroll/ghostroll.toml; systemctl restart ghostroll-store ghostroll")
    card = make_card(3)
    pi.machine.plug_in_reader(card.image)
    pi.wait_for("a link", lambda: pi.status().get("url") and pi.status()["state"] == "done")
    link = pi.status()["url"]
    assert link.startswith("http://10.0.2.15:8333/")
    assert answer(pi, link) == 200
    assert answer(pi, link.partition("?")[0]) == 403
    assert pi.is_active("ghostroll-store")
    pi.wait_until_idle()
    pi.machine.run("systemctl restart ghostroll-store")  # links outlast the server
    pi.wait_for("the same link", lambda: answer(pi, link) == 200)
