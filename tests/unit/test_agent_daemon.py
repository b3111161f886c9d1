"""mmm_agentd as a process, spoken to over its port: a real interface, real neighbours, real servers."""

import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pymysql
import pytest

from mmm.agent.decide.actions import PREPARED
from mmm.mysql.server.accounts import Account, grants
from mmm.mysql.session.errors import MysqlError
from tests.namespaces import addresses, cable, ip, listening, neighbour, own_network
from tests.servers import Server, Servers

pytestmark = [pytest.mark.netns, pytest.mark.mysql]

NEAR, FAR = "near0", "far0"
DB1, DB2, PORT = "10.88.0.1", "10.88.0.2", 9989
WRITER, READER, OTHER_READER = "10.88.0.80", "10.88.0.90", "10.88.0.91"
LIMIT = 30.0
CONF = """
active_master_role writer
max_kill_retries 1
<host default>
    cluster_interface near0
    pid_path {folder}/agentd.pid
    bin_path /usr/lib/mysql-mmm/
    agent_user mmm_agent
    agent_password secret
    replication_user replication
    replication_password secret
</host>
<host db1>
    ip 10.88.0.1
    mode {mode}
    peer db2
    mysql_port {port1}
</host>
<host db2>
    ip 10.88.0.2
    mode master
    peer db1
    mysql_port {port2}
</host>
<host db9>
    ip 10.88.0.9
    mode master
    peer db2
</host>
<role writer>
    hosts db1, db2
    ips 10.88.0.80
    mode exclusive
</role>
<role reader>
    hosts db1, db2
    ips 10.88.0.90, 10.88.0.91
    mode balanced
</role>
this db1
"""


@dataclass
class Agent:
    """A running mmm_agentd of db1."""

    process: "subprocess.Popen[str]"
    lines: list[str] = field(default_factory=list)

    def ask(self, request: str) -> str:
        """Send a request on a connection of its own; return the reply without durations, token and uptime."""
        reply = self.raw(request)
        match = re.fullmatch(r"(.*?)(?:\|TOOK:[^|]*)?(?:\|T:[0-9a-z.]+)?\|UP:\d+\.\d\d\n", reply)
        assert match, reply
        return match[1]

    def raw(self, request: str) -> str:
        """Send a request on a connection of its own; return the whole reply."""
        with socket.create_connection((DB1, PORT), LIMIT) as connection:
            connection.sendall(request.encode() + b"\n")
            with connection.makefile("rb") as stream:
                return stream.readline().decode()

    def took(self, request: str) -> list[str]:
        """Send an order as our monitor does, with a lease; return the parts whose durations the reply tells."""
        token = self.raw("PING|1|db1").split("|T:")[1].split("|")[0]
        fields = self.raw(f"{request}|LEASE:forever:{token}").split("|")
        return re.findall(r"([^:,]+)=[0-9]+\.[0-9](?=,|$)", fields[1])

    def order(self, state: str, roles: str = "", master: str = "") -> str:
        return self.ask(f"SET_STATUS|1|db1|{state}|{roles}|{master}")

    def log(self) -> str:
        return "\n".join(self.lines)

    def read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(LIMIT)


@dataclass
class Host:
    """db1 with its server, its peer, and the neighbour at the other end of its cable."""

    folder: Path
    server: Server
    peer: Server

    @contextmanager
    def agent(self, mode: str = "master", **extra: str) -> Iterator[Agent]:
        conf = self.folder / "mmm_agent.conf"
        text = CONF.format(folder=self.folder, mode=mode, port1=self.server.port, port2=self.peer.port)
        text = text.replace("peer db2\n    mysql_port", "mysql_port") if mode == "slave" else text
        conf.write_text(text + "".join(f"{key} {value}\n" for key, value in extra.items()))
        conf.chmod(0o640)
        (self.folder / "mmm_agent_log.conf").write_text("root: {level: INFO}\n")
        command = [sys.executable, "-c", "import sys; from mmm.agent.daemon import main; sys.exit(main())"]
        process = subprocess.Popen(
            [*command, "--config", str(conf), "--foreground"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        agent = Agent(process)
        reading = threading.Thread(target=agent.read)
        reading.start()
        try:
            until(lambda: "start:" in agent.log() or process.poll() is not None, agent.log)
            assert process.poll() is None, agent.log()
            yield agent
        finally:
            process.kill()
            process.wait()
            reading.join()

    def writable(self) -> bool:
        return self.server.value("@@global.read_only") == "0"


@pytest.fixture(scope="module")
def machine(server_pool: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with own_network(), server_pool.lent() as servers:
        for address in (DB1, DB2):
            ip(f"addr add {address}/32 dev lo")
        server, peer = servers.start("--bind-address=0.0.0.0"), servers.start("--bind-address=0.0.0.0")
        for each in (server, peer):
            with each.connect() as root:
                for statement in grants(
                    root.flavour, Account("monitor", "secret"), Account("mmm_agent", "secret"),
                    Account("replication", "secret"),
                ):  # fmt: skip
                    root.execute(statement)
            each.run("SET sql_log_bin=0", "CREATE USER app@'%'", "GRANT ALL ON test.* TO app@'%'")
        server.run(replicating(DB2, peer.port), "START SLAVE")
        peer.run(replicating(DB1, server.port), "START SLAVE")
        yield Host(tmp_path_factory.mktemp("agent"), server, peer)


@pytest.fixture
def host(machine: Host) -> Iterator[Host]:
    """db1 as a standby: no VIP, read_only, replication runs both ways."""
    cable(NEAR, FAR)
    machine.server.run("SET GLOBAL read_only=1", "START SLAVE")
    machine.peer.run("SET GLOBAL read_only=0", "START SLAVE")
    yield machine
    ip(f"link del {NEAR}")


def replicating(source: str, port: int) -> str:
    return (
        f"CHANGE MASTER TO MASTER_HOST='{source}', MASTER_PORT={port}, MASTER_USER='replication',"
        " MASTER_PASSWORD='secret', MASTER_CONNECT_RETRY=1, MASTER_USE_GTID=slave_pos"
    )


def until(holds: Callable[[], bool], said: Callable[[], str] = lambda: "") -> None:
    """Wait until something holds that no event tells of."""
    deadline = time.monotonic() + LIMIT
    while not holds():
        assert time.monotonic() < deadline, said()
        time.sleep(0.01)


def announced(neighbour: socket.socket) -> str:
    return socket.inet_ntoa(neighbour.recv(2048)[28:32])


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


def test_vips_on_another_interface_are_seen_and_go_with_the_first_order(host: Host) -> None:
    for address in (f"{WRITER}/24", f"{READER}/32"):
        ip(f"addr add {address} dev {FAR}")
    with host.agent() as agent:
        vips = f"reader({READER}),writer({WRITER})"
        assert agent.ask("GET_SYSTEM_STATUS|1|db1") == f"OK: Returning status!||{vips}|{DB2}"
        assert "bound on another interface" in agent.log()
        assert agent.order("ONLINE", f"reader({READER})", "db2") == "OK: Status applied successfully!"
        assert (addresses(NEAR), addresses(FAR)) == ({f"{READER}/32"}, set())
        ip(f"addr add {WRITER}/32 dev {FAR}")
        assert agent.ask("CLEAR_BAD_ROLES|1|db1") == "OK: Removed 1 roles"
        assert addresses(FAR) == set()


def test_a_vip_that_the_server_does_not_listen_on_is_not_bound(host: Host, server_pool: Servers) -> None:
    with server_pool.lent() as servers:
        deaf = servers.start(f"--bind-address=127.0.0.1,{DB1}", "--read-only=1")
        with deaf.connect() as root:
            for statement in grants(
                root.flavour, Account("monitor", "secret"), Account("mmm_agent", "secret"),
                Account("replication", "secret"),
            ):  # fmt: skip
                root.execute(statement)
        with Host(host.folder, deaf, host.peer).agent() as agent:
            for role in (f"reader({READER})", f"writer({WRITER})"):
                answer = agent.order("ONLINE", role, "db1")
                assert answer.startswith("ERROR: ")
                assert answer.endswith("|WHY:not_listening")
            assert addresses(NEAR) == set()
            assert deaf.value("@@global.read_only") == "1"
            assert f"|DOUBT:not_listening:its server does not listen on {WRITER}," in agent.ask(
                "PREPARE|1|db1"
            )


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


def test_the_whole_interface_is_made_to_match(host: Host) -> None:
    ip(f"addr add {READER}/24 dev {NEAR}")
    ip(f"addr add 10.88.0.4/24 dev {NEAR}")
    ip(f"addr add {WRITER}/32 dev {NEAR}")
    with host.agent() as agent:
        assert f"writer({WRITER}), reader({READER}) bound on {NEAR}" in agent.log()
        assert len(addresses(NEAR)) == 3, "nothing is changed before the first order"
        assert agent.order("ONLINE", f"reader({OTHER_READER})", "db2").startswith("OK")
        assert addresses(NEAR) == {"10.88.0.4/24", f"{OTHER_READER}/32"}


def test_what_somebody_changed_is_put_right_at_the_next_order(host: Host) -> None:
    with host.agent() as agent:
        order = ("ONLINE", f"reader({READER}),writer({WRITER})", "db1")
        assert agent.order(*order).startswith("OK")
        ip(f"addr flush dev {NEAR}")
        host.server.run("SET GLOBAL read_only=1")
        assert agent.order(*order).startswith("OK")
        assert addresses(NEAR) == {f"{WRITER}/32", f"{READER}/32"}
        assert host.writable()


def test_what_is_not_in_the_conf_is_refused_by_name_and_the_rest_is_done(host: Host) -> None:
    with host.agent() as agent:
        reply = agent.order("ONLINE", f"writer({READER}),reader({READER}),lost(10.88.0.7)", "db2")
        assert reply == (
            f"ERROR: writer({READER}) is not in the conf of db1; lost(10.88.0.7) is not in the conf of db1|WHY:not_done"
        )
        assert addresses(NEAR) == {f"{READER}/32"}


def test_a_host_without_the_writer_role_is_made_read_only(host: Host) -> None:
    with host.agent() as agent:
        host.server.run("SET GLOBAL read_only=0")
        assert agent.order("AWAITING_RECOVERY", "", "db2").startswith("OK")
        assert not host.writable()


def test_clear_bad_roles_counts_what_it_removes(host: Host) -> None:
    with host.agent() as agent:
        assert agent.order("ONLINE", f"reader({READER})", "db2").startswith("OK")
        ip(f"addr add {WRITER}/16 dev {NEAR}")
        ip(f"addr add {OTHER_READER}/32 dev {NEAR}")
        assert agent.ask("CLEAR_BAD_ROLES|1|db1") == "OK: Removed 2 roles"
        assert addresses(NEAR) == {f"{READER}/32"}
        assert agent.ask("CLEAR_BAD_ROLES|1|db1") == "OK: Removed 0 roles"


def test_a_missing_interface_is_said_and_the_agent_goes_on(host: Host) -> None:
    ip(f"link del {NEAR}")
    with host.agent() as agent:
        reply = agent.order("ONLINE", f"reader({READER})", "db2")
        assert reply.startswith(f"ERROR: bind reader({READER}): interface {NEAR} does not exist")
        assert agent.ask("GET_SYSTEM_STATUS|1|db1") == f"OK: Returning status!|||{DB2}"
        assert agent.order("ONLINE", "", "db2").startswith("OK")
        cable(NEAR, FAR)
        assert agent.order("ONLINE", f"reader({READER})", "db2").startswith("OK")
        assert addresses(NEAR) == {f"{READER}/32"}


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


def is_closed(host: Host) -> bool:
    """Tell whether nobody may write; the agent may end the session that asks, too."""
    try:
        return not host.writable()
    except MysqlError:
        return False


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
    with host.agent(sync_timeout="20") as agent:
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


def test_assigned_roles_are_put_right_after_a_connection(host: Host) -> None:
    with host.agent() as agent:
        assert agent.order("ONLINE", f"reader({READER})", "db2").startswith("OK")
        ip(f"addr flush dev {NEAR}")

        def pinged_back() -> bool:
            assert agent.ask("PING|1|db1").startswith("OK")
            return addresses(NEAR) == {f"{READER}/32"}

        until(pinged_back, agent.log)


def test_what_was_bound_by_hand_stays_until_an_order(host: Host) -> None:
    with host.agent() as agent:
        assert agent.order("ONLINE", f"reader({READER})", "db2").startswith("OK")
        ip(f"addr flush dev {NEAR}")
        ip(f"addr add {WRITER}/32 dev {NEAR}")
        host.server.run("SET GLOBAL read_only=0")

        def pinged_back() -> bool:
            assert agent.ask("PING|1|db1").startswith("OK")
            return f"{READER}/32" in addresses(NEAR)

        until(pinged_back, agent.log)
        assert agent.ask("GET_SYSTEM_STATUS|1|db1").startswith("OK: Returning status!|1|")
        assert f"{WRITER}/32" in addresses(NEAR)
        assert agent.order("ONLINE", f"reader({READER})", "db2").startswith("OK")
        assert addresses(NEAR) == {f"{READER}/32"}


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


def test_a_vip_that_somebody_has_is_not_bound_after_an_unsafe_move(host: Host) -> None:
    """The neighbour at the other end of the cable has it (rule 10.19)."""
    with host.agent() as agent, neighbour() as far:
        order = f"SET_STATUS|1|db1|ONLINE|writer({WRITER})|db1"
        ip(f"link set {FAR} netns {far.pid}")
        far.ip(f"link set {FAR} up")
        far.ip(f"address add {WRITER}/32 dev {FAR}")
        said = agent.ask(f"{order}|PROBE:stop")
        assert re.match(rf"ERROR: probe writer\({WRITER}\): [0-9a-f:]{{17}} on {NEAR} has it", said), said
        assert f"{WRITER}/32" not in addresses(NEAR)
        assert not host.writable()
        assert agent.ask(f"{order}|PROBE:say").startswith("OK")
        assert f"{WRITER}/32" in addresses(NEAR)
        assert "it is bound anyway" in agent.log()
        far.ip(f"link set {FAR} netns {threading.get_native_id()}")
