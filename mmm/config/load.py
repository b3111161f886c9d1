"""What other parts need of the conf: its files, the model, and everything that is wrong with it."""

from collections.abc import Sequence
from pathlib import Path

from mmm.config.check import check, modelled
from mmm.config.effective import effective
from mmm.config.files import SEARCH, Disk, Memory, Source
from mmm.config.model import Cluster
from mmm.config.names import Program
from mmm.config.reader import read
from mmm.config.tree import ConfError, Tree
from mmm.config.validate import load_settings

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
    world = load_settings(Disk(directories), str(path) if path else None, program, cluster, name)
    return modelled(world)
