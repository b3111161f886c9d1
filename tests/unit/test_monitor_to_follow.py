"""Which agents without a vote are asked to follow who leads, and that none is ordered anything before it does."""

import asyncio
import time
from dataclasses import replace
from math import inf

import pytest

from mmm.lease.lead import Lead
from mmm.lease.leading import Round
from mmm.monitor.act.agents import Agents
from mmm.monitor.decide import leases
from mmm.monitor.decide.leading import to_follow
from mmm.monitor.world.events import Answer
from mmm.monitor.world.leadership import Place
from mmm.monitor.world.link import Kind, Token
from mmm.monitor.world.orders import Tell
from mmm.monitor.world.world import World
from mmm.wire import agent as wire
from mmm.wire.status import Status
from tests.unit.test_monitor_leading import LEADS, of_several
from tests.unit.test_monitor_rounds import Monitor, OtherOnes, Voters, leads_on, run
from tests.unit.worlds import NOW, cluster

PERIOD, LEAD, BEAT = 2.5, 10.0, 3.0


def voting(*voters: str, slaves: int = 1, lease: float = LEAD) -> World:
    """A world in which only these hosts vote, and which has told everybody something this moment."""
    of = of_several(**LEADS)
    of = replace(
        of, conf=replace(of.conf, hosts=cluster(slaves=slaves).hosts, voters=voters, vip_lease=lease)
    )
    for name in of.hosts:
        link = of.hosts[name].agent
        of = of.with_agent(name, replace(link, orders=replace(link.orders, ended=NOW)))
    return of


def asked(
    of: World, *, after: float, bound: float = 0.0, token: float = 0.0, period: float = PERIOD
) -> tuple[str, ...]:
    """Return who is asked so many seconds after all were told something; db3 agreed, and gave a token, at a moment."""
    return to_follow(of, {"db3": NOW + bound}, lambda _: NOW + token, NOW + after, period)


def test_voters_are_not_among_them_and_hosts_that_may_be_the_writer_are_always() -> None:
    assert asked(voting("db1", "db2", "db3"), after=0.0) == ()
    assert asked(voting("db3"), after=0.0) == ("db1", "db2")


@pytest.mark.parametrize(
    ("after", "bound", "token", "due"),
    [
        (1.0, 0.0, 0.0, False),
        (1.0, -4.4, 0.0, False),
        (1.0, -4.6, 0.0, True),
        (1.0, -inf, 0.0, True),
        (1.0, 0.0, -5.9, False),
        (1.0, 0.0, -6.1, True),
        (60.0, 59.0, 59.0, False),
        (60.0, 51.0, 59.0, True),
    ],
    ids=["follows, with a token", "follows for long enough", "would follow no more", "has never agreed",
         "a token that is good", "one that would be too old", "told late, and ready", "told late, and not ready"],
)  # fmt: skip
def test_another_one_is_asked_where_it_would_not_obey_its_next_order(
    after: float, bound: float, token: float, *, due: bool
) -> None:
    of = voting("db1", "db2")
    assert asked(of, after=after, bound=bound, token=token) == (("db3",) if due else ())


def test_one_that_is_told_something_seldom_is_asked_as_seldom() -> None:
    of = voting("db1", "db2", lease=2.0)
    of = replace(of, conf=replace(of.conf, lead_lease=2.0))
    assert asked(of, after=BEAT - 1.1, bound=-inf, period=0.5) == ()
    assert asked(of, after=BEAT - 0.9, bound=-inf, period=0.5) == ("db3",)


def test_none_is_asked_that_cannot_vote_or_is_silent() -> None:
    of = voting("db1", "db2")
    link = of.hosts["db3"].agent
    classic = of.with_agent("db3", replace(link, about=replace(link.about, kind=Kind.MMM2)))
    assert asked(of, after=9.0, bound=-inf) == ("db3",)
    assert asked(classic, after=9.0, bound=-inf) == ()


@pytest.mark.parametrize(("age", "greets"), [(8.9, False), (9.1, True)])
def test_a_token_that_the_agent_would_not_obey_any_more_is_not_sent(age: float, *, greets: bool) -> None:
    of = voting("db1", "db2")
    link = of.hosts["db3"].agent
    about, orders = replace(link.about, heard=True), replace(link.orders, token=Token("t", NOW - age))
    of = of.with_agent("db3", replace(link, about=about, orders=orders))
    assert leases.with_lease(of, Tell("db3", 1, Status("ONLINE")), NOW).greet is greets
    alone = replace(of, conf=replace(of.conf, monitors=()))
    assert not leases.with_lease(alone, Tell("db3", 1, Status("ONLINE")), NOW).greet


def of_two_voters() -> World:
    of = voting("db1", "db2")
    link = of.hosts["db3"].agent
    later = replace(link.orders, ended=time.monotonic() + 1000)
    of = of.with_agent("db3", replace(link, orders=later))
    return replace(of, leadership=replace(of.leadership, place=Place.STANDS_BY))


def test_one_without_a_vote_is_asked_before_it_is_ordered_something_and_then_not_again() -> None:
    voters = Voters()

    async def orders(monitor: Monitor) -> None:
        await leads_on(monitor)
        db3 = monitor.world.conf.hosts["db3"]
        assert "db3" not in voters.asked
        rounds = voters.asked["db1"]
        assert await voters.binds(db3, wire.SET_STATUS)
        assert (voters.asked["db3"], voters.asked["db1"]) == (1, rounds), "its token shows who leads"
        assert await voters.binds(db3, wire.CLEAR_BAD_ROLES)
        assert voters.asked["db3"] == 1

    run(voters, orders, world=of_two_voters())


def test_an_order_without_a_token_goes_to_it_only_after_a_round_of_who_leads_yet() -> None:
    voters = Voters()

    async def orders(monitor: Monitor) -> None:
        await leads_on(monitor)
        db3, rounds = monitor.world.conf.hosts["db3"], voters.asked["db1"]
        assert await voters.binds(db3, wire.CLEAR_BAD_ROLES)
        assert voters.asked["db1"] > rounds
        voters.voters["db3"] = voters.voters["db3"]._replace(highest=Lead(9, "10.0.0.8:9988", "b2"))
        monitor.leading._rounds._bound.clear()
        assert not await voters.binds(db3, wire.CLEAR_BAD_ROLES)
        assert voters.asked["db3"] == 2
        await monitor.until(lambda now: now.place is Place.STANDS_BY)

    run(voters, orders, world=of_two_voters())


def test_a_try_in_vain_binds_nobody_without_a_vote() -> None:
    voters = Voters()
    voters.refuses = {"db2"}

    async def tries(monitor: Monitor) -> None:
        await monitor.until(lambda _: voters.tried.get("db2", 0) > 2)
        voters.refuses = set()
        assert "db3" not in voters.asked
        await monitor.until(lambda now: now.place is Place.LEADS)

    run(voters, tries, OtherOnes(), world=of_two_voters())


async def test_what_may_not_be_sent_is_not() -> None:
    async def never(*_: object) -> bool:
        return False

    agents, host = Agents(), cluster().hosts["db3"]
    agents.binds = never
    async with asyncio.timeout(20):
        spoken = await agents.ask(host, wire.Request(wire.CLEAR_BAD_ROLES, "db3"))
        assert await agents.prepare(host) is None
    assert (spoken.answer, spoken.reply) == (Answer.SILENT, None)


def test_a_first_round_is_hopeless_once_too_few_voters_are_left() -> None:
    first = Round().asked().refused("db1")
    assert not first.is_hopeless(3)
    assert first.refused("db2").is_hopeless(3)
    assert not first.refused("db2").heard("db1", new=False).is_hopeless(3), "it has agreed after all"
    assert not first.refused("db2").asked().is_hopeless(3), "another round"
    assert not first.complete().asked().refused("db1").refused("db2").is_hopeless(3), "it leads"
