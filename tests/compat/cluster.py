"""The cluster of the recordings: db1 and db2 are masters of each other, db3 is a slave; daemons are processes.

All of it lives in one network namespace with the addresses of the recordings. Every host has its own MariaDB
server and, as the interface for its VIPs, one end of its own cable.
"""

import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mmm.mysql.server.accounts import Account, grants
from tests.namespaces import addresses, cable, ip, own_network
from tests.servers import Server, Servers

LIMIT = 30.0
HOSTS = {"db1": "10.77.0.4", "db2": "10.77.0.5", "db3": "10.77.0.7"}
WRITER, READER, OTHER_READER = "10.77.0.80", "10.77.0.90", "10.77.0.100"
VIPS = frozenset((WRITER, READER, OTHER_READER))
AGENT_PORT, CONTROL_PORT = 9989, 9988
CONF = """
active_master_role writer
max_kill_retries 1
<host default>
    pid_path {folder}/agentd.pid
    bin_path {folder}
    monitor_user monitor
    monitor_password secret
    agent_user mmm_agent
    agent_password secret
    replication_user replication
    replication_password secret
</host>
{hosts}
<role writer>
    hosts db1, db2
    ips 10.77.0.80
    mode exclusive
</role>
<role reader>
    hosts db1, db2, db3
    ips 10.77.0.90, 10.77.0.100
    mode balanced
</role>
"""
MONITOR = """
<monitor>
    ip 127.0.0.1
    pid_path {folder}/mond.pid
    bin_path {folder}
    status_path {folder}/mond.status
    ping_ips 10.77.1.1
    flap_count 0
</monitor>
<check default>
    check_period 1
    trap_period 20
</check>
"""
HOST = """<host {name}>
    ip {ip}
    mode {mode}
    cluster_interface {interface}
    mysql_port {port}
</host>
"""


@dataclass
class Daemon:
    """A running daemon of ours; `lines` is what it has logged."""

    process: "subprocess.Popen[str]"
    lines: list[str] = field(default_factory=list)

    def log(self) -> str:
        return "\n".join(self.lines)

    def read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())


@dataclass
class Cluster:
    """The hosts with their servers; `folder` is the test's own."""

    servers: dict[str, Server]
    folder: Path

    def replicate(self, *, slave_of: str = "db2", gtid: bool = True) -> None:
        """Let everybody replicate as before the recordings began: nobody is writable, nobody holds a VIP."""
        for name, source in (("db1", "db2"), ("db2", "db1"), ("db3", slave_of)):
            place = "MASTER_USE_GTID=slave_pos"
            if name == "db3" and not gtid:
                with self.servers[source].connect() as connection:
                    status = connection.query("SHOW MASTER STATUS")[0]
                place = (
                    f"MASTER_USE_GTID=no, MASTER_LOG_FILE='{status['File']}',"
                    f" MASTER_LOG_POS={status['Position']}"
                )
            self.servers[name].run(
                "STOP SLAVE",
                f"CHANGE MASTER TO MASTER_HOST='{HOSTS[source]}', MASTER_PORT={self.servers[source].port},"
                f" MASTER_USER='replication', MASTER_PASSWORD='secret', MASTER_CONNECT_RETRY=1, {place}",
                "START SLAVE",
                "SET GLOBAL read_only=1",
            )

    @contextmanager
    def agent(self, name: str) -> Iterator[Daemon]:
        """Run our agent of a host."""
        conf = self._conf(f"{name}/mmm_agent.conf", f"this {name}\n")
        with _daemon("agent", conf, lambda log: "start:" in log) as agent:
            yield agent

    @contextmanager
    def monitor(self) -> Iterator[Daemon]:
        """Run our monitor."""
        conf = self._conf("monitor/mmm_mon.conf", MONITOR.format(folder=self.folder / "monitor"))
        with _daemon("monitor", conf, lambda _: _answers("127.0.0.1", CONTROL_PORT)) as monitor:
            yield monitor

    def _conf(self, place: str, extra: str) -> Path:
        path = self.folder / place
        path.parent.mkdir(exist_ok=True)
        hosts = "".join(
            HOST.format(
                name=name, ip=HOSTS[name], mode="slave" if name == "db3" else "master",
                interface=f"near_{name}", port=server.port,
            )
            for name, server in self.servers.items()
        )  # fmt: skip
        for master, peer in (("db1", "db2"), ("db2", "db1")):
            hosts = hosts.replace(f"<host {master}>", f"<host {master}>\n    peer {peer}")
        path.write_text(CONF.format(folder=path.parent, hosts=hosts) + extra)
        path.chmod(0o640)
        (path.parent / f"{path.stem}_log.conf").write_text("root: {level: INFO}\n")
        return path

    def bound(self, name: str) -> set[str]:
        """Return the VIPs on a host's interface."""
        return {address.partition("/")[0] for address in addresses(f"near_{name}")}


@contextmanager
def cluster(servers: Servers) -> Iterator[dict[str, Server]]:
    """Give the three servers in a network of their own."""
    with own_network(), servers.lent() as pool:
        ip("route add local 10.77.1.1/32 dev lo")  # a router of the network, as far as ping can tell
        for address in HOSTS.values():
            ip(f"addr add {address}/32 dev lo")
        started = {}
        for number, name in enumerate(HOSTS, 1):
            options = ("--auto-increment-increment=2", f"--auto-increment-offset={1 + number % 2}")
            started[name] = server = pool.start("--bind-address=0.0.0.0", *options)
            with server.connect() as root:
                accounts = ("monitor", "mmm_agent", "replication")
                for statement in grants(root.flavour, *(Account(user, "secret") for user in accounts)):
                    root.execute(statement)
        yield started


_ONE_KERNEL = "from mmm.network.vips import Interface; Interface.elsewhere = lambda *_: {}"
"""The hosts share one kernel here: what stands on another interface is another host's, and no leftover of this one."""


@contextmanager
def interfaces() -> Iterator[None]:
    """Give every host an interface without a VIP."""
    for name in HOSTS:
        cable(f"near_{name}", f"far_{name}")
    try:
        yield
    finally:
        for name in HOSTS:
            ip(f"link del near_{name}")


def talk(ip: str, port: int, sent: bytes) -> bytes:
    """Send bytes as the classic programs do, and return all that is answered until the other side closes."""
    with socket.create_connection((ip, port), LIMIT) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as stream:
            return stream.read()


def control(command: str) -> str:
    """Return what the monitor answers to mmm_control."""
    return talk("127.0.0.1", CONTROL_PORT, f"{command}\nquit\n".encode()).decode()


def until(holds: Callable[[], bool], said: Callable[[], str] = lambda: "") -> None:
    """Wait until something holds that no event tells of."""
    deadline = time.monotonic() + LIMIT
    while not holds():
        assert time.monotonic() < deadline, said()
        time.sleep(0.02)


@contextmanager
def _daemon(package: str, conf: Path, runs: Callable[[str], bool]) -> Iterator[Daemon]:
    program = f"import sys; {_ONE_KERNEL}; from mmm.{package}.daemon import main; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "--config", str(conf), "--foreground"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    daemon = Daemon(process)
    reading = threading.Thread(target=daemon.read)
    reading.start()
    try:
        until(lambda: runs(daemon.log()) or process.poll() is not None, daemon.log)
        assert process.poll() is None, daemon.log()
        yield daemon
        assert process.poll() is None, daemon.log()
        assert not re.search(r"Traceback|error of (its|the agent's) own", daemon.log()), daemon.log()
    finally:
        process.kill()
        process.wait()
        reading.join()


def _answers(ip: str, port: int) -> bool:
    try:
        return talk(ip, port, b"ping\nquit\n").startswith(b"OK")
    except OSError:
        return False
