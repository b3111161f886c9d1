"""Hosts that have left their VIP for good while no monitor was heard: what a monitor makes of that (rule 14.3)."""

from dataclasses import replace

import pytest

from mmm.lease.rules import FOREVER, Outstanding, margin
from mmm.monitor.act import status_file
from mmm.monitor.apply.apply import apply
from mmm.monitor.command import confirm_dead
from mmm.monitor.command.asking import Heard, LookForLife
from mmm.monitor.decide import leading
from mmm.monitor.decide.found import Found, Stored
from mmm.monitor.decide.startup import start
from mmm.monitor.world.events import Answer, Answered, Killed
from mmm.monitor.world.link import Ordered
from mmm.monitor.world.orders import Tell
from mmm.monitor.world.world import World
from mmm.wire.held import Stay
from mmm.wire.status import Status, SystemStatus
from tests.unit.test_monitor_leases import CONF, LENGTH, answered, cut_off, quiet
from tests.unit.worlds import NOW, WRITER, checks, take_turn, unreachable, with_agent, world

STAY = Stay("db1", "boot.77")
LATER = NOW + 6.0


def turn(before: World, now: float, *stays: Stay, deaf: str = "db1") -> tuple[World, list[Tell]]:
    """Let every agent answer OK, db2 showing stays, but for the one that is deaf."""
    told: list[Tell] = []
    for _ in range(6):
        before, orders = take_turn(before, now)
        for order in (each for each in orders if isinstance(each, Tell)):
            told.append(order)
            if order.host == deaf:
                before = answered(before, order, Answer.REFUSED, now)
                continue
            shown = frozenset(stays) if order.host == "db2" else frozenset[Stay]()
            said = Answered(order.host, order.number, Answer.OK, "", 500.0, f"boot.{now}", stays=shown)
            before = apply(before, said, now)
    return before, told


def shown() -> World:
    return turn(unreachable(quiet(), "db1"), LATER, STAY)[0]


def void(orders: list[Tell], host: str = "db2") -> set[frozenset[Stay]]:
    return {order.void for order in orders if order.host == host and order.lease is not None}


def test_a_host_that_another_shows_to_have_stayed_holds_the_role_for_good() -> None:
    after = shown()
    assert after.hosts["db1"].agent.given == Outstanding(FOREVER, FOREVER)
    far = LATER + 100 * LENGTH
    after, orders = turn(cut_off(after, "db1", LATER + 1.0), far, STAY)
    assert after.hosts["db1"].agent.may_hold >= {WRITER}
    assert not any(WRITER in order.status.vips for order in orders if order.host == "db2")
    assert void(orders) == {frozenset()}


def test_so_it_is_recorded_for_the_next_start_and_the_next_leader() -> None:
    assert "|forever" in status_file.encode(shown()).splitlines()[0]
    assert leading.record(shown()).held == {"db1"}


def test_once_it_has_obeyed_an_order_that_was_sent_since_the_other_is_told_that_it_is_void() -> None:
    after, orders = turn(shown(), LATER + 4.0, STAY, deaf="")
    assert after.hosts["db1"].agent.given.until < FOREVER
    later, orders = turn(after, LATER + 8.0, STAY, deaf="")
    assert void(orders) == {frozenset({STAY})}
    assert later.hosts["db1"].agent.given.until < FOREVER, "what is void makes nobody hold the role again"
    assert void(turn(later, LATER + 12.0, deaf="")[1]) <= {frozenset(), frozenset({STAY})}


def test_an_answer_to_what_was_ordered_before_says_nothing_of_it() -> None:
    before, orders = take_turn(quiet(), LATER)
    first = next(order for order in orders if order.host == "db1")
    second = next(order for order in orders if order.host == "db2")
    assert isinstance(second, Tell)
    said = Answered("db2", second.number, Answer.OK, "", 500.0, "boot.9", stays=frozenset({STAY}))
    before = apply(before, said, LATER)
    after = answered(before, first, Answer.OK, LATER + 0.1)
    assert after.hosts["db1"].agent.given.until == FOREVER
    assert after.hosts["db1"].agent.void == frozenset()


def test_a_greeting_shows_it_too() -> None:
    before, orders = take_turn(world({WRITER: "db1"}, conf=CONF), NOW + 3.0)
    order = next(order for order in orders if isinstance(order, Tell) and order.host == "db2")
    assert order.greet
    said = Answered("db2", order.number, Answer.OK, "", 500.0, "boot.9", stays=frozenset({STAY}))
    after = apply(before, said, NOW + 3.0)
    assert after.hosts["db1"].agent.given.until == FOREVER
    assert after.hosts["db2"].agent.about.stays == {STAY}


@pytest.mark.parametrize("stay", [Stay("db2", "boot.7"), Stay("elsewhere", "boot.7")])
def test_a_stay_of_itself_or_of_a_host_that_the_conf_lacks_makes_nobody_hold_anything(stay: Stay) -> None:
    after, _ = turn(quiet(), LATER, stay, deaf="")
    assert [name for name in after.hosts if after.hosts[name].agent.given.until == FOREVER] == []


def test_a_kill_host_that_succeeds_makes_it_void_and_one_that_fails_does_not() -> None:
    dead = cut_off(shown(), "db1", LATER + 1.0)
    failed = apply(dead, Killed("db1", "it exits 1"), LATER + 2.0)
    assert failed.hosts["db1"].agent.given.until == FOREVER
    assert failed.hosts["db1"].agent.void == frozenset()
    _, orders = turn(apply(dead, Killed("db1"), LATER + 2.0), LATER + 4.0, STAY)
    assert frozenset({STAY}) in void(orders)
    taking = [order for order in orders if order.host == "db2" and WRITER in order.status.vips]
    assert taking
    assert {order.void for order in taking if order.lease} == {frozenset({STAY})}


def test_an_admin_vouches_for_it() -> None:
    asking = confirm_dead.run(shown(), "db1", "root")
    assert isinstance(next(asking), LookForLife)
    dead = cut_off(turn(cut_off(shown(), "db1", LATER), LATER + 40.0, STAY)[0], "db1", LATER + 41.0)
    with pytest.raises(StopIteration) as ended:
        asking.send(Heard(dead, LATER + 42.0))
    world = ended.value.value.world
    assert void(turn(world, LATER + 43.0, STAY)[1]) == {frozenset({STAY})}


def started(db1: Found, db2: Found) -> World:
    seen = {"db1": checks(), "db2": checks()}
    return start(CONF, seen, {"db1": db1, "db2": db2}, NOW).world


STORED = Found(Stored("ONLINE", (WRITER,), "finite", LENGTH))
SHOWS = Found(
    Stored("ONLINE"), Status("ONLINE"), SystemStatus(writable=False), 500.0, stays=frozenset({STAY})
)


def test_a_monitor_that_starts_waits_for_the_host_beyond_the_lease_of_its_file() -> None:
    begun = started(STORED, SHOWS)
    assert begun.owner[WRITER] == "db1"
    assert begun.hosts["db1"].agent.given.until == FOREVER
    assert started(STORED, replace(SHOWS, stays=frozenset())).hosts["db1"].agent.given.until < FOREVER
    after, orders = turn(cut_off(begun, "db1", NOW), NOW + LENGTH + margin(LENGTH) + 60.0, STAY)
    assert not any(WRITER in order.status.vips for order in orders if order.host == "db2")
    assert after.hosts["db1"].agent.may_hold == {WRITER}


def test_so_it_does_where_its_file_is_lost() -> None:
    begun = started(Found(), SHOWS)
    assert begun.hosts["db1"].agent.may_hold == {WRITER}
    after, orders = turn(begun, NOW + 60.0, STAY)
    assert not any(WRITER in order.status.vips for order in orders if order.host == "db2")
    back, _ = turn(after, NOW + 66.0, STAY, deaf="")
    assert back.hosts["db1"].agent.void == {STAY.token}


def test_whom_others_let_stay_is_elected_before_one_of_which_the_file_says_as_much() -> None:
    """As with a monitor that takes the lead: the record says of each host of the role that it may have it."""
    either = Found(Stored("ONLINE", (WRITER,), "finite", LENGTH))
    host = replace(SHOWS, stored=either.stored, stays=frozenset({Stay("db2", "x.1")}))
    assert started(host, either).owner[WRITER] == "db2"
    assert started(replace(host, stays=frozenset()), either).owner[WRITER] == "db1"


def test_without_leases_nothing_of_it_counts() -> None:
    conf = replace(CONF, vip_lease=0.0)
    seen = {"db1": checks(), "db2": checks()}
    world = start(conf, seen, {"db1": STORED, "db2": SHOWS}, NOW).world
    assert world.hosts["db1"].agent.stays == frozenset()


def test_an_order_that_never_arrived_takes_nothing_from_a_host_that_was_shown_to_have_stayed() -> None:
    """It was to give the host what that had kept, as the other one showed while the order was under way."""
    away = with_agent(quiet(), "db1", may_hold=frozenset(), told=None, ended=None)
    before, orders = take_turn(away, LATER)
    first, second = (next(each for each in orders if each.host == name) for name in ("db1", "db2"))
    assert isinstance(first, Tell)
    assert isinstance(second, Tell)
    before = with_agent(before, "db1", in_flight=Ordered(first.status, LATER, new=frozenset({WRITER})))
    said = Answered("db2", second.number, Answer.OK, "", 500.0, "boot.9", stays=frozenset({STAY}))
    after = answered(apply(before, said, LATER), first, Answer.REFUSED, LATER + 0.1)
    assert WRITER in after.hosts["db1"].agent.may_hold
    assert after.hosts["db1"].agent.given.until == FOREVER
