"""Whether this host reaches another one: the second opinion that the monitor asks for (rule 11.2)."""

import asyncio
import ssl
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from mmm.agent.act.accounts import agent_at
from mmm.config.model import Cluster, Host
from mmm.mysql.server.replication import replica_status
from mmm.mysql.session.connection import MysqlError, connect
from mmm.network.icmp import Pinger
from mmm.network.line_client import ask
from mmm.network.neighbours import is_absent
from mmm.wire import agent as wire
from mmm.wire import questions

LIMIT = 0.3
"""Seconds that each way to the other host is tried for; all are tried side by side."""


class Reaching:
    """Tries the ways to other hosts; lives in an asyncio loop. `close` it."""

    def __init__(self, conf: Cluster) -> None:
        self._here = conf.hosts[conf.this]
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="reach")
        self.tls: ssl.SSLContext | None = None

    async def of(self, other: Host) -> questions.Reach:
        """Return which ways lead to the other host, within little more than LIMIT."""
        loop = asyncio.get_running_loop()
        mysql, replicates, agent, ping = await asyncio.gather(
            loop.run_in_executor(self._threads, _mysql, other),
            loop.run_in_executor(self._threads, _replicates, self._here, other),
            self._agent(other),
            _ping(other),
        )
        return questions.Reach(mysql, agent, ping, replicates)

    async def absent(self, other: Host, ip: str) -> bool:
        """Tell whether nothing answers ARP for the other host and a VIP, after asking for about 1.5 s."""
        with suppress(OSError):
            async with Pinger() as pinger:
                looks = await asyncio.gather(is_absent(pinger, other.ip), is_absent(pinger, ip))
                return all(looks)
        return False

    def close(self) -> None:
        """Try nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _agent(self, other: Host) -> bool:
        request = wire.encode_request(wire.Request(wire.PING, other.name))
        return bool(await ask(other.ip, other.agent_port, request, LIMIT, self.tls))


async def _ping(other: Host) -> bool | None:
    with suppress(OSError):
        async with Pinger() as pinger:
            return await pinger.ping(other.ip, LIMIT) is not None
    return None


def _mysql(other: Host) -> bool:
    try:
        connect(agent_at(other), LIMIT).close()
    except MysqlError as error:
        answered = error.number >= 1000  # below: this machine could not even ask
        return error.server_alive and answered
    return True


def _replicates(here: Host, other: Host) -> bool | None:
    """Tell whether the replica here is connected to the other host; None where that is not its source."""
    try:
        with connect(agent_at(here), LIMIT) as server:
            status = replica_status(server)
    except MysqlError:
        return None
    if status is None or (status.source_ip, status.source_port) != (other.ip, other.mysql_port):
        return None
    return status.io_running == "Yes"
