"""A full copy by a real sshd, whose key is good for that alone."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import mmm
from mmm.config.model import Cluster, Socket
from mmm.tools.fetch.fetch import fetch
from mmm.tools.fetch.over_ssh import usable
from mmm.tools.fetch.values import Cause, Failed, Fetched
from tests.ports import kept_port
from tests.servers import MISSING, Server, Servers
from tests.unit.copying import DONOR, MASTERS, TOOLS, conf_of, make_tools_user

SSHD = "/usr/sbin/sshd"
ROOT = Path(mmm.__file__).parents[1]
LIMIT = 20.0
CONF = """\
this db2
active_master_role writer
<host default>
    cluster_interface lo
    pid_path {folder}/agent.pid
    bin_path /usr
    mysql_port {port}
    mysql_pidfile {pid}
    agent_user a
    agent_password a
    replication_user r
    replication_password r
    tools_user {tools.user}
    tools_password {tools.password}
</host>
"""
SSHD_CONF = """\
ListenAddress 127.0.0.1:{port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized
PidFile {folder}/sshd.pid
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
Subsystem sftp internal-sftp
"""


@dataclass
class Donor:
    """A server's host with its sshd."""

    conf: Cluster
    """Of the recipient."""
    folder: Path

    def fetch(self) -> Fetched | Failed:
        return fetch(self.conf, self.conf.hosts[DONOR], self.folder / "staging", lambda _: None)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def start_sshd(folder: Path, port: int, *, forced: bool = True) -> "subprocess.Popen[bytes]":
    """Start one whose key is good for mmm_stream alone, or unless that is `forced` for anything."""
    for name in ("host", "key", "stranger"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    program = (
        f"env PYTHONPATH={ROOT} {sys.executable} -m mmm.agent.stream.ssh --config {folder}/mmm_agent.conf"
    )
    key = (folder / "key.pub").read_text()
    (folder / "authorized").write_text(f'restrict,command="{program}" {key}' if forced else key)
    (folder / "sshd.conf").write_text(SSHD_CONF.format(folder=folder, port=port))
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "sshd.conf")], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + LIMIT
    while not answers(port):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


@pytest.fixture(scope="module")
def server(server_pool: Servers) -> Iterator[Server]:
    with server_pool.lent() as pool:
        server = pool.start()
        make_tools_user(server)
        server.run("CREATE DATABASE shop", "CREATE TABLE shop.o (id INT)", "INSERT INTO shop.o VALUES (1)")
        yield server


@pytest.fixture
def donor(server: Server, tmp_path: Path) -> Iterator[Donor]:
    if not Path(SSHD).exists():
        MISSING["sshd"] = "no sshd on this machine: apt-get install openssh-server"
        pytest.skip(MISSING["sshd"])
    pid = server.directory / "pid"
    file = tmp_path / "mmm_agent.conf"
    file.write_text((CONF + MASTERS).format(folder=tmp_path, port=server.port, pid=pid, tools=TOOLS))
    file.chmod(0o600)
    with kept_port() as port:
        process = start_sshd(tmp_path, port)
        known = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
        conf = conf_of(tmp_path, server, Socket())
        host = replace(
            conf.hosts[DONOR],
            ssh_user="root",
            ssh_port=port,
            ssh_parameters=f"-c blowfish -i {tmp_path}/key {known}",
        )
        yield Donor(replace(conf, this="db1", hosts={**conf.hosts, DONOR: host}), tmp_path)
        process.terminate()
        process.wait()


@pytest.mark.mysql
def test_a_copy_comes_by_ssh_where_agents_have_no_tls(donor: Donor, server: Server) -> None:
    came = donor.fetch()
    assert isinstance(came, Fetched), came
    assert came.position.gtid == server.value("@@gtid_binlog_pos")
    assert (donor.folder / "staging/shop/o.ibd").is_file()


@pytest.mark.mysql
def test_the_key_is_good_for_nothing_else(donor: Donor) -> None:
    """What is asked for is taken for a provider and a job, whatever it is."""
    host = donor.conf.hosts[DONOR]
    argv = ["ssh", *usable(host.ssh_parameters.split()), "-p", str(host.ssh_port), "root@127.0.0.1"]
    done = subprocess.run([*argv, f"touch {donor.folder}/made"], capture_output=True, check=False)
    assert not (donor.folder / "made").exists()
    assert b'"refused": "' in done.stdout


@pytest.mark.mysql
@pytest.mark.parametrize(
    ("changes", "words"), [({"key": "stranger"}, "Permission denied"), ({"port": "1"}, "Connection refused")]
)
def test_why_ssh_fails_is_said(donor: Donor, changes: dict[str, str], words: str) -> None:
    host = donor.conf.hosts[DONOR]
    port = int(changes.get("port", host.ssh_port))
    parameters = host.ssh_parameters.replace("/key", f"/{changes.get('key', 'key')}")
    changed = replace(host, ssh_port=port, ssh_parameters=parameters)
    came = replace(donor, conf=replace(donor.conf, hosts={**donor.conf.hosts, DONOR: changed})).fetch()
    assert isinstance(came, Failed)
    assert came.cause is Cause.UNREACHABLE
    assert words in came.text
    assert not (donor.folder / "staging").exists()


def test_a_cipher_that_is_no_more_is_left_out() -> None:
    assert usable(["-c", "blowfish", "-p", "22"]) == ["-p", "22"]
    assert usable(["-cblowfish-cbc", "-v"]) == ["-v"]
    assert usable(["-c", "aes128-ctr"]) == ["-c", "aes128-ctr"]


@pytest.mark.parametrize(
    "asked", ["mmm_stream 'dump j1", "", "mmm_stream", "sh -c id", "mmm_stream dump ../x"]
)
def test_who_asks_for_something_else_is_refused_and_sees_nothing_of_the_program(
    tmp_path: Path, asked: str
) -> None:
    conf = tmp_path / "mmm_agent.conf"
    server = {"folder": tmp_path, "port": 3306, "pid": tmp_path / "mysqld.pid", "tools": TOOLS}
    conf.write_text(CONF.format(**server) + MASTERS)
    conf.chmod(0o640)
    ran = subprocess.run(
        [sys.executable, "-m", "mmm.agent.stream.ssh", "--config", conf],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "SSH_ORIGINAL_COMMAND": asked},
        capture_output=True,
        check=False,
        timeout=LIMIT,
    )
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert b"refused" in ran.stdout


@pytest.mark.parametrize("option", ["--check", "--foreground", "--doctor", "--print-conf"])
def test_it_takes_no_option_of_daemons(option: str) -> None:
    program = [sys.executable, "-m", "mmm.agent.stream.ssh"]
    ran = subprocess.run([*program, option], capture_output=True, check=False, text=True, timeout=LIMIT)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert f"unrecognized arguments: {option}" in ran.stderr
