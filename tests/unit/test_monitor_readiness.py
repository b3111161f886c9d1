"""What would go wrong at the next move or failover, and is said before."""

from dataclasses import replace

import pytest

from mmm.gtid.mysql import parse
from mmm.gtid.settings import Settings
from mmm.gtid.transactions import Transactions
from mmm.monitor.act.checks import Reading, judge_threads, replica_result
from mmm.monitor.apply.apply import apply
from mmm.monitor.assess import readiness
from mmm.monitor.command.preflight import Looked
from mmm.monitor.report import concerns, log_lines
from mmm.monitor.world.check_results import Look, Replica, ReplicaChecked
from mmm.monitor.world.checks import Finding, Outcome
from mmm.monitor.world.events import Noted, ServerWatched
from mmm.monitor.world.host import (
    Behind,
    State,
)
from mmm.monitor.world.link import (
    ErrorReply,
    Kind,
)
from mmm.monitor.world.warnings import Level
from mmm.monitor.world.world import World
from mmm.mysql.server.replica_status import parse_status
from mmm.wire.questions import DISK_FULL, EVENTS, Clients, Note
from tests.commanding import run
from tests.unit.worlds import (
    CLOCK,
    NOW,
    WRITER,
    checks,
    cluster,
    settle,
    show,
    with_agent,
    with_host,
    world,
)

GOOD = Settings(2, 1)


def codes(of: World) -> dict[str, str]:
    return {warned.code: str(warned) for warned in readiness.found(of)}


def move(of: World, *flags: str) -> str:
    looked = Looked(Clients(0, 0))
    result = run(of, ["move_role", *flags, "writer", "db2"], NOW, pinged=True, looked=looked)
    assert result is not None
    return result.text


def caught_up(of: World) -> World:
    return with_host(of, "db2", behind=Behind(0.0, NOW))


@pytest.mark.parametrize(
    ("changes", "code", "why"),
    [
        ({"settings": replace(GOOD, logs=False)}, "no_binlog", "db2 writes no binary log (log_bin)"),
        ({"delay": 3600}, "delayed", "set to stay 3600 s behind (MASTER_DELAY)"),
    ],
)
def test_a_standby_that_could_not_be_the_writer_is_said_and_no_move_is_begun(
    changes: dict[str, object], code: str, why: str
) -> None:
    bad = with_host(caught_up(world()), "db2", **changes)
    assert why in codes(bad)[code]
    assert f"# Warning: {codes(bad)[code]}\n" in show(bad)
    assert codes(bad)[code] in [line for _, line in log_lines.between(world(), bad)]
    assert why in move(bad)
    assert move(bad).startswith("ERROR: writer is not moved to db2")
    assert move(bad, "--dry-run").startswith("ERROR")
    assert why in move(bad, "--force"), "and goes on"
    assert move(caught_up(world())).startswith("OK")


def test_without_log_slave_updates_slaves_would_lack_rows() -> None:
    off = with_host(caught_up(world()), "db2", settings=replace(GOOD, logs_replicated=False))
    assert "log_slave_updates" in codes(off)["log_slave_updates_off"]
    assert codes(off)["log_slave_updates_off"] in move(off, "--dry-run")
    assert move(off).startswith("OK")
    alone = world({WRITER: "db1"}, conf=cluster(slaves=0, readers=0))
    assert not codes(with_host(alone, "db2", settings=replace(GOOD, logs_replicated=False)))


def test_servers_with_one_server_id_are_named_whoever_they_are() -> None:
    def has(number: int) -> Transactions:
        return Transactions(NOW, source_ip="10.0.0.1", server_id=number)

    conf = cluster(slaves=2)
    two = with_host(with_host(world(conf=conf), "db3", transactions=has(7)), "db4", transactions=has(7))
    assert codes(two)["same_server_id"].startswith("db3, db4 have the same server_id 7")
    assert not codes(with_host(two, "db4", transactions=has(8)))
    assert not codes(with_host(two, "db4", state=State.ADMIN_OFFLINE))


def test_no_move_is_begun_to_a_host_whose_disk_is_full() -> None:
    full = apply(caught_up(world()), Noted("db2", (Note(DISK_FULL, 7.0),)), NOW)
    said = move(full)
    assert said.startswith("ERROR")
    assert "the server of db2 has waited 7 s for disk space" in said


def test_a_disk_that_is_full_is_said_with_the_way_out() -> None:
    full = apply(world(), Noted("db1", (Note(DISK_FULL, 37.0),)), NOW)
    said = "the server of db1 has waited 37 s for disk space: free some, or 'mmm_control move_role --force writer db2'"
    (warned,) = concerns.found(full, NOW, CLOCK)
    assert (str(warned), warned.level) == (said, Level.CRITICAL)
    longer = apply(full, Noted("db1", (Note(DISK_FULL, 52.0),)), NOW)
    assert list(log_lines.between(full, longer)) == [], "the log has it once"
    assert readiness.found(apply(longer, Noted("db1", ()), NOW)) == ()
    assert apply(full, Noted("db1", (Note(DISK_FULL, 37.0),)), NOW) is full


def test_events_that_stay_where_the_writer_leaves_are_said_before_and_after() -> None:
    events = caught_up(apply(world(), Noted("db1", (Note(EVENTS),)), NOW))
    assert not codes(events), "they belong to the writer"
    assert "db1: its MySQL events stay ENABLED there, and db2 does not run them" in move(events, "--dry-run")
    moved, _ = settle(events.with_owner({WRITER: "db2"}))
    assert "not the writer" in codes(moved)["events_enabled"]


def test_events_of_a_slave_are_said_and_so_is_its_full_disk() -> None:
    events = apply(caught_up(world()), Noted("db3", (Note(EVENTS), Note(DISK_FULL, 7.0))), NOW)
    assert codes(events) == {
        "events_enabled": "MySQL events are ENABLED on db3, which is not the writer: see docs/moving.md",
        "disk_full": "the server of db3 has waited 7 s for disk space: free some",
    }
    assert move(events).startswith("OK")


def test_a_target_whose_agent_answers_error_is_refused_before_the_old_writer_lets_go() -> None:
    bad = with_agent(
        caught_up(world()), "db2", failure=ErrorReply("ERROR: interface eth9 does not exist", None)
    )
    assert "the agent of db2 answers 'ERROR: interface eth9 does not exist'" in move(bad)
    assert move(bad).startswith("ERROR")
    assert move(bad, "--dry-run").startswith("ERROR")


def status(**columns: object) -> Reading:
    row: dict[str, object] = {
        "Slave_IO_Running": "Connecting",
        "Slave_SQL_Running": "Yes",
        "Master_Host": "10.0.0.1",
    }
    return Reading(parse_status({**row, **columns}))


def threads(reading: Reading) -> ReplicaChecked:
    before = world()
    return replica_result(before.conf.hosts["db3"], before.conf.checks["rep_threads"], judge_threads, reading)


def test_an_account_that_the_source_refuses_is_an_error_at_once_and_does_not_wait_for_a_new_peer() -> None:
    refused = threads(status(Last_IO_Errno=1045, Last_IO_Error="Access denied for user 'repl'"))
    assert refused.finding.outcome is Outcome.ERROR
    assert "refuses the IO thread (Access denied for user 'repl')" in str(refused.finding)
    assert threads(status(Last_IO_Errno=2003)).finding.outcome is Outcome.OK, "the source may be on its way"
    new = with_host(world(), "db1", online_since=NOW - 1)
    trap = new.conf.checks["rep_threads"].trap_period
    failed = apply(apply(new, refused, NOW), refused, NOW + trap)
    after, _ = settle(failed, NOW + trap)
    assert after.hosts["db3"].state is State.REPLICATION_FAIL


def test_a_source_that_lacks_the_log_does_not_get_it_by_waiting() -> None:
    gone = threads(status(Slave_IO_Running="No", Last_IO_Errno=1236, Last_IO_Error="Binary log is not open"))
    assert (gone.finding.outcome, gone.cause.code) == (Outcome.ERROR, "source_lacks_log")
    stopped = threads(status(Slave_IO_Running="No"))
    new = with_host(world(), "db1", online_since=NOW - 1)
    trap = new.conf.checks["rep_threads"].trap_period
    for result, state in ((gone, State.REPLICATION_FAIL), (stopped, State.ONLINE)):
        after, _ = settle(apply(apply(new, result, NOW), result, NOW + trap), NOW + trap)
        assert after.hosts["db3"].state is state


def test_set_online_with_a_classic_agent_wants_replication_to_run() -> None:
    stopped = with_host(world(states={"db3": State.AWAITING_RECOVERY}), "db3", checks=checks(rep_threads=NOW))
    classic = with_agent(stopped, "db3", kind=Kind.UNLEASED)

    def answer(of: World, *words: str) -> str:
        result = run(of, ["set_online", *words, "db3"], NOW, pinged=True)
        assert result is not None
        return result.text

    assert answer(classic).startswith("ERROR: Replication of 'db3' does not run: rep_threads. Start it there")
    assert answer(classic, "--force").startswith("OK")
    assert answer(stopped).startswith("OK"), "its agent starts it"


@pytest.mark.parametrize(
    ("stopped", "state"),
    [((("IO", ""), ("SQL", "")), State.ONLINE), ((("SQL", "duplicate key"),), State.REPLICATION_FAIL)],
)
@pytest.mark.parametrize("before", [State.AWAITING_RECOVERY, State.ADMIN_OFFLINE])
def test_threads_that_wait_for_their_start_are_no_failure_of_a_host_that_is_set_online(
    before: State, stopped: tuple[tuple[str, str], ...], state: State
) -> None:
    """Those of a host in ADMIN_OFFLINE have failed since before it, for a monitor that was started meanwhile."""
    found = Finding("threads_stopped", {"stopped": stopped}, Outcome.ERROR)
    host = world(states={"db3": before})
    failing = apply(
        with_host(host, "db3", since=NOW - 30, checks=checks(rep_threads=NOW - 60)),
        ReplicaChecked("db3", "rep_threads", found, Look(Replica("10.0.0.1", uses_gtid=True))),
        NOW,
    )
    result = run(failing, ["set_online", "db3"], NOW, pinged=True)
    assert result is not None
    after, _ = settle(result.world, NOW)
    assert after.hosts["db3"].state is state


def test_a_slave_of_mysql_that_wrote_by_itself_is_named_on_paper() -> None:
    source, own = "aaaaaaaa-0000-0000-0000-000000000001", "bbbbbbbb-0000-0000-0000-000000000003"
    ready = with_host(
        caught_up(world()), "db2", transactions=Transactions(NOW, source, parse(f"{source}:1-90"))
    )
    slave = Transactions(NOW, own, parse(f"{source}:1-99,{own}:1-3"))
    said = "db3: has 3 transactions"
    assert said in move(with_host(ready, "db3", transactions=slave), "--dry-run"), (
        "but not the nine under way"
    )
    clean = Transactions(NOW, own, parse(f"{source}:1-99"))
    assert said not in move(with_host(ready, "db3", transactions=clean), "--dry-run")


def test_a_master_whose_servers_end_is_not_told_is_named_where_that_counts() -> None:
    unseen = ServerWatched("db2", "ERROR: no process that may be looked at has its socket")
    certain = apply(world(conf=cluster(server_exit="failover")), unseen, NOW)
    assert codes(certain) == {
        "exit_not_told": "the end of the server's process on db2 is not told at once, though server_exit is failover:"
        " its agent answers 'ERROR: no process that may be looked at has its socket'"
    }
    assert codes(apply(certain, ServerWatched("db2"), NOW)) == {}
    assert codes(apply(world(), unseen, NOW)) == {}
    assert codes(apply(certain, replace(unseen, host="db3"), NOW)).keys() == {"exit_not_told"}, "no slave's"
    old = with_agent(world(conf=cluster(server_exit="failover")), "db1", kind=Kind.MMM2, heard=True)
    assert "its agent is one of MMM 2.x" in codes(old)["exit_not_told"]


def test_a_slave_that_keeps_others_from_being_followed_is_named() -> None:
    old = with_agent(world(), "db3", kind=Kind.MMM2, heard=True)
    assert codes(old).keys() == {"slaves_not_followed"}
    assert codes(with_host(old, "db3", state=State.ADMIN_OFFLINE)) == {}
