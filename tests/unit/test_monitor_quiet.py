from dataclasses import replace

from mmm.lease.lead import HEARTBEAT
from mmm.monitor.apply.apply import apply
from mmm.monitor.apply.quiet import only_heartbeat
from mmm.monitor.world.events import Answer, Answered
from mmm.monitor.world.world import World
from tests.unit.worlds import (
    NOW,
    settle,
    take_turn,
    with_host,
    world,
)

AGAIN = NOW + 2 * HEARTBEAT


def beating() -> World:
    """Return a quiet cluster whose agents are just being told the same again."""
    heard, _ = settle(world(), NOW + HEARTBEAT)
    after, orders = take_turn(heard, AGAIN)
    assert {order.host for order in orders} == set(after.hosts)
    return after


def said(before: World, host: str, how: Answer = Answer.OK, uptime: float = 5000.0) -> tuple[World, bool]:
    event = Answered(host, before.hosts[host].agent.orders.number, how, str(how), uptime, "b.1")
    after = apply(before, event, AGAIN)
    return after, only_heartbeat(before, after, event, AGAIN)


def test_nothing_follows_from_an_ok_to_what_was_known_and_a_turn_finds_nothing_either() -> None:
    before = beating()
    for host in before.hosts:
        before, mere = said(before, host)
        assert mere
    after, orders = take_turn(before, AGAIN)
    assert not orders
    assert after == before


def test_an_error_or_silence_is_no_heartbeat() -> None:
    before = beating()
    assert not said(before, "db1", Answer.ERROR)[1]
    assert not said(before, "db1", Answer.SILENT)[1]


def test_an_ok_behind_which_news_wait_is_followed_at_once() -> None:
    before = beating()
    moved = before.with_owner(dict.fromkeys(before.vips_of("db1"), "db2"))
    assert not said(moved, "db1")[1]


def test_an_ok_to_news_is_no_heartbeat() -> None:
    before = beating()
    link = replace(before.hosts["db1"].agent, told=None)
    assert not said(with_host(before, "db1", agent=link), "db1")[1]
