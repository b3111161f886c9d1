"""Carries out a plan: each step on its part, with its limit, its duration and its result in the log."""

import logging
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from mmm.agent.act.catch_up import (
    LOST_LIMIT,
    CatchUpError,
    Patience,
    apply_received,
    catch_up,
)
from mmm.agent.act.clients import cut_off, end_clients_of
from mmm.agent.act.listening import Listening
from mmm.agent.act.observe import ANSWER_LIMIT, Session
from mmm.agent.act.stopwatch import Stopwatch
from mmm.agent.decide.failure import Failure
from mmm.agent.decide.obedience import Laps
from mmm.agent.decide.plan import (
    AllowWrites,
    Attach,
    Bind,
    Chain,
    DenyWrites,
    Detach,
    FinishLifting,
    Follow,
    Plan,
    Probe,
    RenewLogin,
    Replicate,
    SemiSyncRole,
    StartReplication,
    Step,
    StopReceiving,
    StopReplication,
    Sync,
    ThrowAway,
    Unbind,
    UnbindElsewhere,
)
from mmm.config.model import Cluster, Host, Vip
from mmm.mysql.server.blockers import end_blockers
from mmm.mysql.server.delay import finish_lifting
from mmm.mysql.server.detach import attach, detach, stop_receiving
from mmm.mysql.server.follow import FollowRefusedError, follow, renew_login
from mmm.mysql.server.login import refused_login, replicates_from
from mmm.mysql.server.processlist import TRANSACTIONS_AGE
from mmm.mysql.server.processlist import Session as Listed
from mmm.mysql.server.read_only import (
    access,
    allow_writes,
    calm,
    deny_writes,
    writers,
)
from mmm.mysql.server.replication import start_replica, stop_replica
from mmm.mysql.server.semi_sync import become_replica, become_source
from mmm.mysql.session.connection import (
    Address,
    Connection,
    ErrorKind,
    MysqlError,
    connect,
)
from mmm.mysql.session.tls import tls_of
from mmm.network.arp import Announcer
from mmm.network.farewell import Farewell
from mmm.network.probe import holder
from mmm.network.vips import Interface, InterfaceError
from mmm.wire.why import (
    LEASE_OVER,
    NO_LOGIN,
    NOT_DONE,
    NOT_FOLLOWED,
    NOT_LISTENING,
    REFUSES_TO_FOLLOW,
)

PROBE_FRESH = 0.5
"""Seconds after its end up to which a probe counts; it ran while other steps were done."""
ENDED_FRESH = 0.1
"""Seconds for which what the server listed when all clients were ended counts for a VIP that leaves."""
NOTABLE = 0.05
"""Seconds from which on a wait is worth a word."""
PROMOTED = 10.0
"""Seconds after it has taken the writer's VIP for which a lock that keeps clients from writing is ended."""
COMMAND_LIMIT = 5.0
"""Seconds that iptables_block_cmd and iptables_unblock_cmd may take."""


log = logging.getLogger(__name__)


class StepError(Exception):
    """A step was not done; the text says why, in one line, and `code` is one of `mmm.wire.why`."""

    def __init__(self, text: str, code: str = NOT_DONE) -> None:
        super().__init__(text)
        self.code = code


class LeaseOverError(StepError):
    """The kernel cannot be told to keep the VIP: hardly anything is left of the order's lease."""

    def __init__(self) -> None:
        super().__init__("the lease of the order has run out meanwhile; it is ordered again", LEASE_OVER)


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a plan: the steps that were done, and of those that were not each with its reason."""

    steps: tuple[Step, ...] = ()
    failures: tuple[Failure, ...] = ()
    unfinished: tuple[Chain, ...] = ()
    """The chains of which a step failed."""
    took: Laps = ()
    """How long each part took."""
    writes: bool | None = None
    """The server was left writable, or read_only; None: as it was."""


class Steps:
    """The agent's hands: interface, ARP and server of this host."""

    def __init__(
        self,
        conf: Cluster,
        interface: Interface,
        announcer: Announcer,
        lifetime: Callable[[Vip], int] = lambda _: 0,
        holds: Callable[[], bool] = lambda: True,
    ) -> None:
        self._lifetime, self._holds = lifetime, holds
        self._conf = conf
        self._here = conf.hosts[conf.this]
        self._interface = interface
        self._announcer = announcer
        self._farewell = Farewell(interface.name)
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="probe")
        self._asked: dict[Probe, Future[tuple[str, float]]] = {}
        self._complaints: dict[str, str] = {}
        self._watch = Stopwatch()
        self._left: tuple[float, tuple[Listed, ...]] | None = None
        """When denying writes ended all clients in this change, and which sessions it let stay."""
        self._writes: bool | None = None
        """What this change has made of the server: writable, read_only, None: nothing."""
        self._promoted = -PROMOTED
        """When writes were allowed last."""
        self._listening = Listening(self._here.mysql_port)
        self._blocks = can_block(conf)
        peer = conf.hosts.get(self._here.peer or "")
        self._peer = Session(agent_at(peer)) if peer else None
        self.keep = kept_users(conf)
        """Whose sessions no order ends; the monitor's user too, once it has said who that is."""

    def prepare(self) -> None:
        """Look and connect, so that nobody waits for it; raises MysqlError.

        The peer will be asked how far to catch up.
        """
        self._listening.look()
        if self._peer is not None:
            self._peer.rest()
            self._peer.ask(access)

    def carry_out(self, plan: Plan, session: Session) -> Done:
        """Do the plan's steps in their order on the server of `session`; blocks, never raises for a step."""
        begin = time.monotonic()
        self._watch = Stopwatch()
        self._left = None
        self._begin_probes(plan)
        done: list[Step] = []
        failures: list[Failure] = []
        unfinished: list[Chain] = []
        self._writes = None
        for chain in plan.chains:
            for step in chain:
                failure = self._timed(step, session)
                if failure and isinstance(step, SemiSyncRole | ThrowAway):
                    continue
                if failure and isinstance(step, Detach | RenewLogin):
                    break
                if failure:
                    failures.append(failure)
                    unfinished.append(chain)
                    self._take_back(chain, step, failure, session)
                    break
                done.append(step)
        self._free_the_way(session)
        if done:
            what = ", ".join(map(str, done))
            rest = f"; failed: {len(failures)}" if failures else ""
            log.info("move: %s: %s%s, %.0f ms", self._here.name, what, rest, _milliseconds(begin))
        if self._peer is not None:
            self._peer.rest()
        return Done(tuple(done), tuple(failures), tuple(unfinished), self._watch.laps, self._writes)

    def _take_back(self, chain: Chain, failed: Step, failure: Failure, session: Session) -> None:
        """Deny the writes again that the chain may have allowed before a step of it failed.

        Where it was only late, and the lease is still held, they stay allowed to its end: the same order comes anew at
        once, and a slow host would never get further. The watch over the lease denies them else.
        """
        tried = chain[: chain.index(failed) + 1]
        if not self._writes or not any(isinstance(step, AllowWrites) for step in tried):
            return
        if failure.code == LEASE_OVER and self._holds():
            return
        try:
            ended = deny_writes(session.open(), grace=0.0, keep=self.keep).ended
        except MysqlError as error:
            session.close()
            if error.kind is not ErrorKind.REFUSED:  # where nothing listens nobody can write
                self._writes = True
                log.error("writes could not be denied again on %s: %s", self._here.name, error.text)
                return
        else:
            log.warning("writes are denied again on %s, %d clients ended", self._here.name, ended)
        self._writes = False

    def _free_the_way(self, session: Session) -> None:
        """End what keeps clients from writing to a server that has just been promoted: a lock on all tables, say."""
        age = time.monotonic() - self._promoted
        if not NOTABLE < age < PROMOTED:
            return
        try:
            end_blockers(session.open(), self.keep, clients_for=age)
        except MysqlError as error:
            log.debug("%s: who waits for a lock is not known: %s", self._here.name, error.text)
            if not error.server_alive:
                session.close()

    def _timed(self, step: Step, session: Session) -> Failure | None:
        """Do one step and log it; returns why it failed, None when it did not."""
        begin = time.monotonic()
        try:
            said = self._do(step, session)
        except MysqlError as error:
            if not error.server_alive:
                session.close()
            failure = Failure(error.text, _code(step, error), str(step))
        except (CatchUpError, InterfaceError, StepError) as error:
            failure = Failure(str(error), _code(step, error), str(step))
        else:
            self._complaints.pop(str(step), None)
            log.info("%s: %s: %s, %.0f ms", step, self._here.name, said, _milliseconds(begin))
            return None
        known = self._complaints.get(failure.step) == failure.text
        self._complaints[failure.step] = failure.text
        level = logging.DEBUG if known else logging.ERROR
        log.log(
            level, "%s: %s: FAILED, %.0f ms: %s", step, self._here.name, _milliseconds(begin), failure.text
        )
        return failure

    def _do(self, step: Step, session: Session) -> str:
        """Do one step; returns what to say of it. Raises MysqlError, InterfaceError, CatchUpError, StepError."""
        match step:
            case Bind(vip):
                return self._bind(vip)
            case Probe():
                with self._watch.lap("probe"):
                    return self._probed(step)
            case Unbind(vip):
                return self._unbind(vip, session)
            case UnbindElsewhere(vip):
                return self._unbind_elsewhere(vip)
            case DenyWrites():
                self._promoted = -PROMOTED
                return self._deny_writes(session)
            case AllowWrites(vip):
                self._lease_of(vip)
                self._see_listening(vip.ip)
                with self._watch.lap("promote"):
                    server = session.open()
                    self._writes = True
                    allow_writes(server)
                self._lease_of(vip)  # it may have ended while the server took its time
                self._promoted = time.monotonic()
                return "read_only=0"
            case Sync():
                with self._watch.lap("catch up"):
                    return self._sync(session, step)
            case _:
                with self._watch.lap(str(step)):
                    return self._replicate(step, session)

    def _replicate(self, step: SemiSyncRole | Follow | Replicate, session: Session) -> str:
        match step:
            case SemiSyncRole(True):
                become_source(session.open())
                return "commits wait for a replica"
            case SemiSyncRole():
                become_replica(session.open(), self._conf.sync_timeout)
                return "acknowledges what it receives, if its source is one"
            case Follow(host):
                return self._follow(self._conf.hosts[host], session)
            case StopReceiving(finish):
                return self._stop_receiving(session, finish=finish)
            case ThrowAway():
                return self._throw_away(session)
            case Detach():
                if why_not := detach(session.open()):
                    raise StepError(why_not)
                return "done, until what the other master has is compared"
            case Attach():
                return self._attach(session)
            case RenewLogin(host):
                return self._renew_login(self._conf.hosts[host], session)
            case FinishLifting() | StartReplication() | StopReplication():
                return self._start_or_stop(step, session)

    def _start_or_stop(
        self, step: FinishLifting | StartReplication | StopReplication, session: Session
    ) -> str:
        match step:
            case FinishLifting():
                why_not = finish_lifting(session.open())
                return f"waits: {why_not}" if why_not else "done, replicates by GTID again"
            case StartReplication():
                start_replica(session.open())
                return "started"
            case StopReplication():
                stop_replica(session.open(), self._conf.sync_timeout)
                return "stopped"

    def _sync(self, session: Session, sync: Sync) -> str:
        patience = self._patience(LOST_LIMIT if sync.lost else ANSWER_LIMIT)
        try:
            return catch_up(session.open(), self._peer, patience)
        except CatchUpError as error:
            if not sync.force:
                raise
            log.warning("sync: %s: goes on by 'move_role --force' though %s", self._here.name, error)
            return f"forced to go on: {error}"

    def _patience(self, peer_limit: float = ANSWER_LIMIT) -> Patience:
        return Patience(self._conf.sync_timeout, self.keep, peer_limit)

    def _stop_receiving(self, session: Session, *, finish: bool) -> str:
        ended = stop_receiving(session.open())
        if not ended:
            session.close()
        if finish:
            apply_received(session.open(), self._patience())
        return "stopped" if ended else "is about to end, and takes nothing more"

    def _attach(self, session: Session) -> str:
        try:
            self.prepare()
            source = self._peer.open() if self._peer else None
        except MysqlError as error:
            log.debug("attach: %s: %s", self._here.name, error.text)
            source = None  # it says itself what it has no more
        why_not = attach(session.open(), source)
        return f"waits: {why_not}" if why_not else "replicates from it again"

    def _throw_away(self, session: Session) -> str:
        try:
            connect(agent_at(self._conf.hosts[self._here.peer or self._here.name]), ANSWER_LIMIT).close()
        except MysqlError as error:
            return f"kept, it may be nowhere else: {error.text}"
        if why_not := detach(session.open(), throw_away=self._conf.sync_timeout):
            raise StepError(why_not)
        return "nothing is left to apply"

    def _bind(self, vip: Vip) -> str:
        self._see_listening(vip.ip)
        with self._watch.lap(self._named("bind", vip)):
            self._farewell.stop(vip.ip)
            lifetime = self._lease_of(vip)  # the kernel counts it from now on
            self._interface.bind(vip.ip, lifetime)
        with self._watch.lap(self._named("first ARP", vip)):
            self._announcer.begin(vip.ip)
        self._announcer.ask(vip.ip)
        return f"bound on {self._interface.name}" + (f" for {lifetime} s" if lifetime else "")

    def _see_listening(self, ip: str) -> None:
        """Raise StepError where the server lives and would refuse whoever comes through the VIP."""
        if why_not := self._listening.deaf_at(ip):
            raise StepError(why_not, NOT_LISTENING)

    def _unbind(self, vip: Vip, session: Session) -> str:
        ip = vip.ip
        self._announcer.end(ip)
        with self._watch.lap(self._named("end clients", vip)):
            leaving = end_clients_of(ip, self._here.mysql_port, session, self.keep, self._stay())
        with self._watch.lap(self._named("unbind", vip)), self._farewell.of(ip):
            cut_off(ip, self._here.mysql_port, leaving)
            self._interface.unbind(ip)
        self._announcer.ask(ip)
        ended = leaving.ended
        return f"gone from {self._interface.name}" + (f", {ended} clients ended" if ended else "")

    def _unbind_elsewhere(self, vip: Vip) -> str:
        where = ", ".join(self._interface.elsewhere([vip.ip]).get(vip.ip, ()))
        self._interface.unbind_elsewhere(vip.ip)
        return f"gone from {where or 'there'}"

    def _stay(self) -> tuple[Listed, ...] | None:
        """Return the sessions that stay when all others were ended a moment ago, None when they were not."""
        return self._left[1] if self._left and time.monotonic() - self._left[0] < ENDED_FRESH else None

    def _begin_probes(self, plan: Plan) -> None:
        """Ask who has the VIPs that are probed, while the steps before that are done."""
        self._asked = {
            step: self._threads.submit(self._ask_who_has, step.vip.ip)
            for step in plan.steps
            if isinstance(step, Probe)
        }

    def _ask_who_has(self, ip: str) -> tuple[str, float]:
        return holder(self._announcer.sender, ip), time.monotonic()

    def _probed(self, step: Probe) -> str:
        mac, ended = self._asked[step].result()
        if time.monotonic() - ended > PROBE_FRESH:
            mac = holder(self._announcer.sender, step.vip.ip)
        if not mac:
            return f"nobody answers for it on {self._interface.name}"
        said = f"{mac} on {self._interface.name} has it"
        if step.stop:
            raise StepError(f"{said}: it is not bound here too (split_brain_guard); find that host")
        log.warning("conflict: %s: %s; it is bound all the same", step.vip, said)
        return said

    def renew(self, vips: Iterable[Vip]) -> None:
        """Have the kernel keep what is bound for as long as it may be."""
        for vip in vips:
            self._interface.renew(vip.ip, self._lifetime(vip))

    def _named(self, part: str, vip: Vip) -> str:
        """Return the name of a part of a change: that of the active master role goes without its VIP."""
        return part if vip.role == self._conf.active_master_role else f"{part} {vip}"

    def _lease_of(self, vip: Vip) -> int:
        """Return for how many seconds the VIP may be bound now; raises StepError."""
        lifetime = self._lifetime(vip)
        if lifetime < 0:
            raise LeaseOverError
        return lifetime

    def _deny_writes(self, session: Session) -> str:
        server = session.open()
        grace = float(self._conf.max_kill_retries)
        began = time.monotonic()
        calm(server, grace=grace, keep=self.keep)
        waited = time.monotonic() - began
        if waited > NOTABLE:
            self._watch.add("await writers", waited)
        grace = max(0.0, grace - waited)
        began = time.monotonic()
        with self._blocked():
            if self._blocks:
                grace = self._await_clients(server, grace)
            result = deny_writes(server, grace=grace, keep=self.keep)
        self._watch.add("freeze", result.denied)
        self._watch.add("end clients", time.monotonic() - began - result.denied)
        self._writes = False
        self._left = None if result.stay is None else (began + result.denied, result.stay)
        said = f"read_only=1, {result.ended} clients ended"
        if result.finished or result.ended_writers:
            said += f", {result.finished} writers finished, {result.ended_writers} ended"
        if result.remaining:
            log.warning("deny writes: %d sessions are not gone yet %s", result.remaining, result.problem)
        return said

    def _await_clients(self, server: Connection, grace: float) -> float:
        """Let whoever writes finish what it is at, at most `grace` seconds; returns what is left of these.

        A session that is seen at rest once has finished: new clients are kept out, but old ones go on writing.
        """
        deadline = time.monotonic() + grace
        at_work = writers(server, keep=self.keep)
        while at_work and time.monotonic() < deadline:
            time.sleep(TRANSACTIONS_AGE)
            at_work &= writers(server, keep=self.keep)
        return max(0.0, deadline - time.monotonic())

    @contextmanager
    def _blocked(self) -> Iterator[None]:
        """Keep new clients out meanwhile, where `blocking_type soft` asks for it."""
        if not self._blocks:
            yield
            return
        _command("iptables_block_cmd", self._conf.iptables_block_cmd)
        try:
            yield
        finally:
            _command("iptables_unblock_cmd", self._conf.iptables_unblock_cmd)

    def _follow(self, master: Host, session: Session) -> str:
        self._see_login(master)
        with connect(agent_at(master), ANSWER_LIMIT) as at_source:
            source = replicates_from(master)
            return follow(session.open(), source, at_source, self._conf.sync_timeout).value

    def _renew_login(self, master: Host, session: Session) -> str:
        self._see_login(master)
        renew_login(session.open(), replicates_from(master), self._conf.sync_timeout)
        return f"as {master.replication_user}"

    def _see_login(self, master: Host) -> None:
        """Raise StepError where a replica could not log in: one that works is not to be broken."""
        if why_not := refused_login(master, ANSWER_LIMIT):
            raise StepError(why_not, NO_LOGIN)


def _code(step: Step, error: Exception) -> str:
    """Return the code of why a step failed."""
    if isinstance(error, FollowRefusedError):
        return REFUSES_TO_FOLLOW
    if isinstance(error, StepError) and error.code != NOT_DONE:
        return error.code
    return NOT_FOLLOWED if isinstance(step, Follow) else NOT_DONE


def can_block(conf: Cluster) -> bool:
    """Tell whether `blocking_type soft` is wanted and can be had; says once what is missing for it."""
    if conf.blocking_type != "soft":
        return False
    for key, command in (
        ("iptables_block_cmd", conf.iptables_block_cmd),
        ("iptables_unblock_cmd", conf.iptables_unblock_cmd),
    ):
        if not _can_run(command):
            log.warning(
                "blocking_type soft: %s (%r) cannot be run, so writes are denied as with hard:"
                " install its program, or write `blocking_type hard`",
                key,
                command,
            )
            return False
    return True


def _can_run(command: str) -> bool:
    try:
        words = shlex.split(command)
    except ValueError:
        return False
    return bool(words) and shutil.which(words[0]) is not None


def kept_users(conf: Cluster) -> frozenset[str]:
    """Return the MySQL users whose sessions this host's agent never ends."""
    users = (user for host in conf.hosts.values() for user in (host.agent_user, host.replication_user))
    return frozenset((*users, conf.hosts[conf.this].monitor_user, *conf.keep_users)) - {""}


def agent_at(host: Host) -> Address:
    """Return where the agent user reaches the host's server."""
    return Address(host.ip, host.mysql_port, host.agent_user, host.agent_password, tls_of(host))


def _command(key: str, command: str) -> None:
    """Run a command of the conf; a failure is logged, for denying writes must go on."""
    _warn_of(key, lambda: _run(command))


def _run(command: str) -> None:
    result = subprocess.run(
        shlex.split(command),
        check=False,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=COMMAND_LIMIT,
    )
    if result.returncode:
        text = " ".join(result.stderr.decode(errors="replace").split())[:200]
        raise StepError(f"exit status {result.returncode}: {text}")


def _warn_of(key: str, call: Callable[[], None]) -> None:
    try:
        call()
    except (OSError, ValueError, subprocess.SubprocessError, StepError) as error:
        log.error("%s failed: %s", key, error)


def _milliseconds(begin: float) -> float:
    return (time.monotonic() - begin) * 1000
