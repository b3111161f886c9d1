"""What is looked at before a rejoin, as values. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mmm.config.model import Vip
from mmm.gtid.transactions import Executed


@dataclass(frozen=True, slots=True)
class Told:
    """What this host's agent was told by the monitor, and sees."""

    state: str
    vips: tuple[Vip, ...]
    """What it is to have."""
    master: str
    """The active master; empty where it knows none."""
    bound: tuple[Vip, ...] = ()
    """What is bound here."""


@dataclass(frozen=True, slots=True)
class ServerLook:
    """A server that answers."""

    family: str
    version: tuple[int, ...]
    datadir: str
    writable: bool
    executed: Executed | None
    """None: it has no GTIDs."""
    replicas: tuple[str, ...] = ()
    """The addresses of those that replicate from it now."""
    source_ip: str = ""
    """Whom it replicates from; empty: nobody, or it is detached."""
    follows: bool = False
    """Both threads of its replication run."""

    @property
    def series(self) -> str:
        """Return what a copy of its data files needs: `MariaDB 10.11`."""
        return f"{self.family} {'.'.join(map(str, self.version[:2]))}"


@dataclass(frozen=True, slots=True)
class Silent:
    """A server that does not answer, and why."""

    why: str


@dataclass(frozen=True, slots=True)
class Look:
    """All of it."""

    host: str
    ip: str
    here: bool
    """The host's address is one of this machine's."""
    agent: Told | None
    """None: it does not answer."""
    server: ServerLook | Silent
    others: Mapping[str, ServerLook | Silent] = field(default_factory=dict)
    slaves: tuple[str, ...] = ()
    """The other hosts that are slaves, in conf order."""
    writer_role: str = ""
    """The active master's role."""
    ips: Mapping[str, str] = field(default_factory=dict)
    """The hosts of the conf by their addresses."""

    @property
    def master(self) -> str:
        """Return the active master, empty where this host's agent knows none."""
        return self.agent.master if self.agent else ""
