"""What is to happen in a run: a cluster's conf, the faults and the admin's commands, all made of the seed."""

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Literal, cast

from mmm.config.model import Check, Cluster, Host, Monitor, MonitorMode, Role
from mmm.config.names import CHECK_NAMES

WRITER_HOST = "@writer"
"""Stands for the host that the active master role is assigned to when the fault comes."""


class Kind(StrEnum):
    """What can happen to a cluster; the value is the sentence of the history."""

    HOST_CRASH = "loses power"
    HOST_FREEZE = "freezes as a whole"
    AGENT_CRASH = "agent dies"
    AGENT_STOP = "agent is stopped in order"
    AGENT_FREEZE = "agent freezes"
    SERVER_CRASH = "server dies"
    SERVER_FREEZE = "server freezes"
    SERVER_REFUSES = "server turns everybody away"
    SERVER_WRITABLE = "server is made writable by hand"
    VIP_BY_HAND = "a VIP is bound by hand"
    INTERFACE_STUCK = "interface takes no changes"
    REPLICATION_BREAKS = "replication breaks"
    REPLICATION_LAGS = "replication falls behind"
    UPTIME_LIES = "lies about its uptime"
    PING_LOST = "does not answer ping, though all is well"
    CUT_TO = "nothing arrives from the monitor"
    CUT_FROM = "nothing arrives at the monitor"
    CUT = "is cut off from the monitor"
    APART = "is cut off from the other hosts"
    ORDER_LOST = "the next order is lost"
    ORDER_LATE = "the next order arrives late"
    ORDER_TWICE = "the next order arrives twice"
    ANSWER_LOST = "the next answer is lost"
    ANSWER_LATE = "the next answer arrives late"
    ANSWER_TWICE = "the next answer arrives twice"
    ANSWER_GARBAGE = "the next answer is garbage"
    CHECK_LATE = "a check's result arrives late"
    KILL_FAILS = "kill_host fails"
    KILL_MISSING = "kill_host is missing"
    NETWORK_LOST = "the monitor loses the network"
    NETWORK_UNSEEN = "the monitor loses the network, and an address of its own is among the ping_ips"
    PING_IPS_LOST = "the ping_ips do not answer"
    MONITOR_CRASH = "the monitor dies"
    MONITOR_STOP = "the monitor is stopped in order"
    MONITOR_FREEZE = "the monitor freezes"
    FILE_LOST = "the status file cannot be written"
    COMMAND = "the admin says"


class LeadKind(StrEnum):
    """What can happen to one of two monitors, and to who leads."""

    LEADER_CRASH = "the monitor that leads dies"
    LEADER_STOP = "the monitor that leads is stopped in order"
    LEADER_FREEZE = "the monitor that leads freezes"
    LEADER_CUT = "the monitor that leads is cut off from all hosts"
    LEADER_PART = "is cut off from the monitor that leads"
    STANDBY_CRASH = "the monitor that stands by dies"
    STANDBY_FREEZE = "the monitor that stands by freezes"
    STANDBY_CUT = "the monitor that stands by is cut off from all hosts"
    STANDBY_PART = "is cut off from the monitor that stands by"
    APART = "the monitors do not reach each other"
    HAND_OVER = "the admin says 'hand_over'"
    DISK_LOST = "loses its disk, as far as it votes, and boots"
    TAKE_LEAD = "the admin says 'take_lead --force' where none leads"


_WEIGHTS = {
    Kind.HOST_CRASH: 4,
    Kind.HOST_FREEZE: 3,
    Kind.SERVER_CRASH: 4,
    Kind.SERVER_FREEZE: 3,
    Kind.AGENT_CRASH: 3,
    Kind.CUT: 3,
    Kind.NETWORK_UNSEEN: 4,
    Kind.MONITOR_CRASH: 2,
    Kind.COMMAND: 7,
}
OF_THE_MONITOR = {
    Kind.KILL_FAILS,
    Kind.KILL_MISSING,
    Kind.NETWORK_LOST,
    Kind.NETWORK_UNSEEN,
    Kind.PING_IPS_LOST,
    Kind.MONITOR_CRASH,
    Kind.MONITOR_STOP,
    Kind.MONITOR_FREEZE,
    Kind.FILE_LOST,
    Kind.COMMAND,
}
_KINDS = tuple(Kind)
_KIND_WEIGHTS = tuple(_WEIGHTS.get(kind, 2) for kind in _KINDS)


@dataclass(frozen=True, slots=True)
class Action:
    """A fault that begins at `at` and ends `lasts` seconds later, or a command."""

    at: float
    kind: Kind | LeadKind
    host: str = ""
    lasts: float = 0.0
    words: str = ""

    def __str__(self) -> str:
        if self.kind is Kind.COMMAND:
            return f"{self.kind} {self.words!r}"
        where = f"{self.host}: " if self.host else ""
        return f"{where}{self.kind}{f' {self.words}' if self.words else ''}, {self.lasts:.2f} s"


@dataclass(frozen=True, slots=True)
class Scenario:
    """All that makes a run."""

    seed: int
    conf: Cluster
    actions: tuple[Action, ...]
    end: float
    """When every fault has ended."""
    gtid: bool = True
    tick: float = 1.0
    order_limit: float = 30.0
    """Seconds after which the monitor stops waiting for the answer to an order."""
    starts_writable: bool = False
    """A server that starts takes writes (its my.cnf lacks read_only)."""
    first_start: bool = False
    """There is no status file, the agents know nothing, and the servers are empty."""

    def __str__(self) -> str:
        monitor = self.conf.monitor
        roles = ", ".join(
            f"{role.name} ({role.mode}, {len(role.ips)} VIPs on {' '.join(role.hosts)}"
            f"{f', prefers {role.prefer}' if role.prefer else ''})"
            for role in self.conf.roles.values()
        )
        checks = self.conf.checks["mysql"]
        return (
            f"seed {self.seed}: hosts {' '.join(self.conf.hosts)}; {roles}; mode {monitor and monitor.mode};"
            f" checks every {checks.check_period:.2f} s, trap {checks.trap_period:.2f} s;"
            f" auto_set_online {monitor and monitor.auto_set_online:.0f};"
            f" flapping {monitor and monitor.flap_count} in {monitor and monitor.flap_duration:.0f} s;"
            f"{' ping alone kills;' if monitor and monitor.ping_alone_kills else ''}"
            f"{f' leases of {self.conf.vip_lease:g} s;' if self.conf.vip_lease else ''}"
            f"{f' leads of {self.conf.lead_lease:g} s, voters {self.conf.voters};' if self.conf.monitors else ''}"
            f" server_exit {monitor and monitor.server_exit};"
            f" failover_block {monitor and monitor.failover_block:.0f}; connect_grace {checks.connect_grace:.0f};"
            f" {'GTID' if self.gtid else 'file positions'}; servers start"
            f" {'writable' if self.starts_writable else 'read_only'};{' a first start;' if self.first_start else ''}"
            f" orders wait {self.order_limit:.0f} s;"
            f" faults end at {self.end:.3f}"
        )


def scenario(seed: int) -> Scenario:
    """Return what the seed stands for."""
    draw = Random(seed)  # noqa: S311 - a run is to be repeated, not to be secret
    conf = _conf(draw)
    # Calm runs have faults one at a time, each in a cluster that is well.
    calm = draw.random() < 0.2
    gap = 0.1 * 20 ** draw.random() if not calm else draw.uniform(10.0, 40.0)
    longest = draw.choice((2.0, 10.0, 30.0, 90.0)) if not calm else 30.0
    actions: list[Action] = []
    now = 1.0
    for _ in range(draw.randint(50, 300) if not calm else draw.randint(5, 20)):
        now += draw.expovariate(1 / gap)
        actions += _action(draw, conf, now, longest)
    end = now + draw.choice((1.0, 5.0, 20.0))
    made = Scenario(
        seed,
        conf,
        tuple(sorted(actions, key=lambda action: action.at)),
        end,
        gtid=draw.random() < 0.7,
        tick=draw.choice((0.25, 1.0, 2.0, 3.0)),
        order_limit=draw.choice((5.0, 30.0)),
        starts_writable=draw.random() < 0.3,
    )
    lease = draw.choice((0.0, 0.0, 2.0, 5.0, 10.0)) if draw.random() < 0.5 else 0.0
    made = replace(made, first_start=draw.random() < 0.15)
    made = with_leases(made, lease) if lease else made
    return _with_exit(made, draw.choice(("trap", "failover")))


def _with_exit(made: Scenario, server_exit: Literal["trap", "failover"]) -> Scenario:
    """Return the scenario in which that follows from the end of a server's process."""
    assert made.conf.monitor is not None
    monitor = replace(made.conf.monitor, server_exit=server_exit)
    return replace(made, conf=replace(made.conf, monitor=monitor))


def with_leases(made: Scenario, length: float) -> Scenario:
    """Return the scenario with a writer lease, which the monitor's turns are often enough to renew."""
    assert made.conf.monitor is not None
    monitor = replace(made.conf.monitor, split_brain_guard=True)
    return replace(
        made, conf=replace(made.conf, vip_lease=length, monitor=monitor), tick=min(made.tick, length / 4, 1.0)
    )


def _conf(draw: Random) -> Cluster:
    slaves = draw.choice((0, 0, 0, 1, 1, 2, 3, 4, 6))
    hosts = {"db1": Host("db1", "10.0.0.1", "master", "db2"), "db2": Host("db2", "10.0.0.2", "master", "db1")}
    for number in range(3, 3 + slaves):
        hosts[f"db{number}"] = Host(f"db{number}", f"10.0.0.{number}", "slave")
    period = draw.choice((1.0, 2.0, 5.0, 5.0))
    trap = draw.choice((0.0, 1.0, 3.0, 10.0))
    grace = draw.choice((0.0, 5.0, 60.0))
    mode = draw.choices(("active", "manual", "wait", "passive"), (12, 1, 2, 1))[0]
    return Cluster(
        program="MONITOR",
        dialect=2,
        path=Path("mmm_mon.conf"),
        files=(),
        hosts=hosts,
        roles=_roles(draw, tuple(hosts)),
        checks={name: Check(name, period, trap, connect_grace=grace) for name in CHECK_NAMES},
        monitor=Monitor(
            ip="127.0.0.1",
            ping_ips=("10.0.0.254",),
            split_brain_guard=False,
            auto_set_online=draw.choice((0.0, 2.0, 10.0, 60.0)),
            flap_count=draw.choice((0, 3, 3, 10)),
            flap_duration=draw.choice((20.0, 60.0, 3600.0)),
            careful_startup=draw.random() < 0.8,
            mode=cast("MonitorMode", mode),
            ping_alone_kills=draw.random() < 0.3,
            failover_block=draw.choice((0.0, 20.0, 60.0)),
            wait_for_other_master=draw.choice((0.0, 10.0, 120.0)),
        ),
        vip_lease=0.0,
        active_master_role="writer",
    )


def _roles(draw: Random, hosts: tuple[str, ...]) -> dict[str, Role]:
    masters = hosts[:2]
    prefer = draw.choice((None, None, "db1", "db2"))
    roles = {"writer": Role("writer", "exclusive", masters, ("10.0.1.1",), prefer)}
    if draw.random() < 0.9:
        readers = tuple(f"10.0.2.{number}" for number in range(1, 2 + draw.randint(0, len(hosts) + 1)))
        able = hosts if draw.random() < 0.7 else tuple(host for host in hosts if draw.random() < 0.7) or hosts
        roles["reader"] = Role("reader", "balanced", able, readers)
    if draw.random() < 0.25:
        roles["batch"] = Role("batch", "exclusive", hosts, ("10.0.3.1",), draw.choice((None, hosts[-1])))
    if draw.random() < 0.25:
        roles["report"] = Role("report", "balanced", hosts[::-1], ("10.0.4.1", "10.0.4.2"))
    return roles


def _action(draw: Random, conf: Cluster, now: float, longest: float) -> list[Action]:
    kind = draw.choices(_KINDS, _KIND_WEIGHTS)[0]
    hosts = tuple(conf.hosts)
    lasts = 0.1 * (longest / 0.1) ** draw.random()
    if kind is Kind.COMMAND:
        return _command(draw, conf, now, lasts)
    host = "" if kind in OF_THE_MONITOR else WRITER_HOST if draw.random() < 0.35 else draw.choice(hosts)
    words = str(draw.choice(conf.vips)) if kind is Kind.VIP_BY_HAND else ""
    if kind is Kind.CHECK_LATE:
        words = draw.choice(CHECK_NAMES)
    return [Action(now, kind, host, lasts, words)]


def _command(draw: Random, conf: Cluster, now: float, lasts: float) -> list[Action]:
    host, role = draw.choice(tuple(conf.hosts)), draw.choice(tuple(conf.roles))
    words = draw.choices(
        (
            f"set_online {host}",
            f"set_offline {host}",
            f"move_role writer {draw.choice(('db1', 'db2'))}",
            f"move_role {role} {host}",
            f"move_role --force writer {host}",
            f"move_role --dry-run {draw.choice(('--force ', ''))}{role} {host}",
            f"confirm_dead {host} admin",
            "set_active",
            "set_manual",
            "set_passive",
            "failover_method wait",
            f"set_ip {draw.choice(conf.vips).ip} {host}",
        ),
        (8, 4, 8, 4, 3, 1, 3, 2, 1, 1, 1, 1),
    )[0]
    said = [Action(now, Kind.COMMAND, words=words)]
    if words in ("set_manual", "set_passive") and draw.random() < 0.8:
        said.append(Action(now + lasts, Kind.COMMAND, words="set_active"))
    if words.startswith("set_offline") and draw.random() < 0.8:
        said.append(Action(now + lasts, Kind.COMMAND, words=f"set_online {host}"))
    return said
