"""Both daemons as an init system and a sysadmin see them, on the sandbox's machines."""

import os
import re
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.build import DAEMONS, program
from mmm.sandbox.trouble.faults import inject
from mmm.sandbox.witness.health import host_facts, look, settle
from mmm.sandbox.witness.probe_run import Probe
from tests.clusters import LIMIT, Kept, bound, log, pids, request
from tests.scenarios import PATIENCE
from tests.taps import Addresses

pytestmark = pytest.mark.sandbox

WHERE = [("db1", "mmm_agentd"), ("monitor", "mmm_mond")]
PID_FILES = {"mmm_agentd": "/run/mmm_agentd.pid", "mmm_mond": "/run/mmm_mond.pid"}


def init(sandbox: Sandbox, machine: str, daemon: str, action: str) -> int:
    return sandbox.init(machine, DAEMONS[daemon], action).returncode


def run(sandbox: Sandbox, machine: str, daemon: str, *args: str) -> subprocess.CompletedProcess[str]:
    return sandbox.machine(machine).run([program(daemon), *args], check=False)


def pid_file(sandbox: Sandbox, machine: str, daemon: str) -> Path:
    return sandbox.machine(machine).path(PID_FILES[daemon])


def inner(sandbox: Sandbox, machine: str, pid: int) -> str:
    """Return a process's pid as its own machine sees it."""
    return next(str(process.inner) for process in sandbox.machine(machine).processes() if process.pid == pid)


def wait_new_worker(sandbox: Sandbox, machine: str, daemon: str, old: tuple[int, ...]) -> None:
    def again() -> bool:
        now = pids(sandbox, machine, daemon)
        return len(now) == 2 and now[0] == old[0] and now[1] != old[1]

    sandbox.wait_until(again, LIMIT, f"the angel of {daemon} has a new worker")


# --- init scripts


@pytest.mark.parametrize(("machine", "daemon"), WHERE)
def test_the_init_scripts_exit_as_the_lsb_says(sandbox: Sandbox, machine: str, daemon: str) -> None:
    first = pids(sandbox, machine, daemon)
    assert len(first) == 2
    assert pid_file(sandbox, machine, daemon).read_text().strip() == inner(sandbox, machine, first[0])
    assert init(sandbox, machine, daemon, "status") == 0
    assert init(sandbox, machine, daemon, "start") == 0, "a second start is fine"
    assert pids(sandbox, machine, daemon) == first, "and starts nothing"
    assert init(sandbox, machine, daemon, "restart") == 0
    second = pids(sandbox, machine, daemon)
    assert len(second) == 2
    assert not set(first) & set(second)
    assert init(sandbox, machine, daemon, "force-reload") == 0
    assert init(sandbox, machine, daemon, "stop") == 0
    assert pids(sandbox, machine, daemon) == ()
    assert not pid_file(sandbox, machine, daemon).exists()
    assert init(sandbox, machine, daemon, "status") == 3
    assert init(sandbox, machine, daemon, "stop") == 0, "a second stop is fine"
    assert init(sandbox, machine, daemon, "reload") == 7, "there is nothing to reload"
    assert init(sandbox, machine, daemon, "dance") == 2
    assert init(sandbox, machine, daemon, "start") == 0


@pytest.mark.parametrize(("machine", "daemon"), WHERE)
def test_a_killed_daemon_is_dead_with_a_pid_file_and_starts_again(
    sandbox: Sandbox, machine: str, daemon: str
) -> None:
    for pid in pids(sandbox, machine, daemon):
        with suppress(ProcessLookupError):  # a worker ends with its angel
            os.kill(pid, signal.SIGKILL)
    sandbox.wait_until(lambda: not pids(sandbox, machine, daemon), LIMIT, "both are gone")
    assert init(sandbox, machine, daemon, "status") == 1
    done = sandbox.init(machine, DAEMONS[daemon], "start")
    assert done.returncode == 0
    assert "was stale" in done.stderr
    assert init(sandbox, machine, daemon, "status") == 0
    assert len(pids(sandbox, machine, daemon)) == 2


@pytest.mark.parametrize(("machine", "daemon"), WHERE)
def test_a_conf_with_errors_stops_neither_a_running_daemon_nor_starts_one(
    sandbox: Sandbox, machine: str, daemon: str
) -> None:
    before = pids(sandbox, machine, daemon)
    common = sandbox.machine(machine).etc / "mmm_common.conf"
    text = common.read_text()
    try:
        common.write_text(text.replace("cluster_interface", "cluster_interfcae"))
        for action in ("restart", "reload", "force-reload"):
            done = sandbox.init(machine, DAEMONS[daemon], action)
            assert done.returncode == 6
            assert re.search(r"mmm_common\.conf:\d+: .*cluster_interfcae.*cluster_interface", done.stderr)
        assert pids(sandbox, machine, daemon) == before
        assert init(sandbox, machine, daemon, "stop") == 0, "the pid file is found without the conf"
        assert pids(sandbox, machine, daemon) == ()
        assert init(sandbox, machine, daemon, "start") == 6
    finally:
        common.write_text(text)
    assert init(sandbox, machine, daemon, "start") == 0


# --- the angel, and one copy only


def test_the_angel_restarts_a_killed_monitor_and_clients_notice_nothing(sandbox: Sandbox) -> None:
    before = pids(sandbox, "monitor", "mmm_mond")
    monitor = log(sandbox, "monitor", "mmm_mond")
    with Probe(sandbox, limit=PATIENCE) as probe:
        os.kill(before[1], signal.SIGKILL)
        wait_new_worker(sandbox, "monitor", "mmm_mond", before)
        sandbox.wait_states(LIMIT, db1="ONLINE", db2="ONLINE", db3="ONLINE")
        probe.wait_writes(LIMIT)
    assert probe.report.outages == ()
    assert monitor.wait("ERROR worker was killed by SIGKILL; starting it again at once") == 1


def test_the_angel_restarts_a_killed_agent_that_finds_what_it_had(calm: Kept) -> None:
    sandbox = calm.healthy()
    before = pids(sandbox, "db1", "mmm_agentd")
    agent = log(sandbox, "db1", "mmm_agentd")
    with Addresses(sandbox) as addresses, Probe(sandbox, limit=PATIENCE) as probe:
        os.kill(before[1], signal.SIGKILL)
        wait_new_worker(sandbox, "db1", "mmm_agentd", before)
        sandbox.wait_until(
            lambda: agent.count("status: db1: UNKNOWN"), LIMIT, "the monitor has told it again"
        )
        probe.wait_writes(LIMIT)
    assert addresses.moved == []
    assert probe.report.outages == ()
    assert agent.wait(r"INFO start: db1 has .*writer\(10\.77\.0\.80\).* bound on eth0, writable") == 1
    assert sandbox.writer() == "db1"
    settle(sandbox)


@pytest.mark.parametrize(("machine", "daemon"), WHERE)
def test_a_second_copy_is_refused(sandbox: Sandbox, machine: str, daemon: str) -> None:
    before = pids(sandbox, machine, daemon)
    for args in ((), ("--foreground",)):
        done = run(sandbox, machine, daemon, *args)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert done.stderr.startswith(
            f"{daemon}: runs already, with pid {inner(sandbox, machine, before[0])}"
        )
    assert pids(sandbox, machine, daemon) == before


def test_a_second_monitor_is_refused_also_when_the_pid_file_is_lost(sandbox: Sandbox) -> None:
    before = pids(sandbox, "monitor", "mmm_mond")
    path = pid_file(sandbox, "monitor", "mmm_mond")
    text = path.read_text()
    path.unlink()
    try:
        done = run(sandbox, "monitor", "mmm_mond")
    finally:
        path.write_text(text)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith(f"mmm_mond: runs already, with pid {inner(sandbox, 'monitor', before[0])}")
    assert pids(sandbox, "monitor", "mmm_mond") == before


@pytest.mark.parametrize(("machine", "daemon"), WHERE)
def test_a_worker_ends_with_its_angel_and_a_new_daemon_is_the_only_one(
    sandbox: Sandbox, machine: str, daemon: str
) -> None:
    angel, worker = pids(sandbox, machine, daemon)
    os.kill(angel, signal.SIGKILL)
    assert init(sandbox, machine, daemon, "start") == 0
    now = pids(sandbox, machine, daemon)
    assert len(now) == 2
    assert not {angel, worker} & set(now)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_stopping_agents_leaves_vips_and_read_only_as_they_are(
    sandbox: Sandbox, number: signal.Signals
) -> None:
    assert init(sandbox, "monitor", "mmm_mond", "stop") == 0
    before = {name: (facts.bound, facts.writable) for name, facts in look(sandbox).items()}
    for host in sandbox.hosts:
        os.kill(pids(sandbox, host, "mmm_agentd")[0], number)
    sandbox.wait_until(
        lambda: not any(pids(sandbox, host, "mmm_agentd") for host in sandbox.hosts),
        LIMIT,
        "agents have ended",
    )
    assert {name: (facts.bound, facts.writable) for name, facts in look(sandbox).items()} == before
    assert not any(pid_file(sandbox, host, "mmm_agentd").exists() for host in sandbox.hosts)


def test_stopping_the_monitor_leaves_vips_and_read_only_as_they_are(sandbox: Sandbox) -> None:
    monitor = log(sandbox, "monitor", "mmm_mond")
    with Probe(sandbox, limit=PATIENCE) as probe:
        os.kill(pids(sandbox, "monitor", "mmm_mond")[0], signal.SIGTERM)
        sandbox.wait_until(lambda: not pids(sandbox, "monitor", "mmm_mond"), LIMIT, "the monitor has ended")
        probe.wait_writes(LIMIT)
    assert probe.report.outages == ()
    assert monitor.wait("INFO got SIGTERM, ending the worker") == 1
    assert monitor.wait("INFO mmm_mond stopped") == 1


# --- the command line


@pytest.mark.parametrize(("machine", "daemon"), WHERE)
def test_check_says_that_the_conf_is_good_or_all_that_is_wrong(
    sandbox: Sandbox, machine: str, daemon: str
) -> None:
    done = run(sandbox, machine, daemon, "--check")
    assert done.returncode == 0
    said = [line.split()[1] for line in done.stderr.splitlines()]
    assert said == (["ping_ips", "kill_host_bin"] if machine == "monitor" else [])
    assert done.stdout.endswith(".conf: OK\n")
    common = sandbox.machine(machine).etc / "mmm_common.conf"
    text = common.read_text()
    try:
        common.write_text(text.replace("10.77.0.5", "10.77.0.500").replace("exclusive", "exklusive"))
        done = run(sandbox, machine, daemon, "--check")
    finally:
        common.write_text(text)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.search(r"mmm_common\.conf:\d+: .*10\.77\.0\.500", done.stderr)
    assert re.search(r"mmm_common\.conf:\d+: .*exklusive", done.stderr)


@pytest.mark.parametrize(("machine", "daemon"), WHERE)
def test_print_conf_is_a_whole_conf_without_passwords(sandbox: Sandbox, machine: str, daemon: str) -> None:
    done = run(sandbox, machine, daemon, "--print-conf")
    assert done.returncode == 0
    assert "10.77.0.80" in done.stdout
    assert "secret" not in done.stdout
    path = sandbox.machine(machine).etc / "printed.conf"
    path.write_text(done.stdout)
    path.chmod(0o600)
    try:
        again = run(sandbox, machine, daemon, "--config", "/etc/mysql-mmm/printed.conf", "--print-conf")
    finally:
        path.unlink()
    # The first line names the files it was read from.
    assert again.stdout.splitlines()[1:] == done.stdout.splitlines()[1:], again.stderr


@pytest.mark.parametrize("daemon", DAEMONS)
def test_version_and_wrong_usage(sandbox: Sandbox, daemon: str) -> None:
    assert re.fullmatch(
        rf"{daemon} \d+\.\d+\.\d+( \(commit [0-9a-f]+(-dirty)?\))?\n",
        run(sandbox, "db1", daemon, "--version").stdout,
    )
    assert run(sandbox, "db1", daemon, "--frobnicate").returncode == 2
    missing = run(sandbox, "db1", daemon, "@C9", "--check")
    assert missing.returncode == 2
    assert "_C9.conf" in missing.stderr


@pytest.mark.parametrize(("machine", "daemon"), WHERE)
def test_in_the_foreground_it_logs_to_stdout_and_ends_with_0(
    sandbox: Sandbox, machine: str, daemon: str, tmp_path: Path
) -> None:
    assert init(sandbox, machine, daemon, "stop") == 0
    out = tmp_path / "out"
    child = sandbox.machine(machine).spawn([program(daemon), "--foreground"], log=out)
    sandbox.wait_until(lambda: f"INFO {daemon}" in out.read_text(), LIMIT, "it tells that it runs")
    sandbox.wait_until(lambda: len(pids(sandbox, machine, daemon)) == 1, LIMIT, "there is no angel")
    sandbox.wait_until(sandbox.show, LIMIT, "the monitor answers")
    os.kill(pids(sandbox, machine, daemon)[0], signal.SIGTERM)
    assert child.wait(LIMIT) == 0
    assert "DEBUG" not in out.read_text()
    assert not pid_file(sandbox, machine, daemon).exists()


def test_debug_in_the_conf_keeps_it_in_the_foreground_and_logs_more(sandbox: Sandbox, tmp_path: Path) -> None:
    assert init(sandbox, "monitor", "mmm_mond", "stop") == 0
    path = sandbox.monitor.etc / "mmm_mon.conf"
    text = path.read_text()
    out = tmp_path / "out"
    try:
        path.write_text(text.replace("debug 0", "debug 1"))
        child = sandbox.monitor.spawn([program("mmm_mond")], log=out)
        sandbox.wait_until(lambda: " DEBUG " in out.read_text(), LIMIT, "it logs more")
    finally:
        path.write_text(text)
    os.kill(pids(sandbox, "monitor", "mmm_mond")[0], signal.SIGTERM)
    assert child.wait(LIMIT) == 0


def test_logging_can_be_set_up_by_a_yaml_file(sandbox: Sandbox) -> None:
    conf = sandbox.monitor.etc / "mmm_mon_log.conf"
    special = sandbox.monitor.log / "special.log"
    conf.write_text(
        "formatters: {short: {format: 'MMM %(levelname)s %(message)s'}}\n"
        "handlers: {file: {class: logging.FileHandler, filename: /var/log/mysql-mmm/special.log, formatter: short}}\n"
        "root: {level: INFO, handlers: [file]}\n"
    )
    try:
        assert init(sandbox, "monitor", "mmm_mond", "restart") == 0
        sandbox.wait_until(sandbox.show, LIMIT, "the monitor answers")
        sandbox.wait_until(lambda: special.exists() and special.read_text(), LIMIT, "it logs there")
        assert special.read_text().startswith("MMM INFO mmm_mond ")
    finally:
        conf.unlink()
        assert init(sandbox, "monitor", "mmm_mond", "restart") == 0


def test_the_log_file_is_made_anew_when_it_was_moved_away(sandbox: Sandbox) -> None:
    path = sandbox.monitor.log / "mmm_mond.log"
    path.rename(path.with_suffix(".log.1"))
    assert sandbox.control("set_offline", "db3").returncode == 0
    sandbox.wait_until(lambda: path.exists() and "set_offline db3" in path.read_text(), LIMIT, "it is logged")
    assert re.match(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d INFO ", path.read_text())


def test_a_dead_agent_is_said_and_its_host_gets_nothing_new(sandbox: Sandbox) -> None:
    inject(sandbox, "kill-agent", "db2", angel=True)
    had = bound(sandbox, "db2")
    assert sandbox.control("set_offline", "db3").returncode == 0
    others = set(sandbox.layout.reader_ips) - had  # the kernel takes those of db2 when nobody renews them
    sandbox.wait_until(
        lambda: all(len(sandbox.holders(ip)) == 1 for ip in others), LIMIT, "VIPs are elsewhere"
    )
    assert bound(sandbox, "db2") <= had
    assert (sandbox.states()["db2"], host_facts(sandbox, "db2").writable) == ("ONLINE", False)
    sandbox.start_daemon("db2", "mmm_agentd")
    sandbox.wait_until(lambda: "Warning" not in sandbox.ask("show"), LIMIT, "it is reached again")
    assert "ONLINE" in request(sandbox, "db2", "GET_AGENT_STATUS|1|db2")
