"""The 2.x dialect as sysadmins write it, and what is said of what they get wrong."""

import re
from pathlib import Path

import pytest

from mmm.config import sentences
from mmm.config.load import (
    Cluster,
    ConfError,
    Memory,
    Program,
    check,
    effective,
    read,
)
from mmm.config.shown import HIDDEN
from mmm.config.tree import Fault

COMMON = """\
active_master_role writer
<host default>
    cluster_interface eth0
    pid_path /run/a.pid
    bin_path /usr/lib/mmm
    replication_user repl
    replication_password replpw
    agent_user agent
    agent_password agentpw
    monitor_user mon
    monitor_password monpw
</host>
<host db1>
    ip 10.0.0.1
    mode master
    peer db2
</host>
<host db2>
    ip 10.0.0.2
    mode master
    peer db1
</host>
<host db3>
    ip 10.0.0.3
    mode slave
</host>
<role writer>
    hosts db1, db2
    ips 10.0.0.80
    mode exclusive
</role>
<role reader>
    hosts db1, db2, db3
    ips 10.0.0.90, 10.0.0.91
    mode balanced
</role>
"""
MONITOR = """\
<monitor>
    ip 127.0.0.1
    pid_path /run/m.pid
    bin_path /usr/lib/mmm
    status_path /var/lib/m.status
    ping_ips 10.0.0.254
</monitor>
"""
MON = COMMON + MONITOR


def conf(text: str | bytes, program: Program = "MONITOR", **more: str) -> Cluster:
    files = Memory({"m.conf": text, **{f"{name}.conf": content for name, content in more.items()}})
    return check(
        read(files, "m"), program, "", lambda path: "" if path.startswith("/there") else Fault("not_there")
    )


def errors(text: str | bytes, program: Program = "MONITOR", **more: str) -> tuple[str, ...]:
    with pytest.raises(ConfError) as raised:
        conf(text, program, **more)
    return raised.value.errors


def replaced(old: str, new: str, text: str = MON) -> str:
    assert old in text
    return text.replace(old, new, 1)


def test_a_usual_conf_in_order() -> None:
    cluster = conf(MON)
    assert list(cluster.hosts) == ["db1", "db2", "db3"]
    assert cluster.hosts["db3"].peer is None
    assert cluster.hosts["db2"].cluster_interface == "eth0"
    assert [str(vip) for vip in cluster.vips] == [
        "writer(10.0.0.80)",
        "reader(10.0.0.90)",
        "reader(10.0.0.91)",
    ]
    assert list(cluster.checks) == ["ping", "mysql", "rep_threads", "rep_backlog"]
    assert cluster.monitor is not None
    assert cluster.monitor.ping_ips == ("10.0.0.254",)
    assert cluster.dialect == 2
    assert cluster.warnings == ()


def test_default_is_no_host_and_gives_way_to_own_values_wherever_it_stands() -> None:
    cluster = conf(
        MON + "<host db2>\n mysql_port 3307\n</host>\n<host default>\n mysql_port 3308\n</host>\n"
        "<check default>\n timeout 1\n</check>\n<check mysql>\n timeout .5\n</check>\n",
    )
    assert [host.mysql_port for host in cluster.hosts.values()] == [3308, 3307, 3308]
    assert cluster.checks["ping"].timeout == 1.0
    assert cluster.checks["mysql"].timeout == 0.5


def test_sections_add_up_over_files_and_later_values_win() -> None:
    cluster = conf("include common\n" + MONITOR + "<host db1>\n ip 10.0.0.9\n</host>", common=COMMON)
    assert cluster.hosts["db1"].ip == "10.0.0.9"
    assert cluster.hosts["db1"].mode == "master"
    assert cluster.files == (Path("m.conf"), Path("common.conf"))


@pytest.mark.parametrize(
    ("written", "meant"), [("YES", True), ("1", True), ("on", True), ("False", False), ("0", False)]
)
def test_booleans(written: str, meant: bool) -> None:  # noqa: FBT001
    assert conf(f"{MON}debug {written}\n").debug is meant


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("    ", "\t").replace(" ", "\t"),
        lambda text: text.rstrip("\n"),
        lambda text: text.replace("    ", "\u00a0\u00a0").replace("ips 10", "ips\u00a010"),
        lambda text: text.replace(", ", "\uff0c"),
        lambda text: text.replace("<host db1>", "  <  host   db1  >  ").replace("</role>", "</ role >"),
        lambda text: text.replace("db1, db2\n", "db1,db2,\n"),
        lambda text: "# comment\n\n   # one more\n" + text,
    ],
    ids=[
        "bom",
        "crlf",
        "tabs",
        "no-last-newline",
        "nbsp",
        "full-width-comma",
        "blanks",
        "commas",
        "comments",
    ],
)
def test_other_ways_to_write_the_same(change: object) -> None:
    assert callable(change)
    assert conf(change(MON)) == conf(MON)


def test_bytes_that_are_not_utf8_are_accepted_in_comments_only() -> None:
    assert conf(b"# caf\xe9\n" + MON.encode()) == conf(MON)
    (error,) = errors(MON.encode() + b"default_copy_method caf\xe9\n")
    assert error.startswith("m.conf:44: byte 0xE9 after 23 characters is not UTF-8; ")


def test_host_names_may_have_dots() -> None:
    assert "db3.example.com" in conf(MON.replace("db3", "db3.example.com")).hosts


def test_what_each_program_needs() -> None:
    assert conf("<monitor>\nip 10.0.0.9\n</monitor>\n<host db1/>\n", "CONTROL").hosts["db1"].ip == ""
    assert conf(f"this db1\n{COMMON}", "AGENT").monitor is None
    assert errors(COMMON, "AGENT") == ("m.conf: there is no this; mmm_agentd needs it, add `this HOST`",)
    assert errors(COMMON) == ("m.conf: there is no <monitor>; mmm_mond needs it, add it",)


def test_a_key_that_all_hosts_lack_is_one_error() -> None:
    assert errors(replaced("    monitor_user mon\n", "")) == (
        (
            "m.conf:12: <host db1>, <host db2>, <host db3> have no monitor_user; "
            "add `monitor_user USER` to each of them or to <host default>"
        ),
    )


def test_all_errors_are_said_at_once_in_order() -> None:
    text = replaced("ip 10.0.0.1\n", "ip 10.0.0.256\n")
    text = replaced("mode slave", "mod slave", text)
    text = replaced("peer db1", "peer db7", text)
    assert [error.split(" ")[0] for error in errors(text)] == ["m.conf:14:", "m.conf:21:", "m.conf:25:"]


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        (
            "    mode slave",
            "    mode slave\n    mysqlport 1",
            "m.conf:26: no key is called mysqlport in host; did you mean mysql_port?",
        ),
        (
            "    ips 10.0.0.80",
            "    ip 10.0.0.80",
            "m.conf:29: no key is called ip in role; in this dialect it is ips",
        ),
        (
            "mode exclusive",
            "mode Exclusive",
            "m.conf:30: mode is exclusive or balanced, not `Exclusive`; did you mean exclusive?",
        ),
        ("<host db3>", "<hots db3>", "m.conf:23: no section is called hots; did you mean host?"),
        (
            "<monitor>",
            "<monitor main>",
            "m.conf:37: there is only one monitor section and it has no name; write <monitor>",
        ),
        (
            "active_master_role",
            "activ_master_role",
            (
                "m.conf:1: no key is called activ_master_role outside of sections; "
                "did you mean active_master_role?"
            ),
        ),
        (
            "    ping_ips",
            "    check_period 1\n    ping_ips",
            "m.conf:42: no key is called check_period in monitor; move it to check",
        ),
        ("ip 10.0.0.1\n", "ip = 10.0.0.1\n", "m.conf:14: `=` after ip; write ip 10.0.0.1"),
        (
            "ip 10.0.0.1\n",
            "ip 10.0.0.1/24\n",
            "m.conf:14: ip is an IP address, not `10.0.0.1/24`; write it without prefix length",
        ),
        (
            "ip 10.0.0.1\n",
            "ip 10.0.0.1 # left\n",
            (
                "m.conf:14: ip is an IP address, not `10.0.0.1 # left`; "
                "write four numbers such as 10.0.0.1; comments go on lines of their own"
            ),
        ),
        ("ip 10.0.0.1\n", "ip\n", "m.conf:14: ip has no value; write ip ADDRESS"),
        (
            "ip 10.0.0.1\n",
            "ip 239.0.0.1\n",
            "m.conf:14: 239.0.0.1 cannot be the address of a machine; correct it",
        ),
        (
            "ip 10.0.0.2",
            "ip 10.0.0.91",
            "m.conf:34: 10.0.0.91 of role reader is also an address of host db2; give each its own",
        ),
        ("peer db2", "peer db1", "m.conf:16: host db1 is its own peer; name the other master"),
        ("peer db2", "peer db22", "m.conf:16: peer: no host is called db22; did you mean db2?"),
        (
            "ips 10.0.0.80",
            "ips 10.0.0.80, 10.0.0.81",
            "m.conf:29: exclusive role writer has 2 IPs; leave one, or make it balanced",
        ),
        (
            "mode exclusive",
            "mode balanced",
            "m.conf:30: the active master role writer is balanced; make it exclusive",
        ),
        (
            "mode exclusive",
            "mode exclusive\n    prefer db3",
            "m.conf:31: prefer db3: not among the hosts of role writer; add it there",
        ),
        (
            "hosts db1, db2\n",
            "hosts db1,, db2\n",
            "m.conf:28: hosts has an empty entry in `db1,, db2`; delete the extra comma",
        ),
        ("hosts db1, db2\n", "hosts db1, db1\n", "m.conf:28: db1 is listed twice; delete one of them"),
        (
            "role writer\n",
            "role wrter\n",
            "m.conf:1: active_master_role: no role is called wrter; did you mean writer?",
        ),
        (
            "</monitor>",
            "    port 65536\n</monitor>",
            "m.conf:43: port is a port from 1 to 65535, not `65536`; correct it",
        ),
        (
            "</monitor>",
            "    ping_interval 0\n</monitor>",
            ("m.conf:43: ping_interval is a number of seconds from 0.01 to 1000000000, not `0`; correct it"),
        ),
        (
            "</monitor>",
            "    flap_count 2.5\n</monitor>",
            "m.conf:43: flap_count is a whole number from 0 to 1000000000, not `2.5`; correct it",
        ),
        ("<monitor>", "<check pin/>\n<monitor>", "m.conf:37: no check is called pin; did you mean ping?"),
        (
            "<monitor>",
            "<host a|b/>\n<monitor>",
            "m.conf:37: `a|b` cannot be a name; use letters, digits, `_`, `-` and `.`",
        ),
        (
            "<monitor>",
            "<host all>\nip 10.0.0.7\nmode slave\n</host>\n<monitor>",
            "m.conf:37: no host can be called all, which is every host in commands; name it otherwise",
        ),
        (
            "<monitor>",
            "monitor x\n<monitor>",
            ("m.conf:37: monitor is a section, not a key; write <monitor> and close it with </monitor>"),
        ),
        (
            "<monitor>",
            "<debug>\n</debug>\n<monitor>",
            "m.conf:37: debug is a key, not a section; write debug yes|no",
        ),
        (
            "    ping_ips",
            "    p\u200bing_ips",
            "m.conf:42: invisible character U+200B after 1 characters; delete it",
        ),
    ],
)
def test_errors_name_the_line_and_what_to_do(old: str, new: str, error: str) -> None:
    assert error in errors(replaced(old, new))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("</monitor>", "</monitor>\n</monitor>", "m.conf:44: </monitor> closes nothing; delete it"),
        ("</monitor>", "", "m.conf:37: <monitor> is never closed; add </monitor>"),
        (
            "<role writer>",
            "<role writer> # the one",
            "m.conf:27: text after the tag; move '# the one' to a separate line",
        ),
        (
            "    mode slave\n</host>",
            "    mode slave\n</role>",
            "m.conf:26: </role> closes <host db3> of line 23; write </host>",
        ),
        (
            "    mode slave\n</host>\n",
            "    mode slave\n",
            "m.conf:26: <role writer> inside <host db3> of line 23; close that with </host> first",
        ),
        (
            "    ping_ips",
            "    include x\n    ping_ips",
            "m.conf:42: include inside <monitor> of line 37; move it outside of the section",
        ),
        (
            "<monitor>",
            "</>\n<monitor>",
            "m.conf:37: </> is not a tag; write <TYPE>, <TYPE NAME>, </TYPE> or <TYPE NAME/>",
        ),
    ],
)
def test_one_wrong_tag_is_one_error(old: str, new: str, expected: str) -> None:
    assert errors(replaced(old, new), x="") == (expected,)


def test_a_section_ends_in_its_file() -> None:
    expected = ("x.conf:1: <monitor> is never closed; add </monitor>",)
    assert errors(f"include x\n{MON}", x="<monitor>\nport 5\n") == expected


def test_tls_needs_files_that_are_there() -> None:
    tls = "<socket>\ntype ssl\ncert_file /there/cert\nkey_file {}/key\n{}</socket>\n"
    assert conf(MON + tls.format("/there", "ca_file /there/ca\n")).socket.ca_file == "/there/ca"
    assert errors(MON + tls.format("/gone", "")) == (
        "m.conf:44: <socket> with type ssl has no ca_file; add `ca_file FILE` to it",
        "m.conf:47: key_file /gone/key is not a file; correct the path or put the file there",
    )


def test_tls_to_the_servers_needs_what_its_mode_needs() -> None:
    template = "<host default>\n{}</host>\n"
    text = MON + template.format("mysql_ssl_mode verify_identity\nmysql_ssl_ca /there/ca\n")
    assert {host.mysql_ssl_ca for host in conf(text).hosts.values()} == {"/there/ca"}
    assert {host.mysql_ssl_mode for host in conf(text).hosts.values()} == {"verify_identity"}
    line, modes = MON.count("\n") + 2, "disabled, required, verify_ca or verify_identity"
    for written, expected in (
        ("mysql_ssl_mode VERIFY_CA\n",
         f"m.conf:{line}: mysql_ssl_mode is {modes}, not `VERIFY_CA`; did you mean verify_ca?"),
        ("mysql_ssl_mode required\nmysql_ssl_ca /there/ca\n",
         f"m.conf:{line + 1}: mysql_ssl_ca has no effect with mysql_ssl_mode required; write verify_ca, or delete it"),
        ("mysql_ssl_mode verify_ca\nmysql_ssl_ca /gone/ca\n",
         f"m.conf:{line + 1}: mysql_ssl_ca /gone/ca is not a file; correct the path or put the file there"),
    ):  # fmt: skip
        assert errors(MON + template.format(written)) == (expected,)
    one_host = "<host db1>\n{}</host>\n"
    for written, expected in (
        ("mysql_ssl_mode verify_ca\n",
         f"m.conf:{line}: host db1 has no mysql_ssl_ca; mysql_ssl_mode verify_ca needs it, add `mysql_ssl_ca FILE`"),
        ("mysql_ssl_cert /there/cert\n",
         f"m.conf:{line}: host db1 has no mysql_ssl_key; add `mysql_ssl_key FILE`"),
    ):  # fmt: skip
        assert errors(MON + one_host.format(written)) == (expected,)


def test_what_is_wrong_has_a_code_and_what_its_sentence_names() -> None:
    with pytest.raises(ConfError) as raised:
        conf(replaced("hosts db1, db2\n", "hosts db1, db9\n"))
    (problem,) = raised.value.problems
    assert (problem.file, problem.fault.code) == ("m.conf", "no_such_reference")
    about = {
        "key": "hosts",
        "kind": "host",
        "name": "db9",
        "todo": Fault("add_or_correct", {"tag": "<host db9>"}),
    }
    assert problem.fault.fields == about
    (warning,) = conf(replaced("mode balanced", "mode balanced\n    prefer db1")).warnings
    assert warning.fault == Fault("prefer_unused", {"name": "reader"})


def test_every_code_has_a_sentence_and_every_sentence_a_code() -> None:
    """Codes are written out where they are made, and a sentence that nobody can say any more goes with its code."""
    table = Path(sentences.__file__)
    sources = [path.read_text("utf-8") for path in table.parents[1].rglob("*.py") if path != table]
    assert sentences.SENTENCES.keys() <= {word for text in sources for word in re.findall(r'"(\w+)"', text)}
    made = re.compile(r'\b(?:UnfitError|only|wrong|Fault)\("(\w+)"')
    conf_only = [path.read_text("utf-8") for path in table.parent.glob("*.py")]
    assert {code for text in conf_only for code in made.findall(text)} <= sentences.SENTENCES.keys()


def test_what_is_worth_a_look_is_a_warning() -> None:
    text = replaced("mode balanced", "mode balanced\n    prefer db1")
    text = replaced("pid_path /run/m.pid", "pid_path m.pid", text)
    assert tuple(map(str, conf(text).warnings)) == (
        "m.conf:36: prefer has no effect in the balanced role reader",
        "m.conf:40: pid_path m.pid does not begin with /",
    )


def test_print_conf_loads_again_and_hides_passwords() -> None:
    text = MON + "<copy_method x>\nbackup_command a b\nrestore_command c\n</copy_method>\n"
    cluster = conf(text)
    shown = effective(cluster)
    assert "pw" not in shown
    hidden = conf(text.replace("monpw", HIDDEN).replace("replpw", HIDDEN).replace("agentpw", HIDDEN))
    assert conf(shown) == hidden


@pytest.mark.parametrize(
    ("settings", "warned"),
    [
        ("smtp_host mail.example.com\nsmtp_user u\nsmtp_password p", True),
        ("smtp_host mail.example.com\nsmtp_user u\nsmtp_password p\nsmtp_tls starttls", False),
        ("smtp_host mail.example.com", False),
        ("smtp_user u\nsmtp_password p", False),
    ],
)
def test_a_password_that_would_be_sent_in_the_clear_is_warned_of(settings: str, *, warned: bool) -> None:
    told = conf(MON + f"<notify night>\nmail_to a@example.com\n{settings}\n</notify>\n")
    assert ["write smtp_tls starttls" in str(each) for each in told.warnings if "smtp" in str(each)] == [
        True
    ] * warned


def test_a_notify_section_has_one_receiver() -> None:
    told = conf(
        MON
        + "<notify night>\nwebhook https://chat.example.com/x\nevents moved, state.*\nafter 30\n</notify>\n"
    )
    (night,) = told.notify.values()
    assert (night.webhook, night.events, night.after) == (
        "https://chat.example.com/x",
        ("moved", "state.*"),
        30.0,
    )
    assert "chat.example.com" not in effective(told), "a webhook is a password"
    wrong = "<notify both>\ncommand /bin/true\nmail_to a@b\n</notify>\n<notify none>\n</notify>\n"
    assert errors(MON + wrong) == (
        "m.conf:44: <notify both> has command and mail_to; write one section for each",
        "m.conf:48: <notify none> says nowhere who is told; add `command`, `mail_to` or `webhook`",
    )
    assert errors(MON + "<notify run>\ncommand /bin/mail -s 'no end\n</notify>\n") == (
        "m.conf:45: command has a quote that does not end, or nothing in it; write a program with its arguments",
    )
    assert errors(MON + "<notify chat>\nwebhook ftp://there\n</notify>\n") == (
        "m.conf:45: webhook is no URL; write such as https://chat.example.com/hooks/mmm",
    )
