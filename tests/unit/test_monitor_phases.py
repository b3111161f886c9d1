"""A planned move is all or nothing (rule 11.7)."""

from dataclasses import replace

import pytest

from mmm.config.model import Role, Vip
from mmm.gtid.mariadb import History, parse
from mmm.gtid.transactions import Transactions
from mmm.lease.rules import Reason
from mmm.monitor.apply.apply import apply
from mmm.monitor.command import command_result
from mmm.monitor.command.command_result import Awaited
from mmm.monitor.command.preflight import Looked
from mmm.monitor.decide.found import Found, Stored
from mmm.monitor.decide.move.phases import TELL_LIMIT, TRY_AGAIN
from mmm.monitor.decide.reconcile import wanted
from mmm.monitor.decide.startup import start
from mmm.monitor.report import log_lines
from mmm.monitor.report.explain import explain
from mmm.monitor.world.check_results import Look, ReplicaChecked, ServerChecked
from mmm.monitor.world.checks import CheckStatus, Outcome
from mmm.monitor.world.events import Answer, Answered
from mmm.monitor.world.host import (
    Behind,
    State,
)
from mmm.monitor.world.link import (
    KillStep,
    Ordered,
)
from mmm.monitor.world.move import Phase
from mmm.monitor.world.orders import KillHost, Order, Tell
from mmm.monitor.world.world import World
from mmm.wire.questions import Clients
from mmm.wire.status import Status, SystemStatus
from mmm.wire.why import PROMISED
from tests import commanding
from tests.unit.worlds import (
    CLOCK,
    NOW,
    READER1,
    WRITER,
    answer,
    checks,
    cluster,
    finds,
    settle,
    take_turn,
    with_agent,
    with_host,
    world,
)


def moving(before: World, text: str = "move_role writer db2") -> tuple[World, Awaited]:
    result = commanding.run(before, text.split(), NOW, pinged=True, looked=Looked())
    assert result is not None
    assert isinstance(result.awaits, Awaited), result.text
    return result.world, result.awaits


def frozen(before: World) -> tuple[World, Awaited, Tell]:
    """Return the world in which db1 has let go, and the order to db2 to take the role."""
    after, awaited = moving(before)
    after, orders = take_turn(after)
    for order in orders:
        after = answer(after, order)
    after, orders = take_turn(after)
    for order in orders:
        if order.host != "db2":
            after = answer(after, order)
    return after, awaited, to(orders, "db2")


def to(orders: tuple[Order, ...] | list[Order], host: str) -> Tell:
    return next(order for order in orders if isinstance(order, Tell) and order.host == host)


def test_its_phases() -> None:
    before = world()
    after, _ = moving(before)
    assert after.move is not None
    assert after.move.phase is Phase.FREEZING
    after, _, order = frozen(before)
    assert after.move is not None
    assert after.move.phase is Phase.PROMOTING
    after = answer(after, order)
    assert (after.move, after.owner[WRITER]) == (None, "db2")


@pytest.mark.parametrize("how", [Answer.ERROR, Answer.SILENT, Answer.REFUSED])
def test_a_holder_that_cannot_let_go_is_told_at_once_to_take_writes_again(how: Answer) -> None:
    after, awaited = moving(world())
    after, orders = take_turn(after)
    after = answer(after, to(orders, "db1"), how, "ERROR: read_only could not be set")
    after, orders = take_turn(after)
    assert WRITER in to(orders, "db1").status.vips, "though the last it confirmed says nothing else"
    assert command_result.outcome(after, awaited) is None
    after = answer(after, to(orders, "db1"))
    said = command_result.outcome(after, awaited)
    assert said is not None
    assert str(said).startswith("ERROR: writer could not be moved to db2: db1 keeps it: the agent of db1 ")
    assert after.move is None


def test_a_holder_that_was_not_told_for_the_disk_of_the_monitor_hangs_has_all_that_it_had() -> None:
    """Nothing was sent: its agent is not to blame, nor is the lease that it had gone."""
    conf = replace(cluster(), vip_lease=10.0)
    before = settle(world(conf=conf), NOW + 3.0)[0]
    after, awaited = moving(before)
    after, orders = take_turn(after)
    after = answer(after, to(orders, "db1"), Answer.UNSENT, "the status file /s")
    link, was = after.hosts["db1"].agent, before.hosts["db1"].agent
    assert (link.failure, link.unreachable, link.in_flight) == (None, False, None)
    assert (link.given, link.may_hold, link.told) == (was.given, was.may_hold, was.told)
    assert was.given.until > NOW
    after, given = settle(after)
    assert not any(isinstance(each, KillHost) for each in given)
    assert WRITER in to(given, "db1").status.vips, "its lease is renewed at once"
    assert (after.move, after.owner[WRITER]) == (None, "db1")
    assert str(command_result.outcome(after, awaited)) == (
        "ERROR: writer could not be moved to db2: db1 keeps it: the monitor's disk hangs: the status file /s was not"
        " written in time"
    )


def test_where_the_new_host_cannot_catch_up_the_old_one_gets_the_role_back() -> None:
    before, awaited, order = frozen(world())
    after = answer(before, order, Answer.ERROR, "ERROR: sync: SQL thread is not running")
    lines = [line for _, line in log_lines.between(before, after)]
    assert any("db1 gets it back, db2 did not take it: the agent of db2 answered" in line for line in lines)
    after, orders = take_turn(after)
    assert WRITER not in to(orders, "db2").status.vips
    assert not any(WRITER in each.status.vips for each in orders if isinstance(each, Tell)), (
        "db2 may still have it"
    )
    after = answer(after, to(orders, "db2"))
    after, orders = take_turn(after)
    assert WRITER in to(orders, "db1").status.vips
    assert command_result.outcome(after, awaited) is None, "nobody can write yet"
    after, given = settle(answer(after, to(orders, "db1")))
    assert str(command_result.outcome(after, awaited)) == (
        "ERROR: writer could not be moved to db2: db1 keeps it: the agent of db2 answered"
        " 'ERROR: sync: SQL thread is not running'"
    )
    assert not any(isinstance(each, KillHost) for each in given)
    assert after.owner[WRITER] == "db1"


def refused_for_a_promise(left: float) -> tuple[World, Awaited]:
    """Return the world in which db2 has refused to take the role for `left` seconds yet."""
    after, awaited, order = frozen(world())
    text = f"ERROR: {Reason.PROMISED} for {left:.1f} s more"
    refusal = Answered("db2", order.number, Answer.ERROR, text, 501.0, "b.2", why=PROMISED, promised_for=left)
    return apply(after, refusal, NOW), awaited


def test_a_move_waits_for_the_end_of_a_promise_by_which_the_new_host_refuses() -> None:
    after, awaited = refused_for_a_promise(1.7)
    early, orders = take_turn(after, NOW + 1.6)
    assert command_result.outcome(early, awaited) is None, "the command has no answer yet"
    assert not any(WRITER in each.status.vips for each in orders if isinstance(each, Tell))
    after, orders = take_turn(early, NOW + 1.7)
    after = answer(after, to(orders, "db2"), now=NOW + 1.7)
    assert str(command_result.outcome(after, awaited)).startswith("OK: ")
    assert (after.move, after.owner[WRITER]) == (None, "db2")


def test_a_move_does_not_wait_for_a_promise_that_lasts_longer_than_a_new_host_may_take() -> None:
    after, _ = refused_for_a_promise(TELL_LIMIT + 0.1)
    assert after.owner[WRITER] == "db1"


def test_an_order_that_never_reached_the_new_host_gives_the_role_back() -> None:
    after, _, order = frozen(world())
    after = answer(after, order, Answer.REFUSED)
    assert after.owner[WRITER] == "db1"
    after, orders = take_turn(after)
    assert WRITER in to(orders, "db1").status.vips


def test_a_new_host_that_fell_silent_may_have_taken_the_role_and_keeps_it() -> None:
    after, _, order = frozen(world())
    after = answer(after, order, Answer.SILENT)
    after, orders = take_turn(after)
    assert after.owner[WRITER] == "db2"
    assert not any(
        WRITER in each.status.vips for each in orders if isinstance(each, Tell) and each.host != "db2"
    )


def test_a_new_host_that_is_not_told_in_time_does_not_get_the_role() -> None:
    after, _ = moving(world())
    after = with_agent(after, "db2", in_flight=Ordered(Status("ONLINE"), NOW), number=7)
    after, orders = take_turn(after)
    after = answer(after, to(orders, "db1"))
    assert take_turn(after, NOW + TELL_LIMIT)[0].owner[WRITER] == "db2"
    after, orders = take_turn(after, NOW + TELL_LIMIT + 0.1)
    assert after.owner[WRITER] == "db1"
    assert WRITER in to(orders, "db1").status.vips


def test_a_new_host_that_fails_meanwhile_does_not_get_the_role() -> None:
    after, _ = moving(world())
    after, orders = take_turn(after)
    after = with_host(answer(after, to(orders, "db1")), "db2", checks=checks(mysql=NOW))
    after, _ = settle(after)
    assert after.owner[WRITER] == "db1"
    assert after.hosts["db1"].agent.told is not None
    assert WRITER in after.hosts["db1"].agent.told.vips


def test_an_old_holder_that_waits_for_its_clients_is_not_one_that_takes_writes_unasked() -> None:
    """Denying them may take `max_kill_retries` seconds, and more; where it fails the old holder keeps the role."""
    after, awaited = moving(world())
    after, orders = take_turn(after)
    for second in range(15):
        after = apply(after, ServerChecked("db1", finds(Outcome.OK), writable=True), NOW + second)
        after, _ = take_turn(after, NOW + second)
    db1 = after.hosts["db1"]
    assert (db1.state, db1.agent.kill.step, after.owner[READER1]) == (State.ONLINE, KillStep.NONE, "db1")
    after = answer(after, to(orders, "db1"), Answer.ERROR, "ERROR: read_only could not be set", NOW + 15)
    after, _ = settle(after, NOW + 15)
    assert (after.move, after.owner[WRITER]) == (None, "db1")
    assert "db1 keeps it" in str(command_result.outcome(after, awaited))


def test_once_it_has_let_go_it_is_one() -> None:
    after, _, _ = frozen(world())
    for second in range(8):
        after = apply(after, ServerChecked("db1", finds(Outcome.OK), writable=True), NOW + second)
    assert take_turn(after, NOW + 8)[0].hosts["db1"].state is State.AWAITING_RECOVERY


def test_another_role_that_could_not_go_home_stays_a_while_too() -> None:
    """It left its holder again and again, several times a second, and clients found it nowhere."""
    batch = Vip("batch", "10.0.0.99")
    conf = cluster(readers=0)
    conf = replace(
        conf, roles={**conf.roles, "batch": Role("batch", "exclusive", ("db2", "db3"), (batch.ip,), "db3")}
    )
    after, now, left = world({WRITER: "db1", batch: "db2"}, conf=conf), NOW, 0
    for _ in range(20):
        after, orders = take_turn(after, now)
        for order in (each for each in orders if isinstance(each, Tell)):
            refused = order.host == "db3" and batch in order.status.vips
            left += order.host == "db2" and batch not in order.status.vips
            after = answer(after, order, Answer.ERROR if refused else Answer.OK, "ERROR: cannot bind", now)
        now += 0.25
    assert (left, after.owner[batch]) == (1, "db2")
    after, _ = settle(after, now + TRY_AGAIN)
    assert after.owner[batch] == "db3"


def test_the_way_home_is_a_move_too_and_is_not_tried_again_at_once() -> None:
    conf = cluster(prefer="db2", slaves=0, readers=1)
    after, orders = take_turn(world({WRITER: "db1", READER1: "db1"}, conf=conf))
    assert after.move is not None
    after = answer(after, to(orders, "db1"))
    after, orders = take_turn(after)
    after = answer(after, to(orders, "db2"), Answer.ERROR, "ERROR: sync: not in time")
    after, _ = settle(after)
    assert after.owner[WRITER] == "db1"
    assert after.could_not_go_to(WRITER, "db2") is not None
    assert settle(after, NOW + TRY_AGAIN - 1)[0].owner[WRITER] == "db1"
    assert settle(after, NOW + TRY_AGAIN)[0].owner[WRITER] == "db2"
    dead, _ = settle(with_host(after, "db1", checks=checks(mysql=NOW)))
    assert dead.owner[WRITER] == "db2", "a failover does not wait for that"


def test_a_second_move_waits_for_the_end_of_the_first() -> None:
    after, _ = moving(world())
    said = commanding.run(after, ["move_role", "writer", "db1"], NOW, pinged=True)
    assert said is not None
    assert said.text.startswith("ERROR: writer is being moved from db1 to db2 at the moment.")


def restarted(bound: str, writable: str) -> World:
    """Return the world of a monitor that starts in the middle of a move from db1 to db2."""
    conf = cluster(slaves=0)
    found = {
        name: Found(
            Stored("ONLINE", (WRITER,) if name in (bound, "db2") else ()),
            Status("ONLINE", (WRITER,) if name == bound else (), "db2"),
            SystemStatus(name == writable, (WRITER,) if name == bound else ()),
            500.0,
        )
        for name in conf.hosts
    }
    good = {
        name: {check: CheckStatus(finding=finds(Outcome.OK)) for check in checks()} for name in conf.hosts
    }
    return start(conf, good, found, NOW).world


def test_a_monitor_that_starts_in_the_middle_finishes_the_move_or_undoes_it() -> None:
    assert settle(restarted("db1", "db1"))[0].owner[WRITER] == "db1", "it was not frozen yet"
    after = restarted("", "")
    assert settle(after)[0].owner[WRITER] == "db2"
    for _ in range(3):
        after, orders = take_turn(after)
        for order in orders:
            promoting = isinstance(order, Tell) and order.host == "db2" and WRITER in order.status.vips
            after = answer(after, order, Answer.ERROR if promoting else Answer.OK, "ERROR: sync: not running")
    assert settle(after)[0].owner[WRITER] == "db1"


def look(**found: object) -> Looked:
    return replace(Looked(), **found)  # type: ignore[arg-type]


BEGINNING = CheckStatus(finding=finds(Outcome.ERROR, "SQL thread is not running"), error_since=NOW)
BEGINS = with_host(world(), "db2", checks={**checks(), "rep_threads": BEGINNING})


@pytest.mark.parametrize(
    ("before", "looked", "said"),
    [
        (BEGINS, look(), "replication of db2 does not run: ERROR: SQL thread is not running"),
        (
            with_host(world(), "db2", behind=Behind(3.0, NOW)),
            look(),
            "db2 is 3 s behind, a move needs at most 1 s",
        ),
        (
            with_host(world(), "db2", connecting_since=NOW),
            look(),
            "replication of db2 is not connected to its source",
        ),
        (
            with_host(world(), "db1", checks={**checks(), "mysql": BEGINNING}),
            look(),
            "the server of db1 does not answer: ERROR",
        ),
        (world(), look(silence="no connection"), "the agent of db1 cannot be told to let go: no connection"),
        (
            world(),
            look(clients=Clients(3, 1, 11.0, "session 17 of shop")),
            "session 17 of shop of db1 has been writing in one transaction for 11 s and would be ended after 10 s",
        ),
        (
            with_host(world(), "db1", uses_gtid=False, checks=checks(rep_threads=0.0)),
            look(),
            "replication of db1 does not run and uses no GTID, so it could not take the role back",
        ),
    ],
)
def test_a_move_that_cannot_go_well_is_not_begun_and_can_be_forced(
    before: World, looked: Looked, said: str
) -> None:
    words = ["move_role", "writer", "db2"]
    refused = commanding.run(before, words, NOW, pinged=True, looked=looked)
    assert refused is not None
    assert refused.text.startswith(f"ERROR: writer is not moved to db2: {said}"), refused.text
    assert refused.world is before
    forced = commanding.run(before, ["move_role", "--force", *words[1:]], NOW, pinged=True, looked=looked)
    assert forced is not None
    assert f"Forced in spite of: {said}" in forced.text
    assert forced.world.owner[WRITER] == "db2"


@pytest.mark.parametrize(
    "looked",
    [look(), look(clients=Clients(5, 2, 10.0, "session 17 of shop"))],
    ids=["classic agent", "short work"],
)
def test_what_does_not_keep_a_move_from_going_well(looked: Looked) -> None:
    before = with_host(world(), "db2", behind=Behind(1.0, NOW))
    result = commanding.run(before, ["move_role", "writer", "db2"], NOW, pinged=True, looked=looked)
    assert result is not None
    assert result.text.startswith("OK")


def test_a_forced_role_is_taken_whatever_is_missing_and_that_is_ordered_once() -> None:
    before = BEGINS
    result = commanding.run(
        before, ["move_role", "--force", "writer", "db2"], NOW, pinged=True, looked=Looked()
    )
    assert result is not None
    after, given = settle(result.world)
    taken = [order for order in given if isinstance(order, Tell) and WRITER in order.status.vips]
    assert [(order.host, order.status.force) for order in taken] == [("db2", True)]
    assert after.forced is None
    assert not to(take_turn(after, NOW + 99)[1], "db2").status.force


def test_who_wrote_before_a_forced_move_is_out_of_use_until_it_is_compared() -> None:
    """It lives, and may have what the new writer could not apply: that is not to come among newer transactions."""
    before = seen(seen(BEGINS, "db1", "0-1-103", NOW - 1), "db2", "0-1-100", NOW - 1)
    result = commanding.run(
        before, ["move_role", "--force", "writer", "db2"], NOW, pinged=True, looked=Looked()
    )
    assert result is not None
    after, given = settle(result.world)
    assert after.hosts["db1"].state is State.AWAITING_RECOVERY
    assert not after.vips_of("db1")
    taken = [order for order in given if isinstance(order, Tell) and WRITER in order.status.vips]
    assert [(order.status.force, order.status.detach) for order in taken] == [(True, True)]
    after = seen(seen(after, "db2", "0-1-100", NOW + 1), "db1", "0-1-103", NOW + 1)
    assert "it has 3 transactions (0-1-101 to 0-1-103) that db2 lacked" in explain(
        after, "db1", NOW + 1, CLOCK
    )
    equal, _ = settle(seen(after, "db1", "0-1-100", NOW + 2), NOW + 2)
    assert equal.hosts["db1"].state is State.ONLINE
    assert not wanted(equal, "db2", NOW + 2).detach


def seen(before: World, name: str, logged: str, at: float) -> World:
    """Let a replication check of the host read what its server has."""
    has = Transactions(at, name[-1], History((), parse(logged)))
    outcome = Outcome.OK if not before.hosts[name].checks["rep_threads"].error_since else Outcome.ERROR
    return apply(before, ReplicaChecked(name, "rep_threads", finds(outcome), Look(None, has)), at)


def test_an_old_writer_that_the_admin_took_out_is_compared_after_a_forced_move_too() -> None:
    out = with_host(world({WRITER: None}, {"db1": State.ADMIN_OFFLINE}), "db2", behind=Behind(99.0, NOW))
    out = replace(out, last_writer="db1", last_master="db1")
    result = commanding.run(out, ["move_role", "--force", "writer", "db2"], NOW, pinged=True, looked=Looked())
    assert result is not None
    assert result.text.startswith("OK"), result.text
    assert result.world.hosts["db1"].state is State.ADMIN_OFFLINE
    assert wanted(result.world, "db2", NOW).detach


def test_a_host_that_the_role_is_assigned_to_and_cannot_take_it_can_be_forced() -> None:
    dead = with_host(world(), "db1", checks=checks(mysql=NOW))
    stuck, _ = settle(dead, answers={"db2": Answer.ERROR})
    assert stuck.owner[WRITER] == "db2"
    result = commanding.run(
        stuck, ["move_role", "--force", "writer", "db2"], NOW, pinged=True, looked=Looked()
    )
    assert result is not None
    assert result.text.startswith("OK")
    _, orders = take_turn(result.world)
    assert to(orders, "db2").status.force


DRY = ["move_role", "--dry-run", "writer", "db2"]


def test_a_dry_run_says_each_step_and_changes_nothing() -> None:
    before = world()
    looked = look(clients=Clients(3, 1, 0.4, "session 17 of shop"))
    result = commanding.run(before, DRY, NOW, pinged=True, looked=looked)
    assert result is not None
    assert result.world is before
    assert result.awaits is None
    assert result.text.splitlines() == [
        "OK: Dry run, nothing was changed. writer would be moved to db2:",
        "db2: behind: not known; rep_threads: OK",
        (
            "db1: 3 clients would be ended at once, 1 that write get 10 s to finish (the oldest has been at it for 0 s,"
            " session 17 of shop)"
        ),
        "1. db1 is told ONLINE: lets writer(10.0.0.80) go, after it has become read_only and its clients were ended",
        (
            "2. db2 is told ONLINE: takes writer(10.0.0.80), after it has applied what the old writer has, within 10 s,"
            " and takes writes"
        ),
        "3. db3 is told ONLINE: replicates from db2",
        "If db2 cannot take it, db1 is told to take writes again at once.",
    ]


def test_a_dry_run_says_the_same_while_agents_are_being_told() -> None:
    looked = look(clients=Clients(3, 1, 0.4, "session 17 of shop"))
    quiet = commanding.run(world(), DRY, NOW, pinged=True, looked=looked)
    beat, orders = take_turn(world(), NOW + 60)
    assert {order.host for order in orders} == {"db1", "db2", "db3"}
    told = commanding.run(beat, DRY, NOW + 60, pinged=True, looked=looked)
    assert quiet is not None
    assert told is not None
    assert told.text == quiet.text


def test_a_dry_run_names_who_is_idle_and_holds_others_up() -> None:
    who = "session 17 of shop@10.0.0.9:4711, whose transaction has changed 3 rows"
    looked = look(clients=Clients(3, 1, 5.0, "session 17 of shop", 1, 4.0, who, 2, 3.0))
    result = commanding.run(world(), DRY, NOW, pinged=True, looked=looked)
    assert result is not None
    assert result.text.splitlines()[3:5] == [
        (
            "db1: 1 idle session holds a transaction open and would be ended and rolled back: the"
            f" longest has been idle for 4 s, {who}"
        ),
        "db1: 2 sessions wait for a lock, the first for 3 s: see SHOW PROCESSLIST for who holds it",
    ]
    refused = commanding.run(
        world(), DRY, NOW, pinged=True, looked=look(clients=Clients(3, 1, 11.0, "session 17", 1, 11.0, who))
    )
    assert refused is not None
    assert f"the longest has been idle for 11 s, {who}" in refused.text


def test_a_dry_run_says_what_blocks_the_move_and_what_force_would_do() -> None:
    refused = commanding.run(BEGINS, DRY, NOW, pinged=True, looked=Looked())
    assert refused is not None
    assert refused.text.startswith("ERROR: writer is not moved to db2: replication of db2 does not run")
    forced = commanding.run(BEGINS, ["move_role", "--force", *DRY[1:]], NOW, pinged=True, looked=Looked())
    assert forced is not None
    assert forced.world is BEGINS
    assert "as much of that as it can" in forced.text
    assert "Forced in spite of: replication of db2 does not run" in forced.text


def test_a_dry_run_knows_of_hosts_that_are_not_online() -> None:
    broken = world(states={"db2": State.REPLICATION_FAIL})
    said = commanding.run(broken, DRY, NOW, pinged=True, looked=Looked())
    assert said is not None
    assert said.text.startswith("ERROR: Can't move role to host 'db2': it is REPLICATION_FAIL.")


def test_the_log_of_an_old_holder_that_dies_once_it_has_let_go_is_asked_for() -> None:
    """What it had committed by then the new one may not have received."""
    after, _, order = frozen(replace(world(), last_writer="db1"))
    assert not order.status.salvage
    dead = with_host(after, "db1", checks=checks(mysql=NOW))
    dead, _ = take_turn(dead)
    assert dead.hosts["db1"].state is State.HARD_OFFLINE
    dead, orders = take_turn(answer(dead, order, Answer.ERROR))
    assert to(orders, "db2").status.salvage == "db1"
    assert dead.loss is not None
    assert (dead.loss.host, dead.loss.taker) == ("db1", "db2")
    assert take_turn(answer(dead, to(orders, "db2")))[0].loss is not None, "what came of it is told"


BATCH = Vip("batch", "10.0.0.99")


def both_home(refused: frozenset[Vip], *, first: bool, seconds: int) -> tuple[World, dict[Vip, list[float]]]:
    """Let the roles writer and batch go home to db2, which refuses some of them; returns when db1 let go of each.

    `first`: batch comes first in the conf.
    """
    conf = cluster(prefer="db2", slaves=0, readers=0)
    batch = {"batch": Role("batch", "exclusive", ("db1", "db2"), (BATCH.ip,), "db2")}
    conf = replace(conf, roles={**batch, **conf.roles} if first else {**conf.roles, **batch})
    after, left = (
        world({WRITER: "db1", BATCH: "db1"}, conf=conf),
        {WRITER: list[float](), BATCH: list[float]()},
    )
    for step in range(seconds * 4):
        now = NOW + step / 4
        after, orders = take_turn(after, now)
        for order in (each for each in orders if isinstance(each, Tell)):
            no = order.host == "db2" and refused & set(order.status.vips)
            if order.host == "db1":
                held = after.hosts["db1"].agent.told
                for vip in held.vips if held else ():
                    if vip not in order.status.vips:
                        left[vip].append(step / 4)
            after = answer(after, order, Answer.ERROR if no else Answer.OK, "ERROR: cannot bind", now)
    return after, left


@pytest.mark.parametrize("first", [True, False])
def test_two_roles_with_the_same_home_that_neither_of_them_can_go_to_stay_both(*, first: bool) -> None:
    """What one could not do was forgotten with the other's failure: the writer left its host each second."""
    after, left = both_home(frozenset({WRITER, BATCH}), first=first, seconds=int(TRY_AGAIN) - 2)
    assert {vip: len(times) for vip, times in left.items()} == {WRITER: 1, BATCH: 1}
    told = after.hosts["db1"].agent.told
    assert told is not None
    assert set(told.vips) == {WRITER, BATCH}
    assert {vip: after.owner[vip] for vip in (WRITER, BATCH)} == {WRITER: "db1", BATCH: "db1"}


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("refused", [WRITER, BATCH])
def test_of_two_roles_with_the_same_home_one_goes_there_and_the_other_is_served(
    refused: Vip, *, first: bool
) -> None:
    """The second one had gone while the first moved: it was not put back where its home did not take it."""
    after, left = both_home(frozenset({refused}), first=first, seconds=10)
    other = BATCH if refused is WRITER else WRITER
    assert {refused: after.owner[refused], other: after.owner[other]} == {refused: "db1", other: "db2"}
    holds = {name: set(link.told.vips) for name in after.hosts if (link := after.hosts[name].agent).told}
    assert holds == {"db1": {refused}, "db2": {other}}
    assert len(left[refused]) == 1
