"""What backup is to be made, as values."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmm.config.model import Cluster
from mmm.tools.fetch.values import Report


class RefusedError(Exception):
    """A backup that is not begun; the text says why."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be made."""

    conf: Cluster
    donor: str
    folder: Path
    """Of all backups."""
    providers: Sequence[str] = ()
    """Ways to be tried, the best first; none: those of the conf."""
    compress: bool = False
    report: Report = lambda _: None
    say: Callable[[str], None] = lambda _: None
