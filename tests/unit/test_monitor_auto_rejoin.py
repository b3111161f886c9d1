"""A host whose data cannot join is rebuilt without an admin where `auto_rejoin` says so, or why it is not."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmm.config import load as config
from mmm.config.model import Cluster
from mmm.gtid import mariadb
from mmm.gtid.transactions import Transactions
from mmm.monitor.act.journal import Chronicle
from mmm.monitor.act.spoken import answered, of_reply
from mmm.monitor.apply.apply import apply
from mmm.monitor.decide.auto_rejoin import REFUSED_AGAIN, SETTLED, SHOWN_AFTER, kept, needed
from mmm.monitor.decide.turn import turn
from mmm.monitor.report import concerns
from mmm.monitor.report.explain import explain, explained
from mmm.monitor.states.host_view import View
from mmm.monitor.states.table import rule_for
from mmm.monitor.world.attempt import Attempt, Step
from mmm.monitor.world.checks import Cause
from mmm.monitor.world.events import RejoinAnswered
from mmm.monitor.world.host import Reference, State
from mmm.monitor.world.orders import Rejoin, Tell
from mmm.monitor.world.world import Mode, World
from mmm.wire.agent import Reply
from mmm.wire.job import Ended, Job, Result, ended_fields, job_fields
from mmm.wire.rejoin import NOT_ALLOWED, Wanted
from tests.unit.worlds import (
    CLOCK,
    FLAPPING,
    NOW,
    WRITER,
    checks,
    cluster,
    show,
    unreachable,
    with_agent,
    with_host,
    world,
)

FLAP = 600.0
CONF = cluster(auto_rejoin=("rewind", "clone"), flap_duration=FLAP)
LONG_AGO = NOW - 1000
RUNS = Job("rejoin", "db3", "fetch", 58, 4.0)
BROKEN_OFF = replace(RUNS, broken_off=True)


def has(text: str, **more: Any) -> Transactions:
    """What a server has; it was asked just now."""
    return Transactions(NOW, "2", mariadb.History((), mariadb.parse(text)), **more)


COMMON, MORE = has("0-1-3"), has("0-1-6")


def diverged(conf: Cluster = CONF, mode: Mode = Mode.ACTIVE, **changes: Any) -> World:
    """db2 has come back with three transactions that db1, the writer, lacked; nothing has changed for long."""
    before = replace(world({WRITER: "db1"}, {"db2": State.AWAITING_RECOVERY}, conf, mode), last_master="db1")
    for name in before.hosts:
        before = with_host(before, name, transactions=COMMON)
    about = {"lost": True, "since": LONG_AGO, "transactions": MORE, "reference": Reference("db1", COMMON)}
    return with_host(before, "db2", **{**about, **changes})


def replica_fails(
    code: str, state: State = State.REPLICATION_FAIL, name: str = "db3", conf: Cluster = CONF
) -> World:
    failed = checks(rep_threads=LONG_AGO)
    failed["rep_threads"] = replace(failed["rep_threads"], cause=Cause(code, 1236))
    before = with_host(world({WRITER: "db1"}, {name: state}, conf), "db1", transactions=COMMON)
    return with_host(before, name, checks=failed, since=LONG_AGO, transactions=COMMON)


def ordered(before: World, now: float = NOW) -> list[str]:
    return [order.host for order in turn(before, now).orders if isinstance(order, Rejoin)]


def code(before: World, name: str = "db2", now: float = NOW) -> str:
    found = kept(before, name, now)
    return "" if found is None else found.code


# --- who needs it


def test_a_master_that_returns_with_transactions_that_nobody_else_has_is_rebuilt() -> None:
    (order,) = (each for each in turn(diverged(), NOW).orders if isinstance(each, Rejoin))
    assert (order.host, order.wanted, order.why.code) == ("db2", Wanted(), "extra_transactions")
    assert "3 transactions (0-1-4 to 0-1-6)" in str(order.why)


@pytest.mark.parametrize("failing", ["source_lacks_log", "rows_differ"])
@pytest.mark.parametrize("state", [State.REPLICATION_FAIL, State.AWAITING_RECOVERY])
def test_so_is_a_replica_that_can_never_go_on(failing: str, state: State) -> None:
    assert ordered(replica_fails(failing, state)) == ["db3"]


def test_and_a_slave_that_is_ahead() -> None:
    before = with_host(
        world({WRITER: "db1"}, {"db3": State.REPLICATION_FAIL}, CONF), "db1", transactions=COMMON
    )
    ahead = with_host(before, "db3", transactions=MORE, since=LONG_AGO, refuses_to_follow="it has 0-1-4")
    found = needed(ahead, "db3")
    assert (found and found.code, ordered(ahead)) == ("refuses_to_follow", ["db3"])


def test_a_job_that_was_broken_off_is_gone_on_with_whatever_its_server_does() -> None:
    at = with_host(
        world({WRITER: "db1"}, {"db2": State.HARD_OFFLINE}, CONF), "db2", job=BROKEN_OFF, since=LONG_AGO
    )
    assert ordered(with_host(at, "db2", checks=checks(mysql=LONG_AGO))) == ["db2"]


@pytest.mark.parametrize(
    "before",
    [
        diverged(cluster()),
        diverged(state=State.ONLINE),
        diverged(state=State.ADMIN_OFFLINE),
        diverged(state=State.HARD_OFFLINE),
        diverged(transactions=COMMON),
        diverged(job=RUNS),
        with_host(diverged(), "db2", job=BROKEN_OFF, state=State.ADMIN_OFFLINE),
        diverged(job=replace(BROKEN_OFF, kind="restore")),
        diverged(job=replace(BROKEN_OFF, kind="clone")),
        replica_fails("refused_by_source"),
        replica_fails(""),
    ],
    ids=[
        "off",
        "in use",
        "taken out",
        "dead",
        "equal",
        "runs",
        "taken out, broken off",
        "a broken off restore",
        "a broken off clone",
        "no login",
        "other cause",
    ],
)
def test_nobody_else_is(before: World) -> None:
    assert ordered(before) == []
    assert [needed(before, name) for name in before.hosts] == [None] * 3
    assert "by itself, but" not in show(before, NOW)


def test_the_active_master_never_is_whatever_its_replication_says() -> None:
    at = replica_fails("source_lacks_log", State.REPLICATION_FAIL, "db1")
    assert kept(at, "db1", NOW) is not None
    assert ordered(at) == []


# --- what speaks against it

QUIET = {name: replace(check, changed=LONG_AGO) for name, check in checks().items()}
JUST_NOW = {**QUIET, "mysql": replace(QUIET["mysql"], changed=NOW - 1)}


AGAINST: Mapping[str, tuple[str, World]] = {
    "manual": ("mode", diverged(mode=Mode.MANUAL)),
    "passive": ("mode", diverged(mode=Mode.PASSIVE)),
    "nobody writes": ("no_active_master", with_host(diverged(), "db1", state=State.ADMIN_OFFLINE).without_roles("db1")),
    "the only other host is not in use": ("master_unfit", with_host(diverged(), "db1", state=State.HARD_OFFLINE)),
    "the writer's server fails": ("master_unfit", with_host(diverged(), "db1", checks=checks(mysql=NOW))),
    "the writer has not confirmed its role": ("master_unfit", with_agent(diverged(), "db1", told=None)),
    "the writer's agent is silent": ("master_unfit", unreachable(diverged(), "db1")),
    "it may have the VIP": ("has_writer_vip", with_agent(diverged(), "db2", may_hold=frozenset({WRITER}))),
    "another is rebuilt": ("another", with_host(diverged(), "db3", job=RUNS)),
    "another was ordered to": ("another", with_host(diverged(), "db3", attempt=Attempt(Step.ASKED, NOW))),
    "another has begun": ("another", with_host(diverged(), "db3", attempt=Attempt(Step.BEGUN, NOW))),
    "its agent is silent": ("silent", unreachable(diverged(), "db2")),
    "it flaps": ("flapping", diverged(flaps=FLAPPING, since=NOW - FLAP + 1)),
    "it is back only now": ("settling", diverged(since=NOW - SETTLED + 1)),
    "a check has changed": ("settling", diverged(checks=JUST_NOW)),
}  # fmt: skip


@pytest.mark.parametrize("case", AGAINST)
def test_what_speaks_against_it_is_said_by_a_code_and_nothing_is_ordered(case: str) -> None:
    reason, before = AGAINST[case]
    assert (code(before), "db2" in ordered(before)) == (reason, False)
    said = str(kept(before, "db2", NOW))
    assert f"# Warning: db2 would be rebuilt by itself, but {said}\n" in show(before, NOW)
    assert f"    would be rebuilt by itself, but {said}\n" in explain(before, "db2", NOW, CLOCK)
    (host,) = explained(before, "db2", NOW, CLOCK)["hosts"]
    assert (host["auto_rejoin"]["why"]["code"], host["auto_rejoin"]["kept"]["code"]) == (
        "extra_transactions",
        reason,
    )
    warned = [each for each in concerns.found(before, NOW, CLOCK) if each.code == "not_rebuilt"]
    assert [each.hosts for each in warned] == [("db2",)]


@pytest.mark.parametrize(
    ("ways", "method"), [(("rewind",), "rewind"), (("clone",), "clone"), (("rewind", "clone"), "")]
)
def test_a_host_is_brought_back_by_no_way_that_the_conf_does_not_name(
    ways: tuple[str, ...], method: str
) -> None:
    before = diverged(cluster(auto_rejoin=ways, flap_duration=FLAP))
    (order,) = (each for each in turn(before, NOW).orders if isinstance(each, Rejoin))
    assert order.wanted == Wanted(method=method)


def test_a_pair_heals_itself_for_the_writer_is_the_other_host_that_stays_in_use() -> None:
    assert ordered(diverged(cluster(slaves=0, auto_rejoin=("clone",)))) == ["db2"]


def test_what_cannot_be_told_apart_by_gtid_is_left_to_the_admin() -> None:
    without = replace(COMMON, executed=None)
    at = with_host(replica_fails("source_lacks_log"), "db3", transactions=without)
    assert (code(at, "db3"), ordered(at)) == ("no_gtids", [])


def test_of_two_hosts_one_is_rebuilt_at_a_time() -> None:
    both = diverged()
    failed = replica_fails("source_lacks_log").hosts["db3"]
    both = both.with_host("db3", failed)
    assert ordered(both) == ["db2"]
    after = turn(both, NOW).world
    assert ordered(after) == []
    assert code(after, "db3") == "another"


def test_a_flapping_host_is_rebuilt_once_it_is_calm() -> None:
    assert ordered(diverged(flaps=FLAPPING, since=NOW - FLAP - 1, checks=QUIET)) == ["db2"]


# --- what became of it


def begun(before: World, now: float = NOW, **answer: Any) -> World:
    after = turn(before, now).world
    return apply(after, RejoinAnswered("db2", **{"begun": True, **answer}), now)


def told(before: World, now: float, *, job: Job | None = None, ended: Ended | None = None) -> World:
    """What db2's agent answers to the order that is under way, or to the next one."""
    if before.hosts["db2"].agent.in_flight is None:
        before = turn(with_agent(before, "db2", told=None), now).world
    link = before.hosts["db2"].agent
    assert link.in_flight is not None
    order = Tell("db2", link.orders.number, link.in_flight.status)
    fields = (*job_fields(job), *ended_fields(ended))
    return apply(before, answered(order, of_reply(Reply("OK: done", fields, 501.0, "b.1"))), now)


def test_while_it_is_under_way_it_is_not_ordered_again() -> None:
    asked = turn(diverged(), NOW).world
    assert (code(asked), ordered(asked)) == ("asked", [])
    after = begun(diverged())
    assert (code(after), ordered(after)) == ("begun", [])
    runs = told(after, NOW + 1, job=RUNS)
    assert ordered(runs, NOW + SHOWN_AFTER + 1) == []


def test_a_refusal_by_the_tool_may_pass_and_is_tried_again_soon() -> None:
    after = begun(
        diverged(), begun=False, lines=("db1 is read_only",), codes=("master_read_only",), why="not_rebuilt"
    )
    assert code(after) == "refused"
    assert "db1 is read_only" in str(kept(after, "db2", NOW))
    assert ordered(after, NOW + REFUSED_AGAIN - 1) == []
    assert ordered(after, NOW + REFUSED_AGAIN) == ["db2"]


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        (begun(diverged(), begun=False, lines=("use TLS",), why=NOT_ALLOWED), "not_allowed"),
        (begun(diverged(), begun=False, lines=("what?",), why="unknown_command"), "not_allowed"),
        (told(begun(diverged()), NOW, ended=Ended("db2-1", "rejoin", "db3", Result.TAKEN_BACK)), "failed"),
        (told(diverged(), NOW, ended=Ended("db2-1", "rejoin", "db3", Result.TAKEN_BACK)), "failed"),
        (told(begun(diverged()), NOW, ended=Ended("db2-1", "rejoin", "db3", Result.DONE)), "in_vain"),
    ],
    ids=[
        "not allowed",
        "an old agent",
        "taken back",
        "taken back before this monitor was started",
        "no help",
    ],
)
def test_what_has_failed_is_not_done_again_within_flap_duration(after: World, reason: str) -> None:
    assert code(after, now=NOW + SHOWN_AFTER) == reason
    assert ordered(after, NOW + FLAP - 1) == []
    assert ordered(after, NOW + FLAP) == ["db2"]


def test_a_job_that_is_broken_off_is_gone_on_with_once_and_again_after_flap_duration() -> None:
    after = told(begun(diverged()), NOW + 1, job=BROKEN_OFF)
    assert ordered(after, NOW + SHOWN_AFTER) == ["db2"]
    again = told(begun(after, NOW + SHOWN_AFTER), NOW + SHOWN_AFTER + 1, job=BROKEN_OFF)
    assert code(again, now=NOW + 2 * SHOWN_AFTER) == "failed"
    assert ordered(again, NOW + FLAP) == []
    assert ordered(again, NOW + SHOWN_AFTER + FLAP) == ["db2"]


@pytest.mark.parametrize("result", Result)
def test_a_restore_is_no_attempt_to_have_the_host_join(result: Result) -> None:
    after = told(begun(diverged()), NOW, ended=Ended("db2-1", "restore", "db3", result))
    assert code(after) == "begun"
    assert ordered(after, NOW + FLAP) == ["db2"]


def test_a_monitor_that_has_started_anew_takes_an_earlier_rebuild_of_a_host_in_use_for_one_that_helped() -> (
    None
):
    started = diverged(state=State.ONLINE, online_since=NOW)
    after = told(started, NOW + 1, ended=Ended("db2-1", "rejoin", "db3", Result.DONE))
    apart = with_host(after, "db2", state=State.AWAITING_RECOVERY, since=NOW + 2)
    assert ordered(apart, NOW + 2 + SETTLED) == ["db2"]


@pytest.mark.parametrize("earlier", [0, 2])
def test_a_host_that_was_rebuilt_is_back_in_use_by_itself_and_may_be_rebuilt_the_next_time(
    earlier: int,
) -> None:
    """Also one that was in use at the very moment in which its agent told of the end."""
    done = told(begun(diverged(uptime=2000.0)), NOW + 5, ended=Ended("db2-1", "rejoin", "db3", Result.DONE))
    joined = with_host(done, "db2", transactions=replace(COMMON, seen=NOW + 6), uptime=2000.0)
    rule = rule_for(View(joined, "db2", NOW + 7))
    assert rule is not None
    assert rule.name == "rebuilt"
    online = turn(joined, NOW + 7).world
    assert online.hosts["db2"].state is State.ONLINE
    apart_again = with_host(
        online,
        "db2",
        online_since=NOW + 7 - earlier,
        state=State.AWAITING_RECOVERY,
        since=NOW + 10,
        transactions=MORE,
    )
    assert ordered(
        with_host(apart_again, "db2", reference=Reference("db1", COMMON), lost=True), NOW + 30
    ) == ["db2"]


def test_log_and_history_tell_of_the_order_and_once_of_a_refusal(tmp_path: Path) -> None:
    chronicle = Chronicle(tmp_path / "history", CLOCK)
    (order,) = (each for each in turn(diverged(), NOW).orders if isinstance(each, Rejoin))
    refused = RejoinAnswered("db2", False, ("db1 is read_only",), ("master_read_only",))
    last = None
    for _ in range(3):
        chronicle.rebuilt_by_itself(order, refused, last)
        last = Attempt(Step.ASKED, NOW, "db1 is read_only", ("master_read_only",))
    chronicle.rebuilt_by_itself(order, RejoinAnswered("db2", True, ("db2: rejoins db1",)), last)
    texts = [entry.text for entry in chronicle.entries]
    assert texts[0] == "db2: is not rebuilt by itself: db1 is read_only"
    assert texts[1].startswith("db2: is rebuilt by itself: it has 3 transactions")
    assert len(texts) == 2


# --- the conf

CONF_FILE = """\
active_master_role writer
<monitor>
    ip 127.0.0.1
    pid_path /run/m.pid
    bin_path /usr
    status_path /run/m.status
    ping_ips 127.0.0.9
    auto_rejoin {ways}
</monitor>
"""


@pytest.mark.parametrize(
    ("ways", "found"),
    [
        ("no", ()),
        ("clone", ("clone",)),
        ("rewind", ("rewind",)),
        ("rewind, clone", ("rewind", "clone")),
        ("Clone,clone", ("clone",)),
    ],
)
def test_the_conf_names_ways(ways: str, found: tuple[str, ...], tmp_path: Path) -> None:
    assert read(ways, tmp_path) == (found, ())


@pytest.mark.parametrize(
    ("ways", "said"),
    [
        ("yes", "is `no`, or some of rewind, clone, not `yes`"),
        ("clone, no", "is `no`, or some of rewind, clone"),
    ],
)
def test_what_could_not_be_done_is_refused(ways: str, said: str, tmp_path: Path) -> None:
    _, errors = read(ways, tmp_path)
    assert [said in error for error in errors if "auto_rejoin" in error] == [True]


def read(ways: str, folder: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The ways that a conf names, and what is wrong with it."""
    path = folder / "mmm_mon.conf"
    path.write_text(CONF_FILE.format(ways=ways) + HOSTS)
    path.chmod(0o600)
    try:
        conf = config.load(path, "MONITOR", name="mmm_mon")
    except config.ConfError as error:
        return (), error.errors
    assert conf.monitor is not None
    return conf.monitor.auto_rejoin, ()


HOSTS = """\
<host default>
    cluster_interface lo
    agent_user a
    agent_password a
    replication_user r
    replication_password r
    monitor_user m
    monitor_password m
</host>
<host db1>
    ip 127.0.0.2
    mode master
    peer db2
</host>
<host db2>
    ip 127.0.0.3
    mode master
    peer db1
</host>
<role writer>
    hosts db1, db2
    ips 127.0.0.80
    mode exclusive
</role>
"""
