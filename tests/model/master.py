"""A master of the model with its agent and its messages, and when two of them are the same to all rules."""

from dataclasses import dataclass
from typing import NamedTuple

from mmm.lease.rules import FOREVER, NEVER, Grant, Lease, Outstanding
from tests.model.stays import Stays
from tests.model.ticks import NOW, clipped, places, rounded


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
    stays: int = 0
    """How often the first master may ask the other to let it stay for good."""
    both_stay: bool = False
    """The other one may, too."""
    unheld: bool = False
    """It stays for good once it has asked, whatever the other says: what must not be."""
    any_stay: bool = False
    """That it is let stay counts though it has obeyed an order since: likewise."""
    unshown: bool = False
    """The other is told that a stay is void though it was not shown before the order that was obeyed: likewise."""


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
    stays: Stays = Stays()


def holds(it: Master) -> bool:
    """Tell whether the host holds the role."""
    return it.lease.holds(NOW)


def tokens(it: Master) -> list[float]:
    """Return all moments that are compared with tokens."""
    known = it.token, *(order.token for order in it.orders), *(answer.token for answer in it.answers)
    return [*known, *it.stays.moments()]


def asks_of(it: Master) -> list[float]:
    """Return all moments at which promises were asked for or given back."""
    return [it.asked, it.promised, it.returned, it.agreed, it.lease.returned]


def canonical(it: Master, rules: Rules) -> Master:
    """Return the same without what can have no effect, every moment as near and as round as the rules allow."""
    orders = frozenset(order for order in it.orders if _may_be_obeyed(it.lease, order))
    answers = it.answers if rules.any_answer else frozenset(each for each in it.answers if each.last)
    useful = it.token > it.lease.newest or _may_be_obeyed(it.lease, Order(FOREVER, it.token, last=True))
    it = it._replace(orders=orders, answers=answers, token=it.token if useful else NEVER)
    asked = it.asked if it.asked + rules.length > NOW else NEVER
    promised = it.promised if it.promised + rules.length > NOW and holds(it) else NEVER
    counts = it.stays.let if rules.any_stay else frozenset({it.lease.newest})
    stays = it.stays.canonical(counts if holds(it) and it.lease.until < FOREVER else frozenset())
    it = _without_idle_words(it._replace(asked=asked, promised=promised, stays=stays), rules)
    place = places({it.lease.newest, *tokens(it)}, -rules.length - 1)
    asks = places(set(asks_of(it)), -rules.length - 1)
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
        it.stays.moved(lambda moment: place[moment]),
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
    """Tell whether the agent may still obey the order, once it refuses the role for nobody any more."""
    grant = Grant(order.length, order.token)
    return not lease._replace(promised=NEVER, stays=False).refusal(grant, NOW, role=order.length > 0)
