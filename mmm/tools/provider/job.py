"""What a provider is told of a copy that it is to make."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmm.config.model import Cluster, Host
from mmm.tools.fetch.files import Owner
from mmm.tools.fetch.values import Report


@dataclass(frozen=True, slots=True)
class Job:
    """One copy of the donor's data, for this host."""

    conf: Cluster
    here: Host
    donor: Host
    into: Path
    """The staging folder, which must not be there yet."""
    owner: Owner
    """Whose the files will be: the old data directory's."""
    report: Report
    name: str
    argv: Sequence[str] = ()
    """How a server is started on the copy; empty: as this host's."""
