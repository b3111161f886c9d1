"""What is fuzzed: everything that makes sense of bytes from a peer, a server or a file.

A target takes any bytes and returns. The only exceptions that the code below it may raise are WireError and
ConfError; what it has decoded must survive being encoded and decoded again, and be fit for the decision it is for.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from mmm.agent.decide import plan, seen
from mmm.binlog import events, replay, transactions
from mmm.binlog.contents import contents
from mmm.binlog.stored_rows import rows_of
from mmm.config.load import (
    Cluster,
    ConfError,
    Memory,
    Program,
    check,
    effective,
    read,
)
from mmm.config.model import Vip
from mmm.config.names import CHECK_NAMES
from mmm.control.forms import FORMS, render
from mmm.gtid import mariadb as gtid
from mmm.gtid.mysql import GtidSet
from mmm.monitor.act import status_file
from mmm.monitor.command import command_result
from mmm.monitor.decide import startup
from mmm.monitor.decide.found import Found
from mmm.monitor.decide.turn import turn
from mmm.monitor.report import answers, history
from mmm.monitor.world.checks import CheckStatus
from mmm.monitor.world.host import State
from mmm.monitor.world.world import Mode, World
from mmm.mysql.server.replica_status import parse_status
from mmm.mysql.session import text_protocol
from mmm.tools.saved.exact import whole
from mmm.tools.saved.printed import items
from mmm.tools.saved.sql import Writer
from mmm.wire import agent as wire
from mmm.wire import control, questions, watch
from mmm.wire.agent import WireError
from mmm.wire.binlog import asked_binlog, extent_field, extent_in, piece, piece_fields
from mmm.wire.salvaged import salvaged_fields, salvaged_in
from mmm.wire.status import agent_status, ordered_status, system_status
from tests import commanding
from tests.unit.worlds import CLOCK, NOW, WRITER, cluster, world

CORPUS = Path(__file__).parent / "corpus"
PROGRAMS: tuple[Program, ...] = ("AGENT", "MONITOR", "CONTROL", "TOOLS", "REJOIN")
DIALECTS: tuple[Literal[1, 2] | None, ...] = (None, 1, 2)

_CONF = cluster(prefer="db2")
_WORLDS: tuple[World, ...] = (
    world(conf=_CONF),
    world({WRITER: None}, {"db1": State.AWAITING_RECOVERY, "db2": State.REPLICATION_FAIL}, _CONF),
    world(states={"db3": State.ADMIN_OFFLINE}, conf=_CONF, mode=Mode.PASSIVE),
    world(conf=replace(_CONF, dialect=1), mode=Mode.WAIT),
)
_FACTS = plan.Facts(
    "db1",
    slave=False,
    writer="writer",
    vips=tuple(_CONF.vips),
    sources={name: (host.ip, 3306) for name, host in _CONF.hosts.items()},
)
_SEEN = (
    seen.Seen(frozenset()),
    seen.Seen(frozenset({WRITER.ip}), writable=True, source=seen.Source("10.0.0.2", 3306, running=True)),
    seen.Seen(frozenset({WRITER.ip}), server=seen.Server.SILENT, writable=None, problem="no answer"),
)


def agent(data: bytes) -> None:
    """Take the bytes for a request to an agent, then for its answer."""
    with contextlib.suppress(WireError):
        request = wire.decode_request(data)
        _request_reads_back(request)
        with contextlib.suppress(WireError):
            asked_binlog(request)
        status = ordered_status(request)
        for facts in (_FACTS, replace(_FACTS, this="db3", slave=True)):
            for seen in _SEEN:
                planned = plan.plan(status, seen, facts, plan.Past())
                wire.encode_reply(wire.Reply(wire.sayable("ERROR: " + "; ".join(planned.refusals))[:4000]))
    with contextlib.suppress(WireError):
        reply = wire.decode_reply(data)
        _reply_reads_back(reply)
        assert watch.exited(reply) is None or reply.ok
        watch.runs(reply)
        for fields in (agent_status, system_status, questions.reach):
            with contextlib.suppress(WireError):
                str(fields(reply))
        if (extent := extent_in(reply)) is not None:
            assert extent_in(replace(reply, fields=(extent_field(extent),))) == extent
        with contextlib.suppress(WireError):
            part = piece(reply)
            assert piece(replace(reply, fields=piece_fields(part))) == part
        if (got := salvaged_in(reply)) is not None:
            assert salvaged_in(replace(reply, fields=salvaged_fields(got))) == got


def _request_reads_back(request: wire.Request) -> None:
    try:
        line = wire.encode_request(request)
    except WireError:
        return  # a CR or NUL can be received, not sent
    assert wire.decode_request(line) == request


def _reply_reads_back(reply: wire.Reply) -> None:
    try:
        line = wire.encode_reply(reply)
    except WireError:
        return
    again = wire.decode_reply(line)
    assert (again.text, again.fields) == (reply.text, reply.fields)
    assert abs(again.uptime - reply.uptime) <= 0.01


def commanded(data: bytes) -> None:
    """Take the bytes for a line on the control port, in several worlds."""
    control.invalid_command(data).encode()
    words = control.decode_command(data)
    if words is None:
        return
    for before in _WORLDS:
        text = answers.answer(before, words, NOW, CLOCK)
        if text is not None:
            text.encode()
            continue
        for pinged in (True, False):
            result = commanding.run(before, words, NOW, pinged=pinged)
            if result is None:
                continue
            result.text.encode()
            after = turn(result.world, NOW).world
            status_file.encode(after)
            if result.awaits is not None:
                command_result.outcome(after, result.awaits)


def answered(data: bytes) -> None:
    """Take the bytes for a monitor's answer to show, checks and mode."""
    text = data.decode(errors="replace")
    with contextlib.suppress(WireError):
        show = control.decode_show(text)
        dialects: tuple[Literal[1, 2], ...] = (1, 2)
        for dialect in dialects:
            control.encode_show(show, dialect).encode()
    with contextlib.suppress(WireError):
        lines = control.decode_checks(control.encode_checks(control.decode_checks(text)))
        assert control.decode_checks(control.encode_checks(lines)) == lines
    for command in ("show", "checks", "mode", "ping"):
        for form in FORMS[:2]:
            with contextlib.suppress(WireError):
                render([command], text, form).encode()


def conf(data: bytes) -> None:
    """Take the bytes for a conf; the first one chooses program, dialect, and whether another file includes it."""
    choice = data[0] if data else 0
    program, choice = PROGRAMS[choice % 4], choice // 4
    dialect, choice = DIALECTS[choice % 3], choice // 3
    files = Memory({"m.conf": data[1:], "o.conf": b"include m\n"})
    name = "mo"[choice % 2]
    errors: tuple[str, ...] = ("none",)
    try:
        made: Cluster = check(read(files, name, dialect), program, "", lambda _: "")
        effective(made).encode()
    except ConfError as error:
        errors = error.errors
    assert errors
    assert not any("\n" in line for line in errors)


def stored(data: bytes) -> None:
    """Take the bytes for a status file, and start a monitor from it."""
    hosts, warnings = status_file.decode(data.decode(errors="replace"))
    assert all("\n" not in warning for warning in warnings)
    checked = {name: {check: CheckStatus() for check in CHECK_NAMES} for name in _CONF.hosts}
    found = {name: Found(hosts.get(name)) for name in _CONF.hosts}
    started = startup.start(_CONF, checked, found, NOW)
    text = status_file.encode(turn(started.world, NOW).world)
    again, none = status_file.decode(text)
    assert not none
    assert list(again) == list(_CONF.hosts)


def remembered(data: bytes) -> None:
    """Take the bytes for the file of the history."""
    entries = history.decode(data.decode(errors="replace"))
    history.shown(entries, CLOCK).encode()
    assert history.decode("".join(map(history.encode, entries))) == entries


def replica(data: bytes) -> None:
    r"""Take the bytes for an answer to SHOW SLAVE STATUS as `\G` prints it."""
    row: dict[str, object] = {}
    for line in data.decode(errors="replace").split("\n"):
        name, _, text = line.partition(":")
        value = text.strip()
        number = value.isascii() and value.isdigit() and len(value) < 19
        row[name.strip()] = None if value == "NULL" else int(value) if number else value
    status = parse_status(row)
    assert "\n" not in status.last_error
    str(status.read)
    assert status.all_applied in {True, False}
    history = gtid.History(
        gtid.parse(status.gtid_received), gtid.parse(str(row.get("Executed_Gtid_Set") or ""))
    )
    gtid.surplus(history, gtid.History((), ()))
    assert gtid.parse(gtid.text(history.applied)) == history.applied


def said(data: bytes) -> None:
    """Take the bytes for a server's answer to a statement, whole and as it comes in."""
    exchange = text_protocol.Exchange()
    exchange.ask("SELECT 1")
    try:
        answer = exchange.take_in(data)
    except text_protocol.NotMysqlError:
        return
    if answer is None:
        return
    for end in {0, 3, len(data) // 2, len(data) - 1}:
        exchange.ask("SELECT 1")  # now it is known how the answer begins
        assert exchange.take_in(data[:end]) is None
        assert exchange.take_in(data[end:]) == answer


def binlog(data: bytes) -> None:
    """Take the bytes for a file of a binary log, then for what the program prints of one."""
    with contextlib.suppress(events.DamagedError):
        form = events.read_format(data[:4096])
        found = transactions.find(form, "bin.000001", data[len(form.head) :])
        assert sum(len(each.data) for each in found.transactions) + found.rest <= len(data)
        for has in (gtid.History((), ()), GtidSet()):
            lacking = transactions.lacking(found, has).transactions
            assert len(transactions.missing(found, has)) >= len(lacking)
            printed = list(batches_of(form, lacking, data))
            assert len(printed) <= len(lacking) + 1
    with contextlib.suppress(transactions.UnusableError):
        list(contents([data]))
    with contextlib.suppress(events.DamagedError):
        for row in rows_of(data[4:], checksums=False):
            whole(row)
    lines = data.splitlines(keepends=True)
    list(replay.statements(lines))
    for mariadb in (True, False):
        writer = Writer()
        for _, item in items(lines, {4: "first", 256: "second", 373: "third"}, mariadb=mariadb):
            for line in writer.write(item, None):
                assert line.endswith(b"\n")


def batches_of(
    form: events.Format, wanted: Sequence[transactions.Whole], data: bytes
) -> Iterator[tuple[replay.Named | None, list[bytes]]]:
    found = replay.batches(replay.statements(data.splitlines(keepends=True)), form, wanted)
    return ((transaction, list(said)) for transaction, said in found)


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "agent": agent,
    "commanded": commanded,
    "answered": answered,
    "conf": conf,
    "stored": stored,
    "remembered": remembered,
    "replica": replica,
    "said": said,
    "binlog": binlog,
}

WORDS: Mapping[str, tuple[str, ...]] = {
    "agent": (
        *(
            "PING|1|db1",
            "SET_STATUS|1|db1|ONLINE|",
            "GET_AGENT_STATUS",
            "WATCH|1|db1",
            "EXITED:4711",
            "RUNS:4711",
            "OK: ",
            "ERROR: ",
            "|UP:1.00",
            "|",
            ",",
        ),
        *(str(Vip("writer", "10.0.0.80")), str(Vip("reader", "10.0.0.91")), "ADMIN_OFFLINE", "HARD_OFFLINE"),
        *("\r", "\0", "\n", "db2", "db3"),
    ),
    "commanded": (
        *(
            "help",
            "ping",
            "show",
            "checks ",
            "all ",
            "set_online ",
            "set_offline ",
            "mode",
            "move_role ",
            "--force ",
        ),
        *("set_active", "set_manual", "set_passive", "set_ip ", "failover_method ", "auto", "wait", "manual"),
        *(
            "explain ",
            "history ",
            "writer ",
            "reader ",
            "db1",
            "db2",
            "db3",
            "10.0.0.80",
            "rep_backlog",
            "ping",
        ),
    ),
    "answered": (
        *(
            "# --- Monitor is in PASSIVE MODE ---\n",
            "# Cause: ",
            "# Warning: ",
            "Servers status:\n",
            "Roles: ",
        ),
        *(
            "  db1(10.0.0.1) master/ONLINE. Roles: ",
            "  db1(10.0.0.1): master/ONLINE. Roles: ",
            "None",
            ";",
            ", ",
        ),
        *("# Role writer is assigned to it's preferred host db1.\n", "[last change: 2026/11/21 03:07:23]  "),
        *(
            "# Role writer has db1 configured as it's preferred host",
            " but is assigned to db2 at the moment.",
        ),
        *("ACTIVE", "PASSIVE", "MANUAL", "WAIT", "OK", "ERROR: ", "reader(10.0.0.91)", "\r", "\n"),
    ),
    "conf": (
        *(
            "<host db1>\n",
            "</host>\n",
            "<role writer>\n",
            "</role>\n",
            "<monitor>\n",
            "</monitor>\n",
            "<host/>\n",
        ),
        *(
            "<check default>\n",
            "</check>\n",
            "<socket>\n",
            "</socket>\n",
            "include o\n",
            "include m\n",
            "this db1\n",
        ),
        *(
            "host db1\n",
            "role writer\n",
            "check ping\n",
            "log main\n",
            "\tip 10.0.0.1\n",
            "\tservers db1, db2\n",
        ),
        *(
            "ip ",
            "mode ",
            "master\n",
            "slave\n",
            "peer ",
            "hosts ",
            "ips ",
            "prefer ",
            "exclusive\n",
            "balanced\n",
        ),
        *(
            "active_master_role writer\n",
            "cluster_interface eth0\n",
            "debug 1\n",
            "10.0.0.80",
            "#",
            "\ufeff",
            "\r\n",
        ),
    ),
    "stored": (
        *(
            "db1|",
            "db2|",
            "db3|",
            "db9|",
            "|",
            ",",
            "\n",
            "\r",
            "\u2028",
            "writer(10.0.0.80)",
            "reader(10.0.0.91)",
        ),
        *(str(state) for state in State),
    ),
    "remembered": (
        *(
            '{"at": ',
            '"text": "',
            '"cause": "',
            '"steps": [',
            '"took": ',
            "null",
            "NaN",
            "1e999",
            "}\n",
            '"',
            ", ",
        ),
    ),
    "replica": (
        *(
            "Slave_IO_Running: ",
            "Slave_SQL_Running: ",
            "Replica_IO_Running: ",
            "Yes\n",
            "No\n",
            "Connecting\n",
        ),
        *(
            "Seconds_Behind_Master: ",
            "NULL\n",
            "Master_Host: ",
            "Source_Host: ",
            "Master_Port: ",
            "Using_Gtid: ",
        ),
        *(
            "Last_IO_Errno: ",
            "Last_SQL_Error: ",
            "Master_Log_File: bin.",
            "Read_Master_Log_Pos: ",
            "Channel_Name: ",
        ),
        *(
            "Exec_Master_Log_Pos: ",
            "Gtid_IO_Pos: 0-1-7",
            "Executed_Gtid_Set: ",
            "Relay_Master_Log_File: bin.",
        ),
    ),
    "said": (
        *("\x01\0\0\x01\x01", "\x05\0\0\x03", "\x07\0\0\x01\0\0\0\x02\0\0\0", "\x01\0\0\x01\x02"),
        *("\0\0\x02", "\x03def", "#42000", "read_only", "\x0c-\0", "\0\0\0"),
    ),
    "binlog": (
        *(
            "\xfebin",
            "\xfdbin",
            "\0\0\0",
            "\x13\0\0\0",
            "\x01\0",
            "COMMIT",
            "BEGIN",
            "XA START",
            "\xa2",
            "\x0f",
        ),
        *(
            "# at 4\n",
            "# at 256\n",
            "DELIMITER /*!*/;\n",
            "/*!*/;\n",
            "DELIMITER ;\n",
            "BINLOG '\n",
            "COMMIT/*!*/;\n",
        ),
    ),
}
"""Pieces of what a target expects, for the fuzzer to put together."""
