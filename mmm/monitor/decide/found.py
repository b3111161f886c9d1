"""What is known of a host when a monitor starts: its line of the status file, its agent's memory, the system itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from mmm.config.model import Vip
from mmm.wire.held import Stay
from mmm.wire.job import Job
from mmm.wire.status import Status, SystemStatus


@dataclass(frozen=True, slots=True)
class Stored:
    """A host's line of the status file."""

    state: str
    vips: tuple[Vip, ...] = ()
    lease: str = ""
    """`finite`, `forever`, or empty where nothing of the active master role was granted or recorded.

    `forever` without the VIP: nobody knows whether the host has it, or for how long.
    """
    length: float = 0.0
    """Seconds of a lease that is finite, by the conf under which it was granted; 0: not recorded."""
    hosts: str = ""
    """A digest of the hosts whose promises can prolong it, by that conf; empty: not recorded."""
    lost: bool = False
    """It was lost and is not in use again."""
    used: bool = False
    """It has been in use since the cluster was set up."""
    left_out: frozenset[str] = frozenset()
    """Roles that the admin keeps away from it."""
    epoch: str = ""
    """Of several monitors the one that led when this was written, as orders name it."""
    let_go: bool = False
    """That one knew that it has no VIP any more: it is not killed for those that another monitor takes it to have."""


NOTHING_STORED: Mapping[str, Stored] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of a host at start; None where a witness could not be asked."""

    stored: Stored | None = None
    agent: Status | None = None
    system: SystemStatus | None = None
    uptime: float | None = None
    job: Job | None = None
    """What gives it other data, as its agent says."""
    stays: frozenset[Stay] = frozenset()
    """For whom its agent refuses the active master role."""
    foreign: frozenset[Vip] = frozenset()
    """The active master's VIPs that are bound there though another host may have them by a lease on record."""
    unrecorded: frozenset[Vip] = frozenset()
    """The active master's VIPs that it may have, or get yet, by a lease of which nobody tells."""
    longest: float = 0.0
    """Seconds for which it may have these; FOREVER: no end is known."""

    def claims(self, vip: Vip) -> tuple[bool, bool, bool]:
        """Tell whether the VIP is stored, known to the agent, and bound."""
        return (
            self.stored is not None and vip in self.stored.vips,
            self.agent is not None and vip in self.agent.vips,
            self.system is not None and vip in self.system.vips,
        )

    @property
    def asked(self) -> bool:
        """Tell whether its agent has said what it was told and what it sees."""
        return self.agent is not None and self.system is not None

    def has(self, vip: Vip) -> bool:
        """Tell whether the VIP is bound there, and not by somebody else than the monitor."""
        return self.claims(vip)[2] and vip not in self.foreign

    def may_have_lease(self, vip: Vip) -> bool:
        """Tell whether the status file grants it the VIP by a lease, and nobody who was asked denies that it has it."""
        stored, agent, bound = self.claims(vip)
        granted = self.stored is not None and bool(self.stored.lease) and stored
        return granted and (agent or bound or not self.asked)
