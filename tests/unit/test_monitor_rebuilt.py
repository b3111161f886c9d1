"""A host that a job gives other data is shown, kept out of use, and back once that is over."""

from dataclasses import replace
from pathlib import Path

import pytest

from mmm.monitor.act.journal import Chronicle
from mmm.monitor.act.spoken import answered, of_reply
from mmm.monitor.apply.apply import apply
from mmm.monitor.apply.quiet import is_quiet
from mmm.monitor.decide.found import Found, Stored
from mmm.monitor.decide.startup import start
from mmm.monitor.decide.turn import turn
from mmm.monitor.report import concerns, log_lines
from mmm.monitor.report.explain import explain, explained
from mmm.monitor.report.health import health
from mmm.monitor.states.host_view import View
from mmm.monitor.states.table import rule_for
from mmm.monitor.world.host import State
from mmm.monitor.world.orders import KillHost, Tell
from mmm.monitor.world.world import World
from mmm.wire.agent import Reply
from mmm.wire.job import Ended, Job, Result, job_fields
from mmm.wire.status import Status, SystemStatus
from tests import commanding
from tests.unit.worlds import (
    CLOCK,
    FLAPPING,
    NOW,
    READER2,
    WRITER,
    checks,
    cluster,
    settle,
    show,
    told_at,
    with_host,
    world,
)

RUNS = Job("rejoin", "db3", "fetch", 58, 4.0)
BROKEN_OFF = Job("rejoin", "db3", "swap", broken_off=True)
AWAITING = world(
    {WRITER: "db1", READER2: "db3"}, {"db2": State.AWAITING_RECOVERY}, cluster(auto_set_online=1.0)
)
DEAD = checks(mysql=0.0, rep_threads=0.0)


def rebuilt(job: Job | None = RUNS, before: World = AWAITING, **changes: object) -> World:
    return with_host(before, "db2", job=job, **changes)


def refusal(of: World, words: str) -> tuple[str, str]:
    done = commanding.run(of, words.split(), NOW)
    assert done is not None
    return done.answer.code, done.text


def test_it_is_believed_as_the_agent_says_last() -> None:
    at = told_at(AWAITING, "db2", None)
    at, orders = turn(at, NOW).world, turn(at, NOW).orders
    (order,) = (order for order in orders if isinstance(order, Tell) and order.host == "db2")
    reply = Reply("OK: Status applied successfully!", job_fields(RUNS), 501.0, "b.1")
    event = answered(order, of_reply(reply))
    after = apply(at, event, NOW)
    assert after.hosts["db2"].job == RUNS
    assert not is_quiet(at, after, event, NOW, awaited=False)
    again = told_at(after, "db2", None)
    again, orders = turn(again, NOW).world, turn(again, NOW).orders
    (order,) = (order for order in orders if isinstance(order, Tell) and order.host == "db2")
    over = apply(again, answered(order, of_reply(replace(reply, fields=()))), NOW)
    assert over.hosts["db2"].job is None


def test_a_monitor_that_starts_believes_it_before_it_has_sent_anything() -> None:
    conf = AWAITING.conf
    states = {name: str(host.state) for name, host in AWAITING.hosts.items()}
    held = {name: tuple(AWAITING.vips_of(name)) for name in conf.hosts}
    found = {
        name: Found(
            Stored(states[name], held[name]), Status(states[name], held[name], "db1"),
            SystemStatus(name == "db1", held[name]), 500.0, RUNS if name == "db2" else None,
        )
        for name in conf.hosts
    }  # fmt: skip
    started = start(conf, dict.fromkeys(conf.hosts, checks()), found, NOW).world
    assert rule_for(View(started, "db2", NOW)).name == "being_rebuilt"  # type: ignore[union-attr]
    assert turn(started, NOW).world.hosts["db2"].state is State.AWAITING_RECOVERY


@pytest.mark.parametrize("job", [RUNS, BROKEN_OFF])
@pytest.mark.parametrize("state", [s for s in State if s not in (State.ONLINE, State.ADMIN_OFFLINE)])
@pytest.mark.parametrize("failed", [checks(), DEAD, checks(rep_threads=0.0), checks(rep_backlog=0.0)])
@pytest.mark.parametrize("flaps", [None, FLAPPING])
def test_it_stays_where_it_is_and_gets_no_role_and_is_not_killed(
    job: Job, state: State, failed: dict[str, object], flaps: object
) -> None:
    before = rebuilt(
        job, world({WRITER: "db1"}, {"db2": state}, cluster(auto_set_online=1.0)), checks=failed, flaps=flaps
    )
    after, orders = settle(before)
    assert after.hosts["db2"].state is state
    assert rule_for(View(after, "db2", NOW)).name == "being_rebuilt"  # type: ignore[union-attr]
    assert "db2" not in after.owner.values()
    assert not any(isinstance(order, KillHost) for order in orders)


def test_it_is_back_by_the_usual_rules_once_the_job_is_over() -> None:
    after, _ = settle(rebuilt(None))
    assert after.hosts["db2"].state is State.ONLINE


def test_the_admin_cannot_set_it_online_not_even_by_force() -> None:
    why = "is being rebuilt from db3: copying 58 %, 4 s left"
    for state in (State.AWAITING_RECOVERY, State.ADMIN_OFFLINE, State.HARD_OFFLINE):
        at = rebuilt(RUNS, world(states={"db2": state}))
        for command in ("set_online db2", "set_online --force db2"):
            code, text = refusal(at, command)
            assert (code, f"ERROR: Host 'db2' {why}." in text) == ("being_rebuilt", True)


BROKEN_OFF_SAID = (
    "db2 was being rebuilt from db3, and that was broken off while putting the copy in place: run mmm_rejoin on db2"
    " again, which goes on with it"
)


@pytest.mark.parametrize(
    ("job", "said"),
    [
        (RUNS, "db2 is being rebuilt from db3: copying 58 %, 4 s left"),
        (replace(RUNS, left=None), "db2 is being rebuilt from db3: copying 58 %"),
        (
            replace(RUNS, step="catch_up", percent=None, left=None),
            "db2 is being rebuilt from db3: catching up",
        ),
        (
            replace(RUNS, step="of_later", percent=None, left=None),
            "db2 is being rebuilt from db3: of_later",
        ),
        (
            BROKEN_OFF,
            BROKEN_OFF_SAID,
        ),
    ],
)
def test_show_says_what_it_is_at(job: Job, said: str) -> None:
    at = rebuilt(job, checks=DEAD)
    assert f"# Warning: {said}\n" in show(at, NOW)
    (warned,) = (each for each in concerns.found(at, NOW, CLOCK) if "db2" in each.hosts)
    assert (warned.code, str(warned)) == ("being_rebuilt", said)
    assert health(at, NOW, CLOCK).status == "WARNING"


def test_explain_names_the_rule_and_what_the_admin_can_do() -> None:
    text = explain(rebuilt(), "db2", NOW, CLOCK)
    assert (
        "kept AWAITING_RECOVERY (being_rebuilt): it is being rebuilt from db3: copying 58 %, 4 s left\n"
        in text
    )
    assert "would become" not in text
    text = explain(rebuilt(BROKEN_OFF), "db2", NOW, CLOCK)
    assert "broken off while putting the copy in place: run mmm_rejoin on db2 again" in text
    text = explain(rebuilt(replace(BROKEN_OFF, kind="restore")), "db2", NOW, CLOCK)
    assert "run mmm_restore on db2 again" in text
    (host,) = explained(rebuilt(), "db2", NOW, CLOCK)["hosts"]
    assert (host["job"]["code"], host["job"]["fields"]["percent"], host["set_online"]["code"]) == (
        "runs", 58, "being_rebuilt",
    )  # fmt: skip


def test_the_log_says_when_it_begins_and_when_it_is_broken_off_and_not_each_percent() -> None:
    def lines(before: Job | None, after: Job | None) -> list[str]:
        return [line for _, line in log_lines.between(rebuilt(before), rebuilt(after))]

    assert len(lines(None, RUNS)) == len(lines(RUNS, BROKEN_OFF)) == len(lines(BROKEN_OFF, RUNS)) == 1
    assert lines(RUNS, replace(RUNS, percent=59)) == lines(RUNS, None) == []


DONE = Ended("db1-20261129-041500", "rejoin", "db3", Result.DONE, 14.02, 3, "/var/lib/mysql-mmm/saved/db1-1")


@pytest.mark.parametrize(
    ("ended", "said"),
    [
        (DONE, "db1: rejoined from db3 in 14.0 s, 3 transactions saved in /var/lib/mysql-mmm/saved/db1-1"),
        (replace(DONE, count=0, folder=""), "db1: rejoined from db3 in 14.0 s"),
        (
            replace(DONE, result=Result.TAKEN_BACK),
            "db1: its rejoin from db3 was taken back, see mmm_tools.log there",
        ),
        (replace(DONE, kind="restore", count=0, folder=""), "db1: restored from a backup of db3 in 14.0 s"),
        (
            replace(DONE, kind="restore", result=Result.TAKEN_BACK),
            "db1: its restore from db3 was taken back, see mmm_tools.log there",
        ),
        (replace(DONE, kind="clone", count=0, folder=""), "db1: cloned from db3 in 14.0 s"),
        (
            replace(DONE, result=Result.LEFT),
            "db1: its rejoin from db3 was given up, the host left as it is: see mmm_tools.log there",
        ),
    ],
)
def test_the_history_tells_once_how_it_ended_whoever_asks_again(
    tmp_path: Path, ended: Ended, said: str
) -> None:
    chronicle = Chronicle(tmp_path / "history", CLOCK)
    for _ in range(2):
        chronicle.job_ended("db1", ended)
    started_anew = Chronicle(tmp_path / "history", CLOCK)
    started_anew.job_ended("db1", ended)
    assert [entry.text for entry in started_anew.entries] == [said]
    started_anew.job_ended("db1", replace(ended, name="db1-20261130-041500"))
    assert len(started_anew.entries) == 2
