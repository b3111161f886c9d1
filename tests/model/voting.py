"""Two monitors, two masters that vote and perhaps a third voter, that keep to `mmm.lease`: all that can happen to them.

Time goes in ticks, as in `tests.model.protocol`: every moment is relative to the clock of the one it belongs to. The
monitors use no clock for what makes them lead: each step may wait, so they may be paused for as long as one likes.

Left out, because it adds nothing: an answer that comes late is one that the monitor does nothing with for a while; a
token that is older than the round it was asked before is obeyed for less long than one that is as new as that. So a
round begins when the first voter agrees to it. A LEAD may arrive at any later time and any number of times.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from mmm.lease.lead import Lead
from mmm.lease.leading import Others, Received, Round, Tokens
from mmm.lease.record import Record
from mmm.lease.rules import FOREVER, NEVER, NOTHING, Grant, Lease, Outstanding
from mmm.lease.voter import Voter, without_disk
from tests.model.ticks import NOW
from tests.model.voting_shape import canonical, stamp

MONITORS = ("M1", "M2")
HOSTS = ("A", "B", "C")
WHOLE = -1.0
"""The length of an order that only makes a voter whole."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How long the times are, in ticks, what can happen, and the rules that all sides keep to."""

    voters: int = 2
    length: int = 1
    """Of the writer lease."""
    lead: int = 1
    """Of the lead."""
    margin: int = 1
    epochs: int = 1
    """How often each monitor may ask for the lead."""
    orders: int = 1
    """How many orders of a monitor to a host may be on their way."""
    own: bool = False
    """Each monitor gives orders to one of the masters only: far fewer states."""
    faults: int = 0
    """How many times the agents of hosts are restarted, or hosts boot."""
    disks: bool = False
    """A host that boots may have lost its disk."""
    drift: bool = False
    """The clock of the first master may lose a tick in each length and margin."""
    promises: bool = False
    stays: bool = False
    """The first master may ask the other once to let it stay for good."""
    unheld: bool = False
    """It asks nobody: what must not be."""
    unshown: bool = False
    """A monitor says that this is void though it was not shown it before its order was obeyed: what must not be."""
    forever: bool = False
    """Leases without an end are granted, by the record."""
    others: bool = False
    """A monitor may go on leading by the word of the other."""
    releases: bool = False
    """A monitor that leads no more says so: whom it had bound is free at once."""
    tells: bool = True
    """Who takes the lead believes a host that says it has nothing."""
    waits: bool = True
    """Who takes the lead takes every host to hold the role for the length of a lease."""
    voter: type[Voter] = Voter
    round: type[Round] = Round
    recorded: bool = True
    """A lease without an end is granted only when the record counts: what must be."""
    restart_waits: bool = True
    """A monitor that starts waits for as long as it may have given its word: what must be."""
    any_word: bool = False
    """A monitor gives its word to an epoch that is lower than its own: what must not be."""
    uninformed: bool = False
    """A monitor that starts gives its word before voters have told it of its own epoch: what must not be."""
    newest: bool = False
    """A monitor sends the newest token, also one that it has received since its round: what must not be."""
    restart_forgets: bool = False
    """The agent's restart makes it forget whom it follows: what must not be."""
    new_counts: bool = False
    """A voter that has lost its disk counts like any other: what must not be."""

    @property
    def valid(self) -> int:
        """For how long an order is obeyed after its token."""
        return min(self.length, self.lead)


class Order(NamedTuple):
    """From a monitor to an agent; `length` is 0 where it does not name the role."""

    length: float
    token: float
    epoch: Lead
    last: bool
    record: Record | None = None


class Link(NamedTuple):
    """What is between one monitor and one host."""

    given: Outstanding = NOTHING
    tokens: Tokens = Tokens()
    orders: frozenset[Order] = frozenset()
    answered: bool = False
    """The answer OK to the last order is on its way."""
    untouched: bool = False
    """The monitor leads, and has sent the host no order since."""
    post: Lead | None = None
    """The newest epoch that the host was asked to follow: that may arrive at any time."""
    shown: bool = False
    """The monitor leads, and was shown that the host has asked to stay; it has obeyed no order of it since."""
    void: bool = False
    """The monitor tells the other host that this is void, whenever that arrives."""


class Stay(NamedTuple):
    """A host's only request to stay for good."""

    left: bool = False
    """It may ask yet."""
    asked: bool = False
    """That is on the way to the other."""
    counts: bool = False
    """It has obeyed no order since, nor started anew."""
    let: bool = False
    """That the other agrees is on the way back."""
    held: bool = False
    """The other has it on its disk."""


class Host(NamedTuple):
    """A host that votes, with its agent."""

    voter: Voter
    lease: Lease
    links: tuple[Link, Link] = (Link(), Link())
    asked: float = NEVER
    promised: float = NEVER
    """As in `tests.model.protocol.Master`."""
    stay: Stay = Stay()


class Monitor(NamedTuple):
    """A monitor; what it knows of hosts is with them."""

    number: int = 0
    """Of the epoch it has asked for last, or the highest that it has met."""
    epoch: Lead | None = None
    """That which it asks for, or leads in; None: it stands by."""
    round: Round = Round()
    word: Others = Others(NEVER)
    held: frozenset[str] = frozenset()
    """The hosts in its record that may hold the role for good; `counts`: those in it when it counted last."""
    counts: frozenset[str] = frozenset()
    sequence: int = 0


class View(NamedTuple):
    """What a host's steps rest on besides it, of one monitor."""

    epoch: Lead | None
    """The epoch that it leads in, None where it does not."""
    other_free: bool
    """The monitor may give the role to this host: no other can hold it."""
    forever: bool
    record: Record | None = None


def start(rules: Rules, *, first: bool = False) -> Host:
    """Return a host that has not held the role yet."""
    stay = Stay(left=rules.stays and first)
    return canonical(Host(rules.voter(), Lease(-rules.length - 1.0), stay=stay), rules)


def holds(it: Host) -> bool:
    """Tell whether the host holds the role."""
    return it.lease.holds(NOW)


def steps(it: Host, views: tuple[View, View], rules: Rules, *, role: bool) -> Iterator[tuple[str, Host]]:
    """Return what can happen to one host and its messages when nothing breaks; `role`: it may have the role."""
    for who, view in enumerate(views):
        link = it.links[who]
        if link.post is not None and it.voter.refusal(link.post, NOW) is None:
            yield (
                f"follows {MONITORS[who]}, which does not hear of it",
                agreed(it, link.post, Record(), rules),
            )
        if view.epoch is not None:
            for name, after in _orders(it, who, view, rules, role=role):
                yield f"{name} by {MONITORS[who]}", after
        for order in link.orders:
            rest = it_with(it, who, link._replace(orders=link.orders - {order}))
            yield f"gets the order of {MONITORS[who]}, {_said(order)}", _obey(rest, who, order, rules)
        if link.answered:
            heard = link._replace(answered=False, shown=False, void=link.void or link.shown or rules.unshown)
            yield (
                f"is heard by {MONITORS[who]} to have obeyed",
                it_with(it, who, heard._replace(given=link.given.confirmed())),
            )
        if role and link.untouched and rules.tells:
            yield (
                f"tells {MONITORS[who]} what it has",
                it_with(it, who, link._replace(given=_found(it, rules))),
            )
    if rules.promises and role:
        yield from _promise_steps(it, rules)
    yield from _stay_steps(it, rules)


def faults(it: Host, rules: Rules) -> Iterator[tuple[str, Host]]:
    """Return what can break at one host."""
    silent = it._replace(asked=NEVER, promised=NEVER, stay=it.stay._replace(counts=False))
    voter = it.voter._replace(until=NEVER) if rules.restart_forgets else it.voter
    yield "has its agent restarted", silent._replace(lease=it.lease.restarted(stamp(it)), voter=voter)
    newest = stamp(it)
    lease = it.lease.rebooted(NOW, rules.length, rules.margin)._replace(newest=newest)
    links = tuple(link._replace(orders=frozenset(), tokens=Tokens()) for link in it.links)
    booted = silent._replace(lease=lease, links=(links[0], links[1]))
    yield "boots", booted._replace(voter=it.voter.rebooted(NOW, rules.lead, rules.margin))
    if rules.disks:
        lost = without_disk(NOW, rules.lead, rules.margin)
        yield "boots with an empty disk", booted._replace(voter=rules.voter(*lost))


def promise(it: Host, other: Host, rules: Rules) -> tuple[Host, Host] | None:
    """Return both after the other has got the question for a promise and agreed; None when it does not."""
    lease = other.lease.promise(rules.length, NOW, rules.margin) if it.asked != NEVER else None
    if lease is None:
        return None
    return it._replace(promised=it.asked), other._replace(lease=lease)


def let_stay(it: Host, other: Host) -> tuple[Host, Host] | None:
    """Return both after the other has got the question to let this one stay and agreed; None when it does not."""
    lease = other.lease.let_stay(NOW) if it.stay.asked else None
    if lease is None:
        return None
    return it._replace(stay=it.stay._replace(let=True, held=True)), other._replace(lease=lease)


def shown(it: Host, who: int) -> Host:
    """Return a host once the other has shown to a monitor that it lets this one stay."""
    link = it.links[who]
    if not it.stay.held or link.shown or link.void:
        return it
    given = Outstanding(FOREVER, FOREVER)
    after = link._replace(given=given, orders=_not_last(link), answered=False, untouched=False, shown=True)
    return it_with(it, who, after)


def told_void(it: Host, other: Host) -> tuple[Host, Host] | None:
    """Return both after the other has heard that it need not refuse the role any more; None where it has not."""
    if not (it.stay.held and any(link.void for link in it.links)):
        return None
    return it._replace(stay=it.stay._replace(held=False)), other._replace(lease=other.lease.voided())


def agreed(it: Host, epoch: Lead, record: Record, rules: Rules) -> Host:
    """Return a host that has agreed to the epoch."""
    return it._replace(voter=it.voter.agreed(epoch, record, rules.lead, NOW, rules.margin))


def released(it: Host) -> Host:
    """Return a host that is released from the epoch that it is bound to."""
    assert it.voter.epoch is not None
    return it._replace(voter=it.voter.released(it.voter.epoch))


# What a monitor does to all hosts at once


def asked(it: Host, who: int, epoch: Lead, *, first: bool, ordered: bool) -> Host:
    """Return a host when a round is asked: its newest token was there just before, where it is sent orders."""
    link = it.links[who]
    if first:
        link = Link(orders=_not_last(link), void=link.void)
    tokens = link.tokens.heard(Received(stamp(it), 0.0)).asked() if ordered else link.tokens
    return it_with(it, who, link._replace(tokens=tokens, post=epoch))


def complete(it: Host, who: int) -> Host:
    """Return a host when the round is complete."""
    link = it.links[who]
    return it_with(it, who, link._replace(tokens=link.tokens.complete()))


def taken(it: Host, who: int, rules: Rules, *, held: bool) -> Host:
    """Return a host when a monitor begins to lead: what it takes it to hold."""
    given = Outstanding(FOREVER, FOREVER) if held else NOTHING
    if rules.waits and not held:
        given = Outstanding(rules.length, rules.length)
    return it_with(it, who, it.links[who]._replace(given=given, untouched=True))


def left(it: Host, who: int) -> Host:
    """Return a host when a monitor leads no more: it forgets all."""
    link = it.links[who]
    return it_with(it, who, Link(orders=_not_last(link), post=link.post, void=link.void))


def passed(it: Host, *, agent: bool) -> Host:
    """Return a host a tick later; its own clock only where `agent`."""
    links = tuple(_link_passed(link, agent=agent) for link in it.links)
    it = it._replace(links=(links[0], links[1]))
    if not agent:
        return it
    lease, voter = it.lease, it.voter
    return it._replace(
        lease=lease._replace(
            newest=lease.newest - 1,
            until=lease.until - 1,
            promised=lease.promised - 1,
            booted=lease.booted - 1,
        ),
        voter=voter._replace(until=voter.until - 1, booted=voter.booted - 1),
        asked=it.asked - 1,
        promised=it.promised - 1,
    )


def it_with(it: Host, who: int, link: Link) -> Host:
    """Return a host with another link to one of the monitors."""
    return it._replace(links=(link, it.links[1]) if who == 0 else (it.links[0], link))


def _link_passed(link: Link, *, agent: bool) -> Link:
    by = 1 if agent else 0
    return link._replace(
        given=Outstanding(link.given.until - 1, link.given.confirms - 1),
        tokens=Tokens(*(each and Received(float(each.token) - by, each.at - 1) for each in link.tokens)),
        orders=frozenset(order._replace(token=order.token - by) for order in link.orders),
    )


def _not_last(link: Link) -> frozenset[Order]:
    return frozenset(order._replace(last=False) for order in link.orders)


def _found(it: Host, rules: Rules) -> Outstanding:
    """Return what a monitor that begins to lead takes a host to hold by its answer."""
    if not holds(it):
        return NOTHING
    until = FOREVER if it.lease.until == FOREVER else float(rules.length)
    return Outstanding(until, until)


def _orders(it: Host, who: int, view: View, rules: Rules, *, role: bool) -> Iterator[tuple[str, Host]]:
    if rules.newest:
        link = it.links[who]
        it = it_with(it, who, link._replace(tokens=link.tokens._replace(usable=Received(stamp(it), 0.0))))
    if it.links[who].tokens.usable is None:
        return
    if rules.disks and view.record is not None and it.voter.new:
        yield "is sent a word that makes it whole", _ordered(it, who, view, WHOLE, rules)
    if not role:
        return
    yield "is ordered to let go", _ordered(it, who, view, 0.0, rules)
    if view.other_free:
        yield "is granted the role", _ordered(it, who, view, rules.length, rules)
        if view.forever:
            yield "is granted the role for ever", _ordered(it, who, view, FOREVER, rules)


def _ordered(it: Host, who: int, view: View, length: float, rules: Rules) -> Host:
    link = it.links[who]
    if len(link.orders) >= rules.orders:  # the oldest is lost
        oldest = min(link.orders, key=lambda order: order.token)
        link = link._replace(orders=link.orders - {oldest})
    token, epoch = link.tokens.usable, view.epoch
    assert token is not None
    assert epoch is not None
    if length == WHOLE:
        order = Order(length, float(token.token), epoch, last=False, record=view.record)
        return it_with(it, who, link._replace(orders=link.orders | {order}, tokens=link.tokens.sent()))
    given = link.given.sent(length, token.at) if length else link.given.withdrawn()
    order = Order(length, float(token.token), epoch, last=True)
    orders = _not_last(link) | {order}
    after = link._replace(given=given, tokens=link.tokens.sent(), orders=orders)
    return it_with(it, who, after._replace(answered=False, untouched=False))


def _obey(it: Host, who: int, order: Order, rules: Rules) -> Host:
    voter = it.voter
    if not voter.obeys(order.epoch, order.token, rules.valid, NOW):
        return it
    if order.length == WHOLE:
        assert order.record is not None
        record = max(voter.record, order.record, key=Record.age)
        whole = voter.made_whole(order.epoch, order.token, rules.valid, NOW)
        return it._replace(voter=whole._replace(record=record))
    grant, role = Grant(order.length, order.token), order.length > 0
    if it.lease.refusal(grant, NOW, role=role):
        return it
    it = it._replace(lease=it.lease.obeyed(grant, NOW, role=role), stay=it.stay._replace(counts=False))
    return it_with(it, who, it.links[who]._replace(answered=order.last))


def _promise_steps(it: Host, rules: Rules) -> Iterator[tuple[str, Host]]:
    if holds(it) and it.lease.until < FOREVER and it.asked != 0.0:
        yield "asks for a promise", it._replace(asked=0.0)
    if it.promised != NEVER:
        yield "hears the promise", it._replace(lease=it.lease.renewed(it.promised, rules.length, NOW))


def _stay_steps(it: Host, rules: Rules) -> Iterator[tuple[str, Host]]:
    stay, lease = it.stay, it.lease
    if stay.left and holds(it) and lease.until < FOREVER:
        asked = Stay(asked=not rules.unheld, counts=True, let=rules.unheld)
        yield "asks to stay", it._replace(lease=lease.asking_to_stay(stamp(it)), stay=asked)
    if stay.asked:
        yield "is not heard to ask to stay any more", it._replace(stay=stay._replace(asked=False))
    if stay.let and stay.counts:
        yield "hears that it is let stay", it._replace(lease=lease.stayed(lease.newest, NOW))


def _said(order: Order) -> str:
    return {0.0: "to let go", WHOLE: "that makes it whole", FOREVER: "for ever"}.get(order.length, "a grant")
