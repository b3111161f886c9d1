"""What a failover has lost: transactions that the dead writer had and nobody got (rules 10.10, 11.3).

It goes by the last look at the dead writer, and by what the new one has when it has taken over. What the dead one wrote
after that look nobody knows. It can have written until nothing listened at its port, or its agent confirmed that it let
the role go; one that fell silent may only be cut off, and goes on acknowledging to clients on its side for as long as
its lease lasts, until the new one has the role at the latest. It is taken to have written no faster than in the fastest
of the last looks, and a quarter more. Where that is no measure, the loss is unknown, and what it comes to by that rate
is said as an estimate.

Where the new writer has read the old one's binary log to its end, nothing is estimated: what that has and the new one
has not is lost, and nothing else.

A semi-sync source tells its clients nothing that was not received elsewhere. So it stays, if it was so at the last
look, for as long as it waits for an acknowledgement before it falls back.
"""

import math
from dataclasses import replace

from mmm.gtid.transactions import Executed, Transactions, got_between, surplus
from mmm.monitor.assess import cut_off, divergence
from mmm.monitor.world.host import HostWorld, Pace, State
from mmm.monitor.world.loss import Loss, LossCode
from mmm.monitor.world.said import Fields
from mmm.monitor.world.world import World
from mmm.wire.caught_up import CaughtUp
from mmm.wire.salvaged import Salvaged

LOOKS = 12
"""Looks from which we tell how fast a server writes."""
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
    return replace(world, loss=Loss(writer, taker, now, acknowledged=_acknowledged(world, writer, taker)))


def taken(world: World, host: str, now: float) -> World:
    """Return the world after the host has confirmed that it has the active master role."""
    loss = world.loss
    if loss is None or loss.taker != host or loss.taken is not None:
        return world
    return replace(world, loss=replace(loss, taken=now))


def salvaged(world: World, host: str, got: Salvaged | None) -> World:
    """Return the world after the host has said what it got of the binary log of the writer before it."""
    loss = world.loss
    if loss is None or got is None or (loss.host, loss.taker) != (got.host, host):
        return world
    return replace(world, loss=replace(loss, salvaged=got))


def to_salvage(world: World, name: str) -> str:
    """Return the host whose binary log may have what the next writer lacks, empty where nobody is to be asked.

    It is the last writer, if its agent answers: what it has committed is in its log, whatever its server does now.
    """
    loss = world.loss
    if not world.conf.salvage or loss is None or loss.taker != name or loss.taken is not None:
        return ""
    return loss.host if can_get(world, loss.host, name) else ""


def can_get(world: World, host: str, taker: str) -> bool:
    """Tell whether the agent of `taker` can get the binary log of a host, as far as is known beforehand."""
    link, other = world.hosts[host].agent, world.hosts[taker].agent
    knows = not (link.about.classic or other.about.classic)  # agents of MMM 2.x neither send nor get it
    return knows and _answers(world, host)


def _answers(world: World, name: str) -> bool:
    """Tell whether a host's agent answers, as far as that is known.

    Once its lease has run out, what it was told before no longer counts. An order under way does: one to the host of a
    frozen server may outlast the lease. An agent that has stopped answering is not asked either: the next writer would
    wait for it while nobody can write.
    """
    host = world.hosts[name]
    link = host.agent
    heard = link.told is not None or link.in_flight is not None or bool(link.refusal)
    return heard and not link.silence and not world.is_silent(name) and cut_off.silent_since(host) is None


def caught_up(world: World, host: str, done: tuple[CaughtUp, ...]) -> World:
    """Return the world after the host has said what it got of other replicas before it takes writes."""
    loss = world.loss
    if loss is None or not done or loss.taker != host or loss.caught_up == done:
        return world
    return replace(world, loss=replace(loss, caught_up=done))


def step(world: World, now: float) -> World:
    """Return the world with the loss estimated once it can be, corrected, and forgotten once its host is back."""
    loss = world.loss
    if loss is None:
        return world
    has_it_again = world.active_master == loss.host
    if has_it_again or (loss.known and world.hosts[loss.host].state is State.ONLINE):
        return replace(world, loss=None)
    loss = _last_look(loss, world.hosts[loss.host])
    if loss.recorded is not None:  # what it was told by is not known any more
        loss = _compared(world, loss) or loss
    elif loss.taken is None:
        loss = _witnessed(world, loss, now)
    elif loss.code is not LossCode.COMPARED:
        loss = _compared(world, loss) or _known(loss) or _estimated_anew(world, loss, now)
    return world if loss == world.loss else replace(world, loss=loss)


def is_news(before: Loss | None, after: Loss) -> bool:
    """Tell whether there is something to be said of the loss that was not said before."""
    if before is None or not after.known:
        return after.known
    return (before.code, before.most, before.missing) != (after.code, after.most, after.missing)


def rates(host: HostWorld, news: Transactions) -> tuple[Pace, ...]:
    """Return how fast a server has got transactions in the last looks, this one included.

    A look that follows another at once says nothing of that: what is committed together in a moment is no rate.
    """
    before = host.progress.transactions
    if before is None or before.executed is None or news.executed is None or news.seen - before.seen < CLOSE:
        return host.progress.rates
    over = news.seen - before.seen
    pace = Pace(news.seen, got_between(before, news) / over, over)
    return (*host.progress.rates, pace)[-LOOKS:]


def _witnessed(world: World, loss: Loss, now: float) -> Loss:
    """Return the loss with what tells, before another takes over, until when its host can have written."""
    host, vip = world.hosts[loss.host], world.conf.master_vip
    told = host.agent.told
    gone = told is not None and vip not in told.vips and vip not in host.agent.may_hold
    released = (loss.released if loss.released is not None else now) if gone else None
    sure = world.guarded or vip not in world.unsure
    return replace(loss, dead=host.checks["mysql"].refused_since, released=released, sure=sure)


def _last_look(loss: Loss, host: HostWorld) -> Loss:
    """Return the loss with the newest look at its host, unless that lacks what the host had.

    Then its data were replaced by a copy, or it crashed and lost its last commits: nothing follows for what is lost.
    """
    had, newest = loss.had, host.progress.transactions
    if newest is None or newest is had:
        return loss
    before = had.executed if had is not None else None
    if before is not None and newest.executed is not None and surplus(before, newest.executed):
        return loss
    return replace(loss, had=newest, paces=host.progress.rates)


def _acknowledged(world: World, writer: str, taker: str) -> tuple[str, ...]:
    """Return the hosts of which one or another acknowledged every commit of the lost writer, `taker` alone if it did.

    Empty where nothing is certain: commits did not wait, or waited for hosts that are not known.
    """
    theirs = world.hosts[writer].progress.transactions
    state = theirs.semi_sync if theirs is not None else None
    if theirs is None or state is None or not state.waits or not state.clients:
        return ()
    here = world.conf.hosts[writer]
    replicas = tuple(
        name
        for name, host in world.hosts.items()
        if host.progress.transactions is not None
        and (host.progress.transactions.source_ip, host.progress.transactions.source_port)
        == (here.ip, here.mysql_port)
        and host.progress.transactions.semi_sync is not None
        and host.progress.transactions.semi_sync.replica
    )
    if len(replicas) < state.clients:
        return ()
    return (taker,) if taker in replicas and state.needed >= len(replicas) else replicas


def _compared(world: World, loss: Loss) -> Loss | None:
    """Return the loss as its host tells it, which is back; None where it does not yet."""
    host = world.hosts[loss.host]
    back = divergence.applies(world, loss.host) and divergence.opposite(world) == loss.taker
    if not back or host.state is State.HARD_OFFLINE or divergence.awaited(world, loss.host):
        return None
    if not divergence.is_fresh(world, loss.host):
        return None
    extra = divergence.unshared(world, loss.host)
    if extra is None or loss.had is not host.progress.transactions:
        return None
    found, about = extra.count, {"extra": extra}
    compared = replace(loss, code=LossCode.COMPARED, most=found, missing=found, likely=None, about=about)
    return replace(compared, recorded=None)


def _estimated_anew(world: World, loss: Loss, now: float) -> Loss:
    """Return the loss estimated, where it is due for the first time or a look at the taker shows something else.

    Only a look since the taker has the role tells what it lacks.
    """
    ours, since = world.hosts[loss.taker].progress.transactions, loss.taken or now
    looked = ours is not None and ours.seen >= since
    if not looked and (loss.known or now - since <= PATIENCE):
        return loss
    if loss.known and (ours is None or loss.looked == ours.seen or world.active_master != loss.taker):
        return loss
    found = _estimated(world, replace(loss, looked=ours.seen if looked and ours is not None else None))
    same = loss.looked is not None and (loss.code, loss.missing) == (found.code, found.missing)
    return replace(loss, looked=found.looked) if same else found


def _known(loss: Loss) -> Loss | None:
    """Return the loss as the binary log of its host tells it, None where that was not read to its end.

    Nor where not all that it has could be applied, and another replica had some of it.
    """
    got = loss.salvaged
    if got is None or not got.known or (got.left and any(one.count for one in loss.caught_up)):
        return None
    return replace(loss, code=LossCode.SALVAGED, most=got.left, missing=got.left, likely=None, about={})


def _estimated(world: World, loss: Loss) -> Loss:
    theirs, ours = loss.had, world.hosts[loss.taker].progress.transactions
    ended = _end(loss)
    if theirs is None or ours is None:
        about = {"unseen": loss.host if theirs is None else loss.taker}
        return replace(loss, code=LossCode.NEVER_SEEN, most=None, ended=ended, about=about)
    loss = replace(loss, seen=theirs.seen, ended=ended)
    state = theirs.semi_sync
    if state is None or ended - theirs.seen >= state.patience:
        loss = replace(loss, acknowledged=())  # it may have ceased to wait for them
    elif loss.acknowledged == (loss.taker,):
        return replace(loss, code=LossCode.ACKNOWLEDGED, most=0, about={})
    if theirs.executed is None or ours.executed is None or ours.got is None:
        return replace(loss, code=LossCode.NO_GTIDS, most=None, about=_places(theirs, ours))
    return _counted(loss, theirs.executed, ours)


def _end(loss: Loss) -> float:
    """Return until when the host can have written, at the latest."""
    if loss.dead is not None:
        return loss.dead
    if not loss.sure:
        return math.inf
    taken = math.inf if loss.taken is None else loss.taken
    return taken if loss.released is None else min(loss.released, taken)


def _counted(loss: Loss, theirs: Executed, ours: Transactions) -> Loss:
    """Return the loss by what is missing and by how fast its host wrote."""
    has = (
        ours.got if loss.looked is None else ours.executed
    )  # what was received was applied when it took over
    paces, missing = loss.paces, None if has is None else surplus(theirs, has)
    count = missing.count if missing else 0
    loss = replace(loss, missing=count)
    about: Fields = {"lacks": missing}
    if not paces:
        return replace(loss, code=LossCode.LOOKED_ONCE, most=None, about=about)
    arrived = 0 if has is None else _got_since(loss.had, has)
    if loss.dead is not None and arrived > _written(loss, paces):  # what refused was not its server
        loss = replace(loss, dead=None)
        loss = replace(loss, ended=_end(loss))
    fastest = max(paces, key=lambda pace: pace.rate)
    end = loss.ended if loss.ended is not None else math.inf
    loss = replace(loss, rate=fastest.rate, rate_age=max(0.0, end - fastest.at))
    about = {**about, "reached": tuple(name for name in loss.acknowledged if name != loss.taker)}
    if end == math.inf:
        return replace(loss, code=LossCode.WRITES_ON, most=None, about=about)
    written = _written(loss, paces) - arrived
    most = max(count + math.ceil(written), count, 1 if fastest.rate else 0)
    return _judged(loss, paces, most, about)


def _judged(loss: Loss, paces: tuple[Pace, ...], most: int, about: Fields) -> Loss:
    """Return the loss of `most` by the fastest rate, or as unknown where that rate is no measure."""
    if loss.dead is None and loss.ended is not None and not _measured(loss, paces):
        about = {**about, "seconds": _unseen(loss)}
        return replace(loss, code=LossCode.UNSEEN, most=None, likely=most, about=about)
    return replace(loss, code=LossCode.AT_MOST, most=most, about=about)


def _measured(loss: Loss, paces: tuple[Pace, ...]) -> bool:
    """Tell whether what a host can have written unseen follows from how fast it wrote: it was seen to for as long."""
    return bool(loss.rate) and _unseen(loss) <= sum(pace.over for pace in paces)


def _unseen(loss: Loss) -> float:
    """Return for how many seconds after the last look at it the host can have written."""
    if loss.seen is None or loss.ended is None:
        return math.inf
    return max(0.0, loss.ended - loss.seen)


def _written(loss: Loss, paces: tuple[Pace, ...]) -> float:
    """Return how many transactions that makes at the most: what a look found may have come all at once."""
    unseen = _unseen(loss)
    return (
        max((_BURST * pace.rate * max(unseen, pace.over) for pace in paces), default=0.0) if unseen else 0.0
    )


def _got_since(theirs: Transactions | None, got: Executed) -> int:
    """Return how many transactions written on the lost host after the last look at it have arrived."""
    if theirs is None or theirs.executed is None:
        return 0
    more = surplus(got, theirs.executed)
    of_others = surplus(got, theirs.executed, not_of=theirs.origin)
    return (more.count if more else 0) - (of_others.count if of_others else 0)


def _places(theirs: Transactions, ours: Transactions) -> Fields:
    """Return where the log of the lost host was, and up to where the other one has received it, where that is known."""
    if not theirs.end.file or not ours.read.file:
        return {}
    return {"place": theirs.end, "received": ours.read, "reaches": ours.read.reaches(theirs.end)}
