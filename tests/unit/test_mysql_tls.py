"""TLS to real servers, as the `mysql_ssl_…` keys ask, with certificates made here."""

import asyncio
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from mmm.config.model import Check, Host, Socket, SslMode
from mmm.monitor.act.checks import check_mysql
from mmm.monitor.world.checks import Outcome
from mmm.mysql.session import deadline_socket
from mmm.mysql.session.connection import (
    Address,
    Connection,
    ErrorKind,
    MysqlError,
    connect,
)
from mmm.mysql.session.reused import Kept
from mmm.mysql.session.tls import Tls
from tests.authority import Authority
from tests.servers import OTHERS, Server, Servers, kind

pytestmark = pytest.mark.mysql

HERE = "127.0.0.1"
LONG = 10.0
SHORT = 0.5


@dataclass
class Secured:
    """A server that speaks TLS, the CA that its certificate is of, and another one."""

    server: Server
    folder: Path
    ours: Authority
    theirs: Authority

    def address(self, tls: Tls | None, user: str = "root", password: str = "") -> Address:
        return replace(self.server.address(user, password), tls=tls)

    @property
    def checked(self) -> Tls:
        """What a cautious admin writes."""
        return Tls("verify_identity", str(self.ours.path))

    @contextmanager
    def certificate(self, issued: Socket) -> Iterator[None]:
        """Have the server show another certificate for a while."""
        reload = "FLUSH SSL" if self.server.kind.flavour.mariadb else "ALTER INSTANCE RELOAD TLS"
        own = (str(self.folder / name) for name in ("own.crt", "own.key", "ours.pem"))
        try:
            _put(issued, self.folder)
            self.server.run(reload)
            yield
        finally:
            _put(Socket("ssl", *own), self.folder)
            self.server.run(reload)

    @contextmanager
    def account(self, *statements: str) -> Iterator[None]:
        """Give an account `guest` for a while, with the password `s3cret`."""
        self.server.run("SET SESSION sql_log_bin=0", "CREATE USER guest IDENTIFIED BY 's3cret'", *statements)
        try:
            yield
        finally:
            self.server.run("DROP USER guest")


def _put(issued: Socket, folder: Path) -> None:
    shutil.copyfile(issued.cert_file, folder / "server.crt")
    shutil.copyfile(issued.key_file, folder / "server.key")
    shutil.copyfile(issued.ca_file, folder / "server-ca.pem")


@pytest.fixture(scope="module", params=["mariadb", *OTHERS])
def secured(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("tls")
    ours, theirs = Authority(folder, "ours"), Authority(tmp_path_factory.mktemp("theirs"), "theirs")
    _put(ours.issue("own", ip=HERE), folder)
    servers = Servers(folder / "servers", kind(request.param))
    files = {
        "ssl-ca": folder / "server-ca.pem",
        "ssl-cert": folder / "server.crt",
        "ssl-key": folder / "server.key",
    }
    try:
        server = servers.start(*(f"--{key}={path}" for key, path in files.items()))
        yield Secured(server, folder, ours, theirs)
    finally:
        servers.stop()


def cipher(connection: Connection) -> str:
    return str(connection.query("SHOW SESSION STATUS LIKE 'Ssl_cipher'")[0]["Value"])


def refused(address: Address, limit: float = LONG) -> MysqlError:
    with pytest.raises(MysqlError) as caught:
        connect(address, limit)
    assert "\n" not in caught.value.text
    return caught.value


def see_denied(address: Address, what: str) -> None:
    error = refused(address)
    assert (error.kind, error.server_alive) == (ErrorKind.DENIED, True)
    assert what in error.text
    assert "mysql_ssl_" in error.text


@pytest.mark.parametrize("mode", ["required", "verify_ca", "verify_identity"])
def test_every_mode_encrypts_and_limits(secured: Secured, mode: SslMode) -> None:
    tls = replace(secured.checked, mode=mode) if mode != "required" else Tls()
    with connect(secured.address(None), LONG) as plain:
        assert cipher(plain) == ""
    with connect(secured.address(tls), LONG) as connection:
        assert cipher(connection)
        assert (
            len(connection.query("SELECT REPEAT('x', 3000000) AS long_one")[0]["long_one"] or "") == 3000000
        )
        with pytest.raises(MysqlError) as caught:
            connection.query("SELECT SLEEP(30)", timeout=0.2)
        assert caught.value.kind is ErrorKind.TIMED_OUT
        assert connection.socket.fileno() == -1


def test_a_frozen_server_times_out_in_the_handshake_and_in_a_statement(secured: Secured) -> None:
    with connect(secured.address(secured.checked), LONG) as connection, secured.server.frozen():
        assert refused(secured.address(secured.checked), SHORT).kind is ErrorKind.TIMED_OUT
        with pytest.raises(MysqlError) as caught:
            connection.query("SELECT 1", timeout=SHORT)
        assert caught.value.kind is ErrorKind.TIMED_OUT


def test_an_answer_without_end_is_cut_off(secured: Secured, monkeypatch: pytest.MonkeyPatch) -> None:
    with connect(secured.address(secured.checked), LONG) as connection:
        monkeypatch.setattr(deadline_socket, "MAX_ANSWER", 100_000)
        with pytest.raises(MysqlError, match="longer than"):
            connection.query("SELECT REPEAT('x', 1000000)")


def test_a_certificate_of_another_ca_is_named_and_is_no_dead_server(secured: Secured) -> None:
    strange = Tls("verify_ca", str(secured.theirs.path))
    see_denied(secured.address(strange), "its certificate is not accepted: ")
    host = Host(
        "db1",
        HERE,
        "master",
        mysql_port=secured.server.port,
        mysql_ssl_mode="verify_ca",
        mysql_ssl_ca=strange.ca,
    )
    with ThreadPoolExecutor(1) as threads:
        result = asyncio.run(check_mysql(host, Check("mysql"), Kept(secured.address(strange), threads)))
    assert result.finding.outcome is Outcome.UNKNOWN
    assert str(result.finding).startswith(f"UNKNOWN: MySQL at {HERE}:{secured.server.port} as root: TLS: ")


def test_a_certificate_of_another_address_is_refused_where_identity_counts(secured: Secured) -> None:
    elsewhere = secured.ours.issue("elsewhere", ip="127.0.0.9")
    with secured.certificate(elsewhere):
        connect(secured.address(replace(secured.checked, mode="verify_ca")), LONG).close()
        see_denied(secured.address(secured.checked), "not valid for '127.0.0.1'")
    connect(secured.address(secured.checked), LONG).close()


def test_a_renewed_certificate_of_another_ca_is_seen_at_the_next_login(secured: Secured) -> None:
    with secured.certificate(secured.theirs.issue("new", ip=HERE)):
        see_denied(secured.address(secured.checked), "its certificate is not accepted")
        connect(secured.address(Tls()), LONG).close()
    connect(secured.address(secured.checked), LONG).close()


def test_an_account_that_demands_a_certificate_gets_the_one_of_the_conf(secured: Secured) -> None:
    with secured.account("ALTER USER guest REQUIRE X509"):
        see_denied_login(secured.address(secured.checked, "guest", "s3cret"))
        see_denied_login(secured.address(None, "guest", "s3cret"))
        own = secured.ours.issue("client")
        shown = replace(secured.checked, cert=own.cert_file, key=own.key_file)
        with connect(secured.address(shown, "guest", "s3cret"), LONG) as connection:
            assert cipher(connection)


def see_denied_login(address: Address) -> None:
    error = refused(address)
    assert (error.kind, error.number) == (ErrorKind.DENIED, 1045)


def test_a_certificate_that_the_server_does_not_take_is_no_dead_server(secured: Secured) -> None:
    own = secured.theirs.issue("stranger")
    shown = replace(secured.checked, cert=own.cert_file, key=own.key_file)
    assert refused(secured.address(shown)).server_alive


def test_a_server_that_demands_tls_says_so_to_whoever_comes_without(secured: Secured) -> None:
    with connect(secured.address(secured.checked), LONG) as root:
        root.execute("SET GLOBAL require_secure_transport=1")
        try:
            see_denied(secured.address(None), "mysql_ssl_mode")
        finally:
            root.execute("SET GLOBAL require_secure_transport=0")


def test_caching_sha2_password_logs_in_with_tls_and_without(secured: Secured) -> None:
    """The first login after the server has forgotten who was there needs the password itself: encrypted, or by RSA."""
    if secured.server.kind.flavour.mariadb:
        pytest.skip("MariaDB has no caching_sha2_password")
    with secured.account("ALTER USER guest IDENTIFIED WITH caching_sha2_password BY 's3cret'"):
        for tls in (None, Tls(), secured.checked):
            for forgotten in (True, False):
                if forgotten:
                    secured.server.run("FLUSH PRIVILEGES")
                with connect(secured.address(tls, "guest", "s3cret"), LONG) as connection:
                    assert bool(cipher(connection)) is (tls is not None)
        assert refused(secured.address(Tls(), "guest", "wrong")).number == 1045


def test_a_server_without_tls_is_told_nothing(server_pool: Servers) -> None:
    with server_pool.lent() as servers:  # MariaDB 11.4 and later make themselves a certificate
        address = replace(servers.start("--skip-ssl").address(), tls=Tls())
        see_denied(address, "SSL is required but the server doesn't support it")


@pytest.mark.parametrize("key", ["ca", "cert", "key"])
def test_a_file_that_cannot_be_used_is_named_and_is_no_dead_server(
    tmp_path: Path, secured: Secured, key: str
) -> None:
    own = secured.ours.issue("client")
    good = Tls("verify_ca", str(secured.ours.path), own.cert_file, own.key_file)
    (tmp_path / "rubbish").write_text("rubbish")
    for path in (tmp_path / "gone", tmp_path / "rubbish"):
        files = {"ca": good.ca, "cert": good.cert, "key": good.key, key: str(path)}
        error = refused(secured.address(Tls("verify_ca", **files)))
        assert (error.kind, error.server_alive) == (ErrorKind.FAILED, True)
        assert f"mysql_ssl_{key} {path}" in error.text
