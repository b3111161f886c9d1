"""Changes of this host, and the looks they begin with; all of this blocks, and runs in the changing thread.

The outcome of a change is returned and nothing is kept here: only the loop knows what is assigned, and by then that may
be less than when the change began.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

from mmm.agent.act.accounts import agent_at
from mmm.agent.act.observe import look
from mmm.agent.act.server_session import ANSWER_LIMIT, ServerSession
from mmm.agent.act.steps import Steps
from mmm.agent.decide.actions import Change, How, Prepared
from mmm.agent.decide.failure import Failure, failures
from mmm.agent.decide.held_lease import HeldLease
from mmm.agent.decide.lease_watch import UNDISTURBED
from mmm.agent.decide.obedience import Changed, Outcome
from mmm.agent.decide.plan import HARD_OFFLINE, Facts, Past, clear, plan, put_right
from mmm.agent.decide.seen import Seen
from mmm.agent.decide.steps import Plan, Unbind, UnbindElsewhere
from mmm.clock import clock
from mmm.config.model import Cluster, Vip
from mmm.mysql.session.connection import MysqlError
from mmm.network.vips import Interface, InterfaceError, NoInterfaceError
from mmm.wire.status import Status

FAILED_LIMIT = 0.3
"""Seconds that a server which the monitor has found failed may take to answer: others wait for its VIPs.

What it is late for is confirmed later.
"""
SHORTEST_LIMIT = 0.25
"""Seconds that a server may take at least where a short lease is renewed; less than ANSWER_LIMIT.

While an order waits for a server that is silent, the monitor cannot send the next one, which renews the lease.
"""


class Changes:
    """What an agent does to its host. Only `close` is for another thread than the changing one."""

    def __init__(
        self,
        conf: Cluster,
        interface: Interface,
        steps: Steps,
        held: Callable[[], HeldLease],
        known: Facts,
    ) -> None:
        self._interface = interface
        self._steps = steps
        self._jobs = steps.at.jobs
        self._held = held
        """The lease as it stands when it is asked for."""
        self._facts = known
        self._leases = conf.vip_lease > 0
        self._ips = tuple(vip.ip for vip in conf.vips)
        self._session = ServerSession(agent_at(conf.hosts[conf.this]))

    def carry_out(self, wanted: Change) -> Changed:
        """Look, plan and do the steps; returns what that came to."""
        match wanted.how:
            case How.CLEAR:
                return self._clear(wanted.status)
            case How.PUT_RIGHT:
                return self._make(wanted, put_right)
            case How.APPLY:
                return self._make(wanted, plan)

    def _clear(self, status: Status) -> Changed:
        """Remove the cluster's VIPs that are not assigned."""
        session = self._session
        try:
            seen = look(self._interface, self._ips, session)
            planned: Plan = clear(status.vips, seen, self._facts)
            done = self._steps.carry_out(planned, session)
        except InterfaceError as error:
            return Changed(Outcome(failures(str(error))))
        finally:
            session.rest()
        removed = len({step.vip for step in done.steps if isinstance(step, Unbind | UnbindElsewhere)})
        return Changed(Outcome(done.failures, planned.notes, removed=removed))

    def get_ready(self) -> tuple[Prepared | None, str]:
        """Look, and open what the next order needs; returns what was seen, and what is wrong with a server."""
        prepared, problem = self.look_ahead()
        try:
            self._steps.prepare()
        except MysqlError as error:
            return prepared, error.text
        return prepared, problem

    def look_ahead(self) -> tuple[Prepared | None, str]:
        """Look for the next order, which needs no peer any more; returns what was seen, and what is wrong."""
        self._session.rest()
        began = clock()
        try:
            seen = look(self._interface, self._ips, self._session)
        except InterfaceError as error:
            return None, str(error)
        return None if seen.problem else Prepared(began, clock(), seen), seen.problem

    def close(self) -> None:
        """End the connection to the server."""
        self._session.close()

    def _make(self, wanted: Change, decide: Callable[[Status, Seen, Facts, Past], Plan]) -> Changed:
        session, status = self._session, wanted.status
        session.limit = self._answer_limit(wanted)
        try:
            # A server that says nothing is waited for, and the kernel counts meanwhile.
            not_renewed = self._renew(status.vips) if wanted.renews else None
            seen = wanted.seen or look(self._interface, self._ips, session)
            seen = replace(seen, job=self._jobs.look().job)
            planned = decide(status, seen, self._facts, wanted.past)
            stays = [vip for vip in status.vips if vip.ip in seen.bound]
            # Who is to take over waits for what leaves, and clients for what is bound.
            leaves = any(isinstance(step, Unbind) for step in planned.steps)
            if not_renewed is None and leaves and not 0 < self._held().left(clock()) < UNDISTURBED:
                not_renewed = self._renew(stays)
            done = self._steps.carry_out(planned, session)
            not_renewed = self._renew(stays) if not_renewed is None else not_renewed
        except InterfaceError as error:
            return Changed(Outcome(failures(str(error))))
        finally:
            session.rest()
        refused = tuple(Failure(text, planned.code) for text in planned.refusals)
        failed = (*refused, *done.failures, *failures(*not_renewed))
        bound = self._bound() if failed else None
        gone = {step.vip.ip for step in done.steps if isinstance(step, UnbindElsewhere)}
        left = None if bound is None else bound | (seen.stray - gone)
        outcome = Outcome(failed, planned.notes, took=done.took, bound=left)
        return Changed(outcome, seen, done.steps, done.unfinished, bound, done.writes)

    def _bound(self) -> frozenset[str] | None:
        """Return the cluster's VIPs that are bound, None when the kernel does not tell."""
        try:
            return frozenset(self._interface.bound(self._ips))
        except NoInterfaceError:
            return frozenset()
        except InterfaceError:
            return None

    def _renew(self, vips: Iterable[Vip]) -> tuple[str, ...]:
        """Renew those that are bound; returns why that failed."""
        if not self._leases:
            return ()
        try:
            self._steps.renew(vips)
        except InterfaceError as error:
            return (str(error),)
        return ()

    def _answer_limit(self, wanted: Change) -> float:
        """Return the seconds that the server may take for each answer while an order is carried out.

        With short leases it is short where the order renews one: who takes the role, or gives it up, has none to lose.
        """
        limit = FAILED_LIMIT if wanted.status.state == HARD_OFFLINE else ANSWER_LIMIT
        held = self._held()
        return min(limit, max(SHORTEST_LIMIT, held.length / 4)) if wanted.renews and held.leased else limit
