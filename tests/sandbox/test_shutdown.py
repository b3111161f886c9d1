"""A machine that is shut down hands its roles over before its server is stopped (rules 11.1, 11.7).

No init runs in the sandbox's machines: the agent of db1 is given a `runlevel` that says what it does at a reboot.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines import sql
from mmm.sandbox.machines.data import TICK_TABLE
from mmm.sandbox.trouble.faults import heal
from mmm.sandbox.witness.health import settle
from mmm.sandbox.witness.probe_run import Probe
from tests.clusters import restart
from tests.scenarios import LIMIT, Log, at_work, reader_holders, writable
from tests.taps import Addresses

pytestmark = pytest.mark.sandbox

AGENT = "mysql-mmm-agent"


@contextmanager
def rebooting(sandbox: Sandbox, host: str) -> Iterator[None]:
    """Have the host's agent find that its machine is about to reboot, when it is stopped; it knows its roles."""
    machine, told = sandbox.machine(host), Log(sandbox, host, "mmm_agentd")
    fake, default = machine.etc / "fake", machine.skeleton / "etc/default" / AGENT
    fake.mkdir()
    (fake / "runlevel").write_text("#!/bin/sh\necho 5 6\n")
    (fake / "runlevel").chmod(0o755)
    before = default.read_text()
    default.write_text(f"{before}PATH=/etc/mysql-mmm/fake:$PATH\nexport PATH\n")
    try:
        restart(sandbox, host, "mmm_agentd")
        told.wait(f"status: {host}: .* -> ONLINE")
        yield
    finally:
        default.write_text(before)
        heal(sandbox)
        restart(sandbox, host, "mmm_agentd")
        (fake / "runlevel").unlink()
        fake.rmdir()


def test_a_writer_that_is_rebooted_hands_all_its_roles_over_first(sandbox: Sandbox) -> None:
    vip, log = sandbox.layout.writer_ip, Log(sandbox)
    with rebooting(sandbox, "db1"):
        settle(sandbox)
        with Addresses(sandbox) as addresses, Probe(sandbox, readers=False) as probe:
            probe.wait_writes(LIMIT)
            assert sandbox.init("db1", AGENT, "stop").returncode == 0
            assert sandbox.holders(vip) == ("db2",)
            assert not writable(sandbox, "db1")
            assert "db1" not in {host for hosts in reader_holders(sandbox).values() for host in hosts}
            probe.wait_writes(LIMIT)
            assert sandbox.init("db1", "mysql", "stop").returncode == 0
            log.wait_change("db1", "HARD_OFFLINE")
            probe.wait_writes(LIMIT)
        assert addresses.together(vip) == []
        assert [outage.after for outage in probe.report.outages][-1:] in ([], ["db2"])
        assert probe.report.doubled == ()
        log.wait("db1: its machine or its agent is being stopped")
        assert not log.lines("waits for db1")


def test_its_server_is_there_until_the_next_writer_has_all_of_it(sandbox: Sandbox) -> None:
    """db2 applies what was committed last for longer than the agent of db1 waits for an order: that waits for db2."""
    vip, log = sandbox.layout.writer_ip, Log(sandbox)
    slow = f"CREATE TRIGGER sandbox.slow BEFORE INSERT ON {TICK_TABLE} FOR EACH ROW SET @slow=SLEEP(5)"
    with rebooting(sandbox, "db1"):
        settle(sandbox)
        sql.execute(sandbox.machine("db2"), ["SET SESSION sql_log_bin=0", slow])
        sandbox.sql("db2", "SET GLOBAL slave_run_triggers_for_rbr=1")
        stop = threading.Thread(target=lambda: sandbox.init("db1", AGENT, "stop"))
        with at_work(sandbox, "db1"):
            stop.start()
            log.wait("writer.*: db1 -> db2")
        stop.join()
        assert sandbox.holders(vip) == ("db2",)
        rows = f"SELECT COUNT(*), MAX(id) FROM {TICK_TABLE}"  # noqa: S608
        assert sandbox.sql("db2", rows) == sandbox.sql("db1", rows)
        sandbox.sql("db2", "SET GLOBAL slave_run_triggers_for_rbr=0")
        sql.execute(sandbox.machine("db2"), ["SET SESSION sql_log_bin=0", "DROP TRIGGER sandbox.slow"])
