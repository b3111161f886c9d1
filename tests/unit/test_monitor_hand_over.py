"""The lead of three monitors is handed over: who stays back, who takes it, and what the admin is told."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from mmm.lease.lead import Lead
from mmm.lease.record import NOTHING
from mmm.lease.voter import Voter
from mmm.monitor.act.word import Word
from mmm.monitor.command.command_result import outcome
from mmm.monitor.command.next_leader import NextLeader
from mmm.monitor.world.leadership import HandOver, Place
from mmm.wire import refrain, voting
from tests.unit.test_monitor_leading import FOLLOWS, LEADS, OTHER, OWN, THIRD, of_several, ordered
from tests.unit.test_monitor_rounds import LATER, LIMIT, Monitor, OtherOnes, Voters

ALL = (OWN, OTHER, THIRD)
LEASE = 40 * LIMIT
"""No next round, and no end of what voters are bound by, is waited for within LIMIT."""


class Peers(OtherOnes):
    """The other monitors, which answer as they would through their control ports; `old` ones are of an older MMM."""

    def __init__(self, own: str, all_of_them: dict[str, Monitor], old: frozenset[str]) -> None:
        super().__init__()
        self.listed = self.answering = tuple(ip for ip in ALL if ip != own)  # type: ignore[assignment]
        self._all, self._old = all_of_them, old

    async def words(self, epoch: Lead, length: float, but: str = "") -> bool:
        words = refrain.words(refrain.Asked(epoch, length, hand_over=bool(but)))
        return False not in [self._gives(ip, words) for ip in self.listed if ip != but]

    def _gives(self, ip: str, words: tuple[str, ...]) -> bool:
        asked = refrain.asked(words)
        assert asked is not None
        known = ip not in self._old or len(words) == 3
        return known and self._all[ip].leading.word(asked) == refrain.GIVEN


def of(ip: str) -> Any:
    one = of_several(place=Place.STANDS_BY)
    assert one.conf.monitor is not None
    return replace(one, conf=replace(one.conf, monitor=replace(one.conf.monitor, ip=ip)))


async def next_leader(target: str, old: frozenset[str] = frozenset()) -> tuple[str, frozenset[str]]:
    """Return who leads once the first of three monitors has handed the lead over, and which ones stay back."""
    votes: dict[str, Voter] = {}
    monitors: dict[str, Monitor] = {}
    for ip in ALL:
        voters = Voters()
        voters.lead, voters.voters = Lead(0, f"{ip}:9988", "a1"), votes
        monitors[ip] = Monitor(voters, Peers(ip, monitors, old), LEASE, of(ip))
    running = [asyncio.create_task(monitors[OWN].leading.run())]
    try:
        await monitors[OWN].until(lambda now: now.place is Place.LEADS)
        for ip in (OTHER, THIRD):
            running.append(asyncio.create_task(monitors[ip].leading.run()))
            await monitors[ip].until(lambda now: now.leader == OWN)
        first = monitors[OWN]
        first.world = replace(first.world, leadership=replace(first.world.leadership, asked=HandOver(target)))
        first.leading.obey()
        await first.until(lambda now: now.leader not in ("", OWN))
        back = frozenset(ip for ip in (OTHER, THIRD) if not monitors[ip].leading._word.may_take)
        return first.world.leadership.leader, back
    finally:
        for task in running:
            task.cancel()


@pytest.mark.parametrize(("target", "third"), [(OTHER, THIRD), (THIRD, OTHER)])
async def test_the_monitor_that_is_named_takes_the_lead_at_once_and_the_third_one_stays_back(
    target: str, third: str
) -> None:
    assert await next_leader(target) == (target, frozenset({third}))


async def test_it_is_said_that_one_which_knows_of_no_hand_over_may_take_the_lead(
    caplog: pytest.LogCaptureFixture,
) -> None:
    leader, back = await next_leader(THIRD, old=frozenset({OTHER}))
    assert leader in (OTHER, THIRD)
    assert not back
    assert f"another one than {THIRD} may take the lead" in caplog.text


async def test_without_a_name_any_other_one_takes_it() -> None:
    leader, back = await next_leader("")
    assert leader in (OTHER, THIRD)
    assert not back


def may_take(word: Word) -> bool:
    return word.may_take


def test_who_reaches_enough_voters_gives_its_word_for_a_hand_over_alone() -> None:
    word = Word(of_several().conf)
    word.looked([voting.Said(LATER, 5.0, NOTHING, highest=LATER) for _ in range(3)])
    word.uncounted()
    assert may_take(word)
    assert word.answer(refrain.Asked(LATER, 10.0), stands_by=True) == "ERROR: voters"
    assert may_take(word)
    asked = refrain.Asked(LATER, 10.0, hand_over=True)
    assert word.answer(asked, stands_by=False) == "ERROR: leads"
    assert may_take(word)
    assert word.answer(asked, stands_by=True) == refrain.GIVEN
    assert not may_take(word)
    assert not word.waits, "it does not ask the others whether they count on its word"


def test_who_has_asked_in_vain_gives_its_word_for_a_hand_over_too_and_that_frees_it_from_nothing() -> None:
    word = Word(of_several().conf)
    word.looked([voting.Said(LATER, 5.0, NOTHING, highest=LATER) for _ in range(2)])
    word.uncounted()
    vain = LATER._replace(number=word.next_number)
    word.asks(vain)
    assert word.answer(refrain.Asked(LATER, 10.0, hand_over=True), stands_by=True) == refrain.GIVEN
    assert not may_take(word)
    for over in (LATER, vain):
        assert word.answer(refrain.Asked(over, 0), stands_by=True) == refrain.GIVEN
    assert not may_take(word)
    assert word.next_number > vain.number


def test_the_question_says_that_it_is_a_hand_over() -> None:
    asked = refrain.Asked(LATER, 10.0, hand_over=True)
    words = refrain.words(asked)
    assert words == ("refrain", f"9.{OTHER}:9988.b2", "10", "hand_over")
    assert refrain.asked(words) == asked
    assert refrain.asked(words[:3]) == refrain.Asked(LATER, 10.0)
    assert refrain.asked((*words[:3], "now")) is None
    assert refrain.asked((*words, "hand_over")) is None


def test_the_admin_is_told_who_leads_once_that_is_known() -> None:
    for target in ("", OTHER):
        result = ordered(of_several(**LEADS), *filter(None, ("hand_over", target)))
        assert result.awaits == NextLeader(target)
        under_way = (
            {"place": Place.STANDS_BY},
            {"place": Place.STANDS_BY, "leader": OWN},
            {"place": Place.TAKES},
        )
        for after in (result.world, *(of_several(**now) for now in under_way)):
            assert outcome(after, result.awaits) is None
        told = outcome(of_several(**FOLLOWS), result.awaits)
        assert str(told) == f"OK: The monitor at {OWN} has given up the lead: the one at {OTHER} leads."


def test_the_admin_is_told_that_it_went_to_another_one_or_to_none() -> None:
    another = outcome(of_several(**FOLLOWS), NextLeader(THIRD))
    assert another is not None
    assert another.code == "handed_to_another"
    assert str(another).startswith(
        f"ERROR: The monitor at {OWN} has given up the lead, but the one at {OTHER} "
    )
    none = outcome(of_several(**LEADS), NextLeader(THIRD))
    assert none is not None
    assert none.code == "not_handed_over"
    assert str(none).startswith("ERROR: No other monitor has taken the lead")
