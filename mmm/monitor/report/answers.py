"""What `show`, `checks` and `mode` answer: the world as people and their scripts read it (rule 5)."""

from collections.abc import Callable, Sequence

from mmm.config.names import CHECK_NAMES
from mmm.monitor.report import concerns
from mmm.monitor.report.explain import explain
from mmm.monitor.report.health import health
from mmm.monitor.report.history import Entry, shown
from mmm.monitor.report.structured import structured
from mmm.monitor.world.world import Mode, World
from mmm.wire import control as wire
from mmm.wire.command import HELP

Clock = Callable[[float], float]
"""Turns a monotonic time of the world into wall-clock seconds since 1970."""


def answer(
    world: World, words: Sequence[str], now: float, clock: Clock, entries: tuple[Entry, ...] = ()
) -> str | None:
    """Return the answer to a command that only asks, None when it is none; `entries` is the history."""
    match list(words):
        case ["help"]:
            return HELP
        case ["ping"]:
            return "OK: Pinged successfully!"
        case ["show"]:
            return show(world, now, clock)
        case ["health"]:
            return str(health(world, now, clock))
        case ["json", *question]:
            values = structured(world, question, now, clock, entries)
            return answer(world, question, now, clock, entries) if values is None else values
        case ["checks"]:
            return checks(world, "all", "all", clock)
        case ["checks", host]:
            return checks(world, host, "all", clock)
        case ["checks", host, check]:
            return checks(world, host, check, clock)
        case ["mode"] | ["failover_method"]:
            return str(world.mode)
        case ["explain" | "history", *_]:
            return _why(world, words, now, clock, entries)
        case _:
            return None


def _why(
    world: World, words: Sequence[str], now: float, clock: Clock, entries: tuple[Entry, ...]
) -> str | None:
    match list(words):
        case ["explain"]:
            return explain(world, "all", now, clock)
        case ["explain", host] if host == "all" or host in world.hosts:
            return explain(world, host, now, clock)
        case ["explain", host]:
            return f"ERROR: Unknown host name '{host}'! Known are {', '.join(world.hosts)}."
        case ["history"]:
            return shown(entries)
        case ["history", count] if count.isdecimal() and len(count) < 10 and int(count):
            return shown(entries, int(count))
        case ["history", count]:
            return f"ERROR: '{count}' is no number of entries: use a whole number from 1 on."
        case _:
            return None


def show(world: World, now: float = 0.0, clock: Clock = lambda seconds: seconds) -> str:
    """Return the answer to `show`: the roles that agents have confirmed, and what stands in the way.

    In passive mode nothing is sent that could be confirmed; roles that were set by hand show where they will be.
    """
    hosts = tuple(_host(world, name) for name in world.hosts)
    passive = str(world.passive_cause or "") if world.mode is Mode.PASSIVE else None
    preferences = tuple(
        wire.Preference(role.name, role.prefer, world.owner[role.vips[0]] or "")
        for role in world.conf.roles.values()
        if role.prefer and role.mode == "exclusive"
    )
    warnings = tuple(map(str, concerns.found(world, now, clock)))
    return wire.encode_show(wire.Show(hosts, passive, warnings, preferences), world.conf.dialect)


def checks(world: World, host: str, check: str, clock: Clock) -> str:
    """Return the answer to `checks`."""
    if check != "all" and check not in CHECK_NAMES:
        return f"ERROR: Unknown check '{check}'! Known are {', '.join(CHECK_NAMES)}."
    if host != "all" and host not in world.hosts:
        return f"ERROR: Unknown host name '{host}'! Known are {', '.join(world.hosts)}."
    names = tuple(world.hosts) if host == "all" else (host,)
    kinds = CHECK_NAMES if check == "all" else (check,)
    lines = []
    for name in names:
        for kind in kinds:
            status = world.hosts[name].checks[kind]
            lines.append(wire.CheckLine(name, kind, wire.moment(clock(status.changed)), str(status.finding)))
    return wire.encode_checks(lines)


def _host(world: World, name: str) -> wire.ShowHost:
    host, conf = world.hosts[name], world.conf.hosts[name]
    told = frozenset(host.agent.told.vips if host.agent.told is not None else ())
    if world.mode is Mode.PASSIVE:
        told = frozenset(vip for vip in told if world.owner.get(vip) in (None, name)) | world.vips_of(name)
    return wire.ShowHost(name, conf.ip, conf.mode, str(host.state), tuple(told))
