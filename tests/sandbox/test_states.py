"""States that the admin, a reboot or a server that stays writable lead to, and the way out of each."""

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines import sql
from mmm.sandbox.trouble.faults import heal, inject
from mmm.sandbox.witness.health import host_facts, settle
from mmm.sandbox.witness.probe_run import Probe
from tests.scenarios import (
    ALL_ONLINE,
    LIMIT,
    PATIENCE,
    SHORT_OUTAGE,
    Log,
    assert_was_away,
    check_line,
    has_readers,
    reader_holders,
    replicates,
    switch_off,
    wait_failed,
    without_relapses,
)

pytestmark = pytest.mark.sandbox

CHECKS = ("ping", "mysql", "rep_threads", "rep_backlog")


def all_good(sandbox: Sandbox, host: str) -> bool:
    """Tell whether the monitor calls every check of a host OK."""
    lines = sandbox.ask(f"checks {host} all").splitlines()
    return len(lines) == len(CHECKS) and all("]  OK" in line for line in lines)


@pytest.mark.parametrize("host", ["db2", "db3"])
def test_set_offline_takes_roles_and_stops_replication_and_set_online_gives_them_back(
    sandbox: Sandbox, host: str
) -> None:
    log = Log(sandbox)
    with Probe(sandbox, limit=PATIENCE) as probe:
        assert sandbox.ask(f"set_offline {host}").startswith("OK")
        replica = host_facts(sandbox, host).replica
        assert replica is not None
        assert (replica.io, replica.sql) == ("No", False)
        assert not has_readers(sandbox, host)
        sandbox.wait_until(
            lambda: all(len(each) == 1 for each in reader_holders(sandbox).values()), LIMIT, "readers moved"
        )
        wait_failed(log, host, "rep_threads")
        assert sandbox.states()[host] == "ADMIN_OFFLINE"
        assert sandbox.ask(f"set_online {host}").startswith("OK")
        sandbox.wait_until(lambda: has_readers(sandbox, host), LIMIT, f"{host} gets its share of readers")
        sandbox.wait_until(lambda: replicates(sandbox, host), LIMIT, f"{host} replicates")
        settle(sandbox)
    gone_and_back = [
        ("ONLINE", "ADMIN_OFFLINE", "set_offline"),
        ("ADMIN_OFFLINE", "ONLINE", "set_online"),
    ]
    # Where its peer is not new, it is judged by its replication until the next check has seen it run.
    settling = [
        ("ONLINE", "REPLICATION_FAIL", "replication_failed"),
        ("REPLICATION_FAIL", "ONLINE", "replication_good"),
    ]
    assert log.story(host) in (gone_and_back, gone_and_back + settling)
    assert log.changes() == log.changes(host)
    assert probe.report.writes == ()
    assert (probe.report.missing, probe.report.doubled) == ((), ())


def test_set_offline_of_the_writer_is_a_move_without_a_lost_row(sandbox: Sandbox) -> None:
    with Probe(sandbox, limit=PATIENCE) as probe:
        assert sandbox.ask("set_offline db1").startswith("OK")
        outage = probe.wait_move(LIMIT)
        probe.wait_writes(LIMIT)
        assert (outage.before, outage.after) == ("db1", "db2")
        assert sandbox.ask("set_online db1").startswith("OK")
        settle(sandbox)
    assert len(probe.report.writes) == 1
    assert (probe.report.missing, probe.report.doubled) == ((), ())


def test_a_host_that_is_offline_by_the_admin_stays_so_whatever_happens_to_it(sandbox: Sandbox) -> None:
    log = Log(sandbox)
    sandbox.ask("set_offline db3")
    inject(sandbox, "kill-mysqld", "db3")
    wait_failed(log, "db3", "mysql")
    sandbox.start_server("db3")
    log.wait("db3: mysql is good again")
    inject(sandbox, "kill-monitor")
    log.wait("db3: starts as ADMIN_OFFLINE")
    log.wait(r"db3: told ADMIN_OFFLINE, no roles: OK", 2)
    assert sandbox.states() == {**ALL_ONLINE, "db3": "ADMIN_OFFLINE"}
    assert log.story("db3") == [("ONLINE", "ADMIN_OFFLINE", "set_offline")]


def test_a_rebooted_host_waits_for_the_admin_and_one_with_a_short_outage_does_not(sandbox: Sandbox) -> None:
    log = Log(sandbox)
    with Probe(sandbox, limit=PATIENCE) as probe:
        switch_off(sandbox, log, "db3")
        sandbox.power_on("db3")
        log.wait_change("db3", "AWAITING_RECOVERY")
        sandbox.wait_until(lambda: all_good(sandbox, "db3"), LIMIT, "all checks of db3 are good")
        log.wait("db3: told AWAITING_RECOVERY, no roles: OK")
        # What brings another host back in the meantime leaves this one where it is.
        inject(sandbox, "stop-mysqld", "db2")
        log.wait_change("db2", "HARD_OFFLINE")
        heal(sandbox)
        log.wait_change("db2", "ONLINE")
        assert without_relapses(log.story("db3")) == SHORT_OUTAGE[:2]
        assert sandbox.states()["db3"] == "AWAITING_RECOVERY"
        assert not has_readers(sandbox, "db3")
        assert sandbox.ask("set_online db3").startswith("OK")
        sandbox.wait_until(lambda: has_readers(sandbox, "db3"), LIMIT, "db3 gets its share of readers")
        settle(sandbox)
    by_the_admin = [*SHORT_OUTAGE[:2], ("AWAITING_RECOVERY", "ONLINE", "set_online")]
    assert without_relapses(log.story("db3")) == by_the_admin
    assert_was_away(log, "db2")
    assert probe.report.writes == ()
    assert probe.report.doubled == ()


def test_a_host_that_fails_while_it_waits_is_offline_again(sandbox: Sandbox) -> None:
    log = Log(sandbox)
    switch_off(sandbox, log, "db2")
    sandbox.power_on("db2")
    log.wait_change("db2", "AWAITING_RECOVERY")
    sandbox.wait_until(lambda: all_good(sandbox, "db2"), LIMIT, "all checks of db2 are good")
    assert without_relapses(log.story("db2")) == SHORT_OUTAGE[:2]
    again = Log(sandbox)
    inject(sandbox, "kill-mysqld", "db2")
    change = again.wait_change("db2", "HARD_OFFLINE")
    assert (change.before, change.rule) == ("AWAITING_RECOVERY", "failed_again")
    sandbox.start_server("db2")
    change = again.wait_change("db2", "AWAITING_RECOVERY")
    assert (change.before, change.rule) == ("HARD_OFFLINE", "back")
    sandbox.wait_until(lambda: all_good(sandbox, "db2"), LIMIT, "all checks of db2 are good")
    assert without_relapses(again.story("db2")) == []


def test_a_rebooted_writer_comes_back_as_a_read_only_standby(sandbox: Sandbox) -> None:
    log = Log(sandbox)
    with Probe(sandbox) as probe:
        switch_off(sandbox, log, "db1")
        outage = probe.wait_move(LIMIT)
        assert (outage.before, outage.after) == ("db1", "db2")
        sandbox.power_on("db1")
        log.wait_change("db1", "AWAITING_RECOVERY")
        sandbox.bring_online()
        settle(sandbox)
        assert sandbox.writer() == "db2"
    by_the_admin = [*SHORT_OUTAGE[:2], ("AWAITING_RECOVERY", "ONLINE", "set_online")]
    assert without_relapses(log.story("db1")) == by_the_admin
    assert probe.report.doubled == ()


def test_a_host_that_cannot_be_made_read_only_is_not_online(sandbox: Sandbox) -> None:
    """rule 10.36: tried again with every heartbeat, said, and trusted again once it worked."""
    log, machine = Log(sandbox), sandbox.machine("db2")
    privilege = "READ_ONLY ADMIN ON *.*"
    unlogged = "SET SESSION sql_log_bin=0"
    log_in_anew = "KILL CONNECTION USER mmm_agent"  # a session keeps the privileges that it has begun with
    try:
        revoke = f"REVOKE {privilege} FROM mmm_agent@'%'"
        sql.execute(machine, [unlogged, revoke, log_in_anew, "SET GLOBAL read_only=0"])
        change = log.wait_change("db2", "AWAITING_RECOVERY")
        assert (change.before, change.rule) == ("ONLINE", "not_read_only")
        sandbox.wait_until(lambda: not has_readers(sandbox, "db2"), LIMIT, "db2 has no role")
        log.wait("ERROR db2: its agent answered 'ERROR: deny writes: .*READ_ONLY ADMIN")
        assert "agent on host db2 answered" in sandbox.ask("show")
        assert check_line(sandbox, "db2", "mysql").endswith("OK")
    finally:
        sql.execute(machine, [unlogged, f"GRANT {privilege} TO mmm_agent@'%'", log_in_anew])
    log.wait_change("db2", "ONLINE")
    sandbox.wait_until(lambda: has_readers(sandbox, "db2"), LIMIT, "db2 gets its share of readers")
    settle(sandbox)
    assert [rule for _, _, rule in log.story("db2")] == ["not_read_only", "short_outage"]
    log.wait("INFO db2: its agent has done what it was told")
