"""What is the matter with a host, by name: the table behind `show`, `explain`, the log and docs/safety.md (rule 11.3).

A diagnosis says what is seen, not what follows: that the state rules decide, the lease and the promises. The first
that fits counts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from mmm.monitor.assess import second_opinion
from mmm.monitor.world.host import HostWorld, State
from mmm.monitor.world.said import Said, Texts, listed
from mmm.monitor.world.world import World


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A row of the table. `sentence` is formatted with the host's `name`, its agent's `port`, `others` that reach it.

    `causes` are what it may come from; `writer`, `when` and `then` tell what becomes of the writer role of such a host,
    after how long, and what an admin does. All three are words for the page.
    """

    name: str
    fits: Callable[[World, str], bool]
    sentence: str
    causes: str
    writer: str
    when: str
    then: str


def _host(fits: Callable[[HostWorld], bool]) -> Callable[[World, str], bool]:
    return lambda world, name: fits(world.hosts[name])


def _pings(host: HostWorld) -> bool:
    return host.checks["ping"].error_since is None


def _refuses(host: HostWorld) -> bool:
    mysql = host.checks["mysql"]
    return mysql.error_since is not None and mysql.refused


def _falls_silent(host: HostWorld) -> bool:
    mysql = host.checks["mysql"]
    return mysql.error_since is not None and not mysql.refused


def _agent_silent(host: HostWorld) -> bool:
    return host.agent.unreachable and not host.agent.closed


_FAILED = "`check_period` + `trap_period` of mysql"
_SILENT = f"{_FAILED} + `timeout`"
_GONE = "`agent_failover` after the end of the lease, `vip_lease` + 1 s after the agent was last heard"
_LEASE = "`vip_lease` + 1 s after the host was last heard"

TABLE: tuple[Diagnosis, ...] = (
    Diagnosis(
        "monitor_cut_off",
        lambda world, _: not world.network_up,
        "the monitor reaches none of its ping_ips: nothing is known of {name}, and nothing is done",
        "the monitor's own network",
        "stays; the masters promise each other that it does",
        "at once",
        "fix the monitor's network",
    ),
    Diagnosis(
        "cut_off_from_monitor",
        lambda world, name: bool(second_opinion.reached_by(world, name)),
        "only the monitor cannot reach {name}: its server answers {others}",
        "a link or a filter between monitor and host",
        "stays; its peers promise that it does",
        "never",
        "fix the link",
    ),
    Diagnosis(
        "host_stopped_serving",
        _host(lambda host: _refuses(host) and host.agent.closed),
        "neither server nor agent of {name} listens, its system lives",
        "both stopped or crashed; the host is booting",
        "goes to another",
        "when kill_host succeeds, the lease has run out, or nothing answers ARP for the VIP",
        "start both",
    ),
    Diagnosis(
        "server_dead",
        _host(_refuses),
        "nothing listens at the port of the server of {name}: it is dead, or listens at another address",
        "stopped, crashed or killed; a bind-address without the host's own; a firewall that rejects its port",
        "goes to another once the agent has let it go",
        f"{_FAILED}, with `server_exit failover` at once; no lease is waited for",
        "start the server; it comes back automatically if it holds nothing that the new writer lacks",
    ),
    Diagnosis(
        "host_silent",
        _host(lambda host: _falls_silent(host) and not _pings(host)),
        "nothing of {name} answers, and nobody else reaches it: it is dead, or cut off from everybody",
        "no power, a kernel that hangs, a cable that is pulled",
        "goes to another; a host that lives has set read_only by then, ended its clients and lost the VIP",
        f"{_SILENT}, and {_LEASE}; at once when kill_host succeeds",
        "switch it off or fix its network; make kill_host do it",
    ),
    Diagnosis(
        "host_frozen",
        _host(lambda host: _falls_silent(host) and _agent_silent(host)),
        "{name} answers ping, but neither its server nor its agent says anything",
        "both frozen: swapping, a disk that hangs, a paused virtual machine",
        "goes to another; the kernel removes the VIP if nobody else does",
        f"{_SILENT}, and {_LEASE}; at once when kill_host succeeds",
        "look at its disks and memory",
    ),
    Diagnosis(
        "server_frozen",
        _host(_falls_silent),
        "the server of {name} accepts connections and says nothing, its agent answers",
        "SIGSTOP, a disk that hangs, a deadlock in the server",
        "goes to another once the agent has ended the clients and unbound the VIP; the server is made read_only as soon"
        " as it thaws",
        f"{_SILENT} + 0.5 s; no lease is waited for",
        "look at its disks; restart the server",
    ),
    Diagnosis(
        "server_saturated",
        _host(lambda host: host.checks["mysql"].saturated),
        "the server of {name} lives and has no connection left to give",
        "max_connections or a limit of the account is reached",
        "stays: it serves those that are connected",
        "never",
        "raise the limit or end connections",
    ),
    Diagnosis(
        "agent_dead",
        _host(lambda host: host.agent.closed),
        "nothing listens at the agent's port {port} of {name}, or a firewall rejects it; its server works",
        "the agent was stopped, killed or never started; a firewall that rejects its port",
        "if the agent was stopped in order, the VIP is left there for good and the role stays; if it was killed,"
        " the VIP goes with its lease: the host gets the role again when its agent is back, or another host gets it",
        _GONE,
        "start the agent; open its port",
    ),
    Diagnosis(
        "agent_frozen",
        _host(_agent_silent),
        (
            "the agent of {name} says nothing, its server works: it hangs, a firewall drops TCP {port}, or its"
            " allow_from lacks this monitor"
        ),
        "SIGSTOP, a machine out of memory; a firewall that drops its port; allow_from without the monitor",
        "nobody has it once the lease is over: the angel sets read_only, ends clients and unbinds, or the kernel"
        " removes the VIP. It is given the role again when it thaws, or another host gets it",
        _GONE,
        "thaw or restart the agent; look at its log and the firewall",
    ),
)  # fmt: skip


def diagnose(world: World, name: str) -> Diagnosis | None:
    """Return what is the matter with the host, None when nothing is, or the admin has taken it out."""
    if world.hosts[name].state is State.ADMIN_OFFLINE:
        return None
    return next((row for row in TABLE if row.fits(world, name)), None)


def notable(world: World, name: str) -> Diagnosis | None:
    """Return the host's diagnosis, None before a check that begins to fail has failed.

    Nor while a job rebuilds it, which stops its server.
    """
    host = world.hosts[name]
    failing = host.checks["mysql"].error_since is not None
    if host.being_rebuilt or (failing and not world.is_dead(name)):
        return None
    return diagnose(world, name)


class Diagnosed(Said):
    """What is the matter with a host: the name of its diagnosis, and the sentence."""

    __slots__ = ()

    texts: ClassVar[Texts] = {row.name: row.sentence for row in TABLE}


def said(world: World, name: str) -> Diagnosed | None:
    """Return the host's diagnosis with its figures; None when nothing is the matter."""
    found = diagnose(world, name)
    if found is None:
        return None
    others, port = listed(second_opinion.reached_by(world, name)), world.conf.hosts[name].agent_port
    return Diagnosed(found.name, {"name": name, "others": others, "port": port})
