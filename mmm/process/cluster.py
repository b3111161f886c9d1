"""`@CLUSTER`, the first argument of every program where several clusters share a host (rule 1)."""

import argparse
import re
from collections.abc import Sequence

_CLUSTER = re.compile(r"@([A-Za-z0-9][A-Za-z0-9_.-]*)")


def split_cluster(parser: argparse.ArgumentParser, argv: Sequence[str]) -> tuple[str | None, list[str]]:
    """Return the cluster of a first argument `@CLUSTER`, or None, and the other arguments.

    Ends the program with status 2 when the name after `@` cannot be part of a file name.
    """
    if not argv or not argv[0].startswith("@"):
        return None, list(argv)
    match = _CLUSTER.fullmatch(argv[0])
    if match is None:
        parser.error(f"{argv[0]!r} names no cluster: letters, digits, '_', '.' and '-' may follow the '@'")
    return match[1], list(argv[1:])
