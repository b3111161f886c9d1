"""mmm_agentd as a process, spoken to over its port: its words, what it is asked, its start and its end."""

import select
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from tests.namespaces import addresses
from tests.unit.agent_host import (
    DB1,
    DB2,
    LIMIT,
    NEAR,
    PORT,
    READER,
    WRITER,
    Host,
    replicating,
    until,
)

pytestmark = [pytest.mark.netns, pytest.mark.mysql]


def test_the_words_of_the_protocol(host: Host) -> None:
    with host.agent() as agent:
        assert agent.ask("PING|1|db1") == "OK: Pinged!"
        assert agent.ask("PING|2|db1|x") == "OK: Pinged!"
        assert (
            agent.ask("PING|1|db2")
            == "ERROR: Invalid hostname in command (db2)! My name is 'db1'|WHY:wrong_host"
        )
        assert agent.ask("PING|1|db1\r").startswith("ERROR: Invalid hostname")
        assert agent.ask("ping|1|db1") == "ERROR: Invalid command 'ping'!|WHY:unknown_command"
        assert agent.ask("PING") == "ERROR: Invalid command 'PING'!|WHY:unknown_command"
        assert agent.ask("") == "ERROR: Invalid command ''!|WHY:unknown_command"
        assert agent.ask("SET_STATUS|1|db1|ONLINE").startswith("ERROR: SET_STATUS has 1 fields")
        assert agent.ask("SET_STATUS|x|db1|ONLINE||").startswith("ERROR")
        assert agent.ask("SET_STATUS|1|db1|on\r|| ").startswith("ERROR")
        assert agent.ask("GET_AGENT_STATUS|1|db1") == "OK: Returning status!|UNKNOWN||"
        assert agent.ask("GET_SYSTEM_STATUS|1|db1") == f"OK: Returning status!|||{DB2}"


def test_the_reply_to_an_order_says_how_long_each_part_took(host: Host) -> None:
    with host.agent() as agent:
        comes = agent.took(f"SET_STATUS|1|db1|ONLINE|reader({READER}),writer({WRITER})|db1")
        reader = [f"bind reader({READER})", f"first ARP reader({READER})"]
        assert comes == [*reader, "catch up", "promote", "bind", "first ARP"]
        assert agent.took(f"SET_STATUS|1|db1|ONLINE|reader({READER})|db2") == [
            "freeze",
            "end clients",
            "unbind",
        ]


def test_admin_offline_stops_replication_and_its_end_starts_it(host: Host) -> None:
    running = "SELECT 1 FROM information_schema.processlist WHERE command='Slave_SQL'"
    with host.agent() as agent, host.server.connect() as root:
        assert agent.order("ADMIN_OFFLINE", "", "db2").startswith("OK")
        assert not root.query(running)
        assert agent.order("ONLINE", "", "db2").startswith("OK")
        host.server.wait_for_rows(running)
        root.execute("STOP SLAVE")
        assert agent.order("ONLINE", "", "db2").startswith("OK")
        assert not root.query(running), "somebody else stopped it: that is for the checks to see"


def test_another_host_is_reached_by_its_server_though_its_agent_is_silent(host: Host) -> None:
    with host.agent() as agent:
        assert agent.ask("REACHABLE|1|db1|db2") == "OK: Returning reach!|1|0|1|1"
        assert agent.ask("REACHABLE|1|db1|db9") == "OK: Returning reach!|0|0|0|"
        assert (
            agent.ask("REACHABLE|1|db1|db1") == "ERROR: db1 is no other host of this cluster|WHY:bad_request"
        )
        assert agent.ask("REACHABLE|1|db1").startswith("ERROR")
        with host.peer.frozen():
            assert agent.ask("REACHABLE|1|db1|db2").startswith("OK: Returning reach!|1|0|0|")


def test_questions_are_answered_while_an_order_is_carried_out(host: Host) -> None:
    host.peer.run("CREATE OR REPLACE TABLE test.t (id INT)")
    host.server.wait_for_rows("SELECT 1 FROM information_schema.tables WHERE table_name='t'")
    blocker = host.server.client()
    blocker.cursor().execute("LOCK TABLES test.t READ")
    host.peer.run("INSERT INTO test.t VALUES (1)")
    with host.agent(sync_timeout="20", keep_users="root") as agent:
        replies: list[str] = []
        promote = threading.Thread(
            target=lambda: replies.append(agent.order("ONLINE", f"writer({WRITER})", "db1"))
        )
        promote.start()
        until(lambda: agent.ask("GET_AGENT_STATUS|1|db1").startswith("OK: Returning status!|ONLINE"))
        assert agent.ask("PING|1|db1") == "OK: Pinged!"
        assert agent.ask("GET_SYSTEM_STATUS|1|db1").startswith("OK: Returning status!||")
        waiting = [
            threading.Thread(target=lambda: replies.append(agent.order("ONLINE", "", "db2"))) for _ in "12"
        ]
        for thread in waiting:
            thread.start()
        until(lambda: bool(replies))
        assert replies == ["ERROR: superseded by a newer order|WHY:superseded"]
        assert promote.is_alive()
        blocker.cursor().execute("UNLOCK TABLES")
        for thread in (promote, *waiting):
            thread.join(LIMIT)
        assert [reply[:2] for reply in replies[1:]] == ["OK", "OK"]
        assert addresses(NEAR) == set()
        assert not host.writable()
    blocker.close()


def test_a_slave_follows_the_active_master(host: Host) -> None:
    with host.agent("slave") as agent:
        assert agent.order("AWAITING_RECOVERY", "", "db2").startswith("OK")
        host.server.run("STOP SLAVE", replicating("10.88.0.9", 3306), "START SLAVE")
        assert (
            agent.order("ONLINE", "", "nobody")
            == "ERROR: active master nobody is not in the conf of db1|WHY:not_done"
        )
        assert agent.order("ONLINE", "", "db2").startswith("OK")
        assert agent.ask("GET_SYSTEM_STATUS|1|db1") == f"OK: Returning status!|||{DB2}"
        reply = agent.order("ONLINE", "", "db9")
        assert reply.startswith("ERROR: follow db9: MySQL at 10.88.0.9:3306")
        assert agent.ask("GET_SYSTEM_STATUS|1|db1") == f"OK: Returning status!|||{DB2}"


def test_stopping_leaves_everything_as_it_is_and_a_new_agent_finds_it(host: Host) -> None:
    with host.agent() as agent:
        assert agent.order("ONLINE", f"writer({WRITER})", "db1").startswith("OK")
        assert agent.stop() == 0
    assert addresses(NEAR) == {f"{WRITER}/32"}
    assert host.writable()
    with host.agent() as agent:
        assert f"writer({WRITER}) bound on {NEAR}, writable, replicates from {DB2}" in agent.log()
        assert agent.ask("GET_AGENT_STATUS|1|db1") == "OK: Returning status!|UNKNOWN||"
        assert agent.order("ONLINE", "", "db2").startswith("OK")
        assert addresses(NEAR) == set()


def test_the_agent_starts_and_answers_without_a_server(host: Host) -> None:
    host.server.kill()
    try:
        with host.agent() as agent:
            assert agent.ask("PING|1|db1") == "OK: Pinged!"
            assert agent.ask("GET_SYSTEM_STATUS|1|db1") == "OK: Returning status!|||"
    finally:
        host.server.restart()


def test_garbage_and_crowds_on_the_port_change_nothing(host: Host) -> None:
    with host.agent() as agent:
        idle = [socket.create_connection((DB1, PORT), LIMIT) for _ in range(300)]
        deaf = socket.create_connection((DB1, PORT), LIMIT)
        deaf.setblocking(False)
        with suppress(OSError):
            for _ in range(1000):
                deaf.send(b"PING|1|db1\n" * 100)
        with socket.create_connection((DB1, PORT), LIMIT) as huge, suppress(OSError):
            huge.sendall(b"x" * 10_000_000)
        with socket.create_connection((DB1, PORT), LIMIT) as half:
            half.sendall(b"SET_STATUS|1|db1|ONLI")
        assert agent.ask("\xff\xfe\0|1|db1").startswith("ERROR: Invalid command")
        assert agent.order("ONLINE", f"reader({READER})", "db2").startswith("OK")
        assert addresses(NEAR) == {f"{READER}/32"}
        poll = select.poll()
        for connection in idle:
            poll.register(connection, select.POLLIN)
        assert poll.poll(LIMIT * 1000), "the most silent ones were ended"
        for connection in (*idle, deaf):
            connection.close()
        for words in ("longer than", "without a line end", "connections are open"):
            assert sum(words in line for line in agent.lines) <= 1, agent.log()


def test_bad_conf_is_refused_with_all_that_is_wrong(tmp_path: Path) -> None:
    conf = tmp_path / "mmm_agent.conf"
    conf.write_text("this db1\n<host db1>\n    ip 300.1.1.1\n</host>\n")
    conf.chmod(0o640)
    command = [sys.executable, "-c", "import sys; from mmm.agent.daemon import main; sys.exit(main())"]
    result = subprocess.run(
        [*command, "--config", str(conf), "--check"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) > 1
    assert "Traceback" not in result.stderr
