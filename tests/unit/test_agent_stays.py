"""An agent that is stopped in order while no monitor is heard, and the one that lets it stay (rule 14.3)."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from mmm.agent.act.memory import Memory
from mmm.agent.decide import core as decide
from mmm.agent.decide import lease_watch, staying
from mmm.agent.decide.core import Core
from mmm.agent.decide.held_lease import begun
from mmm.lease.rules import FOREVER, NEVER, Grant, Lease, Reason
from mmm.wire import held as wire
from mmm.wire.agent import HELD, Reply, Request, WireError, decode_reply
from mmm.wire.held import Stay
from mmm.wire.why import NO_PROMISE, PROMISED, TAKEN
from tests.unit.agents import LIMIT, MONITOR, ROLE, WRITER, Rig, running
from tests.unit.test_agent_core import NOW, SITE, idle, order, writer

STAY = Stay("db2", "other.7")
STAYS = frozenset({STAY})


def holder(length: float = 10.0) -> Core:
    """Return the state of the writer, whose monitor knows of stays."""
    return staying.ordered(writer(length=length), voids=True)


def let(stay: Stay = STAY) -> Core:
    core, refused = staying.lets(idle(), stay, NOW)
    assert refused is None
    return core


# What an agent asks that ends


def test_one_that_all_let_stay_has_the_role_without_an_end() -> None:
    core, asked = staying.asks(holder(), NOW + 1.0, agreed=True)
    assert asked == NOW + 1.0
    core = staying.stayed(core, asked, NOW + 1.1)
    assert core.held.left(NOW + 1.1) == FOREVER
    assert lease_watch.lifetime(core, SITE.writer_vips[0], NOW + 1.1) == 0


def test_no_order_from_before_it_asked_counts() -> None:
    core, _ = staying.asks(holder(), NOW + 1.0, agreed=True)
    refused = decide.refusal(core, order(WRITER_VIP, token=NOW + 0.9), NOW + 1.1)
    assert refused is not None
    assert refused.reason is Reason.OLDER
    assert refused.stale, "the monitor repeats it with a new token"


WRITER_VIP = SITE.writer_vips[0]


def test_an_order_that_it_obeys_meanwhile_makes_it_void() -> None:
    core, asked = staying.asks(holder(), NOW + 1.0, agreed=True)
    assert asked is not None
    core, _ = decide.ordered(core, order(WRITER_VIP, token=NOW + 1.1), NOW + 1.2)
    assert staying.stayed(core, asked, NOW + 1.3) is core


def test_so_does_the_end_of_its_lease() -> None:
    core, asked = staying.asks(holder(), NOW + 1.0, agreed=True)
    assert asked is not None
    assert staying.stayed(core, asked, NOW + 10.0) is core


@pytest.mark.parametrize(
    ("core", "agreed"),
    [
        (holder(), False),
        (writer(length=10.0), True),
        (staying.ordered(idle(), voids=True), True),
        (holder(length=FOREVER), True),
        (replace(holder(), held=replace(holder().held, leaving=True)), True),
        (replace(holder(), site=replace(SITE, rivals=())), True),
    ],
    ids=["other hosts", "a monitor that frees nobody", "no writer", "for good", "ordered away", "no other"],
)
def test_it_asks_only_where_that_can_be_known_and_taken_back(core: Core, *, agreed: bool) -> None:
    assert staying.asks(core, NOW + 1.0, agreed=agreed) == (core, None)


# What the other hosts of the role do


def test_who_lets_another_stay_refuses_the_role_until_that_is_void() -> None:
    core = let()
    refused = decide.refusal(core, order(WRITER_VIP, token=NOW + 1e6), NOW + 1e6)
    assert refused is not None
    assert (refused.reason, refused.stale, refused.seconds) == (Reason.STAYS, False, 0.0)
    without_lease = decide.refusal(core, replace(order(WRITER_VIP), grant=None), NOW)
    assert without_lease is not None
    assert without_lease.reason is Reason.PROMISED
    assert decide.refusal(core, order(token=NOW + 1.0), NOW + 1.0) is None, "what is not the role it does"
    free = staying.void(core, {STAY})
    assert free.held.stays == frozenset()
    assert decide.refusal(free, order(WRITER_VIP, token=NOW + 1.0), NOW + 1.0) is None


def test_what_is_void_frees_from_no_newer_stay() -> None:
    newer = Stay("db2", "other.8")
    core, _ = staying.lets(let(), newer, NOW)
    core = staying.void(core, {STAY})
    assert core.held.stays == {newer}
    assert core.held.lease.stays
    assert staying.void(core, {STAY}) is core


def test_who_holds_the_role_or_knows_of_another_holder_lets_nobody_stay() -> None:
    core, refused = staying.lets(holder(), STAY, NOW + 1.0)
    assert refused is not None
    assert (refused.code, core.held.stays) == (TAKEN, frozenset())
    for_stranger = staying.lets(idle(), Stay("db3", "x.1"), NOW)[1]
    assert for_stranger is not None
    assert for_stranger.code == NO_PROMISE
    heard = decide.ordered(idle(), order(token=NOW), NOW)[0]  # the active master is db1
    other = staying.lets(replace(heard, site=replace(SITE, rivals=("db1", "db2"))), STAY, NOW)[1]
    assert other is not None
    assert other.code == TAKEN


def test_a_stay_outlives_the_agent_and_the_hosts_boot(tmp_path: Path) -> None:
    memory = Memory(str(tmp_path / "agent.pid"))
    memory.lease(10.0, NOW)
    assert memory.keep_stays(let().held) == ""
    (tmp_path / "agent.pid.promise").unlink()  # as a boot does
    later = Memory(str(tmp_path / "agent.pid")).lease(10.0, NOW)
    assert later.stays == {STAY}
    assert later.lease.stays
    assert memory.keep_stays(staying.void(let(), {STAY}).held) == ""
    assert memory.lease(10.0, NOW).stays == frozenset()
    assert Lease(0.0, stays=True).rebooted(NOW, 10.0).stays


@pytest.mark.parametrize("text", ["[[1", "{}x", '[["db2"]]', "NaN", "[" * 100_000, None])
def test_where_it_cannot_be_read_for_whom_the_role_is_refused_any_other_host_may_have_it(
    tmp_path: Path, text: str | None
) -> None:
    file = tmp_path / "agent.pid.held"
    file.mkdir() if text is None else file.write_text(text)
    held = Memory(str(tmp_path / "agent.pid")).lease(10.0, NOW, ("db2", "db3"))
    assert {stay.host for stay in held.stays} == {"db2", "db3"}
    assert held.lease.stays
    assert wire.held_in(Reply("OK", wire.held_fields(held.stays))) == held.stays, "a monitor is shown it"
    assert not held.voided(held.stays).lease.stays, "and says when it is void"


def test_a_file_in_which_nothing_is_kept_lets_nobody_stay(tmp_path: Path) -> None:
    for text in ("", "\n", "[]"):
        (tmp_path / "agent.pid.held").write_text(text)
        assert not Memory(str(tmp_path / "agent.pid")).lease(10.0, NOW, ("db2",)).stays


def test_a_stay_of_a_host_that_has_no_writer_role_by_this_conf_is_not_waited_for() -> None:
    core, gone = staying.without_strangers(replace(let(), site=replace(SITE, rivals=("db4",))))
    assert (gone, core.held.lease.stays) == (STAYS, False)
    assert staying.without_strangers(let())[1] == frozenset()


# The daemon


async def left(rig: Rig) -> None:
    """Have the agent end as far as it does before its port closes."""
    async with asyncio.timeout(LIMIT):
        await rig.agent.leave()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the agent wait for a tenth of a second for the monitor."""
    monkeypatch.setattr(lease_watch, "HEARTBEAT", -0.9)


@pytest.mark.usefixtures("impatient")
async def test_without_a_monitor_it_leaves_its_vip_for_good_once_the_other_host_lets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, monkeypatch, promises=True) as rig:
        assert (await rig.order(ROLE, length=600)).ok
        await left(rig)
        assert rig.until == FOREVER
        (asked,) = (each for each in rig.machine.heard if each.command == HELD)
        assert asked.params[0] == "db1"
    assert (WRITER, 0) in rig.machine.renewed


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("refuses", "void", "asks"), [(True, "VOID:", 2), (False, None, 0)])
async def test_it_keeps_the_rest_of_its_lease_where_that_does_not_or_the_monitor_would_not_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, void: str | None, asks: int, *, refuses: bool
) -> None:
    async with running(tmp_path, monkeypatch, promises=True) as rig:
        rig.machine.refuses_promises = refuses
        assert (await rig.order(ROLE, length=600, void=void)).ok
        await left(rig)
        assert rig.until < FOREVER
        said = ["VOID" in each.params for each in rig.machine.heard if each.command == HELD]
        assert said == [False, True][:asks], "it says that it does without"
    assert (WRITER, 0) not in rig.machine.renewed


async def test_a_host_shows_for_whom_it_refuses_the_role_and_an_order_frees_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, monkeypatch, stands_still=True) as rig:

        async def said(line: str) -> Reply:
            return decode_reply(await rig.agent.answer(line.encode(), MONITOR))

        assert not (await said("HELD|1|db1|db9|other.7")).ok
        assert not (await said("HELD|1|db1|db2")).ok
        assert wire.held_in(await said("HELD|1|db1|db2|other.6")) == {Stay("db2", "other.6")}
        assert wire.held_in(await said("HELD|1|db1|db2|other.6|VOID")) == frozenset()
        assert wire.held_in(await said("HELD|1|db1|db2|other.7")) == {STAY}
        assert wire.held_in(await said("PING|1|db1")) == {STAY}
        refused = await rig.order(ROLE)
        assert (refused.why, wire.held_in(refused)) == (PROMISED, STAYS)
        assert not (await rig.order(ROLE, void="VOID:db2=other.6")).ok
        taken = await rig.order(ROLE, void="VOID:db2=other.6,db2=other.7")
        assert (taken.ok, wire.held_in(taken)) == (True, frozenset())


async def test_who_cannot_write_it_down_lets_nobody_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Memory, "keep_stays", lambda *_: "no space left")
    async with running(tmp_path, monkeypatch) as rig:
        refused = decode_reply(await rig.agent.answer(b"HELD|1|db1|db2|other.7", MONITOR))
        assert (refused.why, wire.held_in(refused)) == (NO_PROMISE, frozenset())
        assert (await rig.order(ROLE, length=600)).ok


async def test_a_stay_of_a_host_without_the_role_is_forgotten_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kept = begun(10.0, "boot", NOW).with_stays('[["db2", "other.7"], ["db9", "x.1"]]')
    monkeypatch.setattr(Memory, "lease", lambda *_: kept)
    async with running(tmp_path, monkeypatch) as rig:
        assert wire.held_in(decode_reply(await rig.agent.answer(b"PING|1|db1", MONITOR))) == STAYS
    assert "the VIP of db9 stays there for good" in caplog.text


def test_what_is_said_is_understood() -> None:
    other = Stay("db3", "b.1")
    assert wire.asked_to_stay(wire.asks_to_stay("db1", STAY)) == (STAY, False)
    assert wire.asked_to_stay(wire.asks_to_stay("db1", STAY, void=True)) == (STAY, True)
    assert wire.held_fields(()) == ()
    assert wire.held_in(Reply("OK", wire.held_fields((other, STAY)))) == {STAY, other}
    assert wire.void_in(Request("SET_STATUS", "db1", ("", wire.void_field(STAYS)))) == STAYS
    assert wire.void_in(Request("SET_STATUS", "db1", (wire.void_field(()),))) == frozenset()
    assert wire.void_in(Request("SET_STATUS", "db1", ("ONLINE",))) is None
    for params in ((), ("db2",), ("db=2", "a"), ("db2", "a=b")):
        with pytest.raises(WireError):
            wire.asked_to_stay(Request(HELD, "db1", params))


def test_the_rules_alone() -> None:
    lease = Lease(0.0).obeyed(Grant(10.0, 1.0), 1.0, role=True)
    asking = lease.asking_to_stay(2.0)
    assert asking.stayed(2.0, 3.0).until == FOREVER
    assert asking.obeyed(Grant(10.0, 2.5), 2.6, role=True).stayed(2.0, 3.0).until == 12.5
    assert asking.stayed(2.0, 11.0).until == 11.0
    assert lease.let_stay(2.0) is None
    assert asking.obeyed(Grant(0.0, 3.0), 3.0, role=False).stayed(2.0, 3.0).until == NEVER
