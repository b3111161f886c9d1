"""Answers the monitor: one line in, one line out (rules 4, 7).

Changes of the system are made one after the other in one thread; questions are answered meanwhile. Of the
SET_STATUS orders that wait only the newest counts: it is the monitor's latest word.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from mmm.agent.act.authority import Authority, Standing
from mmm.agent.act.binlog_sender import BinlogSender
from mmm.agent.act.doubts import Doubts
from mmm.agent.act.found_lease import found_leases
from mmm.agent.act.learning import Learning
from mmm.agent.act.life import Objections
from mmm.agent.act.questions import Questions
from mmm.agent.act.received import received
from mmm.agent.act.rejoin_order import RejoinOrder
from mmm.agent.act.replies import Replies
from mmm.agent.act.server_exit import server_exit
from mmm.agent.act.server_process import ServerProcess
from mmm.agent.act.shell import Shell
from mmm.agent.act.streams import Streams
from mmm.agent.act.votes import Votes
from mmm.agent.decide import new_conf
from mmm.agent.decide.core import Core
from mmm.agent.decide.failure import refusal_to_follow
from mmm.agent.decide.lease_watch import patience
from mmm.agent.decide.obedience import Outcome
from mmm.agent.decide.plan import facts
from mmm.agent.decide.sound import is_sound
from mmm.clock import clock
from mmm.config.agreement import shared
from mmm.config.model import Cluster
from mmm.lease.rules import FOREVER
from mmm.mysql.session.connection import Connection
from mmm.network.arp import Announcer
from mmm.network.listener import Peer
from mmm.network.vips import Interface, InterfaceError
from mmm.process import log_queue
from mmm.process.halt import machine_halts
from mmm.wire import agent as wire
from mmm.wire import binlog, held, promises, rejoin, stream, voting, why
from mmm.wire.caught_up import caught_up_fields
from mmm.wire.doubts import doubt_fields
from mmm.wire.lead import CONF, lead_of, shared_field
from mmm.wire.salvaged import salvaged_fields
from mmm.wire.status import (
    HALTING,
    LEAVING,
    WITHOUT,
    Status,
    agent_status_fields,
    bound_field,
    granted,
    ordered_status,
    took_fields,
)

ORDER_LIMIT = 90.0
"""Seconds that an order may wait and take; each part of it has a shorter limit."""

log = logging.getLogger(__name__)

Heritage = tuple[Core, Standing]


class Agent:
    """This host's agent; lives in an asyncio loop. `close` it.

    `tell` is told what is known, whenever that changes. `heritage` is that of the agent whose place this one takes.
    `learn` is told a conf that says more than the files, and tells whether the next one goes on by it.
    """

    def __init__(
        self,
        conf: Cluster,
        interface: Interface,
        announcer: Announcer,
        tell: Callable[[Core], None] = lambda _: None,
        heritage: Heritage | None = None,
        learn: Callable[[Cluster], bool] = lambda _: False,
    ) -> None:
        self._conf = conf
        self._facts = known = facts(conf)
        self._here = conf.hosts[conf.this]
        self._interface = interface
        path = self._here.pid_path
        file = Path(f"{path}.agreed") if path else None
        core, standing = heritage or (None, None)
        self._authority = Authority(conf, given=self._given, file=file, standing=standing)
        self._shell = Shell(conf, known, interface, announcer, tell, self._authority.is_agreed, core)
        self._leases = conf.vip_lease > 0
        self._took_stock = self._goes_on = heritage is not None
        """What an earlier agent has left here is known."""
        self._found = False
        """It has left VIPs."""
        at = self._shell.steps.at
        if (job := at.jobs.look().job) is not None:  # nobody is answered yet
            log.warning(
                "start: a job that rebuilds %s from %s is open: %s", self._here.name, job.donor, job.step
            )
        self._replies = Replies(conf, lambda: self._shell.core.held, lambda: at.jobs.told)
        self._votes = Votes(self._authority, self._replies)
        self._binlog = BinlogSender(self._here, self._replies, self._may_have_role)
        self.streams = Streams(conf, self._replies)
        self._rejoin = RejoinOrder(conf, self._replies)
        self._doubts = Doubts(conf, self._learn, announcer.claimed)
        self._server_process = ServerProcess(self._here)
        self._learning = Learning(conf, learn, self._unbroken)
        self._looker = ThreadPoolExecutor(1, thread_name_prefix="look")
        self._questions = Questions(at, interface, self._replies, self._doubts, self._looker)

    async def know_lease(self) -> None:
        """Keep to the lease that an earlier agent was given, as far as the kernel knows it; nobody is answered yet."""
        if self._goes_on or not self._leases:
            return
        look = partial(found_leases, self._interface, self._facts, self._conf.vip_lease)
        with suppress(InterfaceError):  # take_stock says so
            found = await asyncio.get_running_loop().run_in_executor(self._looker, look)
            for vip, left in found.items():
                self._shell.found(vip, left)
                if left < FOREVER and vip.role == self._facts.writer:
                    self._authority.followed_before()

    async def take_stock(self) -> None:
        """Log what stands on this host; nothing is changed before the monitor's first order (rule 10.4).

        An agent that has taken the place of another one knows it, and looks after what that was given.
        """
        if self._goes_on:
            self._shell.reassert()
            return
        seen = await self._questions.look()
        if isinstance(seen, str):
            log.warning("start: %s", seen)
            self._took_stock = True
            return
        self._took_stock, self._found = True, bool(seen.bound)
        vips = ", ".join(str(vip) for vip in self._facts.vips if vip.ip in seen.bound) or "no VIP"
        writes = {True: "writable", False: "read_only"}.get(seen.writable is True, "")
        server = writes if seen.writable is not None else f"server {seen.server.value} ({seen.problem})"
        source = f", replicates from {seen.source.ip}" if seen.source else ""
        if seen.stray:
            log.warning(
                "start: %s has %s bound on another interface than %s: a former cluster_interface? It is removed there"
                " with the first order",
                self._here.name,
                ", ".join(sorted(seen.stray)),
                self._interface.name,
            )
        log.info(
            "start: %s has %s bound on %s, %s%s", self._here.name, vips, self._interface.name, server, source
        )

    async def answer(self, line: bytes, peer: Peer) -> bytes:
        """Return the reply to a request line of `peer`, with its LF; raises GarbageError with that to another line."""
        request = received(line, self._here.name, self._replies)
        if isinstance(request, bytes):
            return request
        return self._replies.signed(request, await self._answer(request, peer))

    async def _answer(self, request: wire.Request, peer: Peer) -> bytes:
        self._shell.heard()
        refused = self._authority.refusal(request, peer)
        await self._learning.learn(request, refused, self._shell.core.status.vips)
        if refused:
            without = refused.why == CONF and await self._do_without_role(request)
            told = (WITHOUT,) if without and not self._authority.has_other_vips() else ()
            return self._replies.error(refused.why, refused.text, (*refused.fields, *told))
        match request.command:
            case voting.LEAD:
                return await self._votes.answer(request)
            case wire.PROMISE | wire.RELEASE | wire.HELD:
                return await self._for_rival(request)
            case wire.PING:
                return self._replies.reply("OK: Pinged!")
            case wire.GET_AGENT_STATUS:
                return self._replies.reply(
                    "OK: Returning status!", agent_status_fields(self._shell.core.status)
                )
            case wire.SET_STATUS:
                return await self._set_status(request)
            case wire.CLEAR_BAD_ROLES | wire.PREPARE:
                clears = request.command == wire.CLEAR_BAD_ROLES
                return await (self._clear_bad_roles() if clears else self._prepare())
            case binlog.BINLOG:
                return await self._binlog.answer(request)
            case rejoin.REJOIN:
                return await self._rejoin.answer(request)
            case stream.STREAM:
                return self.streams.answer(request, peer)
            case wire.WATCH:
                return await server_exit(self._server_process, peer.ip, self._replies)
            case _:
                return await self._questions.answer(request)

    def _learn(self, server: Connection) -> None:
        """Find out, while the server lives, what is to be known of it once it is dead; raises MysqlError."""
        self._binlog.learn(server)
        self._shell.steps.salvage.prepare(server)

    def _may_have_role(self) -> bool:
        return self._shell.core.site.is_writer(self._shell.core.status)

    @property
    def claimed(self) -> Callable[[str], bool]:
        """Return what is told that another MAC claims a VIP; it tells whether others are asked first who has it."""
        return self._shell.claimed

    async def reassert(self) -> None:
        """Put right what is assigned and has changed since, unless it was looked at just now (rule 7)."""
        self._shell.reassert()

    @property
    def heritage(self) -> Heritage:
        """Return what the agent that takes the place of this one, which is closed by then, goes on with."""
        return self._shell.core, self._authority.standing

    def objections(self, conf: Cluster) -> Objections:
        """Return what is not the same in another conf, and why this host's agent cannot go by it now."""
        core = self._shell.core
        return new_conf.objections(
            self._conf, conf, core.status.vips, self.streams.receiver,
            calm=new_conf.is_calm(core), begins_rejoin=self._rejoin.begins,
        )  # fmt: skip

    def _unbroken(self) -> tuple[str, ...]:
        return tuple(new_conf.unbroken(self.streams.receiver, begins_rejoin=self._rejoin.begins))

    async def leave(self) -> None:
        """Wait until the monitor knows that the writer's VIP stays here, or others have the roles; but not for long.

        They are to have them where the machine goes down, and where nobody will answer load balancers.
        """
        self._shell.ending.begin()
        told = self._shell.jobs.told(self._shell.core)
        if told or (self._leases and await asyncio.to_thread(machine_halts)):
            self._replies.ending = HALTING
            await self._shell.ending.hand_over(found=self._found)
        elif patience(self._shell.core, clock()) > 0:
            self._replies.ending = LEAVING
            await self._shell.ending.leave()

    async def close(self, *, for_good: bool = True) -> None:
        """Let the change that is being made come to its end; VIPs stay, `for_good` as long as leases allow."""
        await self._shell.close(self._leave_for_good if for_good else None)
        await self._votes.close()
        self._questions.close()
        self._server_process.close()
        self._doubts.close()
        self._binlog.close()
        self.streams.close()
        self._looker.shutdown(wait=False, cancel_futures=True)

    async def _leave_for_good(self) -> None:
        if self._replies.ending == HALTING:
            await self._shell.jobs.give_up(self._shell.core)
        else:
            await self._shell.leave_for_good()

    async def _set_status(self, request: wire.Request) -> bytes:
        try:
            status = ordered_status(request)
        except wire.WireError as error:
            return self._replies.error(why.BAD_REQUEST, str(error))
        if not is_sound(status):
            return self._replies.error(
                why.BAD_REQUEST,
                f"{status.state[:40]!r} with active master {status.master[:80]!r} is no status",
            )
        try:
            outcome = await self._carry_out(status, request)
        except TimeoutError:
            return self._replies.error(why.BUSY, f"not done within {ORDER_LIMIT:g} s, still at it")
        besides = self._told_besides(request, status, outcome)
        if outcome.failures:
            return self._replies.failed(outcome, besides)
        if outcome.notes:
            return self._replies.reply(f"OK: Status applied; {'; '.join(outcome.notes)}", besides)
        return self._replies.reply("OK: Status applied successfully!", besides)

    async def _carry_out(self, status: Status, request: wire.Request) -> Outcome:
        """Return what an order has come to; raises TimeoutError."""
        self._shell.staying.ordered(held.void_in(request))
        offered = granted(request) if self._leases else None
        grant = self._shell.core.held.grant(offered) if offered else None
        try:
            async with asyncio.timeout(ORDER_LIMIT):
                return await asyncio.shield(asyncio.ensure_future(self._shell.order(status, grant)))
        finally:
            asyncio.get_running_loop().call_soon(log_queue.release)  # once it is answered

    async def _do_without_role(self, request: wire.Request) -> bool:
        """Do what an order asks for that is refused for its conf, but for the writer role; tells whether that is done.

        Whoever holds the role keeps what is left of its lease; one that does not is not to be left writable.
        """
        if request.command != wire.SET_STATUS or not self._took_stock:
            return False
        with suppress(wire.WireError, TimeoutError):
            status = ordered_status(request)
            if is_sound(status) and not self._shell.core.held.lease.holds(clock()):
                others = tuple(vip for vip in status.vips if vip.role != self._facts.writer)
                outcome = await self._carry_out(replace(status, vips=others), request)
                return not (outcome.failures or outcome.notes)
        return False

    def _told_besides(self, request: wire.Request, status: Status, outcome: Outcome) -> tuple[str, ...]:
        """Return the fields of an answer to SET_STATUS; a classic monitor is told none.

        What was got at a takeover counts for that takeover alone: a host without the role says nothing of it.
        """
        ours = granted(request) is not None or lead_of(request) is not None
        if not ours:
            return ()
        doubts = doubt_fields(self._doubts.found)
        refuses = refusal_to_follow(outcome.failures)
        refusal = (why.refuses_field(refuses),) if refuses else ()
        steps = self._shell.steps
        got = (*salvaged_fields(steps.salvage.done), *caught_up_fields(steps.catch_up.done))
        got = got if self._shell.core.site.is_writer(status) else ()
        stands = () if outcome.bound is None else (bound_field(outcome.bound),)
        digest = shared(self._conf)
        told = (*self._authority.fields(), *((shared_field(digest),) if digest else ()))
        return (*got, *took_fields(outcome.took), *told, *doubts, *refusal, *stands)

    def _given(self, token: str) -> float | None:
        """Return when this start of the agent gave the token, None when it did not."""
        return self._shell.core.held.given(token)

    async def _for_rival(self, request: wire.Request) -> bytes:
        """Return the reply to another host that has the writer role, or has had it."""
        try:
            match request.command:
                case wire.PROMISE:
                    return self._promise(promises.asked_promise(request))
                case wire.RELEASE:
                    return self._release(*promises.released(request))
                case _:
                    stay, void = held.asked_to_stay(request)
                    return self._void_stay(stay) if void else await self._let_stay(stay)
        except wire.WireError as error:
            return self._replies.error(why.BAD_REQUEST, str(error))

    def _promise(self, asked: promises.AskedPromise) -> bytes:
        known = self._shell.core.held.bound(clock())
        if refused := self._shell.promise(asked):
            return self._replies.error(refused.code, refused.text)
        level = logging.DEBUG if known else logging.INFO
        log.log(level, "promised %s: no writer role here for %g s", asked.holder, asked.length)
        return self._replies.reply("OK: Promised!")

    async def _let_stay(self, stay: held.Stay) -> bytes:
        if refused := await self._shell.staying.lets(stay):
            return self._replies.error(refused.code, refused.text)
        return self._replies.reply("OK: Noted!")

    def _void_stay(self, stay: held.Stay) -> bytes:
        self._shell.staying.void({stay})
        return self._replies.reply("OK: Noted!")

    def _release(self, holder: str, token: str) -> bytes:
        if self._shell.give_back(holder, token):
            log.info("%s has given up the role: its promises are void", holder)
        return self._replies.reply("OK: Released!")

    async def watch(self, tls: ssl.SSLContext | None) -> None:
        """Watch over the leases, and for what is wrong here, until cancelled.

        `tls` is for questions to other agents, those of the monitor too.
        """
        self._questions.reach.tls = tls
        self._shell.steps.salvage.use(tls)
        if self._leases:
            self._shell.watch(tls)
        await self._doubts.watch()

    async def _clear_bad_roles(self) -> bytes:
        outcome = await self._shell.clear()
        if outcome.failures:
            return self._replies.failed(outcome)
        return self._replies.reply(f"OK: Removed {outcome.removed} roles")

    async def _prepare(self) -> bytes:
        doubts = doubt_fields(await self._doubts.look(anew=True))
        problem = await self._shell.prepare()
        if problem:
            return self._replies.error(why.NOT_DONE, problem, doubts)
        return self._replies.reply("OK: Prepared!", doubts)
