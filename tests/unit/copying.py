"""A donor with its real server and the real port of its agent, and the conf of who fetches its data."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmm.agent.act.agent import Agent
from mmm.config.allow import allowed
from mmm.config.model import Cluster, Host, Socket
from mmm.mysql.backup import mariadb_backup
from mmm.mysql.server.accounts import Account
from mmm.network.arp import Announcer
from mmm.network.line_server import Limits, LineServer
from mmm.process import tls
from mmm.tools.fetch.fetch import fetch
from mmm.tools.fetch.values import Failed, Fetched, Progress
from mmm.wire import agent as wire
from tests.authority import Authority
from tests.servers import Server
from tests.unit import agents

TOOLS = Account("mmm_tools", "t'o\"o\\l")
DONOR = "db2"
MASTERS = """\
<host db1>
    ip 127.0.0.2
    mode master
    peer db2
</host>
<host db2>
    ip 127.0.0.1
    mode master
    peer db1
</host>
<role writer>
    hosts db1, db2
    ips 127.0.0.80
    mode exclusive
</role>
"""
"""The rest of a conf of this machine, which is db2 of two masters; before it stand `this` and the defaults."""
LIMIT = 60.0


@dataclass
class Copying:
    """A donor that can be asked for its data."""

    conf: Cluster
    """Of the recipient."""
    donor: Host
    folder: Path
    agent: Agent
    reports: list[Progress]

    @property
    def staging(self) -> Path:
        return self.folder / "staging"

    async def begun(self) -> None:
        """Wait until the copying program runs."""
        await until(lambda: self.agent.streams._process is not None and bool(self.producers()))

    def sender(self) -> "subprocess.Popen[bytes]":
        """Return the process that sends."""
        process = self.agent.streams._process
        assert process is not None
        return process

    def producer(self) -> int:
        """Return the process that reads the data."""
        return self.producers()[0]

    def producers(self) -> list[int]:
        """Return those that do, if any."""
        return [pid for pid in children(self.sender().pid) if b"--backup" in command_line(pid)]

    async def fetch(self, **changes: Any) -> Fetched | Failed:
        conf = replace(self.conf, **changes)
        return await asyncio.to_thread(fetch, conf, self.donor, self.staging, self.reports.append)


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):  # a thread may end meanwhile
                found += map(int, (task / "children").read_text().split())
    return found


def command_line(pid: int) -> bytes:
    """Return what a process was started with, empty where it is gone."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


async def until(what: Callable[[], bool]) -> None:
    """Wait for it; raises TimeoutError."""
    async with asyncio.timeout(LIMIT):
        while not what():  # noqa: ASYNC110 - it happens in other processes
            await asyncio.sleep(0.01)


async def gone(pid: int) -> None:
    """Wait until there is no such process any more."""
    await until(lambda: not Path(f"/proc/{pid}").exists())


def make_tools_user(
    server: Server, privileges: Sequence[str] = mariadb_backup.PRIVILEGES, host: str = "127.0.0.1"
) -> None:
    """Make the account of the tools, with no privilege more than it needs."""
    name = f"'{TOOLS.user}'@'{host}'"
    with server.client() as session, session.cursor() as cursor:
        cursor.execute("SET sql_log_bin=0")
        cursor.execute(f"CREATE USER IF NOT EXISTS {name} IDENTIFIED BY %s", (TOOLS.password,))
        cursor.execute(f"GRANT {', '.join(privileges)} ON *.* TO {name}")


def conf_of(folder: Path, server: Server, socket: Socket, **changes: Any) -> Cluster:
    donor = Host(
        DONOR, "127.0.0.1", "master", mysql_port=server.port, cluster_interface="eth0",
        mysql_pidfile=str(server.directory / "pid"), tools_user=TOOLS.user, tools_password=TOOLS.password,
        pid_path=str(folder / "agent.pid"),
    )  # fmt: skip
    known = agents.conf(folder)
    return replace(
        known, hosts={"db1": known.hosts["db1"], DONOR: donor}, this=DONOR, socket=socket, **changes
    )


@asynccontextmanager
async def donor_of(folder: Path, server: Server, **changes: Any) -> AsyncIterator[Copying]:
    """Have the server's host serve its data on its agent's port; `changes` are of the conf of both."""
    authority = Authority(folder, "ours")
    changes = {"socket": authority.issue(DONOR), **changes}
    conf = conf_of(folder, server, **changes)
    machine: Any = agents.Machine()
    frames: Any = agents.Frames(machine)
    announcer = Announcer(frames)
    agent = Agent(conf, machine, announcer)
    port = LineServer(
        "agent port", agent.answer, Limits(line=wire.MAX_LINE), None, allowed(conf), agent.streams.claim
    )
    try:
        async with port.listen("127.0.0.1", 0, tls.server_context(conf.socket)) as number:
            donor = replace(conf.hosts[DONOR], agent_port=number)
            recipient = replace(conf, this="db1", hosts={**conf.hosts, DONOR: donor})
            yield Copying(recipient, donor, folder, agent, [])
    finally:
        await agent.close()
        await announcer.close()
