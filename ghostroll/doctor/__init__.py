"""The doctor: looks at everything that a card needs on its way to a link, and says what to do about what is amiss.

It changes nothing that stays. What it puts into the store to try it, it takes out again.
"""

import argparse
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial

from ghostroll.config import Effective, Settings
from ghostroll.doctor import bucket, cards, clock, configuration, disk, hardware, own_store, panel_code, records, system
from ghostroll.doctor.checkup import Check, gone_through
from ghostroll.doctor.findings import EX_CREDENTIALS, EX_DISK, EX_STORE, Finding, Verdict
from ghostroll.errors import worst_exit_code
from ghostroll.invocation import stop_on_signals
from ghostroll.log import logger, printable
from ghostroll.story import counted

_WIDTH = max(map(len, Verdict))


def doctor(options: argparse.Namespace, effective: Effective) -> int:
    """Make every check; print each finding as it comes, or all as one JSON document. Return the worst exit code."""
    configuration.lend_installed_credentials()
    found = []
    with _quiet(verbose=options.verbose), stop_on_signals() as stop:
        for finding in gone_through(checks(effective), stop):
            found.append(finding)
            if not options.json:
                _print(in_words(finding))
    exit_code = worst_exit_code({finding.exit_code for finding in found})
    _print(document(found, exit_code) if options.json else verdict_of(found))
    return exit_code


def checks(effective: Effective) -> tuple[Check, ...]:
    """Return what is looked at, in the order of a card's way."""
    settings = effective.settings
    return (
        Check("settings", partial(configuration.findings, effective)),
        Check("clock", clock.findings),
        Check("disk", partial(disk.findings, settings), EX_DISK),
        Check("catalog", partial(records.findings, settings), EX_DISK),
        Check("udev", partial(system.rule, settings)),
        Check("units", partial(system.units, settings)),
        Check("hardware", partial(hardware.findings, settings)),
        Check("panel-code", partial(panel_code.findings, settings)),
        Check("card", partial(cards.findings, settings)),
        Check("credentials", partial(configuration.credentials, settings), EX_CREDENTIALS, "Check the network."),
        Check(
            "store", partial(_store, settings), EX_STORE, "Check the network: it is very slow, or lets nothing through."
        ),
    )


def _store(settings: Settings) -> Iterator[Finding]:
    """Look at the store that is in use: the bucket, or GhostRoll's own."""
    page_key = partial(records.latest_page_key, settings)
    if any(finding.exit_code for finding in configuration.credentials(settings)):
        return  # that was told
    if not settings.uses_embedded_store:
        yield from bucket.findings(settings, None, page_key)
        return
    endpoint = own_store.endpoint_of(settings)
    yield from own_store.findings(settings, endpoint)
    if endpoint:
        yield from bucket.findings(settings, endpoint, page_key)


def in_words(finding: Finding) -> str:
    """Return a finding as it is printed: one line, and its fix below."""
    verdict = finding.verdict.upper() if finding.verdict is Verdict.FAILED else finding.verdict
    line = f"{verdict:{_WIDTH}}  {printable(finding.text)}"
    return f"{line}\n{'':{_WIDTH}}  -> {printable(finding.fix)}" if finding.fix else line


def verdict_of(found: list[Finding]) -> str:
    """Return the last line."""
    failures, warnings = (sum(each.verdict is wanted for each in found) for wanted in (Verdict.FAILED, Verdict.WARNING))
    if not failures + warnings:
        return "\nAll is well."
    to_do = f"{counted(failures, 'thing')} to put right" if failures else "Nothing has to be put right"
    return f"\n{to_do}; {counted(warnings, 'warning')}."


def document(found: list[Finding], exit_code: int) -> str:
    """Return all as JSON."""
    verdicts = {finding.verdict for finding in found}
    worst = next((each for each in (Verdict.FAILED, Verdict.WARNING) if each in verdicts), Verdict.OK)
    return json.dumps(
        {"verdict": worst, "exit_code": exit_code, "findings": [asdict(each) for each in found]}, indent=1
    )


def _print(text: str) -> None:
    """Write to stdout: the only place here that does."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


@contextmanager
def _quiet(*, verbose: bool) -> Iterator[None]:
    """Leave out what the steps tell of themselves: the findings say it."""
    before = logger.level
    logger.setLevel(logging.DEBUG if verbose else logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
