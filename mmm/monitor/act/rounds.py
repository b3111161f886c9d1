"""The rounds of questions by which a monitor comes to lead, and leads on (rule 14.2), by `mmm.lease.leading`."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable
from math import inf
from typing import Any

from mmm.config.model import Cluster, Host
from mmm.lease.lead import Lead
from mmm.lease.leading import Round
from mmm.lease.quorum import keep
from mmm.lease.record import NOTHING, Record
from mmm.monitor.act import voters
from mmm.monitor.act.agents import Agents
from mmm.monitor.act.other_monitors import OtherMonitors
from mmm.monitor.act.tokens import HostTokens
from mmm.monitor.act.word import Word
from mmm.monitor.decide import leading as decide
from mmm.monitor.world.events import Answer
from mmm.monitor.world.world import World
from mmm.wire import voting
from mmm.wire.agent import SET_STATUS

GLANCE = 0.5
"""Seconds between two looks of a monitor that stands by, at most, and for which an order waits for a round."""


class Rounds:
    """The rounds of one monitor, epoch after epoch.

    `vouched` tells until when, by the monotonic clock, an admin vouches that no other monitor leads; `told` is called
    when a round is complete.
    """

    def __init__(
        self,
        world: Callable[[], World],
        agents: Agents,
        others: OtherMonitors,
        word: Word,
        vouched: Callable[[], float],
        told: Callable[[], None],
    ) -> None:
        self._world, self._others, self._word, self._vouched, self._told = world, others, word, vouched, told
        self.tokens = HostTokens()
        agents.heard_token, agents.binds = self.tokens.heard, self.bind
        self.voters = voters.Voters(world().conf, agents)
        self.period = world().conf.lead_lease / 4
        self.epoch: Lead | None = None
        self.asked = self.complete = -inf
        """When the newest round was asked, and the newest complete one."""
        self._round, self._number = Round(), 0
        self.agreed: set[str] = set()
        """Voters that have agreed to the round, also those that have lost their disk."""
        self._heard: dict[str, voting.Said] = {}
        self._bound: dict[str, float] = {}
        """When each agent was asked last what it has agreed to, of this epoch."""
        self.records: list[Record] = []
        """What the voters had on record that agreed to the first round of the epoch."""
        self._sent = self.counted = NOTHING
        """The record that went with the round, and the newest of this epoch that counts."""
        self.by_monitors, self.by_force, self._vouched_until = False, False, -inf
        """It counted by the word of the others, or of an admin; until when that is good by which the epoch began."""
        self.lost = ""
        """Why this monitor leads no more; empty: nothing says so."""
        self._words: Lead | None = None
        """The epoch by which others were asked for their word."""
        self._asking: set[asyncio.Task[None]] = set()
        self._following: dict[str, asyncio.Task[None]] = {}
        """What asks agents without a vote."""
        self._over, self.again = asyncio.Event(), asyncio.Event()
        self._completed = asyncio.Condition()
        self.kept = self.missing = tuple[str, ...]()
        """Voters that had agreed to the round before, and those that had not answered."""

    @property
    def _conf(self) -> Cluster:
        """Return the conf by now: a reload may have brought hosts, or taken some away."""
        return self._world().conf

    @property
    def leads(self) -> bool:
        """Tell whether a round of the epoch was complete."""
        return self.epoch is not None and self._round.leads

    def begin(self, epoch: Lead, missing: tuple[str, ...]) -> None:
        """Begin an epoch; `missing` are voters that have not answered just before."""
        self.epoch, self._round = epoch, Round()
        self.tokens.forget()
        self.records, self.lost, self.counted, self._bound = [], "", NOTHING, {}
        self.by_force, self._vouched_until = False, -inf
        self.kept, self.missing = (), missing

    def end(self) -> None:
        """Ask no more in this epoch."""
        self.epoch, self.lost = None, ""
        self.forget()

    def forget(self) -> None:
        """Wait for no answer any more."""
        for task in (*self._asking, *self._following.values()):
            task.cancel()

    async def ask(self, epoch: Lead, record: Record, limit: float) -> bool:
        """Ask the voters; tells whether enough agree in `limit` seconds. Others are heard for as long as it lasts."""
        self._note()
        for task in self._asking:
            task.cancel()
        self._number, self.asked = self._number + 1, time.monotonic()
        self._round, self.agreed, self._heard, self._sent = self._round.asked(), set(), {}, record
        if not self._round.leads:
            for name in self.missing:
                self._round = self._round.refused(name)
        self.tokens.asked()
        self._over = asyncio.Event()
        for name in self._conf.voters:
            self._also(self._ask(self._conf.agents[name], self._question(name, epoch), self._number))
        if self._round.leads:
            self._also(self._ask_others(epoch, self._number))
            self._have_follow()
        try:
            async with asyncio.timeout(limit):
                await self._over.wait()
        except TimeoutError:
            return False
        if self.lost or self._round.open:
            return False
        async with self._completed:
            self._completed.notify_all()
        return True

    def _question(self, name: str, epoch: Lead) -> voting.Asked:
        return voting.Asked(epoch, self._conf.lead_lease, self._sent, self.tokens.seen.get(name, ""))

    def _also(self, asking: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(asking)
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    def _have_follow(self) -> None:
        """Ask the agents without a vote that have to follow by their next order. No later round ends that."""
        newest = self.tokens.newest
        for name in decide.to_follow(self._world(), self._bound, newest, self.asked, self.period):
            if name not in self._following:
                asking = self._follow(self._conf.agents[name])
                self._following[name] = task = asyncio.get_running_loop().create_task(asking)
                task.add_done_callback(lambda _, name=name: self._following.pop(name, None))  # type: ignore[misc]

    async def _follow(self, host: Host) -> None:
        epoch, moment = self.epoch, time.monotonic()
        if epoch is None:
            return
        spoken = await self.voters.put(host, self._question(host.name, epoch))
        said = voters.said(spoken)
        if said is not None and self.epoch == epoch:
            self._take_in(host.name, said, moment, agrees=spoken.answer is Answer.OK)

    async def _ask_others(self, epoch: Lead, number: int) -> None:
        """Have the round counted by the word of all other monitors, where too few voters answer.

        They must be the same ones that the record which counts names: nobody else takes the lead then. Voters that have
        not answered the last time are hardly waited for: a token for a short lease would be too old by then.
        """
        pause, answered = min(GLANCE, self.period / 4), len(self._conf.voters) - len(self.missing)
        await asyncio.sleep(pause if answered >= keep(len(self._conf.voters)) else pause / 4)
        while self.counted.monitors == set(self._conf.monitors) and self._is_open(number):
            self._words = epoch
            if await self._others.words(epoch, self._conf.lead_lease) and self._is_open(number):
                self._finish()
            await asyncio.sleep(pause)  # a standby may not have noticed yet that it reaches no more voters

    def _is_open(self, number: int) -> bool:
        return number == self._number and self._round.open and not self.lost

    async def _ask(self, host: Host, question: voting.Asked, asked: int) -> None:
        """Ask a voter, and take in what it says; before this monitor leads again and again while it says nothing."""
        moment, limit = self.asked, max(self.period, voters.PATIENCE)
        if self._round.leads:
            spoken = await self.voters.put(host, question, limit)
        else:
            spoken = await self.voters.put_again(host, question, limit)
        said = voters.said(spoken)
        if asked != self._number or self.epoch is None:
            return
        if said is None:
            self._refused(host.name)
        else:
            self._take_in(host.name, said, moment, agrees=spoken.answer is Answer.OK)

    def _take_in(self, name: str, said: voting.Said, moment: float, *, agrees: bool) -> None:
        self._word.heard([said])
        if said.highest is not None and self.epoch is not None and said.highest > self.epoch:
            self.lost = f"{name} has agreed to {said.highest.address} since"
            self._over.set()
            self.again.set()
            return
        if agrees:
            self._bound[name] = moment
        if name not in self._conf.voters or moment < self.asked:
            return  # what was asked before the round does not know its record
        self._heard[name] = said
        if not agrees:
            self._refused(name)
            return
        self.agreed.add(name)
        if not self._round.leads:
            self.records.append(said.record)
        forced = self._is_forced
        if forced or not said.changed:
            self._round = self._round.heard(name, new=said.new or said.changed)
        if self._round.is_complete(len(self._conf.voters), forced=forced):
            self._finish()

    @property
    def _is_forced(self) -> bool:
        """Tell whether voters count that are new, by the word of an admin: until a round has counted without them.

        They are made whole by tokens that may be used, and none may before a later round is complete.
        """
        if self._round.leads:
            return self.by_force and time.monotonic() < self._vouched_until
        return time.monotonic() < self._vouched()

    def _refused(self, name: str) -> None:
        """Note that a voter does not agree; a first round for which too few are left ends."""
        self._round = self._round.refused(name)
        if self._round.is_hopeless(len(self._conf.voters)):
            self._over.set()

    def _finish(self) -> None:
        """Let the tokens be used that were there before the round was asked."""
        counts = self._round.counts_record(len(self._conf.voters))
        self.by_force = self._is_forced and not counts
        if not self._round.leads:
            self._vouched_until = self._vouched()
        elif counts:
            self.counted = self._sent
        self.by_monitors = self._round.leads and not counts
        self._round, self.complete = self._round.complete(), self.asked
        self.tokens.complete()
        self._told()
        self._over.set()

    def _note(self) -> None:
        """Note who has agreed to the round that ends, for people."""
        if self._round.leads:
            names = self._conf.voters
            self.kept = tuple(name for name in names if name in self.agreed)
            self.missing = tuple(name for name in names if name not in self._heard)

    # --- what waits for a round

    async def refresh(self, limit: float = GLANCE) -> bool:
        """Return once a round is complete that was asked from now on; False when there was none in `limit` seconds.

        Then tokens may be sent, and enough voters have the record as it is now.
        """
        if self.epoch is None:
            return False
        asked = self._number
        self.again.set()
        try:
            async with asyncio.timeout(limit), self._completed:
                await self._completed.wait_for(lambda: self.complete >= self.asked and self._number > asked)
        except TimeoutError:
            return False
        return True

    async def bind(self, host: Host, command: str) -> bool:
        """Tell whether an agent may be sent an order; one that was not asked lately is asked first to follow.

        An order to set a status has a token, which shows that its sender leads. For any other one a round is asked
        once the agent has agreed: it may not have heard yet of who leads since.
        """
        bound = self._bound.get(host.name, -inf) + self._conf.lead_lease
        if self.epoch is None or time.monotonic() < bound:
            return True
        known = self._world().hosts.get(host.name)
        if known is None or known.agent.about.classic:
            return True
        await self._follow(host)
        return command == SET_STATUS or await self.refresh()

    # --- giving it back

    async def release(self, epoch: Lead, hosts: Iterable[Host]) -> None:
        """Say that this monitor leads no more by the epoch."""
        await asyncio.gather(self.voters.release(hosts, epoch), self.give_words_back(epoch))

    async def give_words_back(self, epoch: Lead) -> None:
        """Have the others bound by their word no more."""
        if self._words == epoch:
            await self._others.words(epoch, 0)
