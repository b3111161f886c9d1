"""Answers the monitor: one line in, one line out (rules 4, 7).

Changes of the system are made one after the other in one thread; questions are answered meanwhile. Of the
SET_STATUS orders that wait only the newest counts, for it is the monitor's latest word.
"""

import asyncio
import logging
import math
import re
import ssl
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from mmm.agent.act import notes
from mmm.agent.act.authority import Authority
from mmm.agent.act.change import Changes, Prepared
from mmm.agent.act.doubts import Doubts
from mmm.agent.act.fence import deny
from mmm.agent.act.found_lease import found_lease
from mmm.agent.act.held_lease import Tenure
from mmm.agent.act.lease_watch import Guard
from mmm.agent.act.leave import Leave
from mmm.agent.act.observe import ANSWER_LIMIT, Session, look
from mmm.agent.act.reachability import Reaching
from mmm.agent.act.steps import Steps, agent_at, kept_users
from mmm.agent.decide.failure import Failure, code_of, failures, refusal_to_follow
from mmm.agent.decide.obedience import (
    Changed,
    Outcome,
    believes,
    is_without,
    judged,
    ready_until,
    remembered,
    still_ready,
)
from mmm.agent.decide.plan import UNKNOWN, Past, Seen, facts
from mmm.clock import clock
from mmm.config.model import Cluster, Vip
from mmm.doctor.look import HostLook, encoded
from mmm.doctor.look_host import look_host
from mmm.lease.rules import FOREVER, Grant, Reason, Refusal
from mmm.mysql.server.blockers import blocked
from mmm.mysql.server.processlist import survey
from mmm.mysql.session.connection import MysqlError, connect
from mmm.network.arp import Announcer
from mmm.network.line_server import GarbageError, Peer
from mmm.network.vips import Interface, InterfaceError
from mmm.wire import agent as wire
from mmm.wire import why
from mmm.wire.agent import Status
from mmm.wire.doubts import doubt_fields
from mmm.wire.lead import lead_of
from mmm.wire.signature import fresh_field, sign_reply

ORDER_LIMIT = 90.0
"""Seconds that an order may wait and take; everything in it has limits of its own that are shorter."""
CLOSE_LIMIT = 15.0
"""Seconds that a change may still take when the agent is to end."""
LOOK_AGAIN = 1.0
"""Seconds after which what could not be confirmed is tried again, and that a look stays fresh."""

_STATE = re.compile(r"[A-Z_]{1,40}")
_HOST = re.compile(r"[A-Za-z0-9_.-]{0,255}")
_LONGEST_TEXT = 4000

log = logging.getLogger(__name__)


@dataclass
class _Order:
    status: Status
    grant: Grant | None = None
    outcome: "asyncio.Future[Outcome]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Agent:
    """This host's agent; lives in an asyncio loop. `close` it.

    `fence_at` is told the moment, on the clock of leases, at which somebody else must take the writer role from this
    host if the agent has not: infinite when it has not got it, or has it for good.
    """

    def __init__(
        self,
        conf: Cluster,
        interface: Interface,
        announcer: Announcer,
        fence_at: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._conf = conf
        self._facts = facts(conf)
        self._here = here = conf.hosts[conf.this]
        self._address = agent_at(here)
        self._interface = interface
        self._announcer = announcer
        promises = Path(f"{here.pid_path}.promise") if here.pid_path else None
        self._tenure = Tenure(conf.vip_lease, promises, ends=fence_at)
        self._authority = Authority(conf, given=self._tenure.given)
        self._guard = Guard(
            conf, self._tenure, interface, self._held, self._fence, self._lost, self._authority.is_alone
        )
        self._leave = Leave(self._tenure)
        self._leases = conf.vip_lease > 0
        self._steps = Steps(conf, interface, announcer, self._guard.lifetime, self._guard.holds)
        self._reach = Reaching(conf)
        self._doubts = Doubts(conf)
        self._ips = tuple(vip.ip for vip in conf.vips)
        self._writer_ips = frozenset(vip.ip for vip in conf.vips if vip.role == conf.active_master_role)
        self._status = Status(UNKNOWN)
        self._past = Past()
        self._outcome = Outcome()
        self._next: _Order | None = None
        self._turn = asyncio.Lock()
        self._closing = False
        self._runner: asyncio.Task[None] | None = None
        self._again: asyncio.TimerHandle | None = None
        self._looked = -LOOK_AGAIN
        self._looking: asyncio.Task[Seen | str] | None = None
        self._examined: asyncio.Future[HostLook] | None = None
        self._changes = Changes(conf, interface, self._steps, self._tenure, self._facts)
        self._prepared: Prepared | None = None
        self._ready_until = -math.inf
        """Until when, on the clock of leases, what was done for the writer role counts for the next order."""
        self._fenced = -math.inf
        """When writes were last denied because the lease was over; infinite while that is under way."""
        self._changer = ThreadPoolExecutor(1, thread_name_prefix="change")
        self._looker = ThreadPoolExecutor(1, thread_name_prefix="look")
        self._fencer = ThreadPoolExecutor(1, thread_name_prefix="fence")

    async def take_stock(self) -> None:
        """Log what stands on this host; nothing is changed before the monitor's first order (rule 10.4)."""
        seen = await self._look()
        if isinstance(seen, str):
            log.warning("start: %s", seen)
            return
        await asyncio.get_running_loop().run_in_executor(self._looker, self._take_over, seen.bound)
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
        try:
            request = wire.decode_request(line)
        except wire.WireError as error:
            log.debug("bad request: %s", error)
            shown = line[:80].decode("utf-8", "backslashreplace")
            raise GarbageError(self._error(why.UNKNOWN_COMMAND, f"Invalid command '{shown}'!")) from error
        if request.version > wire.VERSION:
            log.warning("request of version %d, this agent speaks %d", request.version, wire.VERSION)
        if request.host != self._here.name:
            return self._error(
                why.WRONG_HOST,
                f"Invalid hostname in command ({request.host[:80]})! My name is '{self._here.name}'",
            )
        return self._signed(request, await self._answer(request, peer))

    async def _answer(self, request: wire.Request, peer: Peer) -> bytes:
        self._guard.heard()
        if refused := self._authority.refusal(request, peer):
            return self._error(refused.why, refused.text, refused.fields)
        match request.command:
            case wire.PROMISE:
                return self._promise(request)
            case wire.PING:
                return self._reply("OK: Pinged!")
            case wire.GET_AGENT_STATUS:
                return self._reply("OK: Returning status!", wire.agent_status_fields(self._status))
            case wire.GET_SYSTEM_STATUS:
                return await self._system_status()
            case wire.SET_STATUS:
                return await self._set_status(request)
            case wire.CLEAR_BAD_ROLES:
                return await self._clear_bad_roles()
            case (
                wire.CLIENTS
                | wire.NOTES
                | wire.REACHABLE
                | wire.PREPARE
                | wire.RELEASE
                | wire.DOCTOR
                | wire.ABSENT
            ):
                return await self._answer_more(request)
            case _:
                return self._error(why.UNKNOWN_COMMAND, f"Invalid command '{request.command[:80]}'!")

    async def _answer_more(self, request: wire.Request) -> bytes:
        """Return the reply to what agents of MMM 2.x do not know."""
        match request.command:
            case wire.CLIENTS:
                return await self._clients(request)
            case wire.NOTES:
                return await self._notes()
            case wire.REACHABLE:
                return await self._reachable(request)
            case wire.RELEASE:
                return self._release(request)
            case wire.DOCTOR:
                return await self._doctor()
            case wire.ABSENT:
                return await self._absent(request)
            case _:
                return await self._prepare()

    async def reassert(self) -> None:
        """Put right what is assigned and has changed since, unless it was looked at just now (rule 7).

        What an order could not reach is not tried again here: the monitor decides about that.
        """
        fresh = time.monotonic() - self._looked < LOOK_AGAIN
        if self._status.state == UNKNOWN or fresh or self._turn.locked() or self._outcome.failures:
            return
        self._looked = time.monotonic()
        self._run_soon()

    async def leave(self) -> None:
        """Wait until the monitor knows that the writer's VIP stays here, where it is bound, or is not heard in time."""
        if self._is_writer(self._status) and await self._leave.granted() and self._runner is not None:
            await asyncio.wait({self._runner}, timeout=CLOSE_LIMIT)

    async def close(self) -> None:
        """Let the change that is being made come to its end; VIPs and read_only stay as they are."""
        self._closing = True
        self._next = None
        if self._runner is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_LIMIT):
                    await self._runner
        if self._again is not None:
            self._again.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_AGAIN):
                await asyncio.get_running_loop().run_in_executor(self._looker, self._leave_for_good)
        self._guard.close()
        self._reach.close()
        self._doubts.close()
        self._changer.submit(self._changes.close)
        self._changer.shutdown(wait=False)
        self._looker.shutdown(wait=False, cancel_futures=True)
        self._fencer.shutdown(wait=False, cancel_futures=True)

    async def _set_status(self, request: wire.Request) -> bytes:
        try:
            status = wire.ordered_status(request)
        except wire.WireError as error:
            return self._error(why.BAD_REQUEST, str(error))
        if not (_STATE.fullmatch(status.state) and _HOST.fullmatch(status.master)):
            return self._error(
                why.BAD_REQUEST,
                f"{status.state[:40]!r} with active master {status.master[:80]!r} is no status",
            )
        granted = wire.granted(request) if self._leases else None
        order = _Order(status, self._tenure.grant(granted) if granted else None)
        if refusal := self._refusal(order):
            return self._error(_code(refusal), str(refusal))
        self._announcer.confirm()
        if self._next is not None:
            self._next.outcome.set_result(_not_begun("superseded by a newer order", why.SUPERSEDED))
        self._next = order
        self._run_soon()
        try:
            async with asyncio.timeout(ORDER_LIMIT):
                outcome = await asyncio.shield(order.outcome)
        except TimeoutError:
            return self._error(why.BUSY, f"not done within {ORDER_LIMIT:g} s, still at it")
        besides = self._told_besides(request, outcome)
        if outcome.failures:
            return self._failed(outcome, besides)
        if outcome.notes:
            return self._reply(f"OK: Status applied; {'; '.join(outcome.notes)}", besides)
        return self._reply("OK: Status applied successfully!", besides)

    def _told_besides(self, request: wire.Request, outcome: Outcome) -> tuple[str, ...]:
        """Return the fields of an answer to SET_STATUS; a classic monitor is told none."""
        ours = wire.granted(request) is not None or lead_of(request) is not None
        if not ours:
            return ()
        doubts = doubt_fields(self._doubts.found)
        refuses = refusal_to_follow(outcome.failures)
        refusal = (why.refuses_field(refuses),) if refuses else ()
        return (*wire.took_fields(outcome.took), *self._authority.fields(), *doubts, *refusal)

    def _run_soon(self) -> None:
        """See to it that the newest order is carried out, or the present one looked after again."""
        if not self._closing and (self._runner is None or self._runner.done()):
            self._runner = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while True:
            async with self._turn:
                await self._guard.at_rest()
                order, self._next = self._next, None
                if order is not None and (refusal := self._refusal(order)):
                    order.outcome.set_result(_not_begun(str(refusal), _code(refusal)))
                    order = None
                if order is not None:
                    self._begin(order)
                outcome = await self._carry_out(order)
            if order is not None and not order.outcome.done():
                order.outcome.set_result(outcome)
            if self._closing or self._next is None:
                return

    async def _carry_out(self, order: _Order | None) -> Outcome:
        """Make the system what is assigned, or only bring back what is missing of it; returns what it came to.

        By then the lease may have ended, and what was assigned was lost: what was bound or allowed in just that
        moment is taken back.
        """
        begun = self._status
        past = still_ready(self._past, begun, self._facts, self._ready_until, clock())
        if order is not None or self._outcome.notes:
            prepared, self._prepared = self._prepared, None
            counts = prepared is not None and prepared.counts(time.monotonic(), self._fenced)
            seen = prepared.seen if prepared is not None and counts else None
            changed = await self._change(lambda: self._changes.apply(begun, past, seen))
        else:
            changed = await self._change(lambda: self._changes.put_right(begun, past))
        self._past = remembered(changed, self._status, self._facts, past)
        outcome = judged(changed, begun, self._status, self._past)
        if self._is_writer(begun) and not self._is_writer(self._status):
            await self._guard.take_away()
        self._settle(outcome)
        if order is not None:
            self._ready_until = ready_until(order.grant, self._tenure.lease.until, clock())
            self._conclude(order, changed, outcome)
            await self._guard.give_back()
            if self._past.ready and not changed.writes:  # its lease runs on, and is not to run out meanwhile
                await self._be_ready()
        return outcome

    async def _be_ready(self) -> None:
        """Have all at hand for the same order with a younger token, which comes at once."""
        loop = asyncio.get_running_loop()
        self._prepared, _ = await loop.run_in_executor(self._changer, self._changes.get_ready)

    def _conclude(self, order: _Order, changed: Changed, outcome: Outcome) -> None:
        """Keep no lease for a role that was given up, nor for one that this host could not take."""
        without = is_without(changed, self._writer_ips)
        if not self._is_writer(order.status):
            if without or not outcome.failures:
                self._tenure.obeyed(order.grant, role=False)
        elif without and outcome.failures:
            self._tenure.ended()

    def _refusal(self, order: _Order) -> Refusal | None:
        """Return why the order is not obeyed, by the rules of the lease; None when it is."""
        if order.grant is None:
            promised = self._leases and self._is_writer(order.status) and self._tenure.promises
            return Refusal(Reason.PROMISED) if promised else None
        waits = self._next.grant if self._next is not None else None
        if waits is not None and waits.token > order.grant.token:
            return Refusal(Reason.OVERTAKEN)
        return self._tenure.refusal(order.grant, role=self._is_writer(order.status))

    def _begin(self, order: _Order) -> None:
        """Take the order as what is wanted; a lease begins before it is used, and ends after it was."""
        self._log_change(self._status, order.status)
        self._status = order.status
        if self._is_writer(order.status):
            self._tenure.obeyed(order.grant, role=True)
            self._leave.obeyed()
            self._guard.is_writer_again()
        elif order.grant is not None:
            self._tenure.noted(order.grant)

    def _is_writer(self, status: Status) -> bool:
        return any(vip.role == self._facts.writer for vip in status.vips)

    def _take_over(self, bound: Collection[str]) -> None:
        """Keep to the lease that an earlier agent was given, as far as the kernel knows it."""
        for vip in self._facts.vips:
            if vip.role == self._facts.writer and vip.ip in bound and self._leases:
                with suppress(InterfaceError):
                    self._tenure.found(found_lease(self._interface, vip, self._conf.vip_lease))
                    if self._tenure.leased:
                        self._authority.followed_before()

    def _promise(self, request: wire.Request) -> bytes:
        try:
            asked = wire.asked_promise(request)
        except wire.WireError as error:
            return self._error(why.BAD_REQUEST, str(error))
        if not self._leases:
            return self._error(why.NO_PROMISE, "no vip_lease in the conf of this agent: it keeps no promises")
        holder, bound = asked.holder, self._tenure.promises
        if holder == self._here.name or holder not in self._conf.roles[self._facts.writer].hosts:
            return self._error(
                why.BAD_REQUEST, f"{holder[:80]} is no other host of role {self._facts.writer}"
            )
        if other := believes(self._status.master, holder, self._tenure.heard, self._tenure.length):
            return self._error(
                why.NO_PROMISE, f"the active master is {other}, not {holder}: nothing is promised to it"
            )
        if refusal := self._tenure.promise(*asked):
            return self._error(why.NO_PROMISE, refusal)
        level = logging.DEBUG if bound else logging.INFO
        log.log(level, "promised %s: no writer role here for %g s", holder, asked.length)
        return self._reply("OK: Promised!")

    def _release(self, request: wire.Request) -> bytes:
        try:
            holder, token = wire.released(request)
        except wire.WireError as error:
            return self._error(why.BAD_REQUEST, str(error))
        if self._tenure.given_back(holder, token):
            log.info("%s has given the role up: what it was promised is over", holder)
        return self._reply("OK: Released!")

    def _held(self) -> frozenset[Vip]:
        return frozenset(self._status.vips)

    async def _fence(self) -> str:
        """Set read_only and end clients; returns why that is not so. What was seen before does not count any more."""
        self._fenced = math.inf
        try:
            session = Session(self._address)
            return await asyncio.get_running_loop().run_in_executor(self._fencer, deny, session, self._conf)
        finally:
            self._fenced = time.monotonic()
            if self._is_writer(self._status):  # the role was given anew meanwhile: writes are allowed again
                self._run_soon()

    def _lost(self, vip: Vip) -> None:
        """Forget that the VIP was assigned here: its lease is over."""
        self._status = replace(self._status, vips=tuple(each for each in self._status.vips if each != vip))
        self._past = replace(self._past, held=self._past.held - {vip})
        self._announcer.end(vip.ip)

    async def watch(self, tls: ssl.SSLContext | None) -> None:
        """Watch over the leases, and for what is wrong here, until cancelled.

        `tls` is for questions to other agents, those of the monitor too.
        """
        self._reach.tls = tls
        async with asyncio.TaskGroup() as both:
            both.create_task(self._doubts.watch())
            if self._leases:
                both.create_task(self._guard.watch(tls))

    def _leave_for_good(self) -> None:
        """Have the VIPs stay after the agent: the writer's where the monitor has granted it for good (rule 11.1)."""
        if not self._tenure.leased:
            return
        for vip in self._status.vips:
            if self._is_writer(Status("", (vip,))) and (left := self._tenure.left) < FOREVER:
                log.warning(
                    "%s is left with the rest of its lease, %.1f s: the monitor is not heard", vip, left
                )
                continue
            try:
                self._interface.renew(vip.ip, 0)
            except InterfaceError as error:
                log.error("%s: %s", vip, error)

    def _settle(self, outcome: Outcome) -> None:
        """Keep what the order came to, announce what is held, and come back to what is unconfirmed."""
        self._outcome = outcome
        self._looked = time.monotonic()
        self._announcer.hold(vip.ip for vip in outcome.held)
        if self._again is not None:
            self._again.cancel()
        self._again = None
        if outcome.notes:
            self._again = asyncio.get_running_loop().call_later(LOOK_AGAIN, self._run_soon)

    async def _clear_bad_roles(self) -> bytes:
        async with self._turn:
            self._prepared = None
            status = self._status
            outcome = (await self._change(lambda: self._changes.clear(status))).outcome
        if outcome.failures:
            return self._failed(outcome)
        return self._reply(f"OK: Removed {outcome.removed} roles")

    async def _system_status(self) -> bytes:
        seen = await self._look()
        if isinstance(seen, str):
            return self._error(why.NOT_DONE, seen)
        bound = tuple(vip for vip in self._facts.vips if vip.ip in seen.bound | seen.stray)
        source = seen.source.ip if seen.source else ""
        fields = wire.system_status_fields(wire.SystemStatus(seen.writable is True, bound, source))
        return self._reply("OK: Returning status!", fields)

    async def _clients(self, request: wire.Request) -> bytes:
        self._steps.keep = kept_users(self._conf) | {user for user in request.params[:1] if user}
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._looker, self._survey)
        except MysqlError as error:
            return self._error(why.NOT_DONE, error.text)
        return self._reply("OK: Returning clients!", wire.clients_fields(found))

    async def _doctor(self) -> bytes:
        """Return the reply with a look at this host; those who ask at the same time get one look."""
        if self._examined is None or self._examined.done():
            loop = asyncio.get_running_loop()
            self._examined = loop.run_in_executor(None, look_host, self._conf)
        look = await asyncio.shield(self._examined)
        return self._reply("OK: Looked!", wire.looked_fields(encoded(look)))

    async def _notes(self) -> bytes:
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._looker, self._look_at_threads)
        except MysqlError as error:
            return self._error(why.NOT_DONE, error.text, doubt_fields(self._doubts.found))
        return self._reply(
            "OK: Returning notes!", (*wire.notes_fields(found), *doubt_fields(self._doubts.found))
        )

    def _look_at_threads(self) -> tuple[wire.Note, ...]:
        with connect(self._address, ANSWER_LIMIT) as server:
            return notes.look(server)

    async def _reachable(self, request: wire.Request) -> bytes:
        try:
            other = self._conf.hosts.get(wire.asked_reachable(request))
        except wire.WireError as error:
            return self._error(why.BAD_REQUEST, str(error))
        if other is None or other == self._here:
            return self._error(why.BAD_REQUEST, f"{request.params[0][:80]} is no other host of this cluster")
        return self._reply("OK: Returning reach!", wire.reach_fields(await self._reach.of(other)))

    async def _absent(self, request: wire.Request) -> bytes:
        try:
            name, ip = wire.asked_absent(request)
        except wire.WireError as error:
            return self._error(why.BAD_REQUEST, str(error))
        other = self._conf.hosts.get(name)
        if other is None or other == self._here or ip not in self._ips:
            return self._error(
                why.BAD_REQUEST, f"{name[:80]} is no other host of this cluster, or {ip[:80]} no VIP"
            )
        nobody = await self._reach.absent(other, ip)
        return self._reply("OK: Returning absence!", wire.absent_fields(nobody=nobody))

    async def _prepare(self) -> bytes:
        loop = asyncio.get_running_loop()
        doubts = doubt_fields(await self._doubts.look(anew=True))
        self._prepared, problem = await loop.run_in_executor(self._changer, self._changes.get_ready)
        if problem:
            return self._error(why.NOT_DONE, problem, doubts)
        return self._reply("OK: Prepared!", doubts)

    def _survey(self) -> wire.Clients:
        keep = self._steps.keep
        with connect(self._address, ANSWER_LIMIT) as server:
            found, waiting = survey(server, keep=keep), blocked(server, keep, clients_for=0.0).waiting
        waits = [each.seconds for each in waiting if each.seconds >= LOOK_AGAIN]
        return wire.Clients(
            found.at_rest,
            found.writing,
            found.oldest,
            found.who,
            found.idle,
            found.idle_for,
            found.idle_who,
            len(waits),
            max(waits, default=0.0),
        )

    async def _look(self) -> Seen | str:
        """Return what is seen, or why nothing could be; those who ask at the same time get one look."""
        if self._looking is None or self._looking.done():
            loop = asyncio.get_running_loop()
            self._looking = loop.create_task(self._look_once())
        return await asyncio.shield(self._looking)

    async def _look_once(self) -> Seen | str:
        return await asyncio.get_running_loop().run_in_executor(self._looker, self._see)

    def _see(self) -> Seen | str:
        session = Session(self._address)
        try:
            return look(self._interface, self._ips, session)
        except InterfaceError as error:
            return str(error)
        finally:
            session.close()

    async def _change(self, job: Callable[[], Changed]) -> Changed:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._changer, job)
        except Exception as error:
            log.exception("a change ended by an error of its own")
            return Changed(Outcome(failures(f"error of the agent's own: {type(error).__name__}")))

    def _failed(self, outcome: Outcome, fields: tuple[str, ...] = ()) -> bytes:
        return self._error(code_of(outcome.failures), "; ".join(map(str, outcome.failures)), fields)

    def _error(self, code: str, text: str, fields: tuple[str, ...] = ()) -> bytes:
        return self._reply(f"ERROR: {text}", fields, code)

    def _reply(self, text: str, fields: tuple[str, ...] = (), code: str = "") -> bytes:
        token, uptime = self._tenure.token() if self._leases else wire.NO_LEASE, clock()
        if self._conf.auth_key and not self._leases:
            fields = (*fields, fresh_field(self._tenure.token()))
        try:
            fields = (*fields, *self._leave.fields)
            reply = wire.Reply(wire.sayable(text)[:_LONGEST_TEXT], fields, uptime, token, code)
            return wire.encode_reply(reply)
        except wire.WireError as error:
            text = f"ERROR: {wire.sayable(str(error))}"
            return wire.encode_reply(wire.Reply(text, (), uptime, token, why.NOT_DONE))

    def _signed(self, request: wire.Request, line: bytes) -> bytes:
        """Return the reply with the signature that a signed request is answered with."""
        key = self._conf.auth_key
        return wire.encode_reply(sign_reply(key, wire.decode_reply(line), request)) if key else line

    def _log_change(self, old: Status, new: Status) -> None:
        if old != new:
            log.info("status: %s: %s -> %s", self._here.name, _shown(old), _shown(new))


def _code(refusal: Refusal) -> str:
    return why.STALE if refusal.stale else why.PROMISED


def _not_begun(text: str, code: str) -> Outcome:
    return Outcome((Failure(text, code),))


def _shown(status: Status) -> str:
    roles = ", ".join(sorted(map(str, status.vips))) or "no roles"
    return f"{status.state}, {roles}, active master {status.master or 'none'}"
