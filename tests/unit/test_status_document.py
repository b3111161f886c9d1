"""The one document: as docs/status.schema.json says, and with what the texts say."""

import json
from dataclasses import replace

import pytest

from mmm.config.effective import fingerprint
from mmm.lease.rules import FOREVER, NOTHING, Outstanding
from mmm.monitor.decide.auto_rejoin import kept
from mmm.monitor.decide.turn import Turn, turn
from mmm.monitor.report import answers
from mmm.monitor.report.document import document
from mmm.monitor.report.history import Entry
from mmm.monitor.world.checks import Finding, Outcome
from mmm.monitor.world.host import State
from mmm.monitor.world.world import Mode, World
from mmm.wire.control import decode_show
from tests.simulation.run import Run
from tests.simulation.scenario import scenario
from tests.status import fits, status
from tests.unit.test_monitor_auto_rejoin import diverged
from tests.unit.worlds import CLOCK, NOW, READER3, WRITER, checks, show, with_agent, with_host, world

SEEDS = range(6)


def asked(of: World, entries: tuple[Entry, ...] = ()) -> str:
    text = answers.answer(of, ["status"], NOW, CLOCK, entries)
    assert text is not None
    return text


def test_whatever_happens_to_a_cluster_the_document_is_as_the_schema_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: set[tuple[str, str]] = set()

    def noted(before: World, now: float) -> Turn:
        result = turn(before, now)
        came = {(host.state, host.rule) for host in result.world.hosts.values()}
        if result.changes and not came <= seen:
            seen.update(came)
            fits(json.loads(json.dumps(document(result.world, now, CLOCK, ()))))
        return result

    monkeypatch.setattr("tests.simulation.monitor.turn", noted)
    for seed in SEEDS:
        Run(scenario(seed)).result()
    assert {state for state, _ in seen} == set(State), "the runs come to every state"


def test_it_says_what_show_checks_and_history_say() -> None:
    broken = with_host(
        world({WRITER: "db1"}, {"db3": State.REPLICATION_FAIL}), "db3", checks=checks(rep_threads=9)
    )
    entry = Entry(1.0, "db3: ONLINE -> REPLICATION_FAIL", "why", epoch=7, number=3)
    told = status(asked(broken, (entry,)))
    shown = decode_show(show(broken, NOW))
    assert [(host["name"], host["state"]) for host in told["hosts"]] == [
        (host.name, host.state) for host in shown.hosts
    ]
    assert [reason["text"] for reason in told["health"]["reasons"]] == list(shown.warnings)
    db3 = told["hosts"][2]["checks"]["rep_threads"]
    assert (db3["failed"], db3["changed"], db3["result"]) == (True, 9, "ERROR")
    assert [change["text"] for change in told["history"]] == [entry.text]
    assert told["position"] == told["history"][0]["position"] == "7-3"


def test_it_says_what_explain_says_of_checks_that_begin_to_fail_or_do_not_count() -> None:
    failing = checks(ping=NOW - 20)
    failing["rep_threads"] = replace(checks(rep_threads=NOW - 3)["rep_threads"], failed=False, changed=0.0)
    told = status(asked(with_host(world({WRITER: "db1"}), "db3", checks=failing)))["hosts"][2]["checks"]
    assert [(told[name]["failed"], told[name]["ignored"]) for name in ("ping", "mysql")] == [
        (True, True),
        (False, False),
    ]
    assert (told["rep_threads"]["failed"], told["rep_threads"]["failing_since"]) == (False, NOW - 3)
    assert told["mysql"]["failing_since"] is None


def test_it_says_whether_a_host_is_rebuilt_by_itself() -> None:
    waits = diverged(since=NOW - 1)
    (db1, db2, _) = status(asked(waits))["hosts"]
    assert db1["auto_rejoin"] is None
    against = kept(waits, "db2", NOW)
    assert against is not None
    assert (db2["auto_rejoin"]["kept"]["code"], db2["auto_rejoin"]["kept"]["text"]) == (
        against.code,
        str(against),
    )
    assert db2["auto_rejoin"]["why"]["text"]
    assert status(asked(diverged()))["hosts"][1]["auto_rejoin"]["kept"] is None


def test_it_says_how_a_role_without_an_address_is_reached() -> None:
    of = world({WRITER: "db1"})
    role, host = of.conf.roles["writer"], of.conf.hosts["db1"]
    conf = replace(
        of.conf,
        roles={
            **of.conf.roles,
            "writer": replace(role, vip_via="script", vip_script="/usr/local/sbin/vip -x"),
        },
        hosts={**of.conf.hosts, "db1": replace(host, health_port=9991)},
    )
    told = status(asked(replace(of, conf=conf)))
    assert [(each["name"], each["vip_via"], each["vip_script"]) for each in told["roles"]] == [
        ("writer", "script", "/usr/local/sbin/vip -x"),
        ("reader", "arp", None),
    ]
    assert [each["health_port"] for each in told["hosts"]] == [9991, None, None]


def test_an_ip_that_nobody_holds_says_why_and_a_move_whom_it_waits_for() -> None:
    told = status(asked(world({WRITER: "db1"}, {"db3": State.HARD_OFFLINE}, mode=Mode.PASSIVE)))
    (writer,), readers = (role["ips"] for role in told["roles"])
    assert (writer["holder"], writer["confirmed"], writer["why"]) == ("db1", ["db1"], None)
    assert next(ip for ip in readers if ip["ip"] == READER3.ip)["why"]["code"] == "passive"


@pytest.mark.parametrize(
    ("finding", "lag"),
    [
        (Finding("good"), 0.0),
        (Finding("behind", {"seconds": 3}), 3.0),
        (Finding("too_far_behind", {"seconds": 99, "limit": 60.0}, Outcome.ERROR), 99.0),
        (Finding("no_backlog", outcome=Outcome.UNKNOWN), None),
        (Finding("error", {"text": "gone"}, Outcome.ERROR), None),
    ],
    ids=lambda value: value.code if isinstance(value, Finding) else "",
)
def test_lag_is_seconds_or_not_known(finding: Finding, lag: float | None) -> None:
    good = checks()
    good["rep_backlog"] = replace(good["rep_backlog"], finding=finding)
    assert status(asked(with_host(world(), "db3", checks=good)))["hosts"][2]["lag"] == lag


@pytest.mark.parametrize(
    ("given", "lease"),
    [
        (NOTHING, None),
        (Outstanding(NOW + 7.5), {"left": 7.5}),
        (Outstanding(NOW - 0.5), {"left": 0.0}),
        (Outstanding(FOREVER), {"left": None}),
    ],
)
def test_what_is_left_of_the_lease(given: Outstanding, lease: dict[str, float | None] | None) -> None:
    assert status(asked(with_agent(world(), "db1", given=given)))["hosts"][0]["lease"] == lease


def test_how_long_checks_took_and_by_which_conf() -> None:
    runs = {("db1", "mysql"): 0.25}
    timed = replace(CLOCK, took=lambda host, check: runs.get((host, check)))
    told = status(json.dumps(document(world(), NOW, timed, ())))
    checked = told["hosts"][0]["checks"]
    assert (checked["mysql"]["took"], checked["ping"]["took"]) == (0.25, None)
    assert told["monitor"]["conf"] == fingerprint(world().conf)
