"""A network that misbehaves: the card is saved all the same, and shared once the road to the store is mended."""

import random
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from ghostroll.embedded.server import EmbeddedStore, serve
from tests.faults.outcome import Outcome, assert_saved_is_there, assert_whole, outcome
from tests.support.appliance import Appliance, Ended, connected, get, links, save_noise, wait_until
from tests.support.road import (
    HTML,
    LOGIN_PAGE,
    THROUGH,
    Answer,
    Cut,
    Fault,
    Road,
    Stall,
    always,
    now_and_then,
    road_to,
    s3_error,
)

if TYPE_CHECKING:
    from tests.faults.ledger import Ledger
    from tests.support.served import Served, SettingsMaker

FAULTS = (
    "connections are refused",
    "the store's name cannot be looked up",
    "uploads are cut off in the middle",
    "uploads are reset in the middle",
    "answers are cut off",
    "the network takes all and never answers",
    "the store has errors of its own",
    "the store asks to slow down",
    "a login page answers in the store's place",
    "a redirect to a login page",
    "a login page that refuses",
    "the store finds our clock wrong",
    "the keys are unknown",
    "the keys may do nothing",
    "the bucket is missing",
    "every third request fails",
    "a slow network",
    "long delays",
    "the store is killed while it is sent to",
)
PHOTOS, FILES = 5, 6
SAVED = f"{FILES} of {FILES} files on the card are saved and verified"
LATER = "`resume` or `watch` shares it once the network is back"
# What nobody understands who did not write the program.
CLASS_NAME = re.compile(r"\b[A-Z]\w*(?:Timeout|Connection|Closed|Endpoint|Protocol|HTTPClient|Parser)\w*Error\b")
AT_ONCE = 5  # most of them wait

pytestmark = pytest.mark.timeout(3600)


@dataclass(frozen=True)
class Trouble:
    """How a request fares, what the run ends with where that lasts, and what the owner is told."""

    fault: Fault | None
    code: int
    words: str
    how: str
    heals: bool = True  # as soon as the road is mended; else what is under way must run into its timeout first


SKEWED = s3_error(403, "RequestTimeTooSkewed", "The difference is too large.", Date=formatdate(86400, usegmt=True))
LOGIN_ELSEWHERE = {"Location": "http://127.0.0.1:9/login"}
TROUBLES = {
    FAULTS[0]: Trouble(None, 75, "nobody answers there", "nothing listens at the store's port"),
    FAULTS[2]: Trouble(Cut(40_000), 75, "broke off", "FIN after 40,000 bytes of every body"),
    FAULTS[3]: Trouble(Cut(100_000, reset=True), 75, "broke off", "RST after 100,000 bytes of every body"),
    FAULTS[4]: Trouble(Cut(20, in_answer=True), 75, "broke off|like an S3 store", "FIN after 20 bytes of every answer"),
    FAULTS[5]: Trouble(
        Stall(70_000), 75, "no answer in time|does not answer|broke off", "silence after 70,000 bytes", heals=False
    ),
    FAULTS[6]: Trouble(s3_error(500, "InternalError"), 75, "at the moment", "every answer is 500 InternalError"),
    FAULTS[7]: Trouble(
        s3_error(503, "SlowDown", "Please reduce your request rate."), 75, "at the moment", "every answer is 503"
    ),
    FAULTS[8]: Trouble(
        Answer(200, LOGIN_PAGE, {"Content-Type": HTML, "ETag": '"5d41402a"'}),
        75,
        "login page|like an S3 store",
        "200 with HTML",
    ),
    FAULTS[9]: Trouble(Answer(302, b"", LOGIN_ELSEWHERE), 75, "login page|like an S3 store", "302 to another address"),
    FAULTS[10]: Trouble(
        Answer(403, LOGIN_PAGE, {"Content-Type": HTML}), 75, "login page|like an S3 store", "403 with HTML"
    ),
    FAULTS[11]: Trouble(SKEWED, 75, "clock", "every answer is 403 RequestTimeTooSkewed, with a date that is wrong"),
}
REFUSALS = {
    FAULTS[12]: Trouble(s3_error(403, "InvalidAccessKeyId"), 77, "AWS_ACCESS_KEY_ID", "403 InvalidAccessKeyId"),
    FAULTS[13]: Trouble(s3_error(403, "AccessDenied"), 77, "the rights they give", "403 AccessDenied"),
    FAULTS[14]: Trouble(s3_error(404, "NoSuchBucket"), 78, "s3_bucket", "404 NoSuchBucket"),
}


def make_noisy_card(root: Path) -> Path:
    """Write photos of nothing but grain, so that their zip goes up in parts, and a RAW file."""
    for seed in range(PHOTOS):
        path = root / f"DCIM/100CANON/IMG_{seed:04}.JPG"
        path.parent.mkdir(parents=True, exist_ok=True)
        grain = random.Random(seed).randbytes(1500 * 1000 * 3)
        Image.frombytes("RGB", (1500, 1000), grain).save(path, "JPEG", quality=90)
    save_noise(root / "DCIM/100CANON/IMG_0000.CR2", 100_000, 7)
    return root


@dataclass(frozen=True)
class Country:
    """The store, the card, and what it comes to when nobody is in the way."""

    served: "Served"
    card: Path
    place: Path
    undisturbed: Outcome

    @property
    def run(self) -> tuple[str, ...]:
        return ("run", "--volume", str(self.card), "--json")

    @contextmanager
    def travel(self, name: str, served: "Served | None" = None) -> Iterator[tuple[Appliance, Road]]:
        """Give an appliance whose only way to the store is a road of its own."""
        store = served or self.served
        with road_to(int(store.endpoint.local_url.rpartition(":")[2])) as road:
            place = self.place / re.sub(r"\W+", "-", name)
            appliance = connected(place, store, GHOSTROLL_S3_PREFIX_ROOT=f"network-{place.name}/")
            appliance.environment |= {"GHOSTROLL_S3_ENDPOINT_URL": road.url, "GHOSTROLL_UPLOAD_WORKERS": "4"}
            try:
                yield appliance, road
            finally:
                appliance.kill_all()

    def assert_arrived(self, appliance: Appliance, road: Road, served: "Served | None" = None) -> None:
        """The end is that of an undisturbed run, and nothing half-sent is left in the bucket."""
        store = served or self.served
        identity = f"{road.url}/{store.endpoint.bucket}"
        assert_whole(appliance, store, self.card, at(self.undisturbed, identity))
        left = store.client.list_multipart_uploads(Bucket=store.endpoint.bucket, Prefix=appliance.prefix_root)
        assert left.get("Uploads", []) == []


def at(found: Outcome, identity: str) -> Outcome:
    """Return the same outcome for a store of another address."""
    return replace(found, rows=found.rows | {"uploads": [(*row[:-1], identity) for row in found.rows["uploads"]]})


@pytest.fixture(scope="module")
def country(served: "Served", tmp_path_factory: pytest.TempPathFactory) -> Country:
    place = tmp_path_factory.mktemp("country")
    made = Country(served, make_noisy_card(place / "media/card"), place, Outcome({}, {}, {}))
    with made.travel("undisturbed") as (appliance, road):
        ended = appliance.call(*made.run)
        assert ended.code == 0, ended.err
        assert any("partNumber=2" in request.path for request in road.requests), "the zip must go up in parts"
        return replace(made, undisturbed=outcome(appliance, served))


@dataclass(frozen=True)
class UnderWay:
    """A run that takes long, while other tests go on."""

    appliance: Appliance
    road: Road
    child: "subprocess.Popen[bytes]"


@pytest.fixture(scope="module", autouse=True)
def under_way(country: Country, points: int) -> Iterator[dict[str, UnderWay]]:
    """Start what mostly waits: a slow road, a road that goes silent, a store whose name nobody knows."""
    with ExitStack() as stack:

        def start(name: str, shape: Callable[[Road], object], **environment: str) -> UnderWay:
            appliance, road = stack.enter_context(country.travel(name))
            shape(road)
            return UnderWay(appliance, road, appliance.start(*country.run, **environment))

        def slow_down(road: Road) -> None:
            road.up.bytes_a_second = (0.3 if points > 50 else 1.5) * 1e6 / 8

        yield {
            "slow": start("slow", slow_down),
            "silent": start("silent", lambda road: break_up(road, TROUBLES[FAULTS[5]])),
            "unknown": start("unknown", lambda _: None, GHOSTROLL_S3_ENDPOINT_URL="http://store.invalid:8333"),
        }


@pytest.fixture
def another_store(
    served: "Served", store_settings: "SettingsMaker", raw_s3: Callable[..., Any], tmp_path: Path
) -> Iterator["Served"]:
    """A server that a test may kill; the others go on with theirs."""
    settings = store_settings(tmp_path / "store")
    with serve(settings, asked=True) as embedded:
        client = raw_s3(embedded.endpoint)
        yield replace(served, settings=settings, embedded=embedded, endpoint=embedded.endpoint, client=client)
        client.close()


def is_saved(appliance: Appliance) -> bool:
    status = appliance.status
    return bool(status) and status["card"]["state"] == "safe" and status["counts"]["verified"] == FILES


def assert_saved_meanwhile(appliance: Appliance, child: subprocess.Popen[bytes]) -> dict[str, Any]:
    """The card is saved while the run has not given up, the status says so, and no link is shown."""
    wait_until(lambda: is_saved(appliance) or child.poll() is not None)
    status = appliance.status
    assert status["card"]["saved"] == FILES, status
    assert status["url"] is None
    return status


def assert_told(appliance: Appliance, ended: Ended, trouble: Trouble) -> None:
    """What kept it is said so that one understands it, and no link is shown."""
    assert ended.code == trouble.code, ended.err
    status = appliance.status
    error = status["error"]
    told = f"{error['message']} {error['hint']}"
    # What was under way when backoff was over is not waited for; then the log alone has said why.
    assert re.search(trouble.words, told if trouble.code != 75 else told + ended.err), told
    assert not CLASS_NAME.search(told + ended.err), told
    assert SAVED in status["message"], status["message"]
    assert status["state"] == ("waiting" if trouble.code == 75 else "error")
    assert (status["url"], ended.document["url"]) == (None, None)
    assert list(appliance.base.rglob("share.txt")) == []
    assert assert_saved_is_there(appliance) == FILES


def break_up(road: Road, trouble: Trouble) -> None:
    if trouble.fault is None:
        road.shut()
    else:
        road.rule = always(trouble.fault)


def repair(road: Road, trouble: Trouble) -> None:
    if trouble.fault is None:
        road.reopen()
    road.mend()


def kill_server(embedded: EmbeddedStore) -> None:
    assert embedded._server is not None
    embedded._server._process.kill()
    wait_until(lambda: not (embedded._server and embedded._server.is_alive))


def each(faults: list[str], trial: Callable[[str], object]) -> dict[str, str]:
    """Try all, some at once; return what went wrong, "" for nothing."""

    def tried(fault: str) -> str:
        try:
            trial(fault)
        except Exception as error:  # noqa: BLE001 - reported with all others
            return f"{fault}: {type(error).__name__}: {error}"
        return ""

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(faults, pool.map(tried, faults), strict=True))


def recorded(ledger: "Ledger", ended: dict[str, str], owner_sees: str) -> None:
    for fault, wrong in ended.items():
        how = (TROUBLES | REFUSALS)[fault].how
        ledger.record(fault=fault, how=how, times=1, survived=int(not wrong), owner_sees=owner_sees)
    complaints = list(filter(None, ended.values()))
    assert not complaints, "\n".join(complaints)


def test_a_road_that_is_mended_in_time_ends_in_a_link(country: Country, ledger: "Ledger") -> None:
    def trial(fault: str) -> None:
        trouble = TROUBLES[fault]
        with country.travel(f"heals {fault}") as (appliance, road):
            break_up(road, trouble)
            child = appliance.start(*country.run)
            assert_saved_meanwhile(appliance, child)
            wait_until(lambda: "Waiting to share" in appliance.status["message"] or child.poll() is not None)
            message = appliance.status["message"]
            assert re.search(trouble.words, message), message
            repair(road, trouble)
            ended = appliance.end(child)
            assert ended.code == 0, ended.err
            country.assert_arrived(appliance, road)

    recorded(ledger, each([fault for fault, trouble in TROUBLES.items() if trouble.heals], trial), LATER)


def test_a_run_gives_up_saved_and_resume_shares(country: Country, points: int, ledger: "Ledger") -> None:
    def trial(fault: str) -> None:
        trouble = TROUBLES[fault]
        with country.travel(f"gives up {fault}") as (appliance, road):
            break_up(road, trouble)
            child = appliance.start(*country.run)
            began = time.monotonic()
            assert_saved_meanwhile(appliance, child)
            saved_after = time.monotonic() - began
            ended = appliance.end(child, 300)
            assert_told(appliance, ended, trouble)
            assert ended.seconds > saved_after, "else the network may have held up the copy"
            repair(road, trouble)
            appliance.resume()
            country.assert_arrived(appliance, road)

    some = [FAULTS[0], FAULTS[3], FAULTS[8]]
    recorded(ledger, each([fault for fault in TROUBLES if points > 50 or fault in some], trial), LATER)


def test_a_refusal_names_what_to_change(country: Country, ledger: "Ledger") -> None:
    def trial(fault: str) -> None:
        trouble = REFUSALS[fault]
        with country.travel(f"refused {fault}") as (appliance, road):
            break_up(road, trouble)
            assert_told(appliance, appliance.call(*country.run), trouble)
            repair(road, trouble)
            appliance.resume()
            country.assert_arrived(appliance, road)

    recorded(ledger, each(list(REFUSALS), trial), "exit 77 or 78, and which setting or keys are wrong")


def test_a_share_of_requests_that_fail_delays_and_no_more(
    country: Country, points: int, seed: int, ledger: "Ledger"
) -> None:
    mix = [TROUBLES[FAULTS[number]].fault for number in (2, 3, 4, 6, 7, 8, 9)]
    faults = [fault for fault in mix if fault is not None]

    def trial(number: str) -> None:
        with country.travel(f"mixed {number}") as (appliance, road):
            road.rule = now_and_then(faults, 1 / 3, int(number))
            ended = appliance.call(*country.run)
            assert ended.code == 0, ended.err
            road.mend()
            country.assert_arrived(appliance, road)

    seeds = [str(seed + number) for number in range(max(2, points // 12))]
    wrong = list(filter(None, each(seeds, trial).values()))
    ledger.record(
        fault=FAULTS[15],
        how="cut, reset, 500, 503, login pages, by chance",
        times=len(seeds),
        survived=len(seeds) - len(wrong),
        owner_sees="nothing but that it takes longer",
    )
    assert wrong == []


def test_long_delays_change_nothing(country: Country, ledger: "Ledger") -> None:
    with country.travel("delays") as (appliance, road):
        road.up.delay_seconds = road.down.delay_seconds = 0.4
        ended = appliance.call(*country.run)
        assert ended.code == 0, ended.err
        road.mend()
        country.assert_arrived(appliance, road)
    how = "0.8 s for each request"
    ledger.record(fault=FAULTS[17], how=how, times=1, survived=1, owner_sees="nothing but that it takes longer")


def test_a_store_that_is_killed_and_comes_back_has_all(
    country: Country, points: int, another_store: "Served", ledger: "Ledger"
) -> None:
    """The server itself, with `kill -9`, while it takes thumbnails, share images, or parts of the zip."""
    moments = ["partNumber=2", "partNumber=1", "share/", "thumbs/"][: 4 if points > 50 else 1]
    for moment in moments:
        with country.travel(f"killed at {moment}", another_store) as (appliance, road):
            road.up.bytes_a_second = 3e6
            child = appliance.start(*country.run)
            wait_until(lambda: any(moment in asked.path for asked in road.requests), 60)  # noqa: B023
            kill_server(another_store.embedded)
            assert_saved_meanwhile(appliance, child)
            another_store.embedded.ensure_running()
            ended = appliance.end(child, 300)
            assert ended.code == 0, ended.err
            road.mend()
            country.assert_arrived(appliance, road, another_store)
    how = "`kill -9` of the server, which is started again"
    count, owner_sees = len(moments), "nothing but that it takes longer"
    ledger.record(fault=FAULTS[18], how=how, times=count, survived=count, owner_sees=owner_sees)


def test_what_was_cut_off_in_the_middle_of_a_zip_is_not_left_in_the_bucket(country: Country) -> None:
    """A run killed between two parts leaves an upload that would be kept, and paid for, for ever."""
    with country.travel("killed between parts") as (appliance, road):
        road.rule = lambda asked: Stall(1000) if "partNumber=2" in asked.path else THROUGH
        child = appliance.start(*country.run)
        wait_until(lambda: any("partNumber=2" in asked.path for asked in road.requests))
        child.kill()
        child.wait()
        bucket, prefix = country.served.endpoint.bucket, appliance.prefix_root
        left = country.served.client.list_multipart_uploads(Bucket=bucket, Prefix=prefix)
        assert len(left["Uploads"]) == 1, "else this test says nothing"
        road.mend()
        appliance.resume()
        page = get((appliance.sessions()[0] / "share.txt").read_text().strip())
        assert page.status == 200
        assert links((appliance.sessions()[0] / "index.s3.html").read_text())
        country.assert_arrived(appliance, road)


# What was under way: last, since it takes long


def test_a_road_that_goes_silent_is_given_up_and_resume_shares(
    country: Country, under_way: dict[str, UnderWay], ledger: "Ledger"
) -> None:
    silent, trouble = under_way["silent"], TROUBLES[FAULTS[5]]
    assert_told(silent.appliance, silent.appliance.end(silent.child, 300), trouble)
    silent.road.mend()
    silent.appliance.resume()
    country.assert_arrived(silent.appliance, silent.road)
    ledger.record(fault=FAULTS[5], how=trouble.how, times=1, survived=1, owner_sees=LATER)


def test_a_store_whose_name_is_unknown_is_waited_for(
    country: Country, under_way: dict[str, UnderWay], ledger: "Ledger"
) -> None:
    unknown = under_way["unknown"]
    # A look-up may itself take longer than backoff lasts (resolv.conf(5), "timeout" and "attempts").
    trouble = Trouble(None, 75, "s3_endpoint_url|The store does not answer", "")
    assert_told(unknown.appliance, unknown.appliance.end(unknown.child), trouble)
    unknown.appliance.resume()
    country.assert_arrived(unknown.appliance, unknown.road)
    how = "an endpoint below `.invalid`"
    ledger.record(fault=FAULTS[1], how=how, times=1, survived=1, owner_sees=f"that the name is unknown; {LATER}")


def test_a_slow_network_is_not_a_dead_one(
    country: Country, under_way: dict[str, UnderWay], points: int, ledger: "Ledger"
) -> None:
    """It takes much longer than backoff lasts."""
    slow = under_way["slow"]
    ended = slow.appliance.end(slow.child, 1500)
    assert ended.code == 0, ended.err
    slow.road.mend()
    country.assert_arrived(slow.appliance, slow.road)
    how = f"an uplink of {0.3 if points > 50 else 1.5} Mbit/s"
    ledger.record(fault=FAULTS[16], how=how, times=1, survived=1, owner_sees="how many files are sent")
