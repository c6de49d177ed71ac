"""`ghostroll doctor`: look at everything that a card needs on its way to a link, and say how to put it right.

It changes nothing that stays. What it puts into the store to try it, it takes out again.
"""

import argparse
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

from ghostroll.base.config import Effective
from ghostroll.base.errors import worst_exit_code
from ghostroll.base.log import logger, printable
from ghostroll.base.signals import stop_on_signals
from ghostroll.base.text import counted
from ghostroll.doctor import configuration
from ghostroll.doctor.checks import checks
from ghostroll.doctor.checkup import run_checks
from ghostroll.doctor.findings import Finding, Verdict

_WIDTH = max(map(len, Verdict))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")


def main(options: argparse.Namespace, effective: Effective) -> int:
    """Make every check; print each finding as it comes, or all as one JSON document. Return the worst exit code."""
    configuration.use_installed_credentials()
    found = []
    with _quiet(verbose=options.verbose), stop_on_signals() as stop:
        for finding in run_checks(checks(effective), stop):
            found.append(finding)
            if not options.json:
                _print(in_words(finding))
    exit_code = worst_exit_code({finding.exit_code for finding in found})
    _print(document(found, exit_code) if options.json else verdict_of(found))
    return exit_code


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
