"""The matrix of a rejoin: no step and no fault is left out, and what went wrong stands out."""

from mmm.proving.halting import HALVES, Moment
from mmm.proving.rejoin_matrix import FAULTS, Came, Cell, cells, table
from mmm.tools.fetch.receive import SILENT
from mmm.tools.rejoin.journal import IN_PLACE, ORDER, Step
from mmm.tools.rejoin.steps import ANSWER_LIMIT


def test_every_step_meets_every_fault_before_and_after_it() -> None:
    every = set(cells())
    for step in (each for each in ORDER if each not in IN_PLACE):
        for fault in FAULTS:
            assert {Cell(step, Moment.BEFORE, fault.name), Cell(step, Moment.AFTER, fault.name)} <= every
    for moment, steps in HALVES.items():
        assert {cell.step for cell in every if cell.moment is moment} == steps


def test_what_removes_old_data_is_met_by_a_job_that_may_and_by_no_other() -> None:
    may = {cell for cell in cells() if "--in-place" in cell.options}
    assert {cell.step for cell in may} == {Step.EMPTY}
    assert {cell.moment for cell in may} == {Moment.BEFORE, Moment.WITHIN, Moment.AFTER}
    assert "kill-tool" in {cell.fault for cell in may}
    assert "power-off" not in {cell.fault for cell in may}, "the small disk would be gone"


def test_on_mysql_no_cell_waits_for_a_step_that_is_never_done() -> None:
    there = set(cells(mariadb=False))
    assert there < set(cells())
    assert Step.UNDO not in {cell.step for cell in there}, "no such program comes with MySQL"
    halves = {cell.step for cell in there if cell.moment in HALVES}
    assert halves == {Step.EMPTY, Step.SWAP}, "the data come by the clone plugin, not through the tool"


def test_what_may_hang_is_frozen_and_cut_off_for_longer_than_the_tool_waits_for_other_hosts() -> None:
    lasting = {fault.name: fault.lasts for fault in FAULTS}
    assert lasting["blink"] < ANSWER_LIMIT, "the tool may go on as if nothing had been"
    assert min(lasting["cut"], lasting["freeze-donor"]) > SILENT
    assert lasting["freeze-server"] > ANSWER_LIMIT
    assert {fault.name for fault in FAULTS if fault.of_server} == {"kill-server", "freeze-server"}


def test_the_table_has_how_often_the_command_was_run_and_names_what_must_not_be() -> None:
    cut, killed = Cell(Step.SAVE, Moment.AFTER, "cut"), Cell(Step.SAVE, Moment.AFTER, "kill-server")
    idle = Cell(Step.SWAP, Moment.AFTER, "kill-server")
    text = table([Came(cut, 9.0, 2), Came(killed, 9.0, 4, "db1 differs from db3"), Came(idle, 9.0, 0)])
    head, save, swap, bad = text.splitlines()
    assert head.split() == ["cut", "kill-server"]
    assert save.split() == ["after", "save", "2", "BAD"]
    assert swap.split() == ["after", "swap", "-"]
    assert bad == "kill-server after save: db1 differs from db3"
