"""What questions answer: the world as people and their scripts read it (rule 5)."""

from collections.abc import Sequence

from mmm.monitor.command.leading import leads
from mmm.monitor.command.texts import Verdict, unknown_host
from mmm.monitor.report import leading, status
from mmm.monitor.report.clock import Clock
from mmm.monitor.report.explain import explain
from mmm.monitor.report.health import health
from mmm.monitor.report.history import SHOWN, Entry, count_of, shown
from mmm.monitor.report.structured import structured
from mmm.monitor.world.world import World
from mmm.wire import control as wire
from mmm.wire.command import HELP, JSON


def answer(
    world: World, words: Sequence[str], now: float, clock: Clock, entries: tuple[Entry, ...] = ()
) -> str | None:
    """Return the answer to a command that only asks, None when it is none; `entries` is the history."""
    match list(words):
        case ["help"]:
            return HELP
        case ["ping"]:
            return str(Verdict("pinged"))
        case ["leads"]:
            return str(leads(world, now))
        case ["monitors"]:
            return leading.lines(world, clock)
        case ["show"]:
            return show(world, now, clock)
        case ["health"]:
            return str(health(world, now, clock))
        case [json, *question] if json == JSON:
            values = structured(world, question, now, clock, entries)
            return answer(world, question, now, clock, entries) if values is None else values
        case ["status"]:
            return structured(world, words, now, clock, entries)
        case ["checks", *which] if len(which) < 3:
            host, check = (*which, "all", "all")[:2]
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
            return str(unknown_host(world, host))
        case ["history"]:
            return shown(entries, clock, SHOWN)
        case ["history", count]:
            number = count_of(count)
            return (
                str(Verdict("no_count", {"count": count}))
                if number is None
                else shown(entries, clock, number)
            )
        case _:
            return None


def show(world: World, now: float, clock: Clock) -> str:
    """Return the answer to `show`, in the layout of the conf's dialect."""
    return wire.encode_show(status.of_show(world, now, clock), world.conf.dialect)


def checks(world: World, host: str, check: str, clock: Clock) -> str:
    """Return the answer to `checks`."""
    found = status.of_checks(world, host, check, clock)
    return str(found) if isinstance(found, Verdict) else wire.encode_checks(line for line, _ in found)
