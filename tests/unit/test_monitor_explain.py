from dataclasses import replace

from mmm.clock import local_time
from mmm.monitor.report.explain import explain, explained
from mmm.monitor.states.host_view import failing
from mmm.monitor.states.table import Judged
from mmm.monitor.world.checks import CheckStatus, Outcome
from mmm.monitor.world.host import State
from mmm.monitor.world.passive import PassiveCause
from mmm.monitor.world.world import Mode
from tests.unit.worlds import (
    CLOCK,
    FLAPPING,
    NOW,
    READER1,
    WRITER,
    because,
    checks,
    cluster,
    finds,
    unreachable,
    with_agent,
    with_host,
    world,
)


def said(before: object, name: str = "all") -> str:
    return explain(before, name, NOW, CLOCK)  # type: ignore[arg-type]


def test_a_delayed_host_shows_the_figures_that_keep_it_away() -> None:
    behind = CheckStatus(
        failed=True, finding=finds(Outcome.ERROR, "75 s behind, limit 60"), changed=NOW - 50.0
    )
    before = with_host(
        world(states={"db3": State.REPLICATION_DELAY}),
        "db3",
        checks={**checks(), "rep_backlog": behind},
        why=because("replication_delayed", "rep_backlog: 75 s"),
    )
    text = said(before, "db3")
    assert f"db3: REPLICATION_DELAY since {local_time(0.0)} (replication_delayed): rep_backlog: 75 s" in text
    assert (
        f"    rep_backlog has failed since {local_time(NOW - 50.0)}: ERROR: 75 s behind, limit 60\n" in text
    )
    assert text.endswith("    would become ONLINE by replication_good; missing: rep_backlog must be good\n")
    failed = Judged("threads_failed", {"failing": failing({"rep_backlog": behind})})
    same = with_host(before, "db3", why=failed)
    assert said(same, "db3").count("75 s behind") == 1, "once is enough"
    unknown = CheckStatus(finding=finds(Outcome.UNKNOWN, "5 s behind, limit 60"), unknown=True)
    later = with_host(same, "db3", checks={**checks(), "rep_backlog": unknown})
    assert "rep_backlog: unknown: 5 s behind, limit 60; no action" in said(later, "db3"), (
        "it is another finding, though its words are there already"
    )


def test_a_waiting_host_shows_every_way_back_and_what_it_lacks() -> None:
    before = world(states={"db3": State.AWAITING_RECOVERY}, conf=cluster(auto_set_online=30.0))
    text = said(with_host(before, "db3", since=NOW - 12.0, uptime=20.0), "db3")
    assert "missing: auto_set_online is 30 (0: off), it has waited for 12 s" in text
    assert "its uptime is 20 s, and was 500 s when it was last seen ONLINE" in text
    assert "    the admin brings it back with: mmm_control set_online db3\n" in text
    assert "has_everything" not in text, "there is an active master"
    assert "auto_set_online" not in said(world(states={"db3": State.AWAITING_RECOVERY}), "db3"), "it is off"
    assert "calm_again" not in text, "it is not flapping"
    assert "calm_again" in said(with_host(before, "db3", flaps=FLAPPING), "db3")


def test_what_holds_a_host_where_it_is_has_the_name_of_its_rule() -> None:
    assert "kept ONLINE (active_master): it is the active master" in said(world(), "db1")
    assert "the admin brings it back with: mmm_control set_online db3" in said(
        world(states={"db3": State.ADMIN_OFFLINE}), "db3"
    )


def test_a_role_that_nobody_holds_says_why() -> None:
    nobody = world({READER1: "db3"}, {"db1": State.HARD_OFFLINE, "db2": State.AWAITING_RECOVERY})
    assert f"{WRITER}: nobody: no host can take it: db1 is HARD_OFFLINE, db2 is AWAITING_RECOVERY" in said(
        nobody
    )
    text = said(unreachable(world({}, {"db1": State.HARD_OFFLINE}), "db2", "no route"))
    assert "db2 is ONLINE but its agent cannot be reached" in text
    assert "its agent cannot be reached: no route; it gets no new roles" in text


def test_a_move_under_way_says_whom_it_waits_for() -> None:
    moving = with_agent(world({WRITER: "db2"}), "db1", may_hold=frozenset({WRITER}))
    assert f"{WRITER}: db2 gets it once db1 has released it" in said(moving)


def test_modes_and_a_lost_network_are_said() -> None:
    passive = replace(world(mode=Mode.PASSIVE), passive_cause=PassiveCause("by_admin"))
    assert "mode: PASSIVE: Admin switched to passive mode. Nothing is sent;" in said(passive)
    assert explained(passive, "all", NOW, CLOCK)["why"]["code"] == "by_admin"
    assert "mode: PASSIVE: Nothing is sent;" in said(world(mode=Mode.PASSIVE))
    assert "mode: MANUAL" in said(world(mode=Mode.MANUAL))
    assert "none of the ping_ips answers" in said(replace(world(), network_up=False))


def test_set_online_is_not_offered_where_it_would_be_refused() -> None:
    dead = with_host(world(states={"db3": State.AWAITING_RECOVERY}), "db3", checks=checks(mysql=NOW))
    text = said(dead, "db3")
    assert "set_online is refused now: Checks 'ping' and 'mysql' must be ok for host 'db3'" in text
    assert "brings it back" not in text


def test_the_values_behind_the_words() -> None:
    waiting = with_host(
        world(states={"db3": State.AWAITING_RECOVERY}), "db3", why=because("back", "it answers")
    )
    told = explained(waiting, "all", NOW, CLOCK)
    assert [host["host"] for host in told["hosts"]] == ["db1", "db2", "db3"]
    assert told["mode"] == "ACTIVE"
    db3 = told["hosts"][2]
    assert (db3["state"], db3["rule"], db3["checks"]) == ("AWAITING_RECOVERY", "back", [])
    assert db3["set_online"] == {
        "command": "mmm_control set_online db3",
        "refused": None,
        "code": None,
    }
    (way,) = db3["ways"]
    (lacking,) = way["missing"]
    assert (way["rule"], lacking["code"]) == ("short_outage", "short")
    assert lacking["fields"] == {"uptime": 500.0, "last_uptime": 500.0}
    assert told["hosts"][0]["set_online"] is None


def test_in_passive_mode_set_online_is_offered_too() -> None:
    waiting = world(states={"db3": State.AWAITING_RECOVERY}, mode=Mode.PASSIVE)
    assert "the admin brings it back with: mmm_control set_online db3" in explain(waiting, "db3", NOW, CLOCK)
