"""mmm_agentd takes the writer role and gives it up, with a real server that works, is frozen, or is dead."""

import re
import time

import pymysql
import pytest

from mmm.agent.decide.actions import PREPARED
from tests.namespaces import addresses, ip, listening
from tests.unit.agent_host import (
    DB1,
    DB2,
    FAR,
    NEAR,
    READER,
    WRITER,
    Host,
    announced,
    is_closed,
    until,
)

pytestmark = [pytest.mark.netns, pytest.mark.mysql]


def test_the_writer_role_comes_and_goes(host: Host) -> None:
    with host.agent() as agent, listening(FAR) as neighbour:
        assert agent.order("ONLINE", f"writer({WRITER})", "db1") == "OK: Status applied successfully!"
        assert addresses(NEAR) == {f"{WRITER}/32"}
        assert host.writable()
        assert announced(neighbour) == WRITER
        assert agent.ask("GET_AGENT_STATUS|1|db1") == f"OK: Returning status!|ONLINE|writer({WRITER})|db1"
        assert agent.ask("GET_SYSTEM_STATUS|1|db1") == f"OK: Returning status!|1|writer({WRITER})|{DB2}"
        client = pymysql.connect(host=DB1, port=host.server.port, user="app", autocommit=True)
        assert agent.order("ONLINE", "", "db2") == "OK: Status applied successfully!"
        assert addresses(NEAR) == set()
        assert not host.writable()
        with pytest.raises(pymysql.err.OperationalError):
            client.ping(reconnect=False)
        steps = ("sync", "allow writes", f"bind writer({WRITER})", "deny writes", f"unbind writer({WRITER})")
        for step in steps:
            assert re.search(rf"INFO {re.escape(step)}: db1: .*, \d+ ms", agent.log()), (step, agent.log())
        assert re.search(r"INFO move: db1: deny writes, unbind writer\(.*\), \d+ ms", agent.log())


def test_a_host_without_the_writer_role_is_made_read_only(host: Host) -> None:
    with host.agent() as agent:
        host.server.run("SET GLOBAL read_only=0")
        assert agent.order("AWAITING_RECOVERY", "", "db2").startswith("OK")
        assert not host.writable()


def test_a_dead_server_cannot_write_and_its_vip_goes(host: Host) -> None:
    with host.agent() as agent:
        assert agent.order("ONLINE", f"writer({WRITER})", "db1").startswith("OK")
        host.server.kill()
        try:
            assert agent.ask("GET_SYSTEM_STATUS|1|db1") == f"OK: Returning status!||writer({WRITER})|"
            reply = agent.order("HARD_OFFLINE")
            assert reply.startswith("OK: Status applied; read_only is not confirmed: ")
            assert addresses(NEAR) == set()
            reply = agent.order("ONLINE", f"writer({WRITER})", "db1")
            assert reply.startswith("ERROR: sync: MySQL at "), "nothing is bound to a dead server"
            assert addresses(NEAR) == set()
            assert agent.order("HARD_OFFLINE").startswith("OK")
        finally:
            host.server.restart()
        until(lambda: is_closed(host), agent.log)  # without another order


def test_a_frozen_server_loses_its_vip_in_time_and_is_made_read_only_when_it_thaws(host: Host) -> None:
    with host.agent() as agent:
        assert agent.order("ONLINE", f"writer({WRITER})", "db1").startswith("OK")
        with host.server.frozen():
            reply = agent.order("HARD_OFFLINE")
            assert reply.startswith("OK: Status applied; read_only is not confirmed: ")
            assert addresses(NEAR) == set()
            assert agent.order("ONLINE", "", "db2").startswith("ERROR: read_only is not confirmed")
            assert agent.order("HARD_OFFLINE").startswith("OK")
            assert agent.ask("GET_SYSTEM_STATUS|1|db1") == "OK: Returning status!|||"
        until(lambda: is_closed(host), agent.log)


def test_a_wrong_password_is_no_dead_server(host: Host) -> None:
    host.server.run(
        "SET GLOBAL read_only=0", "SET sql_log_bin=0", "ALTER USER mmm_agent@'%' IDENTIFIED BY 'new'"
    )
    ip(f"addr add {WRITER}/32 dev {NEAR}")
    try:
        with host.agent() as agent:
            reply = agent.order("HARD_OFFLINE")
            assert reply.startswith("ERROR: deny writes: MySQL at ")
            assert "check user and password" in reply
            assert addresses(NEAR) == set(), "what can be done is done"
    finally:
        host.server.run("SET sql_log_bin=0", "ALTER USER mmm_agent@'%' IDENTIFIED BY 'secret'")


def test_promotion_waits_for_all_that_the_peer_has(host: Host) -> None:
    host.peer.run("CREATE OR REPLACE TABLE test.t (id INT)")
    host.server.wait_for_rows("SELECT 1 FROM information_schema.tables WHERE table_name='t'")
    host.server.run("STOP SLAVE SQL_THREAD")
    host.peer.run("INSERT INTO test.t VALUES (1)")
    with host.agent(sync_timeout="2") as agent:
        reply = agent.order("ONLINE", f"reader({READER}),writer({WRITER})", "db1")
        assert reply.startswith(f"ERROR: sync: {DB2}'s position ")
        assert "replication cannot get there" in reply
        assert addresses(NEAR) == {f"{READER}/32"}
        assert not host.writable()
        host.server.run("START SLAVE SQL_THREAD")
        assert agent.order("ONLINE", f"reader({READER}),writer({WRITER})", "db1").startswith("OK")
        assert host.server.value("(SELECT COUNT(*) FROM test.t)") == "1"


def test_a_forced_promotion_does_not_wait_for_what_cannot_come(host: Host) -> None:
    """The peer has a row that never arrives: an order refuses to take writes, a forced one does."""
    host.server.run("STOP SLAVE SQL_THREAD")
    host.peer.run("CREATE TABLE test.forced (i INT)")
    with host.agent() as agent:
        assert agent.order("ONLINE", f"writer({WRITER})", "db1").startswith("ERROR: sync: ")
        assert not host.writable()
        forced = agent.ask(f"SET_STATUS|1|db1|ONLINE|writer({WRITER})|db1|FORCE")
        assert forced == "OK: Status applied successfully!"
        assert host.writable()
        assert "goes on by order though" in agent.log()
        assert agent.order("ONLINE") == "OK: Status applied successfully!"
    host.server.run("START SLAVE SQL_THREAD")
    host.server.wait_for_rows("SELECT 1 FROM information_schema.tables WHERE table_name='forced'")
    host.peer.run("DROP TABLE test.forced")


def test_what_was_seen_to_be_prepared_counts_for_one_order_and_not_for_long(host: Host) -> None:
    order = f"SET_STATUS|1|db1|ONLINE|reader({READER})|db2"
    with host.agent() as agent:
        for seen_before in (False, True):
            assert agent.ask("PREPARE|1|db1") == "OK: Prepared!|DOUBT:"
            if seen_before:
                assert agent.ask(order) == "OK: Status applied successfully!"
            else:
                time.sleep(PREPARED)  # nothing but time makes it old
            ip(f"addr flush to {READER} dev {NEAR}")
            host.server.run("SET GLOBAL read_only=0")
            assert agent.ask(order) == "OK: Status applied successfully!"
            assert f"{READER}/32" in addresses(NEAR)
            assert not host.writable()


def test_the_clients_are_told_and_users_to_keep_are_none_of_them(host: Host) -> None:
    host.peer.run("SET GLOBAL read_only=0")
    host.server.run("SET GLOBAL read_only=0")
    client = host.server.client("app", "")
    client.query("SELECT 1")
    with host.agent(keep_users="root, app") as agent:
        assert agent.ask("CLIENTS|1|db1") == "OK: Returning clients!|0|0|0.0||0|0.0||0|0.0"
        assert agent.order("ONLINE") == "OK: Status applied successfully!"
        client.ping(reconnect=False)
    with host.agent(keep_users="root") as agent:
        assert agent.ask("CLIENTS|1|db1") == "OK: Returning clients!|1|0|0.0||0|0.0||0|0.0"
        assert (
            agent.ask("CLIENTS|1|db1|app") == "OK: Returning clients!|0|0|0.0||0|0.0||0|0.0"
        )  # it is the monitor's own
        assert agent.ask("CLIENTS|1|db1|monitor") == "OK: Returning clients!|1|0|0.0||0|0.0||0|0.0"
    client.close()


def test_soft_blocking_runs_its_commands_around_read_only(host: Host) -> None:
    record = host.folder / "commands"
    script = host.folder / "block"
    script.write_text(f"#!/bin/sh\necho $1 >> {record}\nexit 3\n")
    script.chmod(0o755)
    host.server.run("SET GLOBAL read_only=0")
    extra = {
        "blocking_type": "soft",
        "iptables_block_cmd": f"{script} 'no more'",
        "iptables_unblock_cmd": f"{script} welcome",
    }
    with host.agent(**extra) as agent:
        assert agent.order("ONLINE", "", "db2").startswith("OK")
        assert not host.writable()
        assert record.read_text() == "no more\nwelcome\n"
        assert "iptables_block_cmd failed: exit status 3" in agent.log()


def test_what_a_move_needs_is_open_once_the_agent_is_prepared(host: Host) -> None:
    ours = "SELECT ID FROM information_schema.PROCESSLIST WHERE USER='mmm_agent'"
    with host.agent() as agent:
        assert agent.ask("PREPARE|1|db1") == "OK: Prepared!|DOUBT:"
        with host.server.connect() as server, host.peer.connect() as peer:
            before = [connection.query(ours) for connection in (server, peer)]
            assert [len(sessions) for sessions in before] == [1, 1]
            assert agent.order("ONLINE", f"writer({WRITER})", "db1") == "OK: Status applied successfully!"
            assert [connection.query(ours) for connection in (server, peer)] == before
            peer.execute(f"KILL {before[1][0]['ID']}")
            server.execute(f"KILL {before[0][0]['ID']}")
        assert agent.order("ONLINE", "", "db2") == "OK: Status applied successfully!"
        assert agent.order("ONLINE", f"writer({WRITER})", "db1") == "OK: Status applied successfully!"
