"""Whether anything of a host answers, before it counts as off by the admin's word."""

import asyncio

from mmm.config.model import Host
from mmm.monitor.act.agents import Agents
from mmm.network.icmp import Pinger

LIMIT = 2.0
"""Seconds that each way to the host is tried for; all are tried side by side."""


async def sign_of_life(host: Host, agents: Agents, pinger: Pinger) -> str:
    """Return the sentence that says what of the host answers, empty where nothing does."""
    agent, server, pings = await asyncio.gather(
        _agent(host, agents), _server(host), pinger.ping(host.ip, LIMIT)
    )
    if agent:
        return "its agent answers"
    if server:
        return f"its system {server} at {host.ip}:{host.mysql_port}"
    return "" if pings is None else f"its system answers ping at {host.ip}"


async def _agent(host: Host, agents: Agents) -> bool:
    try:
        async with asyncio.timeout(LIMIT):
            return await agents.ping(host)
    except TimeoutError:
        return False


async def _server(host: Host) -> str:
    """Return how the host's system treats a connection to the server, empty where it does not answer."""
    try:
        async with asyncio.timeout(LIMIT):
            _, writer = await asyncio.open_connection(host.ip, host.mysql_port)
    except ConnectionRefusedError:
        return "refuses connections"
    except OSError:  # TimeoutError is one too
        return ""
    writer.close()
    return "takes connections"
