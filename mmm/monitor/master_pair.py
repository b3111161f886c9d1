"""Warnings about the pair of masters that the admin should know before a failover needs it (SPEC section 6, Start)."""

from collections.abc import Mapping
from dataclasses import dataclass

from mmm.config.model import Cluster


@dataclass(frozen=True, slots=True)
class MasterFacts:
    """What a possible master's server says of itself; `source_ip` is empty without replication."""

    source_ip: str
    increment: int
    offset: int


def too_many(conf: Cluster) -> str:
    """Return why the monitor cannot work with this conf, empty where it can."""
    names = _names(conf)
    if len(names) <= 2:
        return ""
    return (
        f"role {conf.active_master_role} has {len(names)} possible masters ({', '.join(names)}):"
        " MMM works with two. Name two of them in its hosts."
    )


def warnings(conf: Cluster, facts: Mapping[str, MasterFacts]) -> tuple[str, ...]:
    """Return a sentence for everything about the masters that would hurt later."""
    names = _names(conf)
    said: list[str] = []
    if len(names) == 1:
        said.append(f"only {names[0]} may be active master: there is no host to fail over to")
    known = [name for name in names if name in facts]
    for name in known:
        said += _replication(conf, name, [other for other in names if other != name], facts[name])
    if len(known) == 2:
        said += _increments(*((name, facts[name]) for name in known))
    return tuple(said)


def _names(conf: Cluster) -> tuple[str, ...]:
    role = conf.roles.get(conf.active_master_role)
    return role.hosts if role else ()


def _replication(conf: Cluster, name: str, others: list[str], facts: MasterFacts) -> list[str]:
    ips = {conf.hosts[other].ip: other for other in others}
    if not ips or facts.source_ip in ips:
        return []
    now = f"from {facts.source_ip}" if facts.source_ip else "not at all"
    return [
        f"{name} does not replicate from {' or '.join(ips.values())} ({now}): set up replication in both directions"
    ]


def _increments(first: tuple[str, MasterFacts], second: tuple[str, MasterFacts]) -> list[str]:
    said = []
    (one, a), (two, b) = first, second
    if a.increment != b.increment:
        said.append(f"auto_increment_increment differs: {a.increment} on {one}, {b.increment} on {two}")
    for name, facts in (first, second):
        if facts.increment < 2:
            said.append(
                f"auto_increment_increment is {facts.increment} on {name}: at least 2 is needed for two masters"
            )
        if facts.offset > facts.increment:
            said.append(
                f"auto_increment_offset is {facts.offset} on {name}, more than the increment {facts.increment}"
            )
    if a.offset == b.offset:
        said.append(f"auto_increment_offset is {a.offset} on both {one} and {two}: they must differ")
    return said
