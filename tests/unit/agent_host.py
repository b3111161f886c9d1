"""db1 with a real interface, real neighbours and servers, and its mmm_agentd as a process."""

import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mmm.mysql.server.accounts import Account, grants
from mmm.mysql.session.errors import MysqlError
from tests.namespaces import cable, ip, own_network
from tests.servers import Server, Servers

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

    def command(self, mode: str = "master", **extra: str) -> list[str]:
        """Return what starts the agent in the foreground, by a conf that is written now."""
        conf = self.folder / "mmm_agent.conf"
        text = CONF.format(folder=self.folder, mode=mode, port1=self.server.port, port2=self.peer.port)
        text = text.replace("peer db2\n    mysql_port", "mysql_port") if mode == "slave" else text
        conf.write_text(text + "".join(f"{key} {value}\n" for key, value in extra.items()))
        conf.chmod(0o640)
        (self.folder / "mmm_agent_log.conf").write_text("root: {level: INFO}\n")
        program = "import sys; from mmm.agent.daemon import main; sys.exit(main())"
        return [sys.executable, "-c", program, "--config", str(conf), "--foreground"]

    @contextmanager
    def agent(self, mode: str = "master", **extra: str) -> Iterator[Agent]:
        process = subprocess.Popen(
            self.command(mode, **extra), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
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


def is_closed(host: Host) -> bool:
    """Tell whether nobody may write; the agent may end the session that asks, too."""
    try:
        return not host.writable()
    except MysqlError:
        return False


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
