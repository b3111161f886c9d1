"""How long a monitor that stands by waits for voters that do not answer (rule 14.2), in virtual time."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from mmm.config.model import Host
from mmm.lease.lead import Lead
from mmm.lease.record import NOTHING
from mmm.monitor.act.agents import CONNECT_TIMEOUT
from mmm.monitor.act.spoken import Spoken, of_reply
from mmm.monitor.act.voters import PATIENCE, Looked, Voters
from mmm.monitor.world.events import Answer
from mmm.wire import voting
from mmm.wire.agent import Reply, Request
from mmm.wire.why import UNKNOWN_COMMAND
from tests.simulation.leads import Loop
from tests.unit.worlds import cluster

CONF = replace(cluster(), monitors=("10.0.0.6", "10.0.0.8"), voters=("db1", "db2", "db3"))
LEADS = Lead(3, "10.0.0.8:9988", "a1")


class Agents:
    """Each host's agent answers after so many seconds; None: no connection comes about."""

    def __init__(self, answers: Mapping[str, float | None], left: float, classic: str = "") -> None:
        self.answers, self.left, self.classic = answers, left, classic

    async def ask(self, host: Host, _: Request, __: float) -> Spoken:
        """Return what an agent answers to the question whom it follows."""
        takes = self.answers[host.name]
        await asyncio.sleep(CONNECT_TIMEOUT if takes is None else takes)
        if takes is None:
            return Spoken(Answer.REFUSED, "no connection")
        if host.name == self.classic:
            return of_reply(Reply("ERROR: Invalid command", why=UNKNOWN_COMMAND))
        said = voting.Said(LEADS if self.left else None, self.left, NOTHING)
        return of_reply(Reply("OK", voting.said_fields(said)))


def looks(*agents: Agents) -> tuple[list[float], Looked]:
    """Return the seconds that looks take one after the other, the agents being those, and what the last has come to."""
    voters, loop = Voters(CONF, cast("Any", agents[0])), Loop()
    took: list[float] = []

    async def look() -> Looked:
        for each in agents:
            voters._agents, began = cast("Any", each), loop.time()
            looked = await voters.look(CONF)
            took.append(round(loop.time() - began, 6))
        return looked

    task = loop.create_task(look())
    try:
        loop.move(0.0)
        while not task.done():
            loop.move(loop.due)
        return took, task.result()
    finally:
        loop.close()


ONE_IS_CUT_OFF = {"db1": 0.01, "db2": 0.01, "db3": None}


def test_a_voter_that_is_not_reached_holds_up_the_first_look_for_a_second_and_no_later_one() -> None:
    took, looked = looks(Agents(ONE_IS_CUT_OFF, 0.0), Agents(ONE_IS_CUT_OFF, 0.0))
    assert took[0] == PATIENCE
    assert took[1] < 0.2
    assert set(looked.said) == {"db1", "db2"}


def test_a_look_ends_when_enough_voters_come_free_and_the_next_one_follows() -> None:
    took, looked = looks(Agents(ONE_IS_CUT_OFF, 9.0), Agents(ONE_IS_CUT_OFF, 0.4))
    assert took == [PATIENCE, 0.41]
    assert looked.pause(0.5, sum(took)) < 0.1


def test_while_voters_are_bound_one_that_was_not_heard_has_its_second() -> None:
    slow = {"db1": 0.01, "db2": 0.01, "db3": 0.7}
    took, looked = looks(Agents(ONE_IS_CUT_OFF, 9.0), Agents(slow, 9.0))
    assert took == [PATIENCE, 0.7]
    assert set(looked.said) == {"db1", "db2", "db3"}


def test_an_agent_of_mmm_2_is_waited_for_whatever_the_others_say() -> None:
    answers = {"db1": 0.01, "db2": 0.01, "db3": 0.01}
    silent, slow = {**answers, "db2": None}, {**answers, "db2": 0.5}
    took, looked = looks(*(Agents(each, 0.0, "db2") for each in (answers, silent, slow)))
    assert took == [0.01, PATIENCE, 0.5]
    assert looked.classic == {"db2"}


def test_voters_that_are_bound_for_less_than_can_be_said_are_looked_at_again_at_once() -> None:
    every = {"db1": 0.01, "db2": 0.01, "db3": 0.01}
    took, looked = looks(Agents(every, 0.0001))
    assert looked.followers("10.0.0.8") == ("db1", "db2", "db3")
    assert looked.pause(0.5, sum(took)) < 0.1
    assert looks(Agents(every, 0.0))[1].pause(0.5, 0.0) == 0.5


def test_a_question_that_is_lost_is_asked_again_and_a_host_that_refuses_is_believed() -> None:
    asked = list[str]()

    class Lossy(Agents):
        async def ask(self, host: Host, request: Request, limit: float) -> Spoken:
            asked.append(host.name)
            if host.name == "db3":
                return Spoken(Answer.REFUSED, "no connection", closed=True)
            if asked.count("db2") == 1 and host.name == "db2":
                await asyncio.sleep(CONNECT_TIMEOUT)
            return await super().ask(host, request, limit)

    took, looked = looks(Lossy({"db1": 0.01, "db2": 0.01}, 0.0))
    assert took == [0.26]
    assert set(looked.said) == {"db1", "db2"}
    assert Counter(asked) == {"db1": 1, "db2": 2, "db3": 1}
