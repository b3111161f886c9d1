"""How this monitor comes to lead, and leads on: rounds of questions to the voters (rule 14.2). The rules: `mmm.lease`.

A monitor that stands by asks the voters whom they follow. When nobody is followed it asks them to follow it, and leads
once enough have agreed. From then on it asks again in rounds. Orders go out with tokens that it had before it asked the
round that is its newest complete one.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from math import inf
from typing import Any

from mmm.config.model import Cluster, Host
from mmm.lease.lead import Lead, authority
from mmm.lease.leading import Round
from mmm.lease.quorum import keep, take
from mmm.lease.record import NOTHING, Record
from mmm.lease.rules import margin
from mmm.monitor.act import voters
from mmm.monitor.act.agents import Agents
from mmm.monitor.act.other_monitors import OtherMonitors
from mmm.monitor.act.tokens import HostTokens
from mmm.monitor.act.word import Word
from mmm.monitor.decide import leading as decide
from mmm.monitor.world.events import Answer, Event, Led
from mmm.monitor.world.leadership import HandOver, Leadership, Place, TakeLead
from mmm.monitor.world.world import World
from mmm.wire import refrain, voting

GLANCE = 0.5
"""Seconds between two looks of a monitor that stands by, at most, and for which an order waits for a round."""
_APART = 0.15
"""Seconds by which one monitor of the conf asks later than the one before it, so that they do not part the voters."""

log = logging.getLogger(__name__)


class Leading:
    """One of several monitors.

    `post` takes what comes of it in as an event, `begin` makes a world of what there is once this monitor leads.
    """

    def __init__(
        self,
        conf: Cluster,
        agents: Agents,
        world: Callable[[], World],
        post: Callable[[Event], None],
        begin: Callable[[Record], Awaitable[None]],
        others: OtherMonitors,
    ) -> None:
        self._agents, self._world, self._post, self._begin = agents, world, post, begin
        own = conf.monitor.ip if conf.monitor else ""
        self._own, self._rank, self._classic = own, conf.monitors.index(own), frozenset[str]()
        self._started = agents.lead or Lead(0, authority(own, 0), "")
        self._tokens = HostTokens()
        agents.lead, agents.heard_token = None, self._tokens.heard
        self._voters = voters.Voters(conf, agents)
        self._period = conf.lead_lease / 4
        self._epoch: Lead | None = None
        self._word, self._others = Word(conf), others
        self._round, self._number, self._asked = Round(), 0, -inf
        self._complete = -inf
        """When the newest complete round was asked."""
        self._words: Lead | None = None
        """The epoch by which others were asked for their word."""
        self._agreed: set[str] = set()
        """Voters that have agreed to the round, also those that have lost their disk."""
        self._heard: dict[str, voting.Said] = {}
        self._records: list[Record] = []
        self._asking: set[asyncio.Task[None]] = set()
        self._over, self._again = asyncio.Event(), asyncio.Event()
        self._completed = asyncio.Condition()
        self._lost, self._leader = "", ""
        self._kept = self._missing = self._uncounted = tuple[str, ...]()
        self._record = self._sent = self._counted = NOTHING
        """The record by now, the one that went with the round, and the newest of this epoch that counts."""
        self._by_monitors, self._by_force, self._barred = False, False, frozenset[str]()
        """It counted by the word of the others, or of an admin; those that alone may take the lead, not this one."""
        self._taking: asyncio.Task[None] | None = None
        self._place, self._since, self._rests_until = Place.STANDS_BY, time.time(), 0.0

    @property
    def _conf(self) -> Cluster:
        """Return the conf by now: a reload may have brought hosts, or taken some away."""
        return self._world().conf

    @property
    def _forced(self) -> bool:
        """Tell whether an admin says that no other monitor leads, and this one is to take the lead."""
        asked = self._world().leadership.asked
        return isinstance(asked, TakeLead) and time.monotonic() < asked.until

    async def run(self) -> None:
        """Stand by and lead, for ever."""
        others = asyncio.get_running_loop().create_task(self._others.run())
        try:
            while True:
                await (self._stand_by() if self._epoch is None else self._lead_on())
        finally:
            others.cancel()
            self._forget()

    async def refresh(self, limit: float = GLANCE) -> bool:
        """Return once a round is complete that was asked from now on; False when there was none in `limit` seconds.

        Then tokens may be sent, and enough voters have the record as it is now.
        """
        if self._epoch is None:
            return False
        asked = self._number
        self._again.set()
        try:
            async with asyncio.timeout(limit), self._completed:
                await self._completed.wait_for(lambda: self._complete >= self._asked and self._number > asked)
        except TimeoutError:
            return False
        return True

    async def recorded(self, limit: float) -> bool:
        """Return once enough voters have the record as it is now; False when they have not in `limit` seconds."""
        try:
            async with asyncio.timeout(limit):
                while await self.refresh(limit):
                    if self._counted == self._record:
                        return True
        except TimeoutError:
            pass
        return False

    def word(self, asked: refrain.Asked) -> str:
        """Return what another monitor is told that asks this one for its word."""
        return self._word.answer(asked, stands_by=self._epoch is None)

    async def leave(self) -> None:
        """Say that this monitor leads no more: another takes the lead at once."""
        if self._epoch is not None:
            await self._release(self._epoch)

    # --- standing by

    async def _stand_by(self) -> None:
        looked = await self._look()
        unbound = [name for name, each in looked.said.items() if each.follows is None]
        if self._word.waits and await self._others.stand_by():
            self._word.uncounted()
        if len(unbound) >= take(len(self._conf.voters)) and self._may_ask():
            await asyncio.sleep(_APART * self._rank)
            if self._word.may_take and await self._take(looked.said):
                return
        await asyncio.sleep(looked.pause(min(self._period, GLANCE), asyncio.get_running_loop().time()))

    async def _look(self) -> voters.Looked:
        """Return whom each voter follows that answers, and tell the world."""
        looked = await self._voters.look(self._conf)
        self._classic = looked.classic
        self._word.looked(looked.said.values())
        self._bar(each.record for each in looked.said.values())
        self._leader = looked.leader(self._conf.monitors)
        self._kept = looked.followers(self._leader)
        self._missing = tuple(name for name in self._conf.voters if name not in looked.said)
        self._uncounted = looked.uncounted
        self._tell()
        return looked

    def _bar(self, records: Iterable[Record]) -> bool:
        """Tell whether the one before may lead by the word of other monitors than this one, by the newest record."""
        self._barred = decide.barred(records, self._own)
        return bool(self._barred)

    def _may_ask(self) -> bool:
        """Tell whether it may ask for the lead now.

        Not where an agent that may hold the writer role does not vote, for that may obey another monitor for good, nor
        where the one before may lead by the word of others: an admin has to know better.
        """
        if not self._word.may_take or time.monotonic() < self._rests_until:
            return False
        return self._forced or not (
            self._barred or any(host.name in self._classic for host in self._conf.masters)
        )

    async def _take(self, said: Mapping[str, voting.Said]) -> bool:
        """Ask all to follow this monitor; tells whether enough have agreed."""
        self._word.heard(said.values())
        self._epoch = self._agents.lead = self._started._replace(number=self._word.next_number)
        self._word.asks(self._epoch)
        self._tokens.forget()
        self._round, self._records, self._lost = Round(), [], ""
        self._counted = NOTHING
        whole = await self._ask_round(NOTHING, voters.PATIENCE)
        if not whole or (self._bar(self._records) and not self._forced):
            await self._release(self._epoch)
            self._give_up("")
            return False
        self._record = max([NOTHING, *self._records], key=Record.age)
        if self._by_force:
            self._record = decide.unsure(self._conf, self._record, self._epoch)
        self._to(Place.TAKES)
        agreed, number = ", ".join(sorted(self._agreed)), self._epoch.number
        log.info("%s: takes the lead as epoch %d, by the agreement of %s", self._own, number, agreed)
        self._taking = asyncio.get_running_loop().create_task(self._begin_with(self._record))
        return True

    async def _begin_with(self, record: Record) -> None:
        try:
            await self._begin(record)
        except Exception:
            log.exception("the lead is given up: what there is could not be found out")
            self._lost = "an internal error"
            return
        self._to(Place.LEADS, done=True)
        self._again.set()

    # --- leading

    async def _lead_on(self) -> None:
        epoch = self._epoch
        assert epoch is not None  # noqa: S101 - `run` asks for it
        self._again.clear()
        whole = await self._ask_round(self._written(epoch), max(self._period, voters.PATIENCE))
        asked = self._world().leadership.asked
        if isinstance(asked, HandOver) and self._place is Place.LEADS:
            await self._hand_over(epoch, asked.target)
            rest = self._conf.lead_lease + margin(self._conf.lead_lease)
            self._give_up("the admin has it handed over", rest)
            return
        if not self._lost and time.monotonic() - self._complete > self._conf.lead_lease:
            number = len(self._conf.voters)
            self._lost = f"{len(self._agreed)} of {number} voters agreed, {keep(number)} must"
            if self._others.listed:
                self._lost += ", and not all other monitors gave their word"
        if self._lost:
            self._give_up(self._lost)
            return
        pause = self._asked + self._period - time.monotonic() if whole else 0.05
        try:
            async with asyncio.timeout(max(pause, 0.01)):
                await self._again.wait()
        except TimeoutError:
            return

    def _written(self, epoch: Lead) -> Record:
        """Return the record that goes with the next round; none before it is known what there is."""
        if self._place is not Place.LEADS:
            return NOTHING
        self._record = decide.next_record(self._world(), epoch, self._record)
        return self._record

    async def _ask_round(self, record: Record, limit: float) -> bool:
        """Ask all agents; tells whether enough voters agree in time. The others are heard for as long as it lasts."""
        self._note_round()
        for task in self._asking:
            task.cancel()
        self._number, self._asked = self._number + 1, time.monotonic()
        self._round, self._agreed, self._heard, self._sent = self._round.asked(), set(), {}, record
        self._tokens.asked()
        self._over = asyncio.Event()
        for host in self._conf.agents.values():
            seen = self._tokens.seen.get(host.name, "")
            question = voting.Asked(self._epoch, self._conf.lead_lease, record, seen)
            self._also(self._ask(host, question, self._number))
        if self._round.leads:
            self._also(self._ask_others(self._epoch, self._number))
        try:
            async with asyncio.timeout(limit):
                await self._over.wait()
        except TimeoutError:
            return False
        if self._lost:
            return False
        async with self._completed:
            self._completed.notify_all()
        return True

    def _also(self, asking: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(asking)
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _ask_others(self, epoch: Lead | None, number: int) -> None:
        """Have the round counted by the word of all other monitors, where too few voters answer.

        They must be the same ones that the record which counts names: nobody else takes the lead then. Voters that have
        not answered the last time are hardly waited for: a token for a short lease would be too old by then.
        """
        pause, answered = min(GLANCE, self._period / 4), len(self._conf.voters) - len(self._missing)
        await asyncio.sleep(pause if answered >= keep(len(self._conf.voters)) else pause / 4)
        while epoch and self._counted.monitors == set(self._conf.monitors) and self._is_open(number):
            self._words = epoch
            if await self._others.words(epoch, self._conf.lead_lease) and self._is_open(number):
                self._finish()
            await asyncio.sleep(pause)  # a standby may not have noticed yet that it reaches no more voters

    def _is_open(self, number: int) -> bool:
        return number == self._number and self._round.open and not self._lost

    async def _ask(self, host: Host, question: voting.Asked, asked: int) -> None:
        spoken = await self._voters.put(host, question, max(self._period, voters.PATIENCE))
        said = voters.said(spoken)
        if asked != self._number or said is None or self._epoch is None:
            return
        self._word.heard([said])
        if said.highest is not None and said.highest > self._epoch:
            other = said.highest.address
            self._lost = f"{host.name} has agreed to {other} since"
            self._over.set()
            return
        if host.name not in self._conf.voters:
            return
        self._heard[host.name] = said
        if spoken.answer is not Answer.OK:
            return
        self._agreed.add(host.name)
        self._records.append(said.record)
        if self._forced or not said.changed:
            self._round = self._round.heard(host.name, new=said.new or said.changed)
        number = len(self._conf.voters)
        self._by_force = self._forced and not self._round.counts_record(number)
        if self._round.is_complete(number) or (self._forced and self._round.is_forced(number)):
            self._finish()

    def _finish(self) -> None:
        """Let the tokens be used that were there before the round was asked."""
        counts = self._round.counts_record(len(self._conf.voters))
        if self._round.leads and counts:
            self._counted = self._sent
        self._by_monitors = self._round.leads and not counts
        self._round, self._complete = self._round.complete(), self._asked
        self._tokens.complete()
        self._tell()
        self._over.set()

    def _note_round(self) -> None:
        """Note who has agreed to the round that ends, for people."""
        if self._epoch is None or not self._number:
            return
        names = self._conf.voters
        self._kept = tuple(name for name in names if name in self._agreed)
        self._missing = tuple(name for name in names if name not in self._heard)

    def _give_up(self, why: str, rest: float = 0.0) -> None:
        """Stand by again, for `rest` seconds at least; with a reason it led."""
        if why:
            log.warning("%s: stands by, no orders are given from here: %s", self._own, why)
        self._forget()
        self._epoch = self._agents.lead = None
        self._lost, self._leader = "", ""
        self._rests_until = time.monotonic() + max(rest, random.uniform(0.1, 0.6))  # noqa: S311
        self._to(Place.STANDS_BY, done=bool(why))

    def _forget(self) -> None:
        for task in (*self._asking, *((self._taking,) if self._taking else ())):
            task.cancel()
        self._taking = None

    async def _hand_over(self, epoch: Lead, target: str) -> None:
        """Give up the lead; with a `target` the other ones give their word, so that it takes it."""
        await self._give_words_back(epoch)
        if target:
            await self._others.words(epoch, self._conf.lead_lease, but=target)
        await self._voters.release(self._conf, epoch)

    async def _release(self, epoch: Lead) -> None:
        await asyncio.gather(self._voters.release(self._conf, epoch), self._give_words_back(epoch))

    async def _give_words_back(self, epoch: Lead) -> None:
        if self._words == epoch:
            await self._others.words(epoch, 0)

    # --- what the world is told

    def _to(self, place: Place, *, done: bool = False) -> None:
        if place is not self._place:
            self._place, self._since = place, time.time()
        if place is Place.LEADS:
            log.warning("%s: leads", self._own)
        self._tell(done=done)

    def _tell(self, *, done: bool = False) -> None:
        """Tell the world who leads, and hand it the tokens that may be used now."""
        leads = self._place is Place.LEADS
        now = Leadership(
            place=self._place,
            since=self._since,
            leader=self._own if leads else self._leader,
            kept_by=self._kept,
            missing=self._missing,
            uncounted=() if leads else self._uncounted,
            others=self._others.answering,
            by_monitors=leads and self._by_monitors,
            barred=() if leads else tuple(sorted(self._barred)),
            held=self._counted.held & self._record.held if leads else frozenset(),
            sure_until=self._complete + self._conf.lead_lease / 2 if leads else 0.0,
        )
        self._post(Led(now, self._tokens.handed_out() if self._round.leads else {}, done=done))
