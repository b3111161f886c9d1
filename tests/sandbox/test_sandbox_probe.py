"""The probe finds what a client would lose: rows that are gone, rows that came twice, times without an answer."""

from collections.abc import Iterator

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.machine import SandboxError
from mmm.sandbox.restore import make_equal
from mmm.sandbox.witness.probe_run import Probe
from tests.scenarios import LIMIT, PATIENCE

pytestmark = pytest.mark.sandbox


@pytest.fixture
def writable(bare_sandbox: Sandbox) -> Iterator[Sandbox]:
    """Give servers of which db1 has the writer's VIP, by hand: no daemon meddles."""
    vip = f"{bare_sandbox.layout.writer_ip}/32"
    bare_sandbox.machine("db1").run(["ip", "address", "replace", vip, "dev", "eth0"])
    bare_sandbox.sql("db1", "SET GLOBAL read_only=0")
    yield bare_sandbox
    bare_sandbox.machine("db1").run(["ip", "address", "del", vip, "dev", "eth0"])
    bare_sandbox.sql("db1", "SET GLOBAL read_only=1")
    make_equal(bare_sandbox)


def test_a_quiet_run_has_nothing_to_tell(writable: Sandbox) -> None:
    with Probe(writable, readers=False, limit=PATIENCE) as probe:
        probe.wait_writes(LIMIT)
    assert probe.report.acknowledged > 20
    assert (probe.report.missing, probe.report.doubled, probe.report.outages) == ((), (), ())
    assert set(probe.report.hosts) == {"db1", "db2", "db3"}


def test_a_row_that_is_gone_is_missing(writable: Sandbox) -> None:
    with Probe(writable, readers=False, limit=PATIENCE) as probe:
        probe.wait_writes(LIMIT)
        writable.sql("db1", f"DELETE FROM sandbox.probe WHERE run = '{probe.run}' AND n = 7")  # noqa: S608
    assert probe.report.missing == (7,)
    assert probe.report.hosts["db3"].missing == (7,)


def test_a_row_that_is_there_twice_is_doubled_also_if_only_a_replica_has_it(writable: Sandbox) -> None:
    with Probe(writable, readers=False, limit=PATIENCE) as probe:
        probe.wait_writes(LIMIT)
        writable.sql("db3", f"INSERT INTO sandbox.probe (id, run, n) VALUES (1000000, '{probe.run}', 5)")  # noqa: S608
    assert probe.report.hosts["db1"].doubled == ()
    assert probe.report.hosts["db3"].doubled == (5,)
    assert probe.report.doubled == (5,)


def test_an_outage_goes_from_success_to_success_and_refused_rows_are_not_missing(writable: Sandbox) -> None:
    with Probe(writable, readers=False, limit=PATIENCE, connect_limit=PATIENCE) as probe:
        probe.wait_writes(LIMIT)
        writable.sql("db1", "SET GLOBAL read_only=1")
        writable.wait_until(
            lambda: any(event["event"] == "fail" for event in probe.events), LIMIT, "a write fails"
        )
        writable.sql("db1", "SET GLOBAL read_only=0")
        outage = probe.wait_outage(LIMIT)
    assert (outage.before, outage.after, outage.kind) == ("db1", "db1", "write")
    assert any("read-only" in error for error in outage.errors)
    assert probe.report.refused == sum(outage.errors.values())
    assert probe.report.missing == ()


def test_a_vip_that_nobody_has_is_said(bare_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmm.sandbox.witness.probe_run._START_LIMIT", 1.0)
    with pytest.raises(SandboxError, match=r"no row can be written to 10\.77\.0\.80"), Probe(bare_sandbox):
        pass
