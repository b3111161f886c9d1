"""Looks at this host, its agent, and all servers before a rejoin. Nothing is changed, every answer has a limit."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from mmm.config.model import Cluster, Host
from mmm.mysql.server.login import tools_at
from mmm.mysql.server.processlist import list_sessions
from mmm.mysql.server.read_only import writable
from mmm.mysql.server.replication import executed, replica_status
from mmm.mysql.session.connection import Connection, MysqlError, connect
from mmm.network.agent_port import AgentPort
from mmm.network.own import own_addresses
from mmm.process import tls
from mmm.process.tls import TlsError
from mmm.tools.rejoin.look import Look, ServerLook, Silent, Told
from mmm.wire import agent as wire
from mmm.wire.lines import WireError
from mmm.wire.status import agent_status, system_status

LIMIT = 3.0
"""Seconds that a server or an agent may take to let us in, and for each answer."""
_DUMPS = "Binlog Dump"


def look(conf: Cluster) -> Look:
    """Return what is to be known before a rejoin; raises OSError, TlsError."""
    here = conf.hosts[conf.this]
    told = asyncio.run(_told(conf, here))
    with ThreadPoolExecutor(max_workers=8) as pool:
        looks = dict(zip(conf.hosts, pool.map(look_at, conf.hosts.values()), strict=True))
    return Look(
        host=here.name,
        ip=here.ip,
        here=here.ip in own_addresses(),
        agent=told,
        server=looks.pop(here.name),
        others=looks,
        slaves=tuple(name for name, host in conf.hosts.items() if host.mode == "slave"),
        writer_role=conf.active_master_role,
        ips=_by_address(conf.hosts),
    )


def _by_address(hosts: Mapping[str, Host]) -> dict[str, str]:
    return {host.ip: name for name, host in hosts.items()}


async def _told(conf: Cluster, here: Host) -> Told | None:
    port = AgentPort(conf.auth_key, tls.client_context(conf.socket))

    async def ask(command: str) -> wire.Reply | None:
        return await port.ask(here.ip, here.agent_port, wire.Request(command, here.name), LIMIT)

    status, system = await asyncio.gather(ask(wire.GET_AGENT_STATUS), ask(wire.GET_SYSTEM_STATUS))
    if status is None or system is None or not status.ok:
        return None
    try:
        known = agent_status(status)
        bound = system_status(system).vips if system.ok else ()
    except WireError:
        return None
    return Told(known.state, known.vips, known.master, bound)


def master(conf: Cluster) -> str | None:
    """Return the active master that this host's agent knows; empty: it knows none, None: it does not answer."""
    try:
        told = asyncio.run(_told(conf, conf.hosts[conf.this]))
    except (OSError, TlsError):
        return None
    return told.master if told else None


def look_at(host: Host) -> ServerLook | Silent:
    """Return what the host's server says."""
    try:
        with connect(tools_at(host), LIMIT) as server:
            return _looked(server)
    except MysqlError as error:
        return Silent(error.text)


def _looked(server: Connection) -> ServerLook:
    status = replica_status(server)
    dumps = (each for each in list_sessions(server) if each.command.startswith(_DUMPS))
    return ServerLook(
        family=server.flavour.family,
        version=server.flavour.version,
        datadir=str(server.query("SELECT @@global.datadir AS folder")[0]["folder"]),
        writable=writable(server),
        executed=executed(server),
        replicas=tuple(sorted({each.client.rpartition(":")[0] or each.client for each in dumps})),
        source_ip=status.source_ip if status and not status.detached else "",
        follows=status is not None
        and not status.detached
        and status.sql_running
        and status.io_running == "Yes",
    )
