"""A server that fell silent is failed over only when no other host reaches it (rule 11.2)."""

from collections.abc import Iterable
from dataclasses import replace

from mmm.monitor.apply.apply import apply
from mmm.monitor.assess import second_opinion
from mmm.monitor.report.explain import explain
from mmm.monitor.world.check_results import PingChecked, ServerChecked
from mmm.monitor.world.checks import NO_CAUSE, REFUSED, Cause, Outcome
from mmm.monitor.world.events import Opinions
from mmm.monitor.world.host import State
from mmm.monitor.world.orders import AskOthers, KillHost, Order
from mmm.monitor.world.world import World
from tests.unit.worlds import (
    CLOCK,
    NOW,
    READER1,
    WRITER,
    cluster,
    finds,
    settle,
    show,
    take_turn,
    unreachable,
    world,
)

CONF = cluster(slaves=1, split_brain_guard=True, failover_block=0)
TRAP = 10.0


def healthy() -> World:
    return settle(world({WRITER: "db1", READER1: "db1"}, conf=CONF))[0]


def fails(before: World, name: str, now: float, *, refused: bool = False) -> World:
    """Return the world after ping and mysql of the host were ERROR once more."""
    ping = PingChecked(name, finds(Outcome.ERROR, "no answer"))
    mysql = ServerChecked(
        name, finds(Outcome.ERROR, "no answer"), cause=Cause(REFUSED) if refused else NO_CAUSE
    )
    return apply(apply(before, ping, now), mysql, now)


def questions(orders: Iterable[Order]) -> list[AskOthers]:
    return [order for order in orders if isinstance(order, AskOthers)]


def silent(reached: tuple[str, ...] = (), now: float = NOW) -> World:
    """Return the world in which db1 fell silent, and the others have said who reaches it."""
    begun, _ = take_turn(fails(healthy(), "db1", now), now)
    return apply(begun, Opinions("db1", ("db2", "db3"), reached), now + 1)


def test_the_others_are_asked_from_the_first_silence_on_and_not_again_at_once() -> None:
    before, orders = take_turn(fails(healthy(), "db1", NOW), NOW)
    assert questions(orders) == [AskOthers("db1", ("db2", "db3"))]
    assert before.hosts["db1"].state is State.ONLINE
    before, orders = take_turn(fails(before, "db1", NOW + 1), NOW + 1)
    assert questions(orders) == []
    before = apply(before, Opinions("db1", ("db2", "db3")), NOW + 1)
    assert questions(take_turn(before, NOW + second_opinion.AGAIN - 0.1)[1]) == []
    assert questions(take_turn(before, NOW + second_opinion.AGAIN)[1])


def test_nobody_is_asked_about_a_server_that_refuses_nor_without_the_guard() -> None:
    assert questions(take_turn(fails(healthy(), "db1", NOW, refused=True), NOW)[1]) == []
    unguarded = healthy()
    monitor = unguarded.conf.monitor
    assert monitor is not None
    conf = replace(unguarded.conf, monitor=replace(monitor, split_brain_guard=False))
    assert questions(take_turn(fails(replace(unguarded, conf=conf), "db1", NOW), NOW)[1]) == []


def test_nothing_moves_while_another_host_reaches_it_and_show_says_so() -> None:
    before = fails(silent(("db2",)), "db1", NOW + TRAP)
    after, orders = take_turn(before, NOW + TRAP)
    assert after.hosts["db1"].state is State.ONLINE
    assert (after.owner[WRITER], after.owner[READER1]) == ("db1", "db1")
    assert not any(isinstance(order, KillHost) for order in orders)
    said = "cut_off_from_monitor: only the monitor cannot reach db1: its server answers db2"
    assert f"# Warning: {said}" in show(after)
    assert said in explain(after, "db1", NOW, CLOCK)
    assert not after.can_take("db1")  # it could not be told


def test_it_is_failed_over_as_soon_as_no_other_host_reaches_it_any_more() -> None:
    before, _ = take_turn(fails(silent(("db2",)), "db1", NOW + TRAP), NOW + TRAP)
    assert before.hosts["db1"].state is State.ONLINE
    after, _ = take_turn(apply(before, Opinions("db1", ("db2", "db3")), NOW + TRAP + 1), NOW + TRAP + 1)
    assert after.hosts["db1"].state is State.HARD_OFFLINE
    assert after.owner[WRITER] is None or after.owner[WRITER] == "db2"


def test_what_nobody_reaches_is_failed_over_when_its_trap_ends() -> None:
    after, _ = take_turn(fails(silent(), "db1", NOW + TRAP), NOW + TRAP)
    assert after.hosts["db1"].state is State.HARD_OFFLINE


def test_a_failover_waits_for_the_first_answers_and_for_none_after_them() -> None:
    before, _ = take_turn(fails(healthy(), "db1", NOW), NOW)
    waiting, _ = take_turn(fails(before, "db1", NOW + TRAP), NOW + TRAP)
    assert waiting.hosts["db1"].state is State.ONLINE
    assert "the other hosts are being asked" in explain(waiting, "db1", NOW, CLOCK)
    after, _ = take_turn(apply(waiting, Opinions("db1"), NOW + TRAP), NOW + TRAP)
    assert after.hosts["db1"].state is State.HARD_OFFLINE


def test_what_was_said_of_an_earlier_silence_counts_for_nothing() -> None:
    spoke = apply(silent(("db2",)), ServerChecked("db1", finds(Outcome.OK)), NOW + 2)
    before = fails(spoke, "db1", NOW + 3)
    assert second_opinion.reached_by(before, "db1") == ()
    assert questions(take_turn(before, NOW + 3)[1])


def test_those_who_do_not_answer_the_monitor_are_not_asked() -> None:
    before = unreachable(healthy(), "db2")
    _, orders = take_turn(fails(before, "db1", NOW), NOW)
    assert questions(orders) == [AskOthers("db1", ("db3",))]
    alone = unreachable(before, "db3")
    after = fails(take_turn(fails(alone, "db1", NOW), NOW)[0], "db1", NOW + TRAP)
    assert take_turn(after, NOW + TRAP)[0].hosts["db1"].state is State.HARD_OFFLINE
