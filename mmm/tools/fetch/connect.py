"""The stream of a donor's data: asked for on its agent's port, and connected to as agents do. Edge."""

import asyncio
import socket
import ssl
import time

from mmm.config.model import Cluster, Host
from mmm.network.agent_port import AgentPort, UnsignedError
from mmm.network.privileged_port import open_connection
from mmm.process import tls
from mmm.tools.fetch.over_ssh import open_by_ssh, open_here
from mmm.tools.fetch.stream import Stream
from mmm.tools.fetch.values import Cause, FailedError
from mmm.wire import agent as wire
from mmm.wire.stream import BUSY, Asked, ask_stream

LIMIT = 10.0
"""Seconds that the donor's agent may take to answer, and for the connection."""
ENDING = 3.0
"""Seconds within which a copy that has just failed is over on the donor too."""
_ERRORS = (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, UnsignedError)


def open_stream(conf: Cluster, donor: Host, provider: str, job: str) -> Stream:
    """Return the stream of the donor's data, by the way that the conf says; raises FailedError.

    From this host itself it needs no network.
    """
    if donor.name == conf.this:
        return open_here(conf, provider, job)
    tls_here = conf.socket.type == "ssl"
    if conf.transfer == "ssh" or (conf.transfer == "auto" and not tls_here and donor.ssh_user):
        if not donor.ssh_user:
            raise FailedError(Cause.HERE, f"transfer ssh: host {donor.name} has no ssh_user in the conf")
        return open_by_ssh(donor, provider, job)
    if not tls_here and conf.transfer != "plain":
        text = "data comes by TLS or ssh: write `type ssl` in <socket> of all hosts, an ssh_user, or `transfer plain`"
        raise FailedError(Cause.HERE, text)
    return Stream(_by_agent(conf, donor, provider, job))


def _by_agent(conf: Cluster, donor: Host, provider: str, job: str) -> socket.socket:
    """Return the connection on which the donor's agent sends its data; raises FailedError."""
    try:
        context = tls.client_context(conf.socket)
    except tls.TlsError as error:
        raise FailedError(Cause.HERE, str(error)) from error
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.bind(("", 0))
        asyncio.run(_announce(conf, donor, Asked(provider, job, sock.getsockname()[1]), context))
        return _connected(sock, donor, context)
    except FailedError:
        sock.close()
        raise
    except (*_ERRORS, TimeoutError) as error:
        sock.close()
        why = f"no answer within {LIMIT:g} s" if isinstance(error, TimeoutError) else str(error)
        text = f"the agent of {donor.name} at {donor.ip}:{donor.agent_port}: {why}"
        raise FailedError(Cause.UNREACHABLE, text) from error


async def _announce(conf: Cluster, donor: Host, asked: Asked, context: ssl.SSLContext | None) -> None:
    """Have the donor's agent take the next connection from that port for the stream; raises FailedError."""
    agents = AgentPort(conf.auth_key, context)
    async with asyncio.timeout(LIMIT):
        ends = await open_connection(donor.ip, donor.agent_port, context, wire.MAX_LINE)
        try:
            until = time.monotonic() + ENDING
            while True:
                reply = await agents.exchange(ends, ask_stream(donor.name, asked))
                if reply.why != BUSY or time.monotonic() > until:
                    break
                await asyncio.sleep(0.1)
        finally:
            ends[1].close()
    if not reply.ok:
        raise FailedError(Cause.REFUSED, f"the agent of {donor.name} answers '{reply.text}'")


def _connected(sock: socket.socket, donor: Host, context: ssl.SSLContext | None) -> socket.socket:
    sock.settimeout(LIMIT)
    sock.connect((donor.ip, donor.agent_port))
    return context.wrap_socket(sock, server_hostname=donor.ip) if context else sock
