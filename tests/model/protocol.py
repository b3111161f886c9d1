"""Two masters and a monitor that keep to `mmm.lease`, and all that can happen to them.

Time goes in ticks. Every moment is relative to the clock of the one it belongs to: to pass time is to subtract one.
What no rule can tell apart is made equal (`_canonical`), so that there is an end to what is different.

The monitor decides nothing here: whatever the rules allow it to send, it may send at any time, and so may the
agents. A message may arrive at any later time and any number of times, or be lost; a partition is a time in which
all are. Who is paused does nothing while time passes; that every step may wait covers it. The kernel is never
paused: the end of a lease is the end of the VIP.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from mmm.lease.rules import (
    FOREVER,
    NEVER,
    Grant,
    Lease,
    Outstanding,
)
from tests.model.ticks import GRAIN, NOW, clipped, places, rounded


@dataclass(frozen=True, slots=True)
class Rules:
    """How long the times are, in ticks, and the rules that both sides keep to."""

    length: int = 1
    margin: int = 1
    orders: int = 2
    """How many orders to one agent, and answers of it, may be on their way."""
    drift: bool = True
    """The clock of the first master may lose a tick in each length and margin."""
    faults: int = 1
    """How many restarts, boots and kills there are.

    An agent that is stopped in order is one that is asked nothing more: its lease is what it was, for ever or not.
    """
    forever: bool = True
    """Leases without an end are granted too."""
    kept: bool = True
    """The monitor may also send a token that it has kept from an answer, not only fresh ones."""
    lease: type[Lease] = Lease
    returns: bool = False
    """The first master gives back the promises that it was given, once it has let go; the second asks for none."""
    early: bool = False
    """It does so while it still holds the role: what must not be."""
    any_promise: bool = False
    """A promise is given back by a word about an older one: what must not be."""
    confs: bool = False
    """A fault may also be that the conf of a host loses the other one."""
    unasked: bool = False
    """Such a host renews by the promises of those that it knows, whatever the monitor says: what must not be."""
    any_answer: bool = False
    """An answer counts for the last order, whichever it answers: what must not be."""


class Order(NamedTuple):
    """From the monitor to an agent; `length` is 0 where it does not name the role."""

    length: float
    token: float
    last: bool


class Answer(NamedTuple):
    """An OK from an agent to the monitor; `last`: it answers the last order."""

    token: float
    last: bool


class Master(NamedTuple):
    """A host with its agent, what is on the way to and from it, and what the monitor knows of it."""

    lease: Lease
    given: Outstanding = Outstanding()
    token: float = NEVER
    """The newest token that the monitor has by an answer; NEVER is none."""
    received: float = NEVER
    orders: frozenset[Order] = frozenset()
    answers: frozenset[Answer] = frozenset()
    asked: float = NEVER
    """When it asked for the promise that is on its way to the other; NEVER: there is none."""
    promised: float = NEVER
    """When it asked for the promise that is on its way back."""
    returned: float = NEVER
    """Up to when it has asked for the promises that a word on its way to the other gives back."""
    agreed: float = NEVER
    """When it asked for the newest promise that the other has given and that this word may be about."""
    asks: bool = True
    """It asks for promises."""
    owes: bool = False
    """It has asked for promises since it last gave any back."""
    lacks: bool = False
    """Its conf lacks the other: it asks nobody, and obeys no grant, for the monitor has another conf."""


def start(rules: Rules, *, first: bool) -> Master:
    """Return a master that has not held the role yet."""
    return _canonical(Master(rules.lease(-rules.length - 1.0), asks=first or not rules.returns), rules)


def holds(it: Master) -> bool:
    """Tell whether the host holds the role."""
    return it.lease.holds(NOW)


def is_free(it: Master, rules: Rules) -> bool:
    """Tell whether the monitor may give the role to another than this."""
    return it.given.run_out(0.0, rules.margin)


def steps(it: Master, rules: Rules, *, other_free: bool) -> Iterator[tuple[str, Master]]:
    """Return what can happen to one master and its messages when nothing breaks."""
    for name, after in _steps(it, rules, other_free=other_free):
        yield name, _canonical(after, rules)


def faults(it: Master, rules: Rules) -> Iterator[tuple[str, Master]]:
    """Return what can break at one master."""
    for name, after in _faults(it, rules):
        yield name, _canonical(after, rules)


def promise(it: Master, other: Master, rules: Rules) -> tuple[Master, Master] | None:
    """Return both after the other has got the question for a promise and agreed; None when it does not."""
    promised = other.lease.promise(rules.length, NOW, rules.margin) if it.asked != NEVER else None
    if promised is None:
        return None
    agreed = max(it.agreed, it.asked)
    return (
        _canonical(it._replace(promised=it.asked, agreed=agreed), rules),
        _canonical(other._replace(lease=promised), rules),
    )


def give_back(it: Master, other: Master, rules: Rules) -> tuple[Master, Master] | None:
    """Return both after the other has heard that the promises are given back; None where there is no such word."""
    if it.returned == NEVER:
        return None
    agreed = NEVER if rules.any_promise else it.agreed
    free = other.lease.given_back(agreed, it.returned)
    return _canonical(it, rules), _canonical(other._replace(lease=free), rules)


def fair(it: Master, rules: Rules, *, other_free: bool) -> Master:
    """Return a master with its conf put right, to which all has come that is on the way, and the role where it may."""
    it = it._replace(lacks=False)
    for _ in range(2 * rules.orders + 3):
        done = dict(steps(it, rules, other_free=other_free))
        names = [name for name in done if name.startswith(_PROGRESS) and done[name] != it]
        if not names:
            break
        it = done[min(names, key=_PROGRESS.index)]
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


def forgotten(it: Master, rules: Rules) -> Master:
    """Return what a monitor that starts knows of a master: its file."""
    after = it._replace(
        given=it.given.restored(rules.length, 0.0),
        token=NEVER,
        answers=frozenset(),
        orders=frozenset(order._replace(last=False) for order in it.orders),
    )
    return _canonical(after, rules)


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
        )
    return _canonical(after, rules)


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
    yield "is killed, and boots", booted._replace(given=Outstanding(), answers=frozenset())


def _ordered(it: Master, length: float) -> Master:
    older = frozenset(order._replace(last=False) for order in it.orders)
    return it._replace(
        given=it.given.sent(length, it.received) if length else it.given.withdrawn(),
        orders=older | {Order(length, it.token, last=True)},
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
        token=answer.token if rules.kept else NEVER,
        received=0.0,
    )


def _stamp(it: Master) -> float:
    """Return a moment on the agent's clock that is later than all it has stamped."""
    return max(0.0, it.lease.newest, *_tokens(it)) + GRAIN


def _ask_stamp(it: Master) -> float:
    """Return a moment that is later than all at which it has asked for promises or given them back."""
    return max(0.0, *_asks(it)) + GRAIN


def _tokens(it: Master) -> list[float]:
    return [it.token, *(order.token for order in it.orders), *(answer.token for answer in it.answers)]


def _asks(it: Master) -> list[float]:
    return [it.asked, it.promised, it.returned, it.agreed, it.lease.returned]


# What makes masters equal


def _canonical(it: Master, rules: Rules) -> Master:
    """Return the same without what can have no effect, every moment as near and as round as the rules allow."""
    orders = frozenset(order for order in it.orders if _may_be_obeyed(it.lease, order))
    answers = it.answers if rules.any_answer else frozenset(each for each in it.answers if each.last)
    useful = it.token > it.lease.newest or _may_be_obeyed(it.lease, Order(FOREVER, it.token, last=True))
    it = it._replace(orders=orders, answers=answers, token=it.token if useful else NEVER)
    asked = it.asked if it.asked + rules.length > NOW else NEVER
    promised = it.promised if it.promised + rules.length > NOW and holds(it) else NEVER
    it = _without_idle_words(it._replace(asked=asked, promised=promised), rules)
    place = places({it.lease.newest, *_tokens(it)}, -rules.length - 1)
    asks = places(set(_asks(it)), -rules.length - 1)
    until = clipped(it.given.until, rules.margin)
    awaited = rules.any_answer or any(order.last for order in orders) or any(each.last for each in answers)
    return Master(
        it.lease._replace(
            newest=place[it.lease.newest],
            until=rounded(it.lease.until),
            promised=it.lease.promised if it.lease.promised > NOW else NEVER,
            heard=NEVER,
            returned=asks[it.lease.returned],
            booted=it.lease.booted if it.lease.booted > NOW else NEVER,
        ),
        Outstanding(until, clipped(it.given.confirms, rules.margin) if awaited else until),
        place[it.token],
        max(it.received, -rules.length - rules.margin) if it.token != NEVER else NEVER,
        frozenset(order._replace(token=place[order.token]) for order in orders),
        frozenset(answer._replace(token=place[answer.token]) for answer in answers),
        asks[it.asked],
        asks[it.promised],
        asks[it.returned],
        asks[it.agreed],
        it.asks,
        it.owes,
        it.lacks,
    )


def _without_idle_words(it: Master, rules: Rules) -> Master:
    """Return the same without what can say nothing any more about promises that are given back."""
    if it.returned < it.agreed and not rules.any_promise:
        it = it._replace(returned=NEVER)
    if it.returned == NEVER or it.agreed <= it.returned:
        it = it._replace(agreed=NEVER)
    if not any(NEVER < asked <= it.lease.returned for asked in (it.asked, it.promised)):
        it = it._replace(lease=it.lease._replace(returned=NEVER))
    return it


def _may_be_obeyed(lease: Lease, order: Order) -> bool:
    """Tell whether the agent may still obey the order, once it is not bound by a promise any more."""
    grant = Grant(order.length, order.token)
    return not lease._replace(promised=NEVER).refusal(grant, NOW, role=order.length > 0)
