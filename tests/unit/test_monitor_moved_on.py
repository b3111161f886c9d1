"""A planned move whose new holder cannot take the role while the old one cannot have it again (rule 11.7)."""

from dataclasses import replace
from pathlib import Path

import pytest

from mmm.monitor.act.journal import Chronicle
from mmm.monitor.apply.apply import apply
from mmm.monitor.command import command_result
from mmm.monitor.command.command_result import Awaited
from mmm.monitor.decide.move.phases import TELL_LIMIT, TRY_AGAIN
from mmm.monitor.decide.turn import turn
from mmm.monitor.report.log_lines import between
from mmm.monitor.world.events import Answer, Answered
from mmm.monitor.world.link import Ordered
from mmm.monitor.world.orders import Tell
from mmm.monitor.world.world import Mode, World
from mmm.wire.status import Status
from tests import commanding
from tests.unit.test_monitor_failover_block import of_masters
from tests.unit.worlds import CLOCK, NOW, WRITER, checks, settle, take_turn, with_agent, with_host

NO = "ERROR: sync: not in time"


class Cluster:
    """Three masters in turns of 0.25 s; the agents of `unable` answer ERROR to the order to take the role."""

    def __init__(self, before: World, *unable: str, chronicle: Chronicle | None = None) -> None:
        self.world, self.unable, self.now = before, unable, NOW + 1.0
        self.told: list[tuple[str, bool]] = []
        """Who was told, in that order, and whether it is to have the role."""
        self.lines: list[str] = []
        self.chronicle = chronicle

    def run(self, seconds: float = 0.25) -> None:
        """Have agents answer at once for that long."""
        until = self.now + seconds
        while self.now < until:
            self.now += 0.25
            for _ in range(10):
                before = self.world
                result = turn(before, self.now)
                self.world = result.world
                self._note(before)
                if self.chronicle is not None:
                    self.chronicle.turn(self.world, result.changes)
                for order in (each for each in result.orders if isinstance(each, Tell)):
                    self.answer(order)

    def _note(self, before: World) -> None:
        self.lines += [line for _, line in between(before, self.world)]

    def answer(self, order: Tell) -> None:
        """Have an agent answer."""
        before, takes = self.world, WRITER in order.status.vips
        self.told.append((order.host, takes))
        no = takes and order.host in self.unable
        about = before.hosts[order.host].agent.about
        how, text = (Answer.ERROR, NO) if no else (Answer.OK, "")
        said = Answered(order.host, order.number, how, text, 501.0 + self.now - NOW, "b.1")
        said = replace(said, halting=about.halting, differs=about.differs)
        self.world = apply(before, said, self.now)
        self._note(before)
        if self.chronicle is not None:
            self.chronicle.between(before, self.world)
            self.chronicle.told(before, self.world, order, 0.01, str(how))


def halting(*unable: str, mode: Mode = Mode.ACTIVE, chronicle: Chronicle | None = None) -> Cluster:
    """The machine of db1, the writer, goes down."""
    before = with_agent(settle(of_masters("db1"))[0], "db1", halting=True)
    return Cluster(replace(before, mode=mode), *unable, chronicle=chronicle)


def test_the_history_tells_where_the_role_went_in_the_end_and_who_wrote_last(tmp_path: Path) -> None:
    chronicle = Chronicle(tmp_path / "history", CLOCK)
    down = halting("db2", chronicle=chronicle)
    down.run()
    (moved,) = [entry for entry in chronicle.entries if entry.holder]
    assert moved.holder == (str(WRITER), "db3")
    assert moved.event is not None
    assert moved.event["fields"] == {"vip": str(WRITER), "source": "db1", "target": "db3"}
    assert NO in str(moved.cause)


def test_a_role_that_its_new_holder_cannot_take_goes_on_to_a_third_host_while_the_old_ones_machine_goes_down() -> (
    None
):
    """It never goes back: it would go down with that machine."""
    down = halting("db2")
    down.run()
    assert (down.world.owner[WRITER], down.world.move) == ("db3", None)
    assert (down.world.last_writer, down.world.failed_over) == ("db3", None)
    takes = [name for name, takes in down.told if takes]
    assert takes == ["db2", "db3"]
    after = down.told[down.told.index(("db2", True)) + 1 :]
    assert after.index(("db2", False)) < after.index(("db3", True)), "first it has let go again"
    assert down.world.could_not_go_to(WRITER, "db2") is not None
    assert f"{WRITER}: db3 gets it, db2 did not take it: the agent of db2 answered '{NO}'" in down.lines
    assert not any("has it again" in line for line in down.lines)


def test_it_does_not_go_home_at_once_to_the_host_that_could_not_take_it() -> None:
    before = of_masters("db1", "db2")
    down = Cluster(with_agent(before, "db1", halting=True), "db2")
    down.run(20.0)
    assert [name for name, takes in down.told if takes].count("db2") == 1
    assert down.world.owner[WRITER] == "db3"
    down.unable = ()
    down.run(TRY_AGAIN)
    assert down.world.owner[WRITER] == "db2"


def test_where_no_third_host_can_take_it_either_the_last_one_is_told_again_and_again() -> None:
    down = halting("db2", "db3")
    down.run(12.0)
    assert down.world.owner[WRITER] == "db3"
    takes = [name for name, takes in down.told if takes]
    assert takes[:2] == ["db2", "db3"]
    assert set(takes[2:]) == {"db3"}, "not to and fro"
    assert len(takes) > 4
    down.unable = ()
    down.run(4.0)
    assert (down.world.last_writer, down.world.move) == ("db3", None)


@pytest.mark.parametrize("unfit", ["dead", "halting", "differs"])
def test_a_third_host_that_is_not_fit_does_not_get_it(unfit: str) -> None:
    down = halting("db2")
    if unfit == "dead":
        down.world = with_host(down.world, "db3", checks=checks(ping=NOW, mysql=NOW))
    else:
        down.world = with_agent(down.world, "db3", **{unfit: ("hosts",) if unfit == "differs" else True})
    down.run(4.0)
    assert down.world.owner[WRITER] == "db2"


def ordered(*unable: str, mode: Mode = Mode.ACTIVE) -> tuple[Cluster, Awaited]:
    """The admin moves the role to db2; db1 is lost when it has let go of it."""
    before = replace(settle(of_masters("db1"))[0], mode=mode)
    moved = commanding.run(before, ["move_role", "writer", "db2"], NOW, pinged=True)
    assert moved is not None
    assert isinstance(moved.awaits, Awaited)
    begun, orders = take_turn(moved.world, NOW)
    (order,) = (each for each in orders if isinstance(each, Tell) and each.host == "db1")
    let_go = apply(begun, Answered("db1", order.number, Answer.OK, uptime=501.0, token="b.1"), NOW)
    return Cluster(with_host(let_go, "db1", checks=checks(ping=NOW, mysql=NOW)), *unable), moved.awaits


def test_so_it_does_where_the_old_holder_was_lost_once_it_had_let_go_and_the_admin_is_told() -> None:
    lost, awaited = ordered("db2")
    lost.run()
    assert (lost.world.owner[WRITER], lost.world.last_writer) == ("db3", "db3")
    answer = command_result.outcome(lost.world, awaited)
    assert answer is not None
    assert not answer.ok
    assert str(answer) == (
        f"ERROR: writer could not be moved to db2: the agent of db2 answered '{NO}'; it goes to db3"
    )
    assert lost.world.loss is not None, "what db1 had and nobody got is judged"
    assert lost.world.loss.taker == "db3"


def test_in_manual_mode_it_goes_to_nobody_whom_the_admin_has_not_named() -> None:
    lost, _ = ordered("db2", mode=Mode.MANUAL)
    lost.run(4.0)
    assert lost.world.owner[WRITER] == "db2"


def test_a_new_holder_that_cannot_be_told_in_time_is_passed_over_too() -> None:
    down = halting()
    busy = Ordered(Status("ONLINE"), down.now)
    down.world = with_agent(down.world, "db2", in_flight=busy, number=7)
    down.run(TELL_LIMIT)
    assert down.world.owner[WRITER] == "db2"
    down.run(0.75)
    assert (down.world.owner[WRITER], down.world.last_writer) == ("db3", "db3")


def test_a_third_host_has_its_full_time_once_the_one_before_it_has_let_go() -> None:
    down = halting("db2")
    down.run(0.0)
    assert down.world.owner[WRITER] == "db1"
    for _ in range(4):
        down.world, orders = take_turn(down.world, down.now)
        for order in (each for each in orders if isinstance(each, Tell)):
            if (order.host, WRITER in order.status.vips) != ("db2", False):
                down.answer(order)
    assert (down.world.owner[WRITER], "db2" in down.world.holders(WRITER)) == ("db3", True)
    later = take_turn(down.world, down.now + TELL_LIMIT + 1.0)[0]
    assert later.owner[WRITER] == "db3"
    assert later.move is not None
    assert later.move.since == down.now + TELL_LIMIT + 1.0
