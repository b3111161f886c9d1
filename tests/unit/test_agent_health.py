"""What load balancers are told of a host, by what its agent has reported and the clock."""

import json
import math
from dataclasses import replace
from math import inf

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mmm.agent.act import health_port
from mmm.agent.act.health_port import Answers, Served
from mmm.agent.decide import core as decide
from mmm.agent.decide import lease_watch
from mmm.agent.decide.actions import Order
from mmm.agent.decide.core import Core
from mmm.agent.decide.health import (
    STALE,
    Look,
    Names,
    Question,
    Report,
    asked,
    decoded,
    held_roles,
    judged,
    looks,
    reported,
    unchanged_until,
    verdict,
)
from mmm.agent.decide.held_lease import begun
from mmm.agent.decide.seen import Seen, Server, Source
from mmm.config.load import Memory, check, read
from mmm.config.model import Cluster
from mmm.lease.rules import NEVER, Grant
from mmm.process.board import SIZE, Board
from mmm.process.conf_file import ConfFile
from mmm.wire.status import Status
from tests.unit.test_agent_core import NOW, READER, SITE, WRITER
from tests.unit.test_config_dialect2 import COMMON

NAMES = Names(("writer", "reader"), "writer")
BOUND = frozenset({WRITER.ip, READER.ip})
FROM_DB2 = Source("10.0.0.2", 3306, running=True, behind=0)
GOOD = Report(
    "db1",
    "ONLINE",
    NOW + 10.0,
    {"writer": NOW - 60.0, "reader": NOW - 60.0},
    NOW - 0.5,
    {"writer": (WRITER.ip,), "reader": (READER.ip,)},
    "up",
    writable=True,
    source="10.0.0.2",
    replicates=True,
    behind=3,
)


def why(report: Report, target: str, now: float = NOW) -> str:
    question = asked(target, NAMES)
    assert question is not None
    return judged(report, question, NAMES, now).value


@pytest.mark.parametrize(
    ("changes", "target", "expected"),
    [
        ({}, "/writer", "held"),
        ({}, "/reader", "held"),
        ({}, "/replica", "replicates"),
        ({"roles": {}}, "/writer", "not_assigned"),
        ({"until": NOW}, "/writer", "lease_over"),
        ({"until": NEVER}, "/writer", "not_assigned"),
        ({"until": inf}, "/writer", "held"),
        ({"until": NOW}, "/reader", "held"),
        ({"writable": False}, "/writer", "read_only"),
        ({"writable": False}, "/reader", "held"),
        ({"bound": {}}, "/writer", "not_bound"),
        ({"bound": {}}, "/reader", "not_bound"),
        ({"server": "silent"}, "/writer", "server_down"),
        ({"server": "dead"}, "/reader", "server_down"),
        ({"server": "dead"}, "/replica", "server_down"),
        ({"replicates": False}, "/replica", "not_replicating"),
        ({}, "/replica?lag=2", "behind"),
        ({}, "/replica?lag=3", "replicates"),
        ({"behind": None}, "/replica", "replicates"),
        ({"behind": None}, "/replica?lag=9999", "behind"),
        ({"looked": NEVER}, "/replica", "not_seen"),
        ({"looked": NOW - 61.0}, "/reader", "not_seen"),
    ],
)
def test_each_answer_has_its_reason(changes: dict[str, object], target: str, expected: str) -> None:
    assert why(replace(GOOD, **changes), target) == expected  # type: ignore[arg-type]


def test_a_worker_that_stands_still_keeps_the_writer_role_to_the_end_of_its_lease_alone() -> None:
    assert why(GOOD, "/writer", NOW + 9.99) == "held"
    assert why(GOOD, "/writer", NOW + 10.0) == "lease_over"
    assert why(GOOD, "/reader", NOW + STALE - 0.6) == "held"
    assert why(GOOD, "/reader", NOW + STALE) == "agent_silent"
    assert why(GOOD, "/replica", NOW + STALE) == "agent_silent"
    assert looks(GOOD, NOW)
    assert not looks(GOOD, NOW + STALE)


def test_lag_keeps_a_reader_out_but_not_the_writer_which_nobody_is_ahead_of() -> None:
    alone = replace(GOOD, replicates=False, behind=None)
    assert why(alone, "/reader?lag=1") == "held"
    slave = replace(GOOD, until=NEVER, roles={"reader": 0.0})
    assert why(slave, "/reader?lag=3") == "held"
    assert why(slave, "/reader?lag=2.9") == "behind"
    assert why(replace(slave, replicates=False), "/reader?lag=3") == "not_replicating"
    assert why(replace(slave, replicates=False), "/reader") == "held"


@pytest.mark.parametrize(
    ("names", "target", "expected"),
    [
        (NAMES, "/", ""),
        (NAMES, "/writer/", "writer"),
        (NAMES, "/writer?x=1", "writer"),
        (NAMES, "/nobody", None),
        (NAMES, "http://[", None),
        (NAMES, "*", None),
        (Names(("rw", "ro"), "rw"), "/writer", "writer"),
        (Names(("rw", "ro"), "rw"), "/reader", "reader"),
        (Names(("rw",), "rw"), "/reader", None),
        (Names(("rw",), "rw"), "/replica", "replica"),
    ],
)
def test_paths_are_roles(names: Names, target: str, expected: str | None) -> None:
    question = asked(target, names)
    assert (question.name if question else None) == expected


def test_in_a_cluster_with_other_names_writer_is_the_active_master_role() -> None:
    names = Names(("rw", "ro"), "rw")
    report = replace(GOOD, roles={"rw": 0.0, "ro": 0.0}, bound={"rw": ("a",), "ro": ("b",)}, until=NOW)
    assert judged(report, Question("writer"), names, NOW).value == "lease_over"
    assert judged(report, Question("reader"), names, NOW).value == "held"


@pytest.mark.parametrize("lag", ["", "-1", "x", "1e3", "1.2.3", "٣", "inf", "nan"])
def test_lag_is_a_number_of_seconds(lag: str) -> None:
    with pytest.raises(ValueError, match="number of seconds"):
        asked(f"/replica?lag={lag}", NAMES)


# What the agent reports


def writing() -> Core:
    core = decide.begun(SITE, begun(10.0, "boot", NOW - 100.0))
    order = Order(1, Status("ONLINE", (WRITER, READER), "db1"), Grant(10.0, NOW))
    return decide.ordered(core, order, NOW)[0]


def look(**seen: object) -> Look:
    found = Seen(bound=BOUND, writable=True, source=FROM_DB2)
    return Look(NOW, replace(found, **seen))  # type: ignore[arg-type]


def test_a_report_comes_back_as_it_was() -> None:
    core = writing()
    for report in (
        reported(core, look(), {"writer": NOW}),
        reported(core, None, {}),
        replace(GOOD, until=inf),
    ):
        assert decoded(report.encoded()) == report


def test_the_role_is_denied_the_moment_an_order_takes_it_away() -> None:
    core = writing()
    assert held_roles(core, look()) == {"writer", "reader"}
    given_up = decide.ordered(
        replace(core, work=None),
        Order(2, Status("ONLINE", (READER,), "db2"), Grant(10.0, NOW + 1)),
        NOW + 1,
    )[0]
    assert held_roles(given_up, look()) == {"reader"}


def test_an_agent_that_was_just_started_goes_by_what_is_bound() -> None:
    core = lease_watch.found(decide.begun(SITE, begun(10.0, "boot", NOW - 100.0)), WRITER, 4.0, NOW)
    assert held_roles(core, None) == frozenset()
    assert held_roles(core, look()) == {"writer", "reader"}
    report = reported(core, look(), {"writer": NOW, "reader": NOW})
    assert why(report, "/writer", NOW + 2.9) == "held"
    assert why(report, "/writer", NOW + 4.0) == "lease_over"


def test_a_server_that_is_silent_is_reported_with_why() -> None:
    report = reported(
        writing(), look(server=Server.SILENT, writable=None, problem="no answer"), {"writer": NOW}
    )
    assert verdict(report, Question("writer"), NAMES, NOW).fields() == {
        "host": "db1", "asked": "writer", "ok": False, "why": "server_down", "problem": "no answer",
    }  # fmt: skip


# What stands on the board


def conf() -> Cluster:
    return named("")


def named(more: str) -> Cluster:
    text = f"{COMMON}this db1\n{more}"
    return check(read(Memory({"a.conf": text}), "a.conf"), "AGENT", "", lambda _: "")


def test_before_the_first_report_nothing_is_held() -> None:
    answers = Answers(conf(), Board())
    assert answers.answer("/writer").status == 503
    assert answers.answer("/").status == 503
    assert answers.answer("/nobody").status == 404
    assert answers.answer("/replica?lag=soon").status == 400


def test_an_answer_that_is_kept_ends_with_the_lease_and_with_what_was_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    board, now = Board(), NOW
    monkeypatch.setattr(health_port, "clock", lambda: now)
    answers = Answers(conf(), board)
    board.put(GOOD.encoded())
    assert [answers.answer(path).status for path in ("/writer", "/reader")] == [200, 200]
    now = math.nextafter(GOOD.looked + STALE, inf)
    assert [answers.answer(path).status for path in ("/writer", "/reader")] == [200, 503]
    now = math.nextafter(GOOD.until, 0.0)
    assert answers.answer("/writer").status == 200
    now = GOOD.until
    assert [answers.answer(path).status for path in ("/writer", "/writer")] == [503, 503]
    board.put(replace(GOOD, until=now + 1.0, looked=now).encoded())
    assert [answers.answer(path).status for path in ("/writer", "/reader")] == [200, 200]
    board.put(replace(GOOD, roles={}).encoded())
    assert [answers.answer(path).status for path in ("/writer", "/reader")] == [503, 503]


@given(
    until=st.sampled_from([NEVER, inf]) | st.floats(-2.0, 12.0),
    looked=st.just(NEVER) | st.floats(-7.0, 2.0),
    now=st.floats(-1.0, 1.0),
    later=st.floats(0.0, 20.0) | st.just(inf),
)
def test_nothing_that_is_said_changes_before_the_moment_that_is_told(
    until: float, looked: float, now: float, later: float
) -> None:
    report = replace(GOOD, until=until, looked=looked, roles={"writer": -9.0, "reader": -9.0})
    then = min(now + later, math.nextafter(unchanged_until(report, now), NEVER))
    assume(then >= now)
    for name in ("writer", "reader", "replica"):
        question = Question(name, 3.0)
        assert judged(report, question, NAMES, then) is judged(report, question, NAMES, now)


def test_a_load_balancer_that_another_conf_names_is_let_in_though_nobody_has_asked_since() -> None:
    port = "<host default>\nhealth_port 9991\n</host>\n"
    first, second = (
        named(f"allow_from 10.0.0.9\nhealth_from {ip}\n{port}") for ip in ("192.0.2.7", "192.0.2.8")
    )
    file = ConfFile(first, lambda: second)
    served = Served(file, Board())
    assert [served.allowed().admits(ip) for ip in ("192.0.2.7", "192.0.2.8")] == [True, False]
    file.take(second)
    assert [served.allowed().admits(ip) for ip in ("192.0.2.7", "192.0.2.8")] == [False, True]


def test_the_last_whole_word_counts() -> None:
    board = Board()
    assert board.read() is None
    for number in range(5):
        board.put(b"x" * number)
        assert board.read() == b"x" * number
    with pytest.raises(ValueError, match="do not fit"):
        board.put(b"x" * (SIZE + 1))
    assert board.read() == b"xxxx"


def test_everything_is_told_as_json() -> None:
    board = Board()
    board.put(replace(GOOD, until=inf).encoded())
    fields = json.loads(Answers(conf(), board).answer("/").body)
    assert fields["lease"] == {"held": True, "for_good": True, "left_seconds": None}
    assert fields["roles"]["writer"] == {"ok": True, "why": "held", "bound": [WRITER.ip]}
    assert fields["replication"] == {"runs": True, "source": "10.0.0.2", "behind_seconds": 3}
