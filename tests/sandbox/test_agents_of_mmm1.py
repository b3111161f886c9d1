"""A cluster whose agents have the files that MMM 1.x had, without a role in them: they learn roles from orders."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.build import program
from mmm.sandbox.restore import restore
from mmm.sandbox.trouble.faults import daemon_processes, heal, inject
from mmm.sandbox.witness.health import settle
from mmm.sandbox.witness.probe_run import Probe
from tests.sandbox.test_conf_dialects import cluster as of_files
from tests.scenarios import LIMIT, PATIENCE, Log, move_writer, writable
from tests.taps import Addresses

pytestmark = pytest.mark.sandbox

WRITER, READERS = "10.63.0.80", ("10.63.0.90", "10.63.0.91")
KEPT = "usr/local/mmm/var/mmmd_agent.pid.roles"
HOSTS = """\
host db1
\tip 10.63.0.11
\tport 3306
\tuser {user}
\tpassword {user}-pass
{db1}
host db2
\tip 10.63.0.12
\tport 3306
\tuser {user}
\tpassword {user}-pass
{db2}
"""
MASTER = "\tmode master\n\tpeer {}"
MON = f"""\
monitor_ip 127.0.0.1
bind_port 9988
cluster_interface eth0
agent_port 9989
pid_path /usr/local/mmm/var/mmmd.pid
status_path /usr/local/mmm/var/mmmd.status
bin_path /usr/local/mmm/bin
failover_method auto
replication_user repl
replication_password Repl-Pass
active_master_role writer
{HOSTS.format(user="watcher", db1=MASTER.format("db2"), db2=MASTER.format("db1"))}
role writer
\tmode exclusive
\tservers db1, db2
\tip {WRITER}
role reader
\tmode balanced
\tservers db1, db2
\tip {", ".join(READERS)}
check ping
\tcheck_period 1
\ttrap_period 1
check mysql
\tcheck_period 1
\ttrap_period 1
\ttimeout 1
"""
MON_2X = f"""\
active_master_role writer
<host default>
    cluster_interface eth0
    monitor_user watcher
    monitor_password watcher-pass
    replication_user repl
    replication_password Repl-Pass
</host>
<host db1>
    ip 10.63.0.11
    mode master
    peer db2
</host>
<host db2>
    ip 10.63.0.12
    mode master
    peer db1
</host>
<role writer>
    mode exclusive
    hosts db1, db2
    ips {WRITER}
</role>
<role reader>
    mode balanced
    hosts db1, db2
    ips {", ".join(READERS)}
</role>
<monitor>
    ip 127.0.0.1
    pid_path /var/run/mmm_mond.pid
    bin_path /usr/lib/mysql-mmm
    status_path /var/lib/misc/mmm_mond.status
    ping_ips 10.63.0.1
    failover_block 0
    auto_set_online 1
</monitor>
<check default>
    check_period 1
    trap_period 1
    timeout 1
</check>
"""
AGENT = f"""\
#
# Master-Master Manager config (agent)
#
debug no
pid_path /usr/local/mmm/var/mmmd_agent.pid
bin_path /usr/local/mmm/bin
bind_port 9989
cluster_interface eth0
replication_user repl
replication_password Repl-Pass
this {{this}}
mode master
peer {{peer}}

{HOSTS.format(user="mover", db1="", db2="")}"""
"""Without indentation on db2, as pasted from a web page."""


@contextmanager
def cluster(folder: Path, monitor: str) -> Iterator[Sandbox]:
    """Give a cluster of these agents, up and healthy, by this file of the monitor."""
    for this, peer, indent in (("db1", "db2", "\t"), ("db2", "db1", "")):
        (folder / this).mkdir()
        text = AGENT.format(this=this, peer=peer).replace("\t", indent)
        (folder / this / "mmm_agent.conf").write_text(text)
        (folder / "mmm_agent.conf").write_text(text)
    with of_files(folder, {"mmm_mon.conf": monitor}) as sandbox:
        restore(sandbox)  # who was well first has the writer, and may have all readers yet
        yield sandbox


def test_a_cluster_whose_agents_have_no_roles_in_their_files(tmp_path: Path) -> None:
    with cluster(tmp_path, MON) as sandbox:
        all_roles_are_bound_and_kept(sandbox)
        the_programs_know_them(sandbox)
        another_server_takes_the_writer_role(sandbox)
        an_agent_that_is_restarted_keeps_it(sandbox)
        without_the_monitor_promises_keep_it(sandbox)
        the_angel_unbinds_it(sandbox)
        what_goes_elsewhere_meanwhile_is_unbound(sandbox)


def test_a_monitor_with_a_conf_of_2x_gives_roles_to_such_agents(tmp_path: Path) -> None:
    """Each knows what it was given: also after a boot, at which its VIP is elsewhere."""
    with cluster(tmp_path, MON_2X) as sandbox:
        assert "differ" not in sandbox.ask("show")
        assert WRITER not in kept(sandbox, "db2")
        move_writer(sandbox, "db2")
        sandbox.wait_until(lambda: sandbox.writer() == "db2", LIMIT, "db2 has the writer role")
        settle(sandbox)
        assert f"writer({WRITER})" in kept(sandbox, "db2")
        with Addresses(sandbox) as addresses:
            inject(sandbox, "power-off", "db2")
            sandbox.wait_until(lambda: sandbox.writer() == "db1", LIMIT, "db1 takes over")
            heal(sandbox)
            settle(sandbox)
        assert addresses.together(WRITER) == []
        what_goes_elsewhere_meanwhile_is_unbound(sandbox)
        inject(
            sandbox, "kill-agent", "db1", angel=True
        )  # the kernel ends the lease, and another agent goes on
        heal(sandbox)
        settle(sandbox)


def kept(sandbox: Sandbox, host: str) -> str:
    return sandbox.machine(host).path(f"/{KEPT}").read_text()


def all_roles_are_bound_and_kept(sandbox: Sandbox) -> None:
    assert sandbox.writer() == "db1"
    assert sorted(len(sandbox.holders(ip)) for ip in READERS) == [1, 1]
    for host in sandbox.hosts:
        log = (sandbox.machine(host).log / "mmm_agentd.log").read_text()
        assert log.count("WARN no roles: they are learned from the monitor's orders") == 1
        assert log.count("learned from the monitor's order: ") == 1  # all at once
        assert kept(sandbox, host) == f"writer({WRITER}),{','.join(f'reader({ip})' for ip in READERS)}\n"
    assert "differ" not in sandbox.ask("show")


def the_programs_know_them(sandbox: Sandbox) -> None:
    checked = run(sandbox, "db1", "--check")
    assert (checked.returncode, checked.stdout.splitlines()[-1].endswith(": OK")) == (0, True)
    printed = run(sandbox, "db2", "--print-conf")
    assert f"<role writer>\n    mode exclusive\n    hosts db1, db2\n    ips {WRITER}\n" in printed.stdout
    doctor = run(sandbox, "db2", "--doctor")
    assert doctor.returncode in {0, 1}, doctor.stderr
    assert "Traceback" not in doctor.stdout + doctor.stderr
    assert sandbox.init("db1", "mysql-mmm-agent", "status").returncode == 0


def run(sandbox: Sandbox, host: str, *args: str) -> subprocess.CompletedProcess[str]:
    return sandbox.machine(host).run([program("mmm_agentd"), *args], limit=90, check=False)


def another_server_takes_the_writer_role(sandbox: Sandbox) -> None:
    with Addresses(sandbox) as addresses, Probe(sandbox, readers=False) as probe:
        inject(sandbox, "kill-mysqld", "db1")
        outage = probe.wait_move(60)
        assert (outage.before, outage.after) == ("db1", "db2")
        heal(sandbox)
        probe.wait_writes(LIMIT)
    settle(sandbox)
    assert addresses.together(WRITER) == []
    assert probe.report.doubled == ()


def an_agent_that_is_restarted_keeps_it(sandbox: Sandbox) -> None:
    log = Log(sandbox, "db2", "mmm_agentd")
    with Addresses(sandbox) as addresses, Probe(sandbox, readers=False, limit=PATIENCE) as probe:
        assert sandbox.init("db2", "mysql-mmm-agent", "restart").returncode == 0
        log.wait(rf"start: db2 has .*writer\({WRITER}\).* bound on eth0, writable")
        log.wait("status: db2: UNKNOWN")
        probe.wait_writes(LIMIT)
    assert sandbox.writer() == "db2"
    assert addresses.of(WRITER) == []
    assert probe.report.outages == ()
    assert log.lines("learned from the monitor's order: ") == []
    settle(sandbox)


def without_the_monitor_promises_keep_it(sandbox: Sandbox) -> None:
    log = Log(sandbox, "db2", "mmm_agentd")
    with Addresses(sandbox) as addresses, Probe(sandbox, readers=False, limit=PATIENCE) as probe:
        inject(sandbox, "kill-monitor", angel=True)
        log.wait("the lease is renewed by promises of db1")
        probe.wait_writes(LIMIT)
        heal(sandbox)
        settle(sandbox)
    assert addresses.of(WRITER) == []
    assert probe.report.outages == ()


def the_angel_unbinds_it(sandbox: Sandbox) -> None:
    """The worker cannot, and is not heard: the angel knows the VIP that the files do not name."""
    log = Log(sandbox, "db2", "mmm_agentd")
    inject(sandbox, "cut", "db2")
    _, worker, *_ = daemon_processes(sandbox, "db2", "mmm_agentd")
    os.kill(worker.pid, signal.SIGSTOP)
    log.wait("fence: db2: read_only=1")
    sandbox.wait_until(lambda: not holds(sandbox, "db2"), LIMIT, "the angel has unbound the VIP")
    assert not writable(sandbox, "db2")
    sandbox.wait_until(lambda: sandbox.writer() == "db1", LIMIT, "db1 takes over")
    os.kill(worker.pid, signal.SIGKILL)
    heal(sandbox)
    settle(sandbox)


def holds(sandbox: Sandbox, host: str) -> bool:
    return host in sandbox.holders(WRITER)


def what_goes_elsewhere_meanwhile_is_unbound(sandbox: Sandbox) -> None:
    """Its files do not name it, and no order for this host either: it is known from before."""
    log = Log(sandbox, "db2", "mmm_agentd")
    sandbox.machine("db2").run(["ip", "address", "add", f"{WRITER}/32", "dev", "eth0"])
    sandbox.wait_until(lambda: not holds(sandbox, "db2"), LIMIT, "db2 has unbound what is not its own")
    assert "unbind" in log.wait(f"unbind.*{WRITER}|{WRITER}.*unbind")
    assert sandbox.writer() == "db1"
    told = json.loads(sandbox.control("--format", "json", "show").stdout)
    assert [host["state"] for host in told["hosts"]] == ["ONLINE", "ONLINE"]
