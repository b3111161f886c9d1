"""The judge of chaos against histories that are wrong on purpose: it sees each wrong, and none in a right one."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from mmm.monitor.world.loss import LossCode
from mmm.proving.announced import Announced
from mmm.proving.chaos.checker import (
    GUARDED,
    NOTICED,
    RETURN,
    SLACK,
    Overlap,
    Verdict,
    judge,
)
from mmm.proving.chaos.history import (
    Contents,
    Hand,
    Held,
    History,
    Kept,
    Led,
    Look,
    Row,
    Said,
    Struck,
    read,
    write,
)
from mmm.proving.chaos.leaders import leaderless
from mmm.proving.chaos.report import report
from mmm.proving.outcomes import ACKNOWLEDGED, REFUSED, UNKNOWN

PERIOD = 0.05


def rows(server: str, client: str, since: float, until: float, first: int = 1) -> list[Row]:
    """Return what a client is told by a server that takes a row each PERIOD."""
    count = round((until - since) / PERIOD)
    sent = [since + PERIOD * place for place in range(count)]
    return [Row(client, first + n, at, at + 0.01, ACKNOWLEDGED, server) for n, at in enumerate(sent)]


def contents(tried: Iterable[Row], *hosts: str) -> tuple[Contents, ...]:
    """Return hosts that have all these rows."""
    by_client: dict[str, tuple[int, ...]] = {}
    for row in tried:
        by_client[row.client] = (*by_client.get(row.client, ()), row.number)
    return tuple(Contents(host, by_client) for host in hosts)


BEFORE, AFTER = rows("db1", "client", 0, 10), rows("db2", "client", 14, 20, first=201)
RIGHT = History(
    {"seed": 1, "command": "mmm_sandbox chaos --seed 1"},
    "db2",
    rows=(*BEFORE, *AFTER),
    struck=(Struck("kill-mysqld", "db1", 9.99, 16.0),),
    held=(Held("db1", 0, 12), Held("db2", 13.9, 20)),
    contents=contents([*BEFORE, *AFTER], "db1", "db2"),
)
"""The writer goes from db1 to db2, nothing is lost, nothing doubled."""


def with_rows(history: History, *more: Row) -> History:
    """Return the history with rows that are on all hosts at the end."""
    every = (*history.rows, *more)
    hosts = [each.host for each in history.contents]
    return replace(history, rows=every, contents=contents(every, *hosts))


def lacking(history: History, *gone: Row) -> History:
    """Return the history with rows that no host has at the end."""
    left = [row for row in history.rows if row not in gone]
    return replace(history, contents=contents(left, "db1", "db2"))


def only(verdict: Verdict, what: str) -> bool:
    """Tell whether this is the only thing wrong."""
    kinds = ("two_writers", "strays", "two_holders", "wrong_losses", "not_as_told", "unhealed")
    return [kind for kind in kinds if getattr(verdict, kind)] == [what] and not verdict.clean


def test_a_right_history_is_clean_and_tells_what_was_looked_at() -> None:
    verdict = judge(RIGHT)
    assert verdict.clean
    assert (verdict.acknowledged, verdict.reigns) == ({"db1": 200, "db2": 120}, 2)
    assert "320 rows acknowledged" in report(RIGHT, verdict)


def test_two_servers_that_acknowledge_at_once_are_two_writers_for_that_long() -> None:
    both = replace(
        with_rows(RIGHT, *rows("db1", "db1", 15, 18)),
        held=(Held("db1", 0, 13), Held("db1", 15, 18), *RIGHT.held),
    )
    verdict = judge(both)
    assert {overlap.hosts for overlap in verdict.two_writers} == {("db1", "db2"), ("db2", "db1")}
    long = max(verdict.two_writers, key=lambda overlap: overlap.until - overlap.since)
    assert 14.9 <= long.since <= 15.1
    assert 17.9 <= long.until <= 18.1
    assert "mmm_sandbox chaos --seed 1" in report(both, verdict)


def test_a_single_row_of_the_old_writer_in_the_reign_of_the_new_one_is_found() -> None:
    late = Row("db3", 1, 17.0, 17.3, ACKNOWLEDGED, "db1")
    stray = replace(with_rows(RIGHT, late), held=(Held("db1", 17, 17.1), *RIGHT.held))
    (found,) = judge(stray).two_writers
    assert found.hosts == ("db2", "db1")
    assert found.since <= late.sent
    assert late.answered <= found.until


def test_a_row_under_way_while_the_writer_moves_is_none_of_two_writers() -> None:
    """It may have been committed at the beginning of the time that it took."""
    slow = Row("db3", 1, 9.9, 16.0, ACKNOWLEDGED, "db1")
    assert judge(with_rows(RIGHT, slow)).clean


def test_a_role_that_goes_and_comes_back_takes_its_time() -> None:
    back = [*RIGHT.rows, *rows("db1", "client", 21, 25, first=401), *rows("db2", "client", 26, 30, first=601)]
    assert judge(with_rows(replace(RIGHT, rows=()), *back)).two_writers == []
    hasty = rows("db1", "client", 20 + PERIOD, 20 + RETURN - 5 * PERIOD, first=401)
    verdict = judge(with_rows(RIGHT, *hasty, *rows("db2", "client", 20 + RETURN - 3 * PERIOD, 22, first=601)))
    assert verdict.two_writers


def test_a_row_acknowledged_by_a_host_without_the_vip_is_a_stray() -> None:
    """A client kept its connection to the old writer, and nobody writes to a new one: no second server tells."""
    alone = replace(
        RIGHT, rows=tuple(BEFORE), contents=contents(BEFORE, "db1", "db2"), held=(Held("db1", 0, 12),)
    )
    late = Row("db3", 1, 12 + SLACK + 0.1, 13, ACKNOWLEDGED, "db1")
    verdict = judge(with_rows(alone, late))
    assert only(verdict, "strays")
    assert verdict.strays == [late]
    assert judge(with_rows(alone, replace(late, sent=12 + SLACK - 0.1))).clean


def test_a_row_of_a_host_that_is_not_fenced_by_its_guard_is_a_stray() -> None:
    """Without an address the last guard comes somewhat later than a kernel."""
    leased = replace(with_rows(RIGHT, *rows("db1", "db1", 12, 13)), about={**RIGHT.about, "bound": False})
    assert judge(leased).clean
    late = rows("db1", "db1", 12, 13.8)
    verdict = judge(with_rows(replace(leased, rows=RIGHT.rows), *late))
    assert verdict.strays == [row for row in late if row.sent > 12 + GUARDED]
    assert "by a host without the role" in report(leased, verdict)


def test_two_hosts_that_call_themselves_the_writer_are_found_though_nobody_writes() -> None:
    answered = (Held("db1", 0, 14.2), Held("db2", 14.0, 20))
    verdict = judge(replace(RIGHT, about={**RIGHT.about, "bound": False}, answered=answered))
    assert only(verdict, "two_holders")
    assert verdict.two_holders == [Overlap(("db1", "db2"), 14.0, 14.2)]
    once = (Held("db1", 0, 14.2), Held("db2", 14.1, 14.1), Held("db2", 14.3, 20))
    assert judge(replace(RIGHT, answered=once)).clean  # an answer that was long under way


def test_a_vip_that_is_bound_twice_is_found_though_nobody_writes() -> None:
    verdict = judge(replace(RIGHT, held=(Held("db1", 0, 14.0), Held("db2", 13.9, 20))))
    assert only(verdict, "two_holders")
    assert "db1 and db2 from 13.900 for 0.100 s" in str(verdict.two_holders[0])


def said(at: float, most: int | None, host: str = "db1", code: LossCode = LossCode.AT_MOST) -> Announced:
    return Announced(at, host, "db2" if host == "db1" else "db1", str(code), most)


def test_lost_rows_are_wrong_unless_mmm_has_said_as_many() -> None:
    lost = lacking(RIGHT, *BEFORE[-3:])
    verdict = judge(lost)
    assert only(verdict, "wrong_losses")
    assert "3 rows of db1" in str(verdict.wrong_losses[0])
    for announced, clean in [
        ((said(14.5, 3),), True),
        ((said(14.5, 2),), False),
        ((said(14.5, None, code=LossCode.UNSEEN),), True),
        ((said(14.5, 0, code=LossCode.ACKNOWLEDGED),), False),
        ((said(14.5, 9, host="db2"),), False),
        ((said(14.5, None, code=LossCode.UNSEEN), said(16, 3, code=LossCode.COMPARED)), True),
        ((said(14.5, None, code=LossCode.UNSEEN), said(16, 2, code=LossCode.COMPARED)), False),
        ((said(14.5, 2), said(16, 3, code=LossCode.COMPARED)), False),  # too low when it was said
    ]:
        verdict = judge(replace(lost, announced=announced))
        assert verdict.clean is clean, announced


def test_what_was_said_of_an_earlier_loss_does_not_cover_a_later_one() -> None:
    again = rows("db1", "client", 30, 34, first=401)
    last = rows("db2", "client", 38, 40, first=601)
    tried = with_rows(RIGHT, *again, *last)
    early, late = said(14.5, 50), said(38.5, 50)
    lost = lacking(tried, *again[-2:])
    assert judge(replace(lost, announced=(early,))).wrong_losses
    assert not judge(replace(lost, announced=(early, late))).wrong_losses


def test_the_report_tells_what_the_faults_of_a_round_cost() -> None:
    struck = (
        Struck("kill-mysqld", "db1", 9.99, 16.0, 1),
        Struck("freeze-agent", "db2", 10.5, 11, 1),
        Struck("cut", "db3", 18, 19, 2),
    )
    lost = replace(
        lacking(RIGHT, *BEFORE[-3:]),
        struck=struck,
        announced=(said(14.5, 7), said(16, 3, code=LossCode.COMPARED)),
        hands=(Hand("db1", "AWAITING_RECOVERY, has 0-1-9 alone", 1), Hand("db3", "HARD_OFFLINE", 2)),
    )
    told = report(lost, judge(lost)).split("lost, and what was said", 1)[1]
    assert [line.split() for line in told.splitlines()[1:4]] == [
        ["all", "2", "1", "3", "7", "0", "0", "2"],
        ["freeze-agent", "+", "kill-mysqld", "1", "1", "3", "7", "0", "0", "1"],
        ["cut", "1", "0", "0", "0", "0", "0", "1"],
    ]
    unknown = replace(lost, announced=(said(14.5, None, code=LossCode.UNSEEN),))
    told = report(unknown, judge(unknown)).split("lost, and what was said", 1)[1]
    assert told.splitlines()[1].split() == ["all", "2", "1", "3", "0", "1", "3", "2"]


def test_rows_that_are_not_as_clients_were_told_are_found() -> None:
    refused = Row("client", 900, 12.0, 12.1, REFUSED)
    assert only(judge(with_rows(RIGHT, refused)), "not_as_told")
    unknown = Row("client", 901, 12.0, 12.1, UNKNOWN)
    assert judge(with_rows(RIGHT, unknown)).clean
    assert judge(replace(RIGHT, rows=(*RIGHT.rows, unknown))).clean

    twice = contents([*RIGHT.rows, BEFORE[5]], "db1", "db2")
    assert "more than once" in judge(replace(RIGHT, contents=twice)).not_as_told[0]
    differs = (*contents(RIGHT.rows[:-1], "db1"), *contents(RIGHT.rows, "db2"))
    assert "db1 and db2 differ in 1 rows" in judge(replace(RIGHT, contents=differs)).not_as_told[0]


def looks(host: str, since: float, until: float, has: int | None) -> list[Look]:
    seen = None if has is None else {"client": has}
    return [Look(host, since + 0.25 * place, seen) for place in range(round((until - since) / 0.25) + 1)]


def test_time_without_a_writer_counts_while_there_is_a_candidate_and_names_the_cause() -> None:
    healthy = replace(RIGHT, looks=tuple(looks("db2", 0, 20, 200)))
    (gap,) = judge(healthy).gaps
    assert gap.until - gap.since > 4 - 2 * PERIOD
    assert 3.5 <= gap.candidate <= gap.until - gap.since
    assert gap.causes == ("kill-mysqld db1 for 6.0 s",)
    assert "kill-mysqld" in report(healthy, judge(healthy))
    assert judge(healthy).clean  # told, not wrong by itself

    behind = replace(RIGHT, looks=tuple(looks("db2", 0, 20, 199)))
    silent = replace(RIGHT, looks=tuple(looks("db2", 0, 20, None)))
    broken = replace(healthy, struck=(*RIGHT.struck, Struck("cut", "db2", 5, 15)))
    assert [judge(each).gaps for each in (behind, silent, broken)] == [[], [], []]
    half = replace(RIGHT, looks=(*looks("db2", 0, 12, None), *looks("db2", 12.25, 20, 200)))
    assert 1.5 <= judge(half).gaps[0].candidate <= 1.75


def test_a_short_wait_is_no_time_without_a_writer() -> None:
    waits = with_rows(
        replace(RIGHT, rows=()),
        *rows("db1", "client", 0, 5),
        Row("client", 900, 5.3, 5.4, ACKNOWLEDGED, "db1"),
    )
    assert NOTICED > 5.4 - 4.96
    assert judge(replace(waits, looks=tuple(looks("db1", 0, 6, 900)))).gaps == []


def test_a_cluster_that_did_not_get_well_is_not_clean() -> None:
    assert only(judge(replace(RIGHT, unhealed=("60 s: db1 is not ONLINE",))), "unhealed")


def test_a_history_is_the_same_after_it_was_written_and_read(tmp_path: Path) -> None:
    full = replace(
        RIGHT,
        looks=tuple(looks("db2", 0, 2, None)),
        said=(Said("monitor", 1.0, "line"),),
        announced=(said(2.0, None),),
        hands=(Hand("db1", "why", 1),),
        repairs=(Struck("rebuild", "db1", 1, 2),),
        unhealed=("why",),
    )
    write(full, tmp_path / "history")
    again = read(tmp_path / "history")
    assert replace(again, contents=()) == replace(full, contents=())
    assert judge(again) == judge(full)


def test_with_auto_rejoin_what_is_lost_is_in_a_saved_file_and_nowhere_else_and_nobody_needs_hands() -> None:
    last = BEFORE[-1]
    said = Announced(13.0, "db1", "db2", str(LossCode.AT_MOST), 1)
    lost = replace(lacking(RIGHT, last), about={**RIGHT.about, "auto_rejoin": True}, announced=(said,))
    kept = Kept("db1", "db1-20261129-074101", 1, {last.client: (last.number,)})
    assert judge(replace(lost, kept=(kept,))).clean
    assert judge(lost).not_kept == [f"1 rows are lost, and in no saved file: client {last.number}"]
    for bad, words in (
        (replace(RIGHT, about=lost.about, kept=(kept,)), "saved as thrown away, and yet on db1"),
        (replace(lost, kept=(kept,), hands=(Hand("db1", "AWAITING_RECOVERY", 1),)), "db1 needed hands"),
    ):
        verdict = judge(bad)
        assert words in verdict.not_kept[0]
        assert not verdict.clean
        assert words in report(bad, verdict)
    assert not judge(replace(lost, about=RIGHT.about)).not_kept, "else an admin decides"


def led(*struck: Struck, until: float = 60.0, again: float = 0.0) -> History:
    """Return a run of a minute in which one monitor leads `until` a moment, and another from `again` on."""
    about = {"monitors": ["mon1", "mon2"], "voters": ["db1", "db2", "db3"], "takes": 5.0}
    who = (Led("mon1", 0.0, until), Led("mon2", again, 60.0)) if again else (Led("mon1", 0.0, until),)
    return History({"monitors": about, "began": 0.0, "seconds": 60.0}, "db1", led=who, struck=struck)


def test_time_without_a_leader_counts_while_a_monitor_reaches_most_voters() -> None:
    killed = Struck("kill-monitor", "mon1", 10.0, 30.0)
    (gap,) = leaderless(led(killed, until=10.0, again=14.0))
    assert (gap.could, gap.longest, gap.causes) == (4.0, 4.0, ("kill-monitor mon1 for 20.0 s",))
    agents = (Struck("kill-agent", "db1", 5.0, 16.0), Struck("cut", "db3", 11.0, 20.0))
    (gap,) = leaderless(led(killed, *agents, until=10.0, again=22.0))
    assert (gap.could, gap.longest) == (7.0, 6.0)
    off = (Struck("power-off", "db3", 5.0, 40.0), Struck("cut-in", "db1", 12.0, 40.0))
    (gap,) = leaderless(led(killed, *off, until=10.0, again=22.0))
    assert gap.could == 2.0, "a voter that is switched off has no vote"
    assert leaderless(led()) == []
    assert leaderless(RIGHT) == []


def test_a_leader_that_comes_later_than_the_rules_allow_is_told_with_what_was_broken() -> None:
    late = led(Struck("cut-monitor", "mon1", 10.0, 30.0), until=10.0, again=19.0)
    told = report(late, judge(late))
    assert "9.0 s without a monitor that leads, in 1 gaps; in 9.0 s of them one could" in told
    assert "at 10.0 s: 9.0 s, in 9.0 s on end a monitor could lead: cut-monitor mon1 for 20.0 s" in told
    (end,) = leaderless(led(until=40.0))
    assert end.longest == 20.0, "nothing was broken, and nobody led at the end"
