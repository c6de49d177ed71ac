"""Check the effective settings and the credentials for the bucket."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ghostroll.appliance import boot_config
from ghostroll.base.config import CONFIG_FILES, ENVIRONMENT_PREFIX, Effective, Settings
from ghostroll.base.errors import CredentialsRefused
from ghostroll.doctor.findings import EX_CREDENTIALS, Finding, failed, ok, warning
from ghostroll.doctor.installation import STATE_DIRECTORY, is_appliance
from ghostroll.store.answers import in_our_words

if TYPE_CHECKING:
    from botocore.credentials import Credentials

INSTALLED_CREDENTIALS = Path("/etc/ghostroll/aws-credentials")
_FILE_VARIABLE = "AWS_SHARED_CREDENTIALS_FILE"
# The names of botocore's credential providers (botocore.credentials, METHOD of each).
_PROVIDERS = {
    "env": "in the environment",
    "shared-credentials-file": "in the AWS credentials file",
    "config-file": "in the AWS configuration file",
    "assume-role": "by a role that is assumed",
    "assume-role-with-web-identity": "by a role that is assumed",
    "custom-process": "by the program that the AWS configuration names",
    "sso": "by single sign-on",
    "login": "by `aws login`",
    "container-role": "by the container's role",
    "iam-role": "by this machine's role",
}


def findings(effective: Effective) -> Iterator[Finding]:
    """Report which settings are set where, and which have no effect or are risky."""
    by_origin: dict[str, list[str]] = {}
    for name, origin in effective.origins.items():
        if origin != "default":
            by_origin.setdefault(origin, []).append(name)
    origins = "; ".join(f"{', '.join(names)} ({origin})" for origin, names in by_origin.items())
    yield ok("settings", f"Set: {origins}." if origins else "Every setting has its default.")
    yield from _ignored_files(set(by_origin))
    yield from _overridden(effective)
    if refused := boot_config.refusal(effective.file):
        yield warning("settings", str(refused), refused.hint)
    if effective.settings.verify == "none":
        yield warning(
            "settings",
            "Copies are not read back: no photo is called verified.",
            'Set verify = "readback", or remove it.',
        )


def _ignored_files(origins: set[str]) -> Iterator[Finding]:
    """Warn of other configuration files: only the first one is read."""
    files = [path for file in CONFIG_FILES if (path := file.expanduser()).exists()]
    used = [path for path in files if f"file {path}" in origins]
    for path in files[files.index(used[0]) + 1 :] if used else []:
        yield warning("settings", f"{path} is not read, since {used[0]} is.", "Move its settings there, or remove it.")


def _overridden(effective: Effective) -> Iterator[Finding]:
    """Warn of settings in the file that the environment overrides; a flag is meant for one command."""
    for name, each in effective.overridden.items():
        if effective.origins[name] == "environment":
            yield warning(
                "settings",
                f"{name} = {each.value} ({each.file}) has no effect: the environment says {each.instead}.",
                _overridden_fix(name, effective.settings),
            )


def _overridden_fix(name: str, settings: Settings) -> str:
    if name in ("base_dir", "db_path") and is_appliance(settings):
        return (
            f"Remove it: on an appliance everything is kept in {STATE_DIRECTORY}."
            " To keep it on a larger disk, mount that there: docs/configuration.md"
        )
    return f"Remove it there, or {ENVIRONMENT_PREFIX}{name.upper()} from the environment."


def use_installed_credentials() -> None:
    """Let root use the service's credentials unless AWS_SHARED_CREDENTIALS_FILE is set."""
    is_there = os.access(INSTALLED_CREDENTIALS, os.R_OK) and INSTALLED_CREDENTIALS.stat().st_size > 0
    if is_there and _FILE_VARIABLE not in os.environ:
        os.environ[_FILE_VARIABLE] = str(INSTALLED_CREDENTIALS)


def credentials(settings: Settings) -> Iterator[Finding]:
    """Check where the bucket's credentials come from and when they expire."""
    if settings.s3_bucket is None:
        yield ok("credentials", "None are needed: no bucket is set, and GhostRoll's own store has its own.")
        return
    import boto3  # noqa: PLC0415 - slow to import

    with in_our_words("the store", settings.s3_bucket):
        found = boto3.Session().get_credentials()
    if found is None:
        yield failed("credentials", "There are no credentials for the bucket.", _credentials_fix(), EX_CREDENTIALS)
        return
    yield _credentials_finding(found, settings)


def _credentials_fix() -> str:
    if INSTALLED_CREDENTIALS.exists():
        if not os.access(INSTALLED_CREDENTIALS, os.R_OK):
            return "Run `sudo ghostroll doctor`: only root may read the credentials of the service."
        return f"Put them into {INSTALLED_CREDENTIALS}, in the form that `aws configure` gives its credentials file."
    return CredentialsRefused.default_hint


def _credentials_finding(found: "Credentials", settings: Settings) -> Finding:
    name, where = "credentials", _PROVIDERS.get(found.method, f"by {found.method}")
    ends = getattr(found, "_expiry_time", None)  # not public in botocore
    renew = "Get new ones from the same place. For links that last seven days use the permanent keys of an IAM user."
    try:
        with in_our_words("the store", settings.s3_bucket or ""):
            frozen = found.get_frozen_credentials()
    except RuntimeError:  # botocore raises it for expired credentials
        frozen = None
    if frozen is None or (ends is not None and ends <= datetime.now(UTC)):
        when = f"{ends.astimezone():%Y-%m-%d %H:%M}" if ends else "some time ago"
        return failed(name, f"The credentials, found {where}, expired {when}.", renew, EX_CREDENTIALS)
    if not frozen.token:
        return ok(name, f"Permanent credentials, found {where}.")
    if ends is None:
        return warning(name, f"Temporary credentials, found {where}; when they expire is unknown.", renew)
    left_seconds = (ends - datetime.now(UTC)).total_seconds()
    text = f"Temporary credentials, found {where}, until {ends.astimezone():%Y-%m-%d %H:%M}"
    if left_seconds < settings.presign_expiry_seconds:
        return warning(name, f"{text}: every link expires then, sooner than configured.", renew)
    return ok(name, f"{text}.")
