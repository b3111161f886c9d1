"""The command rejoin: a host's agent is to have it rebuilt from another one (rule 5)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mmm.monitor.command.asking import Asking, OrderRejoin
from mmm.monitor.command.command_result import Result, no_agent
from mmm.monitor.command.texts import ByCommand, Verdict, unknown_host
from mmm.monitor.states import table
from mmm.monitor.world.host import State
from mmm.monitor.world.world import World
from mmm.wire.rejoin import METHODS, NOT_ALLOWED, Wanted
from mmm.wire.why import UNKNOWN_COMMAND


@dataclass(frozen=True, slots=True)
class Ordered:
    """What is ordered, of which host."""

    host: str
    wanted: Wanted
    stay_offline: bool = False
    """It is to be ADMIN_OFFLINE from now on, also when it is whole again."""


_FLAGS = frozenset({"--dry-run", "--abort", "--stay-offline"})
_NAMING = frozenset({"--from", "--method", "--lose-extra"})


def ordered(words: Sequence[str]) -> Ordered | None:
    """Return what the words behind `rejoin` order, None where they make no sense."""
    flags, named, hosts, left = set[str](), dict[str, str](), list[str](), list(words)
    while left:
        word = left.pop(0)
        if word in _NAMING and left:
            named[word] = left.pop(0)
        elif word in _FLAGS:
            flags.add(word)
        else:
            hosts.append(word)
    if len(hosts) != 1 or any(name.startswith("-") for name in (*hosts, *named.values())):
        return None
    method = named.get("--method", "")
    if method and method not in METHODS:
        return None
    if "--abort" in flags and (named or len(flags) > 1):
        return None
    donor, lose_extra = named.get("--from", ""), named.get("--lose-extra", "")
    wanted = Wanted(donor, "--dry-run" in flags, lose_extra, "--abort" in flags, method)
    return Ordered(hosts[0], wanted, "--stay-offline" in flags)


def run(world: World, order: Ordered) -> Asking[Result]:
    """Have a host of the conf rebuilt; what may be rebuilt the tool on that host decides.

    That a host is in use is known here: it is said before anything that stands in the way of an order.
    """
    host, wanted = order.host, order.wanted
    if refused := _refused(world, host, wanted):
        return Result(world, refused)
    if world.is_silent(host):
        return no_agent(world, host)
    heard = yield OrderRejoin(host, wanted)
    answer = heard.rejoin
    if answer is None and host not in heard.world.hosts:  # another conf was taken meanwhile
        return Result(heard.world, unknown_host(heard.world, host))
    if answer is None:
        return no_agent(heard.world, host)
    about = {"host": host, "donor": wanted.donor or None, "lines": answer.came.lines}
    if answer.came.begun:
        return _begun(heard.world, heard.now, order, about)
    if answer.why in (UNKNOWN_COMMAND, NOT_ALLOWED):
        return Result(heard.world, Verdict(_OF[answer.why], about))
    return Result(heard.world, Verdict("not_rebuilt", {**about, "reasons": answer.came.codes}))


_OF = {UNKNOWN_COMMAND: "rejoin_unknown", NOT_ALLOWED: "rebuild_not_allowed"}


def _refused(world: World, host: str, wanted: Wanted) -> Verdict | None:
    if wanted.donor and wanted.donor not in world.hosts:
        return unknown_host(world, wanted.donor)
    if wanted.lose_extra and wanted.lose_extra != host:
        return Verdict("other_host_named", {"host": host, "named": wanted.lose_extra})
    reasons = () if wanted.abort else tuple(_in_use(world, host))
    if reasons:
        lines = tuple(_IN_USE[code].format(host=host) for code in reasons)
        about = {"host": host, "donor": wanted.donor or None, "lines": lines, "reasons": reasons}
        return Verdict("not_rebuilt", about)
    return None


_IN_USE = {
    "active_master": "it is the active master, whose data are never touched: move the role away first",
    "online": "it is ONLINE, clients may be reading there: 'mmm_control set_offline {host}' first",
}
"""Why a host that is in use is not rebuilt, by the code that the tool on that host has for it too."""


def _in_use(world: World, host: str) -> Iterator[str]:
    if world.active_master == host:
        yield "active_master"
    if world.hosts[host].state is State.ONLINE:
        yield "online"


def _begun(world: World, now: float, order: Ordered, about: Mapping[str, object]) -> Result:
    host, wanted = order.host, order.wanted
    if wanted.dry_run:
        return Result(world, Verdict("rejoin_dry_run", about))
    if wanted.abort:
        return Result(world, Verdict("rejoin_aborted", about))
    if not order.stay_offline or host not in world.hosts:
        return Result(world, Verdict("rejoin_begun", about))
    if not world.leadership.may_order:  # another monitor has come to lead meanwhile, and knows nothing of it
        return Result(
            world, Verdict("rejoin_begun_only", {**about, "leader": world.leadership.leader or None})
        )
    if world.hosts[host].state is not State.ADMIN_OFFLINE:
        world = table.enter(world, host, State.ADMIN_OFFLINE, ByCommand("stays_offline"), now)
    return Result(_without_roles(world, host), Verdict("rejoin_begun_offline", about))


def _without_roles(world: World, host: str) -> World:
    """Return the world in which a host that is rebuilt serves nothing: one that fails in manual mode keeps its roles.

    The data of the active master are never touched. Where it has become that meanwhile the tool refuses.
    """
    return world.with_owner(dict.fromkeys(world.vips_of(host) - world.master_vips))
