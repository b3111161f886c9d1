"""How programs but mmm_control and mmm_sandbox read their command lines: `[@CLUSTER] [OPTION…]` (rule 1)."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from mmm.process import output
from mmm.process.cluster import split_cluster
from mmm.process.completion import COMPLETE, Names, candidates, value_of

NamesOf = Callable[[Path | None, str | None], Names]
"""Returns what may stand for values, by the conf that is named and the cluster."""


def parsed(
    parser: argparse.ArgumentParser, argv: Sequence[str], names_of: NamesOf = lambda *_: {}
) -> tuple[str | None, argparse.Namespace]:
    """Return the cluster, None without, and what the options say; what is printed from now on may be in any language.

    Ends the program for `--help`, `--version` and a shell that asks what may follow (status 0), and for wrong usage
    (status 2).
    """
    output.prepare()
    if argv[:1] == [COMPLETE]:
        cluster, typed = split_cluster(parser, argv[1:])
        config = value_of("--config", typed)
        names = lambda: names_of(Path(config) if config else None, cluster)  # noqa: E731
        print("\n".join(candidates(parser, typed, names)))
        parser.exit()
    cluster, rest = split_cluster(parser, argv)
    return cluster, parser.parse_args(rest)
