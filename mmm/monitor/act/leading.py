"""How this monitor comes to lead, and leads on: rounds of questions to the voters (rule 14.2). The rules: `mmm.lease`.

A monitor that stands by asks the voters whom they follow. When nobody is followed it asks them to follow it, and leads
once enough have agreed. From then on it asks again in rounds. Orders go out with tokens that it had before it asked the
round that is its newest complete one.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from math import inf

from mmm.config.model import Cluster
from mmm.lease.lead import Lead, authority
from mmm.lease.quorum import keep, take
from mmm.lease.record import NOTHING, Record
from mmm.lease.rules import margin
from mmm.monitor.act import voters
from mmm.monitor.act.agents import Agents
from mmm.monitor.act.other_monitors import OtherMonitors
from mmm.monitor.act.rounds import GLANCE, Rounds
from mmm.monitor.act.word import Word
from mmm.monitor.decide import leading as decide
from mmm.monitor.world.events import Event, Led
from mmm.monitor.world.leadership import HandOver, Leadership, Place, TakeLead
from mmm.monitor.world.world import World
from mmm.wire import refrain, voting

_APART = 0.15
"""Seconds by which one monitor of the conf asks later than the one before it, so that they do not part the voters."""
_RESTS = 0.05, 0.35
"""Seconds for which one that has asked in vain, or leads no more, does not ask: somewhere between."""

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
        agents.lead = None
        self._word, self._others = Word(conf), others
        self._rounds = Rounds(world, agents, others, self._word, lambda: self._vouched, self._tell)
        self._voters, self._period = self._rounds.voters, self._rounds.period
        self._leader = ""
        self._kept = self._missing = self._uncounted = tuple[str, ...]()
        self._record, self._barred = NOTHING, frozenset[str]()
        """The record by now; those that alone may take the lead, not this one."""
        self._taking: asyncio.Task[None] | None = None
        self._releasing: asyncio.Task[None] | None = None
        self._place, self._since, self._rests_until = Place.STANDS_BY, time.time(), 0.0

    @property
    def _conf(self) -> Cluster:
        """Return the conf by now: a reload may have brought hosts, or taken some away."""
        return self._world().conf

    @property
    def _vouched(self) -> float:
        """Return until when, by the monotonic clock, an admin vouches that no other monitor leads."""
        asked = self._world().leadership.asked
        return asked.until if isinstance(asked, TakeLead) else -inf

    @property
    def _forced(self) -> bool:
        """Tell whether an admin says that no other monitor leads, and this one is to take the lead."""
        return time.monotonic() < self._vouched

    @property
    def _others_turn(self) -> float:
        """Return for how many seconds this monitor does not ask for the lead which it has left to others."""
        return self._conf.lead_lease + margin(self._conf.lead_lease)

    async def run(self) -> None:
        """Stand by and lead, for ever."""
        others = asyncio.get_running_loop().create_task(self._others.run())
        try:
            while True:
                epoch = self._rounds.epoch
                await (self._stand_by() if epoch is None else self._lead_on(epoch))
        except Exception:
            self._end_unled()
            raise
        finally:
            others.cancel()
            self._rounds.forget()
            if self._taking is not None:
                self._taking.cancel()

    def _end_unled(self) -> None:
        """Give up a lead that is held, or asked for, and by which nothing was ordered yet: nobody goes on with it."""
        epoch = self._rounds.epoch
        if epoch is not None and self._place is not Place.LEADS:
            self._let_go(epoch)
            self._give_up("an internal error", self._others_turn)

    async def refresh(self, limit: float = GLANCE) -> bool:
        """Return once a round is complete that was asked from now on; False when there was none in `limit` seconds."""
        return await self._rounds.refresh(limit)

    async def recorded(self, limit: float) -> bool:
        """Return once enough voters have the record as it is now; False when they have not in `limit` seconds."""
        try:
            async with asyncio.timeout(limit):
                while await self.refresh(limit):
                    if self._rounds.counted == self._record:
                        return True
        except TimeoutError:
            pass
        return False

    def obey(self) -> None:
        """Do what the admin has asked for at once, not only with the next round."""
        if isinstance(self._world().leadership.asked, HandOver):
            self._rounds.again.set()

    def word(self, asked: refrain.Asked) -> str:
        """Return what another monitor is told that asks this one for its word."""
        return self._word.answer(asked, stands_by=self._rounds.epoch is None)

    async def leave(self) -> None:
        """Say that this monitor leads no more: another takes the lead at once."""
        if (epoch := self._rounds.epoch) is not None:
            await self._rounds.release(epoch, self._conf.agents.values())

    # --- standing by

    async def _stand_by(self) -> None:
        looked = await self._look()
        if self._word.waits and await self._others.stand_by():
            self._word.uncounted()
        if self._are_free(looked) and self._may_ask():
            await asyncio.sleep(_APART * self._rank)
            if self._others_before:
                looked = await self._look()
            if self._are_free(looked) and self._word.may_take:
                await self._take(looked.said)
                await self._rest()
                return
        await asyncio.sleep(looked.pause(min(self._period, GLANCE), asyncio.get_running_loop().time()))

    def _are_free(self, looked: voters.Looked) -> bool:
        """Tell whether as many voters follow nobody as it takes to lead."""
        unbound = sum(each.follows is None for each in looked.said.values())
        return unbound >= take(len(self._conf.voters))

    @property
    def _others_before(self) -> bool:
        """Tell whether a monitor answers that stands before this one in the line: it may have asked by now.

        Who asks in vain, by an epoch that may be higher, can give the one that leads no word afterwards.
        """
        return not set(self._others.answering).isdisjoint(self._conf.monitors[: self._rank])

    async def _rest(self) -> None:
        """Wait until it may ask again: voters say until then that they are bound by what was asked for in vain."""
        if self._rounds.epoch is None:
            await asyncio.sleep(self._rests_until - time.monotonic())

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

    async def _take(self, said: Mapping[str, voting.Said]) -> None:
        """Ask the voters to follow this monitor, which takes the lead when enough agree."""
        self._word.heard(said.values())
        epoch = self._agents.lead = self._started._replace(number=self._word.next_number)
        self._word.asks(epoch)
        rounds = self._rounds
        rounds.begin(epoch, self._missing)
        whole = await rounds.ask(epoch, NOTHING, voters.PATIENCE)
        if not whole or (self._bar(rounds.records) and not self._forced):
            self._let_go(epoch)
            self._give_up("")
            return
        self._record = max([NOTHING, *rounds.records], key=Record.age)
        if rounds.by_force:
            self._record = decide.unsure(self._conf, self._record, epoch)
        self._to(Place.TAKES)
        agreed = ", ".join(sorted(rounds.agreed))
        log.info("%s: takes the lead as epoch %d, by the agreement of %s", self._own, epoch.number, agreed)
        self._taking = asyncio.get_running_loop().create_task(self._begin_with(self._record))

    def _let_go(self, epoch: Lead) -> None:
        """Have the voters follow an epoch no more that was asked for in vain; one that is silent is not waited for."""
        asked = [self._conf.agents[name] for name in self._conf.voters]
        self._releasing = asyncio.get_running_loop().create_task(self._voters.release(asked, epoch))

    async def _begin_with(self, record: Record) -> None:
        try:
            await self._begin(record)
        except Exception:
            log.exception("the lead is given up: what there is could not be found out")
            self._rounds.lost = "an internal error"
            return
        self._to(Place.LEADS, done=True)
        self._rounds.again.set()

    # --- leading

    async def _lead_on(self, epoch: Lead) -> None:
        rounds = self._rounds
        rounds.again.clear()
        whole = await rounds.ask(epoch, self._written(epoch), max(self._period, voters.PATIENCE))
        asked = self._world().leadership.asked
        if isinstance(asked, HandOver) and self._place is Place.LEADS:
            await self._hand_over(epoch, asked.target)
            self._give_up("the admin has it handed over", self._others_turn)
            return
        if lost := rounds.lost or self._overdue():
            self._give_up(lost)
            return
        pause = rounds.asked + self._period - time.monotonic() if whole else 0.05
        try:
            async with asyncio.timeout(max(pause, 0.01)):
                await rounds.again.wait()
        except TimeoutError:
            return

    def _overdue(self) -> str:
        """Return why this monitor leads no more, where no round was complete for too long."""
        if time.monotonic() - self._rounds.complete <= self._conf.lead_lease:
            return ""
        number = len(self._conf.voters)
        words = ", and not all other monitors gave their word" if self._others.listed else ""
        return f"{len(self._rounds.agreed)} of {number} voters agreed, {keep(number)} must{words}"

    def _written(self, epoch: Lead) -> Record:
        """Return the record that goes with the next round; none before it is known what there is."""
        if self._place is not Place.LEADS:
            return NOTHING
        self._record = decide.next_record(self._world(), epoch, self._record)
        return self._record

    def _give_up(self, why: str, rest: float = 0.0) -> None:
        """Stand by again, for `rest` seconds at least; with a reason it led."""
        if why:
            log.warning("%s: stands by, no orders are given from here: %s", self._own, why)
        self._rounds.end()
        if self._taking is not None:
            self._taking.cancel()
        self._taking = None
        self._agents.lead, self._leader, self._missing = None, "", self._rounds.missing
        self._rests_until = time.monotonic() + max(rest, random.uniform(*_RESTS))  # noqa: S311
        self._to(Place.STANDS_BY, done=bool(why))

    async def _hand_over(self, epoch: Lead, target: str) -> None:
        """Give up the lead; with a `target` the other ones give their word, so that it takes it."""
        await self._rounds.give_words_back(epoch)
        if target and not await self._others.words(epoch, self._conf.lead_lease, but=target):
            log.warning(
                "%s: not all other monitors gave their word: another one than %s may take the lead",
                self._own,
                target,
            )
        await self._voters.release(self._conf.agents.values(), epoch)

    # --- what the world is told

    def _to(self, place: Place, *, done: bool = False) -> None:
        if place is not self._place:
            self._place, self._since = place, time.time()
        if place is Place.LEADS:
            log.warning("%s: leads", self._own)
        self._tell(done=done)

    def _tell(self, *, done: bool = False) -> None:
        """Tell the world who leads, and hand it the tokens that may be used now."""
        leads, rounds = self._place is Place.LEADS, self._rounds
        kept, missing = (rounds.kept, rounds.missing) if rounds.leads else (self._kept, self._missing)
        now = Leadership(
            place=self._place,
            since=self._since,
            leader=self._own if leads else self._leader,
            kept_by=kept,
            missing=missing,
            uncounted=() if leads else self._uncounted,
            others=self._others.answering,
            by_monitors=leads and rounds.by_monitors,
            barred=() if leads else tuple(sorted(self._barred)),
            held=rounds.counted.held & self._record.held if leads else frozenset(),
            sure_until=rounds.complete + self._conf.lead_lease / 2 if leads else 0.0,
            until=rounds.complete + self._conf.lead_lease if leads else inf,
        )
        self._post(Led(now, rounds.tokens.handed_out() if rounds.leads else {}, done=done))
