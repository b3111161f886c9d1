"""Who is looked at again once an order is obeyed, sooner than the next check."""

from dataclasses import replace

import pytest

from mmm.gtid.transactions import Transactions
from mmm.monitor.assess.out_of_date import is_out_of_date
from mmm.monitor.world.loss import Loss, LossCode
from mmm.monitor.world.orders import Tell
from mmm.monitor.world.world import World
from mmm.wire.status import Status
from tests.unit.worlds import NOW, world


def told(host: str, *, detach: bool = False) -> Tell:
    return Tell(host, 1, Status("ONLINE", (), "db1", detach=detach))


def read(*, detached: bool) -> World:
    """The world in which db2 was last read as detached from its source, or not."""
    before = world()
    host = before.hosts["db2"]
    progress = replace(host.progress, transactions=Transactions(NOW, detached=detached))
    return before.with_host("db2", replace(host, progress=progress))


@pytest.mark.parametrize(
    ("was", "detach", "expected"), [(True, False, True), (True, True, False), (False, False, False)]
)
def test_a_host_that_is_attached_again_is_looked_at(was: bool, detach: bool, expected: bool) -> None:  # noqa: FBT001
    assert is_out_of_date(read(detached=was), told("db2", detach=detach)) is expected


def test_a_host_that_was_never_read_is_left_to_its_checks() -> None:
    assert not is_out_of_date(world(), told("db2"))


def test_a_new_writer_is_looked_at_until_it_is_known_what_was_lost() -> None:
    after = replace(read(detached=False), loss=Loss("db1", "db2", NOW))
    assert is_out_of_date(after, told("db2"))
    assert not is_out_of_date(after, told("db3"))
    assert after.loss is not None
    known = replace(after, loss=replace(after.loss, code=LossCode.COMPARED))
    assert not is_out_of_date(known, told("db2"))
