"""What `show` warns of, for as long as it is true, and in which words."""

from dataclasses import replace
from pathlib import Path

from mmm.config.agreement import shared
from mmm.gtid.settings import Settings
from mmm.gtid.transactions import Transactions
from mmm.monitor.act.checks import Reading, judge_threads, replica_result
from mmm.monitor.apply.apply import apply
from mmm.monitor.report import concerns, log_lines
from mmm.monitor.world.check_results import ReplicaChecked, ServerChecked
from mmm.monitor.world.checks import Cause, Outcome
from mmm.monitor.world.host import State
from mmm.monitor.world.warnings import SENTENCES, Level, Warned, encoded, text
from mmm.monitor.world.world import World
from mmm.mysql.session.connection import ErrorKind, MysqlError
from tests.unit.worlds import (
    CLOCK,
    NOW,
    READER3,
    WRITER,
    because,
    checks,
    cluster,
    finds,
    show,
    unreachable,
    with_agent,
    with_host,
    world,
)

DENIED = Cause("denied", 1045)


def found(of: World) -> dict[str, Warned]:
    return {warned.code: warned for warned in concerns.found(of, NOW, CLOCK)}


def unknown(of: World, name: str, check: str, cause: Cause, text: str = "Access denied") -> World:
    finding = finds(Outcome.UNKNOWN, text)
    result = (
        ServerChecked(name, finding, cause=cause)
        if check == "mysql"
        else ReplicaChecked(name, check, finding, cause=cause)
    )
    return apply(of, result, NOW)


def read(of: World, name: str, source: str, server_id: int = 0) -> World:
    return with_host(of, name, transactions=Transactions(NOW, source_ip=source, server_id=server_id))


def test_nothing_is_said_of_a_healthy_cluster() -> None:
    healthy = read(read(world(), "db1", "10.0.0.2"), "db2", "10.0.0.1")
    assert concerns.found(healthy, NOW, CLOCK) == ()


def test_agents_whose_conf_is_not_the_monitors_are_named_in_one_line() -> None:
    own = shared(world().conf)
    other = shared(cluster(slaves=2))
    apart = told_shared(told_shared(told_shared(world(), "db1", own), "db2", other), "db3", other)
    assert found(apart)["confs_apart"].hosts == ("db2", "db3")
    assert "the conf of db2, db3 is not the monitor's" in show(apart)
    assert "confs_apart" not in found(told_shared(world(), "db1", own))
    assert "confs_apart" not in found(told_shared(world(), "db1", "")), "files of MMM 1.x say nothing"
    leases = with_agent(apart, "db2", differs=("vip_lease",))
    assert found(leases)["confs_apart"].hosts == ("db3",), "what leases rest on is told for itself"


def told_shared(of: World, name: str, digest: str) -> World:
    return with_agent(of, name, shared=digest)


def test_a_monitor_that_no_server_lets_in_says_that_nothing_is_watched() -> None:
    blind = world()
    for name in ("db1", "db2", "db3"):
        blind = unknown(blind, name, "mysql", DENIED)
        blind = unknown(blind, name, "rep_threads", DENIED)
    (warned,) = concerns.found(blind, NOW, CLOCK)
    assert (warned.code, warned.hosts, warned.level) == ("not_watched", ("db1", "db2", "db3"), Level.CRITICAL)
    assert "# Warning: db1, db2, db3 are not watched: mysql unknown: Access denied\n" in show(blind)
    seen = apply(blind, ServerChecked("db1", finds(Outcome.OK)), NOW)
    assert found(seen)["not_watched"].hosts in {("db2", "db3"), ("db1",)}


def test_one_slave_that_lets_nobody_in_is_no_more_than_a_warning() -> None:
    warned = found(unknown(world(), "db3", "mysql", DENIED))["not_watched"]
    assert (warned.hosts, warned.level) == (("db3",), Level.WARNING)
    assert text(warned).startswith("db3 is not watched: mysql unknown: ")


def test_what_the_monitor_may_not_see_is_named_with_the_statement_that_grants_it() -> None:
    grant = "GRANT SLAVE MONITOR ON *.* TO 'mmm_monitor'@'%'"
    error = MysqlError(ErrorKind.DENIED, 1227, "you need the SLAVE MONITOR privilege")
    before = world()
    for check in ("rep_threads", "rep_backlog"):
        for host in before.conf.hosts.values():
            reading = Reading(error=error, grant=grant)
            result = replica_result(host, before.conf.checks[check], judge_threads, reading)
            assert result.finding.outcome is Outcome.UNKNOWN, "it says nothing of replication"
            before = apply(before, result, NOW)
    (warned,) = concerns.found(before, NOW, CLOCK)
    assert text(warned) == f"the monitor may not see the replication of db1, db2, db3: run {grant}"


def test_a_backlog_that_is_null_is_no_check_that_cannot_look() -> None:
    null = ReplicaChecked("db3", "rep_backlog", finds(Outcome.UNKNOWN, "Backlog is null"))
    assert "not_watched" not in found(apply(world(), null, NOW))


def test_a_host_that_is_out_of_use_says_why_it_is_now() -> None:
    failed = with_host(
        world(states={"db3": State.REPLICATION_FAIL}),
        "db3",
        checks=checks(rep_threads=NOW - 9),
        why=because("threads_failed", "rep_threads: something older"),
    )
    assert "# Warning: db3 is REPLICATION_FAIL: rep_threads: ERROR: rep_threads; see explain db3\n" in (
        show(failed)
    )
    why = encoded(found(failed)["out_of_use"])["fields"]["why"]
    (failing,) = why["fields"]["checks"]
    assert (failing["check"], failing["finding"]["fields"]["text"]) == ("rep_threads", "rep_threads")
    waiting = with_host(
        world(states={"db3": State.AWAITING_RECOVERY}), "db3", why=because("back", "it answers again")
    )
    assert "# Warning: db3 is AWAITING_RECOVERY: it answers again; see explain db3\n" in show(waiting)
    assert "# Warning" not in show(world(states={"db3": State.ADMIN_OFFLINE}))


def test_a_role_that_no_host_holds_is_said_and_why() -> None:
    nobody = world({}, {"db1": State.ADMIN_OFFLINE, "db2": State.ADMIN_OFFLINE})
    warned = found(nobody)["no_holder"]
    assert warned.level is Level.CRITICAL
    assert "# Warning: no host holds writer: db1 is ADMIN_OFFLINE, db2 is ADMIN_OFFLINE: 'mmm" in show(nobody)
    assert "no_holder" not in found(world({WRITER: "db1"})), "the next turn gives them to somebody"
    some = world(
        {WRITER: "db1"}, {"db1": State.ONLINE, "db2": State.ADMIN_OFFLINE, "db3": State.ADMIN_OFFLINE}
    )
    one = with_host(some.with_owner({READER3: None}), "db1", state=State.ADMIN_OFFLINE)
    assert "reader" in str(found(one)["no_holder"])


def test_masters_that_do_not_replicate_from_each_other_are_said_until_they_do() -> None:
    alone = read(read(world(), "db1", ""), "db2", "10.0.0.1")
    said = "db1 does not replicate from db2 (not at all): set up replication in both directions"
    assert f"# Warning: {said}\n" in show(alone)
    assert said in [line for _, line in log_lines.between(world(), alone)]
    elsewhere = found(read(alone, "db1", "10.9.9.9"))["not_replicating"]
    assert "(from 10.9.9.9)" in str(elsewhere)
    assert "not_replicating" not in found(read(alone, "db1", "10.0.0.2"))
    detached = replace(alone.hosts["db1"].progress.transactions or Transactions(NOW), detached=True)
    assert "not_replicating" not in found(with_host(alone, "db1", transactions=detached)), "on purpose"


def test_auto_increments_that_collide_are_said() -> None:
    def of(one: Settings, two: Settings) -> set[str]:
        return set(found(with_host(with_host(world(), "db1", settings=one), "db2", settings=two)))

    assert of(Settings(2, 1), Settings(2, 2)) == set()
    assert of(Settings(1, 1), Settings(1, 1)) == {"increment_too_small", "offsets_equal"}
    assert of(Settings(2, 1), Settings(3, 2)) == {"increment_differs"}
    assert of(Settings(2, 1), Settings(2, 3)) == {"offset_too_big"}


def test_warnings_of_hosts_come_in_the_order_of_the_hosts_below_them() -> None:
    conf = cluster()
    turned = world(conf=replace(conf, hosts=dict(sorted(conf.hosts.items(), reverse=True))))
    for name in ("db3", "db2"):
        turned = unreachable(turned, name)
    assert show(turned).splitlines()[:2] == [
        "# Warning: agent on host db2 is not reachable",
        "# Warning: agent on host db3 is not reachable",
    ]


def test_the_worst_comes_first() -> None:
    broken = world({}, {"db1": State.HARD_OFFLINE, "db2": State.REPLICATION_FAIL, "db3": State.HARD_OFFLINE})
    levels = [warned.level for warned in concerns.found(broken, NOW, CLOCK)]
    assert levels == sorted(levels, key=lambda level: level is Level.WARNING)
    assert {Level.CRITICAL, Level.WARNING} == set(levels)


def test_every_sentence_is_one_line_that_names_its_fields_only() -> None:
    for code, sentence in SENTENCES.items():
        assert "\n" not in sentence, code


def test_a_slave_or_a_cluster_of_one_master_has_no_pair_to_warn_of() -> None:
    conf = cluster()
    writer = replace(conf.roles["writer"], hosts=("db1",))
    alone = world(conf=replace(conf, roles={**conf.roles, "writer": writer}))
    assert "not_replicating" not in found(read(alone, "db1", ""))


def test_every_code_is_in_the_docs() -> None:
    page = (Path(__file__).parents[2] / "docs" / "monitoring.md").read_text("utf-8")
    assert [code for code in SENTENCES if f"`{code}`" not in page] == [], (
        "name it in docs/monitoring.md, Codes"
    )
