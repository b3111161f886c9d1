"""Who answers at the agent's port: the agent that is at work, and after another conf was taken the next one.

Connections stay meanwhile. What was asked and is not answered yet is asked of the next agent.
"""

import asyncio
import socket

from mmm.agent.act.agent import Agent
from mmm.network.listener import Peer

_LAST = 0.05
"""Seconds for what an agent that is closed has answered to be sent; questions that stay open are asked again."""


class Reception:
    """The place of an agent; lives in an asyncio loop."""

    def __init__(self) -> None:
        self._agent: Agent | None = None
        self._open = asyncio.Event()
        self._asked: set[asyncio.Future[bytes]] = set()

    def open(self, agent: Agent) -> None:
        """Have the agent asked from now on."""
        self._agent = agent
        self._open.set()

    async def close(self, *, for_good: bool) -> None:
        """End the agent, if there is one; who asks anything waits for the next. See `Agent.close`."""
        agent, self._agent = self._agent, None
        self._open.clear()
        if agent is None:
            return
        await agent.close(for_good=for_good)
        if self._asked:
            await asyncio.wait(self._asked, timeout=_LAST)
        for asked in self._asked:
            asked.cancel()

    async def answer(self, line: bytes, peer: Peer) -> bytes:
        """Return the reply to a line, see `Agent.answer`."""
        while True:
            while self._agent is None:
                await self._open.wait()
            asked = asyncio.ensure_future(self._agent.answer(line, peer))
            self._asked.add(asked)
            try:
                return await asked
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():  # the client is gone, not the agent
                    raise
            finally:
                self._asked.discard(asked)

    async def reassert(self) -> None:
        """Have put right what is assigned, see `Agent.reassert`."""
        if self._agent is not None:
            await self._agent.reassert()

    def claim(self, connection: socket.socket, peer: Peer) -> bool:
        """Tell whether the connection is one that was announced for a copy of this host's data."""
        return self._agent is not None and self._agent.streams.claim(connection, peer)
