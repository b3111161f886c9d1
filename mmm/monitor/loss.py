"""What a failover has lost: transactions that the dead writer had and nobody got (SPEC 10.10, 11.3). An estimate.

It goes by the last look at the dead writer, and by what the new one has got. What the dead one wrote between that look
and its end nobody knows: it is taken to have written no faster than in the looks before, and a quarter more.

A semi-sync source tells its clients nothing that was not received elsewhere. So it stays, if it was so at the last
look, for as long as it waits for an acknowledgement before it falls back.
"""

import math
from collections.abc import Callable
from dataclasses import replace

from mmm.gtid.transactions import Executed, Transactions, surplus
from mmm.monitor.world import HostWorld, Loss, State, World
from mmm.wire.control import moment

LOOKS = 12
"""So many looks tell how fast a server writes."""
CLOSE = 0.1
"""Seconds between two looks from which on they tell how fast a server writes."""
PATIENCE = 10.0
"""Seconds after which the loss is estimated though nobody has looked at the new writer."""
_BURST = 1.25


def begin(world: World, now: float) -> World:
    """Return the world in which the active master role has gone from a host that may not have given all it had."""
    writer, taker = world.last_writer, world.active_master
    if writer is None or taker is None or writer == taker:
        return world
    failing = [check.error_since for check in world.hosts[writer].checks.values()]
    ended = max((since for since in failing if since is not None), default=now)
    acknowledged = _acknowledged(world, writer, taker, ended)
    return replace(world, loss=Loss(writer, taker, ended, now, acknowledged=acknowledged))


def step(world: World, now: float) -> World:
    """Return the world with the loss estimated once it can be, and forgotten once its host is back."""
    loss = world.loss
    if loss is None:
        return world
    if loss.known:
        return replace(world, loss=None) if world.hosts[loss.host].state is State.ONLINE else world
    ours = world.hosts[loss.taker].transactions
    told = world.hosts[loss.taker].agent.told
    took = told is not None and any(vip.role == world.conf.active_master_role for vip in told.vips)
    looked = ours is not None and ours.seen > loss.ended
    if took and (looked or now - loss.began > PATIENCE):
        return replace(world, loss=_estimated(world, loss))
    return world


def rates(host: HostWorld, news: Transactions) -> tuple[float, ...]:
    """Return how many transactions a second a server has got in the last looks, this one included.

    A look that follows another at once says nothing of that: what is committed together in a moment is no rate.
    """
    before = host.transactions
    if before is None or before.executed is None or news.executed is None or news.seen - before.seen < CLOSE:
        return host.rates
    more = surplus(news.executed, before.executed)
    rate = (more.count if more else 0) / (news.seen - before.seen)
    return (*host.rates, rate)[-LOOKS:]


def said(loss: Loss, clock: Callable[[float], float]) -> str:
    """Return the loss in words; `clock` turns monotonic seconds into wall-clock ones."""
    begins = f"lost with {loss.host} when {loss.taker} took over: "
    if loss.acknowledged == (loss.taker,):
        return f"{begins}nothing that clients were told of: {loss.why}"
    if loss.seen is None:
        return f"{begins}unknown: {loss.why}"
    since = moment(clock(loss.seen))
    if loss.most is None:
        return f"{begins}unknown since {since}: {loss.why}"
    return f"{begins}at most {loss.most} transaction{'' if loss.most == 1 else 's'} since {since}, {loss.why}"


def _acknowledged(world: World, writer: str, taker: str, ended: float) -> tuple[str, ...]:
    """Return the hosts of which one or another acknowledged every commit of the lost writer, `taker` alone if it did.

    Empty where nothing is certain: commits did not wait, may have ceased to, or waited for hosts that are not known.
    """
    theirs = world.hosts[writer].transactions
    state = theirs.semi_sync if theirs is not None else None
    if theirs is None or state is None or not state.waits or not state.clients:
        return ()
    here = world.conf.hosts[writer]
    replicas = tuple(
        name
        for name, host in world.hosts.items()
        if host.transactions is not None
        and (host.transactions.source_ip, host.transactions.source_port) == (here.ip, here.mysql_port)
        and host.transactions.semi_sync is not None
        and host.transactions.semi_sync.replica
    )
    if ended - theirs.seen >= state.patience or len(replicas) < state.clients:
        return ()
    return (taker,) if taker in replicas and state.needed >= len(replicas) else replicas


def _estimated(world: World, loss: Loss) -> Loss:
    if loss.acknowledged == (loss.taker,):
        return replace(loss, known=True, most=0, why="semi-sync was on")
    theirs, ours = world.hosts[loss.host].transactions, world.hosts[loss.taker].transactions
    if theirs is None or ours is None:
        nobody = loss.host if theirs is None else loss.taker
        return replace(loss, known=True, why=f"what {nobody} had was never seen")
    loss = replace(loss, known=True, seen=theirs.seen)
    if theirs.executed is None or ours.got is None:
        return replace(loss, why=_by_position(loss, theirs, ours))
    missing = surplus(theirs.executed, ours.got)
    if not world.hosts[loss.host].rates:
        return replace(loss, why=f"{loss.host} was looked at once only, how fast it wrote is not known")
    fastest = max(world.hosts[loss.host].rates)
    written = _BURST * fastest * max(0.0, loss.ended - theirs.seen) - _got_since(theirs, ours.got)
    count = missing.count if missing else 0
    most = max(count + math.ceil(written), count, 1 if fastest else 0)
    why = f"if it wrote no faster than the {fastest:.1f} a second before"
    if missing:
        why += f"; {missing} of {loss.host} were seen there and are not on {loss.taker}"
    if loss.acknowledged:
        others = ", ".join(name for name in loss.acknowledged if name != loss.taker)
        why += f"; semi-sync was on: what clients were told of and {loss.taker} lacks has reached {others}"
    return replace(loss, most=most, why=why)


def _got_since(theirs: Transactions, got: Executed) -> int:
    """Return how many transactions written on the lost host after the last look at it have arrived."""
    if theirs.executed is None:
        return 0
    more = surplus(got, theirs.executed)
    of_others = surplus(got, theirs.executed, not_of=theirs.origin)
    return (more.count if more else 0) - (of_others.count if of_others else 0)


def _by_position(loss: Loss, theirs: Transactions, ours: Transactions) -> str:
    if not theirs.end.file or not ours.read.file:
        return "there are no GTIDs, and places in the binary log are not known"
    place = f"its binary log was at {theirs.end} then, and {loss.taker} has received it up to {ours.read}"
    behind = "" if ours.read.reaches(theirs.end) else ": the rest is lost"
    return f"without GTIDs nobody counts; {place}{behind}"
