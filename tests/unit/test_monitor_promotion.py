"""Who may become active master without being ordered to (rules 10.10, 10.17)."""

from dataclasses import replace

import pytest

from mmm.config.model import Vip
from mmm.gtid.mariadb import Gtid, History
from mmm.gtid.transactions import Transactions
from mmm.monitor.assess import promotion
from mmm.monitor.command.preflight import Looked
from mmm.monitor.decide.turn import Blocked, turn
from mmm.monitor.report.explain import explain
from mmm.monitor.report.history import Entry, decode, encode, last_holder
from mmm.monitor.states.table import enter
from mmm.monitor.world.checks import CheckStatus, Outcome
from mmm.monitor.world.host import (
    Behind,
    State,
)
from mmm.monitor.world.move import Move
from mmm.monitor.world.world import World
from tests import commanding
from tests.unit.worlds import (
    CLOCK,
    NOW,
    READER1,
    WRITER,
    because,
    checks,
    cluster,
    finds,
    settle,
    show,
    with_agent,
    with_host,
    world,
)

BROKEN = {"rep_threads": NOW - 30}


def lost(standby: World, now: float = NOW) -> World:
    """Return the world at rest after db1, the writer, was lost at `now`, its agent having let go."""
    before = with_host(replace(standby, last_writer="db1"), "db1", checks=checks(mysql=now))
    return settle(before, now)[0]


def known(behind: float, seen: float = NOW - 2, limit: float | None = None) -> World:
    """Return a quiet world in which db2 was last known to be so many seconds behind."""
    return with_host(world(conf=cluster(max_lag_on_failover=limit)), "db2", behind=Behind(behind, seen))


@pytest.mark.parametrize(
    ("standby", "why"),
    [
        (
            with_host(world(), "db2", checks=checks(**BROKEN)),
            "its replication is broken (rep_threads), how far it is",
        ),
        (
            with_host(
                world(),
                "db2",
                checks={
                    **checks(),
                    "rep_threads": CheckStatus(finding=finds(Outcome.ERROR, "SQL"), error_since=NOW - 1),
                },
            ),
            "its replication is broken (SQL), how far it is behind db1 is not known",
        ),
        (known(61.0), "it may be 61 s behind db1, max_lag_on_failover is 60 s"),
        (known(0.0, seen=NOW - 100), "it may be 88 s behind db1"),
        (known(1.0, limit=0.0), "it may be 1 s behind db1, max_lag_on_failover is 0 s"),
    ],
)
def test_a_master_that_lacks_much_is_not_promoted_and_that_is_said(standby: World, why: str) -> None:
    after = lost(standby)
    assert after.owner[WRITER] is None
    said = f"db2 is not promoted: {why}"
    assert str(promotion.held_back(after)).startswith(said)
    assert f"# Warning: no host holds writer: {said}" in show(after)
    assert "Nothing is lost if db1, which wrote last, has it again: start its server. Else " in show(after)
    assert f"{WRITER}: nobody: {said}" in explain(after, "all", NOW, CLOCK)
    assert "'mmm_control move_role --force writer db2' promotes it anyway" in str(promotion.held_back(after))
    refused = commanding.run(after, ["move_role", "writer", "db2"], NOW, pinged=True, looked=Looked())
    assert refused is not None
    assert refused.text.startswith("ERROR: ")
    forced = commanding.run(
        after, ["move_role", "--force", "writer", "db2"], NOW, pinged=True, looked=Looked()
    )
    assert forced is not None
    assert settle(forced.world)[0].owner[WRITER] == "db2"


def test_a_promotion_by_force_says_what_was_received_and_cannot_be_applied() -> None:
    stuck = replace(transactions(NOW - 2, 100), received=History((Gtid(0, 1, 139),), ()))
    standby = with_host(world(), "db2", checks=checks(**BROKEN), transactions=stuck)
    after = lost(with_host(standby, "db1", transactions=transactions(NOW - 1, 141)))
    received = "it has received 39 transactions (0-1-101 to 0-1-139) that it has not applied"
    assert f"{received} and when last looked at it lacked 2 transactions (0-1-140 to 0-1-141) of db1" in show(
        after
    )
    forced = commanding.run(
        after, ["move_role", "--force", "writer", "db2"], NOW, pinged=True, looked=Looked()
    )
    assert forced is not None
    assert received in forced.text
    moved = commanding.run(
        standby, ["move_role", "--force", "writer", "db2"], NOW, pinged=True, looked=Looked()
    )
    assert moved is not None
    assert received in moved.text


def old_writer_back(db2: State = State.ONLINE, lacks: int = 0) -> World:
    """Return the world in which db1 is back after a reboot, and db2, whose replication is broken, is not promoted."""
    after = lost(with_host(world(), "db2", checks=checks(**BROKEN)))
    after = with_host(with_host(after, "db2", state=db2), "db1", checks=checks(), rebooted=True)
    after = enter(after, "db1", State.AWAITING_RECOVERY, because("back", "it answers again"), NOW + 20)
    for name, last, peer in (("db1", 7, "10.0.0.2"), ("db2", 5 + lacks, "10.0.0.1")):
        has = replace(transactions(NOW + 21, last), source_ip=peer, source_port=3306)
        after = with_host(after, name, transactions=has)
    return after


def test_the_old_writer_that_has_everything_gets_the_role_again_though_another_host_is_in_use() -> None:
    back = old_writer_back()
    assert promotion.lacks(back, "db2")
    after = settle(back, NOW + 21)[0]
    assert (after.hosts["db1"].rule, after.owner[WRITER]) == ("has_everything", "db1")


def test_the_old_writer_can_be_set_online_though_its_peer_does_not_replicate() -> None:
    back = old_writer_back(lacks=9)
    assert settle(back, NOW + 21)[0].owner[WRITER] is None, "db2 has something that it lacks"
    assert "'mmm_control set_online db1'. Else 'mmm_control move_role --force writer db2'" in show(back)
    result = commanding.run(back, ["set_online", "db1"], NOW + 22, pinged=True)
    assert result is not None
    assert result.text.startswith("OK: ")
    assert settle(result.world, NOW + 22)[0].owner[WRITER] == "db1"


def test_set_online_still_wants_a_peer_that_replicates_where_there_is_a_writer() -> None:
    before = with_host(
        world({WRITER: "db2"}, {"db1": State.AWAITING_RECOVERY}), "db2", checks=checks(**BROKEN)
    )
    result = commanding.run(before, ["set_online", "db1"], NOW, pinged=True)
    assert result is not None
    assert result.text.startswith("ERROR: The replication checks of its peer 'db2' must be ok")


def test_it_is_said_once_in_the_log() -> None:
    before = with_host(replace(known(61.0), last_writer="db1"), "db1", checks=checks(mysql=NOW))
    first = turn(before, NOW)
    assert [type(change) for change in first.changes if isinstance(change, Blocked)] == [Blocked]
    assert not any(isinstance(change, Blocked) for change in turn(first.world, NOW).changes)
    unconfirmed = turn(with_agent(before, "db2", told=None), NOW).world
    later = turn(with_agent(unconfirmed, "db2", told=before.hosts["db2"].agent.told), NOW)
    assert [type(change) for change in later.changes] == [Blocked], "it is a wait only from then on"


@pytest.mark.parametrize(
    "standby",
    [
        known(60.0),
        known(0.0, seen=NOW - 12),
        known(500.0, limit=600.0),
        known(500.0, limit=float("inf")),
        with_host(world(conf=cluster(max_lag_on_failover=float("inf"))), "db2", checks=checks(**BROKEN)),
    ],
)
def test_a_master_that_lacks_little_is_promoted(standby: World) -> None:
    assert lost(standby).owner[WRITER] == "db2"


def test_a_host_that_wrote_last_lacks_nothing_whatever_its_replication_does() -> None:
    back = with_host(with_host(world({}), "db1", checks=checks(**BROKEN)), "db2", state=State.HARD_OFFLINE)
    assert settle(replace(back, last_writer="db1"))[0].owner[WRITER] == "db1"
    assert settle(back)[0].owner[WRITER] == "db1", "the first one ever"


def test_the_old_writer_gets_the_role_when_the_new_one_fails_before_it_was_told() -> None:
    before = with_host(replace(world(), last_writer="db1"), "db1", checks=checks(**BROKEN))
    result = commanding.run(before, ["move_role", "writer", "db2"], NOW, pinged=True)
    assert result is not None
    after = settle(with_host(result.world, "db2", checks=checks(mysql=NOW)))[0]
    assert after.owner[WRITER] == "db1"


def test_the_history_tells_a_monitor_that_starts_who_wrote_last() -> None:
    entries = (
        Entry(1.0, "writer(10.0.0.80): db2 -> db1", holder=(str(WRITER), "db1")),
        Entry(2.0, "db1: ONLINE -> HARD_OFFLINE"),
        Entry(3.0, "reader"),
    )
    assert last_holder(decode("".join(map(encode, entries))), WRITER) == "db1"
    assert last_holder(entries, READER1) is None
    assert decode('{"at": 1.0, "text": "old", "cause": "", "steps": [], "took": null}\n')[0].holder is None


def transactions(seen: float, last: int) -> Transactions:
    history = History(applied=(), logged=(Gtid(0, 1, last),))
    return Transactions(seen, executed=history)


PREFERS_DB2 = with_host(
    world({WRITER: "db1", READER1: "db2"}, conf=cluster(prefer="db2", slaves=0, readers=1)),
    "db1",
    transactions=transactions(NOW - 2, 7),
)


@pytest.mark.parametrize(
    ("standby", "goes"),
    [
        (with_host(PREFERS_DB2, "db2", behind=Behind(0.0, NOW)), True),
        (with_host(PREFERS_DB2, "db2", behind=Behind(1.0, NOW)), False),
        (with_host(PREFERS_DB2, "db2", checks=checks(rep_backlog=NOW)), False),
        (with_host(PREFERS_DB2, "db2", connecting_since=NOW), False),
        (with_host(PREFERS_DB2, "db2", transactions=transactions(NOW - 1, 6)), False),
        (with_host(PREFERS_DB2, "db2", transactions=transactions(NOW - 1, 7)), True),
        (with_host(PREFERS_DB2, "db2", transactions=transactions(NOW - 3, 6)), True),
    ],
)
def test_the_preferred_host_gets_its_role_only_when_it_has_applied_all(standby: World, *, goes: bool) -> None:
    assert (turn(standby, NOW).world.owner[WRITER] == "db2") == goes


def test_a_holder_that_was_never_sent_the_role_has_nothing_to_give_away() -> None:
    """db1 was to take over from db2, and db2 is back before db1 was told: db1 lacks what it lacked before."""
    before = with_host(world({WRITER: "db1"}), "db1", checks=checks(**BROKEN))
    moving = replace(before, last_writer="db2", move=Move(WRITER, "db1", "db2"))
    assert promotion.lacks(moving, "db1") is None, "it may have written"
    assert promotion.lacks(with_agent(moving, "db1", may_hold=frozenset()), "db1")


def test_a_host_that_gives_another_role_away_lacks_what_it_lacked() -> None:
    """It was promoted with broken replication if the writer failed in just that moment."""
    before = with_host(world({WRITER: "db1"}), "db2", checks=checks(**BROKEN))
    before = replace(before, last_writer="db1")
    batch = Vip("batch", "10.0.0.99")
    moving = with_agent(replace(before, move=Move(batch, "db2", "db3")), "db2", may_hold=frozenset({batch}))
    assert promotion.lacks(before, "db2")
    assert promotion.lacks(moving, "db2") == promotion.lacks(before, "db2")
