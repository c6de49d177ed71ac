"""The command line: `ghostroll COMMAND`. The only place where an error becomes an exit code."""

import argparse
import importlib
import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import NoReturn

from ghostroll import __version__
from ghostroll.base import config, log
from ghostroll.base.errors import EX_BUG, GhostrollError
from ghostroll.base.log import logger

EXIT_STATUS = """\
exit status:
  0   done; also when nothing was new
  1   a bug, with its traceback
  3   done, but some files failed
  64  wrong usage
  66  no such volume, or no DCIM on it
  73  no room on the disk, or it cannot be written
  74  the card failed while it was read
  75  saved on disk, not shared yet; `ghostroll resume` or `watch` goes on
  77  the store refused the credentials
  78  a setting is wrong
"""

# Each is a module of `ghostroll.commands` with `main`, and with `add_arguments` where it has options of its own.
COMMANDS = {
    "run": "save, render and share what is new on one card",
    "watch": "wait for cards and run each; finish what is unfinished",
    "resume": "finish sessions that were interrupted or offline; needs no card",
    "share": "make a fresh link to a session that was shared before",
    "eject": "release a card, so that it may be pulled",
    "sessions": "list the sessions",
    "verify": "read the saved files again and compare them",
    "status": "show the current status",
    "config": "show the effective settings and where each came from",
    "demo": "do the main job on a sample card, with the embedded store",
    "catalog": "make a lost or damaged catalog anew",
    "doctor": "look for what could go wrong, and say how to put it right",
    "store": "run the embedded S3 server in the foreground",
}

Command = Callable[[argparse.Namespace, config.Effective], int]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(64, f"{self.prog}: {message}\n")


def entry() -> NoReturn:
    """Run as a program. A thread that hangs in the network does not keep an interrupted one alive."""
    exit_code = main()
    logging.shutdown()
    if threading.active_count() > 1:
        os._exit(exit_code)
    sys.exit(exit_code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parser(_chosen_command(arguments)).parse_args(arguments)
    log.setup(logging.DEBUG if options.verbose else logging.INFO)
    try:
        exit_code = _run(options)
        sys.stdout.flush()
    except GhostrollError as error:
        logger.error("%s%s", error, f" {error.hint}" if error.hint else "")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # stdout's: what breaks in the network has become an error of ours before it gets here
        _forget_stdout()
        return 0
    except Exception:  # noqa: BLE001 - the one place: a bug is reported whole
        traceback.print_exc()
        return EX_BUG
    return exit_code


def _forget_stdout() -> None:
    """Let what is still to be printed go nowhere: its reader has left."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(options: argparse.Namespace) -> int:
    flags = {
        setting.name: value for setting in config.SETTINGS if (value := getattr(options, setting.name)) is not None
    }
    effective = config.load(flags, os.environ, options.config)
    command: Command = options.command
    return command(options, effective)


def _chosen_command(arguments: Sequence[str]) -> str | None:
    """Return the first argument if it is a command: only that one's module has to be imported."""
    return arguments[0] if arguments and arguments[0] in COMMANDS else None


def parser(only: str | None = None) -> argparse.ArgumentParser:
    """Return the whole command line; with `only`, the options of that command and just the names of the others."""
    main_parser = _Parser(allow_abbrev=False, prog="ghostroll", description="A card in, a private gallery out.")
    main_parser.add_argument("--version", action="version", version=f"ghostroll {__version__}")
    verbs = main_parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, text in COMMANDS.items():
        if only in (None, name):
            _add_command(verbs, name, text)
        else:
            verbs.add_parser(name, help=text)
    return main_parser


def _add_command(verbs: "argparse._SubParsersAction[_Parser]", name: str, text: str) -> None:
    module = importlib.import_module(f"ghostroll.commands.{name}")
    hidden: tuple[str, ...] = getattr(module, "HIDDEN_SETTINGS", ())
    verb = verbs.add_parser(
        name,
        parents=[_common_options(hidden)],
        allow_abbrev=False,
        help=text,
        description=text[0].upper() + text[1:] + ".",
        epilog=EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.set_defaults(command=module.main, **dict.fromkeys(hidden))
    if hasattr(module, "add_arguments"):
        module.add_arguments(verb)


def _common_options(hidden: tuple[str, ...]) -> _Parser:
    """Return what every command takes: the settings above all, but for those that it hides."""
    common = _Parser(add_help=False, allow_abbrev=False)
    common.add_argument("-v", "--verbose", action="store_true", help="log more")
    common.add_argument("--config", metavar="FILE", help="the configuration file (TOML)")
    settings = common.add_argument_group("settings (docs/configuration.md)")
    for setting in config.SETTINGS:
        if setting.name in hidden:
            continue
        if isinstance(setting.default, bool):
            settings.add_argument(
                setting.flag, dest=setting.name, action=argparse.BooleanOptionalAction, help=setting.help
            )
        else:
            settings.add_argument(
                setting.flag, dest=setting.name, metavar=setting.name.rpartition("_")[2].upper(), help=setting.help
            )
    return common
