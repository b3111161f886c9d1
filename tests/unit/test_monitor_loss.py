"""What a failover has lost is said, as a most or as unknown, never not at all (rule 10.10)."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mmm.gtid import mysql
from mmm.gtid.mariadb import Gtid, History
from mmm.gtid.place import LogPlace
from mmm.gtid.semi_sync import SemiSync
from mmm.gtid.transactions import Transactions
from mmm.monitor.act.journal import Chronicle
from mmm.monitor.apply.apply import apply
from mmm.monitor.assess import loss
from mmm.monitor.decide import reconcile
from mmm.monitor.decide.turn import Lost, turn
from mmm.monitor.report import losses
from mmm.monitor.report.history import Entry, decode, encode
from mmm.monitor.states.table import Change, enter
from mmm.monitor.world.check_results import Look, ReplicaChecked
from mmm.monitor.world.checks import Outcome
from mmm.monitor.world.events import Answer, Answered
from mmm.monitor.world.host import Pace, State
from mmm.monitor.world.link import Kind
from mmm.monitor.world.loss import LossCode
from mmm.monitor.world.orders import Tell
from mmm.monitor.world.world import World
from mmm.wire.salvaged import Cause, Salvaged
from tests.unit.worlds import (
    CLOCK,
    NOW,
    WRITER,
    answer,
    because,
    checks,
    finds,
    settle,
    show,
    take_turn,
    with_agent,
    with_host,
    world,
)


def mariadb(seen: float, **last: int) -> Transactions:
    """What a server has whose log ends with these of db1 and db2."""
    logged = tuple(Gtid(0, int(name[2:]), number) for name, number in last.items())
    return Transactions(
        seen, origin="1" if len(last) == 1 else "2", executed=History(applied=(), logged=logged)
    )


def seen(before: World, name: str, has: Transactions) -> World:
    return apply(before, ReplicaChecked(name, "rep_threads", finds(Outcome.OK), Look(None, has)), has.seen)


def failed_over(before: World, *, refuses: bool = True, taken: float = NOW + 1) -> World:
    """Return the world in which db2 has taken over from db1, which refused from NOW on, or fell silent."""
    failed = checks(mysql=NOW)
    refused = replace(failed["mysql"], refused=refuses, refused_since=NOW if refuses else None)
    before = with_host(replace(before, last_writer="db1"), "db1", checks={**failed, "mysql": refused})
    after, _ = settle(before, taken)
    assert after.owner[WRITER] == "db2"
    return after


def said(after: World) -> str:
    assert after.loss is not None
    assert after.loss.known
    return str(losses.said(after.loss, CLOCK))


def test_two_looks_at_once_are_no_rate() -> None:
    """A group of commits between them would make thousands a second of it."""
    again = seen(writing(), "db1", mariadb(NOW - 1.999, db1=153))
    assert (
        again.hosts["db1"].progress.rates
        == writing().hosts["db1"].progress.rates
        == (Pace(NOW - 2, 10.0, 5.0),)
    )


def test_a_writer_that_took_over_again_has_not_written_what_the_other_wrote_meanwhile() -> None:
    """Its numbers go on from those of the other one, far above its own last one."""
    before = seen(world(), "db1", replace(mariadb(NOW - 7, db1=50, db2=9000), origin="1"))
    again = seen(before, "db1", replace(mariadb(NOW - 2, db1=9020, db2=9000), origin="1"))
    assert again.hosts["db1"].progress.rates == (Pace(NOW - 2, 4.0, 5.0),)


def writing() -> World:
    """Return a world in which db1 was seen to write 10 transactions a second, the last time 2 s before its end."""
    return seen(seen(world(), "db1", mariadb(NOW - 7, db1=50)), "db1", mariadb(NOW - 2, db1=100))


def test_the_most_is_what_was_seen_and_what_can_have_come_since_less_what_arrived() -> None:
    after = failed_over(writing())
    assert after.loss is not None
    assert not after.loss.known, "the new writer has to be looked at first"
    after = seen(after, "db2", mariadb(NOW + 1.1, db1=112, db2=113))
    result = turn(after, NOW + 1.2)
    assert [type(change) for change in result.changes] == [Lost]
    assert "at most 51 transactions since " in said(result.world), (
        "50 and a quarter at once, 12 of them arrived"
    )
    assert "if it wrote no faster than the 10.0 a second before" in said(result.world)
    assert f"# Warning: {said(result.world)}" in show(result.world)
    assert not [change for change in turn(result.world, NOW + 2).changes if isinstance(change, Lost)]


def test_what_was_seen_and_is_missing_is_counted_and_named() -> None:
    after = seen(failed_over(writing()), "db2", mariadb(NOW + 1.1, db1=97))
    text = said(turn(after, NOW + 1.2).world)
    assert "at most 66 transactions since " in text
    assert "3 transactions (0-1-98 to 0-1-100) of db1 were seen there and are not on db2" in text


def test_by_mysqls_sets_too() -> None:
    def has(when: float, text: str, origin: str = "") -> Transactions:
        return Transactions(when, origin, executed=mysql.parse(text))

    one, two = "3e11fa47-71ca-11e1-9e33-c80aa9429562", "4e11fa47-71ca-11e1-9e33-c80aa9429562"
    before = seen(world(), "db1", has(NOW - 7, f"{one}:1-50", one))
    before = seen(before, "db1", has(NOW - 2, f"{one}:1-100", one))
    after = seen(failed_over(before), "db2", has(NOW + 1.1, f"{one}:1-112,{two}:1-9", two))
    assert "at most 51 transactions since " in said(turn(after, NOW + 1.2).world)


def test_an_idle_writer_has_lost_nothing() -> None:
    before = seen(seen(world(), "db1", mariadb(NOW - 7, db1=50)), "db1", mariadb(NOW - 2, db1=50))
    after = seen(failed_over(before), "db2", mariadb(NOW + 1.1, db1=50))
    assert "at most 0 transactions since " in said(turn(after, NOW + 1.2).world)


def test_what_is_not_known_is_said_to_be_unknown() -> None:
    after = failed_over(world())
    late = turn(after, NOW + 1 + loss.PATIENCE + 1).world
    assert said(late) == "lost with db1 when db2 took over: unknown: what db1 had was never seen"
    once = seen(failed_over(seen(world(), "db1", mariadb(NOW - 2, db1=7))), "db2", mariadb(NOW + 1.1, db1=7))
    assert "db1 was looked at only once" in said(turn(once, NOW + 1.2).world)


def test_without_gtids_the_places_are_said() -> None:
    theirs = Transactions(NOW - 2, end=LogPlace("bin.000002", 900))
    ours = Transactions(NOW + 1.1, read=LogPlace("bin.000002", 800))
    after = seen(failed_over(seen(world(), "db1", theirs)), "db2", ours)
    assert "bin.000002:900 then, and db2 has received it up to bin.000002:800: the rest is lost" in said(
        turn(after, NOW + 1.2).world
    )


def test_it_is_shown_until_the_host_is_back() -> None:
    after = turn(seen(failed_over(writing()), "db2", mariadb(NOW + 1.1, db1=100)), NOW + 1.2).world
    assert after.loss is not None
    back = with_host(after, "db1", state=State.ONLINE, checks=checks())
    assert turn(back, NOW + 30).world.loss is None


def test_nothing_is_lost_once_its_host_has_the_role_again() -> None:
    """Before anybody looked at the other one, say: the admin set that offline."""
    after = failed_over(writing())
    assert after.loss is not None
    again = with_host(after, "db1", state=State.ONLINE, checks=checks()).with_owner({WRITER: "db1"})
    again = seen(again, "db2", mariadb(NOW + 1.1, db1=97))
    result = turn(again, NOW + 2)
    assert result.world.loss is None
    assert not [change for change in result.changes if isinstance(change, Lost)]


def test_a_planned_move_loses_nothing_and_says_nothing() -> None:
    before = replace(writing(), last_writer="db1").with_owner({WRITER: "db2"})
    assert settle(before, NOW)[0].loss is None


WAITING = SemiSync(source=True, replica=False, waits=True, clients=1, patience=10.0)


def semi_sync(source: SemiSync, *replicas: str) -> World:
    """Return the world of `writing` in which db1 is a semi-sync source and these acknowledge, by their own word."""
    has = replace(mariadb(NOW - 2, db1=100), semi_sync=source)
    after = seen(seen(world(), "db1", mariadb(NOW - 7, db1=50)), "db1", has)
    acknowledges = SemiSync(source=False, replica=True, acknowledges=True)
    for name in replicas:
        origin = after.conf.hosts["db1"]
        got = replace(mariadb(NOW - 1, db1=100), source_ip=origin.ip, source_port=origin.mysql_port)
        after = seen(after, name, replace(got, semi_sync=acknowledges))
    return after


def lost(before: World) -> str:
    return said(turn(seen(failed_over(before), "db2", mariadb(NOW + 1.1, db1=100)), NOW + 1.2).world)


def test_a_semi_sync_source_told_its_clients_nothing_that_its_replica_lacks() -> None:
    assert lost(semi_sync(WAITING, "db2")) == (
        "lost with db1 when db2 took over: nothing that clients were told of: semi-sync was on"
    )
    both = replace(WAITING, clients=2, needed=2)
    assert "nothing that clients were told of" in lost(semi_sync(both, "db2", "db3"))
    unseen = turn(failed_over(semi_sync(WAITING, "db2")), NOW + 1 + loss.PATIENCE + 1).world
    assert "nothing that clients were told of" in said(unseen)


def test_where_another_one_may_have_acknowledged_that_is_said() -> None:
    text = lost(semi_sync(replace(WAITING, clients=2), "db2", "db3"))
    assert "at most " in text
    assert "semi-sync was on: what clients were told of and db2 lacks has reached db3" in text


def test_semi_sync_that_proves_nothing_is_not_spoken_of() -> None:
    for state, replicas in (
        (replace(WAITING, waits=False), ("db2",)),  # fallen back
        (replace(WAITING, clients=0), ("db2",)),
        (replace(WAITING, patience=0.0), ("db2",)),  # falls back as soon as the replica is gone
        (replace(WAITING, patience=1.5), ("db2",)),  # may have fallen back since the last look
        (WAITING, ()),  # a stranger acknowledged
    ):
        text = lost(semi_sync(state, *replicas))
        assert "at most " in text
        assert "semi-sync" not in text


def test_one_that_fell_silent_can_have_written_until_another_has_its_role() -> None:
    """Its clients may be on its side: it acknowledges for as long as its lease lasts."""
    before = writing()
    for at in range(-70, -7, 5):
        before = with_host(
            before, "db1", rates=(*before.hosts["db1"].progress.rates, Pace(NOW + at, 9.0, 5.0))
        )
    released = failed_over(before, refuses=False, taken=NOW + 20)
    assert released.loss is not None
    unheard = replace(released, loss=replace(released.loss, released=None))
    after = turn(seen(unheard, "db2", mariadb(NOW + 20.1, db1=100)), NOW + 20.2).world
    assert after.loss is not None
    assert after.loss.most is not None
    assert after.loss.most >= 22 * 10, "10 a second from 2 s before it fell silent to 20 s after that"


def test_where_it_can_have_written_for_longer_than_it_was_measured_the_loss_is_unknown() -> None:
    for before, rate in ((writing(), "10.0"), (idle(), "0.0")):
        silent = failed_over(before, refuses=False, taken=NOW + 20)
        after = turn(seen(silent, "db2", mariadb(NOW + 20.1, db1=100)), NOW + 20.2).world
        assert after.loss is not None
        assert (after.loss.code, after.loss.most) == (LossCode.UNSEEN, None)
        assert "lost with db1 when db2 took over: unknown since " in said(after)
        assert (
            f"may have taken writes for 22 s unseen, from clients that still reached it; at the {rate} a second"
            in said(after)
        )
        assert f"# Warning: {said(after)}" in show(after)


def idle() -> World:
    return seen(seen(world(), "db1", mariadb(NOW - 7, db1=100)), "db1", mariadb(NOW - 2, db1=100))


def test_a_port_that_refused_while_the_server_wrote_on_proves_nothing() -> None:
    """A firewall may refuse the monitor only: the taker has got more than can have come before."""
    after = turn(seen(failed_over(writing()), "db2", mariadb(NOW + 1.1, db1=400)), NOW + 1.2).world
    assert after.loss is not None
    assert (after.loss.dead, after.loss.ended) == (None, NOW + 1)


def test_a_look_from_before_the_taker_had_the_role_says_nothing_of_what_it_lacks() -> None:
    before = seen(writing(), "db2", mariadb(NOW + 0.5, db1=97))
    early = turn(failed_over(before), NOW + 1.1).world
    assert early.loss is not None
    assert not early.loss.known
    after = turn(seen(early, "db2", mariadb(NOW + 1.2, db1=100)), NOW + 1.3).world
    assert "were seen there and are not on db2" not in said(after)


def test_a_later_look_corrects_it() -> None:
    first = turn(seen(failed_over(writing()), "db2", mariadb(NOW + 1.1, db1=97)), NOW + 1.2).world
    assert "at most 66 transactions" in said(first)
    same = turn(seen(first, "db2", mariadb(NOW + 2, db1=97, db2=120)), NOW + 2)
    assert not [change for change in same.changes if isinstance(change, Lost)]
    later = turn(seen(same.world, "db2", mariadb(NOW + 3, db1=100, db2=120)), NOW + 3)
    assert [type(change) for change in later.changes] == [Lost]
    assert "at most 63 transactions" in said(later.world)


def test_the_host_that_is_back_tells_it_exactly() -> None:
    after = turn(seen(failed_over(writing()), "db2", mariadb(NOW + 1.1, db1=100, db2=7)), NOW + 1.2).world
    back = enter(after, "db1", State.AWAITING_RECOVERY, because("back", "it answers again"), NOW + 5)
    back = seen(with_host(back, "db1", checks=checks()), "db1", mariadb(NOW + 6, db1=139))
    result = turn(back, NOW + 6)
    assert [type(change) for change in result.changes] == [Lost]
    exact = "at most 39 transactions, by a comparison when it came back: it has 39 transactions (0-1-101 to 0-1-139)"
    assert exact in said(result.world)
    assert result.world.hosts["db1"].state is State.AWAITING_RECOVERY


def test_a_copy_of_another_hosts_data_does_not_make_the_loss_smaller() -> None:
    """The admin set the lost host up anew: what it had is lost all the same."""
    first = turn(seen(failed_over(writing()), "db2", mariadb(NOW + 1.1, db1=97, db2=120)), NOW + 1.2).world
    assert "at most 66 transactions" in said(first)
    back = enter(first, "db1", State.AWAITING_RECOVERY, because("back", "it answers again"), NOW + 5)
    rebooted = with_host(back, "db1", checks=checks(), rebooted=True)
    back = seen(rebooted, "db1", mariadb(NOW + 6, db1=97, db2=120))
    back = seen(back, "db2", mariadb(NOW + 6, db1=97, db2=130))
    result = turn(back, NOW + 7)
    assert not [change for change in result.changes if isinstance(change, Lost)]
    assert "at most 66 transactions" in said(result.world)


def test_what_a_lost_host_still_has_when_it_is_back_counts() -> None:
    first = turn(seen(failed_over(writing()), "db2", mariadb(NOW + 1.1, db1=97)), NOW + 1.2).world
    back = seen(
        enter(first, "db1", State.AWAITING_RECOVERY, because("back"), NOW + 5),
        "db1",
        mariadb(NOW + 6, db1=120),
    )
    back = seen(back, "db2", mariadb(NOW + 6, db1=97, db2=120))
    assert "at most 23 transactions" in said(turn(back, NOW + 7).world)


def test_what_was_received_and_not_applied_is_lacking() -> None:
    """A promotion by force goes on though the rest of the relay log cannot be applied."""
    stuck = replace(
        mariadb(NOW + 1.1, db1=100, db2=7), received=History(applied=(Gtid(0, 1, 139),), logged=())
    )
    after = turn(seen(failed_over(writing()), "db2", stuck), NOW + 1.2).world
    back = enter(after, "db1", State.AWAITING_RECOVERY, because("back", "it answers again"), NOW + 5)
    back = seen(with_host(back, "db1", checks=checks(), uptime=510.0), "db1", mariadb(NOW + 6, db1=139))
    waits = turn(back, NOW + 6).world
    assert waits.hosts["db1"].state is State.AWAITING_RECOVERY, "it was gone for a moment only"
    assert "host db1 has 39 transactions (0-1-101 to 0-1-139) that db2 lacked" in show(waits)
    applied = turn(seen(back, "db2", mariadb(NOW + 7, db1=139, db2=200)), NOW + 7).world
    assert applied.hosts["db1"].state is State.ONLINE, "what it had received it has applied since"


def test_history_has_the_loss_as_values() -> None:
    after = turn(seen(failed_over(writing()), "db2", mariadb(NOW + 1.1, db1=97)), NOW + 1.2).world
    assert after.loss is not None
    values = losses.encoded(after.loss, CLOCK)
    assert (values["loss"], values["most"], values["missing"], values["rate"]) == ("at_most", 66, 3, 10.0)
    kept = decode(encode(Entry(1.0, said(after), loss=values)))
    assert kept[0].loss == values


def restarted(path: Path, before: World) -> World:
    """Return the world of a monitor that is started anew, with the history of the one before."""
    fresh = replace(before, loss=None, last_writer=None)
    return turn(Chronicle(path, CLOCK).recalled(fresh, NOW + 60), NOW + 60).world


@pytest.fixture
def recorded(tmp_path: Path) -> tuple[Path, World]:
    """Give a history that tells of a loss, and the world in which it is known."""
    after = turn(seen(failed_over(writing()), "db2", mariadb(NOW + 1.1, db1=97, db2=7)), NOW + 1.2).world
    assert after.loss is not None
    Chronicle(tmp_path / "history", CLOCK).turn(after, [Lost(after.loss)])
    return tmp_path / "history", after


def test_a_monitor_that_was_restarted_tells_what_was_lost_as_before(recorded: tuple[Path, World]) -> None:
    path, before = recorded
    after = restarted(path, before)
    assert after.loss is not None
    assert said(after) == said(before)
    assert before.loss is not None
    assert losses.encoded(after.loss, CLOCK) == losses.encoded(before.loss, CLOCK)
    assert f"# Warning: {said(before)}" in show(after)
    looked = turn(seen(after, "db2", mariadb(NOW + 61, db1=97, db2=130)), NOW + 61)
    assert not [change for change in looked.changes if isinstance(change, Lost)]
    assert said(looked.world) == said(before), "it knows no more than it said"
    back = enter(after, "db1", State.AWAITING_RECOVERY, because("back", "it answers again"), NOW + 65)
    back = seen(with_host(back, "db1", checks=checks()), "db1", mariadb(NOW + 66, db1=139))
    assert "by a comparison when it came back" in said(turn(back, NOW + 66).world)


def test_what_was_lost_with_a_host_that_has_come_back_since_is_not_told_again(
    recorded: tuple[Path, World],
) -> None:
    path, before = recorded
    came = Change("db1", State.AWAITING_RECOVERY, State.ONLINE, because("back", "it is back"))
    Chronicle(path, CLOCK).turn(before, [came])
    assert restarted(path, before).loss is None


@pytest.mark.parametrize(
    "broken", ['"loss": "moon"', '"most": "many"', '"host": 7', '"host": "db9"', '"missing": null']
)
def test_a_history_that_tells_of_no_loss_that_can_be_read_is_none(
    recorded: tuple[Path, World], broken: str
) -> None:
    path, before = recorded
    key = broken.partition(":")[0]
    entry = json.loads(path.read_text())
    entry["loss"] |= json.loads(f"{{{broken}}}")
    assert key.strip('"') in entry["loss"]
    path.write_text(json.dumps(entry) + "\n")
    assert restarted(path, before).loss is None


GOT = Salvaged("db1", 3, "0-1-113", "0-1-115", 900, known=True, seconds=0.08)


def salvaged(got: Salvaged, *, how: Answer = Answer.OK) -> World:
    """Return the world in which db2 has taken over from db1 and said what it got of that one's binary log."""
    failed = checks(mysql=NOW)
    refused = replace(failed["mysql"], refused=True, refused_since=NOW)
    after = with_host(replace(writing(), last_writer="db1"), "db1", checks={**failed, "mysql": refused})
    for _ in range(20):
        after, orders = take_turn(after, NOW + 1)
        for order in orders:
            if isinstance(order, Tell) and order.status.salvage:
                token = Answered("db2", order.number, how, "", 501.0, "b.1", salvaged=got)
                after = apply(after, token, NOW + 1)
            else:
                after = answer(after, order, now=NOW + 1)
    return after


def test_the_next_writer_is_told_whose_log_may_have_more_until_it_has_taken_over() -> None:
    before = with_host(replace(writing(), last_writer="db1"), "db1", checks=checks(mysql=NOW))
    after, given = settle(before, NOW + 1)
    named = [(order.host, order.status.salvage) for order in given if isinstance(order, Tell)]
    assert ("db2", "db1") in named
    assert {host for host, name in named if name} == {"db2"}
    assert not reconcile.wanted(after, "db2", NOW + 2).salvage
    off = replace(before, conf=replace(before.conf, salvage=False))
    assert not any(order.status.salvage for order in settle(off, NOW + 1)[1] if isinstance(order, Tell))


@pytest.mark.parametrize("name", ["db1", "db2"])
def test_an_agent_of_mmm_2_is_not_asked_for_what_it_does_not_know(name: str) -> None:
    before = with_host(replace(writing(), last_writer="db1"), "db1", checks=checks(mysql=NOW))
    for _ in range(20):
        before, orders = take_turn(before, NOW + 1)
        assert not any(order.status.salvage for order in orders if isinstance(order, Tell))
        for order in orders:
            before = answer(before, order, now=NOW + 1)
            about = replace(before.hosts[name].agent.about, kind=Kind.MMM2)
            before = with_agent(before, name, about=about)
    assert before.owner[WRITER] == "db2"


def test_a_log_is_not_asked_for_where_no_agent_answers() -> None:
    before = with_host(replace(writing(), last_writer="db1"), "db1", checks=checks(mysql=NOW, ping=NOW))
    _, given = settle(before, NOW + 1, {"db1": Answer.SILENT})
    assert not any(order.status.salvage for order in given if isinstance(order, Tell))


@pytest.mark.parametrize(("pings", "asked"), [(True, True), (False, False)])
def test_a_log_is_not_asked_for_where_a_host_has_begun_to_answer_nothing(*, pings: bool, asked: bool) -> None:
    """An order to it is under way, and ping fails later than the server does."""
    ping = replace(checks()["ping"], error_since=None if pings else NOW)
    seen = with_host(replace(writing(), last_writer="db1"), "db1", checks={**checks(mysql=NOW), "ping": ping})
    for _ in range(5):
        seen, orders = take_turn(seen, NOW + 0.1)
        for order in orders:
            if order.host != "db1" or not isinstance(order, Tell):
                seen = answer(seen, order, now=NOW + 0.1)
    assert (seen.owner[WRITER], seen.is_silent("db1")) == ("db2", False)
    assert loss.to_salvage(seen, "db2") == ("db1" if asked else "")


def test_a_log_that_was_read_to_its_end_tells_what_is_lost() -> None:
    assert said(turn(salvaged(GOT), NOW + 1.1).world) == (
        "lost with db1 when db2 took over: nothing: 3 transactions got from the binary log of db1 (0-1-113 to 0-1-115)"
    )
    nothing = replace(GOT, count=0, first="", last="")
    assert said(turn(salvaged(nothing), NOW + 1.1).world).endswith(
        "nothing: the binary log of db1 had nothing more"
    )
    left = replace(GOT, left=2, cause=Cause.DENIED)
    after = turn(salvaged(left), NOW + 1.1).world
    assert "2 transactions that the binary log of db1 has: the agent's MySQL user may not" in said(after)
    assert after.loss is not None
    values = losses.encoded(after.loss, CLOCK)
    assert (values["most"], values["missing"]) == (2, 2)
    assert (values["salvaged"]["count"], values["salvaged"]["why"]) == (3, "denied")


@pytest.mark.parametrize(
    ("got", "text"),
    [
        (
            replace(GOT, left=2, cause=Cause.TOO_LARGE, at="0-1-116", at_size=480 << 20),
            "2 transactions that the binary log of db1 has, from 0-1-116 (480 MB) on: a transaction is too large; 3 tr",
        ),
        (
            replace(GOT, left=2, cause=Cause.DENIED, at="0-1-116"),
            "2 transactions that the binary log of db1 has, from 0-1-116 on: the agent's MySQL user may not",
        ),
        (
            replace(GOT, known=False, cause=Cause.TOO_LARGE, at="0-1-116", at_size=480 << 20),
            "the rest of the binary log of db1, from 0-1-116 (480 MB) on, was not got: a transaction is too large; 3 t",
        ),
    ],
)
def test_the_first_transaction_that_was_not_got_is_named(got: Salvaged, text: str) -> None:
    after = turn(seen(salvaged(got), "db2", mariadb(NOW + 1.1, db1=115, db2=116)), NOW + 1.2).world
    assert text in said(after)
    assert after.loss is not None
    told = losses.encoded(after.loss, CLOCK)["salvaged"]
    assert (told["at"], told["at_bytes"]) == ("0-1-116", got.at_size)


def test_what_an_order_got_that_was_not_done_to_its_end_is_kept() -> None:
    after = salvaged(GOT, how=Answer.ERROR)
    assert after.loss is not None
    assert after.loss.salvaged == GOT


def test_a_log_that_was_not_read_to_its_end_leaves_the_estimate_and_is_named() -> None:
    got = replace(GOT, known=False, cause=Cause.AGENT)
    after = seen(salvaged(got), "db2", mariadb(NOW + 1.1, db1=115, db2=116))
    text = said(turn(after, NOW + 1.2).world)
    assert "at most 48 transactions since " in text
    assert (
        "; the rest of the binary log of db1 was not got: its agent did not send it; 3 transactions got"
        in text
    )
