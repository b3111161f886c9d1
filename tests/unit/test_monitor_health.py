"""What `mmm_control health` says, and the JSON behind the other answers."""

import json
from dataclasses import replace
from typing import Any

import pytest

from mmm.monitor.act import before_start
from mmm.monitor.report import answers
from mmm.monitor.report.health import health
from mmm.monitor.report.history import Entry
from mmm.monitor.world.host import State
from mmm.monitor.world.link import (
    ErrorReply,
)
from mmm.monitor.world.passive import PassiveCause
from mmm.monitor.world.world import Mode, World
from mmm.wire import values
from mmm.wire.command import HELP
from mmm.wire.control import decode_show
from tests.unit.worlds import (
    CLOCK,
    NOW,
    checks,
    show,
    with_agent,
    with_host,
    world,
)


def said(of: World) -> str:
    return str(health(of, NOW, CLOCK))


def asked(of: World, *words: str) -> dict[str, Any]:
    entries = (
        Entry(1.0, "writer(10.0.0.80): db1 -> db2", "why", ("db1 OK",), 0.5, ("writer(10.0.0.80)", "db2")),
    )
    text = answers.answer(of, ["json", *words], NOW, CLOCK, entries)
    assert text is not None
    return dict(json.loads(text))


def test_a_healthy_cluster_is_ok_in_one_line_with_figures() -> None:
    assert said(world()) == (
        "MMM OK: writer on db1, 3 of 3 hosts ONLINE | hosts=3 online=3 critical=0 warnings=0\n"
    )


def test_a_broken_slave_is_a_warning_and_a_cluster_that_nobody_writes_to_is_critical() -> None:
    broken = with_host(world(states={"db3": State.REPLICATION_FAIL}), "db3", checks=checks(rep_threads=NOW))
    assert said(broken).startswith("MMM WARNING: db3 is REPLICATION_FAIL: rep_threads: ")
    assert said(broken).endswith(" | hosts=3 online=2 critical=0 warnings=1\n")
    nobody = world({}, {"db1": State.HARD_OFFLINE, "db2": State.HARD_OFFLINE})
    assert said(nobody).startswith("MMM CRITICAL: no host holds writer: ")
    assert said(nobody).count("\n") == 1


def test_what_the_admin_ordered_is_not_forgotten() -> None:
    assert "db3 set offline by the admin" in said(world(states={"db3": State.ADMIN_OFFLINE}))
    assert said(world(mode=Mode.MANUAL)).startswith("MMM WARNING: mode is MANUAL")
    cause = PassiveCause("other_monitor", {"host": "db1", "other": "10.0.0.8 | 9988"})
    assert said(replace(world(mode=Mode.PASSIVE), passive_cause=cause)).startswith(
        "MMM WARNING: the monitor is passive and does nothing: The agent of db1 obeys another monitor, the one at"
        " 10.0.0.8 / 9988: no orders"
    )


def test_many_reasons_are_cut_short() -> None:
    many = world()
    for name in many.hosts:
        many = with_agent(many, name, failure=ErrorReply("ERROR: no", None), differs=("vip_lease",))
    assert "; and 2 more, see mmm_control show |" in said(many)


def test_the_same_values_as_json() -> None:
    broken = with_host(world(states={"db3": State.REPLICATION_FAIL}), "db3", checks=checks(rep_threads=NOW))
    told = asked(broken, "health")
    assert (told["status"], told["writer"]) == ("WARNING", "db1")
    (reason,) = asked(broken, "show")["warnings"]
    assert (reason["code"], reason["hosts"], reason["fields"]["state"]) == (
        "out_of_use",
        ["db3"],
        "REPLICATION_FAIL",
    )
    assert asked(broken, "explain", "db3").keys() == {"hosts"}
    (entry,) = asked(broken, "history", "5")["history"]
    assert (entry["vip"], entry["holder"], entry["took"]) == ("writer(10.0.0.80)", "db2", 0.5)


def test_show_and_checks_as_json_have_what_their_text_has_and_codes() -> None:
    broken = with_host(
        world(states={"db3": State.REPLICATION_FAIL}, mode=Mode.PASSIVE),
        "db3",
        checks=checks(rep_threads=NOW),
    )
    broken = replace(broken, passive_cause=PassiveCause("by_admin"))
    told = asked(broken, "show")
    assert (told["passive"], told["cause"]) == (True, "Admin switched to passive mode.")
    assert told["why"] == {"code": "by_admin", "fields": {}, "text": told["cause"]}
    read = values.of_show(decode_show(show(broken, NOW)), told["warnings"], told["why"])
    assert told == read
    (threads,) = asked(broken, "checks", "db3", "rep_threads")["checks"]
    assert (threads["result"], threads["code"], threads["fields"]) == (
        "ERROR",
        "error",
        {"text": "rep_threads"},
    )
    assert threads["message"] in answers.checks(broken, "db3", "rep_threads", CLOCK)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("explain", "db9"), "unknown_host"),
        (("checks", "db9"), "unknown_host"),
        (("checks", "db1", "disk"), "unknown_check"),
        (("history", "0"), "no_count"),
    ],
)
def test_what_cannot_be_answered_has_a_code(words: tuple[str, ...], code: str) -> None:
    told = asked(world(), *words)
    assert (told["ok"], told["code"]) == (False, code)
    assert answers.answer(world(), words, NOW, CLOCK) == told["message"]


def test_what_has_no_values_is_answered_as_ever() -> None:
    assert answers.answer(world(), ["json", "help"], NOW, CLOCK) == HELP
    assert asked(world(), "mode") == {"mode": "ACTIVE"}
    assert asked(world(), "ping")["code"] == "pinged"
    assert answers.answer(world(), ["json", "set_offline", "db1"], NOW, CLOCK) is None


def test_a_monitor_that_waits_for_its_network_says_so() -> None:
    monitor = world().conf.monitor
    assert monitor is not None
    waiting = replace(monitor, ping_ips=("192.168.100.1",))
    waits = "the monitor has not started yet: it waits for one of its ping_ips to answer (192.168.100.1)"
    assert before_start.answer(waiting, ["ping"]).startswith("OK")
    assert before_start.answer(waiting, ["show"]) == f"# Warning: {waits}\n"
    assert before_start.answer(waiting, ["health"]).startswith(f"MMM CRITICAL: {waits} | ")
    assert before_start.answer(waiting, ["set_online", "db1"]) == f"ERROR: {waits}"
    refused = json.loads(before_start.answer(waiting, ["json", "set_online", "db1"]))
    assert (refused["ok"], refused["code"], refused["message"]) == (
        False,
        "waits_for_network",
        f"ERROR: {waits}",
    )
    assert json.loads(before_start.answer(waiting, ["json", "health"]))["status"] == "CRITICAL"
