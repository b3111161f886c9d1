"""What the admin orders and what becomes of it: host states and roles, looked up on interfaces and servers."""

import os
import signal

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.trouble.faults import daemon_processes, inject, server_process
from mmm.sandbox.witness.health import host_facts, settle
from tests.clusters import LIMIT, bound, knows, monitor_log, shown
from tests.scenarios import move_under_way, move_writer

pytestmark = pytest.mark.sandbox

WRITER = "10.77.0.80"


def control(sandbox: Sandbox, *args: str) -> tuple[int, str]:
    """Return the exit status of mmm_control and what it printed."""
    done = sandbox.control(*args, limit=90)
    assert done.stderr == ""
    return done.returncode, done.stdout.rstrip("\n")


def wait_check(sandbox: Sandbox, host: str, check: str, begins: str) -> None:
    """Wait until the newest message of a check begins so."""
    sandbox.wait_until(
        lambda: f"]  {begins}" in sandbox.ask(f"checks {host} {check}"), LIMIT, f"{check} of {host}: {begins}"
    )


def replicates(sandbox: Sandbox, host: str) -> bool:
    replica = host_facts(sandbox, host).replica
    assert replica is not None
    return replica.runs


def break_replication(sandbox: Sandbox, host: str) -> None:
    """Bring a host to REPLICATION_FAIL; in the first minute of its peer that takes an outage of its server."""
    stop_replication(sandbox, host)
    if sandbox.states()[host] == "ONLINE":
        server = server_process(sandbox, host)
        assert server is not None
        os.kill(server.pid, signal.SIGSTOP)
        sandbox.wait_states(LIMIT, **{host: "HARD_OFFLINE"})
        os.kill(server.pid, signal.SIGCONT)
    sandbox.wait_states(LIMIT, **{host: "REPLICATION_FAIL"})


def stop_replication(sandbox: Sandbox, host: str) -> None:
    """Stop a host's replication and wait until the monitor holds the check for failed."""
    wait_check(sandbox, host, "rep_threads", "OK")
    log = monitor_log(sandbox)
    inject(sandbox, "stop-replication", host)
    sandbox.wait_until(lambda: log.count(f"{host}: rep_threads has failed"), LIMIT, "the check has failed")


# --- set_offline, set_online


def test_set_offline_takes_roles_and_replication_and_set_online_gives_them_back(sandbox: Sandbox) -> None:
    assert control(sandbox, "set_offline", "db3") == (
        0,
        "OK: State of 'db3' changed to ADMIN_OFFLINE. Now you can wait some time and check all roles!",
    )
    assert sandbox.states()["db3"] == "ADMIN_OFFLINE"
    assert bound(sandbox, "db3") == frozenset()
    assert not replicates(sandbox, "db3")
    sandbox.wait_until(
        lambda: all(len(sandbox.holders(vip)) == 1 for vip in sandbox.layout.reader_ips),
        LIMIT,
        "VIPs are elsewhere",
    )
    assert control(sandbox, "set_offline", "db3") == (
        0,
        "OK: This host is already ADMIN_OFFLINE. Skipping command.",
    )
    assert control(sandbox, "set_online", "db3") == (
        0,
        "OK: State of 'db3' changed to ONLINE. Now you can wait some time and check its new roles!",
    )
    settle(sandbox)
    sandbox.wait_until(lambda: bound(sandbox, "db3"), LIMIT, "db3 has a VIP again")
    sandbox.wait_until(lambda: sandbox.ask("show") == shown(sandbox), LIMIT, "show says what is bound")


def test_set_offline_of_the_writer_moves_the_writer(sandbox: Sandbox) -> None:
    assert control(sandbox, "set_offline", "db1")[0] == 0
    sandbox.wait_until(lambda: sandbox.writer() == "db2", LIMIT, "db2 is the writer")
    assert host_facts(sandbox, "db1").writable is False
    sandbox.wait_until(lambda: host_facts(sandbox, "db2").writable, LIMIT, "db2 takes writes")
    assert control(sandbox, "set_online", "db1")[0] == 0
    settle(sandbox)
    assert sandbox.writer() == "db2"


def test_set_online_of_an_online_host_does_nothing(sandbox: Sandbox) -> None:
    answer = control(sandbox, "set_online", "db2")
    assert answer == (0, "OK: This host is already ONLINE. Skipping command.")
    sandbox.wait_until(lambda: sandbox.ask("show") == shown(sandbox), LIMIT, "show says what is bound")


def test_a_dead_host_can_be_set_neither_online_nor_offline(sandbox: Sandbox) -> None:
    inject(sandbox, "kill-mysqld", "db3")
    sandbox.wait_states(LIMIT, db3="HARD_OFFLINE")
    for command in ("set_online", "set_offline"):
        status, answer = control(sandbox, command, "db3")
        assert status == 1
        assert answer.startswith("ERROR: Host 'db3' is HARD_OFFLINE")
    assert sandbox.states()["db3"] == "HARD_OFFLINE"


def test_without_its_agent_a_host_changes_neither_way(sandbox: Sandbox) -> None:
    inject(sandbox, "kill-agent", "db3", angel=True)
    status, answer = control(sandbox, "set_offline", "db3")
    assert (status, "Can't reach the agent of host 'db3'" in answer) == (1, True)
    assert sandbox.states()["db3"] == "ONLINE"
    sandbox.start_daemon("db3", "mmm_agentd")
    assert control(sandbox, "set_offline", "db3")[0] == 0
    inject(sandbox, "kill-agent", "db3", angel=True)
    status, answer = control(sandbox, "set_online", "db3")
    assert (status, "Can't reach the agent of host 'db3'" in answer) == (1, True)
    assert sandbox.states()["db3"] == "ADMIN_OFFLINE"
    sandbox.start_daemon("db3", "mmm_agentd")
    sandbox.wait_until(
        lambda: knows(sandbox, "db3", "ADMIN_OFFLINE"),
        LIMIT,
        "it is told again",
    )
    assert control(sandbox, "set_online", "db3")[0] == 0
    settle(sandbox)  # so replication runs, though the agent that stopped it is gone


def test_set_online_wants_ping_and_mysql_good(sandbox: Sandbox) -> None:
    assert control(sandbox, "set_offline", "db3")[0] == 0
    log = monitor_log(sandbox)
    inject(sandbox, "kill-mysqld", "db3")
    sandbox.wait_until(lambda: log.count("db3: mysql has failed"), LIMIT, "the check has failed")
    status, answer = control(sandbox, "set_online", "db3")
    assert (status, answer.startswith("ERROR: Checks 'ping' and 'mysql' must be ok")) == (1, True)
    assert sandbox.states()["db3"] == "ADMIN_OFFLINE"


def test_set_online_wants_replication_of_the_peer_good(sandbox: Sandbox) -> None:
    assert control(sandbox, "set_offline", "db2")[0] == 0
    stop_replication(sandbox, "db1")
    status, answer = control(sandbox, "set_online", "db2")
    assert (status, "replication checks of its peer 'db1'" in answer) == (1, True)
    sandbox.sql("db1", "START SLAVE")
    wait_check(sandbox, "db1", "rep_threads", "OK")
    assert control(sandbox, "set_online", "db2")[0] == 0
    settle(sandbox)


# --- move_role


def test_move_role_there_and_back(sandbox: Sandbox) -> None:
    there = "OK: Role 'writer' has been moved from 'db1' to 'db2'. Now you can wait some time and check new roles info!"
    assert move_writer(sandbox, "db2") == there
    assert sandbox.writer() == "db2", "it is there when the answer comes"
    assert (host_facts(sandbox, "db1").writable, host_facts(sandbox, "db2").writable) == (False, True)
    again = control(sandbox, "move_role", "writer", "db2")
    assert again == (0, "OK: Role is already on 'db2'. Skipping command.")
    move_writer(sandbox, "db1")
    settle(sandbox)
    assert sandbox.writer() == "db1"
    sandbox.wait_until(lambda: sandbox.ask("show") == shown(sandbox), LIMIT, "show says what is bound")


def test_move_role_to_a_host_that_may_not_or_cannot_have_it(sandbox: Sandbox) -> None:
    assert control(sandbox, "move_role", "writer", "db3")[1].startswith("ERROR: Host 'db3' can't handle role")
    assert control(sandbox, "set_offline", "db2")[0] == 0
    status, answer = control(sandbox, "move_role", "writer", "db2")
    assert (status, answer) == (1, "ERROR: Can't move role to host 'db2': it is ADMIN_OFFLINE.")
    assert sandbox.writer() == "db1"


def test_move_role_to_a_host_without_agent_is_refused(sandbox: Sandbox) -> None:
    inject(sandbox, "kill-agent", "db2", angel=True)
    status, answer = control(sandbox, "move_role", "writer", "db2")
    assert (status, answer.startswith("ERROR: Can't reach the agent of host 'db2'")) == (1, True)
    assert sandbox.writer() == "db1"


def test_move_role_of_a_balanced_role_empties_the_host_for_a_while(sandbox: Sandbox) -> None:
    log = monitor_log(sandbox)
    status, answer = control(sandbox, "move_role", "reader", "db1")
    assert (status, answer.startswith("OK: Balanced role 'reader' has been removed from host 'db1'.")) == (
        0,
        True,
    )
    assert log.wait(r"reader\(10\.77\.0\.\d+\): db1 -> ")

    def held() -> dict[str, int]:
        return {name: sum(ip != WRITER for ip in bound(sandbox, name)) for name in sandbox.hosts}

    sandbox.wait_until(lambda: held() == {"db1": 1, "db2": 1, "db3": 1}, LIMIT, "each host has a reader")


def test_move_role_when_the_old_holder_has_no_agent_leaves_it_there(sandbox: Sandbox) -> None:
    inject(sandbox, "kill-agent", "db1", angel=True)
    status, answer = control(sandbox, "move_role", "writer", "db2")
    assert status == 1
    assert answer.startswith(
        "ERROR: writer is not moved to db2: the agent of db1 cannot be told to let go: no connection"
    )
    assert ("writer", WRITER) in sandbox.show()["db1"].roles
    assert "db2" not in sandbox.holders(WRITER)  # db1 may lose it meanwhile: its lease ends
    assert host_facts(sandbox, "db2").writable is False


def test_commands_are_answered_while_an_agent_hangs_and_two_hosts_never_write(sandbox: Sandbox) -> None:
    with move_under_way(sandbox) as answers:
        inject(sandbox, "freeze-agent", "db1")
        for command in ("show", "checks", "ping", "mode"):
            assert sandbox.ask(command)
        assert control(sandbox, "set_offline", "db3")[0] == 0, "other agents are told meanwhile"
        assert not answers, "the move is still under way"
        assert "db2" not in sandbox.holders(WRITER)  # db1 may lose it meanwhile: its lease ends
        assert host_facts(sandbox, "db2").writable is False
        for process in reversed(daemon_processes(sandbox, "db1", "mmm_agentd")):
            os.kill(process.pid, signal.SIGKILL)
        sandbox.start_daemon("db1", "mmm_agentd")
    assert answers[0][0] == 1
    assert answers[0][1].startswith("ERROR: writer could not be moved to db2: ")
    assert "the agent of db1 did not answer" in answers[0][1]
    sandbox.wait_until(lambda: host_facts(sandbox, "db1").writable, LIMIT, "db1 takes writes again")
    sandbox.wait_until(lambda: sandbox.writer() == "db1", LIMIT, "db1 has the writer's VIP again")
    assert host_facts(sandbox, "db2").writable is False


def test_a_move_goes_on_when_the_hanging_agent_does(sandbox: Sandbox) -> None:
    with move_under_way(sandbox) as answers:
        inject(sandbox, "freeze-agent", "db1")
        assert sandbox.ask("ping")
        for process in daemon_processes(sandbox, "db1", "mmm_agentd"):
            os.kill(process.pid, signal.SIGCONT)
    assert answers[0][0] == 0, answers
    assert sandbox.writer() == "db2"
    settle(sandbox)


# --- move_role --force


def test_force_is_for_the_writer_and_for_hosts_with_broken_replication(sandbox: Sandbox) -> None:
    status, answer = control(sandbox, "move_role", "--force", "reader", "db2")
    assert (status, answer.startswith("ERROR: --force is for the active master role 'writer' only")) == (
        1,
        True,
    )
    status, answer = control(sandbox, "move_role", "--force", "writer", "db2")
    assert (status, answer.startswith("ERROR: Can't force role to host 'db2': it is ONLINE")) == (1, True)
    assert sandbox.writer() == "db1"


def test_force_makes_a_host_in_replication_fail_the_writer(sandbox: Sandbox) -> None:
    break_replication(sandbox, "db2")
    status, answer = control(sandbox, "move_role", "writer", "db2")
    assert (status, answer) == (1, "ERROR: Can't move role to host 'db2': it is REPLICATION_FAIL.")
    status, answer = control(sandbox, "move_role", "--force", "writer", "db2")
    assert (status, answer.startswith("OK: Role 'writer' has been moved from 'db1' to 'db2'.")) == (
        0,
        True,
    ), answer
    assert sandbox.writer() == "db2"
    assert (host_facts(sandbox, "db1").writable, host_facts(sandbox, "db2").writable) == (False, True)
    sandbox.wait_states(LIMIT, db1="ONLINE", db2="ONLINE")  # once db1 is compared: its replication was good


def test_after_a_force_the_old_writer_replicates_from_the_new_one(sandbox: Sandbox) -> None:
    break_replication(sandbox, "db2")  # db1 may be detached from it
    status, answer = control(sandbox, "move_role", "--force", "writer", "db2")
    assert status == 0, answer
    sandbox.wait_states(LIMIT, db1="ONLINE", db2="ONLINE")
    sandbox.wait_until(lambda: replicates(sandbox, "db1"), LIMIT, "db1 replicates")
    assert sandbox.writer() == "db2"
