"""A rejoin that is ordered from the monitor: who may order it, what is answered, and that it goes on by itself."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmm.agent.act import rejoin_order
from mmm.agent.act.rejoin_order import RejoinOrder
from mmm.agent.act.replies import Replies
from mmm.agent.decide.held_lease import begun
from mmm.config.model import Cluster, Socket
from mmm.monitor.command.asking import Answered, Heard, OrderRejoin
from mmm.monitor.command.dispatch import changes, ordered
from mmm.monitor.command.texts import Verdict
from mmm.monitor.world.host import State
from mmm.monitor.world.hosts import Hosts
from mmm.monitor.world.world import World
from mmm.process.job_answer import read
from mmm.wire.agent import (
    Reply,
    Request,
    WireError,
    decode_reply,
    decode_request,
    encode_reply,
    encode_request,
)
from mmm.wire.rejoin import NOT_ALLOWED, NOT_REBUILT, Came, Wanted, came, came_fields, order
from mmm.wire.rejoin import ordered as wanted_in
from mmm.wire.why import UNKNOWN_COMMAND
from tests.unit.agents import LIMIT, conf
from tests.unit.worlds import NOW, WRITER, checks, with_host, world

BEGUN = Came(begun=True, lines=("db1: rejoins db2 with a copy of db3: job db1-1",))
REFUSED = Came(
    begun=False, lines=("db1 is ONLINE", "db1 has writer(10.0.0.80)"), codes=("online", "has_writer_vip")
)


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(),
        Wanted("db3"),
        Wanted("db-3.example", dry_run=True),
        Wanted("db3", lose_extra="db1"),
        Wanted(abort=True),
        Wanted("db3", method="rewind"),
    ],
)
def test_an_order_is_read_as_it_was_given(wanted: Wanted) -> None:
    request = decode_request(encode_request(order("db1", wanted)))
    assert (request.host, wanted_in(request)) == ("db1", wanted)
    assert wanted_in(replace(request, params=(*request.params, "LEAD:1.a.b", "LATER"))) == wanted


@pytest.mark.parametrize("param", ["FROM:--abort x", "FROM:--abort", "LOSE_EXTRA:-x", "FROM:"])
def test_what_is_no_host_s_name_is_none(param: str) -> None:
    with pytest.raises(WireError):
        wanted_in(Request("REJOIN", "db1", (param,)))


@pytest.mark.parametrize("what", [BEGUN, REFUSED])
def test_what_it_came_to_is_read_as_it_was_told(what: Came) -> None:
    text = "OK: Begun!" if what.begun else "ERROR: no"
    assert came(decode_reply(encode_reply(Reply(text, came_fields(what), 1.0, "a.1")))) == what


def test_an_agent_without_that_word_is_quoted() -> None:
    assert came(Reply("ERROR: Invalid command 'REJOIN'!")) == Came(False, ("Invalid command 'REJOIN'!",))


# --- the agent

TOOL = """\
import json, os, sys, time
print("a line of a library", flush=True)
{word}
"""


def rejoin_of(conf: Cluster) -> RejoinOrder:
    held = begun(1.0, "boot", 0.0, "")
    return RejoinOrder(conf, Replies(conf, lambda: held))


@pytest.fixture
def allowing(tmp_path: Path) -> Cluster:
    return replace(conf(tmp_path), allow_rebuild=True)


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], Path]:
    """Have another program in the tool's place, which writes its arguments into the file that is returned."""

    def put(word: str) -> Path:
        program, told = tmp_path / "tool.py", tmp_path / "told"
        text = f"import pathlib, sys\npathlib.Path({str(told)!r}).write_text(' '.join(sys.argv[1:]))\n"
        program.write_text(text + TOOL.format(word=word))
        monkeypatch.setattr(
            rejoin_order, "own_module", lambda _module, _ordered, *args: [sys.executable, str(program), *args]
        )
        return told

    return put


SAYS = "print(json.dumps({'begun': %s, 'lines': ['db1: rejoins'], 'codes': %s}), flush=True)"


async def answer(of: Cluster, *params: str) -> Reply:
    return decode_reply(await rejoin_of(of).answer(Request("REJOIN", "db1", params)))


async def test_an_order_that_anybody_could_have_sent_is_not_obeyed(
    tmp_path: Path, tool: Callable[[str], Path]
) -> None:
    told = tool(SAYS % (True, []))
    plain = conf(tmp_path)
    refused = await answer(plain)
    assert (refused.ok, refused.why, told.exists()) == (False, NOT_ALLOWED, False)
    for shown in (
        replace(plain, allow_rebuild=True),
        replace(plain, auth_key="key"),
        replace(plain, socket=Socket(type="ssl")),
    ):
        assert (await answer(shown)).ok


async def test_it_is_said_that_an_order_has_not_begun_yet(
    allowing: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A conf that is taken meanwhile would have the next agent asked for the same."""
    started, word = threading.Event(), threading.Event()

    def start(*_: object) -> Came:
        started.set()
        word.wait(LIMIT)
        return BEGUN

    monkeypatch.setattr(RejoinOrder, "_start", start)
    rejoin = rejoin_of(allowing)
    begins = [rejoin.begins]
    answered = asyncio.create_task(rejoin.answer(Request("REJOIN", "db1", ())))
    assert await asyncio.to_thread(started.wait, LIMIT)
    begins.append(rejoin.begins)
    word.set()
    assert decode_reply(await answered).ok
    assert [*begins, rejoin.begins] == [False, True, False]


async def test_the_tool_is_told_whose_copy_and_by_which_conf(
    allowing: Cluster, tool: Callable[[str], Path]
) -> None:
    told = tool(SAYS % (True, []))
    assert came(await answer(allowing, "FROM:db2", "DRY_RUN")) == Came(True, ("db1: rejoins",))
    folder = allowing.path.parent
    assert told.read_text() == f"--config {folder}/mmm_tools.conf --from db2 --dry-run"
    await answer(allowing, "LOSE_EXTRA:db1")
    assert told.read_text() == f"--config {folder}/mmm_tools.conf --lose-extra db1"
    await answer(allowing, "IN_PLACE:db1")
    assert told.read_text() == f"--config {folder}/mmm_tools.conf", "who has only the network removes nothing"
    await answer(allowing, "ABORT")
    assert told.read_text() == f"--config {folder}/mmm_tools.conf --abort"
    await answer(replace(allowing, path=folder / "mmm_agent_shop.conf"))
    assert told.read_text() == f"--config {folder}/mmm_tools_shop.conf"


async def test_its_refusal_is_told_with_its_codes(allowing: Cluster, tool: Callable[[str], Path]) -> None:
    tool(SAYS % (False, ["online"]))
    reply = await answer(allowing)
    assert (reply.why, came(reply)) == (NOT_REBUILT, Came(False, ("db1: rejoins",), ("online",)))
    tool("sys.exit('mmm_rejoin: no module of that name')")
    assert came(await answer(allowing)) == Came(False, ("mmm_rejoin: no module of that name",))


async def test_it_has_a_session_of_its_own_and_goes_on_when_nobody_hears_it_any_more(
    allowing: Cluster, tool: Callable[[str], Path], tmp_path: Path
) -> None:
    done = tmp_path / "done"
    os.mkfifo(done)
    tool(
        "from mmm.process.job_answer import Answer\n"
        "Answer(awaited=True).give(['db1: rejoins'], begun=True)\n"
        "print('nobody hears that' * 100000, flush=True)\n"
        f"open({str(done)!r}, 'w').write(str(os.getsid(0) == os.getpid()))"
    )
    assert came(await answer(allowing)) == Came(True, ("db1: rejoins",))
    assert done.read_text() == "True"


def test_the_tool_says_its_refusal_as_values(tmp_path: Path) -> None:
    argv = [
        sys.executable,
        "-m",
        "mmm.tools.rejoin.command",
        "--ordered",
        "--config",
        str(tmp_path / "none.conf"),
    ]
    said = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
    found = read(said)
    assert found is not None
    begun, lines, codes = found
    assert (begun, codes, "none.conf" in lines[0]) == (False, ("conf",), True)


# --- the monitor

RETURNED = world({WRITER: "db2"}, {"db1": State.AWAITING_RECOVERY})
"""db1 has come back, and db2 is the writer."""


def run(before: World, words: str, heard: Answered | None) -> tuple[list[Any], Verdict]:
    command = ordered(words.split())
    assert command is not None
    asking, asks = command(before, NOW), []
    try:
        asks.append(next(asking))
        asking.send(Heard(before, NOW, rejoin=heard))
    except StopIteration as ended:
        return asks, ended.value.answer
    raise AssertionError(asks)


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("rejoin db1", Wanted()),
        ("rejoin db1 --from db3", Wanted("db3")),
        ("rejoin --dry-run --from db3 db1", Wanted("db3", dry_run=True)),
        ("rejoin db1 --lose-extra db1 --stay-offline", Wanted(lose_extra="db1")),
        ("rejoin --abort db1", Wanted(abort=True)),
        ("rejoin --method clone db1", Wanted(method="clone")),
    ],
)
def test_the_admin_orders_it_in_any_order_of_words(words: str, wanted: Wanted) -> None:
    assert run(RETURNED, words, Answered(BEGUN))[0] == [OrderRejoin("db1", wanted)]
    assert changes(words.split()), "it starts a program as root"


@pytest.mark.parametrize(
    "words",
    [
        "rejoin",
        "rejoin db1 db2",
        "rejoin --from db3",
        "rejoin --method restore db1",
        "rejoin --lose-extra db1",
        "rejoin --in-place db1 db1",
        "rejoin --from --abort db1",
        "rejoin --abort --dry-run db1",
        "rejoin --abort --from db3 db1",
        "rejoin --force",
    ],
)
def test_other_words_are_no_command(words: str) -> None:
    assert ordered(words.split()) is None


@pytest.mark.parametrize(
    ("words", "heard", "code", "said"),
    [
        ("rejoin db1", Answered(BEGUN), "rejoin_begun", "OK: db1: rejoins db2 with a copy of db3: job db1-1. See"),
        ("rejoin --dry-run db1", Answered(BEGUN), "rejoin_dry_run", "OK: Dry run, nothing was changed.\ndb1: rejoins"),
        ("rejoin --abort db1", Answered(BEGUN), "rejoin_aborted", "See 'mmm_control history'."),
        ("rejoin --lose-extra db2 db1", Answered(BEGUN), "other_host_named", "names 'db2' and not 'db1'"),
        ("rejoin db1", Answered(REFUSED, NOT_REBUILT), "not_rebuilt", "not rebuilt: db1 is ONLINE; db1 has"),
        ("rejoin db1", Answered(REFUSED, NOT_ALLOWED), "rebuild_not_allowed", "ERROR: Host 'db1' is not rebuilt"),
        ("rejoin db1", Answered(REFUSED, UNKNOWN_COMMAND), "rejoin_unknown", "run mmm_rejoin there"),
        ("rejoin db1", None, "no_agent", "ERROR: Can't reach the agent of host 'db1'"),
        ("rejoin db9", None, "unknown_host", "db9"),
        ("rejoin db1 --from db9", None, "unknown_host", "db9"),
    ],
)  # fmt: skip
def test_what_it_came_to_is_answered_by_a_code(
    words: str, heard: Answered | None, code: str, said: str
) -> None:
    _, answer = run(RETURNED, words, heard)
    assert (answer.code, said in str(answer)) == (code, True)


def test_reasons_are_values_in_json() -> None:
    _, answer = run(RETURNED, "rejoin db1", Answered(REFUSED, NOT_REBUILT))
    assert answer.values["fields"]["reasons"] == ["online", "has_writer_vip"]


@pytest.mark.parametrize(
    "words", ["rejoin {}", "rejoin --dry-run {}", "rejoin {} --from db3 --lose-extra {}"]
)
def test_a_host_that_is_in_use_is_refused_by_that_before_its_agent_is_asked(words: str) -> None:
    """The agent would speak of what it takes to obey the order, which would be refused then all the same."""
    for host, reasons in (("db1", ("active_master", "online")), ("db3", ("online",))):
        asks, answer = run(world(), words.format(host, host), Answered(REFUSED, NOT_ALLOWED))
        assert (asks, answer.code, answer.fields["reasons"]) == ([], "not_rebuilt", reasons)
        assert str(answer).startswith(f"ERROR: Host '{host}' is not rebuilt: it is ")
    away = world(states={"db1": State.HARD_OFFLINE})
    assert run(away, "rejoin db1", None)[1].fields["reasons"] == ("active_master",)
    assert run(world(), "rejoin --abort db1", Answered(BEGUN))[1].code == "rejoin_aborted"


def test_a_host_that_is_silent_is_not_asked() -> None:
    silent = with_host(RETURNED, "db1", checks=checks(ping=0.0, mysql=0.0))
    asks, answer = run(silent, "rejoin db1", Answered(BEGUN))
    assert (asks, answer.code) == ([], "no_agent")


@pytest.mark.parametrize(
    ("heard", "code"), [(Answered(BEGUN), "rejoin_begun"), (None, "unknown_host")], ids=["begun", "silent"]
)
def test_a_host_that_a_conf_has_not_got_any_more_is_answered_for_all_the_same(
    heard: Answered | None, code: str
) -> None:
    command = ordered(["rejoin", "--stay-offline", "db1"])
    assert command is not None
    asking = command(RETURNED, NOW)
    next(asking)
    hosts = Hosts({name: host for name, host in RETURNED.hosts.items() if name != "db1"})
    with pytest.raises(StopIteration) as ended:
        asking.send(Heard(replace(RETURNED, hosts=hosts), NOW, rejoin=heard))
    assert ended.value.value.answer.code == code


@pytest.mark.parametrize("state", [State.AWAITING_RECOVERY, State.REPLICATION_FAIL, State.HARD_OFFLINE])
def test_the_host_can_be_kept_out_of_use_also_when_it_is_whole_again(state: State) -> None:
    def after(words: str, heard: Came) -> World:
        command = ordered(words.split())
        assert command is not None
        before = world(states={"db2": state})
        asking = command(before, NOW)
        next(asking)
        with pytest.raises(StopIteration) as ended:
            asking.send(Heard(before, NOW, rejoin=Answered(heard, "" if heard.begun else NOT_REBUILT)))
        after: World = ended.value.value.world
        return after

    stays = after("rejoin --stay-offline db2", BEGUN).hosts["db2"]
    assert (stays.state, str(stays.why)) == (
        State.ADMIN_OFFLINE,
        "set offline by the admin's 'rejoin --stay-offline'",
    )
    for words, heard in (
        ("rejoin db2", BEGUN),
        ("rejoin --stay-offline --dry-run db2", BEGUN),
        ("rejoin --stay-offline db2", REFUSED),
    ):
        assert after(words, heard).hosts["db2"].state is state
