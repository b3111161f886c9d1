"""A writer whose disk is full: it is taken for failed where the conf says so, and is kept out until there is room."""

from dataclasses import replace
from typing import Any

import pytest

from mmm.monitor.apply.apply import apply
from mmm.monitor.command.preflight import Looked
from mmm.monitor.decide.reconcile import wanted
from mmm.monitor.world.events import Noted
from mmm.monitor.world.host import State
from mmm.monitor.world.world import Mode, World
from mmm.wire.questions import DISK_FULL, NO_SPACE, Clients, Note
from tests.commanding import run
from tests.unit.worlds import NOW, WRITER, cluster, settle, world

LIMIT = 30.0


def full(seconds: float, host: str = "db1", before: World | None = None, **monitor: Any) -> World:
    """Return a world in which the host's server has waited for so long for space on its disk."""
    if before is None:
        before = world(conf=cluster(**{"disk_full_failover": LIMIT, **monitor}))
    return apply(before, Noted(host, (Note(DISK_FULL, seconds),)), NOW)


def test_the_role_leaves_a_writer_whose_disk_has_been_full_for_long_enough() -> None:
    after, _ = settle(full(LIMIT - 5), NOW + 4)
    assert (after.owner[WRITER], after.hosts["db1"].state) == ("db1", State.ONLINE)
    after, _ = settle(after, NOW + 6)
    assert (after.owner[WRITER], after.hosts["db1"].state) == ("db2", State.HARD_OFFLINE)
    assert after.hosts["db1"].rule == "disk_full"
    assert "has waited 31 s for space on its disk" in str(after.hosts["db1"].why)
    assert not after.vips_of("db1")


@pytest.mark.parametrize(
    "before",
    [
        full(99.0, disk_full_failover=0.0),
        full(99.0, host="db2"),
        replace(full(99.0), mode=Mode.MANUAL),
        replace(full(99.0), failed_over=NOW - 10),
        full(99.0, before=full(99.0, host="db2")),
    ],
    ids=["off", "the standby", "manual mode", "just moved", "both are full"],
)
def test_the_role_stays(before: World) -> None:
    after, _ = settle(before, NOW + 1)
    assert (after.owner[WRITER], after.hosts["db1"].state) == ("db1", State.ONLINE)


def test_what_was_said_too_long_ago_does_not_count() -> None:
    after, _ = settle(full(5.0), NOW + 100)
    assert after.owner[WRITER] == "db1"


def test_the_host_is_kept_out_until_there_is_room() -> None:
    after, _ = settle(full(LIMIT), NOW)
    scarce = apply(after, Noted("db1", (Note(NO_SPACE),)), NOW + 20)
    scarce, _ = settle(scarce, NOW + 21)
    assert scarce.hosts["db1"].state is State.HARD_OFFLINE
    room, _ = settle(apply(scarce, Noted("db1", ()), NOW + 30), NOW + 31)
    assert room.hosts["db1"].state is not State.HARD_OFFLINE


def test_no_move_is_begun_to_a_host_whose_disk_is_full() -> None:
    looked = Looked(Clients(0, 0))
    result = run(full(7.0, host="db2"), ["move_role", "writer", "db2"], NOW, pinged=True, looked=looked)
    assert result is not None
    assert "the server of db2 has waited 7 s for disk space" in result.text
    assert result.text.startswith("ERROR")


def test_the_new_writer_does_not_wait_for_what_the_full_one_has_logged_and_never_sends() -> None:
    after, _ = settle(full(LIMIT), NOW)
    after, _ = settle(after, NOW + 30)
    told = wanted(after, "db2", NOW + 30)
    assert (told.master, told.detach, told.force) == ("db2", True, True)
