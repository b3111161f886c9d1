"""A cluster that speaks TLS on all its ports, and to the servers, with a CA made here."""

import contextlib
import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mmm.config.model import Socket
from mmm.process.tls import client_context
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines import sql
from mmm.sandbox.machines.build import program
from mmm.sandbox.machines.conf import NET, WRITER_IP, Conf, fast
from mmm.sandbox.trouble.faults import heal, inject
from mmm.sandbox.witness.health import settle
from tests.authority import Authority
from tests.clusters import LIMIT, Kept, kept, monitor_log, shown
from tests.scenarios import LONG_LEASE, Log, move_writer, wait_back, watched

pytestmark = pytest.mark.sandbox

ETC = "/etc/mysql-mmm"
SOCKET = f"""\
<socket>
    type ssl
    cert_file {ETC}/cluster.crt
    key_file {ETC}/cluster.key
    ca_file {ETC}/ours.pem
</socket>
"""
PORTS = [("db1", 9989, b"PING|1|db1\n"), ("monitor", 9988, b"ping\nquit\n")]
HEALTH = ("db1", 9991, b"GET / HTTP/1.0\r\n\r\n")


@dataclass(frozen=True)
class Secured:
    """The cluster, the CA that its files are of, and another one."""

    cluster: Kept
    ours: Authority
    theirs: Authority

    def healthy(self) -> Sandbox:
        """Return the cluster healthy, db1 being the writer."""
        return self.cluster.healthy()


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("tls")
    ours, theirs = Authority(folder, "ours"), Authority(tmp_path_factory.mktemp("theirs"), "theirs")
    ours.issue("cluster")
    for authority in (ours, theirs):
        authority.issue("server")
    conf = Conf(
        slaves=0,
        top={"allow_from": f"{NET}0/24", "health_from": f"{NET}0/24", "vip_lease": LONG_LEASE},
        monitor={"flap_count": 0},
        hosts={
            "default": {
                "mysql_ssl_mode": "verify_ca",
                "mysql_ssl_ca": f"{ETC}/server-ca.pem",
                "health_port": HEALTH[1],
            }
        },
        extra={"mmm_common.conf": SOCKET},
    )
    for name, text in fast(conf).files().items():
        (folder / name).write_text(text)
    (folder / "server-ca.pem").write_bytes(ours.path.read_bytes())
    options = {"ssl_cert": f"{ETC}/server.crt", "ssl_key": f"{ETC}/server.key"}
    with kept("tls", folder, furnish=demand_tls, options=options) as cluster:
        yield Secured(cluster, ours, theirs)


def demand_tls(sandbox: Sandbox) -> None:
    """Let the accounts of MMM in with TLS only."""
    users = [f"ALTER USER '{user}'@'%' REQUIRE SSL" for user in ("mmm_agent", "mmm_monitor")]
    for name in sandbox.hosts:
        sql.execute(sandbox.machine(name), ["SET SESSION sql_log_bin=0", *users])


def answer(sandbox: Sandbox, target: tuple[str, int, bytes], context: ssl.SSLContext | None) -> bytes:
    """Return what a client on another machine is answered; raises OSError when it is turned away."""
    machine, port, sent = target
    with contextlib.ExitStack() as stack:
        plain = stack.enter_context(sandbox.client.connect((sandbox.layout.plugs[machine].ip, port), LIMIT))
        talk: socket.socket = plain
        if context is not None:
            talk = stack.enter_context(context.wrap_socket(plain))
        talk.sendall(sent)
        return talk.recv(4096)


def certificate(settings: Socket) -> ssl.SSLContext:
    context = client_context(settings)
    assert context is not None
    return context


def refused(sandbox: Sandbox, target: tuple[str, int, bytes], context: ssl.SSLContext | None) -> bool:
    try:
        return b"OK" not in answer(sandbox, target, context)
    except OSError:
        return True


def test_everything_works_as_without(secured: Secured) -> None:
    sandbox = secured.healthy()
    assert sandbox.control("show").stdout == shown(sandbox)
    move_writer(sandbox, "db2")
    assert sandbox.writer() == "db2"
    settle(sandbox)
    inject(sandbox, "kill-mysqld", "db2")
    sandbox.wait_until(lambda: sandbox.writer() == "db1", LIMIT, "db1 is the writer")


def test_the_end_of_a_servers_process_is_told_at_once(secured: Secured) -> None:
    """The question that waits for it is open over TLS meanwhile."""
    sandbox = secured.healthy()
    log, pid = Log(sandbox), watched(sandbox, "db1")
    inject(sandbox, "kill-mysqld", "db1")
    log.wait(f"db1: its server's process {pid} has ended")
    log.wait_change("db1", "HARD_OFFLINE")
    sandbox.wait_until(lambda: sandbox.writer() == "db2", LIMIT, "db2 is the writer")
    heal(sandbox)
    wait_back(sandbox, log, "db1")


@pytest.mark.parametrize("target", PORTS, ids=["agent", "monitor"])
def test_who_has_a_certificate_of_our_ca_is_served(secured: Secured, target: tuple[str, int, bytes]) -> None:
    context = certificate(secured.ours.issue("admin"))
    assert answer(secured.healthy(), target, context).startswith(b"OK: Pinged")


@pytest.mark.parametrize("target", PORTS, ids=["agent", "monitor"])
def test_others_are_refused(secured: Secured, target: tuple[str, int, bytes]) -> None:
    sandbox = secured.healthy()
    anonymous = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anonymous.check_hostname = False
    anonymous.load_verify_locations(secured.ours.path)
    foreign = secured.theirs.issue("stranger")
    stranger = certificate(Socket("ssl", foreign.cert_file, foreign.key_file, str(secured.ours.path)))
    for context in (None, anonymous, stranger):
        assert refused(sandbox, target, context)
    settle(sandbox)
    assert "Warning" not in sandbox.control("show").stdout
    for log in sandbox.homes.glob("*/var/log/mysql-mmm/*.log"):
        assert "Traceback" not in log.read_text(), log


def test_a_client_that_says_nothing_keeps_nobody_out(secured: Secured) -> None:
    sandbox = secured.healthy()
    with contextlib.ExitStack() as stack:
        for machine, port, _ in PORTS:
            for _ in range(300):
                with contextlib.suppress(ConnectionResetError):  # too many of one address in their handshake
                    stack.enter_context(
                        sandbox.client.connect((sandbox.layout.plugs[machine].ip, port), LIMIT)
                    )
        assert sandbox.control("set_offline", "db2").returncode == 0
        assert sandbox.control("set_online", "db2").returncode == 0
    settle(sandbox)


@pytest.mark.parametrize("name", ["cluster.crt", "cluster.key", "ours.pem"])
def test_a_missing_file_is_an_error_of_the_conf(secured: Secured, name: str) -> None:
    sandbox = secured.healthy()
    moved: list[Path] = []
    try:
        for machine in ("db1", "monitor"):
            path = sandbox.machine(machine).etc / name
            moved.append(path.rename(path.with_suffix(".away")))
        for machine, daemon in (("db1", "mmm_agentd"), ("monitor", "mmm_mond")):
            done = sandbox.machine(machine).run([program(daemon), "--check"], check=False)
            assert done.returncode == 2
            assert f"{ETC}/{name}" in done.stderr
        assert sandbox.init("db1", "mysql-mmm-agent", "restart").returncode == 6
        done = sandbox.control("show")
        assert (done.returncode, done.stdout, f"{ETC}/{name}" in done.stderr) == (2, "", True)
    finally:
        for path in moved:
            path.rename(path.parent / name)
    assert sandbox.control("show").returncode == 0, "the daemons went on with what they had read"


def test_mmm_control_with_a_strangers_certificate_is_told_so(secured: Secured) -> None:
    sandbox = secured.healthy()
    foreign = secured.theirs.issue("stranger")
    etc = sandbox.monitor.etc
    files = {"stranger.crt": foreign.cert_file, "stranger.key": foreign.key_file}
    (etc / "stranger.conf").write_text(
        "include mmm_mon.conf\n"
        + SOCKET.replace("cluster.crt", "stranger.crt").replace("cluster.key", "stranger.key")
    )
    (etc / "stranger.conf").chmod(0o600)
    for name, source in files.items():
        (etc / name).write_bytes(Path(source).read_bytes())
    try:
        done = sandbox.control("--config", f"{ETC}/stranger.conf", "show")
    finally:
        for name in (*files, "stranger.conf"):
            (etc / name).unlink()
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)


def test_a_server_with_a_strangers_certificate_is_named_and_nothing_moves(secured: Secured) -> None:
    """That is for the admin to mend; a failover would not help anybody."""
    sandbox = secured.healthy()
    log = monitor_log(sandbox)
    etc = sandbox.machine("db1").etc
    for suffix in ("crt", "key"):
        (etc / f"server.{suffix}").write_bytes((secured.theirs.folder / f"server.{suffix}").read_bytes())
    sandbox.sql("db1", "FLUSH SSL")
    try:
        refusal = r"db1 +mysql .*UNKNOWN: MySQL at 10\.77\.0\.4:3306 as mmm_monitor: TLS: its certificate"
        sandbox.wait_until(lambda: re.search(refusal, sandbox.ask("checks db1")), LIMIT, "it is named")
        assert sandbox.holders(WRITER_IP) == ("db1",)
        assert log.count("db1: ONLINE -> HARD_OFFLINE") == 0
    finally:
        for suffix in ("crt", "key"):
            (etc / f"server.{suffix}").write_bytes((secured.ours.folder / f"server.{suffix}").read_bytes())
        sandbox.sql("db1", "FLUSH SSL")
    sandbox.wait_until(lambda: "UNKNOWN" not in sandbox.ask("checks db1"), LIMIT, "it is good again")
    assert sandbox.states()["db1"] == "ONLINE"


class Renewal:
    """The TLS files of all machines while they are renewed, and what the daemons say of that."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._machines = (*sandbox.hosts, sandbox.layout.monitor)

    def put(self, **files: bytes) -> None:
        """Put files there, and have all daemons read them; returns once they have."""
        sandbox = self._sandbox
        logs = {name: Log(sandbox, name, "mmm_agentd") for name in sandbox.hosts}
        for machine in self._machines:
            for name, data in files.items():
                (sandbox.machine(machine).etc / name.replace("_", ".")).write_bytes(data)
        said = sandbox.control("reload").stdout
        assert "The conf has not changed" in said
        assert "TLS: new files are taken" in said
        for host, agents in logs.items():
            assert sandbox.init(host, "mysql-mmm-agent", "reload").returncode == 0
            agents.wait("TLS: new files are taken", 2)  # by the agent, and by what answers load balancers


def shown_by(sandbox: Sandbox, target: tuple[str, int, bytes], context: ssl.SSLContext) -> bytes | None:
    """Return the certificate that a port shows."""
    machine, port, _ = target
    where = (sandbox.layout.plugs[machine].ip, port)
    with sandbox.client.connect(where, LIMIT) as plain, context.wrap_socket(plain) as talk:
        return talk.getpeercert(binary_form=True)


def test_certificates_of_another_ca_come_without_a_restart_and_no_role_moves(secured: Secured) -> None:
    """First all accept both CAs, then the certificates are replaced, and then the old CA goes."""
    sandbox = secured.healthy()
    renewal, story = Renewal(sandbox), monitor_log(sandbox)
    old_ca, new_ca = secured.ours.path.read_bytes(), secured.theirs.path.read_bytes()
    issued = secured.theirs.issue("cluster")
    new, new_key = Path(issued.cert_file).read_bytes(), Path(issued.key_file).read_bytes()
    old, old_key = ((secured.ours.folder / f"cluster.{end}").read_bytes() for end in ("crt", "key"))
    both = secured.theirs.folder / "both.pem"
    both.write_bytes(old_ca + new_ca)
    before, after = (
        certificate(Socket("ssl", files.cert_file, files.key_file, str(both)))
        for files in (secured.ours.issue("admin"), secured.theirs.issue("admin"))
    )
    ports = (*PORTS, HEALTH)
    try:
        renewal.put(ours_pem=old_ca + new_ca)
        assert {shown_by(sandbox, port, after) for port in ports} == {ssl.PEM_cert_to_DER_cert(old.decode())}
        renewal.put(cluster_crt=new, cluster_key=new_key)
        assert {shown_by(sandbox, port, before) for port in ports} == {ssl.PEM_cert_to_DER_cert(new.decode())}
        renewal.put(ours_pem=new_ca)
        assert all(refused(sandbox, port, before) for port in ports), "the old CA is good no more"
        assert all(b"OK" in answer(sandbox, port, after) for port in ports)
        settle(sandbox)
        assert sandbox.control("show").stdout == shown(sandbox)
        assert sandbox.holders(WRITER_IP) == ("db1",)
        assert story.count(r"ONLINE ->") == story.count("not reachable") == 0
    finally:
        renewal.put(ours_pem=old_ca + new_ca)
        renewal.put(cluster_crt=old, cluster_key=old_key)
        renewal.put(ours_pem=old_ca)
