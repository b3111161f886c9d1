"""What other parts need of the conf: its files, the model, and everything that is wrong with it."""

from collections.abc import Sequence
from pathlib import Path

from mmm.config.check import check, modelled
from mmm.config.effective import effective
from mmm.config.files import SEARCH, Disk, Memory, Source, Unreadable
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
    old_name: str = "",
    directories: Sequence[str] = SEARCH,
) -> Cluster:
    """Return the checked conf of `program`.

    It is read from `path`, or when that is None from the file called `name` (with `_CLUSTER` appended for
    @CLUSTER) in `directories`, or where that is in none of them from the one called `old_name`. Raises ConfError with
    everything that is wrong.
    """
    if path is None and old_name and not _is_there(name, cluster, directories):
        name = old_name if _is_there(old_name, cluster, directories) else name
    world = load_settings(Disk(directories), str(path) if path else None, program, cluster, name)
    return modelled(world)


def _is_there(name: str, cluster: str | None, directories: Sequence[str]) -> bool:
    try:
        Disk(directories).open(f"{name}_{cluster}" if cluster else name, None)
    except Unreadable as error:
        return bool(error.path)
    return True
