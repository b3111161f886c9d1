"""The control protocol: the classic's own answers to the blank, and reading back what was written."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmm.clock import local_time
from mmm.config.model import Vip
from mmm.wire.agent import WireError
from mmm.wire.command import HELP, encode_command
from mmm.wire.control import (
    MODES,
    CheckLine,
    Preference,
    Show,
    ShowHost,
    decode_checks,
    decode_command,
    decode_mode,
    decode_show,
    encode_checks,
    encode_show,
    invalid_command,
    unreachable,
)

CLASSIC_SHOW = """\
# --- Monitor is in PASSIVE MODE ---
# Cause: first line
# 
# second line
# Warning: agent on host db3 is not reachable
  db1(10.0.0.1) master/ONLINE. Roles: writer(10.0.0.100)
  db2(10.0.0.2) master/ONLINE. Roles: batch(10.0.0.150), reader(10.0.0.100), reader(10.0.0.90)
  db3(10.0.0.3) slave/HARD_OFFLINE. Roles: 
# Role batch has db3 configured as it's preferred host but is assigned to db2 at the moment.
# Role lost has db3 configured as it's preferred host.
# Role writer is assigned to it's preferred host db1.
"""  # noqa: W291 - the classic ends these lines with a blank

SHOW = Show(
    hosts=(
        ShowHost("db3", "10.0.0.3", "slave", "HARD_OFFLINE"),
        ShowHost(
            "db2",
            "10.0.0.2",
            "master",
            "ONLINE",
            (Vip("reader", "10.0.0.90"), Vip("batch", "10.0.0.150"), Vip("reader", "10.0.0.100")),
        ),
        ShowHost("db1", "10.0.0.1", "master", "ONLINE", (Vip("writer", "10.0.0.100"),)),
    ),
    passive="first line\n\nsecond line",
    warnings=(unreachable("db3"),),
    preferences=(
        Preference("batch", "db3", "db2"),
        Preference("lost", "db3"),
        Preference("writer", "db1", "db1"),
    ),
)

LEGACY_SHOW = """\
# Warning: agent on host db3 is not reachable
Servers status:
  db1(10.0.0.1): master/ONLINE. Roles: writer(10.0.0.100;)
  db2(10.0.0.2): master/ONLINE. Roles: reader(10.0.0.90;10.0.0.91;), writer2(10.0.0.80;)
  db3(10.0.0.3): slave/HARD_OFFLINE. Roles: None
"""


def test_show_is_the_classic_layout_to_the_blank() -> None:
    assert encode_show(SHOW) == CLASSIC_SHOW


def test_show_for_a_1x_conf_is_the_1x_layout() -> None:
    show = Show(
        hosts=(
            ShowHost("db1", "10.0.0.1", "master", "ONLINE", (Vip("writer", "10.0.0.100"),)),
            ShowHost(
                "db2",
                "10.0.0.2",
                "master",
                "ONLINE",
                (Vip("reader", "10.0.0.90"), Vip("reader", "10.0.0.91"), Vip("writer2", "10.0.0.80")),
            ),
            ShowHost("db3", "10.0.0.3", "slave", "HARD_OFFLINE"),
        ),
        warnings=(unreachable("db3"),),
    )
    assert encode_show(show, 1) == LEGACY_SHOW
    assert decode_show(LEGACY_SHOW) == show


def test_passive_mode_without_a_cause() -> None:
    text = "# --- Monitor is in PASSIVE MODE ---\n# Cause: \n  db1(10.0.0.1) master/ONLINE. Roles: \n"
    show = Show((ShowHost("db1", "10.0.0.1", "master", "ONLINE"),), passive="")
    assert encode_show(show) == text
    assert decode_show(text) == show


SEVERAL_CHECKS = """\
db1      ping         [last change: 2026/11/21 03:07:23]  OK
db1      rep_backlog  [last change: 2010/02/11 12:43:16]  OK: Backlog is null
db2.lan  ping         [last change: 2026/11/21 03:07:23]  ERROR: failed
"""


def test_checks_are_padded_as_in_the_classic() -> None:
    lines = (
        CheckLine("db1", "ping", "2026/11/21 03:07:23", "OK"),
        CheckLine("db1", "rep_backlog", "2010/02/11 12:43:16", "OK: Backlog is null"),
        CheckLine("db2.lan", "ping", "2026/11/21 03:07:23", "ERROR: failed"),
    )
    assert encode_checks(lines) == SEVERAL_CHECKS
    assert decode_checks(SEVERAL_CHECKS) == lines


def test_one_check_everywhere_is_not_padded() -> None:
    lines = [CheckLine(host, "mysql", "2026/11/21 03:07:23", "OK") for host in ("db1", "db2")]
    expected = "".join(f"{host}  mysql  [last change: 2026/11/21 03:07:23]  OK\n" for host in ("db1", "db2"))
    assert encode_checks(lines) == expected


def test_a_single_check_has_no_padding_and_no_line_end() -> None:
    text = "db1  ping  [last change: 2026/11/21 03:07:23]  OK"
    line = CheckLine("db1", "ping", "2026/11/21 03:07:23", "OK")
    assert encode_checks([line]) == text
    assert decode_checks(text) == (line,)


def test_a_message_of_several_lines_stays_one_line() -> None:
    line = CheckLine("db1", "mysql", local_time(0), "ERROR: lost\r\nconnection")
    assert encode_checks([line]).endswith("ERROR: lost connection")


def test_what_no_utf8_can_say_can_be_sent() -> None:
    odd = "no text: \udcff"
    lines = (
        encode_checks([CheckLine("db1", "mysql", local_time(0), odd)]),
        encode_show(Show((), passive=odd, warnings=(odd,))),
    )
    assert all(rb"no text: \udcff" in line.encode() for line in lines)


def test_local_time_has_the_classic_form() -> None:
    assert (
        CheckLine("h", "c", local_time(1e9), "OK")
        == decode_checks(f"h  c  [last change: {local_time(1e9)}]  OK")[0]
    )
    assert len(local_time(1e9)) == len("2001/09/09 01:46:40")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"ping\n", ("ping",)),
        (b"mode  \n", ("mode",)),
        (b"mode\r\n", ("mode",)),
        (b"checks  db1  ping\n", ("checks", "db1", "ping")),
        (b"quit\n", ("quit",)),
        (b"  mode\n", None),
        (b"\n", None),
        (b"", None),
        (b" \r\n", None),
        (b"\xff\xfe\n", None),
    ],
)
def test_command_lines_as_the_classic_takes_them(line: bytes, words: tuple[str, ...] | None) -> None:
    assert decode_command(line) == words


def test_a_command_is_sent_with_quit() -> None:
    assert (
        encode_command(["move_role", "--force", "writer", "db2"]) == b"move_role --force writer db2\nquit\n"
    )


@pytest.mark.parametrize("word", ["show\nset_passive", "a\rb", "a\0b", "x" * 70_000])
def test_a_second_command_cannot_be_smuggled_in(word: str) -> None:
    with pytest.raises(WireError):
        encode_command([word])


def test_an_invalid_command_is_answered_with_the_help() -> None:
    assert invalid_command(b"  mode\r\n") == f"Invalid command '  mode'\n\n{HELP}"
    assert invalid_command(b"\xff" + b"x" * 1_000_000).isprintable() is False
    assert len(invalid_command(b"x" * 1_000_000)) < len(HELP) + 300


@pytest.mark.parametrize("mode", MODES)
def test_modes_are_read_with_and_without_a_line_end(mode: str) -> None:
    assert decode_mode(mode) == decode_mode(f"{mode}\n") == mode


@pytest.mark.parametrize(
    "text",
    ["OK: no", "Invalid command 'show'\n", "  db1(10.0.0.1): master/ONLINE. Roles: reader\n", "# Cause: x\n"],
)
def test_what_is_no_show_is_refused(text: str) -> None:
    with pytest.raises(WireError):
        decode_show(text)


NAME = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,12}", fullmatch=True)
IP = st.ip_addresses().map(str)
SENTENCE = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=60)
VIPS = st.frozensets(st.builds(Vip, NAME, IP), max_size=4).map(lambda vips: tuple(sorted(vips, key=str)))
STATE = st.sampled_from(["ONLINE", "ADMIN_OFFLINE", "HARD_OFFLINE", "AWAITING_RECOVERY"])
HOSTS = st.lists(
    st.builds(ShowHost, NAME, IP, st.sampled_from(["master", "slave"]), STATE, VIPS),
    unique_by=lambda h: h.name,
    max_size=5,
).map(lambda hosts: tuple(sorted(hosts, key=lambda h: h.name)))
CAUSE = st.lists(SENTENCE.filter(lambda line: not line.startswith("Warning: ")), min_size=1, max_size=3).map(
    "\n".join
)
PREFERENCE = st.builds(Preference, NAME, NAME, NAME | st.just(""))


@given(
    st.builds(
        Show,
        HOSTS,
        st.none() | CAUSE,
        st.lists(SENTENCE, max_size=4).map(tuple),
        st.lists(PREFERENCE, max_size=4).map(tuple),
    ),
    st.sampled_from([1, 2]),
)
def test_show_reads_back(show: Show, dialect: int) -> None:
    assert decode_show(encode_show(show, 1 if dialect == 1 else 2)) == show


@given(
    st.lists(
        st.builds(CheckLine, NAME, NAME, st.floats(0, 4e9).map(local_time), SENTENCE), min_size=1, max_size=6
    ).map(tuple)
)
def test_checks_read_back(lines: tuple[CheckLine, ...]) -> None:
    assert decode_checks(encode_checks(lines)) == lines


@given(st.lists(NAME, min_size=1).map(tuple))
def test_commands_read_back(words: tuple[str, ...]) -> None:
    line, end, rest = encode_command(words).partition(b"\n")
    assert decode_command(line + end) == words
    assert decode_command(rest) == ("quit",)


@given(st.text())
def test_garbage_is_refused_with_a_wire_error_only(text: str) -> None:
    for decode in (decode_show, decode_checks, decode_mode):
        with contextlib.suppress(WireError):
            decode(text)


@given(st.binary())
def test_any_bytes_are_a_command_or_none(line: bytes) -> None:
    words = decode_command(line)
    assert words is None or (words and all(words))
