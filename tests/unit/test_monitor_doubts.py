"""What an agent says is wrong on its host is shown, and keeps the writer role from being moved there."""

import pytest

from mmm.monitor.apply.apply import apply
from mmm.monitor.assess import readiness
from mmm.monitor.command.preflight import Looked
from mmm.monitor.report import log_lines
from mmm.monitor.world.events import Doubted
from mmm.monitor.world.world import World
from mmm.wire.agent import Reply, decode_reply, encode_reply
from mmm.wire.doubts import (
    CLAIMED,
    GRANTS,
    GRANTS_WANTED,
    NOT_LISTENING,
    REPLICATION_LOGIN,
    Doubt,
    doubt_fields,
    doubts_in,
)
from tests import commanding
from tests.unit.worlds import NOW, world

GRANT = "GRANT PROCESS ON *.* TO `a`@`%`"


def doubted(host: str, *doubts: Doubt) -> World:
    return apply(world(), Doubted(host, doubts), NOW)


def moved(before: World, text: str = "move_role writer db2") -> str:
    result = commanding.run(before, text.split(), NOW, pinged=True, looked=Looked())
    assert result is not None
    return result.text


@pytest.mark.parametrize(
    ("host", "code", "refused"),
    [
        ("db2", GRANTS, True),
        ("db2", NOT_LISTENING, True),
        ("db2", GRANTS_WANTED, False),
        ("db2", REPLICATION_LOGIN, True),
        ("db1", GRANTS, False),
        ("db3", REPLICATION_LOGIN, True),
        ("db3", NOT_LISTENING, False),
        ("db2", CLAIMED, False),
    ],
)
def test_a_move_is_refused_for_what_would_hurt_it(host: str, code: str, *, refused: bool) -> None:
    before = doubted(host, Doubt(code, GRANT))
    for command in ("move_role writer db2", "move_role --dry-run writer db2"):
        text = moved(before, command)
        assert text.startswith("ERROR") == refused
        assert (GRANT in text) == refused
    if refused:
        assert moved(before, "move_role --force writer db2").startswith("OK")


def test_it_is_said_once_and_shown_for_as_long_as_it_is_so() -> None:
    before, after = world(), doubted("db2", Doubt(GRANTS, GRANT))
    assert any(GRANT in text for _, text in log_lines.between(before, after))
    assert [warned.code for warned in readiness.found(after)] == [GRANTS]
    assert apply(after, Doubted("db2", (Doubt(GRANTS, GRANT),)), NOW) is after
    assert readiness.found(apply(after, Doubted("db2", ()), NOW)) == ()


def test_what_this_monitor_does_not_know_is_ignored() -> None:
    assert readiness.found(doubted("db2", Doubt("something_new", "?"))) == ()


def test_they_go_over_the_wire() -> None:
    doubts = (Doubt(GRANTS, "a|b: c\nd"), Doubt(NOT_LISTENING, ""))
    reply = decode_reply(encode_reply(Reply("OK", ("x", *doubt_fields(doubts)), token="t", why="w")))
    assert doubts_in(reply) == (Doubt(GRANTS, "a b: c d"), Doubt(NOT_LISTENING, ""))
    assert doubts_in(Reply("OK", doubt_fields(()))) == ()
    assert doubts_in(Reply("OK", ("x",))) is None
