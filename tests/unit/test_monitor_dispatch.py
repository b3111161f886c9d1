from dataclasses import replace

import pytest

from mmm.monitor.apply.apply import apply
from mmm.monitor.command import command_result
from mmm.monitor.command.asking import Ask, Heard, LookAt, MoveEnds, Ping
from mmm.monitor.command.command_result import Awaited, Result
from mmm.monitor.command.dispatch import ordered
from mmm.monitor.command.texts import Verdict
from mmm.monitor.decide.turn import turn
from mmm.monitor.world.check_results import ServerChecked
from mmm.monitor.world.checks import Outcome
from mmm.monitor.world.host import (
    Flaps,
    State,
)
from mmm.monitor.world.world import Mode, World
from tests import commanding
from tests.unit.worlds import (
    NOW,
    READER1,
    READER2,
    WRITER,
    checks,
    cluster,
    finds,
    settle,
    take_turn,
    unreachable,
    with_host,
    world,
)


def run(before: World, text: str, *, pinged: bool = True) -> Result:
    result = commanding.run(before, text.split(), NOW, pinged=pinged)
    assert result is not None, text
    return result


WAITING = world(states={"db2": State.AWAITING_RECOVERY})
BROKEN_DB1 = with_host(WAITING, "db1", checks=checks(rep_threads=0.0))


UNCHANGED = {"already_online", "already_offline", "already_there", "same_mode"}


@pytest.mark.parametrize(
    ("before", "text", "said"),
    [
        (WAITING, "set_online db2", "OK: State of 'db2' changed to ONLINE"),
        (WAITING, "set_online db1", "OK: This host is already ONLINE"),
        (WAITING, "set_online db9", "ERROR: Unknown host name 'db9'! Known are db1, db2, db3."),
        (
            with_host(WAITING, "db2", checks=checks(mysql=0.0)),
            "set_online db2",
            "ERROR: Checks 'ping' and 'mysql' must",
        ),
        (BROKEN_DB1, "set_online db2", "ERROR: The replication checks of its peer 'db1' must be ok"),
        (world(states={"db2": State.HARD_OFFLINE}), "set_online db2", "ERROR: Host 'db2' is HARD_OFFLINE"),
        (world(), "set_offline db3", "OK: State of 'db3' changed to ADMIN_OFFLINE"),
        (
            world(states={"db3": State.ADMIN_OFFLINE}),
            "set_offline db3",
            "OK: This host is already ADMIN_OFFLINE",
        ),
        (WAITING, "set_offline db2", "ERROR: Host 'db2' is AWAITING_RECOVERY"),
        (world(), "move_role writer db2", "OK: Role 'writer' has been moved from 'db1' to 'db2'"),
        (world({}), "move_role writer db2", "OK: Role 'writer' has been moved to 'db2'"),
        (world({}), "move_role reader db2", "OK: Host 'db2' has no role 'reader'."),
        (world(), "move_role writer db1", "OK: Role is already on 'db1'"),
        (
            world(),
            "move_role writer db3",
            "ERROR: Host 'db3' can't handle role 'writer'. It is for db1, db2 only.",
        ),
        (world(), "move_role nosuch db1", "ERROR: Unknown role name 'nosuch'! Known are writer, reader."),
        (WAITING, "move_role writer db2", "ERROR: Can't move role to host 'db2': it is AWAITING_RECOVERY."),
        (
            world(conf=cluster(prefer="db1")),
            "move_role writer db2",
            "ERROR: Role 'writer' is on its preferred host",
        ),
        (world(mode=Mode.PASSIVE), "move_role writer db2", "ERROR: Not possible in passive mode"),
        (
            world(),
            "move_role --force reader db2",
            "ERROR: --force is for the active master role 'writer' only.",
        ),
        (world(), "move_role --force writer db2", "ERROR: Can't force role to host 'db2': it is ONLINE"),
        (world(), "set_ip 10.0.0.80 db2", "ERROR: This command is only allowed in passive mode"),
        (world(mode=Mode.PASSIVE), "set_ip 10.0.0.99 db2", "ERROR: Unknown IP address '10.0.0.99'!"),
        (world(mode=Mode.PASSIVE), "set_ip 10.0.0.80 db3", "ERROR: Host 'db3' can't handle role 'writer'."),
        (world(mode=Mode.PASSIVE), "set_ip 10.0.0.80 db2", "OK: Set role 'writer(10.0.0.80)' to host 'db2'."),
        (world(), "set_active", "OK: Already in active mode."),
        (world(), "failover_method manual", "OK: Switched into manual mode."),
        (world(mode=Mode.WAIT), "set_manual", "OK: Switched into manual mode."),
        (
            world(),
            "failover_method sometimes",
            "ERROR: Unknown method 'sometimes': use auto, wait or manual.",
        ),
    ],
)
def test_answers(before: World, text: str, said: str) -> None:
    result = run(before, text)
    assert result.text.startswith(said)
    if not result.answer.ok or result.answer.code in UNCHANGED:
        assert result.world is before


def test_commands_that_need_the_agent_ask_it_only_when_they_would_go_on() -> None:
    def asks(before: World, words: str, *, pinged: bool = True) -> list[Ask]:
        return commanding.asked(before, words.split(), NOW, pinged=pinged)[0]

    assert asks(WAITING, "set_online db2") == [Ping("db2")]
    assert asks(WAITING, "set_online db1") == []
    assert asks(world(), "move_role writer db2") == [Ping("db2"), LookAt("db1", "db2")]
    assert asks(world(), "move_role writer db2", pinged=False) == [Ping("db2")]
    assert asks(world(), "move_role reader db2") == []
    assert asks(world(), "move_role --force writer db2") == [LookAt("db1", "db2")], (
        "nothing speaks against it"
    )
    late = with_host(world(), "db2", checks=checks(rep_backlog=1.0))
    assert asks(late, "move_role --force writer db2") == [Ping("db2"), LookAt("db1", "db2")]
    assert asks(late, "move_role --dry-run writer db2") == [Ping("db2"), LookAt("db1", "db2")]
    assert asks(late, "set_ip 10.0.0.80 db2") == []


def test_what_a_command_is_told_may_have_changed_the_world() -> None:
    command = ordered(["set_offline", "db2"])
    assert command is not None
    asking = command(world(), NOW)
    assert next(asking) == Ping("db2")
    dead = world(states={"db2": State.HARD_OFFLINE})
    with pytest.raises(StopIteration) as ended:
        asking.send(Heard(dead, NOW + 3.0, pinged=True))
    assert ended.value.value.answer == Verdict("not_in_use", {"host": "db2", "state": State.HARD_OFFLINE})
    assert ended.value.value.world is dead
    assert run(world(), "set_offline db3", pinged=False).text.startswith(
        "ERROR: Can't reach the agent of host 'db3'"
    )


def test_words_that_are_no_command_are_none() -> None:
    for text in ("nonsense", "move_role writer", "set_online db1 db2", "SET_ONLINE db1"):
        assert commanding.run(world(), text.split(), NOW, pinged=True) is None


def test_set_offline_takes_every_role_and_set_online_ends_flapping() -> None:
    after = run(world(), "set_offline db1").world
    assert not after.vips_of("db1")
    flapping = with_host(WAITING, "db2", flaps=Flaps(1.0, 4, too_many=True))
    assert not run(flapping, "set_online db2").world.hosts["db2"].flapping


def test_replication_that_set_offline_stopped_is_not_held_against_the_host_that_comes_back() -> None:
    offline = run(world(), "set_offline db3").world
    stopped = with_host(offline, "db3", checks=checks(rep_threads=NOW + 3))
    after = run(stopped, "set_online db3").world
    assert settle(after, NOW + 1)[0].hosts["db3"].state is State.ONLINE
    # What had failed before is another matter.
    broken = with_host(offline, "db3", checks=checks(rep_threads=NOW - 3))
    result = run(broken, "set_online db3")
    after = settle(result.world, NOW + 1)[0]
    assert after.hosts["db3"].state is State.REPLICATION_FAIL
    assert result.awaits is not None
    assert command_result.outcome(after, result.awaits) == Verdict(
        "left_again",
        {
            "host": "db3",
            "ordered": State.ONLINE,
            "state": State.REPLICATION_FAIL,
            "why": after.hosts["db3"].why,
        },
    )


def test_in_manual_mode_the_admin_can_move_the_role_off_a_dead_host() -> None:
    dead = with_host(
        world(states={"db1": State.HARD_OFFLINE}, mode=Mode.MANUAL), "db1", checks=checks(ping=0.0, mysql=0.0)
    )
    after, orders = settle(run(dead, "move_role writer db2").world)
    assert after.hosts["db2"].agent.told is not None
    assert WRITER in after.hosts["db2"].agent.told.vips
    assert any(order.host == "db1" for order in orders), "the dead host was killed first"


def test_force_makes_a_lagging_host_master_and_judges_the_old_one() -> None:
    before = with_host(world(states={"db2": State.REPLICATION_DELAY}), "db1", checks=checks(rep_threads=0.0))
    after = run(before, "move_role --force writer db2").world
    assert after.hosts["db2"].state is State.ONLINE
    assert after.hosts["db1"].state is State.REPLICATION_FAIL
    assert not after.vips_of("db1")
    assert after.owner[WRITER] == "db2"


def test_a_balanced_role_moves_to_another_host_and_does_not_come_back() -> None:
    before = world({WRITER: "db1", READER1: "db1", READER2: "db2"}, conf=cluster(slaves=0, readers=2))
    after, _ = settle(run(before, "move_role reader db1").world)
    assert after.owner[READER1] == "db2"
    assert after.owner[READER2] == "db1", "the roles stay level"


def test_a_balanced_role_without_another_host_stays_unassigned_until_the_next_turn() -> None:
    alone = world({READER1: "db1"}, {"db2": State.HARD_OFFLINE, "db3": State.HARD_OFFLINE})
    assert run(alone, "move_role reader db1").world.owner[READER1] is None


def test_from_manual_to_active_hosts_that_are_not_online_lose_their_roles() -> None:
    before = world(states={"db1": State.HARD_OFFLINE}, mode=Mode.MANUAL)
    after = run(before, "set_active").world
    assert after.mode is Mode.ACTIVE
    assert not after.vips_of("db1")


def test_set_passive_says_why_and_leaving_it_forgets() -> None:
    passive = run(world(), "set_passive").world
    assert str(passive.passive_cause) == "Admin switched to passive mode."
    assert run(passive, "set_active").world.passive_cause is None


def test_passive_mode_waits_for_the_end_of_a_move() -> None:
    """Nobody is told anything in it: half a move would leave nobody to write."""
    before = run(world(), "move_role writer db2").world
    command = ordered(["set_passive"])
    assert command is not None
    asking = command(before, NOW)
    assert next(asking) == MoveEnds()
    moved, _ = settle(before)
    with pytest.raises(StopIteration) as ended:
        asking.send(Heard(moved, NOW + 1.0))
    after: World = ended.value.value.world
    assert (after.mode, after.owner[WRITER], after.hosts["db2"].agent.may_hold >= {WRITER}) == (
        Mode.PASSIVE,
        "db2",
        True,
    )
    assert ended.value.value.text == "OK: Switched into passive mode."


def test_passive_mode_comes_all_the_same_where_a_move_does_not_end_and_says_so() -> None:
    passive = run(run(world(), "move_role writer db2").world, "set_passive")
    assert (passive.world.mode, passive.world.move) == (Mode.PASSIVE, None)
    assert "the move of writer(10.0.0.80) from db1 to db2 has not ended: nobody may have it" in passive.text
    again, _ = settle(run(passive.world, "set_active").world)
    assert again.hosts["db2"].agent.may_hold >= {WRITER}


def test_wait_mode_ends_when_both_masters_are_online_or_one_for_long_enough() -> None:
    both = world(mode=Mode.WAIT)
    assert take_turn(both)[0].mode is Mode.ACTIVE
    one = world(
        states={"db2": State.AWAITING_RECOVERY}, mode=Mode.WAIT, conf=cluster(wait_for_other_master=120.0)
    )
    one = with_host(one, "db2", uptime=5.0)
    assert take_turn(with_host(one, "db1", online_since=NOW - 119.0))[0].mode is Mode.WAIT
    assert take_turn(with_host(one, "db1", online_since=NOW - 120.0))[0].mode is Mode.ACTIVE
    never = replace(one, conf=cluster(wait_for_other_master=0.0))
    assert take_turn(never)[0].mode is Mode.WAIT


def test_a_role_moves_to_a_host_whose_agent_answers_ping_though_not_its_last_order() -> None:
    back = unreachable(world(), "db2")
    moved, _ = take_turn(run(back, "move_role writer db2").world)
    assert moved.owner[WRITER] == "db2"


def seen_writable_for(before: World, name: str, seconds: int) -> World:
    for at in range(seconds + 1):
        before = apply(before, ServerChecked(name, finds(Outcome.OK), writable=True), NOW + at)
        before = turn(before, NOW + at).world
    return before


def test_in_passive_mode_the_host_that_writes_stays_online_though_another_is_to_have_the_role() -> None:
    """Nothing is sent: it does not know better, and is right to take writes."""
    passive = run(world(), "set_passive").world
    planned = run(passive, f"set_ip {WRITER.ip} db2").world
    after = seen_writable_for(planned, "db1", 7)
    assert after.hosts["db1"].state is State.ONLINE
    back = run(after, f"set_ip {WRITER.ip} db1")
    assert back.text.startswith("OK: ")
    active = run(after, "set_active").world
    assert turn(active, NOW + 8).world.hosts["db1"].state is State.ONLINE, "it is told first"
    assert seen_writable_for(active, "db1", 7).hosts["db1"].state is State.AWAITING_RECOVERY


@pytest.mark.parametrize("words", ["set_offline db3", "set_online db3"])
def test_in_passive_mode_nothing_is_awaited_for_nothing_is_sent(words: str) -> None:
    state = State.ONLINE if words.startswith("set_offline") else State.ADMIN_OFFLINE
    result = run(world(states={"db3": state}, mode=Mode.PASSIVE), words)
    assert result.awaits is None
    assert result.text.startswith("OK: State of 'db3' changed to ")
    assert result.text.endswith("It is sent when the mode changes.")


def test_set_offline_of_the_last_host_that_can_write_says_so() -> None:
    last = run(world(states={"db2": State.HARD_OFFLINE}), "set_offline db1")
    assert "No other host can take writer, so nobody takes writes now: db1 is ADMIN_OFFLINE" in last.text
    assert isinstance(last.awaits, Awaited)
    assert "No other host can take writer" in str(last.awaits.done)
    assert "No other host" not in run(world(), "set_offline db1").text
    assert "No other host" not in run(world(states={"db2": State.HARD_OFFLINE}), "set_offline db3").text


def test_taking_a_balanced_role_away_says_where_it_goes_and_what_comes_in_exchange() -> None:
    exchanged = run(world(), "move_role reader db1").text
    assert exchanged.startswith(
        "OK: Balanced role 'reader' has been removed from host 'db1'. 10.0.0.91 goes to db2. 'db1' gets "
    )
    assert "in exchange, because the role is spread evenly" in exchanged
    assert "'mmm_control exclude_role reader db1' keeps it away" in exchanged
    fewer = run(
        world({WRITER: "db1", READER1: "db1", READER2: "db2"}, conf=cluster(readers=2)),
        "move_role reader db1",
    )
    assert "10.0.0.91 goes to db3. Now you can" in fewer.text
