"""What the command line says and how it ends."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.main import main
from mmm.sandbox.trouble.faults import FAULTS
from tests.scenarios import move_writer

pytestmark = pytest.mark.sandbox


def run(*args: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "mmm.sandbox.main", *args]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("up", "--server", "/nowhere"), "nor a server program or a folder"),
        (("up", "--server", "/bin/true"), "neither a MariaDB nor a MySQL server"),
        (("up", "--hosts", "2x"), "as in 2m1s"),
        (("up", "--hosts", "3m"), "2 masters"),
        (("up", "--name", "a/b"), "cannot be a sandbox's name"),
        (("up", "--name", "noconf", "--conf", "/nowhere"), "/nowhere: no such folder"),
        (("status", "--name", "nobody"), "no sandbox nobody"),
    ],
)
def test_what_is_wrong_is_one_line(args: tuple[str, ...], told: str) -> None:
    done = run(*args)
    assert done.returncode == 2
    assert told in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["up", "down", "status"])
def test_not_root_is_one_line(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert main([command]) == 2
    assert capsys.readouterr().err == "mmm_sandbox: not root: network namespaces and mounts need it\n"


def test_control_passes_arguments_and_exit_status_on(sandbox: Sandbox) -> None:
    done = run("--name", sandbox.name, "control", "--format", "json", "mode")
    assert (done.returncode, '"active"' in done.stdout.lower()) == (0, True)
    done = run("--name", sandbox.name, "control", "set_online", "db9")
    assert done.returncode == 1
    assert done.stdout.startswith("ERROR")


def test_mysql_runs_a_statement_on_the_host(bare_sandbox: Sandbox) -> None:
    done = run("--name", bare_sandbox.name, "mysql", "db2", "SELECT", "@@hostname")
    assert "db2" in done.stdout
    done = run("--name", bare_sandbox.name, "mysql", "db9")
    assert (done.returncode, done.stderr) == (2, "mmm_sandbox: mysql takes a host: db1, db2, db3\n")


def test_shell_is_on_the_machine(bare_sandbox: Sandbox) -> None:
    done = run(
        "--name",
        bare_sandbox.name,
        "shell",
        "db3",
        "sh",
        "-c",
        "hostname; cat /etc/hostname; ls /etc/mysql-mmm",
    )
    assert done.stdout.split() == [
        "db3",
        "db3",
        "mmm_agent.conf",
        "mmm_common.conf",
        "mmm_mon.conf",
        "mmm_tools.conf",
    ]


def test_a_shell_is_had_to_mend_a_conf_that_cannot_be_read(bare_sandbox: Sandbox) -> None:
    broken = bare_sandbox.machine("db3").etc / "mmm_common.conf"
    good = broken.read_bytes()
    broken.write_bytes(good + b"</host>\n")
    try:
        done = run("--name", bare_sandbox.name, "shell", "db3", "hostname")
    finally:
        broken.write_bytes(good)
    assert (done.returncode, done.stdout, done.stderr) == (0, "db3\n", "")


def test_conf_files_are_closed_to_others(bare_sandbox: Sandbox) -> None:
    for path in bare_sandbox.homes.glob("*/etc/mysql-mmm/*"):
        assert path.stat().st_mode & 0o007 == 0
    assert Path(bare_sandbox.directory).stat().st_mode & 0o077 == 0


def test_fault_status_and_heal(bare_sandbox: Sandbox) -> None:
    name = ("--name", bare_sandbox.name)
    assert run("fault", "cut", "db2", *name).stdout == "db2: network cable pulled\n"
    assert " cut " in next(
        line for line in run("status", *name).stdout.splitlines() if line.startswith("db2")
    )
    assert "db2: its cable is back\n" in run("heal", *name).stdout


def test_logs_are_one_stream_with_the_machine_in_front(sandbox: Sandbox) -> None:
    lines = run("--name", sandbox.name, "logs").stdout.splitlines()
    assert {"monitor", "db1", "db2", "db3"} <= {line.split()[0] for line in lines}


def test_logs_of_one_machine_since_a_moment(sandbox: Sandbox) -> None:
    move_writer(sandbox, "db2")
    lines = run("--name", sandbox.name, "logs", "db2", "--since", "3600").stdout.splitlines()
    assert lines
    assert {line.split()[0] for line in lines} == {"db2"}
    assert all(re.match(r"db2 +(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d )?", line) for line in lines)
    assert run("--name", sandbox.name, "logs", "--since", "0").stdout.splitlines() != lines
    refused = run("--name", sandbox.name, "logs", "db9")
    assert (refused.returncode, refused.stderr) == (
        2,
        "mmm_sandbox: logs: no machine db9: there are db1, db2, db3, monitor, client\n",
    )


def test_what_each_fault_does_is_told() -> None:
    told = run("fault", "--help").stdout
    assert all(re.search(rf"^  {name} +\S", told, re.MULTILINE) for name in FAULTS)


def test_the_probe_ends_with_a_signal_and_says_what_it_saw(sandbox: Sandbox) -> None:
    argv = [sys.executable, "-m", "mmm.sandbox.main", "--name", sandbox.name, "probe"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as probe:
        assert probe.stdout is not None
        assert probe.stdout.readline().startswith("writing to 10.77.0.80")
        move_writer(sandbox, "db2")
        told = iter(probe.stdout.readline, "")
        assert any("writes again after" in line and "db1 -> db2" in line for line in told)
        probe.send_signal(signal.SIGINT)
        rest = probe.stdout.read()
    assert probe.returncode == 0
    assert "db2 (writer): 0 missing, 0 doubled\n" in rest
    assert "db3: 0 missing, 0 doubled\n" in rest


def test_the_probe_reports_in_json(sandbox: Sandbox) -> None:
    report = json.loads(run("--name", sandbox.name, "probe", "--seconds", "0.5", "--json").stdout)
    assert report["acknowledged"] > 0
    assert report["writer"] == "db1"
    assert report["missing"] == report["doubled"] == []


def test_a_host_that_was_made_to_have_more_is_brought_back(sandbox: Sandbox) -> None:
    assert not run("--name", sandbox.name, "diverge", "db3", "2").returncode
    assert "2 transactions" in run("--name", sandbox.name, "rejoin", "db3", "--dry-run").stdout
    done = run("--name", sandbox.name, "rejoin", "db3")
    assert (done.returncode, "OK: db3 is back" in done.stdout) == (0, True), done
    sandbox.bring_online(force=False)
