"""Files of MMM 1.x load unchanged, also when a copy has lost their indentation."""

import dataclasses
import textwrap
from pathlib import Path

import pytest

from mmm.config.load import (
    Cluster,
    ConfError,
    Memory,
    Program,
    check,
    read,
)
from mmm.config.model import LogFile

MON = """\
# Master-Master Manager config (monitor)
debug no

pid_path /usr/local/mmm/var/mmmd.pid
status_path /usr/local/mmm/var/mmmd.status
bin_path /usr/local/mmm/bin

log mydebug
    file /usr/local/mmm/var/mmm-debug.log
    level debug

log mytraps
    file /usr/local/mmm/var/mmm-traps.log
    level trap
    email root@localhost

email notify
    from_address mmm@example.com
    from_name MMM Control

bind_port 9998
agent_port 9999
monitor_ip 127.0.0.1
cluster_interface eth0

host db1
    ip 192.168.1.111
    port 3307
    user rep_monitor
    password RepMonitor
    mode master
    peer db2

host db2
    ip 192.168.1.112
    user rep_monitor
    password RepMonitor
    mode master
    peer db1

active_master_role writer

role reader
    mode balanced
    servers db1, db2
    ip 192.168.1.201, 192.168.1.202

role writer
    mode exclusive
    servers db1, db2
    ip 192.168.1.200

replication_user slave
replication_password slavepw

check ping
    bin_path /usr/local/mmm/bin/check/checker
    check_period 1
    trap_period 5

failover_method wait
wait_for_other_master 60
admin_email root@localhost
"""
AGENT = """\
this db1
mode master
peer db2
bind_port 9990
cluster_interface eth0
host db1
    ip 192.168.1.111
    user rep_agent
    password RepAgent
host db2
    ip 192.168.1.112
    user rep_agent
    password RepAgent
role writer
    mode exclusive
    servers db1, db2
    ip 192.168.1.200
"""


def conf(text: str, program: Program = "MONITOR", cluster: str = "", **more: str) -> Cluster:
    files = Memory({"m.conf": text, **{f"{name}.conf": content for name, content in more.items()}})
    return check(read(files, "m"), program, cluster, lambda _: "")


def errors(text: str, program: Program = "MONITOR", **more: str) -> tuple[str, ...]:
    with pytest.raises(ConfError) as raised:
        conf(text, program, **more)
    return raised.value.errors


def test_monitor() -> None:
    cluster = conf(MON)
    monitor = cluster.monitor
    assert cluster.dialect == 1
    assert monitor is not None
    assert (monitor.ip, monitor.port, monitor.mode, monitor.wait_for_other_master) == (
        "127.0.0.1",
        9998,
        "wait",
        60.0,
    )
    assert (monitor.bin_path, monitor.status_path) == ("/usr/local/mmm/bin", "/usr/local/mmm/var/mmmd.status")
    assert list(cluster.hosts) == ["db1", "db2"]
    db1 = cluster.hosts["db1"]
    assert (db1.mysql_port, db1.agent_port, db1.cluster_interface) == (3307, 9999, "eth0")
    assert (db1.monitor_user, db1.monitor_password, db1.agent_user) == ("rep_monitor", "RepMonitor", "")
    assert (db1.replication_user, db1.replication_password) == ("slave", "slavepw")
    assert cluster.roles["reader"].hosts == ("db1", "db2")
    assert cluster.roles["writer"].ips == ("192.168.1.200",)
    assert cluster.checks["ping"].trap_period == 5.0
    assert cluster.checks["mysql"].trap_period == 10.0
    assert cluster.logs == (
        LogFile("mydebug", "/usr/local/mmm/var/mmm-debug.log", "DEBUG"),
        LogFile("mytraps", "/usr/local/mmm/var/mmm-traps.log", "WARN"),
    )
    assert tuple(map(str, cluster.warnings)) == (
        "no ping_ips: the network check is off, the monitor's own network counts as always up",
    )


def test_agent() -> None:
    cluster = conf(AGENT, "AGENT", "C1")
    db1, db2 = cluster.hosts.values()
    assert (cluster.this, cluster.active_master_role) == ("db1", "writer")
    assert (db1.mode, db1.peer, db1.agent_port, db1.agent_user) == ("master", "db2", 9990, "rep_agent")
    assert (db2.mode, db2.peer, db2.agent_port) == ("master", "db1", 9989)
    assert db1.pid_path == "/var/run/mmm_agentd_C1.pid"
    assert db1.monitor_user == ""
    assert cluster.monitor is None


def test_control_reads_the_monitors_file() -> None:
    cluster = conf(MON, "CONTROL")
    assert cluster.monitor is not None
    assert cluster.monitor.port == 9998


@pytest.mark.parametrize("text", [MON, AGENT])
def test_lost_indentation(text: str) -> None:
    program: Program = "AGENT" if text is AGENT else "MONITOR"
    pasted = "\n".join(line.strip() for line in text.splitlines())
    assert conf(pasted, program) == conf(text, program)
    spread = "\n\n".join(line.strip() for line in text.splitlines())
    assert conf(spread, program) == conf(text, program)


def test_without_indentation_what_is_global_alone_is_not_of_the_block_above() -> None:
    moved = (
        "cluster_interface eth0",
        "replication_user slave",
        "replication_password slavepw",
        "bin_path /b",
    )
    text = "\n".join(line.strip() for line in AGENT.splitlines() if line.strip() not in moved)
    hosts = conf("\n".join((text, "host db2", "port 3308", *moved)), "AGENT").hosts
    assert [
        (
            host.cluster_interface,
            host.replication_user,
            host.replication_password,
            host.bin_path,
            host.mysql_port,
        )
        for host in hosts.values()
    ] == [("eth0", "slave", "slavepw", "/b", 3306), ("eth0", "slave", "slavepw", "/b", 3308)]


def test_global_keys_behind_an_indented_block_are_not_its_own() -> None:
    text = MON.replace("agent_port 9999\n", "").replace(
        "active_master_role", "agent_port 9997\nactive_master_role"
    )
    assert {host.agent_port for host in conf(text).hosts.values()} == {9997}


def test_ways_to_write_the_same() -> None:
    assert conf("\ufeff" + MON.replace("\n", "\r\n").rstrip()) == conf(MON)
    assert conf(MON.replace("    ", "\t").replace(", ", "\uff0c")) == conf(MON)


def test_included_files_go_on_in_the_block_that_is_open() -> None:
    text = MON.replace("    peer db1\n", "include peer\n")
    included = dataclasses.replace(conf(text, peer="    peer db1\n"), files=(Path("m.conf"),))
    assert included == conf(MON)


def test_dialect_is_seen_in_the_included_file() -> None:
    assert conf("debug 1\ninclude common\n", common=MON).dialect == 1
    assert conf("this db1\ninclude common\n", "AGENT", common=AGENT.removeprefix("this db1\n")).dialect == 1


def test_dialects_do_not_mix() -> None:
    text = "<monitor>\n ip 127.0.0.1\n</monitor>\ninclude common\n"
    assert errors(text, "CONTROL", common=MON) == (
        "common.conf:8: written in the 1.x dialect, but m.conf:1 in the 2.x dialect; use one",
    )


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        (
            "    servers db1, db2\n",
            "    server db1, db2\n",
            "m.conf:45: no key is called server in role; did you mean servers?",
        ),
        ("host db2\n", "hots db2\n", "m.conf:34: no section is called hots; did you mean host?"),
        ("port 3307", "port 330x", "m.conf:28: port is a port from 1 to 65535, not `330x`; correct it"),
        ("method wait", "method auto1", "m.conf:61: failover_method is not `auto1`; did you mean auto?"),
        (
            "bind_port",
            "bnd_port",
            "m.conf:21: no key is called bnd_port outside of sections; did you mean bind_port?",
        ),
        ("peer db2", "peer db1", "m.conf:32: host db1 is its own peer; name the other master"),
        (
            "    mode exclusive\n",
            "",
            "m.conf:48: role writer has no mode; add `mode exclusive|balanced` to it",
        ),
        (
            "cluster_interface eth0",
            "cluster_interface",
            "m.conf:24: cluster_interface has no value; write cluster_interface WORD",
        ),
        ("include", "include", "m.conf:64: include nothere: there is no file nothere; add it"),
        (
            "host db1\n",
            "host all\n",
            "m.conf:26: no host can be called all, which is every host in commands; name it otherwise",
        ),
        ("host db1\n", "host\n", "m.conf:26: host needs a name; write host NAME"),
    ],
)
def test_errors_speak_of_what_is_written(old: str, new: str, error: str) -> None:
    text = (MON + "include nothere\n") if old == "include" else MON.replace(old, new, 1)
    assert error in errors(text)


def test_what_is_missing_is_said_in_the_words_of_the_dialect() -> None:
    text = textwrap.dedent(MON).replace("    user rep_monitor\n", "")
    assert errors(text) == ("m.conf:26: host db1, host db2 have no user; add `user USER` to each of them",)
    assert errors(AGENT.replace("cluster_interface eth0\n", ""), "AGENT") == (
        (
            "m.conf:5: host db1, host db2 have no cluster_interface; "
            "add the line `cluster_interface WORD` outside of blocks"
        ),
    )


def test_the_address_of_a_log_gets_mails_from_the_sender_of_the_email_block() -> None:
    (notify,) = conf(MON).notify.values()
    assert (notify.mail_to, notify.mail_from) == (("root@localhost",), "MMM Control <mmm@example.com>")
    assert (notify.events, notify.smtp_host, notify.smtp_port) == (("*",), "localhost", 25)
    (grave,) = conf(MON.replace("level trap", "level error")).notify.values()
    assert "moved" not in grave.events
    assert not conf(AGENT, "AGENT").notify
