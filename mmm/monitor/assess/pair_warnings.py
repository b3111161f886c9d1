"""What is wrong with the pair of masters, and would hurt at a failover or after it. Pure."""

from collections.abc import Iterator

from mmm.config.model import Cluster
from mmm.gtid.settings import Settings
from mmm.monitor.world.host import State
from mmm.monitor.world.warnings import Value, Warned
from mmm.monitor.world.world import World


def too_many(conf: Cluster) -> str:
    """Return why the monitor cannot work with this conf, empty where it can."""
    names = _names(conf)
    if len(names) <= 2:
        return ""
    slaves = [name for name in names if name in conf.hosts and conf.hosts[name].mode == "slave"]
    todo = (
        f"take {', '.join(slaves)} out of its hosts, by mode slave"
        if slaves
        else "name two of them in its hosts"
    )
    return (
        f"role {conf.active_master_role} has {len(names)} possible masters ({', '.join(names)}):"
        f" MMM works with two; {todo}"
    )


def alone(conf: Cluster) -> str:
    """Return what follows where there is one possible master only, empty where there are two."""
    names = _names(conf)
    if len(names) != 1:
        return ""
    return f"only {names[0]} may be active master: there is no host to fail over to"


def found(world: World) -> tuple[Warned, ...]:
    """Return everything about the masters that would hurt later, as far as they were asked."""
    names = [name for name in _names(world.conf) if world.hosts[name].state is not State.ADMIN_OFFLINE]
    said = [warned for name in names for warned in _replication(world, name)]
    known = [(name, settings) for name in names if (settings := world.hosts[name].settings) is not None]
    if len(known) == 2:
        said += _increments(*known)
    return tuple(said)


def _names(conf: Cluster) -> tuple[str, ...]:
    role = conf.roles.get(conf.active_master_role)
    return role.hosts if role else ()


def _replication(world: World, name: str) -> Iterator[Warned]:
    read = world.hosts[name].progress.transactions
    ips = {world.conf.hosts[other].ip: other for other in _names(world.conf) if other != name}
    if read is None or not ips or read.detached or read.source_ip in ips:
        return
    now = f"from {read.source_ip}" if read.source_ip else "not at all"
    yield Warned("not_replicating", (name,), {"sources": " or ".join(ips.values()), "now": now})


def _increments(first: tuple[str, Settings], second: tuple[str, Settings]) -> Iterator[Warned]:
    (one, a), (two, b) = first, second
    both: dict[str, Value] = {"one": one, "two": two}
    if a.increment != b.increment:
        differ: dict[str, Value] = {**both, "first": a.increment, "second": b.increment}
        yield Warned("increment_differs", (one, two), differ)
    for name, settings in (first, second):
        figures = {"increment": settings.increment, "offset": settings.offset}
        if settings.increment < 2:
            yield Warned("increment_too_small", (name,), figures)
        if settings.offset > settings.increment:
            yield Warned("offset_too_big", (name,), figures)
    if a.offset == b.offset:
        yield Warned("offsets_equal", (one, two), {**both, "offset": a.offset})
