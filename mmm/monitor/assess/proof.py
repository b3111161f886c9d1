"""Whether a host is proved to have everything, while nobody is active master (rule 10.28). Pure.

Nobody comes back on the ground that nothing is known: what proves nothing has its reason here.
"""

from mmm.gtid.transactions import is_empty, surplus
from mmm.monitor.assess.divergence import is_fresh
from mmm.monitor.world.host import State
from mmm.monitor.world.world import World


def unproved(world: World, name: str) -> str:
    """Return why the host is not proved to have all that the others have; empty when it is.

    Where nothing tells that the host was in use before, this is a first start: whose data are to be kept the admin
    knows. Hosts that the admin took out do not count. Slaves count as far as they were heard, for what they have came
    from a possible master.
    """
    if not world.hosts[name].used:
        return "nothing tells that it was in use before: at a first start the admin chooses"
    if not is_fresh(world, name):
        return "what it has was not read since it came back"
    if says_nothing := _says_nothing(world, name):
        return f"it {says_nothing}"
    others = (other for other, host in world.hosts.items() if host.state is not State.ADMIN_OFFLINE)
    reasons = (_against(world, name, other) for other in others if other != name)
    return next((reason for reason in reasons if reason), "")


def _against(world: World, name: str, other: str) -> str:
    """Return why the host may lack something of the other, a possible master with which it has to be a pair."""
    needed, host = world.can_be_active_master(other), world.hosts[other]
    if needed and (host.state is State.HARD_OFFLINE or not is_fresh(world, other)):
        return f"what {other} has is not known: it is {host.state}"
    if needed and host.progress.transactions is not None and host.progress.transactions.writable:
        return f"{other} may still be written to: it is not read-only"
    ours, theirs = world.hosts[name].progress.transactions, host.progress.transactions
    if ours is not None and theirs is not None and ours.executed is not None and theirs.executed is not None:
        more = surplus(theirs.executed, ours.executed)
        if more:
            return f"{other} has {more} that it lacks"
    if not needed:
        return ""
    if says_nothing := _says_nothing(world, other):
        return f"{other} {says_nothing}"
    return _apart(world, name, other) or _apart(world, other, name)


def _says_nothing(world: World, name: str) -> str:
    """Return why nothing follows from what the host has by GTID; empty where it tells.

    Data that were there before the binary log was on are in no GTID.
    """
    has = world.hosts[name].progress.transactions
    if has is None or has.executed is None:
        return "has no GTIDs, so that nothing can be proved"
    return "has no transaction by GTID, so that nothing can be proved" if is_empty(has.executed) else ""


def _apart(world: World, name: str, source: str) -> str:
    """Return why the host does not count as a replica of the other; empty where it does, also detached from it."""
    has, wanted = world.hosts[name].progress.transactions, world.conf.hosts[source]
    if has is not None and (has.source_ip, has.source_port) == (wanted.ip, wanted.mysql_port):
        return ""
    from_whom = f"{has.source_ip}:{has.source_port}" if has is not None and has.source_ip else "nobody"
    return f"{name} replicates from {from_whom}, not from {source}, so that nothing can be proved"
