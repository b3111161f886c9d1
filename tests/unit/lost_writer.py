"""A master and its replica as real servers, of which the first is killed and the other gets what only its log has.

The log comes over a real connection, from what stands for the dead server's agent.
"""

import asyncio
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

from mmm.agent.act.binlog_files import BinlogFiles, LogRefusedError
from mmm.agent.act.binlog_known import NOTHING, Known
from mmm.agent.act.binlog_rest import MOST
from mmm.agent.act.log_ahead import LogAhead
from mmm.agent.act.salvage import Salvage
from mmm.config.model import Cluster, Host
from mmm.gtid.place import LogPlace
from mmm.mysql.server.accounts import grants
from mmm.mysql.server.await_applied import Caught, wait_for_source
from mmm.mysql.server.change_source import change_source
from mmm.mysql.server.replication import binlog_position, replica_status, start_replica, stop_replica
from mmm.mysql.session.connection import Connection
from mmm.network.line_server import Limits, LineServer
from mmm.network.listener import Peer
from mmm.wire import agent as wire
from mmm.wire.binlog import asked_binlog
from mmm.wire.salvaged import Salvaged
from tests.servers import Server, Servers
from tests.unit.trio import AGENT, MONITOR, REPLICATION, agent, source

PLENTY = 60.0
STATEMENTS = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX"


@dataclass
class Pair:
    """A master, and another that replicates from it and is to take over; `old` is killed."""

    old: Server
    new: Server
    by_gtid: bool = True
    files: BinlogFiles = field(default_factory=lambda: BinlogFiles(None))

    def lack(self, *statements: str) -> None:
        """Have the old one commit what the new one does not get."""
        with agent(self.new) as here:
            here.execute(
                here.flavour.stop_receiver if not here.flavour.mariadb else "STOP SLAVE IO_THREAD",
                ("",) if not here.flavour.mariadb else (),
            )
        self.old.run("USE shop", *statements)

    def checksums(self, *tables: str) -> list[list[str]]:
        return [[checksum(server, table) for table in tables] for server in (self.old, self.new)]


def checksum(server: Server, table: str) -> str:
    with server.connect() as connection:
        return str(connection.query(f"CHECKSUM TABLE shop.{table} EXTENDED")[0]["Checksum"])


def gtids(server: Server) -> str:
    """Return the transactions that a server names as its own log's."""
    mariadb = server.kind.flavour.mariadb
    return server.value("@@global.gtid_binlog_pos" if mariadb else "@@global.gtid_executed")


def build(servers: Servers, *, by_gtid: bool = True, options: tuple[str, ...] = ()) -> Pair:
    logs = "--log-slave-updates" if servers.kind.flavour.mariadb else "--log-replica-updates"
    options = (
        logs,
        "--innodb-flush-log-at-trx-commit=2",
        *options,
    )  # else it forgets itself what it has logged
    old, new = servers.start(*options), servers.start(*options)
    for server in (old, new):
        server.run(*grants(server.kind.flavour, MONITOR, AGENT, REPLICATION))
        server.run("SET SESSION sql_log_bin=0", f"GRANT {STATEMENTS} ON *.* TO '{AGENT.user}'@'%'")
    pair = Pair(old, new, by_gtid)
    replicate(new, old, by_gtid=by_gtid)
    old.run(
        "CREATE DATABASE shop",
        "CREATE TABLE shop.orders (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(200)) ENGINE=InnoDB",
        "INSERT INTO shop.orders (what) VALUES ('first')",
    )
    with agent(old) as there, agent(new) as here:
        pair.files.learn(there)
        caught_up(here, there)
        here.execute("SET GLOBAL read_only=1" if here.flavour.mariadb else "SET GLOBAL super_read_only=1")
    return pair


def caught_up(here: Connection, there: Connection) -> None:
    """Wait until a replica that has just been started has all that the other server has."""
    target, deadline = binlog_position(there), time.monotonic() + PLENTY
    while wait_for_source(here, target, PLENTY) is not Caught.REACHED:
        assert time.monotonic() < deadline, replica_status(here)
        time.sleep(0.05)


@contextmanager
def passing(
    origin: Server, replica: Server, size: int, place: LogPlace | None = None
) -> Iterator[threading.Event]:
    """Have a replica replicate through a port that passes so many bytes on; the event tells that no more are.

    It goes on by GTID, or from a `place` of the log.
    """
    full = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as door:

        def serve() -> None:
            with door.accept()[0] as inside, socket.create_connection(("127.0.0.1", origin.port)) as outside:
                threading.Thread(target=_pass, args=(inside, outside), daemon=True).start()
                _pass(outside, inside, size)
                full.set()
                with suppress(OSError):
                    inside.recv(1)  # until the replica gives it up, or the test is over

        threading.Thread(target=serve, daemon=True).start()
        through = replace(source(origin), port=door.getsockname()[1])
        with agent(replica) as here:
            stop_replica(here)
            here.execute(*change_source(here.flavour, through, place, {"CONNECT_RETRY": 60}))
            start_replica(here)
        yield full


def _pass(inside: socket.socket, outside: socket.socket, size: float = math.inf) -> None:
    with suppress(OSError):
        while size > 0 and (data := inside.recv(int(min(size, 65536)))):
            outside.sendall(data)
            size -= len(data)


def replicate(replica: Server, origin: Server, *, by_gtid: bool) -> None:
    with origin.connect() as there, agent(replica) as here:
        place = None if by_gtid else binlog_position(there).place
        here.execute(*change_source(here.flavour, source(origin), place, {"CONNECT_RETRY": 1}))
        start_replica(here)


@contextmanager
def served(answer: Callable[[wire.Request], bytes]) -> Iterator[int]:
    """Serve the port of the old writer's agent, in a thread; gives the port."""
    loop, ready = asyncio.new_event_loop(), threading.Event()
    ended, port = asyncio.Event(), 0

    async def answered(line: bytes, _: Peer) -> bytes:
        return answer(wire.decode_request(line))

    async def serve() -> None:
        nonlocal port
        async with LineServer("agent", answered, Limits(line=wire.MAX_LINE)).listen("127.0.0.1", 0) as port:
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    ready.wait(PLENTY)
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()


def reply(text: str, fields: tuple[str, ...] = (), why: str = "") -> bytes:
    return wire.encode_reply(wire.Reply(text, fields, 1.0, "", why))


def from_files(files: BinlogFiles) -> Callable[[wire.Request], bytes]:
    def answer(request: wire.Request) -> bytes:
        try:
            return reply("OK: here!", files.fields(asked_binlog(request)))
        except LogRefusedError as error:
            return reply(f"ERROR: {error}", (), error.code)

    return answer


def killed_after(answers: int, files: BinlogFiles) -> Callable[[wire.Request], bytes]:
    """Return the agent of the dead server that answers so often, and is killed then."""
    whole, asked = from_files(files), count(1)

    def answer(request: wire.Request) -> bytes:
        if next(asked) > answers:
            raise RuntimeError("the agent is killed")
        return whole(request)

    return answer


def conf(pair: Pair, port: int) -> Cluster:
    program = pair.new.kind.binlog_program()
    hosts = {
        "old": Host("old", "127.0.0.1", "master", agent_port=port),
        "new": Host(
            "new",
            "127.0.0.1",
            "master",
            mysql_port=pair.new.port,
            agent_user=AGENT.user,
            agent_password=AGENT.password,
            mysqlbinlog=str(program or ""),
        ),
    }
    return Cluster("AGENT", 2, Path("x"), (), hosts, {}, {}, None, this="new")


def salvage(
    pair: Pair,
    *,
    answer: Callable[[wire.Request], bytes] | None = None,
    left: Callable[[], float] = lambda: PLENTY,
    most: int = MOST,
    ahead: Callable[[str], Known] = lambda _: NOTHING,
) -> tuple[Salvaged, str]:
    """Return what came of it, and what was said."""
    with served(answer or from_files(pair.files)) as port:
        return salvage_from(port, pair, left, most, ahead)


def salvage_from(
    port: int,
    pair: Pair,
    left: Callable[[], float],
    most: int = MOST,
    ahead: Callable[[str], Known] = lambda _: NOTHING,
) -> tuple[Salvaged, str]:
    """Get the log of the agent that listens at the port; returns what came of it, and what was said."""
    with agent(pair.new) as server:
        at_work = Salvage(conf(pair, port), pair.new.address(AGENT.user, AGENT.password), most, ahead)
        got = at_work.get("old", server, left)
        return got, "; ".join(filter(None, (at_work.said, at_work.advance)))


async def asked(ahead: LogAhead, host: str = "old") -> Known:
    """Have a host's log got in advance; returns what is here once no more comes."""
    ahead.get(host)
    assert ahead._work is not None
    return await asyncio.wrap_future(ahead._work.known)


def in_advance(pair: Pair, port: int, most: int = MOST) -> Known:
    """Get the log of the agent that listens at the port in advance; returns what is here."""
    ahead = LogAhead(conf(pair, port), most)
    try:
        return asyncio.run(asked(ahead))
    finally:
        ahead.close()
