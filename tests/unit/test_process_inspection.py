"""What --check and the start say of a conf on the machine that it lies on."""

import ipaddress
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from mmm.agent import duties as agent
from mmm.config.load import (
    Cluster,
    Memory,
    Program,
    check,
    read,
)
from mmm.monitor import duties as monitor
from mmm.monitor.daemon import main
from mmm.network.own import nearer, own_networks
from mmm.process.arguments import REFUSED, USAGE
from mmm.process.inspection import not_here
from mmm.process.logs import replacement_problem
from tests.namespaces import cable, ip, own_network
from tests.unit.test_config_dialect2 import COMMON, MONITOR

NOWHERE = "192.0.2.7"
"""An address that no machine has."""


def conf(text: str, program: Program) -> Cluster:
    return check(read(Memory({"m.conf": text}), "m.conf"), program, "", lambda _: "")


def here(text: str) -> str:
    """Return the conf with every host at this machine's loopback."""
    for number in (1, 2, 3):
        text = text.replace(f"ip 10.0.0.{number}\n", f"ip 127.0.0.{number}\n")
    return text.replace("cluster_interface eth0", "cluster_interface lo")


def test_an_agent_whose_address_is_not_here_does_not_start() -> None:
    found = agent.inspect(conf("this db1\n" + COMMON.replace("10.0.0.1\n", f"{NOWHERE}\n"), "AGENT"))
    (error,) = found.errors
    assert error.startswith(f"the address of 'this db1' is {NOWHERE}, which is no address of this machine (")
    assert error.endswith("correct `this`, or the ip of host db1")


def test_who_this_machine_is_by_the_conf_is_named() -> None:
    cluster = conf("this db2\n" + COMMON, "AGENT")
    said = not_here(cluster, "the address of 'this db2'", "10.0.0.2", {"127.0.0.1": "lo", "10.0.0.3": "eth0"})
    assert (
        said
        == "the address of 'this db2' is 10.0.0.2, which is no address of this machine (10.0.0.3, which is db3)"
    )


def test_an_interface_that_does_not_exist_is_warned_of() -> None:
    text = "this db1\n" + here(COMMON)
    assert agent.inspect(conf(text, "AGENT")).warnings == ()
    (warning,) = agent.inspect(
        conf(text.replace("cluster_interface lo", "cluster_interface eth9"), "AGENT")
    ).warnings
    assert warning.startswith("cluster_interface eth9 does not exist on this machine (")


@pytest.mark.netns
def test_an_interface_may_be_called_by_any_of_its_names() -> None:
    text = here(COMMON).replace("cluster_interface lo", "cluster_interface enp3s0")
    with own_network():
        cable("near0", "far0")
        ip("link property add dev near0 altname enp3s0")
        ip("addr add 10.0.0.9/24 dev near0")
        assert agent.inspect(conf(f"this db1\n{text}", "AGENT")).warnings == ()


def test_an_interface_on_another_network_than_the_virtual_ips_is_named() -> None:
    networks = {
        "lo": ("127.0.0.1/8",),
        "eth0": ("10.0.0.1/24", "10.0.0.80/32"),
        "eth1": ("fd00::1/64", "172.16.0.1/12"),
    }
    assert nearer("lo", ("10.0.0.90",), networks) == ("10.0.0.90", "eth0")
    assert nearer("eth1", ("fd00::80", "10.0.0.80"), networks) == ("10.0.0.80", "eth0")
    assert nearer("eth0", ("10.0.0.90", "192.0.2.80"), networks) == ("", ""), (
        "one of nobody's network is routed here"
    )
    assert nearer("eth0", ("fd00::80",), networks) == ("fd00::80", "eth1")
    assert nearer("eth2", ("10.0.0.80",), {"eth0": ("10.0.0.80/32",)}) == ("", ""), (
        "an address alone is no network"
    )


def test_an_agent_with_the_loopback_as_interface_of_a_network_is_warned() -> None:
    network = next(
        of for name, each in own_networks().items() if name != "lo" for of in each if ":" not in of
    )
    vip = str(ipaddress.ip_interface(network).network[-2])
    text = here(COMMON).replace("10.0.0.80", vip).replace("10.0.0.1\n", "127.0.0.1\n")
    (warning,) = agent.inspect(conf(f"this db1\n{text}", "AGENT")).warnings
    assert warning.startswith(f"{vip} is of the network of ")
    assert warning.endswith("not of cluster_interface lo; correct that")


def test_a_status_file_without_a_folder_is_warned_of(tmp_path: Path) -> None:
    text = COMMON + MONITOR.replace("/var/lib/m.status", f"{tmp_path}/mmm/m.status")
    assert f"status_path: there is no folder {tmp_path}/mmm: create it" in str(
        monitor.inspect(conf(text, "MONITOR")).warnings
    )
    (tmp_path / "mmm").mkdir()
    assert "status_path" not in str(monitor.inspect(conf(text, "MONITOR")).warnings)


def test_a_single_address_to_ping_and_a_missing_kill_host_are_warned_of() -> None:
    found = monitor.inspect(conf(COMMON + MONITOR, "MONITOR"))
    assert found.errors == ()
    ping, kill = found.warnings
    assert "ping_ips has 10.0.0.254 alone" in ping
    assert "kill_host_bin /usr/lib/mmm/monitor/kill_host does not exist" in kill
    two = MONITOR.replace("10.0.0.254", "10.0.0.254, 10.0.0.253")
    assert len(monitor.inspect(conf(COMMON + two, "MONITOR")).warnings) == 1


def test_a_monitor_at_another_machines_address_does_not_start() -> None:
    text = MONITOR.replace("ip 127.0.0.1", f"ip {NOWHERE}")
    (error,) = monitor.inspect(conf(COMMON + text, "MONITOR")).errors
    assert f"the monitor's ip is {NOWHERE}, which is no address of this machine" in error


def test_three_masters_are_an_error_and_a_slave_among_them_is_named() -> None:
    text = COMMON.replace("hosts db1, db2\n", "hosts db1, db2, db3\n")
    (error,) = monitor.inspect(conf(text + MONITOR, "MONITOR")).errors
    assert error == (
        "role writer has 3 possible masters (db1, db2, db3): MMM works with two; take db3 out of its hosts, by mode"
        " slave"
    )


def test_a_single_master_is_warned_of_before_the_start_too() -> None:
    text = COMMON.replace("hosts db1, db2\n", "hosts db1\n")
    found = monitor.inspect(conf(text + MONITOR, "MONITOR"))
    assert found.errors == ()
    assert "only db1 may be active master: there is no host to fail over to" in found.warnings


def test_check_returns_what_the_start_would(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mmm_mon.conf"
    path.write_text(COMMON.replace("hosts db1, db2\n", "hosts db1, db2, db3\n") + MONITOR)
    path.chmod(0o600)
    for options in (["--check"], []):
        assert main(["--config", str(path), *options]) == USAGE
        said = capsys.readouterr()
        assert "has 3 possible masters" in said.err
        assert said.out == ""
    path.write_text(COMMON + MONITOR)
    (tmp_path / "mmm_mon_log.conf").write_text("log4perl.rootLogger=DEBUG, LogFile, MailFatal\n")
    assert main(["--config", str(path), "--check"]) == 0
    said = capsys.readouterr()
    assert said.out.endswith("OK\n")
    assert all(line.startswith("warning: ") for line in said.err.splitlines())
    assert "mmm_mon_log.conf is a Log4perl file, which has no effect" in said.err


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        (
            b"OK: Pinged!|UP:1.00\n",
            REFUSED,
            "role writer has vip_via health, and the agent of db2 is a Perl one",
        ),
        (b"OK: Pinged!|T:-|UP:1.00\n", 0, "mmm.conf: OK"),
        (b"", 0, "warning: no answer from the agent of db2 within 2 s"),
    ],
)
def test_a_perl_agent_that_would_bind_what_is_not_bound_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], answer: bytes, status: int, said: str
) -> None:
    path = tmp_path / "mmm.conf"
    with answering(b"OK: Pinged!|T:1-2|UP:1.00\n") as own, answering(answer) as other:
        path.write_text(without_bound_writer({"127.0.0.1": own, "127.0.0.2": other}))
        path.chmod(0o600)
        assert main(["--config", str(path), "--check"]) == status
    captured = capsys.readouterr()
    assert said in captured.out + captured.err
    assert "agent of db1" not in captured.err


def test_nobody_is_asked_where_all_roles_are_bound(tmp_path: Path) -> None:
    path = tmp_path / "mmm.conf"
    with answering(b"OK: Pinged!|UP:1.00\n") as port:
        path.write_text(
            here(COMMON).replace("<host default>\n", f"<host default>\nagent_port {port}\n") + MONITOR
        )
        path.chmod(0o600)
        assert main(["--config", str(path), "--check"]) == 0


def without_bound_writer(ports: dict[str, int]) -> str:
    """Return the conf of a monitor whose role writer is not bound, with agents at these addresses and ports."""
    text = here(COMMON).replace("    ips 10.0.0.80\n", "    ips 10.0.0.80\n    vip_via health\n")
    text = text.replace("<host default>\n", "<host default>\n    health_port 9991\n")
    for address, port in ports.items():
        text = text.replace(f"ip {address}\n", f"ip {address}\n    agent_port {port}\n")
    return "health_from 10.0.0.0/24\n" + text + MONITOR


@contextmanager
def answering(line: bytes) -> Iterator[int]:
    """Answer who asks first on this port, of any address of this machine, with the line; hang up without one."""

    def answer() -> None:
        with suppress(OSError), listener.accept()[0] as connection:
            if line and connection.recv(100):
                connection.sendall(line)

    with socket.create_server(("", 0)) as listener:
        thread = threading.Thread(target=answer)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


@pytest.mark.parametrize("daemon", ["agent", "monitor"])
def test_the_conf_is_printed_without_what_the_daemon_works_with(daemon: str, tmp_path: Path) -> None:
    """Init scripts ask for it each time, and each of these libraries takes longer than all else."""
    path = tmp_path / "mmm.conf"
    path.write_text("this db1\n" + COMMON + MONITOR)
    path.chmod(0o600)
    code = (
        f"import sys; from mmm.{daemon}.daemon import main; status = main(sys.argv[1:]);"
        " sys.exit(status or sys.modules.keys() & {'pyroute2', 'pymysql', 'scapy'} or 0)"
    )
    argv = [sys.executable, "-c", code, "--config", str(path), "--print-conf"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "pid_path" in done.stdout


def test_a_log_conf_that_is_used_is_not_warned_of(tmp_path: Path) -> None:
    assert replacement_problem(tmp_path / "mmm_mon_log.conf") == ""
    (tmp_path / "mmm_mon_log.conf").write_text("root: {level: INFO}\n")
    assert replacement_problem(tmp_path / "mmm_mon_log.conf") == ""
