"""What the monitor knows at one moment, as frozen values.

Every decider takes a World and returns another one. Times are monotonic seconds; `None` means never.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from mmm.config.model import Cluster, Host, Monitor, Vip
from mmm.monitor.world.checks import dead, silent
from mmm.monitor.world.examined import Ending, Met
from mmm.monitor.world.host import HostWorld, State
from mmm.monitor.world.hosts import Hosts, Owners
from mmm.monitor.world.leadership import ALONE, Leadership
from mmm.monitor.world.link import AgentLink
from mmm.monitor.world.loss import Ahead, Loss
from mmm.monitor.world.move import Hold, Move
from mmm.monitor.world.passive import PassiveCause


class Mode(StrEnum):
    """How much the monitor does by itself."""

    ACTIVE = "ACTIVE"
    MANUAL = "MANUAL"
    WAIT = "WAIT"
    PASSIVE = "PASSIVE"


@dataclass(frozen=True, slots=True)
class World:
    """The whole cluster as the monitor knows it."""

    conf: Cluster
    mode: Mode
    hosts: Hosts
    owner: Owners
    """Every configured VIP in conf order, with the host that it is assigned to."""
    network_up: bool = True
    hosts_silent: bool = False
    """The network is taken to be down because all hosts fell silent at once."""
    left_out: frozenset[tuple[str, str]] = frozenset()
    """Balanced roles with a host that the admin keeps each away from while other hosts can take it."""
    going: frozenset[Vip] = frozenset()
    """VIPs that another conf has not got, which is taken once no host has them bound: nobody gets them meanwhile."""
    examined: frozenset[Met] = frozenset()
    """What the doctor found at its last look that the next failover would meet."""
    examined_before: frozenset[Met] = frozenset()
    """The same at the look before."""
    ending: tuple[Ending, ...] = ()
    """Certificates that end soon, or have ended, as the doctor saw them last."""
    passive_cause: PassiveCause | None = None
    """Why the mode is PASSIVE; None where the conf says so, and in other modes."""
    other_monitor: str = ""
    """The address of another monitor that agents obey: this one gives no orders until the admin says so."""
    leadership: Leadership = ALONE
    """Which monitor leads, where the conf has more than one."""
    move: Move | None = None
    """A planned move that is under way."""
    failed_moves: tuple[Move, ...] = ()
    """Planned moves that failed lately, the last of each VIP to each host, in the order in which they failed.

    The `since` of each is when the role went back.
    """
    unsure: frozenset[Vip] = frozenset()
    """VIPs whose last host did not confirm that it let them go, until another has them (rule 10.19)."""
    forced: str | None = None
    """The host that the admin has forced to be active master, until it is."""
    slaves_first_since: float | None = None
    """Since when a new active master waits for slaves to follow it."""
    waits: frozenset[str] = frozenset()
    """The reasons, already said, for which nobody gets the active master role."""
    loss: Loss | None = None
    """What the last failover may have lost, until its host is ONLINE again."""
    ahead: Ahead | None = None
    """What is got of the dead writer's binary log while nobody has taken over yet."""
    last_writer: str | None = None
    """The host that last confirmed that it has the active master role: nobody lacks less."""
    last_master: str | None = None
    """The host that has the active master role, or had it last."""
    failed_over: float | None = None
    """When the active master role last moved by itself, unless the admin has moved it or ended the block since."""
    hold: Hold | None = None
    """Set while a failover is blocked."""

    @property
    def monitor(self) -> Monitor:
        """Return the `<monitor>` section; raises ValueError where there is none, as in no conf of a monitor."""
        if self.conf.monitor is None:
            raise ValueError("the conf of a monitor has a <monitor> section")
        return self.conf.monitor

    @property
    def active_master(self) -> str | None:
        """Return the host that the active master role is assigned to."""
        vip = self.conf.master_vip
        return None if vip is None else self.owner.get(vip)

    def peer(self, name: str) -> str | None:
        """Return the host's peer: for a slave the active master (rule 6.4)."""
        host = self.conf.hosts[name]
        return self.active_master if host.mode == "slave" else host.peer

    def is_silent(self, name: str) -> bool:
        """Tell whether nothing reaches the host, so that its agent cannot be told anything."""
        return silent(self.hosts[name].checks, self.conf)

    def is_dead(self, name: str) -> bool:
        """Tell whether the host has failed: its server, or all of it."""
        return dead(self.hosts[name].checks, self.conf)

    def only_ping_lost(self, name: str) -> bool:
        """Tell whether ping has failed, and nothing follows because the host's server answers."""
        return self.hosts[name].checks["ping"].failed and not self.is_dead(name)

    def can_take(self, name: str) -> bool:
        """Tell whether the host may get a VIP now: it is ONLINE and has confirmed that, its agent answers.

        One that is ONLINE and dead is cut off from the monitor only, or waits for others to say so. One whose machine
        goes down gets nothing more.
        """
        host, link = self.hosts[name], self.hosts[name].agent
        confirmed = link.told is not None and link.told.state == State.ONLINE
        in_use = host.state is State.ONLINE and confirmed and not self.is_dead(name)
        return in_use and not (link.unreachable or link.about.halting)

    def vips_of(self, name: str) -> frozenset[Vip]:
        """Return the VIPs assigned to the host."""
        return self.owner.vips_of(name)

    def holders(self, vip: Vip) -> frozenset[str]:
        """Return the hosts that may have the VIP bound."""
        return self.hosts.holders(vip)

    def can_be_active_master(self, name: str) -> bool:
        """Tell whether the host is among those of the active master role."""
        role = self.conf.roles.get(self.conf.active_master_role)
        return role is not None and name in role.hosts

    @property
    def on_wire(self) -> bool:
        """Tell whether the active master's VIP is bound on an interface, so that it can be asked for on the wire."""
        return self.conf.master_vip in self.conf.bound_vips

    def would_bind(self, name: str, role: str) -> bool:
        """Tell whether the host's agent, one of MMM 2.x, would bind the IPs of a role that are not to be bound."""
        return self.hosts[name].agent.about.mmm2 and self.conf.via(role) != "arp"

    @property
    def master_vips(self) -> frozenset[Vip]:
        """Return the VIPs of the active master role."""
        vip = self.conf.master_vip
        return frozenset() if vip is None else frozenset((vip,))

    @property
    def guarded(self) -> bool:
        """Tell whether the active master role waits for its last host to be safely without it (rule 10.14)."""
        return self.conf.monitor is None or self.conf.monitor.split_brain_guard

    def masters(self) -> tuple[Host, ...]:
        """Return the hosts that may be active master, in conf order."""
        return self.conf.masters

    def with_host(self, name: str, host: HostWorld) -> "World":
        """Return this world with that known of a host."""
        return replace(self, hosts=self.hosts.with_host(name, host))

    def with_agent(self, name: str, link: AgentLink) -> "World":
        """Return this world with that known of a host's agent."""
        return self.with_host(name, replace(self.hosts[name], agent=link))

    @property
    def moves_by_order(self) -> bool:
        """Tell whether a role is being moved: as planned, or as the admin has forced it."""
        return self.move is not None or self.forced is not None

    def could_not_leave(self, vip: Vip) -> Move | None:
        """Return the last planned move that failed lately of those by which the VIP was to leave its host."""
        failed = (move for move in reversed(self.failed_moves) if move.vip == vip)
        return next((move for move in failed if move.source == self.owner[vip]), None)

    def could_not_go_to(self, vip: Vip, target: str) -> Move | None:
        """Return the last planned move that failed lately of those by which the VIP was to go to the host."""
        return next((move for move in self.failed_moves if (move.vip, move.target) == (vip, target)), None)

    def kill_unless_told(self, name: str) -> "World":
        """Return this world in which the host is killed if its agent does not answer the next order."""
        link = self.hosts[name].agent
        return self.with_agent(name, replace(link, kill=link.kill.owed()))

    def with_owner(self, changes: Mapping[Vip, str | None]) -> "World":
        """Return this world with VIPs assigned to other hosts, or to none."""
        return replace(self, owner=Owners({**self.owner, **changes}))

    def without_roles(self, name: str) -> "World":
        """Return this world with every VIP of the host unassigned."""
        return self.with_owner(dict.fromkeys(self.vips_of(name)))
