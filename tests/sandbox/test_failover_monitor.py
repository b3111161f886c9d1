"""A monitor that dies in the middle of a failover, at any moment of it: the next one finishes it."""

import json
import os
from typing import Any

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.trouble.faults import heal, inject
from mmm.sandbox.witness.health import settle
from mmm.sandbox.witness.probe_run import Probe
from tests.clusters import Kept, status_file
from tests.fifo import made_fifo, put_in_place
from tests.scenarios import LIMIT, PATIENCE, Log
from tests.status import changes, status
from tests.taps import Addresses

pytestmark = pytest.mark.sandbox

MOMENTS = {
    "before anybody noticed": "",
    "when the check begins to fail": "mysql begins to fail",
    "when the failure is known": "mysql has failed",
    "when the state has changed": "db1: ONLINE -> HARD_OFFLINE",
    "when the old writer was told": "db1: told HARD_OFFLINE",
    "when the new writer was told": r"db2: told ONLINE, .*writer",
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_failover_is_finished_by_the_monitor_that_the_angel_starts(sandbox: Sandbox, moment: str) -> None:
    failover(sandbox, moment, angel=False)


@pytest.mark.parametrize("moment", ["before anybody noticed", "when the state has changed"])
def test_a_failover_is_finished_by_a_monitor_that_is_started_later(sandbox: Sandbox, moment: str) -> None:
    failover(sandbox, moment, angel=True)


def test_a_failover_waits_neither_for_the_status_file_nor_for_the_history(sandbox: Sandbox) -> None:
    log, file = Log(sandbox), status_file(sandbox)
    history, aside, fifo = (file.with_name(name) for name in (f"{file.name}.history", "aside", "fifo"))
    hang = (file.with_name(f".{file.name}.new"), history)
    with Probe(sandbox, readers=False) as probe:
        probe.wait_writes(LIMIT)
        os.mkfifo(fifo)  # to open it is to wait for a reader
        put_in_place(fifo, history, aside)
        sandbox.wait_until(lambda: made_fifo(hang[0]), LIMIT, "the status file is not being written")
        inject(sandbox, "kill-mysqld", "db1")
        outage = probe.wait_move(LIMIT)
        assert (outage.before, outage.after) == ("db1", "db2")
        log.wait("status file .* its disk hangs")
        log.wait("history .* its disk hangs")
        readers = [os.open(path, os.O_RDONLY | os.O_NONBLOCK) for path in hang]
        log.wait("history .*: its disk goes on")
        aside.replace(history)
        for reader in readers:
            os.close(reader)
        heal(sandbox)
        sandbox.wait_until(lambda: sandbox.states().get("db1") != "HARD_OFFLINE", LIMIT, "db1 is back")
        sandbox.bring_online()
        settle(sandbox)
    assert probe.report.doubled == ()
    assert "db2|ONLINE|" in file.read_text()


def failover(sandbox: Sandbox, moment: str, *, angel: bool) -> None:
    """Kill the writer's server, at the moment the monitor, with `angel` also who would start it again."""
    log, vip = Log(sandbox), sandbox.layout.writer_ip
    begun = status(sandbox.ask("status"))["position"]
    with Addresses(sandbox) as addresses, Probe(sandbox, readers=False) as probe:
        inject(sandbox, "kill-mysqld", "db1")
        if MOMENTS[moment]:
            log.wait(MOMENTS[moment])
        inject(sandbox, "kill-monitor", angel=angel)
        if angel:
            assert sandbox.show() == {}
            sandbox.start_daemon(sandbox.layout.monitor, "mmm_mond")
        outage = probe.wait_move(LIMIT)
        assert (outage.before, outage.after) == ("db1", "db2")
        sandbox.wait_states(LIMIT, db1="HARD_OFFLINE", db2="ONLINE")  # db3 may have got more than db2
        assert sandbox.holders(vip) == ("db2",)
        heal(sandbox)
        sandbox.wait_until(lambda: sandbox.states().get("db1") != "HARD_OFFLINE", LIMIT, "db1 is back")
        sandbox.bring_online()  # how long it was gone is nothing that a new monitor could know
        settle(sandbox)
    assert addresses.together(vip) == []
    assert probe.report.writer == "db2"
    assert probe.report.doubled == ()
    told, past = since(sandbox, begun)
    assert [line["kind"] for line in told] == len(told) * ["change"], "who follows misses nothing"
    assert [line["text"] for line in told] == [entry["text"] for entry in past]


def since(sandbox: Sandbox, begun: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return what is told a follower from a position on, and as much of the history, as of one moment."""
    told: list[dict[str, Any]] = []
    past: list[dict[str, Any]] = []

    def nothing_came_between() -> bool:
        position = status(sandbox.ask("status"))["position"]
        told[:] = changes(sandbox, begun)
        past[:] = json.loads(sandbox.ask(f"json history {len(told)}"))["history"]
        return bool(status(sandbox.ask("status"))["position"] == position)

    sandbox.wait_until(nothing_came_between, LIMIT, "nothing happens while both are asked for")
    return told, past


def test_a_monitor_that_restarts_in_peace_changes_nothing(calm: Kept) -> None:
    sandbox = calm.healthy()
    log = Log(sandbox)
    before = sandbox.show()
    with Addresses(sandbox) as addresses, Probe(sandbox, limit=PATIENCE) as probe:
        inject(sandbox, "kill-monitor")
        log.wait("db3: starts as ONLINE")
        sandbox.wait_until(lambda: sandbox.show() == before, LIMIT, "the same states and roles as before")
        log.wait("db3: told ONLINE")
        probe.wait_writes(LIMIT)
    assert addresses.moved == []
    assert log.changes() == []
    assert probe.report.outages == ()


@pytest.mark.parametrize(
    ("machine", "program", "moment"),
    [("monitor", "mmm_mond", "by the admin"), ("db1", "mmm_agentd", "unbind writer")],
    ids=["before anybody was told", "when the old writer has given it up"],
)
def test_a_planned_move_is_finished_or_undone_by_the_next_monitor(
    sandbox: Sandbox, machine: str, program: str, moment: str
) -> None:
    """Whatever the monitor had come to when it died, one host takes writes and no row is lost."""
    log, vip, told = Log(sandbox), sandbox.layout.writer_ip, Log(sandbox, machine, program)
    with Addresses(sandbox) as addresses, Probe(sandbox, readers=False) as probe:
        with sandbox.monitor.connect((sandbox.layout.plugs["monitor"].ip, 9988), 5) as connection:
            connection.sendall(b"move_role writer db2\n")
            told.wait(moment)
            inject(sandbox, "kill-monitor")
        log.wait("db3: starts as ONLINE")
        settle(sandbox)
        probe.wait_writes(LIMIT)
    assert addresses.together(vip) == []
    assert (probe.report.missing, probe.report.doubled) == ((), ())
