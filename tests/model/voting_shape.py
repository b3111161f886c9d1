"""What makes two hosts of `tests.model.voting` equal: without that there is no end to what is different."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmm.lease.leading import Received, Tokens
from mmm.lease.rules import FOREVER, NEVER, Outstanding
from mmm.lease.voter import Voter
from tests.model.ticks import GRAIN, NOW, clipped, places, rounded

if TYPE_CHECKING:
    from tests.model.voting import Host, Link, Order, Rules


def stamp(it: Host) -> float:
    """Return a moment on the agent's clock that is later than all it has stamped."""
    return max(0.0, it.lease.newest, *_stamps(it)) + GRAIN


def canonical(it: Host, rules: Rules) -> Host:
    """Return the same without what can have no effect, every moment as near and as round as the rules allow."""
    first, second = (_useful(it, link, rules) for link in it.links)
    it = it._replace(links=(first, second))
    place = places({it.lease.newest, *_stamps(it)}, -max(rules.length, rules.lead) - 1)
    lease, voter = it.lease, it.voter
    bound = voter.until > NOW
    counts = it.stay.counts and lease.holds(NOW) and lease.until < FOREVER
    return it._replace(
        lease=lease._replace(
            newest=place[lease.newest],
            until=rounded(lease.until),
            promised=lease.promised if lease.promised > NOW else NEVER,
            heard=NEVER,
            booted=lease.booted if lease.booted > NOW else NEVER,
        ),
        voter=voter._replace(
            epoch=voter.epoch if bound else None,
            until=voter.until if bound else NEVER,
            booted=voter.booted if voter.booted > NOW else NEVER,
        ),
        links=(_placed(first, place), _placed(second, place)),
        stay=it.stay._replace(counts=counts, let=it.stay.let and counts),
        asked=it.asked if it.asked + rules.length > NOW else NEVER,
        promised=it.promised if it.promised + rules.length > NOW and lease.holds(NOW) else NEVER,
    )


def _stamps(it: Host) -> list[float]:
    return [
        moment
        for link in it.links
        for moment in (
            *(order.token for order in link.orders),
            *(float(each.token) for each in link.tokens if each),
        )
    ]


def _useful(it: Host, link: Link, rules: Rules) -> Link:
    """Return a link without orders and tokens that the agent can never obey any more."""
    orders = frozenset(order for order in link.orders if _lives(it, order, rules))
    tokens = Tokens(
        *(each if each and _fresh(it, float(each.token), rules) else None for each in link.tokens)
    )
    awaited = link.answered or any(order.last for order in orders)
    until = clipped(link.given.until, rules.margin)
    old = it.voter.highest is not None and link.post is not None and link.post < it.voter.highest
    return link._replace(
        given=Outstanding(until, clipped(link.given.confirms, rules.margin) if awaited else until),
        tokens=tokens,
        orders=orders,
        post=None if old and type(it.voter) is Voter and not rules.disks else link.post,
    )


def _fresh(it: Host, token: float, rules: Rules) -> bool:
    return token > it.lease.newest and token + rules.valid > NOW


def _lives(it: Host, order: Order, rules: Rules) -> bool:
    voter = it.voter
    over = type(voter) is Voter and voter.highest is not None and order.epoch < voter.highest
    return _fresh(it, order.token, rules) and not over


def _placed(link: Link, place: dict[float, float]) -> Link:
    tokens = (each and Received(place[float(each.token)], each.at) for each in link.tokens)
    orders = frozenset(order._replace(token=place[order.token]) for order in link.orders)
    return link._replace(tokens=Tokens(*tokens), orders=orders)
