"""A monitor asks voters in rounds: when it leads, which tokens it hands out, and what ends that."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from math import inf
from typing import Any, cast

import pytest

from mmm.config.model import Host
from mmm.lease.lead import Lead
from mmm.lease.record import NOTHING, Record
from mmm.lease.voter import Voter
from mmm.monitor.act.agents import Agents
from mmm.monitor.act.leading import Leading
from mmm.monitor.act.other_monitors import OtherMonitors
from mmm.monitor.act.spoken import Spoken, of_reply
from mmm.monitor.apply.apply import apply
from mmm.monitor.world.events import Answer, Event, Led
from mmm.monitor.world.leadership import HandOver, Leadership, Place, TakeLead
from mmm.monitor.world.world import Mode, World
from mmm.wire import refrain, voting
from mmm.wire.agent import Reply, Request
from tests.unit.test_monitor_leading import OTHER, OWN, THIRD, of_several

LIMIT = 20
FIRST = Lead(0, f"{OWN}:9988", "a1")
LATER = Lead(9, f"{OTHER}:9988", "b2")


class Voters:
    """Agents that vote by the rules; each gives a token with every answer: how often it was asked."""

    def __init__(self, silent: Iterable[str] = ()) -> None:
        self.lead: Lead | None = FIRST
        self.heard_token: Callable[[str, str], None] = lambda _host, _token: None
        self.binds: Callable[[Host, str], Awaitable[bool]]
        self.silent, self.changed, self.refuses = set(silent), set[str](), set[str]()
        self.voters: dict[str, Voter] = {}
        self.asked: dict[str, int] = {}
        self.tried: dict[str, int] = {}
        """How often each was asked for the lead."""

    async def ask(self, host: Host, request: Request, _: float) -> Spoken:
        name, asked = host.name, voting.asked(request)
        if name in self.silent:
            return Spoken(Answer.SILENT, "no answer")
        self.asked[name] = self.asked.get(name, 0) + 1
        await asyncio.sleep(0)  # all are asked before the first answers
        now, voter = asyncio.get_running_loop().time(), self.voters.get(name, Voter())
        for_lead = asked.epoch is not None and asked.length > 0
        self.tried[name] = self.tried.get(name, 0) + for_lead
        unbound = asked.epoch is None or voter.refusal(asked.epoch, now) is None
        refused = for_lead and (name in self.refuses or not unbound)
        if asked.epoch is not None and asked.length == 0:
            voter = voter.released(asked.epoch)
        elif asked.epoch is not None and not refused:
            if asked.seen:
                self.changed.discard(name)
                voter = voter._replace(new=False)
            voter = voter.agreed(asked.epoch, asked.record, asked.length, now)
        self.voters[name] = voter
        follows = voter.follows(now)
        said = voting.Said(
            follows,
            max(0.0, voter.until - now) if follows else 0,
            voter.record,
            voter.new,
            name in self.changed,
            voter.highest,
        )
        text = "ERROR: no" if refused else "OK: yes"
        reply = Reply(text, voting.said_fields(said), 1.0, str(self.asked[name]))
        self.heard_token(name, reply.token)
        return of_reply(reply)


class OtherOnes:
    """The other monitors: whether they give their word, and what they were asked."""

    listed = answering = (OTHER, THIRD)

    def __init__(self, *, gives: bool = False, stand: bool = True) -> None:
        self.stand = stand
        self.gives, self.asked, self.but = gives, list[tuple[Lead, float]](), ""

    async def run(self) -> None: ...

    async def stand_by(self) -> bool:
        return self.stand

    async def words(self, epoch: Lead, length: float, but: str = "") -> bool:
        self.asked.append((epoch, length))
        self.but = but
        return self.gives


class Monitor:
    """A monitor with these voters, until enough of what is awaited has been posted."""

    def __init__(self, voters: Voters, others: OtherOnes, lease: float, world: World | None = None) -> None:
        world = world or of_several(place=Place.STANDS_BY)
        self.world: World = replace(world, conf=replace(world.conf, lead_lease=lease))
        self.voters, self.others, self.begun = voters, others, list[Record]()
        self.posted: list[tuple[Led, dict[str, int]]] = []
        self.leading = Leading(
            self.world.conf,
            cast("Agents", voters),
            lambda: self.world,
            self._post,
            self._begin,
            cast("OtherMonitors", others),
        )
        self._news = asyncio.Event()

    def _post(self, event: Event) -> None:
        assert isinstance(event, Led)
        self.posted.append((event, dict(self.voters.asked)))
        self.world = apply(self.world, event, 0.0)
        self._news.set()

    async def _begin(self, record: Record) -> None:
        self.begun.append(record)

    async def until(self, true: Callable[[Leadership], object]) -> None:
        async with asyncio.timeout(LIMIT):
            while not true(self.world.leadership):
                self._news.clear()
                await self._news.wait()


def run(
    voters: Voters,
    doing: Callable[[Monitor], Any],
    others: OtherOnes | None = None,
    lease: float = 10.0,
    world: World | None = None,
) -> Monitor:
    async def all_of_it() -> Monitor:
        monitor = Monitor(voters, others or OtherOnes(), lease, world)
        task = asyncio.get_running_loop().create_task(monitor.leading.run())
        try:
            await doing(monitor)
        finally:
            task.cancel()
        return monitor

    return asyncio.run(all_of_it())


async def leads_on(monitor: Monitor) -> None:
    await monitor.until(lambda now: now.place is Place.LEADS)
    for _ in range(3):
        await monitor.leading.refresh()


def test_only_tokens_from_before_the_newest_complete_round_are_handed_out() -> None:
    monitor = run(Voters(), leads_on)
    handed = [
        (int(token.text), asked[name]) for led, asked in monitor.posted for name, token in led.tokens.items()
    ]
    assert len(handed) > 3
    assert all(token < asked for token, asked in handed)
    assert monitor.begun == [NOTHING]
    assert monitor.voters.lead == FIRST._replace(number=1)


def test_it_leads_by_two_of_three_and_not_by_one() -> None:
    monitor = run(Voters(silent=["db3"]), leads_on)
    assert set(monitor.world.leadership.kept_by) == {"db1", "db2"}

    async def stays(monitor: Monitor) -> None:
        await monitor.until(lambda now: now.missing == ("db2", "db3"))
        await monitor.until(lambda _: monitor.voters.asked["db1"] > 3)

    alone = run(Voters(silent=["db2", "db3"]), stays)
    assert alone.world.leadership.place is Place.STANDS_BY
    assert alone.begun == []


def test_it_stands_by_as_soon_as_a_voter_has_agreed_to_a_later_monitor() -> None:
    async def taken(monitor: Monitor) -> None:
        await monitor.until(lambda now: now.place is Place.LEADS)
        now = asyncio.get_running_loop().time()
        monitor.voters.voters["db2"] = Voter().agreed(LATER, NOTHING, 10, now)
        monitor.voters.voters["db3"] = Voter().agreed(LATER, NOTHING, 10, now)
        await monitor.leading.refresh()
        await monitor.until(lambda now: now.place is Place.STANDS_BY and now.leader == OTHER)

    monitor = run(Voters(), taken)
    assert monitor.voters.lead is None


def test_what_the_one_before_has_left_on_record_is_what_it_begins_with() -> None:
    left = Record(LATER, 7, "MANUAL", "", frozenset({"db3"}), frozenset({"db1"}))
    voters = Voters()
    voters.voters["db2"] = Voter(highest=LATER, record=left)
    monitor = run(voters, leads_on)
    assert monitor.begun == [left]
    assert monitor.voters.lead is not None
    assert monitor.voters.lead.number > LATER.number


def test_it_leads_on_by_the_word_of_the_other_monitors_once_the_record_names_them() -> None:
    async def alone(monitor: Monitor) -> None:
        await leads_on(monitor)
        monitor.voters.silent = {"db1", "db2", "db3"}
        assert await monitor.leading.refresh(LIMIT)
        assert monitor.world.leadership.by_monitors
        assert await monitor.leading.recorded(LIMIT)
        monitor.world = replace(monitor.world, mode=Mode.MANUAL)
        assert not await monitor.leading.recorded(0.2)
        await monitor.leading.leave()

    monitor = run(Voters(), alone, OtherOnes(gives=True))
    assert monitor.world.leadership.place is Place.LEADS
    lengths = [length for epoch, length in monitor.others.asked if epoch == FIRST._replace(number=1)]
    assert lengths[0] == monitor.world.conf.lead_lease
    assert lengths[-1] == 0


def test_one_that_hands_over_to_another_has_the_others_refrain() -> None:
    async def hands(monitor: Monitor) -> None:
        await leads_on(monitor)
        asked = replace(monitor.world.leadership, asked=HandOver(THIRD))
        monitor.world = replace(monitor.world, leadership=asked)
        await monitor.leading.refresh()
        await monitor.until(lambda now: now.place is Place.STANDS_BY)

    monitor = run(Voters(), hands)
    assert monitor.others.asked == [(FIRST._replace(number=1), monitor.world.conf.lead_lease)]
    assert monitor.others.but == THIRD
    assert all(voter.follows(0.0) is None for voter in monitor.voters.voters.values())


def test_one_that_has_not_its_record_with_the_voters_asks_no_other_monitor() -> None:
    async def loses(monitor: Monitor) -> None:
        await monitor.until(lambda now: now.place is Place.TAKES)
        monitor.voters.silent = {"db1", "db2", "db3"}
        await monitor.until(lambda now: now.place is Place.STANDS_BY)

    assert run(Voters(), loses, OtherOnes(gives=True), lease=1.0).others.asked == []


def test_one_that_the_one_before_did_not_know_of_does_not_take_the_lead_from_it() -> None:
    voters = Voters()
    theirs = Record(LATER, 7, "ACTIVE", monitors=frozenset({OTHER, THIRD}))
    voters.voters["db2"] = Voter(highest=LATER, record=theirs)

    async def waits(monitor: Monitor) -> None:
        await monitor.until(lambda now: now.barred == (OTHER, THIRD))
        await monitor.until(lambda _: voters.asked["db1"] > 3)
        assert monitor.world.leadership.place is Place.STANDS_BY
        monitor.world = replace(
            monitor.world, leadership=replace(monitor.world.leadership, asked=TakeLead(inf))
        )
        await monitor.until(lambda now: now.place is Place.LEADS and not now.barred)

    run(voters, waits)


def test_a_monitor_gives_its_word_while_it_stands_by_and_then_does_not_take_the_lead() -> None:
    voters = Voters(silent=["db3"])

    async def gives(monitor: Monitor) -> None:
        word = monitor.leading.word
        assert word(refrain.Asked(LATER, 10.0)) == "ERROR: started"
        await monitor.until(lambda now: now.missing == ("db3",))
        assert word(refrain.Asked(LATER, 10.0)) == "ERROR: voters"
        voters.silent = {"db2", "db3"}
        await monitor.until(lambda now: now.missing == ("db2", "db3"))
        assert word(refrain.Asked(LATER, 4.0)) == "ERROR: lead_lease_differs"
        assert word(refrain.Asked(LATER, 10.0)) == "OK"
        assert word(refrain.Asked(LATER._replace(number=8), 10.0)) == "ERROR: higher"
        voters.silent = {"db3"}
        asked = voters.asked["db1"]
        await monitor.until(lambda _: voters.asked["db1"] > asked + 3)
        assert monitor.world.leadership.place is Place.STANDS_BY
        assert word(refrain.Asked(LATER, 0)) == "OK"
        await monitor.until(lambda now: now.place is Place.LEADS)
        assert word(refrain.Asked(LATER._replace(number=20), 10.0)) == "ERROR: leads"
        assert word(refrain.Asked(None, 0)) == "ERROR: leads"

    run(voters, gives, OtherOnes(stand=False))


@pytest.mark.parametrize("lost", ["disk", "voters"])
def test_a_voter_that_does_not_count_counts_by_an_admins_word_and_then_anybody_may_be_the_writer(
    lost: str,
) -> None:
    voters = Voters(silent=["db3"])
    voters.changed = {"db2"} if lost == "voters" else set()
    voters.voters["db2"] = Voter(new=lost == "disk")
    voters.voters["db1"] = Voter(highest=LATER, record=Record(LATER, 7, "MANUAL", held=frozenset({"db3"})))

    async def forced(monitor: Monitor) -> None:
        await monitor.until(lambda now: now.uncounted == ("db2",))
        await monitor.until(lambda _: voters.asked["db1"] > 4)
        monitor.world = replace(
            monitor.world, leadership=replace(monitor.world.leadership, asked=TakeLead(0.0))
        )
        await monitor.until(lambda _: voters.asked["db1"] > 8)
        assert monitor.begun == [], "the word of an admin is an old one"
        leadership = replace(monitor.world.leadership, asked=TakeLead(inf))
        monitor.world = replace(monitor.world, leadership=leadership)
        await monitor.until(lambda now: now.place is Place.LEADS and now.asked is None)

    (begun,) = run(voters, forced).begun
    assert (begun.mode, begun.held) == ("MANUAL", frozenset({"db1", "db2", "db3"}))


@pytest.mark.parametrize("lost", ["disk", "voters"])
@pytest.mark.parametrize("names", [("db2", "db3"), ("db1", "db2", "db3")])
def test_who_leads_by_an_admins_word_has_voters_count_again_by_tokens_of_rounds_that_counted_by_it_too(
    names: tuple[str, ...], lost: str
) -> None:
    voters = Voters()
    voters.changed = set(names) if lost == "voters" else set()
    voters.voters |= {name: Voter(new=lost == "disk") for name in names}

    async def forced(monitor: Monitor) -> None:
        await monitor.until(lambda now: set(now.uncounted or names) == set(names))
        leadership = replace(monitor.world.leadership, asked=TakeLead(inf))
        monitor.world = replace(monitor.world, leadership=leadership)
        await monitor.until(lambda now: now.place is Place.LEADS)
        assert await monitor.leading.recorded(LIMIT)

    monitor = run(voters, forced)
    assert any(led.tokens for led, _ in monitor.posted), "orders may go out"
    assert not voters.changed
    assert not any(voter.new for voter in voters.voters.values())
    assert len(monitor.begun) == 1
