"""A planned move is all or nothing, by real causes (rule 11.7)."""

import os
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines import sql
from mmm.sandbox.restore import make_equal
from mmm.sandbox.trouble.faults import inject
from mmm.sandbox.witness.health import catch_up, host_facts, settle
from mmm.sandbox.witness.probe_run import Probe
from tests.clusters import lives_for_good, status_file
from tests.fifo import drained, full_fifo, made_fifo, put_in_place
from tests.scenarios import ALL_ONLINE, LIMIT, PATIENCE, Log, move_under_way, move_writer

pytestmark = pytest.mark.sandbox

ROWS_IN_A_LEASE = 2000
"""Rows that a client cannot have written before the 4 s are over for which a writer is granted its role."""


def control(sandbox: Sandbox, *args: str) -> tuple[int, str]:
    """Return the exit status of mmm_control and what it printed."""
    done = sandbox.control(*args, limit=90)
    assert done.stderr == ""
    return done.returncode, done.stdout.rstrip("\n")


def test_a_new_writer_that_cannot_catch_up_gives_the_role_back_at_once(sandbox: Sandbox) -> None:
    """Its SQL thread is stopped in the middle of the move. The classic waits for ever, or takes it for caught up."""
    log = Log(sandbox)
    with move_under_way(sandbox) as answers:
        sandbox.sql("db2", "STOP SLAVE SQL_THREAD")
    status, answer = answers[0]
    assert status == 1
    assert answer.startswith(
        "ERROR: writer could not be moved to db2: db1 keeps it: the agent of db2 answered"
    )
    assert "replication cannot get there" in answer
    assert sandbox.writer() == "db1"
    assert (host_facts(sandbox, "db1").writable, host_facts(sandbox, "db2").writable) == (True, False)
    log.wait(
        r"ERROR writer\(10\.77\.0\.80\): db1 gets it back, db2 did not take it: the agent of db2 answered"
    )
    assert "writer(10.77.0.80): stays with db1" in sandbox.ask("history 10")
    with Probe(sandbox, readers=False, limit=PATIENCE) as probe:
        probe.wait_writes(LIMIT)
    assert probe.report.writes == ()


def test_a_move_to_a_host_that_does_not_replicate_is_not_begun(sandbox: Sandbox) -> None:
    with Probe(sandbox, readers=False, limit=PATIENCE) as probe:
        probe.wait_writes(LIMIT)
        inject(sandbox, "stop-replication", "db2")
        for flags in ((), ("--dry-run",)):
            status, answer = control(sandbox, "move_role", *flags, "writer", "db2")
            assert status == 1
            assert answer.startswith(
                "ERROR: writer is not moved to db2: replication of db2 does not run: ERROR: IO"
            )
        probe.wait_writes(LIMIT)
    assert probe.report.outages == ()
    assert sandbox.writer() == "db1"


def test_passive_mode_begins_when_a_move_has_ended(sandbox: Sandbox) -> None:
    """Half of one would leave nobody to write for as long as that mode lasts."""
    with ThreadPoolExecutor(1) as admin:
        with move_under_way(sandbox) as answers:
            passive = admin.submit(sandbox.ask, "set_passive", limit=LIMIT)
            assert sandbox.ask("mode") == "ACTIVE"
            assert not passive.done()
        assert passive.result() == "OK: Switched into passive mode."
    try:
        assert answers[0][0] == 0, answers
        assert (sandbox.writer(), host_facts(sandbox, "db2").writable) == ("db2", True)
    finally:
        sandbox.ask("set_active")


def test_a_monitor_that_is_stopped_amid_a_move_ends_it_first(sandbox: Sandbox) -> None:
    """Half of one would leave nobody to write until a monitor is started again."""
    log, monitor = Log(sandbox), sandbox.layout.monitor
    with ThreadPoolExecutor(1) as admin:
        with move_under_way(sandbox) as answers:
            stopped = admin.submit(sandbox.init, monitor, "mysql-mmm-monitor", "stop")
            log.wait("stopping once what is under way is done")
        assert stopped.result().returncode == 0
    try:
        assert (sandbox.writer(), host_facts(sandbox, "db2").writable) == ("db2", True), answers
        assert lives_for_good(sandbox, "db2"), "nobody renews a lease that ends"
    finally:
        sandbox.init(monitor, "mysql-mmm-monitor", "start")
    settle(sandbox)


def test_a_move_is_given_up_while_the_monitors_disk_hangs_and_clients_go_on_writing(sandbox: Sandbox) -> None:
    """The new holder is told nothing that is not in the status file: so that is written before the old one lets go.

    The old one's lease was not renewed while the move waited for that without end: it was taken out of use.
    """
    file = status_file(sandbox)
    hangs = file.with_name(f".{file.name}.new")
    with Probe(sandbox, readers=False, limit=PATIENCE) as probe:
        probe.wait_writes(LIMIT)
        # To open it is to wait for a reader.
        sandbox.wait_until(lambda: made_fifo(hangs), LIMIT, "the status file is not being written")
        try:
            status, answer = control(sandbox, "move_role", "writer", "db2")
            probe.wait_writes(2 * LIMIT, ROWS_IN_A_LEASE)
        finally:
            os.close(os.open(hangs, os.O_RDONLY | os.O_NONBLOCK))
        assert (status, sandbox.writer(), sandbox.states(), probe.outages) == (1, "db1", ALL_ONLINE, ())
        assert "db1 keeps it: the monitor's disk hangs: the status file" in answer
        sandbox.wait_until(
            lambda: control(sandbox, "move_role", "writer", "db2")[0] == 0, LIMIT, "the disk goes on"
        )
        probe.wait_move(LIMIT)
    assert sandbox.writer() == "db2"
    assert (probe.report.missing, probe.report.doubled) == ((), ())


def test_a_dry_run_says_who_would_be_told_what_and_changes_nothing(sandbox: Sandbox) -> None:
    with Probe(sandbox, readers=False, limit=PATIENCE) as probe:
        probe.wait_writes(LIMIT)
        log = Log(sandbox)  # by now all is told that the scenario before left to tell
        status, answer = control(sandbox, "move_role", "--dry-run", "writer", "db2")
        probe.wait_writes(LIMIT)
    assert status == 0
    lines = answer.splitlines()
    assert lines[0] == "OK: Dry run, nothing was changed. writer would be moved to db2:"
    assert re.fullmatch(r"db2: behind: \d+ s; rep_threads: OK", lines[1]), answer
    assert "clients would be ended at once" in lines[2]
    assert lines[3].startswith(
        "1. db1 is told ONLINE: lets writer(10.77.0.80) go, after it has become read_only"
    ), answer
    assert any(line.endswith("db3 is told ONLINE: replicates from db2") for line in lines[4:6]), answer
    assert any(
        "db2 is told ONLINE: takes writer(10.77.0.80), after it has applied" in line for line in lines[4:6]
    )
    assert probe.report.outages == ()
    assert (sandbox.writer(), sandbox.states()) == ("db1", ALL_ONLINE)
    assert not log.lines(r"INFO db\d: told")


def test_a_dry_run_names_who_is_idle_in_a_transaction_and_who_waits_for_it(sandbox: Sandbox) -> None:
    machine = sandbox.machine("db1")
    with sql.session(machine, LIMIT) as idle, sql.session(machine, LIMIT) as waiter:
        number = idle.thread_id()  # type: ignore[no-untyped-call]
        with idle.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("INSERT INTO sandbox.tick () VALUES ()")

        def wait() -> None:
            with suppress(sql.SqlError), waiter.cursor() as cursor:
                cursor.execute("SELECT * FROM sandbox.tick FOR UPDATE")

        waiting = threading.Thread(target=wait)
        waiting.start()
        dry = ("move_role", "--dry-run", "writer", "db2")
        said = [
            (
                rf"db1: 1 idle session holds a transaction open .* idle for \d+ s, session {number} of root@localhost,"
                r" whose transaction has changed 1 row$"
            ),
            r"db1: 1 session waits for a lock, the first for \d+ s",
        ]
        sandbox.wait_until(
            lambda: all(re.search(line, sandbox.control(*dry).stdout, re.MULTILINE) for line in said),
            LIMIT,
            "the dry run names both",
        )
        assert control(sandbox, "move_role", "writer", "db2")[0] == 0
        waiting.join()
    assert sandbox.writer() == "db2"


@pytest.mark.parametrize("hosts", [("db1",), ("db1", "db2")], ids=["old writer's", "both"])
def test_a_move_ends_right_though_the_agents_log_hangs(sandbox: Sandbox, hosts: tuple[str, ...]) -> None:
    with ExitStack() as logs:
        hung = [logs.enter_context(hanging_log(sandbox, host)) for host in hosts]
        move_writer(sandbox, "db2")
        assert sandbox.writer() == "db2"
        assert not host_facts(sandbox, "db1").writable
        assert host_facts(sandbox, "db2").writable
        assert sandbox.holders(sandbox.layout.writer_ip) == ("db2",)
        assert sandbox.states() == ALL_ONLINE
        move_writer(sandbox, "db1")
        assert (host_facts(sandbox, "db1").writable, host_facts(sandbox, "db2").writable) == (True, False)
        for descriptor in hung:
            wait_said(sandbox, descriptor, b"deny writes")
    settle(sandbox)


def wait_said(sandbox: Sandbox, descriptor: int, text: bytes) -> None:
    """Take a log that hung, until it says that."""
    said = bytearray()

    def found() -> bool:
        said.extend(drained(descriptor))
        return text in said

    sandbox.wait_until(found, LIMIT, f"the log goes on, with {text!r}")


@contextmanager
def hanging_log(sandbox: Sandbox, host: str) -> Iterator[int]:
    """Have the disk of the host's agent's log hang; gives a descriptor by which that ends."""
    path = sandbox.machine(host).log / "mmm_agentd.log"
    kept, fifo = path.with_suffix(".kept"), path.with_suffix(".fifo")
    descriptor = full_fifo(fifo)
    put_in_place(fifo, path, kept)
    try:
        yield descriptor
    finally:
        kept.replace(path)
        drained(descriptor)
        os.close(descriptor)


@contextmanager
def without_salvage(sandbox: Sandbox, host: str) -> Iterator[None]:
    """Take from a host's agent the privilege by which it applies what another server's binary log has."""
    unlogged, privilege = "SET SESSION sql_log_bin=0", "BINLOG REPLAY ON *.*"
    sql.execute(sandbox.machine(host), [unlogged, f"REVOKE {privilege} FROM mmm_agent@'%'"])
    try:
        yield
    finally:
        sql.execute(sandbox.machine(host), [unlogged, f"GRANT {privilege} TO mmm_agent@'%'"])


def test_a_forced_role_is_taken_without_what_is_missing_and_nothing_of_it_comes_later(
    sandbox: Sandbox,
) -> None:
    """Both servers live. What the old writer has stays with it and is named: it is older than what is written now."""
    with without_salvage(sandbox, "db2"):
        log = Log(sandbox)
        agent = Log(sandbox, "db2", "mmm_agentd")
        catch_up(sandbox)  # else db3 might have what db2 lacks
        before = ticks(sandbox, "db2")
        sandbox.sql("db2", "STOP SLAVE SQL_THREAD")
        sandbox.sql("db3", "STOP SLAVE")  # nor is it to be got from there
        sandbox.sql("db1", "INSERT INTO sandbox.tick () VALUES ()")
        status, answer = control(sandbox, "move_role", "--force", "writer", "db2")
        assert status == 0, answer
        assert (
            "Forced in spite of: replication of db2 does not run: ERROR: SQL thread is not running" in answer
        )
        assert sandbox.writer() == "db2"
        assert host_facts(sandbox, "db2").writable
        agent.wait("sync: db2: goes on by order though")
        sandbox.sql("db2", "START SLAVE")
        sandbox.sql("db3", "START SLAVE")
        log.wait("ERROR db1: it has 1 transaction .* that db2 lacked")
        assert log.wait_change("db1", "AWAITING_RECOVERY").rule == "forced"
        whole, part = "1 transaction that the binary log of db1 has", "the rest of the binary log of db1"
        lost = f"({whole}|{part}), from 0-1-[0-9]+ on(, was not got)?: the agent's MySQL user may not"
        # What was seen on db1 in time is told before its log.
        assert re.search(f"lost with db1 when db2 took over: (.*; )?{lost}", sandbox.ask("history 5"))
        assert sandbox.ask("set_online db1").startswith("ERROR: Host 'db1' stays AWAITING_RECOVERY: it has 1")
        facts = host_facts(sandbox, "db2").replica
        assert facts is not None
        assert (facts.detached, facts.sql) == (True, True)
        assert ticks(sandbox, "db2") == before
        make_equal(sandbox)


def test_a_forced_role_gets_what_is_missing_out_of_the_old_writers_log(sandbox: Sandbox) -> None:
    log = Log(sandbox)
    catch_up(sandbox)
    before = ticks(sandbox, "db2")
    sandbox.sql("db2", "STOP SLAVE SQL_THREAD")
    sandbox.sql("db1", "INSERT INTO sandbox.tick () VALUES ()")
    status, answer = control(sandbox, "move_role", "--force", "writer", "db2")
    assert status == 0, answer
    log.wait("lost with db1 when db2 took over: nothing: 1 transaction got from the binary log of db1")
    assert ticks(sandbox, "db2") == before + 1
    sandbox.sql("db2", "START SLAVE")
    sandbox.wait_states(LIMIT, **ALL_ONLINE)
    settle(sandbox)
    assert {host: ticks(sandbox, host) for host in sandbox.hosts} == dict.fromkeys(sandbox.hosts, before + 1)


def ticks(sandbox: Sandbox, host: str) -> int:
    return int(sandbox.sql(host, "SELECT COUNT(*) AS n FROM sandbox.tick")[0]["n"])


def test_that_a_failover_has_lost_nothing_is_said_and_true(sandbox: Sandbox) -> None:
    log = Log(sandbox)
    with Probe(sandbox, readers=False) as probe:
        probe.wait_writes(LIMIT, 1000)
        inject(sandbox, "kill-mysqld", "db1")
        probe.wait_move(LIMIT)
        line = log.wait("WARN lost with db1 when db2 took over: ")
        sentence = line[line.index("lost with") :]
        shown = sandbox.ask("show")
        assert sentence in sandbox.ask("history")
    assert ": nothing: " in sentence, "its binary log was read"
    assert "lost with db1" not in shown
    assert probe.report.missing == ()
