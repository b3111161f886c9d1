"""Answers what the monitor, another agent or the doctor asks about this host; nothing is changed by it (rule 4)."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from mmm.agent.act import notes
from mmm.agent.act.accounts import agent_at, kept_users
from mmm.agent.act.doubts import Doubts
from mmm.agent.act.observe import look
from mmm.agent.act.reachability import Reaching
from mmm.agent.act.replies import Replies
from mmm.agent.act.server_session import ANSWER_LIMIT, ServerSession
from mmm.agent.act.workplace import Workplace
from mmm.agent.decide.core import LOOK_AGAIN
from mmm.agent.decide.seen import Seen
from mmm.doctor.look import HostLook, encoded
from mmm.doctor.look_host import look_host
from mmm.mysql.server.blockers import blocked
from mmm.mysql.server.processlist import survey
from mmm.mysql.session.connection import MysqlError, connect
from mmm.network.vips import Interface, InterfaceError
from mmm.wire import agent as wire
from mmm.wire import questions, why
from mmm.wire.ahead import asked_ahead
from mmm.wire.doubts import doubt_fields
from mmm.wire.status import SystemStatus, system_status_fields


class Questions:
    """Looks at this host, and from it at others, side by side with a change that is being made. `close` it."""

    def __init__(
        self,
        at: Workplace,
        interface: Interface,
        replies: Replies,
        doubts: Doubts,
        looker: ThreadPoolExecutor,
    ) -> None:
        self._at = at
        self._conf = at.conf
        self._here = at.here
        self._interface = interface
        self._replies = replies
        self._doubts = doubts
        self._looker = looker
        self._address = agent_at(at.here)
        self.reach = Reaching(at.conf)
        self._ips = tuple(vip.ip for vip in at.conf.vips)
        self._looking: asyncio.Task[Seen | str] | None = None
        self._examined: asyncio.Future[HostLook] | None = None
        self._onlooker = ServerSession(self._address)
        """Is kept: a server whose disk is full may soon let nobody in any more."""

    async def answer(self, request: wire.Request) -> bytes:
        """Return the reply to a question; an ERROR to what no agent knows."""
        match request.command:
            case wire.GET_SYSTEM_STATUS:
                return await self._system_status()
            case wire.CLIENTS:
                return await self._clients(request)
            case wire.NOTES:
                return await self._notes()
            case wire.REACHABLE:
                return await self._reachable(request)
            case wire.DOCTOR:
                return await self._doctor()
            case wire.ABSENT:
                return await self._absent(request)
            case wire.AHEAD:
                return self._get_ahead(request)
            case _:
                return self._replies.error(why.UNKNOWN_COMMAND, f"Invalid command '{request.command[:80]}'!")

    def close(self) -> None:
        """End what is kept for questions."""
        self.reach.close()
        self._at.ahead.close()
        self._onlooker.close()

    async def look(self) -> Seen | str:
        """Return what is seen, or why nothing could be; those who ask at the same time get one look."""
        if self._looking is None or self._looking.done():
            loop = asyncio.get_running_loop()
            self._looking = loop.create_task(self._look_once())
        return await asyncio.shield(self._looking)

    async def _look_once(self) -> Seen | str:
        return await asyncio.get_running_loop().run_in_executor(self._looker, self._see)

    def _see(self) -> Seen | str:
        session = ServerSession(self._address)
        try:
            return look(self._interface, self._ips, session)
        except InterfaceError as error:
            return str(error)
        finally:
            session.close()

    async def _system_status(self) -> bytes:
        seen = await self.look()
        if isinstance(seen, str):
            return self._replies.error(why.NOT_DONE, seen)
        bound = tuple(vip for vip in self._conf.vips if vip.ip in seen.bound | seen.stray)
        source = seen.source.ip if seen.source else ""
        fields = system_status_fields(SystemStatus(seen.writable is True, bound, source))
        return self._replies.reply("OK: Returning status!", fields)

    async def _clients(self, request: wire.Request) -> bytes:
        self._at.keep = kept_users(self._conf) | {user for user in request.params[:1] if user}
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._looker, self._survey)
        except MysqlError as error:
            return self._replies.error(why.NOT_DONE, error.text)
        return self._replies.reply("OK: Returning clients!", questions.clients_fields(found))

    def _get_ahead(self, request: wire.Request) -> bytes:
        """Get the end of another host's binary log, or forget what was got; others are answered meanwhile."""
        try:
            name = asked_ahead(request)
        except wire.WireError as error:
            return self._replies.error(why.BAD_REQUEST, str(error))
        if not name:
            self._at.ahead.forget()
            return self._replies.reply("OK: Forgotten!")
        if name not in self._conf.hosts or name == self._here.name:
            return self._replies.error(why.BAD_REQUEST, f"{name[:80]} is no other host of this cluster")
        if self._conf.salvage:
            self._at.ahead.get(name)
        return self._replies.reply("OK: Noted!")

    def _survey(self) -> questions.Clients:
        keep = self._at.keep
        with connect(self._address, ANSWER_LIMIT) as server:
            found, waiting = survey(server, keep=keep), blocked(server, keep, clients_for=0.0).waiting
        waits = [each.seconds for each in waiting if each.seconds >= LOOK_AGAIN]
        return replace(found, waiting=len(waits), waited=max(waits, default=0.0))

    async def _doctor(self) -> bytes:
        """Return the reply with a look at this host; those who ask at the same time get one look."""
        if self._examined is None or self._examined.done():
            loop = asyncio.get_running_loop()
            self._examined = loop.run_in_executor(None, look_host, self._conf)
        look = replace(await asyncio.shield(self._examined), claimed=tuple(self._doubts.claimed()))
        return self._replies.reply("OK: Looked!", questions.looked_fields(encoded(look)))

    async def _notes(self) -> bytes:
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._looker, self._look_at_threads)
        except MysqlError as error:
            return self._replies.error(why.NOT_DONE, error.text, doubt_fields(self._doubts.found))
        return self._replies.reply(
            "OK: Returning notes!", (*questions.notes_fields(found), *doubt_fields(self._doubts.found))
        )

    def _look_at_threads(self) -> tuple[questions.Note, ...]:
        full = (questions.Note(questions.NO_SPACE),) if self._doubts.disks.server_is_full() else ()
        return (*self._onlooker.ask(notes.look), *full)

    async def _reachable(self, request: wire.Request) -> bytes:
        try:
            other = self._conf.hosts.get(questions.asked_reachable(request))
        except wire.WireError as error:
            return self._replies.error(why.BAD_REQUEST, str(error))
        if other is None or other == self._here:
            return self._replies.error(
                why.BAD_REQUEST, f"{request.params[0][:80]} is no other host of this cluster"
            )
        return self._replies.reply("OK: Returning reach!", questions.reach_fields(await self.reach.of(other)))

    async def _absent(self, request: wire.Request) -> bytes:
        try:
            name, ip = questions.asked_absent(request)
        except wire.WireError as error:
            return self._replies.error(why.BAD_REQUEST, str(error))
        other = self._conf.hosts.get(name)
        if other is None or other == self._here or ip not in self._ips:
            return self._replies.error(
                why.BAD_REQUEST, f"{name[:80]} is no other host of this cluster, or {ip[:80]} no VIP"
            )
        nobody = await self.reach.absent(other, ip)
        return self._replies.reply("OK: Returning absence!", questions.absent_fields(nobody=nobody))
