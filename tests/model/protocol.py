"""Two masters and a monitor that keep to `mmm.lease`, and all that can happen to them.

Time goes in ticks. Every moment is relative to the clock of the one it belongs to: to pass time is to subtract one.
What no rule can tell apart is made equal (`canonical`), so that there is an end to what is different.

The monitor decides nothing here: whatever the rules allow it to send, it may send at any time, and so may the
agents. A message may arrive at any later time and any number of times, or be lost; a partition is a time in which
all are. Who is paused does nothing while time passes; that every step may wait covers it. The kernel is never
paused: the end of a lease is the end of the VIP.
"""

from collections.abc import Iterator

from mmm.lease.rules import FOREVER, NEVER, Grant, Outstanding
from tests.model.master import Answer, Master, Order, Rules, asks_of, canonical, holds, tokens
from tests.model.stays import Stays
from tests.model.ticks import GRAIN, NOW


def start(rules: Rules, *, first: bool) -> Master:
    """Return a master that has not held the role yet."""
    lease, asks = rules.lease(-rules.length - 1.0), first or not rules.returns
    stays = Stays(rules.stays if first or rules.both_stay else 0)
    return canonical(Master(lease, asks=asks, stays=stays), rules)


def is_free(it: Master, rules: Rules) -> bool:
    """Tell whether the monitor may give the role to another than this."""
    return it.given.run_out(0.0, rules.margin)


def steps(it: Master, rules: Rules, *, other_free: bool) -> Iterator[tuple[str, Master]]:
    """Return what can happen to one master and its messages when nothing breaks."""
    for name, after in _steps(it, rules, other_free=other_free):
        yield name, canonical(after, rules)


def faults(it: Master, rules: Rules) -> Iterator[tuple[str, Master]]:
    """Return what can break at one master."""
    for name, after in _faults(it, rules):
        yield name, canonical(after, rules)


def gives_promise(it: Master, rules: Rules) -> Master | None:
    """Return a master after it has got the other's question for a promise and agreed; None when it does not."""
    promised = it.lease.promise(rules.length, NOW, rules.margin)
    return None if promised is None else canonical(it._replace(lease=promised), rules)


def is_promised(it: Master, rules: Rules) -> Master | None:
    """Return a master after the other has agreed to what it has asked; None where no question is on its way."""
    if it.asked == NEVER:
        return None
    return canonical(it._replace(promised=it.asked, agreed=max(it.agreed, it.asked)), rules)


def give_back(it: Master, other: Master, rules: Rules) -> tuple[Master, Master] | None:
    """Return both after the other has heard that the promises are given back; None where there is no such word."""
    if it.returned == NEVER:
        return None
    agreed = NEVER if rules.any_promise else it.agreed
    free = other.lease.given_back(agreed, it.returned)
    return canonical(it, rules), canonical(other._replace(lease=free), rules)


def lets_stay(it: Master, rules: Rules) -> Master | None:
    """Return a master after it has got the other's question to let that one stay and agreed; None when it does not."""
    lease = it.lease.let_stay(NOW)
    return None if lease is None else canonical(it._replace(lease=lease), rules)


def is_let_stay(it: Master, rules: Rules) -> Master | None:
    """Return a master after the other has agreed to let it stay; None where no question is on its way."""
    return canonical(it._replace(stays=it.stays.kept()), rules) if it.stays.asked else None


def shown(it: Master, rules: Rules) -> Master:
    """Return a master once the other has shown to the monitor for whom it refuses the role."""
    stays = it.stays.shown()
    if stays == it.stays:
        return it
    after = _overtaken(it._replace(given=Outstanding(FOREVER, FOREVER), stays=stays))
    return canonical(after, rules)


def is_told_void(it: Master, rules: Rules) -> Master | None:
    """Return a master after the other has heard which of its stays are void; None where none is."""
    stays = it.stays.told(early=rules.unshown and it.given.until < FOREVER)
    return None if stays == it.stays else canonical(it._replace(stays=stays), rules)


def hears_void(it: Master, rules: Rules) -> Master:
    """Return a master after it has heard that all the other was let stay for is void."""
    return canonical(it._replace(lease=it.lease.voided()), rules)


def fair(it: Master, rules: Rules, *, other_free: bool) -> Master:
    """Return a master with its conf put right, to which all has come that is on the way, and the role where it may."""
    stays = it.stays._replace(asked=frozenset(), let=frozenset())
    it = shown(it._replace(lacks=False, stays=stays), rules)
    for _ in range(2 * rules.orders + 3):
        done = dict(steps(it, rules, other_free=other_free))
        progress = (*_PROGRESS, _LETS_GO) if it.stays.seen else _PROGRESS
        names = [name for name in done if name in progress and done[name] != it]
        if not names:
            break
        it = done[min(names, key=progress.index)]
    return it._replace(orders=frozenset())


_PROGRESS = (
    "gets the order to let go",
    "gets the grant for ever",
    "gets the grant",
    "is heard to have obeyed",
    "hears the promise",
    "is granted the role, with a fresh token",
)
"""What is sure to happen while nothing breaks, the first that can."""
_LETS_GO = "is ordered to let go, with a fresh token"
"""So is this, where the monitor waits for a host that may have stayed for good."""


def forgotten(it: Master, rules: Rules) -> Master:
    """Return what a monitor that starts knows of a master: its file."""
    after = it._replace(
        given=it.given.restored(rules.length, 0.0),
        token=NEVER,
        answers=frozenset(),
        orders=frozenset(order._replace(last=False) for order in it.orders),
        stays=it.stays._replace(seen=frozenset()),
    )
    return canonical(after, rules)


def passed(it: Master, rules: Rules, *, agent: bool) -> Master:
    """Return a master a tick later; its own clock only where `agent`."""
    after = it._replace(
        given=Outstanding(it.given.until - 1, it.given.confirms - 1), received=it.received - 1
    )
    if agent:
        lease = it.lease
        after = after._replace(
            lease=lease._replace(
                newest=lease.newest - 1,
                until=lease.until - 1,
                promised=lease.promised - 1,
                heard=lease.heard - 1,
                returned=lease.returned - 1,
                booted=lease.booted - 1,
            ),
            token=it.token - 1,
            orders=frozenset(order._replace(token=order.token - 1) for order in it.orders),
            answers=frozenset(answer._replace(token=answer.token - 1) for answer in it.answers),
            asked=it.asked - 1,
            promised=it.promised - 1,
            returned=it.returned - 1,
            agreed=it.agreed - 1,
            stays=it.stays.moved(lambda moment: moment - 1),
        )
    return canonical(after, rules)


def _steps(it: Master, rules: Rules, *, other_free: bool) -> Iterator[tuple[str, Master]]:
    if len(it.orders) < rules.orders:
        fresh = it._replace(token=_stamp(it), received=0.0)
        for known, whose in ((fresh, "with a fresh token"), (it, "with the token it has")):
            if known.token == NEVER or not (rules.kept or known is fresh):
                continue
            yield f"is ordered to let go, {whose}", _ordered(known, 0.0)
            if other_free:
                yield f"is granted the role, {whose}", _ordered(known, rules.length)
                if rules.forever:
                    yield f"is granted the role for ever, {whose}", _ordered(known, FOREVER)
    for order in it.orders:
        shown = {0.0: "the order to let go", FOREVER: "the grant for ever"}.get(order.length, "the grant")
        yield f"gets {shown}", _obey(it, order, rules)
        yield f"never gets {shown}", it._replace(orders=it.orders - {order})
    for answer in it.answers:
        yield "is heard to have obeyed", _hear(it, answer, rules)
        yield "is not heard to have obeyed", it._replace(answers=it.answers - {answer})
    yield from _promise_steps(it, rules)
    yield from _stay_steps(it, rules)


def _stay_steps(it: Master, rules: Rules) -> Iterator[tuple[str, Master]]:
    stays = it.stays
    if stays.left and holds(it) and it.lease.until < FOREVER:
        asked = _stamp(it)
        lease = it.lease.asking_to_stay(asked)
        yield "asks to stay", it._replace(lease=lease, stays=stays.asking(asked, agreed=rules.unheld))
    for stay in stays.asked:
        yield "is not heard to ask to stay", it._replace(stays=stays._replace(asked=stays.asked - {stay}))
    for stay in stays.let:
        after = it.lease._replace(until=FOREVER) if rules.any_stay else it.lease.stayed(stay, NOW)
        yield "hears that it is let stay", it._replace(lease=after)
        yield "never hears that it is let stay", it._replace(stays=stays._replace(let=stays.let - {stay}))


def _promise_steps(it: Master, rules: Rules) -> Iterator[tuple[str, Master]]:
    if it.lacks and rules.unasked and holds(it):
        yield "renews by nobody's promise", it._replace(lease=it.lease.renewed(0.0, rules.length, NOW))
    if it.asks and not it.lacks and holds(it) and it.lease.until < FOREVER:
        yield (
            "asks for a promise",
            it._replace(asked=_ask_stamp(it) if rules.returns else 0.0, owes=rules.returns),
        )
    if rules.returns and (after := _giving_back(it, rules)) is not None:
        yield "gives its promises back", after
    if it.returned != NEVER:
        yield "is not heard to give its promises back", it._replace(returned=NEVER)
    if it.asked != NEVER:
        yield "has asked in vain", it._replace(asked=NEVER)
    if it.promised != NEVER:
        yield "hears the promise", it._replace(lease=it.lease.renewed(it.promised, rules.length, NOW))
        yield "never hears the promise", it._replace(promised=NEVER)


def _faults(it: Master, rules: Rules) -> Iterator[tuple[str, Master]]:
    silent = it._replace(asked=NEVER, promised=NEVER, owes=False)
    restarted = silent._replace(lease=it.lease.restarted(_stamp(it)))
    yield "has its agent restarted", restarted
    if rules.confs:
        yield "has its agent restarted with another conf", restarted._replace(lacks=not it.lacks)
    lease = it.lease.rebooted(NOW, rules.length, rules.margin)._replace(newest=_stamp(it))
    booted = silent._replace(lease=lease, orders=frozenset(), token=NEVER)  # tokens of the last boot are void
    yield "reboots", booted
    off = booted._replace(given=Outstanding(), answers=frozenset(), stays=it.stays.ended())
    yield "is killed, and boots", off


def _ordered(it: Master, length: float) -> Master:
    it = _overtaken(it)
    return it._replace(
        given=it.given.sent(length, it.received) if length else it.given.withdrawn(),
        orders=it.orders | {Order(length, it.token, last=True)},
    )


def _overtaken(it: Master) -> Master:
    """Return a master of which the answer to no order that was sent says anything."""
    return it._replace(
        orders=frozenset(order._replace(last=False) for order in it.orders),
        answers=frozenset(answer._replace(last=False) for answer in it.answers),
    )


def _obey(it: Master, order: Order, rules: Rules) -> Master:
    grant, role = Grant(order.length, order.token), order.length > 0
    if (role and it.lacks) or it.lease.refusal(grant, NOW, role=role):
        return it  # its answer brings a token, which the monitor may have at any time
    it = it._replace(lease=it.lease.obeyed(grant, NOW, role=role))
    if len(it.answers) >= rules.orders:
        return it
    return it._replace(answers=it.answers | {Answer(_stamp(it), order.last)})


def _giving_back(it: Master, rules: Rules) -> Master | None:
    if not it.owes:
        return None
    now = _ask_stamp(it)
    lease = it.lease._replace(until=NEVER).giving_back(now) if rules.early else it.lease.giving_back(now)
    if lease is None:
        return None
    if rules.early:
        lease = lease._replace(until=it.lease.until)
    return it._replace(lease=lease, returned=now, owes=False)


def _hear(it: Master, answer: Answer, rules: Rules) -> Master:
    counts = answer.last or rules.any_answer
    return it._replace(
        given=it.given.confirmed() if counts else it.given,
        stays=it.stays.ended() if counts else it.stays,
        token=answer.token if rules.kept else NEVER,
        received=0.0,
    )


def _stamp(it: Master) -> float:
    """Return a moment on the agent's clock that is later than all it has stamped."""
    return max(0.0, it.lease.newest, *tokens(it)) + GRAIN


def _ask_stamp(it: Master) -> float:
    """Return a moment that is later than all at which it has asked for promises or given them back."""
    return max(0.0, *asks_of(it)) + GRAIN
