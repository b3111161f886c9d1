"""What the steps of a rejoin work with: each means is one that tests and other tools put another in the place of."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from mmm.config.model import Cluster
from mmm.mysql.session.connection import Connection
from mmm.process.job_files import Progress
from mmm.tools.rejoin.active_master import Ask
from mmm.tools.rejoin.hindrance import RECONNECT_LIMIT
from mmm.tools.rejoin.journal import Journal
from mmm.tools.rejoin.server_control import START_LIMIT, ServerControl

GONE_LIMIT = 30.0
"""Seconds without a process after which a server has ended again after its start; systemd and scripts may try twice."""
CATCH_UP_LIMIT = 3600.0
"""Seconds that the host may take to get what was written since the copy was made."""


class Saves(Protocol):
    """Saves what only this host has."""

    def __call__(self, journal: Journal, server: Connection | None) -> Journal:
        """Return the journal with the folder and the highest numbers; `server` is None where it does not run."""


class Copies(Protocol):
    """Makes a copy of the donor's data in the staging folder, and proves it."""

    def __call__(self, journal: Journal) -> Journal:
        """Return the journal with what the copy has."""


class Rewinds(Protocol):
    """Undoes what only this host has, where that is proved to be right."""

    def prove(self, journal: Journal, server: Connection | None) -> Journal:
        """Return the journal with the way that is gone; `server` is None where it does not run."""

    def undo(self, journal: Journal) -> Journal:
        """Return the journal, all of it undone; raises NotRewoundError."""

    def compare(
        self, journal: Journal, here: Connection, there: Connection, wait: Callable[[], None]
    ) -> None:
        """See that the rows are those of the active master; raises NotRewoundError."""


@dataclass(frozen=True, slots=True)
class Means:
    """What the steps work with."""

    conf: Cluster
    control: ServerControl
    save: Saves
    copy: Copies
    rewind: Rewinds
    say: Callable[[str], None] = lambda _: None
    make_room: Callable[[], None] = lambda: None
    """Removes, before a copy is made, what earlier jobs have kept for long enough."""
    note: Callable[[Journal, Progress], None] = lambda _, __: None
    """Is told how far a step is, for others to know."""
    master: Ask = lambda: None
    """Tells who the active master is now."""
    start_limit: float = START_LIMIT
    gone_limit: float = GONE_LIMIT
    catch_up_limit: float = CATCH_UP_LIMIT
    reconnect_limit: float = RECONNECT_LIMIT
