"""From conf files to a cluster: which machines, addresses, users; and an old 1.x conf rebuilt for real."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmm.config.load import Memory, check, read
from mmm.config.model import Cluster
from mmm.config.names import Program
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.build import install_conf, read_layout
from mmm.sandbox.machines.conf import Conf, fast, hosts
from mmm.sandbox.machines.layout import Layout, plan
from mmm.sandbox.machines.machine import SandboxError
from mmm.sandbox.machines.network import prefix_lengths
from mmm.sandbox.restore import restore
from mmm.sandbox.up import down, up
from mmm.sandbox.witness.logs import moment
from mmm.sandbox.witness.probe_run import Probe
from tests.scenarios import LIMIT, move_writer

COMMON_1X = """\
# Written for MMM 1.2
cluster_interface bond0
agent_port 9989
monitor_ip 192.168.3.11
replication_user repl
replication_password o'Hara
host lb_one
  ip 192.168.3.40
  port 3307
  mode master
  peer lb_two
host lb_two
  ip 192.168.3.41
  port 3307
  mode master
  peer lb_one
host reader1
  ip 10.20.30.5
  mode slave
role writer
  mode exclusive
  servers lb_one, lb_two
  ip 192.168.3.105
role reader
  mode balanced
  servers lb_one, lb_two, reader1
  ip 192.168.3.106, 192.168.3.107
"""
MON_1X = """\
include mmm_common.conf
bind_port 9988
pid_path /usr/local/mmm/var/mmmd.pid
status_path /usr/local/mmm/var/mmmd.status
bin_path /usr/local/mmm/bin
check mysql
  check_period 1
  trap_period 1
  timeout 1
""" + "".join(f"host {name}\n  user watcher\n  password see\n" for name in ("lb_one", "lb_two", "reader1"))
AGENT_1X = """\
include mmm_common.conf
this lb_one
mode master
peer lb_two
pid_path /usr/local/mmm/var/mmmd_agent.pid
bin_path /usr/local/mmm/bin
""" + "".join(f"host {name}\n  user mover\n  password move\n" for name in ("lb_one", "lb_two", "reader1"))


def cluster(files: dict[str, str], name: str, program: Program) -> Cluster:
    return check(read(Memory(files), name), program, "", lambda _: "")


def layout(conf: Conf) -> Layout:
    """Return the layout of a conf; every agent's conf is that of the first host, which matters to no test here."""
    files = conf.files()
    monitor = cluster(files, "mmm_mon.conf", "MONITOR")
    agent = cluster(files, "mmm_agent.conf", "AGENT")
    return plan(monitor, dict.fromkeys(monitor.agents, agent))


def test_the_default_cluster() -> None:
    built = layout(Conf())
    assert {name: plug.ip for name, plug in built.plugs.items()} == {
        "db1": "10.77.0.4",
        "db2": "10.77.0.5",
        "db3": "10.77.0.7",
        "monitor": "10.77.0.2",
        "client": "10.77.0.3",
    }
    assert built.gateways == ("10.77.0.1",)
    assert (built.writer_ip, built.reader_ips) == ("10.77.0.80", ("10.77.0.90", "10.77.0.91", "10.77.0.92"))
    assert [built.source_of(name) for name in built.hosts] == ["db2", "db1", "db1"]
    assert built.lengths[4] == 24


def test_every_value_can_be_set() -> None:
    conf = Conf(
        slaves=0,
        top={"debug": "1"},
        monitor={"mode": "manual", "auto_set_online": 30},
        checks={"rep_backlog": {"max_backlog": 2}},
        hosts={"default": {"agent_user": "x"}, "db2": {"mysql_port": 3310}},
        roles={"writer": {"prefer": "db2"}},
        extra={"mmm_mon.conf": "<socket>\ntype plain\n</socket>\n"},
    )
    built = layout(fast(conf, 0.5)).cluster
    assert built.debug is False  # the monitor's own file has the last word
    assert built.monitor is not None
    assert (built.monitor.mode, built.monitor.auto_set_online) == ("manual", 30)
    assert (built.checks["mysql"].trap_period, built.checks["rep_backlog"].max_backlog) == (0.5, 2)
    assert built.hosts["db2"].mysql_port == 3310
    assert built.roles["writer"].prefer == "db2"


def test_a_monitor_on_a_host_shares_its_machine() -> None:
    built = layout(Conf(monitor={"ip": "10.77.0.7"}))
    assert built.monitor == "db3"
    assert "monitor" not in built.plugs


def test_a_witness_is_a_machine_without_a_server(tmp_path: Path) -> None:
    built = layout(Conf(slaves=0, monitors=2, witnesses=1))
    assert (tuple(built.hosts), built.plugs["witness"].ip) == (("db1", "db2"), "10.77.0.71")
    at_monitor = Conf(
        slaves=0, monitors=2, witnesses=1, extra={"mmm_common.conf": "monitors 10.77.0.2, 10.77.0.71\n"}
    )
    assert tuple(layout(at_monitor).monitors) == ("monitor", "witness")
    folder = tmp_path / "etc"
    folder.mkdir()
    for name, text in Conf(slaves=0, monitors=2, witnesses=1).files().items():
        (folder / name).write_text(text)
    own = install_conf(folder, tmp_path / "homes", lambda _: None).agents["witness"]
    assert own.is_witness
    with pytest.raises(SandboxError, match="several monitors"):
        Conf(witnesses=1)


def test_a_monitor_at_the_loopback_gets_an_address_to_speak_from() -> None:
    built = layout(Conf(monitor={"ip": "127.0.0.1"}))
    assert (built.monitor_ip, built.plugs["monitor"].ip) == ("127.0.0.1", "10.77.0.2")


@pytest.mark.parametrize("text", ["2m1s", "2m", "1m3s"])
def test_hosts_are_written_as_masters_and_slaves(text: str) -> None:
    masters, slaves = hosts(text)
    assert len(Conf(masters, slaves).addresses) == masters + slaves


@pytest.mark.parametrize("text", ["", "2", "m", "1m", "0m2s", "3m", "2m61s", "2m1s1x"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(SandboxError):
        Conf(*hosts(text))


@pytest.mark.parametrize(
    ("addresses", "lengths"),
    [
        (["10.0.0.1", "10.0.0.2"], {4: 24, 6: 64}),
        (["10.0.0.1", "10.0.9.2"], {4: 16, 6: 64}),
        (["10.0.0.1", "192.168.0.2"], {4: 32, 6: 64}),
        (["fd00::1", "fd01::1"], {4: 24, 6: 128}),
    ],
)
def test_one_subnet_where_the_addresses_allow_it(addresses: list[str], lengths: dict[int, int]) -> None:
    assert prefix_lengths(addresses) == lengths


@pytest.mark.parametrize(
    ("there", "made"), [("mmm_mon.conf", "mmm_agent.conf"), ("mmm_agent.conf", "mmm_mon.conf")]
)
def test_what_the_folder_of_one_machine_lacks_is_made(tmp_path: Path, there: str, made: str) -> None:
    """On a monitor host there is no agent's conf, on a MySQL host no monitor's."""
    folder = tmp_path / "etc"
    folder.mkdir()
    files = Conf().files()
    for name in ("mmm_common.conf", there):
        (folder / name).write_text(files[name])
    said: list[str] = []
    built = install_conf(folder, tmp_path / "homes", said.append)
    assert [line.split(": made")[0] for line in said] == [f"{folder} has no {made}"]
    assert list(built.hosts) == ["db1", "db2", "db3"]
    for name in built.hosts:
        assert f"this {name}\n" in (tmp_path / "homes" / name / "etc/mysql-mmm/mmm_agent.conf").read_text()
    monitor = built.cluster.monitor
    assert monitor is not None
    assert built.gateways == monitor.ping_ips
    assert sorted(path.name for path in folder.iterdir()) == sorted(["mmm_common.conf", there])
    assert read_layout(None, tmp_path / "homes").plugs == built.plugs


def test_a_folder_without_a_cluster_is_named(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match=rf"^{tmp_path}: neither mmm_mon.conf nor mmm_common.conf"):
        install_conf(tmp_path, tmp_path / "homes", lambda _: None)


@pytest.fixture
def utc() -> Iterator[None]:
    """Have local time be UTC, for the C library too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("text", "since"),
    [("90", "2001 09 09 01 45 10"), ("7:05", "2001 09 09 07 05 00"), ("23:59:58", "2001 09 09 23 59 58")],
)
@pytest.mark.usefixtures("utc")
def test_a_moment_is_a_time_of_today_or_seconds_ago(text: str, since: str) -> None:
    assert moment(text, 1_000_000_000.0) == tuple(since.split())
    with pytest.raises(SandboxError, match="--since yesterday: write HH:MM"):
        moment("yesterday", 1_000_000_000.0)


@pytest.fixture
def old_conf(tmp_path: Path) -> Iterator[Sandbox]:
    """Give the cluster of a 1.x conf: two subnets, another port, another interface, files in /usr/local/mmm."""
    if os.geteuid() != 0:
        pytest.skip("the sandbox needs root")
    for name, text in {"mmm_common": COMMON_1X, "mmm_mon": MON_1X, "mmm_agent": AGENT_1X}.items():
        (tmp_path / f"{name}.conf").write_text(text)
    name = f"old{os.getpid()}"
    sandbox = up(name, conf=tmp_path)
    restore(sandbox)  # who was well first has the writer
    yield sandbox
    down(name)


@pytest.mark.sandbox
def test_a_1x_conf_is_rebuilt_as_it_is(old_conf: Sandbox, tmp_path: Path) -> None:
    assert old_conf.writer() == "lb_one"
    assert (old_conf.machine("reader1").etc / "mmm_common.conf").read_text() == COMMON_1X
    assert "this reader1\n" in (old_conf.machine("reader1").etc / "mmm_agent.conf").read_text()
    assert "bond0" in old_conf.machine("lb_two").run(["ip", "link"]).stdout
    assert old_conf.monitor.path("/usr/local/mmm/var/mmmd.status").is_file()
    assert old_conf.sql("lb_one", "SELECT @@port AS port") == [{"port": 3307}]
    with Probe(old_conf, readers=False) as probe:
        probe.wait_writes(LIMIT)
        move_writer(old_conf, "lb_two")
        outage = probe.wait_move(LIMIT)
    assert (outage.before, outage.after) == ("lb_one", "lb_two")
    assert probe.report.missing == probe.report.doubled == ()


@pytest.mark.sandbox
def test_a_conf_that_is_wrong_is_said_with_file_and_line(tmp_path: Path) -> None:
    for name, text in Conf().files().items():
        (tmp_path / name).write_text(text.replace("mode                    slave", "mode   slvae"))
    with pytest.raises(SandboxError, match=r"mmm_common\.conf:\d+: "):
        up(f"wrong{os.getpid()}", conf=tmp_path)
