"""What the doctor finds on its own that the next failover would run into. Pure; the shell keeps the time.

Only what two looks in a row have found is shown: in the middle of a move or a restart much looks broken.
"""

from collections.abc import Iterable, Iterator

from mmm.doctor.picture import Finding
from mmm.doctor.rules import would_fail
from mmm.monitor.world.examined import Ending, Met
from mmm.monitor.world.host import State
from mmm.monitor.world.warnings import Warned
from mmm.monitor.world.world import World

PERIOD = 300.0
"""Seconds between two looks where all is well."""
AGAIN = 10.0
"""Seconds after which a look that found something is repeated; of many hosts it takes longer."""
_FIGURES = frozenset({"free", "seconds"})
"""Fields that may be others at the next look, of the same error."""
_APART = "no_way_to_agent"
_ENDING = frozenset({"certificate_ends", "certificate_ended"})
_HOSTS_A_SECOND = 10.0


def errors(world: World, found: Iterable[Finding]) -> frozenset[Met]:
    """Return what is wrong with hosts in use that the next failover would meet.

    What is the matter with a host that is not in use is said elsewhere.
    """
    hosts = world.hosts.items()
    out = {name for name, host in hosts if host.state is not State.ONLINE or host.agent.unreachable}
    return frozenset(
        Met(finding.host, finding.code, finding.fields.get("other", ""), _fields(finding))
        for finding in would_fail(found)
        if not out & {finding.host, finding.fields.get("to"), finding.fields.get("other")}
    )


def _fields(finding: Finding) -> tuple[str, ...]:
    return tuple(value for name, value in finding.fields.items() if name not in _FIGURES)


def ending(world: World, found: Iterable[Finding], looked: frozenset[str]) -> tuple[Ending, ...]:
    """Return the certificates that end soon, or have ended, of whatever host.

    Of hosts that were not `looked` at now it is what they said last: the agent whose certificate has ended is silent.
    """
    silent = (each for each in world.ending if each.host and each.host not in looked)
    now = (
        Ending(each.host, each.code == "certificate_ended", each.fields["path"], each.fields["date"])
        for each in found
        if each.code in _ENDING
    )
    return (*now, *silent)


def next_look(world: World) -> float:
    """Return the seconds until the next look."""
    return max(AGAIN, len(world.hosts) / _HOSTS_A_SECOND) if world.examined else PERIOD


def warned(world: World) -> Iterator[Warned]:
    """Return the lines of `show`: of what the doctor has found twice, and of certificates."""
    both = world.examined & world.examined_before
    apart = {each.other for each in both if (each.host, each.code) == (world.active_master, _APART)}
    if apart:
        others = [name for name in world.hosts if name in apart]
        ports = sorted({str(world.conf.hosts[name].agent_port) for name in others})
        fields = {"others": ", ".join(others), "ports": ", ".join(ports)}
        yield Warned("agents_apart", (str(world.active_master),), fields)
    if both:
        number = "1 error" if len(both) == 1 else f"{len(both)} errors"
        yield Warned("doctor", fields={"number": number, "count": len(both)})
    for each in world.ending:
        hosts = (each.host,) if each.host else ()
        fields = {"path": each.path, "date": each.date, "whose": each.host or "the monitor"}
        yield Warned("certificate_ended" if each.ended else "certificate_ends", hosts, fields)
