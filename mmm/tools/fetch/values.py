"""What fetching a copy comes to, as values."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from mmm.mysql.backup.mariadb_backup import Position


class Cause(Enum):
    """Why there is no copy."""

    REFUSED = "refused"
    """The donor's agent gives none."""
    UNREACHABLE = "unreachable"
    """There is no way to the donor's agent, or it is not one that this host trusts."""
    CUT = "cut"
    """The stream ended before its end."""
    SILENT = "silent"
    """No byte came for too long."""
    DAMAGED = "damaged"
    """What came is not what was sent."""
    PRODUCER = "producer"
    """The program that reads the donor's data failed."""
    BLOCKED_WRITES = "blocked_writes"
    """That program was killed, so that the donor's writers go on."""
    UNPACK = "unpack"
    """What came cannot be unpacked here: the disk is full, say."""
    PREPARE = "prepare"
    """The copy cannot be made one that a server starts on."""
    START = "start"
    """A server cannot be started on it."""
    STATE = "state"
    """A server on it does not have what was promised."""
    HERE = "here"
    """Something is missing on this host, or stands in the way."""


@dataclass(frozen=True, slots=True)
class Failed:
    """There is no copy, and nothing of one is left."""

    cause: Cause
    text: str
    """What, where, and what to do: one line."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A copy that a server can start on."""

    bytes: int
    """Size of its files."""
    seconds: float
    """How long it took to get and to prepare it."""
    position: Position
    """What is in it, by the donor's own words."""
    server_version: str
    """The donor's, as VERSION()."""
    sent: int = 0
    """Bytes that came over the network."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is."""

    phase: str
    """`copying`, `preparing`."""
    done: int
    """Bytes of files that are here."""
    total: int
    """Bytes that there will be, more or less; 0: not known."""
    rate: float
    """Bytes a second, lately."""

    @property
    def left(self) -> float | None:
        """Return how many seconds are left; None: that cannot be told."""
        if not self.rate or not self.total:
            return None
        return max(0.0, self.total - self.done) / self.rate


Report = Callable[[Progress], None]
"""Is told now and then how far it is."""


class FailedError(Exception):
    """Carries a failure to where the staging folder is removed."""

    def __init__(self, cause: Cause, text: str) -> None:
        super().__init__(text)
        self.failed = Failed(cause, text)
