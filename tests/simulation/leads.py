"""Two monitors, of which one leads, in virtual time: the real rounds, words and votes, under faults.

Each monitor has a separate event loop, whose clock stands until the run moves it: one that is frozen is not moved, and
finds all its timers due when it thaws. Messages between monitors and agents take their time, are lost, or lie in a
buffer. Watched at every order that an agent obeys: no monitor has taken the lead since from the one that gave it. At
the end, when nothing breaks any more, one leads, and all agents obey it.
"""

import asyncio
import heapq
import selectors
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from math import inf
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import patch

from mmm.agent.act.voting import Voting
from mmm.config.model import Cluster, Host
from mmm.lease.lead import Lead
from mmm.lease.record import Record
from mmm.lease.rules import margin
from mmm.monitor.act import leading, rounds, tokens, word
from mmm.monitor.act.agents import CONNECT_TIMEOUT
from mmm.monitor.act.spoken import Spoken, of_reply
from mmm.monitor.apply.apply import apply
from mmm.monitor.world.events import Answer, Event, Led
from mmm.monitor.world.leadership import HandOver, Place
from mmm.monitor.world.world import World
from mmm.wire import refrain, voting
from mmm.wire.agent import Reply, Request
from tests.simulation.books import ViolationError
from tests.unit.test_monitor_leading import OTHER, OWN, of_several

LEASE = 4.0
SETTLES = 2 * (LEASE + margin(LEASE)) + 6.0
"""Seconds after the last fault in which one leads again: a boot is waited for, or who leads, and words."""
_LIMIT = 1.0


class _NeverWaits(selectors.SelectSelector):
    def select(self, _timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return []


class Loop(asyncio.SelectorEventLoop):
    """A loop whose clock stands until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_NeverWaits())

    def time(self) -> float:
        """Return the virtual time."""
        return self.now

    @property
    def due(self) -> float:
        """Return when its next timer is due."""
        return min((each.when() for each in self._scheduled if not each.cancelled()), default=inf)  # type: ignore[attr-defined]

    def move(self, now: float) -> None:
        """Move the clock, and do all that is due."""
        self.now = max(self.now, now)
        while self._ready or self.due <= self.now:  # type: ignore[attr-defined]
            self.call_soon(self.stop)
            self.run_forever()


@dataclass
class Agent:
    """An agent as far as it votes; its files outlive it, below /run those of this boot."""

    name: str
    conf: Cluster
    path: Path
    clock: Callable[[], float]
    began: float = 0.0
    frozen_until: float = 0.0
    voting: Voting = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Start it, as after its death."""
        self.began = self.clock()
        self.voting = Voting(self.conf, str(self.path), self.clock)

    def boot(self, *, disk: bool = True) -> None:
        """Boot its host, with an empty disk or not."""
        Path(f"{self.path}.lead").unlink(missing_ok=True)
        if not disk:
            Path(f"{self.path}.lead.voter").unlink(missing_ok=True)
        self.start()

    @property
    def token(self) -> str:
        """Return what its answers carry."""
        return f"{self.clock():.9f}"

    def given(self, token: str) -> float | None:
        """Return when this start of the agent gave the token."""
        return float(token) if token and float(token) >= self.began else None

    def answer(self, request: Request) -> Reply:
        """Return the answer to a question for the lead."""
        asked = voting.asked(request)
        refused = self.voting.asked(asked, self.given(asked.seen))
        text = f"ERROR: {refused}" if refused else "OK"
        why = voting.NOT_LED if refused else ""
        return Reply(text, voting.said_fields(self.voting.said()), 1.0, self.token, why)


class Monitor:
    """One start of a monitor; `lead` and `heard_token` are what `mmm.monitor.act.agents` has of it."""

    def __init__(self, run: "Run", ip: str, nonce: str) -> None:
        self.cluster, self.ip = run, ip
        self.loop = Loop()
        self.loop.now = run.now
        self.frozen_until, self.gone = 0.0, False
        self.lead: Lead | None = Lead(0, f"{ip}:9988", nonce)
        self.heard_token: Callable[[str, str], None] = lambda _host, _token: None
        one = of_several(place=Place.STANDS_BY)
        assert one.conf.monitor is not None
        own = replace(one.conf.monitor, ip=ip)
        self.world: World = replace(one, conf=replace(run.conf, monitor=own))
        self.usable: dict[str, str] = {}
        self.listed = tuple(other for other in run.conf.monitors if other != ip)
        self.loop.call_soon(self._begin)
        self.loop.move(run.now)

    @property
    def answering(self) -> tuple[str, ...]:
        """Return the other monitors that answer now."""
        known: dict[str, Monitor] = getattr(self.cluster, "monitors", {})
        return tuple(ip for ip in self.listed if ip in known and self._hears(known[ip]))

    def _hears(self, other: "Monitor") -> bool:
        awake = not other.gone and other.frozen_until <= self.cluster.now
        return awake and self.cluster.reaches(self.ip, other.ip)

    def _begin(self) -> None:
        given = cast("Any", self)
        self.leading = leading.Leading(
            self.world.conf, given, lambda: self.world, self._post, self._take_over, given
        )
        self.tasks = [self.loop.create_task(each) for each in (self.leading.run(), self._order())]

    async def _take_over(self, _: Record) -> None:
        await asyncio.sleep(0.1)

    def _post(self, event: Event) -> None:
        assert isinstance(event, Led)
        before, self.world = self.world.leadership.place, apply(self.world, event, self.cluster.now)
        now = self.world.leadership.place
        if before is Place.STANDS_BY and now is Place.TAKES:
            self.usable = {}
            self.cluster.takes(self)
        self.usable |= {name: token.text for name, token in event.tokens.items()}

    async def _order(self) -> None:
        """Give every host an order with a token that may be used, again and again."""
        while True:
            await asyncio.sleep(0.2 + 0.3 * self.cluster.draw.random())
            if self.lead is not None and self.world.leadership.place is Place.LEADS:
                for name, token in self.usable.items():
                    self.cluster.order(self, name, self.lead, token)
                self.usable = {}

    # What the monitor asks of agents, and of others

    async def run(self) -> None:
        """Look at the others for ever: nothing goes by that here."""
        await self.loop.create_future()

    async def ask(self, host: Host, request: Request, limit: float) -> Spoken:
        """Return what an agent answers."""
        asked = voting.asked(request)
        if asked.epoch is not None and asked.length == 0:
            self.cluster.released.setdefault(asked.epoch, self.cluster.now)
        if not self.cluster.reaches(self.ip, host.name):
            await asyncio.sleep(CONNECT_TIMEOUT)
            return Spoken(Answer.REFUSED, "no connection")
        reply: Reply | None = await self._answer(limit, self.cluster.ask_agent, host.name, request)
        if reply is None:
            return Spoken(Answer.SILENT, "no answer")
        self.heard_token(host.name, reply.token)
        return of_reply(reply)

    async def _answer(self, limit: float, put: Callable[..., None], *what: object) -> Any:
        future = self.loop.create_future()
        put(self, future, *what)
        with suppress(TimeoutError):
            async with asyncio.timeout(limit):
                return await future
        return None

    async def words(self, epoch: Lead, length: float, but: str = "") -> bool:
        """Tell whether the others give their word."""
        return await self._all(refrain.Asked(epoch, length, hand_over=bool(but)), but)

    async def stand_by(self) -> bool:
        """Tell whether the others neither lead nor ask for the lead."""
        return await self._all(refrain.Asked(None, 0))

    async def _all(self, asked: refrain.Asked, but: str = "") -> bool:
        others = [ip for ip in self.listed if ip != but]
        said = await asyncio.gather(
            *(self._answer(_LIMIT, self.cluster.ask_monitor, ip, asked) for ip in others)
        )
        return all(each == refrain.GIVEN for each in said)

    def end(self) -> None:
        """Let it die."""
        self.gone = True
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self.loop.close()


class Run:
    """A run of one seed."""

    def __init__(
        self,
        seed: int,
        folder: Path,
        seconds: float = 40.0,
        monitors: tuple[str, ...] = (OWN, OTHER),
        *,
        together: bool = False,
    ) -> None:
        self.together = together
        """Several things break at a time, too."""
        self.draw, self.now, self.seconds = Random(seed), 1000.0, seconds  # noqa: S311 - to be repeated
        conf = replace(of_several().conf, monitors=monitors, lead_lease=LEASE, vip_lease=LEASE)
        self.conf = conf
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._number = count()
        self.took: dict[Lead, float] = {}
        self.released: dict[Lead, float] = {}
        self._cut: dict[frozenset[str], float] = {}
        """Until when two do not reach each other."""
        self.slow_until, self.lost = 0.0, 0.01
        self.obeyed: list[tuple[float, str, Lead]] = []
        drift = {name: self.draw.uniform(0.98, 1.02) for name in conf.voters}
        self.agents = {
            name: Agent(name, conf, folder / f"{seed}.{name}", lambda name=name: self.now * drift[name])  # type: ignore[misc]
            for name in conf.voters
        }
        for agent in self.agents.values():  # a cluster that has been led before, and booted long ago
            agent.voting.voter = agent.voting.voter._replace(new=False, booted=-inf)
        self.monitors = {ip: Monitor(self, ip, f"a{place}") for place, ip in enumerate(conf.monitors)}

    def at(self, moment: float, do: Callable[[], None]) -> None:
        """Have something done at a moment."""
        heapq.heappush(self._heap, (moment, next(self._number), do))

    def until(self, end: float) -> None:
        """Let time pass."""
        while True:
            awake = [each for each in self.monitors.values() if not each.gone]
            due = min((max(each.loop.due, each.frozen_until) for each in awake), default=inf)
            message = self._heap[0][0] if self._heap else inf
            if min(due, message) > end:
                break
            if message <= due:
                self.now, _, do = heapq.heappop(self._heap)
                do()
            else:
                self.now = max(self.now, due)
                for each in awake:
                    if each.frozen_until <= self.now:
                        each.loop.move(self.now)
                        for task in (task for task in each.tasks if task.done()):
                            task.result()
        self.now = end

    # Messages

    def reaches(self, one: str, other: str) -> bool:
        """Tell whether messages between the two arrive."""
        return self.now >= self._cut.get(frozenset((one, other)), 0.0)

    def _pass(self, one: str, other: str, do: Callable[[], None], held: Callable[[], float]) -> None:
        """Have a message arrive, unless it is lost; who is frozen takes it in when it thaws."""
        late = (
            3 * LEASE * self.draw.random() if self.now < self.slow_until and self.draw.random() < 0.2 else 0.0
        )

        def arrive() -> None:
            if held() > self.now:
                self.at(held(), arrive)
            elif self.reaches(one, other):
                do()

        if self.reaches(one, other) and self.draw.random() >= self.lost:
            self.at(self.now + 0.001 + 0.01 * self.draw.random() + late, arrive)

    def _reply(self, asker: Monitor, other: str, future: "asyncio.Future[Any]", said: Any) -> None:
        def heard() -> None:
            if not asker.gone:
                asker.loop.now = max(asker.loop.now, self.now)
                asker.loop.call_soon(_tell, future, said)
                asker.loop.move(self.now)

        self._pass(other, asker.ip, heard, lambda: 0.0 if asker.gone else asker.frozen_until)

    def ask_agent(self, asker: Monitor, future: "asyncio.Future[Any]", name: str, request: Request) -> None:
        """Ask an agent."""
        agent = self.agents.get(name)
        if agent is not None:
            answer = lambda: self._reply(asker, name, future, agent.answer(request))  # noqa: E731
            self._pass(asker.ip, name, answer, lambda: agent.frozen_until)

    def ask_monitor(
        self, asker: Monitor, future: "asyncio.Future[Any]", ip: str, asked: refrain.Asked
    ) -> None:
        """Ask another monitor."""

        def answer() -> None:
            other = self.monitors[ip]
            if not other.gone:
                tell = lambda: self._reply(asker, ip, future, other.leading.word(asked))  # noqa: E731
                other.loop.now = max(other.loop.now, self.now)
                other.loop.call_soon(tell)
                other.loop.move(self.now)

        self._pass(asker.ip, ip, answer, lambda: self.monitors[ip].frozen_until)

    def order(self, monitor: Monitor, name: str, epoch: Lead, token: str) -> None:
        """Give an agent an order."""
        agent = self.agents.get(name)
        if agent is None:
            return

        def take() -> None:
            if not agent.voting.refusal(epoch, agent.given(token), needs_token=True):
                self._obeyed(agent, epoch)

        self._pass(monitor.ip, name, take, lambda: agent.frozen_until)

    def _obeyed(self, agent: Agent, epoch: Lead) -> None:
        self.obeyed.append((self.now, agent.name, epoch))
        for other, taken in self.took.items():
            free = self.released.get(epoch, inf) <= taken
            if other > epoch and not free:
                raise ViolationError(
                    f"{self.now:.3f}: {agent.name} obeys {epoch}, and {other} has taken the lead at {taken:.3f}"
                )

    def takes(self, monitor: Monitor) -> None:
        """Note who takes the lead."""
        assert monitor.lead is not None
        self.took[monitor.lead] = self.now

    # Faults

    def go(self) -> None:
        """Let faults come and go, and see that all is well at the end; raises ViolationError."""
        try:
            self._go()
        finally:
            for each in self.monitors.values():
                if not each.gone:
                    each.end()

    def _go(self) -> None:
        end = self.now + self.seconds
        moment = self.now + 5.0
        while (moment := moment + self.draw.expovariate(0.5)) < end:
            self.at(moment, lambda: self._fault(end))
        self.until(end)
        self.until(end + SETTLES)
        leads = [each for each in self.monitors.values() if each.world.leadership.place is Place.LEADS]
        lately = (
            {name for at, name, epoch in self.obeyed if at > self.now - LEASE and epoch == leads[0].lead}
            if leads
            else set()
        )
        if len(leads) != 1 or lately != set(self.agents):
            raise ViolationError(f"{len(leads)} lead at the end, obeyed by {sorted(lately)}")

    def _fault(self, end: float) -> None:
        until = min(end, self.now + 0.3 * 60 ** self.draw.random())
        monitor, agent = (
            self.draw.choice(list(self.monitors.values())),
            self.draw.choice(list(self.agents.values())),
        )
        faults: tuple[Callable[[], None], ...] = (
            lambda: setattr(monitor, "frozen_until", max(monitor.frozen_until, until)),
            lambda: setattr(agent, "frozen_until", max(agent.frozen_until, until)),
            lambda: self.cut_off(until, (monitor.ip, agent.name)),
            lambda: self.cut_off(until, *((monitor.ip, name) for name in self.agents)),
            lambda: self.cut_off(until, self.conf.monitors),
            lambda: self.cut_off(until, *((ip, agent.name) for ip in self.monitors)),
            lambda: self._crash(monitor, until),
            agent.start,
            agent.boot,
            lambda: setattr(self, "slow_until", until),
            lambda: self.hand_over(monitor),
        )
        self.draw.choice((*faults, *self._together(until)) if self.together else faults)()

    def _together(self, until: float) -> tuple[Callable[[], None], ...]:
        """Return faults that come together: what a rule guards against may take two."""
        agents = self.draw.sample(list(self.agents.values()), 2)
        leads = [each for each in self.monitors.values() if each.world.leadership.place is Place.LEADS]
        monitor = leads[0] if leads else next(iter(self.monitors.values()))
        parted = [(monitor.ip, agent.name) for agent in agents]
        wakes = self.now + LEASE * self.draw.uniform(1.2, 2.5)
        falls = self.now + LEASE * self.draw.uniform(0.2, 1.0)

        def freeze() -> None:
            monitor.frozen_until = max(monitor.frozen_until, wakes)

        def part() -> None:
            self.cut_off(until, *parted)
            self.at(falls, freeze)

        def restart(*, boots: bool) -> None:
            self.cut_off(max(until, wakes), *parted)
            for agent in agents:
                agent.boot() if boots else agent.start()

        return part, partial(restart, boots=True), partial(restart, boots=False)

    def cut_off(self, until: float, *pairs: tuple[str, ...]) -> None:
        """Have no message arrive between two, of each pair, until then."""
        for pair in map(frozenset, pairs):
            self._cut[pair] = max(self._cut.get(pair, 0.0), until)

    def _crash(self, monitor: Monitor, until: float) -> None:
        if not monitor.gone:
            monitor.end()
            self.at(
                until,
                lambda: self.monitors.update({monitor.ip: Monitor(self, monitor.ip, f"b{self.now:.0f}")}),
            )

    def hand_over(self, monitor: Monitor, target: str | None = None) -> None:
        """Have the admin hand the lead over, if this monitor has it; of several others mostly to a certain one."""
        now = monitor.world.leadership
        if monitor.gone or now.place is not Place.LEADS:
            return
        if target is None:
            choice = (*monitor.listed, "") if len(monitor.listed) > 1 else ("",)
            target = choice[int(self.now) % len(choice)]
        monitor.world = replace(monitor.world, leadership=replace(now, asked=HandOver(target)))


def _tell(future: "asyncio.Future[Any]", said: object) -> None:
    if not future.done():
        future.set_result(said)


@contextmanager
def virtual_time(seed: int) -> Iterator[None]:
    """Have monitors go by the clock of their loop, and chance by a seed."""
    clock = SimpleNamespace(monotonic=lambda: asyncio.get_running_loop().time(), time=lambda: 0.0)
    with (
        patch.object(leading, "time", clock),
        patch.object(rounds, "time", clock),
        patch.object(tokens, "time", clock),
        patch.object(word, "time", clock),
        patch.object(leading, "random", Random(seed)),  # noqa: S311
    ):
        yield
