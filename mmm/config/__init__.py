"""Conf text to one checked, frozen Cluster model: both dialects, one table of keys."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from mmm.config.check import check
from mmm.config.effective import effective
from mmm.config.files import SEARCH, Disk, Memory, Source
from mmm.config.model import Cluster, Program
from mmm.config.reader import read
from mmm.config.tree import ConfError, Tree

__all__ = [
    "SEARCH",
    "Cluster",
    "ConfError",
    "Disk",
    "Memory",
    "Program",
    "Source",
    "Tree",
    "check",
    "effective",
    "load",
    "read",
]


def load(
    path: Path | None,
    program: Program,
    *,
    cluster: str | None = None,
    name: str,
    directories: Sequence[str] = SEARCH,
) -> Cluster:
    """Return the checked conf of `program`.

    It is read from `path`, or when that is None from the file called `name` (with `_CLUSTER` appended for
    @CLUSTER) in `directories`. Raises ConfError with everything that is wrong.
    """
    suffix = cluster or ""
    if suffix and not re.fullmatch(r"[A-Za-z0-9_.-]+", suffix):
        raise ConfError((f"@{suffix}: not the name of a cluster; use letters, digits, `_`, `-` and `.`",))
    wanted = os.path.abspath(path) if path else f"{name}_{suffix}" if suffix else name  # noqa: PTH100
    return check(read(Disk(directories), wanted), program, suffix, _unreadable)


def _unreadable(path: str) -> str:
    try:
        if not Path(path).is_file():
            return "is not a file"
    except (OSError, ValueError) as e:
        return f"cannot be looked at ({e})"
    return "" if os.access(path, os.R_OK) else "cannot be read by this user"
