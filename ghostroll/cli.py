"""The command line: `ghostroll COMMAND`. The only place where an error becomes an exit code."""

import argparse
import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import NoReturn

from ghostroll import __version__, commands, config, doctor, log, showing
from ghostroll.errors import EX_BUG, GhostrollError
from ghostroll.log import logger

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
    options = parser().parse_args(arguments)
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


def parser() -> argparse.ArgumentParser:
    """Return the whole command line."""
    main_parser = _Parser(allow_abbrev=False, prog="ghostroll", description="A card in, a private gallery out.")
    main_parser.add_argument("--version", action="version", version=f"ghostroll {__version__}")
    verbs = main_parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    common = _common_options()

    def add(
        name: str, command: Command, text: str, *, json: bool = False, options: _Parser = common
    ) -> argparse.ArgumentParser:
        verb: argparse.ArgumentParser = verbs.add_parser(
            name,
            parents=[options],
            allow_abbrev=False,
            help=text,
            description=text[0].upper() + text[1:] + ".",
            epilog=EXIT_STATUS,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        verb.set_defaults(command=command)
        if json:
            verb.add_argument("--json", action="store_true", help="print one JSON document on stdout")
        return verb

    run = add("run", commands.run, "save, render and share what is new on one card", json=True)
    where = run.add_mutually_exclusive_group(required=True)
    where.add_argument("--volume", metavar="DIR", help="the mounted card, of any name")
    where.add_argument("--device", metavar="DEV", help="the card that the units mounted, such as /dev/sda1")
    run.add_argument("--session-id", metavar="ID", help="use or go on with this session")
    run.add_argument("--rehash", action="store_true", help="read every file, known or not")
    add("watch", commands.watch, "wait for cards and run each; finish what is unfinished")
    resume = add(
        "resume", commands.resume, "finish sessions that were interrupted or offline; needs no card", json=True
    )
    resume.add_argument("sessions", metavar="SESSION", nargs="*", help="only these; default: all unfinished ones")
    share = add("share", commands.share, "make a fresh link to a session that was shared before", json=True)
    share.add_argument("session", metavar="SESSION", help="its id, as `ghostroll sessions` lists it")
    eject = add("eject", commands.eject, "release a card, so that it may be pulled")
    eject.add_argument("device", metavar="DEVICE", nargs="?", help="such as sda1; default: every card")
    add("sessions", showing.sessions, "list the sessions", json=True)
    verify = add("verify", commands.verify_sessions, "read the saved files again and compare them", json=True)
    verify.add_argument("sessions", metavar="SESSION", nargs="*", help="only these; default: all")
    # Of the setting `panel` there is no flag here: the word draws it.
    status = add("status", showing.status, "show the current status", options=_common_options(without="panel"))
    status.set_defaults(panel=None)
    form = status.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON document on stdout")
    form.add_argument("--panel", action="store_true", dest="draws_panel", help="draw the panel's frame in the terminal")
    add("config", showing.show_config, "show the effective settings and where each came from", json=True)
    demo = add("demo", commands.demo, "do the main job on a sample card, with the embedded store")
    demo.add_argument("--card", metavar="DIR", help="a real card in place of the sample")
    demo.add_argument("--once", action="store_true", help="end after the link was printed")
    catalog = add("catalog", commands.rebuild_catalog, "make a lost or damaged catalog anew", json=True)
    catalog.add_argument(
        "action",
        choices=["rebuild"],
        help="keep a damaged catalog aside, take in every session on the disk that the catalog does not know",
    )
    add("doctor", doctor.doctor, "look for what could go wrong, and say how to put it right", json=True)
    add("store", commands.store, "run the embedded S3 server in the foreground")
    return main_parser


def _common_options(without: str = "") -> _Parser:
    """Return what every command takes: the settings above all, but for one."""
    common = _Parser(add_help=False, allow_abbrev=False)
    common.add_argument("-v", "--verbose", action="store_true", help="log more")
    common.add_argument("--config", metavar="FILE", help="the configuration file (TOML)")
    settings = common.add_argument_group("settings (docs/configuration.md)")
    for setting in config.SETTINGS:
        if setting.name == without:
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
