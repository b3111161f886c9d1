"""An agent sends the log of its dead server, and gets that of another one within its time and its lease."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mmm.agent.act import binlog_sender, salvage_step, takeover
from mmm.agent.act.binlog_files import BinlogFiles, LogRefusedError
from mmm.agent.act.salvage_step import SalvageStep
from mmm.agent.act.step_error import LeaseOverError
from mmm.agent.act.workplace import Workplace
from mmm.agent.decide.steps import Salvage as Step
from mmm.config.model import Vip
from mmm.mysql.server.log_home import LogHome
from mmm.network.listener import Peer
from mmm.wire.agent import Reply, decode_reply, encode_request
from mmm.wire.ahead import ask_ahead
from mmm.wire.binlog import (
    HAS_ROLE,
    NO_LOG,
    PURGED,
    WRONG_SERVER,
    Asked,
    Extent,
    ask_binlog,
    extent_in,
    piece,
)
from mmm.wire.lead import AUTH
from mmm.wire.salvaged import Cause, Salvaged, salvaged_in
from mmm.wire.why import BAD_REQUEST
from tests.unit.agents import MONITOR, ROLE, Rig, conf, running
from tests.unit.test_binlog_mysql import VERSIONS, Log

VIP = Vip("writer", "10.88.0.80")
STEP = Step("db2", VIP)


class Server:
    """Says where its log is."""

    def __init__(self, home: LogHome) -> None:
        self.home = home

    def ask(self, _: object) -> LogHome:
        return self.home


def a_log(folder: Path) -> Any:
    (folder / "bin.000001").write_bytes(b"the first file")
    (folder / "bin.000002").write_bytes(b"the second")
    (folder / "bin.index").write_text(f"./bin.000001\n{folder}/bin.000002\n")
    return Server(LogHome(str(folder / "bin.index"), str(folder), 7, mariadb=True))


def test_the_log_is_read_as_its_index_names_it(tmp_path: Path) -> None:
    files = BinlogFiles(None)
    files.learn(a_log(tmp_path))
    first = files.read(Asked(7, "bin.000001", 4, 5))
    assert (first.data, first.size, first.following) == (b"first", 14, "bin.000002")
    newest = files.read(Asked(0, "", 0, 100))
    assert (newest.file, newest.data, newest.following) == ("bin.000002", b"the second", "")


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (Asked(8, "bin.000001", 0, 9), WRONG_SERVER),
        (Asked(7, "bin.000000", 0, 9), PURGED),
        (Asked(7, "bin.000002", 11, 9), PURGED),
        (Asked(7, "passwd", 0, 9), PURGED),
    ],
)
def test_what_is_no_part_of_the_log_is_not_read(tmp_path: Path, asked: Asked, code: str) -> None:
    files = BinlogFiles(None)
    files.learn(a_log(tmp_path))
    with pytest.raises(LogRefusedError) as refused:
        files.read(asked)
    assert refused.value.code == code


def numbered_log(folder: Path, *numbers: int, then: bytes = b"") -> Log:
    """Write the next file of a log, with these transactions, and what follows them."""
    log = Log(VERSIONS[-1])
    for number in numbers:
        log.rows(number)
    name = f"bin.{len(list(folder.glob('bin.0*'))) + 1:06}"
    (folder / name).write_bytes(log.data + then)
    with (folder / "bin.index").open("a") as index:
        index.write(f"{name}\n")
    return log


def learned(folder: Path) -> BinlogFiles:
    files = BinlogFiles(None)
    files.learn(cast("Any", Server(LogHome(str(folder / "bin.index"), str(folder), 7, mariadb=False))))
    return files


def test_how_much_there_is_is_told_without_sending_it(tmp_path: Path) -> None:
    """What a later file has counts; one that is not there to its end does not."""
    log = numbered_log(tmp_path, 1, 2, 3)
    other = numbered_log(tmp_path, 4, then=log.data[log.begin : log.begin + 30])
    files, one = learned(tmp_path), len(other.data) - len(Log(VERSIONS[-1]).data)
    begin = len(log.data) - 3 * one
    told = files.measure(Asked(7, "bin.000001", begin, 0))
    assert told == Extent(first=one, count=4, ended=True)
    assert files.measure(Asked(7, "bin.000001", begin + 2 * one, 0)) == Extent(one, 2, ended=True)
    assert files.measure(Asked(7, "bin.000001", log.begin, 0)).first == begin + one - log.begin
    end = (tmp_path / "bin.000002").stat().st_size
    assert files.measure(Asked(7, "bin.000002", end, 0)) == Extent(0, 0, ended=True)
    assert extent_in(Reply("OK: here!", files.fields(Asked(7, "bin.000001", begin, 0)))) == told
    assert extent_in(Reply("OK: here!", files.fields(Asked(7, "bin.000001", begin, 9)))) is None


def test_what_cannot_be_looked_through_is_told_as_far_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = numbered_log(tmp_path, 1, 2, then=bytes(100)).begin
    numbered_log(tmp_path, 3)
    files = learned(tmp_path)
    told = files.measure(Asked(7, "bin.000001", begin, 0))
    assert (told.count, told.ended) == (2, False)
    monkeypatch.setattr("mmm.agent.act.binlog_files.LOOK_LIMIT", -1.0)
    assert files.measure(Asked(7, "bin.000001", begin, 0)) == Extent(0, 0, ended=False)


def test_an_agent_that_starts_after_its_servers_death_knows_where_the_log_is(tmp_path: Path) -> None:
    kept = tmp_path / "agent.pid.binlog"
    BinlogFiles(kept).learn(a_log(tmp_path))
    assert BinlogFiles(kept).read(Asked(7, "", 0, 3)).data == b"the"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", json.dumps({"index": "x"}), json.dumps({"index": 1, "folder": 2})]
)
def test_what_was_kept_and_cannot_be_read_is_nothing(tmp_path: Path, text: str) -> None:
    kept = tmp_path / "agent.pid.binlog"
    kept.write_text(text)
    with pytest.raises(LogRefusedError) as refused:
        BinlogFiles(kept).read(Asked(0, "", 0, 1))
    assert refused.value.code == NO_LOG


async def ask(rig: Rig, asked: Asked, peer: Peer = MONITOR) -> Reply:
    return decode_reply(await rig.agent.answer(encode_request(ask_binlog("db1", asked)), peer))


@pytest.mark.parametrize("lives", [True, False])
async def test_a_writer_sends_its_log_only_when_its_server_is_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, lives: bool
) -> None:
    monkeypatch.setattr(binlog_sender, "listening", lambda _: ["10.88.0.1"] * lives)
    async with running(tmp_path, monkeypatch, stands_still=True) as rig:
        rig.agent._binlog.learn(a_log(tmp_path))
        assert (await rig.order(ROLE)).ok
        told = await ask(rig, Asked(7, "bin.000002", 4, 9))
        assert (told.why == HAS_ROLE) is lives
        assert (await rig.order("")).ok
        assert piece(await ask(rig, Asked(7, "bin.000002", 4, 9))).data == b"second"


async def test_a_log_is_sent_to_no_ordinary_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path, monkeypatch, stands_still=True) as rig:
        rig.agent._binlog.learn(a_log(tmp_path))
        told = await ask(rig, Asked(7, "bin.000002", 4, 9), MONITOR._replace(port=40000))
        assert (told.ok, told.why) == (False, AUTH)


@pytest.mark.parametrize(
    ("name", "salvage", "got"), [("db2", True, ["db2"]), ("", True, [""]), ("db2", False, [])]
)
async def test_the_monitor_has_a_log_got_in_advance_or_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, got: list[str], *, salvage: bool
) -> None:
    async with running(tmp_path, monkeypatch, stands_still=True) as rig:
        questions, told = rig.agent._questions, list[str]()
        monkeypatch.setattr(questions, "_conf", replace(questions._conf, salvage=salvage))
        monkeypatch.setattr(questions._at.ahead, "get", told.append)
        monkeypatch.setattr(questions._at.ahead, "forget", lambda: told.append(""))
        reply = decode_reply(await rig.agent.answer(encode_request(ask_ahead("db1", name)), MONITOR))
        assert (reply.ok, told) == (True, got)


@pytest.mark.parametrize(("name", "port", "code"), [
    ("db1", MONITOR.port, BAD_REQUEST), ("db9", MONITOR.port, BAD_REQUEST), ("db2", 40000, AUTH),
])  # fmt: skip
async def test_no_log_is_got_of_strangers_nor_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, port: int, code: str
) -> None:
    async with running(tmp_path, monkeypatch, stands_still=True) as rig:
        monkeypatch.setattr(rig.agent._questions._at.ahead, "get", pytest.fail)
        line = encode_request(ask_ahead("db1", name))
        assert decode_reply(await rig.agent.answer(line, MONITOR._replace(port=port))).why == code


class Getting:
    """What stands for getting a log: each attempt takes some seconds, and gets as many transactions."""

    def __init__(self, takes: float, monkeypatch: pytest.MonkeyPatch) -> None:
        self.takes, self.now, self.lease = takes, 100.0, 10
        self.limits: list[float] = []
        self.said, self.parted, self.advance = "", False, ""
        monkeypatch.setattr(salvage_step, "Salvage", lambda *_, **__: self)
        monkeypatch.setattr(takeover, "time", SimpleNamespace(monotonic=lambda: self.now))

    def use(self, _: object) -> None:
        """Ask over TLS: there is nobody to ask."""

    def get(self, host: str, _: object, left: Callable[[], float]) -> Salvaged:
        begins = self.now
        self.limits.append(left())
        self.now += min(self.takes, max(0.0, left()))
        count = round(self.now - begins)
        late = None if self.takes <= self.now - begins else Cause.LATE
        first = f"0-1-{begins:.0f}" if count else ""
        return Salvaged(
            host, count, first, f"0-1-{self.now:.0f}", left=3 if late else 0, cause=late, known=True
        )


def a_step(tmp_path: Path, getting: Getting, **changes: Any) -> SalvageStep:
    at = Workplace(replace(conf(tmp_path), salvage_timeout=5.0, **changes))
    return SalvageStep(at, lambda _: getting.lease)


SESSION: Any = SimpleNamespace(open=lambda: None, close=lambda: None)


def test_it_takes_no_longer_than_it_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    getting = Getting(60.0, monkeypatch)
    step = a_step(tmp_path, getting)
    assert "5 transactions got (0-1-100 to 0-1-105), 3 missing: late" in step.do(STEP, SESSION)
    assert getting.limits == [5.0]


def test_an_order_that_comes_again_goes_on_in_the_time_that_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    getting = Getting(3.0, monkeypatch)
    getting.lease = 2
    step = a_step(tmp_path, getting)
    step.do(STEP, SESSION)
    getting.lease = -1
    with pytest.raises(LeaseOverError):
        step.do(STEP, SESSION)
    getting.lease = 0
    step.do(STEP, SESSION)
    assert getting.limits == [2, -1, 3.0]
    assert step.done is not None
    assert (step.done.count, step.done.first, step.done.last, step.done.complete) == (
        5,
        "0-1-100",
        "0-1-105",
        True,
    )


def test_the_next_time_it_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    getting = Getting(3.0, monkeypatch)
    step = a_step(tmp_path, getting)
    step.do(STEP, SESSION)
    step.forget()
    assert step.done is None
    getting.now += 10
    step.do(STEP, SESSION)
    assert getting.limits == [5.0, 5.0]


async def test_a_takeover_that_follows_another_at_once_has_its_own_time_and_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though its server was never made read_only in between: it was killed, and is started read_only."""
    getting = Getting(3.0, monkeypatch)
    async with running(tmp_path, monkeypatch) as rig:
        steps = rig.agent._shell.steps
        monkeypatch.setattr(steps.salvage._takeover, "_lifetime", lambda _: 10)
        steps.salvage.do(STEP, SESSION)
        first = salvaged_in(await rig.order(ROLE, 10))
        assert first is not None
        rig.machine.writable = False
        assert salvaged_in(await rig.order("")) is None
        assert (await rig.order(ROLE, 10)).ok
        steps.salvage.do(STEP, SESSION)
        second = salvaged_in(await rig.order(ROLE, 10))
        assert second is not None
        assert (first.first, second.first) == ("0-1-100", "0-1-103")
    assert getting.limits == [5.0, 5.0]


@pytest.mark.parametrize(("host", "salvage"), [("db9", True), ("db2", False)])
def test_it_may_be_switched_off_and_knows_no_strangers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, *, salvage: bool
) -> None:
    getting = Getting(3.0, monkeypatch)
    step = a_step(tmp_path, getting, salvage=salvage)
    assert "left alone" in step.do(Step(host, VIP), SESSION)
    assert step.done is None
