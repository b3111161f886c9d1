"""Conf files of what cannot be meant: notes, addresses of no use, names, and messages that name the cause."""

import pytest

from mmm.config.load import (
    Cluster,
    ConfError,
    Memory,
    Program,
    check,
    read,
)
from tests.unit.test_config_dialect2 import COMMON, MONITOR

NAMES = {
    "gw1": ("10.0.0.254",),
    "db1.lan": ("10.0.0.1",),
    "two": ("10.0.0.7", "10.0.0.8"),
    "self": ("127.0.1.1",),
}
MON = COMMON + MONITOR


def conf(text: str, program: Program = "MONITOR") -> Cluster:
    return check(
        read(Memory({"m.conf": text}), "m.conf"), program, "", lambda _: "", lambda name: NAMES.get(name, ())
    )


def errors(text: str, program: Program = "MONITOR") -> str:
    with pytest.raises(ConfError) as raised:
        conf(text, program)
    return "\n".join(raised.value.errors)


def replaced(old: str, new: str, text: str = MON) -> str:
    assert old in text
    return text.replace(old, new, 1)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("agent_user agent", "agent_user agent  # the agent's account", "write agent_user agent; comments"),
        ("monitor_user mon", "monitor_user mon (of the monitor)", "write monitor_user mon; comments"),
        ("replication_user repl", "replication_user repl ## both", "write replication_user repl; comments"),
        ("pid_path /run/a.pid", "pid_path /run/a.pid # of the agent", "write pid_path /run/a.pid; comments"),
        (
            "status_path /var/lib/m.status",
            "status_path /var/lib/m.status // states",
            "write status_path /var",
        ),
        (
            "active_master_role writer",
            "active_master_role writer\nkeep_users app, b # x",
            "write keep_users b",
        ),
    ],
)
def test_a_note_behind_a_user_or_a_path_is_no_part_of_it(old: str, new: str, said: str) -> None:
    text = errors(replaced(old, new))
    assert said in text
    assert "has the note" in text


def test_a_note_behind_a_password_or_a_command_is_warned_of_and_not_shown_of_a_password() -> None:
    cluster = conf(replaced("monitor_password monpw", "monitor_password monpw # old one"))
    assert cluster.hosts["db1"].monitor_password == "monpw # old one"
    (warning,) = cluster.warnings
    assert "monitor_password has a ` #`" in str(warning)
    assert "old one" not in str(warning)
    assert conf(replaced("monitor_password monpw", "monitor_password mon#pw")).warnings == ()


@pytest.mark.parametrize(
    ("ips", "said"),
    [
        ("127.0.0.1", "127.0.0.1 of ping_ips is an address of the machine itself"),
        ("10.0.0.254, 10.0.0.9", "10.0.0.9, the monitor's own address"),
        ("10.0.0.80", "10.0.0.80, a virtual IP of role writer"),
    ],
)
def test_ping_ips_that_prove_nothing_are_refused(ips: str, said: str) -> None:
    text = replaced("ip 127.0.0.1", "ip 10.0.0.9", replaced("ping_ips 10.0.0.254", f"ping_ips {ips}"))
    assert said in errors(text)
    assert conf(text, "CONTROL").monitor, "mmm_control works with it"


def test_a_host_among_ping_ips_is_warned_of() -> None:
    (warning,) = conf(replaced("ping_ips 10.0.0.254", "ping_ips 10.0.0.254, 10.0.0.2")).warnings
    assert "ping_ips has 10.0.0.2, which is host db2" in str(warning)


def test_loopback_addresses_among_those_of_a_network_are_refused() -> None:
    assert "127.0.0.1 of host db3" in errors(replaced("ip 10.0.0.3", "ip 127.0.0.1"))
    assert "127.0.0.5 of role writer" in errors(replaced("ips 10.0.0.80", "ips 127.0.0.5"))


def test_a_cluster_that_is_all_on_one_machine_may_be_tried() -> None:
    text = MON
    for number in (1, 2, 3):
        text = replaced(f"ip 10.0.0.{number}\n", f"ip 127.0.0.{number}\n", text)
    assert conf(replaced("ping_ips 10.0.0.254", "ping_ips 127.0.0.1", text)).hosts["db1"].ip == "127.0.0.1"


def test_a_name_for_an_address_is_looked_up_once_and_warned_of() -> None:
    text = replaced("ip 10.0.0.1", "ip db1.lan", replaced("ping_ips 10.0.0.254", "ping_ips gw1, 10.0.0.253"))
    cluster = conf(text)
    assert cluster.monitor
    assert (cluster.hosts["db1"].ip, cluster.monitor.ping_ips) == ("10.0.0.1", ("10.0.0.254", "10.0.0.253"))
    assert sorted(str(warning).partition(": ")[2][:22] for warning in cluster.warnings) == [
        "ip db1.lan is a name: ",
        "ping_ips gw1 is a name",
    ]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere", "a name that this system does not know"),
        ("two", "a name of 2 addresses; write one: 10.0.0.7 or 10.0.0.8"),
        ("self", "knows as 127.0.1.1, its own loopback"),
    ],
)
def test_a_name_that_is_not_one_address_is_refused(name: str, said: str) -> None:
    assert said in errors(replaced("ip 10.0.0.1", f"ip {name}"))


def test_mmm_control_looks_up_no_hosts() -> None:
    text = replaced("ip 10.0.0.1", "ip nowhere")
    assert conf(text, "CONTROL").monitor
    assert conf(replaced("    ip 127.0.0.1", "    ip db1.lan", text), "CONTROL").monitor


def test_parent_role_of_1x_is_accepted_and_in_2x_explained() -> None:
    old = """\
active_master_role writer
monitor_ip 127.0.0.1
host db1
    ip 10.0.0.1
    mode master
    peer db2
    user m
    password p
host db2
    ip 10.0.0.2
    mode master
    peer db1
    user m
    password p
role writer
    mode exclusive
    servers db1, db2
    ip 10.0.0.80
role reader
    parent_role writer
    mode balanced
    servers db1, db2
    ip 10.0.0.81
ping_ips 10.0.0.254
"""
    cluster = conf(old)
    assert cluster.dialect == 1
    assert [warning for warning in cluster.warnings if "parent_role has no effect" in str(warning)]
    assert "no key is called parent_role: a role does not follow" in errors(
        replaced("mode balanced", "mode balanced\n    parent_role writer")
    )


@pytest.mark.parametrize("name", ["Default", "defult", "DEFAULT"])
def test_a_misspelt_default_is_one_error_that_names_it(name: str) -> None:
    text = errors(replaced("<host default>", f"<host {name}>"))
    assert (
        text
        == f"m.conf:2: no host is called {name}; write <host default>, in small letters, for what holds for all of them"
    )


def test_a_host_whose_name_is_like_default_is_a_host() -> None:
    text = MON + "<host default1>\n    ip 10.0.0.9\n    mode slave\n</host>\n"
    assert "default1" in conf(text).hosts


def test_lists_without_commas_are_told_of_commas() -> None:
    assert "hosts is a list, not `db1 db2`; separate by commas: db1, db2" in errors(
        replaced("hosts db1, db2\n", "hosts db1 db2\n")
    )
    assert "separate by commas: 10.0.0.90, 10.0.0.91" in errors(
        replaced("ips 10.0.0.90, 10.0.0.91", "ips 10.0.0.90; 10.0.0.91")
    )


def test_a_file_whose_tags_are_gone_is_told_so_once() -> None:
    bare = "\n".join(line for line in MON.splitlines() if not line.startswith("<"))
    text = errors(bare)
    assert text.count("no section is opened anywhere in this file") == 1
    assert "did you mean" not in text


def test_named_connections_are_said_not_to_be_supported() -> None:
    text = errors(replaced("ip 10.0.0.1", "ip 10.0.0.1\n    replication_channel x"))
    assert "named connections are not supported" in text


def test_a_slave_among_the_writers_hosts_is_warned_of() -> None:
    (warning,) = conf(replaced("hosts db1, db2\n", "hosts db1, db3\n")).warnings
    assert "db3 is among the hosts of writer, but its mode is slave" in str(warning)


def test_the_commands_that_keep_clients_out_have_the_port_of_this_host() -> None:
    port = replaced("    mode master", "    mysql_port 3307\n    mode master", COMMON)
    cluster = conf(f"this db1\n{port}", "AGENT")
    assert "--dport 3307 " in cluster.iptables_block_cmd
    assert "--dport 3307 " in cluster.iptables_unblock_cmd
    assert "--dport 3306 " in conf(f"this db2\n{port}", "AGENT").iptables_block_cmd
    written = "iptables_block_cmd iptables -A INPUT -p tcp --dport {} -j REJECT\n"
    (warning,) = conf(f"this db1\n{written.format('3306')}{port}", "AGENT").warnings
    assert "iptables_block_cmd has port 3306, but mysql_port is 3307" in str(warning)
    for ports in ("3307", "3000:3400", "80,3307"):
        assert conf(f"this db1\n{written.format(ports)}{port}", "AGENT").warnings == ()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "ip 10.0.0.1\n",
            "ip 10.0.0.1:3306\n",
            "ip is an IP address, not `10.0.0.1:3306`; write it without port",
        ),
        ("ip 10.0.0.1\n", "ip 010.0.0.01\n", "not `010.0.0.01`; write it without leading zeros: 10.0.0.1"),
        ("mode slave", "mode slvae", "mode is master, slave or witness, not `slvae`; did you mean slave?"),
        ("agent_user agent\n", "agent_user\n", "agent_user has no value; write agent_user USER"),
        ("<host db1>", "<host db 1>", "`db 1` cannot be a name"),
        ("<host db1>", "<host>", "host needs a name"),
        ("active_master_role writer", "Include x\nactive_master_role writer", "did you mean include?"),
        ("active_master_role writer", 'include "x.conf"\nactive_master_role writer', "write include x.conf"),
    ],
)
def test_one_mistake_is_one_line_that_says_what_to_write(old: str, new: str, said: str) -> None:
    text = errors(replaced(old, new))
    assert said in text
    assert "\n" not in text


def test_where_an_include_is_misspelt_what_it_would_bring_is_not_missed() -> None:
    text = errors("Include mmm_common.conf\n" + MONITOR)
    assert text.endswith("m.conf:1: no key is called Include outside of sections; did you mean include?")
    assert "\n" not in text


def test_a_file_of_an_old_mac_is_not_one_long_comment() -> None:
    text = errors(f"# all\n{MON}".replace("\n", "\r"))
    assert text == "m.conf:1: its lines end with CR alone, as on old Macs; save it with Unix line endings"


def test_a_section_that_was_copied_and_not_renamed_is_warned_of() -> None:
    text = replaced("<host db3>", "<host db2>\n    ip 10.0.0.2\n</host>\n<host db3>")
    assert not conf(text).warnings, "the same again is no mistake"
    text += "<host db3>\n    ip 10.0.0.4\n    mode slave\n</host>\n"
    (warning,) = conf(text).warnings
    at = text.splitlines().index("    ip 10.0.0.4") + 1
    first = text.splitlines().index("    ip 10.0.0.3") + 1
    assert str(warning).startswith(
        f"m.conf:{at}: ip of <host db3> is written in line {first} too, with another value"
    )
    assert conf(text).hosts["db3"].ip == "10.0.0.4", "as ever, the later one counts"


def test_a_password_that_is_written_twice_is_warned_of_and_not_shown() -> None:
    (warning,) = conf(
        replaced("monitor_password monpw", "monitor_password secret\n    monitor_password monpw")
    ).warnings
    assert "monitor_password of <host default> is written in line" in str(warning)
    assert "secret" not in str(warning)
    assert "monpw" not in str(warning)


@pytest.mark.parametrize("value", ['"monpw"', "'monpw'"])
def test_quotes_around_a_password_are_warned_of(value: str) -> None:
    found = conf(replaced("monitor_password monpw", f"monitor_password {value}"))
    (warning,) = found.warnings
    assert "monitor_password has quotes around its value, which are part of it" in str(warning)
    assert "monpw" not in str(warning)
    assert found.hosts["db1"].monitor_password == value


def test_what_always_loaded_loads() -> None:
    """A comment with a CR in a file of LF, and an account that is not used."""
    found = conf(replaced("agent_user agent\n", "agent_user agent\n# a\rb\n tools_user\n"))
    assert found.hosts["db1"].tools_user == ""


SAME_PORT = "host db1 has 3306 as agent_port and as mysql_port; write another one, such as 9989"


def test_a_port_that_two_listen_at_is_an_error_on_that_host_and_a_warning_on_others() -> None:
    text = replaced("<host db1>\n", "<host db1>\n agent_port 3306\n", COMMON)
    assert errors(f"this db1\n{text}", "AGENT").endswith(SAME_PORT)
    for other in (conf(f"this db2\n{text}", "AGENT"), conf(f"{text}{MONITOR}")):
        assert [said.fault.code for said in other.warnings] == ["agent_port_taken"]
