"""The command rejoin: a host's agent is to have it rebuilt from another one (rule 5)."""

from collections.abc import Sequence
from dataclasses import dataclass

from mmm.monitor.command.asking import Asking, OrderRejoin
from mmm.monitor.command.command_result import Result, no_agent
from mmm.monitor.command.texts import Verdict
from mmm.monitor.world.world import World
from mmm.wire.rejoin import NOT_ALLOWED, Wanted
from mmm.wire.why import UNKNOWN_COMMAND


@dataclass(frozen=True, slots=True)
class Ordered:
    """What is ordered, of which host."""

    host: str
    wanted: Wanted


def ordered(words: Sequence[str]) -> Ordered | None:
    """Return what the words behind `rejoin` order, None where they make no sense."""
    hosts, donor, dry_run, left = list[str](), "", False, list(words)
    while left:
        word = left.pop(0)
        if word == "--dry-run":
            dry_run = True
        elif word == "--from" and left:
            donor = left.pop(0)
        else:
            hosts.append(word)
    if len(hosts) != 1 or hosts[0].startswith("-"):
        return None
    return Ordered(hosts[0], Wanted(donor, dry_run))


def run(world: World, order: Ordered) -> Asking[Result]:
    """Have a host of the conf rebuilt; what may be rebuilt the tool on that host decides."""
    host, wanted = order.host, order.wanted
    if wanted.donor and wanted.donor not in world.hosts:
        return Result(world, Verdict("unknown_host", {"host": wanted.donor, "known": tuple(world.hosts)}))
    if world.is_silent(host):
        return no_agent(world, host)
    heard = yield OrderRejoin(host, wanted)
    answer = heard.rejoin
    if answer is None:
        return no_agent(heard.world, host)
    lines = answer.came.lines
    about = {"host": host, "donor": wanted.donor or None, "lines": lines}
    if answer.came.begun:
        return Result(heard.world, Verdict("rejoin_dry_run" if wanted.dry_run else "rejoin_begun", about))
    if answer.why in (UNKNOWN_COMMAND, NOT_ALLOWED):
        return Result(heard.world, Verdict(_OF[answer.why], about))
    return Result(heard.world, Verdict("not_rebuilt", {**about, "reasons": answer.came.codes}))


_OF = {UNKNOWN_COMMAND: "rejoin_unknown", NOT_ALLOWED: "rebuild_not_allowed"}
