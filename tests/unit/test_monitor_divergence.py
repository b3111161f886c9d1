"""Masters that come back with transactions of their own (rule 10.16), or all at once (rule 10.28)."""

from dataclasses import replace

import pytest

from mmm.gtid import mysql
from mmm.gtid.mariadb import History, parse
from mmm.gtid.place import Hidden, LogPlace, Tail, Unread, Written
from mmm.gtid.transactions import Executed, Transactions
from mmm.monitor.act import status_file
from mmm.monitor.apply.apply import apply
from mmm.monitor.assess.divergence import LOOKS, ahead, awaited
from mmm.monitor.decide.found import Found
from mmm.monitor.decide.reconcile import wanted
from mmm.monitor.decide.startup import start
from mmm.monitor.decide.turn import turn
from mmm.monitor.report.explain import explain
from mmm.monitor.report.log_lines import between
from mmm.monitor.states.table import Change, enter, judge
from mmm.monitor.world.check_results import Link, Look, Replica, ReplicaChecked
from mmm.monitor.world.checks import Outcome
from mmm.monitor.world.events import LogRead
from mmm.monitor.world.host import State
from mmm.monitor.world.orders import ReadLog
from mmm.monitor.world.world import World
from mmm.wire.status import Status
from tests import commanding
from tests.unit.worlds import (
    CLOCK,
    NOW,
    WRITER,
    because,
    checks,
    cluster,
    finds,
    show,
    with_agent,
    with_host,
    world,
)

ONE = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
TWO = "4d22fa47-71ca-11e1-9e33-c80aa9429562"
AWAITING = State.AWAITING_RECOVERY
PORT = 3306


def mariadb(logged: str, applied: str = "") -> History:
    return History(parse(applied), parse(logged))


def read(
    before: World,
    name: str,
    executed: Executed | None,
    origin: str,
    at: float,
    source: str | None = None,
    received: Executed | None = None,
) -> World:
    """Let a replication check of the host end, which replicates from its peer."""
    peer = {"db1": "10.0.0.2", "db2": "10.0.0.1"}.get(name, "10.0.0.1")
    ip = peer if source is None else source
    has = Transactions(at, origin, executed, source_ip=ip, source_port=PORT if ip else 0, received=received)
    return apply(before, ReplicaChecked(name, "rep_threads", finds(Outcome.OK), Look(None, has)), at)


def failed_over(has: Executed | None = None, origin: str = "2") -> World:
    """db1 was the writer, is gone, and db2 has taken over with what it had."""
    after = enter(world({WRITER: "db2"}), "db1", State.HARD_OFFLINE, because("host_failed", "mysql"), NOW)
    return read(after, "db2", mariadb("0-1-100", "0-1-100") if has is None else has, origin, NOW + 1)


def back(before: World, at: float = NOW + 20) -> World:
    """db1 answers again after a short outage."""
    return with_host(
        enter(before, "db1", AWAITING, because("back", "it answers again"), at),
        "db1",
        uptime=520.0,
        last_uptime=500.0,
    )


def state(after: World, name: str = "db1") -> State:
    return after.hosts[name].state


def test_a_returning_master_with_more_than_the_new_one_had_waits_and_is_named() -> None:
    waiting = back(failed_over())
    assert state(judge(waiting, NOW + 21)[0]) is AWAITING, "what it has is not known yet"
    known = read(waiting, "db1", mariadb("0-1-103"), "1", NOW + 22)
    said = "3 transactions (0-1-101 to 0-1-103)"
    assert any(said in line for _, line in between(waiting, known))
    assert (ahead(waiting, "db1"), ahead(known, "db1"), ahead(known, "db2")) == (0, 3, 0)
    assert state(judge(known, NOW + 999)[0]) is AWAITING
    assert f"# Warning: host db1 has {said} that db2 lacked" in show(known)
    assert said in explain(known, "db1", NOW + 30, CLOCK)


@pytest.mark.parametrize(
    ("has", "later", "origins"),
    [
        (mariadb("0-1-103"), mariadb("0-1-100,0-2-150", "0-1-100"), ("1", "2")),
        (mysql.parse(f"{ONE}:1-103"), mysql.parse(f"{ONE}:1-100,{TWO}:1-50"), (ONE, TWO)),
    ],
    ids=["MariaDB", "MySQL"],
)
def test_what_the_new_master_takes_in_later_makes_nothing_better(
    has: Executed, later: Executed, origins: tuple[str, str]
) -> None:
    """The old master's last transactions come after, and in between, what the new one wrote meanwhile."""
    had = mariadb("0-1-100", "0-1-100") if isinstance(has, History) else mysql.parse(f"{ONE}:1-100")
    after = back(failed_over(had, origins[1]))
    after = read(after, "db2", later, origins[1], NOW + 21)
    after = read(after, "db2", has, origins[1], NOW + 22)
    after = read(after, "db1", has, origins[0], NOW + 23)
    assert state(judge(after, NOW + 24)[0]) is AWAITING


def test_what_the_active_master_has_received_and_cannot_apply_it_does_not_have() -> None:
    """db1, which was never the writer, has written a row that db2's replication stops at.

    db2 has got its own later transactions back behind that; db1's number is below theirs.
    """
    has, received = mariadb("0-2-150", "0-2-100"), mariadb("", "0-2-150")
    after = read(world({WRITER: "db2"}), "db2", has, "2", NOW, received=received)
    after = back(enter(after, "db1", State.HARD_OFFLINE, because("host_failed", "mysql"), NOW + 1))
    after = read(after, "db2", has, "2", NOW + 21, received=received)
    extra = read(after, "db1", mariadb("0-1-101,0-2-150", "0-2-150"), "1", NOW + 22)
    assert state(judge(extra, NOW + 999)[0]) is AWAITING
    assert "host db1 has 1 transaction (0-1-101) that db2 lacked" in show(extra)
    applied = read(extra, "db2", mariadb("0-1-101,0-2-150", "0-2-150"), "2", NOW + 23, received=received)
    assert state(judge(applied, NOW + 999)[0]) is State.ONLINE


def test_a_returning_master_without_more_comes_back_by_itself_also_when_it_has_caught_up() -> None:
    after = read(back(failed_over()), "db1", mariadb("0-1-100,0-2-180", "0-2-180"), "1", NOW + 22)
    after, changes = judge(after, NOW + 22)
    assert (state(after), changes[0].rule) == (State.ONLINE, "short_outage")


def test_where_nobody_tells_or_not_for_long_the_classic_rules_hold() -> None:
    nobody = back(
        enter(world({WRITER: "db2"}), "db1", State.HARD_OFFLINE, because("host_failed", "mysql"), NOW)
    )
    assert state(judge(nobody, NOW + 20)[0]) is State.ONLINE
    none = Transactions(NOW + 1, ONE, None)
    without = ReplicaChecked("db2", "rep_threads", finds(Outcome.OK), Look(None, none))
    gone = enter(world({WRITER: "db2"}), "db1", State.HARD_OFFLINE, because("host_failed", "mysql"), NOW)
    waiting = back(apply(gone, without, NOW + 1))
    silent = ReplicaChecked("db1", "rep_threads", finds(Outcome.UNKNOWN, "no answer"))
    for at in (25, 30):
        waiting = apply(waiting, silent, NOW + at)
        assert state(judge(waiting, NOW + 999)[0]) is AWAITING, (
            "time alone says nothing: who was frozen has not asked"
        )
    assert state(judge(apply(waiting, silent, NOW + 35), NOW + 35)[0]) is State.ONLINE
    no_gtids = Transactions(NOW + 21, TWO, None)
    result = ReplicaChecked("db1", "rep_threads", finds(Outcome.OK), Look(None, no_gtids))
    assert state(judge(apply(waiting, result, NOW + 21), NOW + 21)[0]) is State.ONLINE


def test_what_it_had_before_the_active_master_took_over_proves_nothing() -> None:
    """In manual mode it may have held the writer role, and written, while it was AWAITING_RECOVERY."""
    waiting = read(back(world({WRITER: "db2"}), NOW - 20), "db1", mariadb("0-1-100"), "1", NOW)
    waiting = with_host(waiting, "db1", state=AWAITING, since=NOW - 20)
    waiting = read(waiting, "db2", mariadb("0-1-100", "0-1-100"), "2", NOW + 5)
    assert state(judge(waiting, NOW + 5)[0]) is AWAITING
    same = read(waiting, "db1", mariadb("0-1-100"), "1", NOW + 6)
    assert state(judge(same, NOW + 6)[0]) is State.ONLINE
    more = read(waiting, "db1", mariadb("0-1-101"), "1", NOW + 6)
    assert state(judge(more, NOW + 6)[0]) is AWAITING


def test_it_waits_for_an_active_master_that_lacks_some_and_has_not_taken_over_yet() -> None:
    before = with_host(failed_over(), "db1", reference=None)
    waiting = back(with_agent(before, "db2", told=Status("ONLINE", (), "db2")))
    for at in range(5):
        waiting = read(waiting, "db1", mariadb("0-1-103"), "1", NOW + 21 + at)
    assert state(judge(waiting, NOW + 99)[0]) is AWAITING
    got = read(waiting, "db2", mariadb("0-1-103", "0-1-103"), "2", NOW + 99)
    assert state(judge(got, NOW + 99)[0]) is State.ONLINE


def test_where_the_active_master_tells_what_it_had_the_other_waits_for_as_long_as_it_does_not() -> None:
    waiting = back(failed_over())
    assert state(judge(waiting, NOW + 9999)[0]) is AWAITING
    refused = commanding.run(waiting, ["set_online", "db1"], NOW + 30, pinged=True)
    assert refused is not None
    assert "its transactions are not compared with those of db2 yet" in refused.text
    forced = commanding.run(waiting, ["set_online", "--force", "db1"], NOW + 30, pinged=True)
    assert forced is not None
    assert state(forced.world) is State.ONLINE


def detached(after: World) -> dict[str, bool]:
    return {name: wanted(after, name, NOW).detach for name in after.hosts}


def test_the_active_master_is_detached_from_a_lost_one_until_that_is_in_use_again() -> None:
    assert not any(detached(world()).values())
    after = failed_over()
    assert detached(after) == {"db1": False, "db2": True, "db3": False}
    after = read(back(after), "db1", mariadb("0-1-101"), "1", NOW + 22)
    assert detached(judge(after, NOW + 22)[0])["db2"]
    assert "replication from db1 is suspended until" in explain(after, "db2", NOW + 22, CLOCK)
    forced = commanding.run(after, ["set_online", "--force", "db1"], NOW + 30, pinged=True)
    assert forced is not None
    assert not any(detached(forced.world).values())


def test_a_lost_master_that_the_admin_takes_out_is_still_to_be_compared() -> None:
    after = enter(
        failed_over(), "db1", State.REPLICATION_FAIL, because("back_without_replication", "x"), NOW + 20
    )
    after = enter(
        after, "db1", State.ADMIN_OFFLINE, because("set_offline", "set offline by the admin"), NOW + 21
    )
    assert detached(after)["db2"]


def test_a_restarted_monitor_knows_who_was_lost() -> None:
    for state in (State.REPLICATION_FAIL, State.HARD_OFFLINE, AWAITING, State.ADMIN_OFFLINE):
        before = enter(failed_over(), "db1", state, because(""), NOW + 20)
        stored, _ = status_file.decode(status_file.encode(before))
        found = {name: Found(stored[name]) for name in before.hosts}
        again = start(before.conf, {name: checks() for name in before.hosts}, found, NOW + 30).world
        assert detached(again)["db2"]
        assert not again.hosts["db3"].lost


def test_a_new_cluster_has_lost_nobody() -> None:
    conf = cluster()
    first = start(
        conf, {name: checks() for name in conf.hosts}, dict.fromkeys(conf.hosts, Found()), NOW
    ).world
    after = first.with_owner({WRITER: "db1"})
    assert after.hosts["db2"].state is AWAITING
    assert not any(detached(after).values())


def test_a_detached_replica_is_good_unless_another_is_the_active_master() -> None:
    result = ReplicaChecked(
        "db2",
        "rep_threads",
        finds(Outcome.ERROR, "detached from 10.0.0.1"),
        Look(Replica("10.0.0.1", uses_gtid=True, link=Link.DETACHED)),
    )
    for owner, said in (("db2", "OK"), (None, "OK"), ("db1", "ERROR")):
        check = apply(world({WRITER: owner}), result, NOW).hosts["db2"].checks["rep_threads"]
        assert str(check.finding) == f"{said}: detached from 10.0.0.1"


def test_one_that_comes_back_with_broken_replication_waits_too() -> None:
    after = enter(
        failed_over(), "db1", State.REPLICATION_FAIL, because("back_without_replication", "x"), NOW + 20
    )
    assert state(judge(after, NOW + 21)[0]) is State.REPLICATION_FAIL, "what it has is not known yet"
    after, changes = judge(read(after, "db1", mariadb("0-1-101"), "1", NOW + 22), NOW + 22)
    assert (state(after), changes[0].rule) == (AWAITING, "back_with_extra_transactions")


def test_it_waits_also_while_the_one_that_it_is_compared_with_is_lost() -> None:
    known = read(back(replace(failed_over(), last_master="db2")), "db1", mariadb("0-1-103"), "1", NOW + 22)
    alone = enter(known, "db2", State.HARD_OFFLINE, because("host_failed", "mysql"), NOW + 30).without_roles(
        "db2"
    )
    alone = with_host(alone, "db2", checks=checks(mysql=NOW + 30))
    assert state(judge(alone, NOW + 31)[0]) is AWAITING
    assert "transactions (0-1-101 to 0-1-103) that db2 lacked" in show(alone)


def test_set_online_says_why_not_and_force_does_it() -> None:
    known = read(back(failed_over()), "db1", mariadb("0-1-101"), "1", NOW + 22)
    refused = commanding.run(known, ["set_online", "db1"], NOW + 30, pinged=True)
    assert refused is not None
    assert refused.text.startswith(
        "ERROR: Host 'db1' stays AWAITING_RECOVERY: it has 1 transaction (0-1-101)"
    )
    assert "set_online --force db1" in refused.text
    forced = commanding.run(known, ["set_online", "--force", "db1"], NOW + 30, pinged=True)
    assert forced is not None
    assert state(forced.world) is State.ONLINE
    assert "# Warning: host db1" not in show(forced.world)


def test_a_standby_that_writes_while_it_is_in_use_is_not_held_up_for_it() -> None:
    """An account made on each host by itself, say: the active master has it by the time the standby fails."""
    after = read(world({WRITER: "db1"}), "db1", mariadb("0-1-100"), "1", NOW)
    after = read(after, "db1", mariadb("0-1-100,0-2-101"), "1", NOW + 5)
    after = enter(after, "db2", State.HARD_OFFLINE, because("host_failed", "mysql"), NOW + 10)
    after = enter(after, "db2", AWAITING, because("back", "it answers again"), NOW + 20)
    after = with_host(after, "db2", uptime=520.0, last_uptime=500.0)
    after = read(after, "db2", mariadb("0-1-100,0-2-101"), "2", NOW + 21)
    assert state(judge(after, NOW + 21)[0], "db2") is State.ONLINE


AT = LogPlace("bin.000002", 500)


def by_place(
    before: World,
    name: str,
    at: float,
    *,
    applied: LogPlace = AT,
    detached: bool = False,
    source: str = "10.0.0.1",
) -> World:
    """Let a replication check of a server without GTIDs end."""
    has = Transactions(
        at,
        name,
        source_ip=source,
        source_port=PORT,
        applied=applied,
        detached=detached,
        server_id=int(name[-1]),
    )
    return apply(before, ReplicaChecked(name, "rep_threads", finds(Outcome.OK), Look(None, has)), at)


def back_without_gtids() -> World:
    """db1 was lost, db2 has taken over with its log up to AT, and db1 is back; its log is to be looked at."""
    return by_place(back(by_place(gone(), "db2", NOW + 1, detached=True)), "db1", NOW + 21)


def gone() -> World:
    """db1 is lost, db2 has taken over."""
    before = replace(world({WRITER: "db2"}), last_master="db2")
    return enter(before, "db1", State.HARD_OFFLINE, because("host_failed", "mysql"), NOW)


def looked(before: World, tail: Tail) -> World:
    """Take a turn, which orders to look at the log, and let the look end."""
    result = turn(before, tail.seen)
    assert [order for order in result.orders if isinstance(order, ReadLog)] == [ReadLog("db1", tail.since)]
    return apply(result.world, LogRead("db1", tail), tail.seen)


def test_without_gtids_it_is_compared_by_what_its_log_has_behind_the_place_that_the_new_master_got() -> None:
    waiting = back_without_gtids()
    assert state(judge(waiting, NOW + 999)[0]) is AWAITING, "its log was not looked at yet"
    place = LogPlace("bin.000003", 200)
    own, of_db2 = (
        Written(3, LogPlace("bin.000002", 500), place),
        Written(7, place, LogPlace("bin.000003", 900)),
    )
    known = looked(waiting, Tail(AT, NOW + 22, {1: own, 2: of_db2}))
    said = "3 transactions (bin.000002:500 to bin.000003:200 in its binary log)"
    assert any(f"it has {said} that db2 lacked" in line for _, line in between(waiting, known))
    assert f"# Warning: host db1 has {said} that db2 lacked" in show(known)
    assert said in explain(known, "db1", NOW + 30, CLOCK)
    assert state(judge(known, NOW + 999)[0]) is AWAITING
    refused = commanding.run(known, ["set_online", "db1"], NOW + 30, pinged=True)
    assert refused is not None
    assert refused.text.startswith(f"ERROR: Host 'db1' stays AWAITING_RECOVERY: it has {said}")
    forced = commanding.run(known, ["set_online", "--force", "db1"], NOW + 30, pinged=True)
    assert forced is not None
    assert state(forced.world) is State.ONLINE


def test_without_gtids_what_came_from_the_new_master_is_no_more() -> None:
    """It replicates at once when it is back."""
    of_db2 = Written(7, LogPlace("bin.000003", 200), LogPlace("bin.000003", 900))
    after, changes = judge(looked(back_without_gtids(), Tail(AT, NOW + 22, {2: of_db2})), NOW + 22)
    assert (state(after), changes[0].rule) == (State.ONLINE, "short_outage")


def test_a_log_that_does_not_tell_is_said_and_looked_at_again() -> None:
    denied = Unread(Hidden.DENIED, LogPlace("bin.000003", 157), 4711, "Access denied")
    problem = "to bin.000003:157, 4711 bytes in all, and may not be looked at: Access denied"
    waiting = looked(back_without_gtids(), Tail(AT, NOW + 22, unread=denied))
    assert state(judge(waiting, NOW + 999)[0]) is AWAITING
    assert any(problem in line for _, line in between(back_without_gtids(), waiting))
    assert problem in explain(waiting, "db1", NOW + 30, CLOCK)
    refused = commanding.run(waiting, ["set_online", "db1"], NOW + 30, pinged=True)
    assert refused is not None
    assert problem in refused.text
    assert not [order for order in turn(waiting, NOW + 23).orders if isinstance(order, ReadLog)]
    assert state(judge(looked(waiting, Tail(AT, NOW + 30)), NOW + 30)[0]) is State.ONLINE
    long = looked(waiting, Tail(AT, NOW + 30, complete=False))
    assert state(judge(long, NOW + 999)[0]) is AWAITING


def test_what_the_new_master_got_later_of_its_log_does_not_count_unless_it_was_detached_before() -> None:
    later = LogPlace("bin.000003", 900)
    for detached, since in ((False, AT), (True, later)):
        after = by_place(back(by_place(gone(), "db2", NOW + 1)), "db1", NOW + 21)
        after = by_place(after, "db2", NOW + 22, applied=later, detached=detached)
        assert ReadLog("db1", since) in turn(after, NOW + 23).orders


def test_a_restarted_monitor_goes_on_from_the_place_at_which_the_new_master_is_detached() -> None:
    before = back_without_gtids()
    stored, _ = status_file.decode(status_file.encode(before))
    found = {name: Found(stored[name]) for name in before.hosts}
    has = {
        name: known
        for name in before.hosts
        if (known := before.hosts[name].progress.transactions) is not None
    }
    again = start(before.conf, {name: checks() for name in before.hosts}, found, NOW + 30, has).world
    again = replace(again, last_master="db2").with_owner({WRITER: "db2"})
    again = with_agent(again, "db2", told=Status("ONLINE", (WRITER,), "db2"))
    again = by_place(by_place(again, "db2", NOW + 31, detached=True), "db1", NOW + 31)
    own = Written(1, AT, AT)
    assert state(judge(looked(again, Tail(AT, NOW + 32, {1: own})), NOW + 99)[0]) is AWAITING


def test_where_the_new_master_followed_somebody_else_nothing_can_be_compared() -> None:
    after = back(by_place(gone(), "db2", NOW + 1, source="10.0.0.9"))
    for at in range(3):
        assert not [order for order in turn(after, NOW + 21 + at).orders if isinstance(order, ReadLog)]
        after = by_place(after, "db1", NOW + 21 + at)
    assert state(judge(after, NOW + 30)[0]) is State.ONLINE


def all_lost() -> World:
    """Both masters are back after a reboot, nobody is the active master."""
    rebooted = {"db1": AWAITING, "db2": AWAITING, "db3": AWAITING}
    after = world({WRITER: None}, rebooted, cluster(readers=1))
    for name in after.hosts:
        after = with_host(after, name, since=NOW, uptime=20.0)
    return after


def test_after_a_total_outage_the_one_that_has_everything_comes_back() -> None:
    after = read(all_lost(), "db1", mariadb("0-1-100", "0-1-90"), "1", NOW + 1)
    assert judge(after, NOW + 1)[1] == ()
    assert "what db2 has is not known" in explain(after, "db1", NOW + 1, CLOCK)
    after = read(after, "db3", mariadb("", "0-1-100"), "3", NOW + 1)
    after = read(after, "db2", mariadb("0-1-100,0-2-101", "0-1-100"), "2", NOW + 2)
    assert "db2 has 1 transaction (0-2-101) that it lacks" in explain(after, "db1", NOW + 2, CLOCK)
    after, changes = judge(after, NOW + 2)
    assert [(change.host, change.rule) for change in changes] == [("db2", "has_everything")]


def test_after_a_total_outage_nobody_comes_back_without_proof() -> None:
    parted = read(all_lost(), "db1", mariadb("0-1-101"), "1", NOW + 1)
    parted = read(parted, "db2", mariadb("0-1-100,0-2-101", "0-1-100"), "2", NOW + 2)
    assert judge(parted, NOW + 3)[1] == ()
    dead = read(all_lost(), "db1", mariadb("0-1-100"), "1", NOW + 1)
    dead = enter(dead, "db2", State.HARD_OFFLINE, because("failed_again", "mysql"), NOW + 1)
    dead = with_host(dead, "db2", checks=checks(mysql=NOW))
    assert judge(dead, NOW + 3)[1] == ()
    assert "what db2 has is not known: it is HARD_OFFLINE" in explain(dead, "db1", NOW + 3, CLOCK)


def test_equals_come_back_in_conf_order_and_only_one_by_this_rule() -> None:
    after = all_lost()
    for name, origin in (("db1", "1"), ("db2", "2"), ("db3", "3")):
        after = read(after, name, mariadb("0-1-100", "0-1-100"), origin, NOW + 1)
    assert [change.host for change in judge(after, NOW + 2)[1]] == ["db1"]


def equals(after: World, **source: str) -> World:
    """All tell the same transactions."""
    for name, origin in (("db1", "1"), ("db2", "2"), ("db3", "3")):
        after = read(after, name, mariadb("0-1-100", "0-1-100"), origin, NOW + 1, source.get(name))
    return after


def test_at_a_first_start_nobody_becomes_active_master_by_itself() -> None:
    """Equal transactions are no reason: that they are this cluster's nobody knows but the admin."""
    conf = cluster(split_brain_guard=True)
    agents = {name: Found(agent=Status("UNKNOWN", ())) for name in conf.hosts}
    first = start(conf, {name: checks() for name in conf.hosts}, agents, NOW).world
    after = equals(first)
    for at in range(1, 30):
        result = turn(after, NOW + at)
        assert not [change for change in result.changes if isinstance(change, Change)]
        after = result.world
    assert {host.state for host in after.hosts.values()} == {AWAITING}
    said = explain(after, "db1", NOW + 2, CLOCK)
    assert "it was never in use, as far as is known: at a first start the admin chooses" in said
    assert "# Warning: no host holds writer: this is a first start, db1 is AWAITING_RECOVERY" in show(after)
    chosen = commanding.run(after, ["set_online", "db2"], NOW + 30, pinged=True)
    assert chosen is not None
    assert state(chosen.world, "db2") is State.ONLINE


def test_a_monitor_that_is_started_again_before_anybody_was_in_use_still_waits() -> None:
    conf = cluster()
    first = start(
        conf, {name: checks() for name in conf.hosts}, dict.fromkeys(conf.hosts, Found()), NOW
    ).world
    first = enter(first, "db1", State.HARD_OFFLINE, because("failed_again", "mysql"), NOW)
    stored, _ = status_file.decode(status_file.encode(first))
    agents = {name: Found(stored[name], Status("AWAITING_RECOVERY", ())) for name in conf.hosts}
    again = start(conf, {name: checks() for name in conf.hosts}, agents, NOW).world
    assert not any(host.used for host in again.hosts.values())


def test_a_monitor_that_is_started_again_after_a_total_outage_knows_who_was_in_use() -> None:
    for last in (State.HARD_OFFLINE, AWAITING, State.REPLICATION_FAIL, State.ONLINE, State.ADMIN_OFFLINE):
        before = with_host(all_lost(), "db1", state=last)
        stored, warnings = status_file.decode(status_file.encode(before))
        found = {name: Found(stored[name]) for name in before.hosts}
        again = start(before.conf, {name: checks() for name in before.hosts}, found, NOW).world
        assert again.hosts["db1"].used
        assert not warnings


@pytest.mark.parametrize(
    ("executed", "sources", "why"),
    [
        (mariadb(""), {}, "it has no transaction by GTID"),
        (mysql.parse(""), {}, "it has no transaction by GTID"),
        (mariadb("0-1-100"), {"db1": ""}, "db1 replicates from nobody, not from db2"),
        (mariadb("0-1-100"), {"db2": ""}, "db2 replicates from nobody, not from db1"),
        (mariadb("0-1-100"), {"db2": "10.0.0.9"}, "db2 replicates from 10.0.0.9:3306, not from db1"),
    ],
)
def test_what_says_nothing_proves_nothing(executed: Executed, sources: dict[str, str], why: str) -> None:
    """Rows that were there before the binary log was on are in no GTID, and servers apart may have any rows."""
    after = all_lost()
    for name, origin in (("db1", "1"), ("db2", "2"), ("db3", "3")):
        after = read(after, name, executed, origin, NOW + 1, sources.get(name))
    assert judge(after, NOW + 2)[1] == ()
    assert why in explain(after, "db1", NOW + 2, CLOCK)


def test_a_possible_master_without_a_transaction_is_no_less_than_the_other() -> None:
    after = read(read(all_lost(), "db1", mariadb("0-1-9"), "1", NOW + 1), "db2", mariadb(""), "2", NOW + 1)
    assert judge(after, NOW + 2)[1] == ()
    assert "db2 has no transaction by GTID" in explain(after, "db1", NOW + 2, CLOCK)


def test_nothing_is_compared_with_a_master_that_has_not_taken_over_yet() -> None:
    """What it has received and not yet applied it applies first."""
    after = enter(world({WRITER: "db2"}), "db1", State.HARD_OFFLINE, because("host_failed", "mysql"), NOW)
    after = with_agent(after, "db2", told=Status("ONLINE", (), "db2"))
    after = read(after, "db2", mariadb("0-1-90", "0-1-90"), "2", NOW + 1)
    assert after.hosts["db1"].comparison.reference is None


def test_what_a_master_had_in_an_earlier_reign_counts_no_more() -> None:
    after = read(turn(world({WRITER: "db2"}), NOW).world, "db2", mariadb("0-1-90", "0-1-90"), "2", NOW)
    assert after.hosts["db1"].comparison.reference is not None
    after = turn(after.with_owner({WRITER: "db1"}), NOW).world
    assert after.hosts["db1"].comparison.reference is None


def test_without_gtids_it_waits_for_a_new_master_that_does_not_answer_after_the_monitor_has_restarted() -> (
    None
):
    """Its place in the returning one's log was read before the monitor's start, and is to be read once more."""
    back = back_without_gtids()
    restarted = with_host(back, "db1", reference=None, looks=LOOKS + 9)
    assert awaited(restarted, "db1")
    elsewhere = by_place(with_agent(restarted, "db2", told=None), "db2", NOW + 31, source="10.0.0.9")
    assert not awaited(elsewhere, "db1")
    silent = with_host(restarted, "db2", transactions=None, checks=checks(mysql=NOW + 30))
    assert awaited(silent, "db1")


def test_while_it_can_still_be_written_to_nothing_that_it_tells_is_all() -> None:
    """A commit that waits for a semi-sync replica is none of MySQL's GTIDs yet, and replicas get it all the same."""
    waiting = back(failed_over())
    has = Transactions(NOW + 21, "1", mariadb("0-1-100"), writable=True)
    open_still = apply(
        waiting, ReplicaChecked("db1", "rep_threads", finds(Outcome.OK), Look(None, has)), NOW + 21
    )
    assert state(judge(open_still, NOW + 22)[0]) is AWAITING
    closed = read(open_still, "db1", mariadb("0-1-100"), "1", NOW + 23)
    assert state(judge(closed, NOW + 24)[0]) is State.ONLINE
    found = read(open_still, "db1", mariadb("0-1-101"), "1", NOW + 23)
    assert state(judge(found, NOW + 24)[0]) is AWAITING


def test_without_gtids_its_log_is_looked_through_once_it_is_read_only() -> None:
    before = back_without_gtids()
    has = before.hosts["db1"].progress.transactions
    assert has is not None
    open_still = with_host(before, "db1", transactions=replace(has, writable=True))
    assert not [order for order in turn(open_still, NOW + 21).orders if isinstance(order, ReadLog)]
    assert [order for order in turn(before, NOW + 21).orders if isinstance(order, ReadLog)]


def test_after_a_total_outage_nobody_is_proved_while_another_master_can_be_written_to() -> None:
    after = read(all_lost(), "db1", mariadb("0-1-100", "0-1-90"), "1", NOW + 1)
    after = read(after, "db2", mariadb("0-1-100", "0-1-100"), "2", NOW + 2)
    assert [change.rule for change in judge(after, NOW + 2)[1]] == ["has_everything"]
    has = after.hosts["db2"].progress.transactions
    assert has is not None
    open_still = with_host(after, "db2", transactions=replace(has, writable=True))
    assert "db2 may still be written to" in explain(open_still, "db1", NOW + 2, CLOCK)
    assert "db1" not in {change.host for change in judge(open_still, NOW + 2)[1]}
