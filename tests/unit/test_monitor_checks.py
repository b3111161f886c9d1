"""What becomes of a check when what answers is no server as MMM knows them."""

import asyncio

import pytest

from mmm.config.model import Host
from mmm.config.names import CHECK_NAMES
from mmm.monitor.act import checks
from mmm.monitor.act.checks import Checks, Reading
from mmm.monitor.world.check_results import CheckResult
from mmm.monitor.world.checks import Outcome
from mmm.mysql.session import connection
from mmm.mysql.session.connection import ErrorKind, MysqlError
from mmm.network.icmp import Pinger
from tests.servers import Server
from tests.unit.worlds import cluster


@pytest.mark.mysql
def test_a_server_that_answers_without_rows_is_unknown(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """So may a proxy answer; at the monitor's start it ended the monitor."""
    monkeypatch.setattr(connection.Connection, "query", lambda *_, **__: [])
    host = Host("db1", "127.0.0.1", "master", mysql_port=server.port, monitor_user="root")

    async def run() -> list[CheckResult]:
        made = Checks(cluster(), Pinger())
        try:
            return [await made.run(host, name) for name in CHECK_NAMES if name != "ping"]
        finally:
            made.close()

    results = asyncio.run(run())
    assert [result.finding.outcome for result in results] == [Outcome.UNKNOWN] * 3
    assert "db1: check mysql ended by an internal error" in caplog.text


async def test_a_look_anew_is_not_the_one_that_was_at_work_already(monkeypatch: pytest.MonkeyPatch) -> None:
    """What that one finds may be from before an order was obeyed."""
    old, new = Reading(), Reading(error=MysqlError(ErrorKind.FAILED, 0, "newer"))
    begun, goes_on = asyncio.Event(), asyncio.Event()

    async def look(*_: object, **__: object) -> Reading:
        if begun.is_set():
            return new
        begun.set()
        await goes_on.wait()
        return old

    monkeypatch.setattr(checks, "read_replica", look)
    made, host = Checks(cluster(), Pinger()), cluster().hosts["db2"]
    try:
        async with asyncio.TaskGroup() as tasks:
            earlier = tasks.create_task(made.run(host, "rep_threads"))
            await begun.wait()
            anew = tasks.create_task(made.look_anew(host))
            goes_on.set()
    finally:
        made.close()
    assert earlier.result().finding.code == "not_configured"
    assert [result.finding.fields["text"] for result in anew.result()] == ["newer", "newer"]
