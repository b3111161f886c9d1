"""The agent of a witness, a host without server and roles: it only votes on which monitor leads (rule 14.2)."""

import asyncio
import logging
import ssl
from collections.abc import Callable

from mmm.agent.act import promise_file
from mmm.agent.act.authority import Authority, Standing
from mmm.agent.act.life import Life, Objections
from mmm.agent.act.received import received, unfinished
from mmm.agent.act.replies import Replies
from mmm.agent.act.votes import Votes
from mmm.agent.decide.held_lease import HeldLease, begun
from mmm.clock import clock
from mmm.config.allow import allowed, sentence
from mmm.config.model import Cluster
from mmm.config.reload import changes, refused
from mmm.config.shown import purpose
from mmm.doctor.look import encoded
from mmm.doctor.look_host import look_witness
from mmm.network.line_server import Limits, LineServer
from mmm.network.listener import Peer
from mmm.wire import agent as wire
from mmm.wire import questions, voting, why

Heritage = tuple[HeldLease, Standing]

log = logging.getLogger(__name__)


class Witness:
    """Answers monitors; lives in an asyncio loop. `heritage` is that of the witness whose place this one takes."""

    def __init__(
        self, conf: Cluster, heritage: Heritage | None = None, now: Callable[[], float] = clock
    ) -> None:
        self._conf = conf
        # Only for its tokens, which show that a monitor has heard this agent: there is no lease to hold.
        held, standing = heritage or (begun(conf.vip_lease, promise_file.boot(), now(), keeps=False), None)
        self._held = held
        self._authority = Authority(conf, now, held.given, standing=standing)
        self._replies = Replies(conf, lambda: held)
        self._votes = Votes(self._authority, self._replies)
        self._looks = asyncio.Lock()

    @property
    def heritage(self) -> Heritage:
        """Return what the witness that takes the place of this one goes on with."""
        return self._held, self._authority.standing

    async def answer(self, line: bytes, peer: Peer) -> bytes:
        """Return the reply to a line of `peer`, with its LF; raises GarbageError with that to no request."""
        request = received(line, self._conf.this, self._replies)
        if isinstance(request, bytes):
            return request
        return self._replies.signed(request, await self._answer(request, peer))

    async def _answer(self, request: wire.Request, peer: Peer) -> bytes:
        if request.command not in {wire.PING, voting.LEAD, wire.DOCTOR}:
            name, command = self._conf.this, request.command[:80]
            text = f"{name} is a witness (mode witness), without server and roles: {command} is not for it"
            self._authority.warn(peer.ip, f"{command} from {peer.ip} refused: {text}; compare the confs")
            return self._replies.error(why.IS_WITNESS, text)
        if lacks := self._authority.refusal(request, peer):
            return self._replies.error(lacks.why, lacks.text, lacks.fields)
        match request.command:
            case voting.LEAD:
                return await self._votes.answer(request)
            case wire.DOCTOR:
                async with self._looks:
                    look = await asyncio.to_thread(look_witness, self._conf)
                return self._replies.reply("OK: Looked!", questions.looked_fields(encoded(look)))
            case _:
                return self._replies.reply("OK: Pinged!")

    def objections(self, conf: Cluster) -> Objections:
        """Return what is not the same in another conf, and why it is not taken."""
        news = changes(self._conf, conf)
        return news, tuple(map(str, refused(news)))

    async def close(self) -> None:
        """Return once what is being agreed to is known to the next one."""
        await self._votes.close()


async def serve(
    life: Life, context: ssl.SSLContext | None, limits: Limits, ready: Callable[[], None]
) -> None:
    """Answer on the agent's port until the end, by whatever conf was taken last; raises OSError."""
    here, witness = life.conf.here, Witness(life.conf)

    async def answer(line: bytes, peer: Peer) -> bytes:
        return await witness.answer(line, peer)

    port = LineServer("agent port", answer, limits, allowed=allowed(life.conf), unfinished=unfinished)
    async with port.listen(here.ip, here.agent_port, context):
        log.info("start: %s", purpose(life.conf))
        log.info("%s", sentence(life.conf))
        ready()
        while True:
            await life.over(witness.objections)
            await witness.close()
            if life.ended:
                return
            port.let_in(allowed(life.conf))
            witness = Witness(life.conf, witness.heritage)
