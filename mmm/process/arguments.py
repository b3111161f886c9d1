"""The command line of the daemons: `mmm_agentd|mmm_mond [@CLUSTER] [OPTION…]` (rule 1)."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mmm.process.command_line import parsed
from mmm.process.version import Version

REFUSED = 3
"""Exit status of `--check` where the daemon would start, but other machines do not fit the conf."""
UNUSABLE = 3
"""Exit status of `--doctor` for a conf that cannot be used: 2 means there that errors were found."""
USAGE = 2
"""Exit status for wrong usage and for a conf that cannot be used."""


class Arguments(NamedTuple):
    """What the command line asks for; `cluster` is C1 for `@C1`, None without."""

    cluster: str | None = None
    config: Path | None = None
    check: bool = False
    doctor: bool = False
    print_conf: bool = False
    foreground: bool = False


def parse(program: str, argv: Sequence[str], *, daemon: bool = True) -> Arguments:
    """Return what `argv` (without the program's name) asks for; what is no `daemon` has few options.

    Ends the program for `--help` and `--version` (status 0) and wrong usage (status 2).
    """
    parser = argparse.ArgumentParser(
        prog=program, usage=f"{program} [@CLUSTER] [OPTION...]", allow_abbrev=False, add_help=False
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="read this conf file instead of looking for one"
    )
    if daemon:
        _add_those_of_daemons(parser)
    parser.add_argument("--version", action=Version)
    parser.add_argument("-h", "--help", action="help", help="print this and exit")
    cluster, given = parsed(parser, argv)
    return Arguments(cluster, **vars(given))


def _add_those_of_daemons(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--foreground", action="store_true", help="do not go to the background, log to stdout too"
    )
    parser.add_argument("--check", action="store_true", help="read the conf, report all errors, and exit")
    parser.add_argument(
        "--doctor",
        action="store_true",
        help="check whether all is ready for a failover, and exit: 0 OK, 1 warnings, 2 errors, 3 the"
        " conf cannot be used",
    )
    parser.add_argument(
        "--print-conf", action="store_true", help="print the effective conf, passwords hidden, and exit"
    )
