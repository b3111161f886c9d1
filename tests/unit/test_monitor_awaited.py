"""What a command is answered that waits: once the agents have confirmed it, or once that will not be (rule 5)."""

from dataclasses import replace

import pytest

from mmm.monitor.command import command_result
from mmm.monitor.command.command_result import Result
from mmm.monitor.command.texts import Verdict
from mmm.monitor.world.events import Answer
from mmm.monitor.world.host import State
from mmm.monitor.world.hosts import Hosts, Owners
from mmm.monitor.world.world import World
from tests import commanding
from tests.unit.worlds import NOW, WRITER, answer, settle, take_turn, world

WAITING = world(states={"db2": State.AWAITING_RECOVERY})


def run(before: World, text: str) -> Result:
    result = commanding.run(before, text.split(), NOW)
    assert result is not None, text
    return result


def test_a_move_that_is_under_way_already_is_answered_when_it_is_done() -> None:
    begun = run(settle(world())[0], "move_role writer db2").world
    again = run(begun, "move_role writer db2")
    assert again.awaits is not None
    assert command_result.outcome(again.world, again.awaits) is None
    done = settle(again.world)[0]
    assert command_result.outcome(done, again.awaits) == Verdict("already_there", {"host": "db2"})
    assert run(done, "move_role writer db1").text.startswith("OK: Role 'writer' has been moved from 'db2'")


def test_a_move_is_answered_when_the_new_host_has_taken_the_role() -> None:
    result = run(world(), "move_role writer db2")
    assert result.awaits is not None
    assert command_result.outcome(result.world, result.awaits) is None
    after, _ = settle(result.world)
    assert command_result.outcome(after, result.awaits) == result.answer


def test_a_move_that_the_old_host_refuses_says_who_keeps_the_role_and_why() -> None:
    result = run(world(), "move_role writer db2")
    assert result.awaits is not None
    after, orders = take_turn(result.world)
    for order in orders:
        after = answer(
            after, order, Answer.ERROR if order.host == "db1" else Answer.OK, "ERROR: writers do not end"
        )
    assert command_result.outcome(after, result.awaits) is None, "db1 is told to take writes again first"
    after, _ = settle(after)
    said = command_result.outcome(after, result.awaits)
    assert str(said) == (
        "ERROR: writer could not be moved to db2: db1 keeps it: the agent of db1 answered 'ERROR: writers do not end'"
    )


@pytest.mark.parametrize(
    ("before", "words", "then", "said"),
    [
        (
            WAITING,
            "set_online db2",
            "set_offline db2",
            "ERROR: 'db2' became ONLINE, but is ADMIN_OFFLINE now: set offline by the admin.",
        ),
        (
            world(),
            "set_offline db3",
            "set_online db3",
            "ERROR: 'db3' became ADMIN_OFFLINE, but is ONLINE now: set online by the admin.",
        ),
    ],
)
def test_a_command_that_another_one_overtakes_says_so(
    before: World, words: str, then: str, said: str
) -> None:
    """Whether the agent has confirmed the other state does not matter: it is not the one that was ordered."""
    first = run(before, words)
    assert first.awaits is not None
    under_way, _ = take_turn(first.world)
    overtaken = run(under_way, then).world
    assert str(command_result.outcome(overtaken, first.awaits)) == said
    assert str(command_result.outcome(settle(overtaken)[0], first.awaits)) == said


@pytest.mark.parametrize("gone", ["db1", "db2"])
def test_a_command_that_waits_for_a_host_which_a_conf_has_not_got_any_more_ends(gone: str) -> None:
    result = run(world(), "move_role writer db2")
    assert result.awaits is not None
    hosts = Hosts({name: host for name, host in result.world.hosts.items() if name != gone})
    without = replace(result.world, hosts=hosts)
    assert command_result.outcome(without, result.awaits) == Verdict(
        "unknown_host", {"host": gone, "known": tuple(hosts)}
    )


def test_a_move_of_a_role_which_a_conf_has_not_got_any_more_ends() -> None:
    result = run(world(), "move_role writer db2")
    assert result.awaits is not None
    owner = Owners({vip: owner for vip, owner in result.world.owner.items() if vip != WRITER})
    assert command_result.outcome(replace(result.world, owner=owner), result.awaits) == Verdict(
        "conf_changed"
    )
