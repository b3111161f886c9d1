"""What an agent answers to a monitor that asks to lead (rule 14.2)."""

import asyncio

from mmm.agent.act.authority import Authority
from mmm.agent.act.replies import Replies
from mmm.wire import agent as wire
from mmm.wire import voting, why


class Votes:
    """The answers to LEAD, one after the other: each vote is on the disk before it is answered."""

    def __init__(self, authority: Authority, replies: Replies) -> None:
        self._authority, self._replies = authority, replies
        self._at_work = asyncio.Lock()

    async def answer(self, request: wire.Request) -> bytes:
        """Return the reply, with its LF."""
        own = self._authority.voting
        if own is None:
            return self._replies.error(why.UNKNOWN_COMMAND, f"Invalid command '{request.command}'!")
        async with self._at_work:
            try:
                refused, differs = await asyncio.to_thread(self._authority.vote, own, request)
            except wire.WireError as error:
                return self._replies.error(why.BAD_REQUEST, str(error))
        if differs is not None:
            return self._replies.error(differs.why, differs.text, differs.fields)
        fields = voting.said_fields(own.said())
        if refused:
            return self._replies.error(voting.NOT_LED, f"not agreed: {refused}", fields)
        return self._replies.reply("OK: Agreed!", fields)

    async def close(self) -> None:
        """Return once what is being agreed to is known to whoever goes on with this vote."""
        async with self._at_work:
            pass
