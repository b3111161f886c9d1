"""How programs but mmm_control and mmm_sandbox read their command lines: `[@CLUSTER] [OPTION…]` (rule 1)."""

import argparse
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

from mmm.process.cluster import split_cluster
from mmm.process.completion import COMPLETE, Names, candidates

NamesOf = Callable[[Path | None, str | None], Names]
"""Returns what may stand for values, by the conf that is named and the cluster."""


def parsed(
    parser: argparse.ArgumentParser, argv: Sequence[str], names_of: NamesOf = lambda *_: {}
) -> tuple[str | None, argparse.Namespace]:
    """Return the cluster, None without, and what the options say.

    Ends the program for `--help`, `--version` and a shell that asks what may follow (status 0), and for wrong usage
    (status 2).
    """
    if argv[:1] == [COMPLETE]:
        cluster, typed = split_cluster(parser, argv[1:])
        print("\n".join(candidates(parser, typed, lambda: names_of(_config(typed), cluster))))
        parser.exit()
    cluster, rest = split_cluster(parser, argv)
    return cluster, parser.parse_args(rest)


def _config(typed: Sequence[str]) -> Path | None:
    """Return the conf file that the words name."""
    named = next((value for option, value in pairwise(typed) if option == "--config"), None)
    return Path(named) if named else None
