"""Carries out an agent's plan on the simulated machine, step by step, and takes its writer role away."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from mmm.agent.decide.failure import Failure, failures
from mmm.agent.decide.obedience import Changed, Outcome
from mmm.agent.decide.seen import Seen, Server
from mmm.agent.decide.steps import AllowWrites, Bind, Chain, DenyWrites, Follow, Plan, Step
from mmm.config.model import Vip
from mmm.wire.why import LEASE_OVER, NOT_DONE, NOT_FOLLOWED
from tests.simulation.clock import Clock
from tests.simulation.machine import Machine
from tests.simulation.watch import Watch

_LATE = "the lease of the order has run out meanwhile"
_CODES: Mapping[type, str] = {Follow: NOT_FOLLOWED}


@dataclass(slots=True)
class Work:
    """A plan that is being carried out; `ended` is told what it came to."""

    planned: Plan
    seen: Seen
    ended: Callable[[Changed], None]
    chain: int = 0
    step: int = 0
    failures: tuple[Failure, ...] = ()
    steps: tuple[Step, ...] = ()
    """Those that were done."""
    unfinished: tuple[Chain, ...] = ()
    writes: bool | None = None
    """Writes were allowed, or denied; None: neither."""


class Hands:
    """What an agent does to its machine.

    `lifetime` tells how long a VIP may be bound now, -1: it may not; `holds` whether the writer's lease is held.
    """

    def __init__(
        self,
        machine: Machine,
        clock: Clock,
        watch: Watch,
        awake: Callable[..., bool],
        lifetime: Callable[[Vip], int],
        holds: Callable[[], bool],
    ) -> None:
        self._machine = machine
        self._clock = clock
        self._watch = watch
        self._awake = awake
        self._lifetime = lifetime
        self._holds = holds

    def go_on(self, work: Work) -> None:
        """Do steps until one takes time, then go on when it is over."""
        if self._awake(self.go_on, work):
            return
        while work.chain < len(work.planned.chains):
            takes = self._machine.duration(work.planned.chains[work.chain][work.step])
            if takes:
                self._clock.after(takes, self._finish_step, work)
                return
            self._do(work)
        outcome = Outcome((*failures(*work.planned.refusals), *work.failures), work.planned.notes)
        bound = frozenset(self._machine.bound)
        work.ended(Changed(outcome, work.seen, work.steps, work.unfinished, bound, work.writes))

    def _finish_step(self, work: Work) -> None:
        if not self._awake(self._finish_step, work):
            self._do(work)
            self.go_on(work)

    def _do(self, work: Work) -> None:
        chain = work.planned.chains[work.chain]
        step = chain[work.step]
        late = isinstance(step, Bind | AllowWrites) and self._lifetime(step.vip) < 0
        failure = _LATE if late else self._machine.do(step)
        if isinstance(step, Bind) and not failure:
            self._machine.expire(step.vip.ip, self._lifetime(step.vip))
        if self._clock.history is not None:
            self._clock.say(f"    {self._machine.name}: {step}{f': FAILED: {failure}' if failure else ''}")
        if not failure:
            work.steps += (step,)
            if isinstance(step, AllowWrites | DenyWrites):
                work.writes = isinstance(step, AllowWrites)
        else:
            code = LEASE_OVER if late else _CODES.get(type(step), NOT_DONE)
            work.failures += (Failure(failure, code, str(step)),)
            work.unfinished += (chain,)
            kept = late and self._holds()
            allowed = any(isinstance(before, AllowWrites) for before in chain[: work.step])
            if work.writes and allowed and not kept:
                work.writes = bool(self._machine.do(DenyWrites()))
        self._watch.stepped(self._machine, step)
        work.step += 1
        if failure or work.step == len(chain):
            work.chain, work.step = work.chain + 1, 0

    def fence(self) -> str:
        """Set read_only and end clients; returns why that is not so."""
        if self._machine.server is Server.UP:
            self._machine.writable = False
        can_write = self._machine.server in {Server.SILENT, Server.REFUSING}
        return f"server is {self._machine.server.value}" if can_write else ""

    def drop(self, vips: Iterable[Vip]) -> None:
        """Unbind VIPs whose lease is over, unless the interface is stuck."""
        if self._clock.now >= self._machine.stuck_until:
            ips = {vip.ip for vip in vips}
            self._machine.bound -= ips
            self._machine.hand -= ips
