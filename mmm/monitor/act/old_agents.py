"""What `mmm_mond --check` asks agents: one of MMM 2.x knows of no `vip_via`, and would bind the IPs of such a role."""

import asyncio
from collections.abc import Mapping

from mmm.config.model import Cluster
from mmm.config.tree import Fault
from mmm.network.agent_port import AgentPort
from mmm.process import tls
from mmm.process.inspection import Inspection
from mmm.wire.agent import PING, Reply, Request

LIMIT = 2.0
"""Seconds in which all agents that are asked, at once, have to answer."""


def ask(conf: Cluster) -> Inspection:
    """Return what the agents' answers mean for the conf; nobody is asked where ARP reaches all roles.

    A start does not ask: a monitor has to fail over beside such an agent, too.
    """
    hosts = {name for role in conf.roles.values() if role.vip_via != "arp" for name in role.hosts}
    return judged(conf, asyncio.run(_replies(conf, hosts))) if hosts else Inspection()


async def _replies(conf: Cluster, hosts: set[str]) -> dict[str, Reply | None]:
    port = AgentPort(tls=tls.client_context(conf.socket))
    those = [host for name, host in conf.hosts.items() if name in hosts]
    found = await asyncio.gather(
        *(port.ask(host.ip, host.agent_port, Request(PING, host.name), LIMIT) for host in those)
    )
    return {host.name: reply for host, reply in zip(those, found, strict=True)}


def judged(conf: Cluster, replies: Mapping[str, Reply | None]) -> Inspection:
    """Return an error for each role that a host of it would bind, and a warning for those that have not answered.

    Of an agent of MMM 2.x no answer has a token, not even that to PING (wire).
    """
    old = {name for name, reply in replies.items() if reply is not None and not reply.token}
    errors = [
        str(Fault("via_on_perl_agent", {"role": role.name, "via": role.vip_via, "hosts": ", ".join(those)}))
        for role in conf.roles.values()
        if role.vip_via != "arp" and (those := [name for name in role.hosts if name in old])
    ]
    silent = [name for name, reply in replies.items() if reply is None]
    fields = {"hosts": ", ".join(silent), "seconds": f"{LIMIT:g}"}
    return Inspection(tuple(errors), (str(Fault("via_not_answered", fields)),) if silent else ())
