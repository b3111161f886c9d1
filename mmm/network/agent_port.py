"""A request to an agent and its reply, signed where the conf has an `auth_key`: for monitor and agents."""

import asyncio
import secrets
import ssl
import time
from contextlib import suppress

from mmm.network.privileged_port import open_connection
from mmm.wire import agent as wire
from mmm.wire import signature
from mmm.wire.lead import STALE

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]

TOKEN_AGE = 20.0
"""Seconds for which an agent's token is signed with; an agent takes older ones, but not for long."""


class UnsignedError(Exception):
    """An answer that is not signed by the key of this conf."""


class AgentPort:
    """The way to the agents of a cluster; `key` is its auth_key, empty for none."""

    def __init__(self, key: str = "", tls: ssl.SSLContext | None = None) -> None:
        self._key = key
        self.tls = tls
        self._tokens: dict[str, tuple[str, float]] = {}

    async def connect(self, ip: str, port: int) -> Ends:
        """Return a connection to an agent; raises OSError."""
        return await open_connection(ip, port, self.tls, wire.MAX_LINE)

    async def exchange(self, ends: Ends, request: wire.Request) -> wire.Reply:
        """Return the reply to the request.

        Raises OSError, WireError, IncompleteReadError and LimitOverrunError, and UnsignedError for a reply without
        the signature that there should be.
        """
        if not self._key or request.command == wire.PING:
            return await self._said(ends, request)
        reply = await self._signed(ends, request)
        if reply.why == STALE:  # the agent was started again: its answer has brought a token
            reply = await self._signed(ends, request)
        return reply

    async def ask(self, ip: str, port: int, request: wire.Request, limit: float) -> wire.Reply | None:
        """Return the reply that came within `limit` seconds on a connection made for it, None where none did."""
        errors = (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)
        with suppress(*errors, UnsignedError):
            async with asyncio.timeout(limit):
                ends = await self.connect(ip, port)
                try:
                    return await self.exchange(ends, request)
                finally:
                    ends[1].close()
        return None

    async def _signed(self, ends: Ends, request: wire.Request) -> wire.Reply:
        token = await self._token(ends, request.host)
        signed = signature.sign(self._key, request, token, secrets.token_hex(8))
        reply = signature.verified(self._key, await self._said(ends, signed), signed)
        if reply is None:
            raise UnsignedError("the answer is not signed by auth_key: is it the same there?")
        return reply

    async def _token(self, ends: Ends, host: str) -> str:
        token, received = self._tokens.get(host, ("", 0.0))
        if not token or time.monotonic() - received > TOKEN_AGE:
            token = signature.fresh(await self._said(ends, wire.Request(wire.PING, host)))
        if not token:
            raise UnsignedError(
                "the agent gives no token, as one of MMM 2.x: it cannot be sent what is signed"
            )
        return token

    async def _said(self, ends: Ends, request: wire.Request) -> wire.Reply:
        reader, writer = ends
        writer.write(wire.encode_request(request))
        await writer.drain()
        reply = wire.decode_reply(await reader.readuntil(b"\n"))
        if token := signature.fresh(reply):
            self._tokens[request.host] = (token, time.monotonic())
        return reply
