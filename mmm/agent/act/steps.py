"""Carries out a plan: each step on its part, with its limit, its duration and its result in the log."""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mmm.agent.act.catch_up import CatchUpError
from mmm.agent.act.catch_up_step import CatchUpStep
from mmm.agent.act.lease_jobs import INTERNAL
from mmm.agent.act.replication_steps import ReplicationSteps
from mmm.agent.act.salvage_step import SalvageStep
from mmm.agent.act.server_kill import kill_server
from mmm.agent.act.server_session import ServerSession
from mmm.agent.act.step_error import StepError
from mmm.agent.act.stopwatch import Stopwatch
from mmm.agent.act.vip_steps import VipSteps
from mmm.agent.act.workplace import Workplace
from mmm.agent.act.write_steps import WriteSteps
from mmm.agent.decide.failure import Failure
from mmm.agent.decide.obedience import Laps
from mmm.agent.decide.steps import (
    AllowWrites,
    Bind,
    CatchUp,
    Chain,
    DenyWrites,
    Dispensable,
    Follow,
    KillServer,
    Plan,
    Probe,
    Salvage,
    Step,
    Sync,
    Unbind,
    UnbindElsewhere,
)
from mmm.config.model import Cluster, Vip
from mmm.mysql.server.follow import FollowRefusedError
from mmm.mysql.session.connection import MysqlError
from mmm.network.arp import Announcer
from mmm.network.vips import Interface, InterfaceError
from mmm.wire.why import LEASE_OVER, NOT_DONE, NOT_FOLLOWED, REFUSES_TO_FOLLOW

log = logging.getLogger(__name__)


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
        self._holds = holds
        self.at = Workplace(conf)
        self._vips = VipSteps(self.at, interface, announcer, lifetime)
        self._access = WriteSteps(self.at)
        self._replication = ReplicationSteps(self.at)
        self.salvage = SalvageStep(self.at, lifetime)
        self.catch_up = CatchUpStep(self.at, lifetime)
        self._complaints: dict[str, str] = {}

    def prepare(self) -> None:
        """Look and connect, so that nobody waits for it; raises MysqlError."""
        self._vips.prepare()
        self._replication.prepare()

    def renew(self, vips: Iterable[Vip]) -> None:
        """Have the kernel keep what is bound for as long as it may be."""
        self._vips.renew(vips)

    def carry_out(self, plan: Plan, session: ServerSession) -> Done:
        """Do the plan's steps in their order on the server of `session`; blocks, never raises for a step."""
        begin = time.monotonic()
        self.at.watch = Stopwatch()
        self._access.begin()
        self._vips.begin_probes(plan)
        done: list[Step] = []
        failures: list[Failure] = []
        unfinished: list[Chain] = []
        for chain in plan.chains:
            for step in chain:
                failure = self._timed(step, session)
                if failure is None:
                    done.append(step)
                elif not _is_dispensable(step, failure):
                    failures.append(failure)
                    unfinished.append(chain)
                    self._take_back(chain, step, failure, session)
                    break
        _whatever_comes("looking for locks", lambda: self._access.free_the_way(session))
        if done:
            what = ", ".join(map(str, done))
            rest = f"; failed: {len(failures)}" if failures else ""
            log.info("move: %s: %s%s, %.0f ms", self.at.here.name, what, rest, _milliseconds(begin))
        self._replication.rest()
        return Done(tuple(done), tuple(failures), tuple(unfinished), self.at.watch.laps, self._access.writes)

    def _take_back(self, chain: Chain, failed: Step, failure: Failure, session: ServerSession) -> None:
        """Deny the writes again that the chain may have allowed before a step of it failed.

        Where it was only late, and the lease is still held, they stay allowed to its end: the same order comes anew at
        once, and a slow host would never get further. The watch over the lease denies them else.
        """
        tried = chain[: chain.index(failed) + 1]
        if not self._access.writes or not any(isinstance(step, AllowWrites) for step in tried):
            return
        if failure.code == LEASE_OVER and self._holds():
            return
        _whatever_comes("denying writes again", lambda: self._access.deny_again(session))

    def _timed(self, step: Step, session: ServerSession) -> Failure | None:
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
        except Exception as error:
            # What follows is done all the same: a VIP leaves that another host waits for.
            log.exception("%s: %s ended by an internal error", step, self.at.here.name)
            session.close()
            failure = Failure(f"{INTERNAL}: {type(error).__name__}", NOT_DONE, str(step))
        else:
            self._complaints.pop(str(step), None)
            log.info("%s: %s: %s, %.0f ms", step, self.at.here.name, said, _milliseconds(begin))
            return None
        known = self._complaints.get(failure.step) == failure.text
        self._complaints[failure.step] = failure.text
        level = logging.DEBUG if known else logging.ERROR
        log.log(
            level, "%s: %s: FAILED, %.0f ms: %s", step, self.at.here.name, _milliseconds(begin), failure.text
        )
        return failure

    def _do(self, step: Step, session: ServerSession) -> str:
        """Do one step; returns what to say of it. Raises MysqlError, InterfaceError, CatchUpError, StepError."""
        match step:
            case Bind(vip, insist):
                return self._vips.bind(vip, insist=insist)
            case Probe():
                with self.at.watch.lap("probe"):
                    return self._vips.probed(step)
            case Unbind(vip):
                return self._vips.unbind(vip, session, self._access.stay())
            case UnbindElsewhere(vip):
                return self._vips.unbind_elsewhere(vip)
            case KillServer():
                with self.at.watch.lap(str(step)):
                    return kill_server(self.at.here)
            case DenyWrites():
                self.salvage.forget()
                self.catch_up.forget()
                return self._access.deny(session)
            case AllowWrites(vip):
                return self._allow(vip, session)
            case Sync():
                self.salvage.begin()
                self.catch_up.begin()
                with self.at.watch.lap("catch up"):
                    return self._replication.sync(session, step)
            case Salvage():
                with self.at.watch.lap("salvage"):
                    return self.salvage.do(step, session)
            case CatchUp():
                with self.at.watch.lap(str(step)):
                    return self.catch_up.do(step, session)
            case _:
                with self.at.watch.lap(str(step)):
                    return self._replication.do(step, session)

    def _allow(self, vip: Vip, session: ServerSession) -> str:
        self._vips.lease_of(vip)
        self._vips.see_listening(vip)
        self._access.allow(session)
        self._vips.lease_of(vip)  # it may have ended while the server took its time
        self._access.promoted()
        self.salvage.finish()
        self.catch_up.finish()
        return "read_only=0"


def _whatever_comes(what: str, do: Callable[[], None]) -> None:
    """Do what no step is; the change is concluded in any case."""
    try:
        do()
    except Exception:
        log.exception("%s ended by an internal error", what)


def _is_dispensable(step: Step, failure: Failure) -> bool:
    """Tell whether the order goes on without the step; salvaging may fail, but not outlast the lease."""
    return isinstance(step, Dispensable) or (isinstance(step, Salvage) and failure.code != LEASE_OVER)


def _code(step: Step, error: Exception) -> str:
    """Return the code of why a step failed."""
    if isinstance(error, FollowRefusedError):
        return REFUSES_TO_FOLLOW
    if isinstance(error, StepError) and error.code != NOT_DONE:
        return error.code
    return NOT_FOLLOWED if isinstance(step, Follow) else NOT_DONE


def _milliseconds(begin: float) -> float:
    return (time.monotonic() - begin) * 1000
