"""Whether a host is proved to have everything, while nobody is active master (rule 10.28). Pure.

Nobody comes back because nothing is known: each case without a proof has its reason here.
"""

from typing import ClassVar

from mmm.gtid.transactions import is_empty, surplus
from mmm.monitor.assess.divergence import is_fresh
from mmm.monitor.world.host import State
from mmm.monitor.world.said import Fields, Said, Texts
from mmm.monitor.world.world import World


class Unproved(Said):
    """Why a `host` is not proved to have all that the others have; `of` is the host whose data prove nothing."""

    __slots__ = ()

    texts: ClassVar[Texts] = {
        "first_start": "it was never in use, as far as is known: at a first start the admin chooses",
        "not_read": "its transactions have not been read since it came back",
        "not_known": "what {of} has is not known: it is {state}",
        "writable": "{of} may still be written to: it is not read-only",
        "lacks": "{of} has {more} that it lacks",
        "no_gtids": lambda of: f"{_whose(of)} has no GTIDs, so nothing can be proved",
        "no_transaction": lambda of: f"{_whose(of)} has no transaction by GTID, so nothing can be proved",
        "apart": "{of} replicates from {source}, not from {other}, so nothing can be proved",
    }


def _whose(of: Fields) -> str:
    return "it" if of["of"] == of["host"] else str(of["of"])


def unproved(world: World, name: str) -> Unproved | None:
    """Return why the host is not proved to have all that the others have; None when it is.

    Where nothing tells that the host was in use before, this is a first start: whose data are to be kept the admin
    knows. Hosts that the admin took out do not count. Slaves count as far as they were heard, for what they have came
    from a possible master.
    """
    about = {"host": name, "of": name}
    if not world.hosts[name].used:
        return Unproved("first_start", about)
    if not is_fresh(world, name):
        return Unproved("not_read", about)
    if says_nothing := _says_nothing(world, name, name):
        return says_nothing
    others = (other for other, host in world.hosts.items() if host.state is not State.ADMIN_OFFLINE)
    reasons = (_against(world, name, other) for other in others if other != name)
    return next((reason for reason in reasons if reason is not None), None)


def _against(world: World, name: str, other: str) -> Unproved | None:
    """Return why the host may lack something of the other, a possible master with which it has to be a pair."""
    needed, host, about = world.can_be_active_master(other), world.hosts[other], {"host": name, "of": other}
    if needed and (host.state is State.HARD_OFFLINE or not is_fresh(world, other)):
        return Unproved("not_known", {**about, "state": host.state})
    if needed and host.progress.transactions is not None and host.progress.transactions.writable:
        return Unproved("writable", about)
    ours, theirs = world.hosts[name].progress.transactions, host.progress.transactions
    if ours is not None and theirs is not None and ours.executed is not None and theirs.executed is not None:
        more = surplus(theirs.executed, ours.executed)
        if more:
            return Unproved("lacks", {**about, "more": more})
    if not needed:
        return None
    return _says_nothing(world, name, other) or _apart(world, name, other) or _apart(world, other, name)


def _says_nothing(world: World, name: str, of: str) -> Unproved | None:
    """Return why nothing follows for a host from what `of` has by GTID; None where it tells.

    Data that were there before the binary log was on are in no GTID.
    """
    has, about = world.hosts[of].progress.transactions, {"host": name, "of": of}
    if has is None or has.executed is None:
        return Unproved("no_gtids", about)
    return Unproved("no_transaction", about) if is_empty(has.executed) else None


def _apart(world: World, name: str, source: str) -> Unproved | None:
    """Return why the host does not count as a replica of the other; None where it does, also detached from it."""
    has, wanted = world.hosts[name].progress.transactions, world.conf.hosts[source]
    if has is not None and (has.source_ip, has.source_port) == (wanted.ip, wanted.mysql_port):
        return None
    follows = f"{has.source_ip}:{has.source_port}" if has is not None and has.source_ip else "nobody"
    return Unproved("apart", {"host": name, "of": name, "source": follows, "other": source})
