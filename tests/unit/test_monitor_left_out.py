"""A host that the admin keeps a balanced role away from, with exclude_role, while it goes on replicating."""

from dataclasses import replace

import pytest

from mmm.monitor.act import status_file
from mmm.monitor.command.command_result import Result
from mmm.monitor.decide.found import Found
from mmm.monitor.decide.startup import start
from mmm.monitor.decide.turn import turn
from mmm.monitor.world.host import State
from mmm.monitor.world.world import Mode, World
from mmm.wire.status import Status, SystemStatus
from tests import commanding
from tests.unit.worlds import (
    NOW,
    READER1,
    READER2,
    READER3,
    WRITER,
    checks,
    cluster,
    settle,
    show,
    with_host,
    world,
)

READERS = (READER1, READER2, READER3)


def order(before: World, words: str) -> Result:
    result = commanding.run(before, words.split(), NOW)
    assert result is not None
    return result


def readers_of(seen: World, name: str) -> int:
    return sum(seen.owner[vip] == name for vip in READERS)


def test_a_host_that_is_left_out_of_a_role_gets_none_of_its_ips_until_it_is_taken_in_again() -> None:
    result = order(world(), "exclude_role reader db1")
    assert result.text == (
        "OK: Role 'reader' is kept away from 'db1' while other hosts can take it. 10.0.0.91 goes to db2."
        " 'mmm_control include_role reader db1' ends that."
    )
    out, _ = settle(result.world)
    assert readers_of(out, "db1") == 0
    assert (out.owner[WRITER], out.hosts["db1"].state) == ("db1", State.ONLINE)
    assert "# Warning: reader is kept away from db1 by the admin: include_role reader db1 ends that" in show(
        out
    )
    again, _ = settle(order(out, "include_role reader db1").world)
    assert readers_of(again, "db1") == 1
    assert "kept away" not in show(again)


def test_it_serves_where_nobody_else_can_and_is_left_out_again_afterwards() -> None:
    out, _ = settle(order(world(), "exclude_role reader db1").world)
    for name in ("db2", "db3"):
        out = with_host(out, name, checks=checks(mysql=NOW - 20, ping=NOW - 20))
    alone, _ = settle(out, NOW)
    assert readers_of(alone, "db1") == len(READERS)
    back = alone
    for name in ("db2", "db3"):
        back = with_host(back, name, checks=checks(), state=State.ONLINE, lost=False)
    back, _ = settle(back, NOW)
    assert readers_of(back, "db1") == 0


def test_a_monitor_that_restarts_knows_of_it() -> None:
    conf = cluster()
    out, _ = settle(order(world(), "exclude_role reader db3").world)
    stored, warnings = status_file.decode(status_file.encode(out))
    assert not warnings
    vips = {name: tuple(out.vips_of(name)) for name in conf.hosts}
    found = {
        name: Found(stored[name], Status("ONLINE", held, "db1"), SystemStatus(name == "db1", held), 500.0)
        for name, held in vips.items()
    }
    again = start(conf, dict.fromkeys(conf.hosts, checks()), found, NOW).world
    assert again.left_out == {("reader", "db3")}
    assert readers_of(turn(again, NOW).world, "db3") == 0
    assert status_file.encode(world()).count("|") < status_file.encode(out).count("|"), (
        "nothing is said of others"
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("exclude_role writer db1", "ERROR: Role 'writer' is exclusive, exclude_role is for balanced ones"),
        ("exclude_role reader db9", "ERROR: Unknown host name 'db9'!"),
        ("exclude_role report db1", "ERROR: Unknown role name 'report'!"),
        ("include_role reader db1", "OK: Role 'reader' is not kept away from 'db1'."),
    ],
)
def test_what_cannot_be_left_out_is_said(words: str, says: str) -> None:
    result = order(world(), words)
    assert result.text.startswith(says)
    assert not result.world.left_out
    passive = replace(world(), mode=Mode.PASSIVE)
    assert not order(passive, "exclude_role reader db1").world.left_out
