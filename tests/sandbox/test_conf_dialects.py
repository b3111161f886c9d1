"""Whole clusters from conf files of both dialects as people have them: other names, ports, roles, paths, line ends."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.restore import restore
from mmm.sandbox.trouble.faults import heal, inject
from mmm.sandbox.up import down, up
from mmm.sandbox.witness.health import settle
from mmm.sandbox.witness.probe_run import Probe
from tests.clusters import BY_ITSELF, LIMIT

pytestmark = pytest.mark.sandbox

# As pasted from a web page: no indentation is left.
COMMON_1X = """\
cluster_interface bond0
agent_port 9989
monitor_ip 192.168.3.11
replication_user repl
replication_password Repl-Pass
host mysql-one
ip 192.168.3.40
port 3307
mode master
peer mysql-two
host mysql-two
ip 192.168.3.41
port 3307
mode master
peer mysql-one
role writer
mode exclusive
servers mysql-one, mysql-two
ip 192.168.3.105
role reader
mode balanced
servers mysql-one, mysql-two
ip 192.168.3.106, 192.168.3.107, 192.168.3.108, 192.168.3.109
active_master_role writer
"""
HOSTS_1X = "".join(
    f"host {name}\n    user {{user}}\n    password {{user}}-pass\n" for name in ("mysql-one", "mysql-two")
)
MON_1X = f"""\
include mmm_common.conf
debug no
bind_port 9978
pid_path /usr/local/mmm/var/mmmd.pid
status_path /usr/local/mmm/var/mmmd.status
bin_path /usr/local/mmm/bin
failover_method wait
wait_for_other_master 60
log mydebug
    file /usr/local/mmm/var/mmm-debug.log
    level debug
log mytraps
    file /usr/local/mmm/var/mmm-traps.log
    level trap
    email root@localhost
email notify
    from_address mmm@example.com
check ping
    check_period 1
    trap_period 1
check mysql
    check_period 1
    trap_period 1
    timeout 1
{HOSTS_1X.format(user="watcher")}"""
AGENT_1X = f"""\
include mmm_common.conf
this mysql-one
mode master
peer mysql-two
pid_path /usr/local/mmm/var/mmmd_agent.pid
bin_path /usr/local/mmm/bin
{HOSTS_1X.format(user="mover")}"""

COMMON_2X = """\
active_master_role\tschreiber

<host default>
\tcluster_interface\tens192
\tpid_path\t\t/var/run/mysql-mmm-agent.pid
\tbin_path\t\t/usr/lib/mysql-mmm/
\tagent_port\t\t9999
\tmysql_port\t\t3310
\treplication_user\treplikation
\treplication_password\tpass word, with # and = in it
\tagent_user\t\tagent
\tagent_password\t\tä-ö-ü
</host>
<host db.nord.example.org>
\tip\t172.16.4.21
\tmode\tmaster
\tpeer\tdb.sued.example.org
</host>
<host db.sued.example.org>
\tip\t172.16.9.22
\tmode\tmaster
\tpeer\tdb.nord.example.org
</host>
<host leser-1>
\tip\t172.16.9.23
\tmode\tslave
</host>
<role schreiber>
\thosts\tdb.sued.example.org,db.nord.example.org
\tips\t172.16.4.200
\tmode\texclusive
\tprefer\tdb.sued.example.org
</role>
<role leser>
\thosts\tdb.nord.example.org, db.sued.example.org, leser-1
\tips\t172.16.4.201, 172.16.4.202
\tmode\tbalanced
</role>
<role leser>
\tips\t172.16.4.201, 172.16.4.202, 172.16.4.203
</role>"""
MON_2X = """\
include mmm_common.conf
<monitor>
    ip              127.0.0.1
    port            9998
    pid_path        /var/run/mysql-mmm-monitor.pid
    bin_path        /usr/lib/mysql-mmm/
    status_path     /var/lib/misc/mmm.status
    ping_ips        172.16.4.1, 172.16.4.21
    auto_set_online 1
    failover_block  0
</monitor>
<host default>
    monitor_user        monitor
    monitor_password    geheim
</host>
<check default>
    check_period    0.5
    trap_period     0.5
    timeout         1
</check>
debug No
"""
AGENT_2X = "include mmm_common\nthis db.nord.example.org\n"


@contextmanager
def cluster(folder: Path, files: Mapping[str, str | bytes]) -> Iterator[Sandbox]:
    """Give the cluster of the conf files, up and healthy."""
    if os.geteuid() != 0:
        pytest.skip("the sandbox needs root")
    for name, text in files.items():
        (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    name = f"dialect{os.getpid()}"
    try:
        sandbox = up(name, conf=folder)
        settle(sandbox)
        yield sandbox
    finally:
        down(name)


def test_a_cluster_of_a_1x_conf(tmp_path: Path) -> None:
    files = {"mmm_common.conf": COMMON_1X, "mmm_mon.conf": MON_1X, "mmm_agent.conf": AGENT_1X}
    with cluster(tmp_path, files) as sandbox:
        restore(sandbox)  # who was well first has the writer
        shown_in_the_old_layout(sandbox)
        log = sandbox.monitor.path("/usr/local/mmm/var/mmm-debug.log")
        active = "mode: WAIT -> ACTIVE: both masters are ONLINE"
        sandbox.wait_until(lambda: active in log.read_text(), LIMIT, "it is active")
        assert log.read_text().count("no ping_ips: the network check is off") == 1
        fails_over(sandbox, "mysql-one", "mysql-two")
        traps = sandbox.monitor.path("/usr/local/mmm/var/mmm-traps.log").read_text().splitlines()
        assert any("mysql-one: ONLINE -> HARD_OFFLINE" in line for line in traps)
        assert not any(" INFO " in line or " DEBUG " in line for line in traps)


def shown_in_the_old_layout(sandbox: Sandbox) -> None:
    ips = "192.168.3.(106|107|108|109)"
    one = rf"  mysql-one\(192\.168\.3\.40\): master/ONLINE\. Roles: reader\({ips};{ips};\), writer\(192\.168\.3\.105;\)"
    two = rf"  mysql-two\(192\.168\.3\.41\): master/ONLINE\. Roles: reader\({ips};{ips};\)"
    layout = re.compile(rf"Servers status:\n{one}\n{two}\n")
    sandbox.wait_until(
        lambda: layout.fullmatch(sandbox.control("show").stdout),
        LIMIT,
        "all roles are shown in the old layout",
    )
    assert sandbox.control("set_offline", "mysql-two").returncode == 0
    line = "  mysql-two(192.168.3.41): master/ADMIN_OFFLINE. Roles: None"
    sandbox.wait_until(
        lambda: sandbox.control("show").stdout.splitlines()[2] == line, LIMIT, "mysql-two has no roles"
    )
    told = json.loads(sandbox.control("--format", "json", "show").stdout)
    assert [host["state"] for host in told["hosts"]] == ["ONLINE", "ADMIN_OFFLINE"]
    assert sandbox.control("set_online", "mysql-two").returncode == 0
    settle(sandbox)
    assert sandbox.control("failover_method").stdout == "ACTIVE\n"
    assert sandbox.control("failover_method", "manual").returncode == 0
    assert sandbox.control("mode").stdout == "MANUAL\n"
    assert sandbox.control("failover_method", "auto").returncode == 0


def test_a_cluster_of_a_2x_conf(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "mmm_common.conf": b"\xef\xbb\xbf" + COMMON_2X.replace("\n", "\r\n").encode(),
        "mmm_mon.conf": MON_2X,
        "mmm_agent.conf": AGENT_2X,
    }
    with cluster(tmp_path, files) as sandbox:
        # It has to show first that it has applied what the other has.
        sandbox.wait_until(
            lambda: sandbox.writer() == "db.sued.example.org", BY_ITSELF, "the preferred host has the role"
        )
        done = sandbox.control("show")
        assert "  db.sued.example.org(172.16.9.22) master/ONLINE. Roles: " in done.stdout
        assert "schreiber(172.16.4.200)" in done.stdout
        assert done.stdout.endswith(
            "# Role schreiber is assigned to it's preferred host db.sued.example.org.\n"
        )
        checks = sandbox.control("checks", "all", "ping").stdout.splitlines()
        assert [line[:21] for line in checks] == [
            "db.nord.example.org  ",
            "db.sued.example.org  ",
            "leser-1              ",
        ]
        fails_over(sandbox, "db.sued.example.org", "db.nord.example.org")
        sandbox.wait_until(
            lambda: sandbox.writer() == "db.sued.example.org",
            BY_ITSELF,
            "the preferred host has it again, by itself",
        )
        settle(sandbox)


def fails_over(sandbox: Sandbox, before: str, after: str) -> None:
    """Kill the writer's server under a client that writes, and start it again."""
    assert sandbox.writer() == before
    with Probe(sandbox, readers=False) as probe:
        inject(sandbox, "kill-mysqld", before)
        outage = probe.wait_move(60)
        assert (outage.before, outage.after) == (before, after)
        heal(sandbox)
        probe.wait_writes(LIMIT)
    assert probe.report.doubled == ()
