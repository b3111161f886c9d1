"""One host as the state rules look at it: the facts that their conditions and sentences name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from mmm.config.model import Monitor
from mmm.gtid.place import Written
from mmm.gtid.transactions import Surplus
from mmm.monitor.assess import divergence, full_disk, promotion, proof, second_opinion
from mmm.monitor.world.attempt import Step
from mmm.monitor.world.checks import CheckStatus
from mmm.monitor.world.host import HostWorld, State
from mmm.monitor.world.rebuilt import Rebuilt, rebuilt
from mmm.monitor.world.said import Fields, Said, Texts
from mmm.monitor.world.world import Mode, World

SHORT_OUTAGE = 60.0
"""Growth of the system's uptime, in seconds, up to which a host that was gone comes back by itself."""
WRITABLE_GRACE = 6.0
"""Seconds, two heartbeats, after which a host without the writer role has to be read_only."""


def _failed(of: Fields) -> str:
    return ", ".join(
        f"{check['check']}: {check['finding']}"
        + (f"; its process {check['pid']} has ended" if check["pid"] else "")
        for check in of["checks"]
    )


class Failing(Said):
    """Which checks of a host have failed, each with what it has found."""

    __slots__ = ()

    texts: ClassVar[Texts] = {"failed": _failed, "nothing": "no check has failed"}


def failing(checks: Mapping[str, CheckStatus]) -> Failing:
    """Return what those checks have found."""
    found = tuple(
        {"check": name, "finding": check.finding, "pid": check.exited and check.exited.pid}
        for name, check in checks.items()
    )
    return Failing("failed", {"checks": found}) if found else Failing("nothing")


class Apart(Said):
    """What keeps a host out of use that was lost while another went on."""

    __slots__ = ()

    texts: ClassVar[Texts] = {
        "extra": (
            "it has {extra} that {master} lacked when it went on without it: rebuild its data from {master}, or take it"
            " as it is with 'mmm_control set_online --force {host}'"
        ),
        "not_compared": lambda of: (
            f"its transactions are not compared with those of {of['master']} yet"
            + (f": {of['why']}" if of["why"] else "")
        ),
    }


@dataclass(frozen=True, slots=True)
class View:
    """A host in its world at a moment (rule 6.4)."""

    world: World
    name: str
    now: float

    @property
    def host(self) -> HostWorld:
        """Return what is known of the host."""
        return self.world.hosts[self.name]

    @property
    def monitor(self) -> Monitor:
        """Return the monitor's settings."""
        monitor = self.world.conf.monitor
        if monitor is None:
            raise ValueError("a monitor's world has a <monitor> section")
        return monitor

    @property
    def peer(self) -> HostWorld | None:
        """Return what is known of its peer, for a slave of the active master."""
        name = self.world.peer(self.name)
        return None if name is None else self.world.hosts[name]

    @property
    def dead(self) -> bool:
        """Tell whether its server has failed, or all of it."""
        return self.world.is_dead(self.name)

    @property
    def others_awaited(self) -> bool:
        """Tell whether other agents are asked first whether they reach it."""
        return second_opinion.is_awaited(self.world, self.name)

    @property
    def reached_by(self) -> tuple[str, ...]:
        """Return the hosts that reach its server though the monitor does not."""
        return tuple(second_opinion.reached_by(self.world, self.name))

    @property
    def all_good(self) -> bool:
        """Tell whether it is not dead and its replication checks are good."""
        return not self.dead and self.host.good("rep_threads", "rep_backlog")

    @property
    def threads_failed(self) -> bool:
        """Tell whether its replication is broken."""
        return self.host.checks["rep_threads"].failed

    @property
    def backlog_failed(self) -> bool:
        """Tell whether it is too far behind."""
        return self.host.checks["rep_backlog"].failed

    @property
    def is_active_master(self) -> bool:
        """Tell whether the active master role is assigned to it."""
        return self.world.active_master == self.name

    @property
    def peer_online(self) -> bool:
        """Tell whether its peer is ONLINE."""
        peer = self.peer
        return peer is not None and peer.state is State.ONLINE

    @property
    def peer_alive(self) -> bool:
        """Tell whether its peer is ONLINE and answers, so that broken replication is this host's fault."""
        name = self.world.peer(self.name)
        return name is not None and self.peer_online and not self.world.is_dead(name)

    @property
    def peer_is_new(self) -> bool:
        """Tell whether its peer came ONLINE so lately that replication may still be settling."""
        peer = self.peer
        if peer is None or peer.state is not State.ONLINE or peer.online_since is None:
            return False
        return self.now - peer.online_since <= self.monitor.peer_grace

    @property
    def beyond_settling(self) -> bool:
        """Tell whether its replication is broken by what no waiting mends."""
        threads = self.host.checks["rep_threads"]
        return threads.failed and bool(threads.cause.code) and not threads.unknown

    @property
    def has_source(self) -> bool:
        """Tell whether its replication is to be judged: there is an active master, or it cannot be one."""
        return self.world.active_master is not None or not self.world.can_be_active_master(self.name)

    @property
    def outage(self) -> float:
        """Return by how many seconds the system's uptime has grown since it was last seen ONLINE."""
        return self.host.system.uptime - self.host.system.last_uptime

    @property
    def short_outage(self) -> bool:
        """Tell whether it was gone for less than a minute, without a reboot."""
        known = self.host.system.last_uptime > 0 and not self.host.system.rebooted
        return known and 0 < self.outage < SHORT_OUTAGE

    @property
    def rebuilt_by_itself(self) -> bool:
        """Tell whether it was rebuilt in this state, and `auto_rejoin` is to bring it back."""
        last = self.host.attempt
        done = last is not None and last.step is Step.DONE and last.at >= self.host.since
        return done and bool(self.monitor.auto_rejoin)

    @property
    def waited(self) -> float:
        """Return for how many seconds it has been in its state."""
        return self.now - self.host.since

    @property
    def waited_enough(self) -> bool:
        """Tell whether auto_set_online brings it back now."""
        return 0 < self.monitor.auto_set_online <= self.waited

    @property
    def calm_for(self) -> float:
        """Return for how many seconds no check has changed."""
        return self.now - max(check.changed for check in self.host.checks.values())

    @property
    def calm(self) -> bool:
        """Tell whether a flapping host may come back: no check has changed for flap_duration."""
        return self.monitor.auto_set_online > 0 and self.calm_for >= self.monitor.flap_duration

    @property
    def writable_unasked(self) -> bool:
        """Tell whether its server stays writable though it has not the writer role (rule 10.36)."""
        writable = self.host.writable
        passive = self.world.mode is Mode.PASSIVE  # nobody was told who is to write: it may be right to
        if writable is None or self.is_active_master or passive:
            return False
        return writable.seen - writable.since >= WRITABLE_GRACE

    @property
    def disk_failed(self) -> bool:
        """Tell whether it counts as failed for its disk is full."""
        return full_disk.is_failed(self.world, self.name, self.now)

    @property
    def waited_for_disk(self) -> float:
        """Return for how many seconds its server has waited for space on its disk."""
        return full_disk.waited(self.host, self.now)

    @property
    def no_room(self) -> bool:
        """Tell whether it is kept out of use for its disk is full."""
        return full_disk.keeps_out(self.world, self.name, self.now)

    @property
    def refuses_to_follow(self) -> str:
        """Return why its agent refuses to replicate from the active master; empty when it does not."""
        return self.host.agent.refuses_to_follow

    @property
    def unshared(self) -> Surplus | Written | None:
        """Return what it has and the active master lacked when they lost each other."""
        return divergence.unshared(self.world, self.name)

    @property
    def extra(self) -> Apart:
        """Return what it has too much, and the way out."""
        about = {"host": self.name, "extra": self.unshared or "nothing"}
        return Apart("extra", {**about, "master": divergence.opposite(self.world)})

    @property
    def rebuilt(self) -> Rebuilt | str:
        """Return what a job does to it; empty where there is none."""
        return "" if self.host.job is None else rebuilt(self.name, self.host.job)

    @property
    def being_compared(self) -> bool:
        """Tell whether it waits for its transactions to be compared with the active master's."""
        return divergence.awaited(self.world, self.name)

    @property
    def comparing(self) -> Apart:
        """Return what it waits for."""
        about = {"host": self.name, "master": self.world.active_master}
        return Apart("not_compared", {**about, "why": divergence.unreadable(self.world, self.name)})

    @property
    def nobody_else(self) -> bool:
        """Tell whether there is no active master, and it is the only host that might become it.

        One that is in use and is not promoted, for it lacks too much, cannot.
        """
        world = self.world
        if world.active_master is not None or not world.can_be_active_master(self.name):
            return False
        others = (host.name for host in world.masters() if host.name != self.name)
        return not any(
            world.hosts[other].state is State.ONLINE and not promotion.lacks(world, other) for other in others
        )

    @property
    def unproved(self) -> proof.Unproved | None:
        """Return why it is not proved to have all that the others have; None when it is."""
        return proof.unproved(self.world, self.name)

    @property
    def failing_checks(self) -> tuple[str, ...]:
        """Return the names of the checks that have failed and count."""
        checks = self.host.checks
        counts = (
            ("mysql", "rep_threads", "rep_backlog") if self.world.only_ping_lost(self.name) else tuple(checks)
        )
        return tuple(name for name in counts if checks[name].failed)

    @property
    def failing(self) -> Failing:
        """Return what has failed with its message: also a server that counts with ping, no ping that does not."""
        world, checks = self.world, self.host.checks
        names = {name for name, check in checks.items() if check.failed}
        if world.only_ping_lost(self.name):
            names.discard("ping")
        elif world.is_silent(self.name) and checks["mysql"].error_since is not None:
            names.add("mysql")
        return failing({name: check for name, check in checks.items() if name in names})
