"""What each command does. Results go to stdout, the story to stderr."""

import argparse
import functools
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from ghostroll import bootfile, card, demonstration, insertion, pipeline, qr, rebuild, slots, verify
from ghostroll import watch as watching
from ghostroll.bar import Bar
from ghostroll.begin import check_places, session_of
from ghostroll.board import Board
from ghostroll.catalog import Catalog
from ghostroll.config import Effective
from ghostroll.embedded import serve
from ghostroll.errors import EX_OK, EX_SOME_FAILED, UsageError, VolumeNotFound, on_disk, worst_exit_code
from ghostroll.invocation import Invocation, begun, finished, show_problem, signed_anew, stop_on_signals, told
from ghostroll.log import is_under_journal, logger
from ghostroll.lost import refuse_unknown, require_base, warn_of_unknown
from ghostroll.merge import CONFIGURATION
from ghostroll.requests import Requests, withdraw
from ghostroll.reread import Reader
from ghostroll.rows import SessionRow
from ghostroll.run import Run, Summary
from ghostroll.showing import until
from ghostroll.status import State, Status
from ghostroll.story import counted, in_words

# How long `eject` waits for the release of a card, and how often it looks.
_EJECT_SECONDS, _EJECT_POLL_SECONDS = 12.0, 0.2
# A catalog up to this size, of 20,000 pictures, is read whole in no time at each start; a greater one by `verify`.
_CHECKED_BYTES_MOST = 64 << 20


def run(options: argparse.Namespace, effective: Effective) -> int:
    """Save, render and share what is new on one card; then finish what earlier runs left."""
    work = _work_for(options, effective)
    with begun(effective.settings, bar=_on_terminal()) as invocation:
        _look_after_catalog(invocation)
        if options.session_id is not None:
            refuse_unknown(effective.settings, invocation.catalog, options.session_id)
        summary, exit_code = _run_card(
            invocation, functools.partial(work, session_id=options.session_id, rehash=options.rehash)
        )
        _print_summary(summary, as_json=options.json)
        if summary.url and not options.json:
            _print_note(invocation)
    return exit_code


def _work_for(options: argparse.Namespace, effective: Effective) -> Callable[..., Summary]:
    """Return what is to be done with the card; raises VolumeNotFound for a directory that is none."""
    if options.device:
        return functools.partial(insertion.run_inserted, device=options.device)
    volume = card.find_volume(Path(options.volume))
    check_places(effective.settings, volume)
    return functools.partial(pipeline.run_pipeline, volume=volume)


def _run_card(invocation: Invocation, work: Callable[[Run], Summary]) -> tuple[Summary, int]:
    with invocation.run() as run:
        summary = told(run, lambda: work(run))
    if not run.problems:
        for _ in finished(invocation, invocation.catalog.unfinished_sessions()):
            pass  # what happens to them is told in the log, and is not this card's outcome
    return summary, run.exit_code


def watch(_: argparse.Namespace, effective: Effective) -> int:
    """Wait for cards, run each, finish what is unfinished, until a signal."""
    for volume in slots.find_volumes(effective.settings.mount_roots):
        check_places(effective.settings, volume)
    with begun(effective.settings) as invocation:
        _look_after_catalog(invocation)
        _tell_of_refused_configuration(effective)
        watching.Watch(invocation).until_stopped()
    return 0


def _tell_of_refused_configuration(effective: Effective) -> None:
    """Say, where an owner without a keyboard sees it, why the file of the boot partition was not taken."""
    status_path = effective.settings.status_path
    if error := bootfile.refusal(effective.file):
        logger.error("%s %s", error, error.hint)
        show_problem(effective.settings, error, CONFIGURATION)
    elif status_path.parent.is_dir():
        with suppress(OSError):  # what an earlier start has said
            Board(status_path).forget(CONFIGURATION)


def resume(options: argparse.Namespace, effective: Effective) -> int:
    """Finish sessions that were interrupted or offline."""
    with begun(effective.settings, bar=_on_terminal()) as invocation:
        _look_after_catalog(invocation)
        rows = _chosen(invocation.catalog, options.sessions)
        codes = set()
        summaries = []
        for run, summary in finished(invocation, rows):
            codes.add(run.exit_code)
            summaries.append(summary)
            if not options.json:
                _print_summary(summary, as_json=False)
                _print_note(invocation)
    if options.json:
        print(json.dumps([asdict(summary) for summary in summaries], indent=1))
    elif not rows:
        print("Nothing to finish: every session is shared.")
    return worst_exit_code(codes)


def _look_after_catalog(invocation: Invocation) -> None:
    """Notice now what would end the work halfway, and what was lost; raises CatalogDamaged."""
    settings = invocation.settings
    if settings.db_path.stat().st_size <= _CHECKED_BYTES_MOST:
        invocation.catalog.check()
    warn_of_unknown(settings, invocation.catalog)


def _chosen(catalog: Catalog, names: list[str]) -> list[SessionRow]:
    if not names:
        return catalog.unfinished_sessions()
    rows = []
    for name in names:
        row = catalog.session(name)
        if row is None:
            raise UsageError(f"There is no session {name}.", hint="`ghostroll sessions` lists them.")
        rows.append(row)
    return rows


def share(options: argparse.Namespace, effective: Effective) -> int:
    """Make a fresh link to a session that was shared before; nothing but its page is uploaded."""
    with begun(effective.settings, bar=_on_terminal()) as invocation:
        ((run, summary),) = signed_anew(invocation, _chosen(invocation.catalog, [options.session]))
        if options.json or not run.problems:
            _print_summary(summary, as_json=options.json)
        if summary.url and not options.json:
            _print_note(invocation)
    return run.exit_code


def eject(options: argparse.Namespace, effective: Effective) -> int:
    """Release one card or all, and say when they may be pulled."""
    requests = Requests(effective.settings.status_path.parent)
    asked = options.device.removeprefix("/dev/") if options.device else None
    if asked and requests.are_heard and asked not in requests.devices():
        raise VolumeNotFound(f"There is no card in {options.device}.", hint="`ghostroll eject` releases every card.")
    with on_disk():
        request = requests.eject(asked)
    in_readers = [device for device in requests.devices() if requests.is_present(device) or requests.is_ejected(device)]
    waiting = [asked] if asked else in_readers
    if not waiting:
        print("There is no card to eject.")
    until = time.monotonic() + _EJECT_SECONDS
    while waiting and time.monotonic() < until:
        for device in [device for device in waiting if requests.is_ejected(device)]:
            print(f"Safe to remove: the card in {device}.")
            waiting.remove(device)
        time.sleep(_EJECT_POLL_SECONDS)
    if waiting and withdraw(request):
        raise UsageError("Nobody heard it.", hint="`ghostroll doctor` tells whether ghostroll-eject.path runs.")
    for device in waiting:
        print(
            f"The card in {device} is being read: it is released after the current file. Ask again to have it at once."
        )
    return EX_OK


def verify_sessions(options: argparse.Namespace, effective: Effective) -> int:
    """Read originals again from the disk, and tell which are not what came off the card."""
    with begun(effective.settings) as invocation, _shown_progress("Reading the originals again.") as tell:
        catalog, stop = invocation.catalog, invocation.stop
        catalog.check(thorough=True)
        rows = _chosen(catalog, options.sessions) if options.sessions else catalog.sessions()
        require_base(effective.settings, needed=bool(rows))
        sessions = [session_of(effective.settings, row.session_id) for row in rows]
        reader = Reader(stop, verify.bytes_to_read(catalog, sessions), "Run `ghostroll verify` again.", tell)
        with on_disk():
            findings = [
                verify.verified_session(catalog, session, row, reader)
                for session, row in zip(sessions, rows, strict=True)
            ]
    if options.json:
        print(json.dumps([asdict(each) for each in findings], indent=1))
    else:
        _print_lines([line for each in findings for line in verify.in_words(each)] or ["No sessions yet."])
        _print_lines(verify.advice(findings))
    return EX_OK if all(each.is_fine for each in findings) else EX_SOME_FAILED


def rebuild_catalog(options: argparse.Namespace, effective: Effective) -> int:
    """Make a lost or damaged catalog anew from the sessions on the disk."""
    settings = effective.settings
    require_base(settings, needed=True)
    rebuild.refuse_beside_runs(settings.status_path)
    message = "Making the catalog anew."
    with stop_on_signals() as stop, _shown_progress(message) as tell, rebuild.announced(settings, message):
        rebuilt = rebuild.Rebuilt(rebuild.put_damaged_aside(settings))
        reader = Reader(stop, 0, "Run `ghostroll catalog rebuild` again: it goes on where it stopped.", tell)
        with Catalog(settings.db_path) as catalog:
            rebuilt.sessions.extend(rebuild.take_in_sessions(settings, catalog, reader))
    if options.json:
        print(json.dumps(asdict(rebuilt), indent=1, default=str))
    else:
        _print_lines(rebuild.in_words(rebuilt))
    return EX_SOME_FAILED if rebuilt.damaged else EX_OK


@contextmanager
def _shown_progress(message: str) -> Iterator[Callable[[float], None]]:
    """Give what draws a bar from 0 to 1 on a terminal, and elsewhere nothing: the log tells it there."""
    if not _on_terminal():
        yield lambda _: None
        return
    with Bar() as bar:
        yield lambda done: bar(Status(message=message, progress=done))


def _print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)


def store(_: argparse.Namespace, effective: Effective) -> int:
    """Run the embedded S3 server in the foreground."""
    settings = effective.settings
    if not settings.uses_embedded_store:
        logger.warning("The bucket %s is configured: runs use that one, not this store.", settings.s3_bucket)
    with stop_on_signals() as stop, serve(settings, asked=True) as server:
        print(f"The embedded store serves {server.endpoint.url} (bucket {server.endpoint.bucket}). Ctrl-C ends it.")
        sys.stdout.flush()
        while not stop.wait(1.0):
            server.ensure_running()
        logger.info("The embedded store ends: its links do not open until it runs again.")
    return 0


def demo(options: argparse.Namespace, effective: Effective) -> int:
    """Do the main job on a sample card with the embedded store, and serve until Ctrl-C."""
    with (
        demonstration.settings_for(effective, own_card=options.card is not None) as settings,
        demonstration.card_for(options.card) as root,
        begun(settings, bar=_on_terminal(), store_asked=True) as invocation,
    ):
        volume = card.find_volume(root)
        check_places(settings, volume)
        summary, exit_code = _run_card(invocation, functools.partial(pipeline.run_pipeline, volume=volume))
        _print_summary(summary, as_json=False)
        if summary.url and not options.once:
            print("Serving until you press Ctrl-C: open the link in a browser on this machine.")
            sys.stdout.flush()
            while not invocation.stop.wait(1.0):
                invocation.opener.revive()
            kept = f"What was saved stays at {settings.base_dir}." if options.card else "The sample is gone."
            print(f"\nStopped: the link no longer opens. {kept}")
    return exit_code


def _on_terminal() -> bool:
    return sys.stderr.isatty() and not is_under_journal()


def _print_summary(summary: Summary, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(asdict(summary), indent=1))
        return
    if summary.ingested or summary.derived:
        saved, ready = counted(summary.ingested, "file"), counted(summary.derived, "picture")
        print(f"{saved} saved, {ready} made ready, in {summary.seconds:.1f} s.")
    for failure in summary.failed:
        print(in_words(failure))
    if summary.session_dir:
        print(f"On this disk: {summary.session_dir}")
    if summary.url:
        _print_code(summary.url, summary.session_dir)
        print(f"Valid until {until(summary.expires_at)}:\n{summary.url}\n")
    elif summary.session_id is None and summary.state == State.DONE:
        print("Nothing new on this card.")


def _print_code(url: str, session_dir: str | None) -> None:
    width = len(qr.qr_terminal(url, ansi=False).partition("\n")[0])
    if sys.stdout.isatty() and shutil.get_terminal_size().columns < width:
        print(f"\nThe window is too narrow for the QR code ({width} columns): see {session_dir}/share-qr.png\n")
    else:
        print(f"\n{qr.qr_terminal(url, ansi=sys.stdout.isatty())}\n")


def _print_note(invocation: Invocation) -> None:
    if invocation.opener.ends_with_us:
        print("The link opens while the embedded store runs: `ghostroll store` keeps it running.")
