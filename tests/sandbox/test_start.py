"""What the monitor believes when it starts: status file, agents and systems in every mixture that matters."""

import contextlib
import os
import re
import signal
from collections.abc import Callable, Iterator

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines import network
from mmm.sandbox.machines.layout import SWITCH
from mmm.sandbox.trouble.faults import daemon_processes, heal, inject
from mmm.sandbox.witness.health import host_facts, settle
from mmm.sandbox.witness.probe_run import Probe
from tests.clusters import (
    LIMIT,
    bound,
    knows,
    log,
    monitor_away,
    monitor_log,
    order,
    pids,
    request,
    restart,
    shown,
    status_file,
)
from tests.scenarios import PATIENCE, move_writer

pytestmark = pytest.mark.sandbox

WRITER = "10.77.0.80"
LEAD = "LEAD:0.10.77.0.2:9988.byhand"
"""As the monitor says it, so that the next one takes over at once."""
ALL_ONLINE = {"db1": "ONLINE", "db2": "ONLINE", "db3": "ONLINE"}


@contextlib.contextmanager
def undisturbed(sandbox: Sandbox) -> Iterator[None]:
    """Fail if a client loses a write or a read meanwhile, or a VIP changes its host."""
    sandbox.wait_until(lambda: sandbox.ask("show") == shown(sandbox), LIMIT, "all is told")
    before = shown(sandbox)
    with Probe(sandbox, limit=PATIENCE) as probe:
        yield
        sandbox.wait_until(lambda: sandbox.states() == ALL_ONLINE, LIMIT, "all hosts are ONLINE")
        sandbox.wait_until(lambda: sandbox.ask("show") == before, LIMIT, "all is told again")
        probe.wait_writes(LIMIT)
    assert (probe.report.outages, probe.report.missing, probe.report.doubled) == ((), (), ())
    assert shown(sandbox) == before


# --- nothing has changed meanwhile


def test_a_restart_is_not_noticed_by_clients(sandbox: Sandbox) -> None:
    move_writer(sandbox, "db2")  # so that conf order alone would choose otherwise
    with undisturbed(sandbox):
        restart(sandbox, "monitor", "mmm_mond")


def test_a_killed_monitor_goes_on_where_it_was(sandbox: Sandbox) -> None:
    move_writer(sandbox, "db2")
    angel, worker = pids(sandbox, "monitor", "mmm_mond")
    with undisturbed(sandbox):
        inject(sandbox, "kill-monitor")
        sandbox.wait_until(sandbox.show, LIMIT, "the monitor answers again")
    again = pids(sandbox, "monitor", "mmm_mond")
    assert again[0] == angel
    assert again[1] != worker


def test_without_the_status_file_the_agents_know(sandbox: Sandbox) -> None:
    move_writer(sandbox, "db2")
    with undisturbed(sandbox), monitor_away(sandbox):
        status_file(sandbox).unlink()


def test_restarted_agents_are_made_up_for_by_the_status_file(sandbox: Sandbox) -> None:
    move_writer(sandbox, "db2")
    with undisturbed(sandbox), monitor_away(sandbox):
        for host in sandbox.hosts:
            restart(sandbox, host, "mmm_agentd")
            told = request(sandbox, host, f"GET_AGENT_STATUS|1|{host}").split("|")
            assert told[:4] == [
                "OK: Returning status!",
                "UNKNOWN",
                "",
                "",
            ]  # behind it there may be its last job


def test_when_file_and_agents_have_forgotten_everything_what_is_bound_counts(sandbox: Sandbox) -> None:
    move_writer(sandbox, "db2")
    with undisturbed(sandbox), monitor_away(sandbox):
        status_file(sandbox).unlink()
        for host in sandbox.hosts:
            restart(sandbox, host, "mmm_agentd")


@pytest.mark.parametrize(
    "broken", ["db1", "db1|ONLINE", "db1|SLEEPING|", "|||", "db1|ONLINE|reader(", "\xff\xfe|\0"]
)
def test_bad_lines_of_the_status_file_are_named_and_left_out(sandbox: Sandbox, broken: str) -> None:
    monitor = monitor_log(sandbox)
    with undisturbed(sandbox), monitor_away(sandbox):
        good = [line for line in status_file(sandbox).read_text().splitlines() if not line.startswith("db1|")]
        status_file(sandbox).write_bytes("\n".join([broken, *good]).encode("latin-1"))
    assert monitor.wait(r"WARN status file /var/lib/misc/mmm_mond\.status, line 1: .*left out") == 1


def test_what_is_stored_and_no_longer_configured_is_left_out_with_a_warning(sandbox: Sandbox) -> None:
    monitor = monitor_log(sandbox)
    with undisturbed(sandbox), monitor_away(sandbox):
        text = status_file(sandbox).read_text()
        text = re.sub(
            r"(?m)^(db3\|ONLINE\|.*)$", r"\1,archive(10.77.0.99),reader(10.77.0.98),writer(10.77.0.80)", text
        )
        status_file(sandbox).write_text(text + "db7|ONLINE|reader(10.77.0.97)\n")
    for vip in ("archive(10.77.0.99)", "reader(10.77.0.98)", "writer(10.77.0.80)"):
        assert monitor.wait(re.escape(f"WARN db3: the status file names {vip}")) == 1


# --- something has changed meanwhile


def test_a_role_moved_by_hand_stays_where_it_was_moved(sandbox: Sandbox) -> None:
    with monitor_away(sandbox):
        reader = next(ip for ip in bound(sandbox, "db1") if ip != WRITER)
        assert order(sandbox, "db1", f"SET_STATUS|1|db1|ONLINE|reader({reader})|db2|{LEAD}").startswith("OK")
        assert order(sandbox, "db3", f"SET_STATUS|1|db3|ONLINE||db2|{LEAD}").startswith("OK")
        assert order(sandbox, "db2", f"SET_STATUS|1|db2|ONLINE|writer({WRITER})|db2|{LEAD}").startswith("OK")
        assert sandbox.writer() == "db2"
    settle(sandbox)
    assert sandbox.writer() == "db2"
    assert sandbox.states() == ALL_ONLINE


def test_a_writer_set_up_by_hand_while_nothing_of_mmm_ran_is_kept(sandbox: Sandbox) -> None:
    with monitor_away(sandbox):
        assert sandbox.init("db1", "mysql-mmm-agent", "stop").returncode == 0
        sandbox.sql("db1", "SET GLOBAL read_only=1")
        sandbox.machine("db1").run(["ip", "address", "del", f"{WRITER}/32", "dev", "eth0"])
        sandbox.machine("db2").run(["ip", "address", "add", f"{WRITER}/32", "dev", "eth0"])
        sandbox.sql("db2", "SET GLOBAL read_only=0")
        sandbox.start_daemon("db1", "mmm_agentd")
        assert request(sandbox, "db2", "GET_SYSTEM_STATUS|1|db2").startswith("OK: Returning status!|1|")
    settle(sandbox)
    assert sandbox.writer() == "db2"
    assert sandbox.states() == ALL_ONLINE


def test_a_writer_that_died_meanwhile_is_replaced(sandbox: Sandbox) -> None:
    with monitor_away(sandbox):
        inject(sandbox, "kill-mysqld", "db1")
    sandbox.wait_until(lambda: sandbox.writer() == "db2", LIMIT, "db2 is the writer")
    sandbox.wait_until(lambda: host_facts(sandbox, "db2").writable, LIMIT, "db2 takes writes")
    assert sandbox.states()["db1"] == "HARD_OFFLINE"
    assert bound(sandbox, "db1") == frozenset()


def test_a_host_set_offline_stays_offline(sandbox: Sandbox) -> None:
    assert sandbox.control("set_offline", "db3").returncode == 0
    with monitor_away(sandbox):
        restart(sandbox, "db3", "mmm_agentd")
    assert sandbox.states()["db3"] == "ADMIN_OFFLINE"
    sandbox.wait_until(
        lambda: knows(sandbox, "db3", "ADMIN_OFFLINE"),
        LIMIT,
        "it is told again",
    )
    assert bound(sandbox, "db3") == frozenset()


def test_a_host_unknown_to_all_waits_for_the_admin(sandbox: Sandbox) -> None:
    assert sandbox.control("set_offline", "db3").returncode == 0
    with monitor_away(sandbox):
        status_file(sandbox).unlink()
        restart(sandbox, "db3", "mmm_agentd")
    assert sandbox.states() == {**ALL_ONLINE, "db3": "AWAITING_RECOVERY"}


def test_a_vip_that_no_one_assigned_is_removed(sandbox: Sandbox) -> None:
    with monitor_away(sandbox):
        reader = next(iter(bound(sandbox, "db3")))
        restart(sandbox, "db2", "mmm_agentd")
        sandbox.machine("db2").run(["ip", "address", "add", f"{reader}/24", "dev", "eth0"])
    settle(sandbox)
    assert reader in bound(sandbox, "db3")


# --- two writers


@contextlib.contextmanager
def two_writers(sandbox: Sandbox) -> Iterator[None]:
    """Bind the writer's VIP on db2 too while the monitor is away."""
    with monitor_away(sandbox):
        sandbox.machine("db2").run(["ip", "address", "add", f"{WRITER}/32", "dev", "eth0"])
        yield
    assert sandbox.show(), "the monitor answers"


def test_the_writers_vip_on_two_hosts_is_left_to_the_admin(sandbox: Sandbox) -> None:
    agent = log(sandbox, "db2", "mmm_agentd")
    with two_writers(sandbox):
        pass
    first, second = sandbox.ask("show").splitlines()[:2]
    assert first == "# --- Monitor is in PASSIVE MODE ---"
    assert second.startswith(f"# Cause: writer({WRITER}) is bound on db1 and db2.")
    assert set(sandbox.holders(WRITER)) == {"db1", "db2"}, "nothing is done by itself"
    assert agent.count("unbind") == 0
    sandbox.machine("db2").run(["ip", "address", "del", f"{WRITER}/32", "dev", "eth0"])
    assert sandbox.control("set_active").returncode == 0
    settle(sandbox)
    assert sandbox.writer() == "db1"


def test_with_careful_startup_off_the_votes_decide(
    sandbox: Sandbox, reconfigured: Callable[[str], None]
) -> None:
    with two_writers(sandbox):
        reconfigured("careful_startup 0")
    settle(sandbox)
    assert (sandbox.ask("mode"), sandbox.writer()) == ("ACTIVE", "db1")


@pytest.fixture
def reconfigured(sandbox: Sandbox) -> Iterator[Callable[[str], None]]:
    """Give a function that adds a line to <monitor>; it is taken out again, which counts at the next start."""
    path = sandbox.monitor.etc / "mmm_mon.conf"
    text = path.read_text()
    yield lambda line: path.write_text(text.replace("<monitor>\n", f"<monitor>\n    {line}\n"))  # type: ignore[misc]
    path.write_text(text)
    restart(sandbox, "monitor", "mmm_mond")


# --- no network


def test_without_network_the_start_waits(sandbox: Sandbox) -> None:
    gateway = sandbox.layout.gateways[0]
    monitor = monitor_log(sandbox)
    before = shown(sandbox)
    assert sandbox.init("monitor", "mysql-mmm-monitor", "stop").returncode == 0
    switch, port = sandbox.machine(SWITCH), sandbox.layout.plugs[sandbox.layout.monitor].port
    network.set_port(switch, port, up=False)
    try:
        sandbox.start_daemon("monitor", "mmm_mond")
        sandbox.wait_until(lambda: monitor.count(f"FATAL network: .*{gateway}.*waiting"), LIMIT, "it is said")
        assert sandbox.control("ping").returncode == 0
        assert "# Warning: " in sandbox.ask("show")
        assert shown(sandbox) == before
    finally:
        network.set_port(switch, port, up=True)
    sandbox.wait_until(sandbox.show, LIMIT, "the monitor answers")
    settle(sandbox)
    assert monitor.wait("FATAL network") == 1
    assert shown(sandbox) == before


# --- in the middle of a failover


@pytest.mark.parametrize(
    "moment",
    [
        r"WARN db1: mysql begins to fail",
        r"FATAL db1: ONLINE -> HARD_OFFLINE",
        r"INFO db1: told HARD_OFFLINE",
        r"INFO db2: told ONLINE, .*writer",
    ],
)
def test_a_monitor_killed_at_any_moment_of_a_failover_finishes_it(sandbox: Sandbox, moment: str) -> None:
    monitor = monitor_log(sandbox)
    worker = daemon_processes(sandbox, "monitor", "mmm_mond")[1]
    with Probe(sandbox, readers=False) as probe:
        inject(sandbox, "kill-mysqld", "db1")
        sandbox.wait_until(lambda: monitor.count(moment), LIMIT, moment)
        os.kill(worker.pid, signal.SIGKILL)
        outage = probe.wait_move(60)
        assert (outage.before, outage.after) == ("db1", "db2")
        assert sandbox.holders(WRITER) == ("db2",)
        heal(sandbox)
        sandbox.bring_online()
        settle(sandbox)
    assert probe.report.doubled == ()
    assert sandbox.writer() == "db2"


def test_a_monitor_killed_during_a_planned_move_leaves_one_writer(sandbox: Sandbox) -> None:
    monitor = monitor_log(sandbox)
    worker = daemon_processes(sandbox, "monitor", "mmm_mond")[1]
    inject(sandbox, "freeze-agent", "db1")
    with sandbox.monitor.connect((sandbox.layout.monitor_ip, 9988), LIMIT) as connection:
        connection.sendall(b"move_role --force writer db2\n")  # without it a frozen agent keeps the role
        sandbox.wait_until(lambda: monitor.count(r"writer.*db1 -> db2"), LIMIT, "the move is ordered")
        os.kill(worker.pid, signal.SIGKILL)
    for process in daemon_processes(sandbox, "db1", "mmm_agentd"):
        os.kill(process.pid, signal.SIGCONT)
    sandbox.wait_until(lambda: sandbox.states() == ALL_ONLINE, LIMIT, "all hosts are ONLINE")
    settle(sandbox)
