"""An agent takes another conf, and goes on with all that it knew."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmm.agent.act import health_watch
from mmm.agent.act.health_watch import HealthWatch
from mmm.agent.act.reception import Reception
from mmm.agent.decide import new_conf
from mmm.agent.decide.actions import Change, Deny, EndAnnouncing, How, LeaseOver, Unbind
from mmm.agent.decide.core import Core, begun, reassert, site
from mmm.agent.decide.health import Look, Names, Question, decoded, judged
from mmm.agent.decide.held_lease import begun as lease_begun
from mmm.agent.decide.lease_watch import denied, is_due, look
from mmm.agent.decide.plan import facts
from mmm.agent.decide.seen import Seen
from mmm.agent.decide.watched import Denying, TakingAway, Watch
from mmm.config.agreement import shared
from mmm.config.model import Cluster, Vip
from mmm.lease.rules import NEVER, Lease
from mmm.monitor.act.spoken import answered, of_reply
from mmm.monitor.apply.apply import apply
from mmm.monitor.world.orders import Tell
from mmm.network.listener import NOBODY
from mmm.process.board import Board
from mmm.process.conf_file import ConfFile
from mmm.wire.status import Status
from tests.unit.agents import LENGTH, LIMIT, ROLE, running
from tests.unit.worlds import NOW, READER1, READER2, READER3, WRITER, cluster, take_turn, with_agent, world

CONF = replace(cluster(), program="AGENT", this="db1", vip_lease=10.0)
FEWER = replace(
    CONF, roles={**CONF.roles, "reader": replace(CONF.roles["reader"], ips=(READER1.ip, READER2.ip))}
)


def against(
    new: Cluster,
    *,
    assigned: tuple[Any, ...] = (WRITER,),
    sends_to: str = "",
    calm: bool = True,
    begins_rejoin: bool = False,
) -> str:
    news, lines = new_conf.objections(CONF, new, assigned, sends_to, calm=calm, begins_rejoin=begins_rejoin)
    assert news or not lines
    return "; ".join(lines)


def test_what_an_agent_takes_and_refuses() -> None:
    assert against(CONF, sends_to="db2", calm=False, begins_rejoin=True) == ""
    assert "mmm_rejoin has not begun yet" in against(FEWER, begins_rejoin=True)
    assert against(FEWER) == ""
    assert against(FEWER, assigned=(READER3,)).startswith(
        "reader(10.0.0.93) removed: the monitor has given it"
    )
    assert "sent to db2" in against(FEWER, sends_to="db2")
    assert "its lease is over" in against(FEWER, calm=False)
    assert "vip_lease: 10 -> 5" in against(replace(CONF, vip_lease=5.0))


def test_the_next_agent_goes_on_with_what_is_assigned_and_the_lease_and_looks_after_it_at_once() -> None:
    held = replace(lease_begun(10.0, "boot", NOW - 100, "", keeps=False, ran=""), leased=True)
    assigned = Status("ONLINE", (WRITER,), "db1")
    knew = replace(
        begun(site(CONF, facts(CONF)), held), status=assigned, looked=NOW, clears=(1,), closing=True
    )
    core = new_conf.inherited(knew, site(FEWER, facts(FEWER)))
    assert (core.status, core.held) == (assigned, held)
    assert READER3 not in core.site.facts.vips
    core, (action,) = reassert(core, NOW)
    assert isinstance(action, Change)
    assert (action.how, action.status) == (How.PUT_RIGHT, assigned)
    assert new_conf.is_calm(knew)
    assert not new_conf.is_calm(replace(knew, watch=Watch(taking_away=TakingAway(NOW))))
    assert not new_conf.is_calm(replace(knew, watch=Watch(denying=Denying())))


def goes_on(*, watch: Watch, until: float, vips: tuple[Vip, ...] = (WRITER,)) -> Core:
    """Return the state of an agent that goes on from that of another one, with a lease that ends then."""
    where = site(CONF, facts(CONF))
    held = replace(
        lease_begun(10.0, "boot", NOW - 100, "", keeps=False, ran=""), leased=True, lease=Lease(NOW, until)
    )
    before = replace(begun(where, held), status=Status("ONLINE", vips, "db1"), watch=watch)
    return new_conf.inherited(before, where)


def actions_of(core: Core, now: float = NOW) -> list[type]:
    assert is_due(core, now)
    return [type(each) for each in look(core, now, agreed=True, heard=now)[1]]


def test_what_was_being_made_read_only_when_the_conf_was_taken_is_made_so_by_the_next_agent() -> None:
    over = goes_on(watch=Watch(denying=Denying()), until=NOW - 0.1)
    assert actions_of(over) == [LeaseOver, Deny, EndAnnouncing, Unbind]
    granted_anew = goes_on(watch=Watch(denying=Denying(again=True)), until=NOW + 9.0)
    step = look(granted_anew, NOW, agreed=True, heard=NOW)
    assert Deny() in step[1], "how far the one before came is not known"
    _, actions = denied(step[0], "", NOW + 0.1)
    assert any(isinstance(each, Change) for each in actions), "then writes are allowed again"


def test_what_was_being_taken_away_is_taken_away_by_the_next_agent() -> None:
    taking = goes_on(watch=Watch(taking_away=TakingAway(NOW + 0.1), denying=Denying()), until=NOW + 0.1)
    assert actions_of(taking) == [Deny]
    assert Unbind in actions_of(look(taking, NOW, agreed=True, heard=NOW)[0], NOW + 0.2)
    left = TakingAway(NOW - 1.0, left=True, unbinding=1)
    for denying, first in ((None, []), (Denying(), [Deny])):
        gone = goes_on(watch=Watch(taking_away=left, denying=denying), until=NEVER, vips=())
        assert actions_of(gone) == [*first, EndAnnouncing, Unbind]


async def test_an_agent_is_at_rest_once_nothing_is_being_taken_from_its_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, monkeypatch, stands_still=True) as rig:
        begins, ends = asyncio.Event(), asyncio.Event()

        async def deny() -> str:
            begins.set()
            await ends.wait()
            return ""

        monkeypatch.setattr(rig.agent._shell.jobs, "deny", deny)
        assert (await rig.order(ROLE)).ok
        rig.machine.time.now += LENGTH
        async with asyncio.timeout(LIMIT):
            await begins.wait()
            rest = asyncio.create_task(rig.agent._shell.ending.at_rest())
            await asyncio.sleep(0)
            assert not rest.done()
            ends.set()
            await rest
        assert new_conf.is_calm(rig.agent._shell.core)
        assert rig.machine.addresses == set()


def test_what_load_balancers_were_told_stands_until_the_next_agent_has_looked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health_watch, "clock", lambda: NOW + 0.5)  # a machine may have started just now
    board, seen = Board(), Look(NOW, Seen(frozenset({WRITER.ip, READER1.ip}), writable=True))
    interface: Any = None
    first = HealthWatch(CONF, interface, board, (seen, {"writer": NOW - 60.0, "reader": NOW - 60.0}))
    core = goes_on(watch=Watch(), until=NOW + 9.0, vips=(WRITER, READER1))
    names = Names(("writer", "reader", "other"), "writer")

    def told(role: str) -> str:
        return judged(decoded(board.read() or b""), Question(role), names, NOW + 1.0).value

    first.take(core)
    after = HealthWatch(FEWER, interface, board, first.known)
    after.take(core)
    assert [told(role) for role in names.roles] == ["held", "held", "not_assigned"]
    other = Vip("other", "10.0.0.70")
    after.take(replace(core, status=Status("ONLINE", (WRITER, other), "db1")))
    assert [told(role) for role in names.roles] == ["held", "not_assigned", "not_seen"]
    after.take(replace(core, status=Status("ONLINE", (), "db2")))
    assert [told(role) for role in names.roles] == ["not_assigned", "not_assigned", "not_assigned"]
    for each in (first, after):
        each.close()


class _Agent:
    """One that answers what it is called; `slow` only once it is closed."""

    def __init__(self, name: bytes, *, slow: bool = False) -> None:
        self.name = name
        self.asked = asyncio.Event()
        self._slow = slow

    async def answer(self, *_: object) -> bytes:
        self.asked.set()
        if self._slow:
            await asyncio.Event().wait()
        return self.name

    async def close(self, *, for_good: bool) -> None:
        assert not for_good


async def test_who_asks_while_one_agent_takes_the_place_of_another_is_answered_by_the_next() -> None:
    reception, slow = Reception(), _Agent(b"old", slow=True)
    early = asyncio.create_task(reception.answer(b"PING", NOBODY))
    reception.open(slow)  # type: ignore[arg-type]
    await slow.asked.wait()
    await reception.close(for_good=False)
    late = asyncio.create_task(reception.answer(b"PING", NOBODY))
    reception.open(_Agent(b"new"))  # type: ignore[arg-type]
    assert tuple(await asyncio.gather(early, late)) == (b"new", b"new")


async def test_a_client_that_is_gone_is_asked_for_nobody() -> None:
    reception, slow = Reception(), _Agent(b"old", slow=True)
    reception.open(slow)  # type: ignore[arg-type]
    asked = asyncio.create_task(reception.answer(b"PING", NOBODY))
    await slow.asked.wait()
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked


def test_the_conf_that_a_worker_takes_is_that_of_its_angel_too() -> None:
    """The angel does what is due in the place of a dead worker, and starts the next one, by that conf."""
    file = ConfFile(CONF, lambda: CONF)
    assert file.conf is CONF
    for taken in (FEWER, CONF, FEWER):
        worker = os.fork()
        if worker == 0:
            file.take(taken)
            os._exit(0)
        assert os.waitpid(worker, 0)[1] == 0
        assert file.conf == taken


async def test_an_agent_answers_with_the_digest_of_its_conf_and_the_monitor_takes_it_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, monkeypatch) as rig:
        reply = await rig.order("")
    before, orders = take_turn(with_agent(world(), "db1", told=None))
    order = next(each for each in orders if isinstance(each, Tell) and each.host == "db1")
    after = apply(before, answered(order, of_reply(reply)), NOW)
    assert after.hosts["db1"].agent.about.shared == shared(rig.conf)
