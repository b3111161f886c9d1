"""Whether anything of a host answers, before it counts as off by the admin's word."""

import asyncio

from mmm.config.model import Host
from mmm.monitor.act.agents import Agents
from mmm.monitor.command.sign import Sign
from mmm.network.icmp import Pinger

LIMIT = 2.0
"""Seconds that each way to the host is tried for; all are tried side by side."""


async def sign_of_life(host: Host, agents: Agents, pinger: Pinger) -> Sign | None:
    """Return what of the host answers, None where nothing does."""
    agent, server, pings = await asyncio.gather(
        _agent(host, agents), _server(host), pinger.ping(host.ip, LIMIT)
    )
    if agent:
        return Sign("agent")
    if server:
        return Sign(server, {"ip": host.ip, "port": host.mysql_port})
    return None if pings is None else Sign("pings", {"ip": host.ip})


async def _agent(host: Host, agents: Agents) -> bool:
    try:
        async with asyncio.timeout(LIMIT):
            return await agents.ping(host)
    except TimeoutError:
        return False


async def _server(host: Host) -> str:
    """Return how the host's system treats a connection to the server, as a code; empty where it does not answer."""
    try:
        async with asyncio.timeout(LIMIT):
            _, writer = await asyncio.open_connection(host.ip, host.mysql_port)
    except ConnectionRefusedError:
        return "refuses"
    except OSError:  # TimeoutError is one too
        return ""
    writer.close()
    return "takes"
