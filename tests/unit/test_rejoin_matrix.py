"""The matrix of a rejoin: no step and no fault is left out, and what went wrong stands out."""

from mmm.proving.halting import Moment
from mmm.proving.rejoin_matrix import FAULTS, Came, Cell, cells, table
from mmm.tools.rejoin.journal import ORDER, Step


def test_every_step_meets_every_fault_before_and_after_it() -> None:
    every = set(cells())
    for step in ORDER:
        for fault in FAULTS:
            assert {Cell(step, Moment.BEFORE, fault.name), Cell(step, Moment.AFTER, fault.name)} <= every
    assert {cell.step for cell in every if cell.moment is Moment.WITHIN} == {Step.FETCH}


def test_the_table_has_how_often_the_command_was_run_and_names_what_must_not_be() -> None:
    cut, killed = Cell(Step.SAVE, Moment.AFTER, "cut"), Cell(Step.SAVE, Moment.AFTER, "kill-server")
    idle = Cell(Step.SWAP, Moment.AFTER, "kill-server")
    text = table([Came(cut, 9.0, 2), Came(killed, 9.0, 4, "db1 differs from db3"), Came(idle, 9.0, 0)])
    head, save, swap, bad = text.splitlines()
    assert head.split() == ["cut", "kill-server"]
    assert save.split() == ["after", "save", "2", "BAD"]
    assert swap.split() == ["after", "swap", "-"]
    assert bad == "kill-server after save: db1 differs from db3"
