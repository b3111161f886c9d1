"""A server that is started on a copy shows that it is one: it has what was promised, lets MMM in, and ends in order."""

import asyncio
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mmm.config.model import Socket
from mmm.mysql.backup.mariadb_backup import Position
from mmm.mysql.server.accounts import grants
from mmm.process.started_as import started_as
from mmm.tools.fetch.stage import Login, Proved, prove, server_of
from mmm.tools.fetch.values import Cause, Failed, Fetched
from tests.servers import Server, Servers
from tests.unit.copying import conf_of, donor_of, make_tools_user
from tests.unit.trio import AGENT, MONITOR, REPLICATION

pytestmark = pytest.mark.mysql

ACCOUNTS = tuple(Login(each.user, each.password) for each in (MONITOR, AGENT, REPLICATION))


@pytest.fixture(scope="module")
def pool(server_pool: Servers) -> Iterator[Servers]:
    with server_pool.lent() as pool:
        yield pool


@pytest.fixture(scope="module")
def donor(pool: Servers) -> Server:
    server = pool.start("--log-slave-updates", "--gtid-strict-mode=ON")
    make_tools_user(server)
    server.run(*grants(server.kind.flavour, MONITOR, AGENT, REPLICATION))
    server.run(
        "CREATE DATABASE shop",
        "CREATE TABLE shop.orders (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(200))",
        "INSERT INTO shop.orders (what) SELECT MD5(seq) FROM test.seq_1_to_100",
    )
    return server


@pytest.fixture(scope="module")
def copied(donor: Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Fetched]:
    """A copy, to be proved on copies of it."""

    async def fetched() -> tuple[Path, Fetched]:
        async with donor_of(tmp_path_factory.mktemp("donor"), donor) as copying:
            came = await copying.fetch()
            assert isinstance(came, Fetched), came
            return copying.staging, came

    return asyncio.run(fetched())


@pytest.fixture
def staging(copied: tuple[Path, Fetched], tmp_path: Path) -> Path:
    return Path(shutil.copytree(copied[0], tmp_path / "staging"))


@pytest.fixture
def came(copied: tuple[Path, Fetched]) -> Fetched:
    return copied[1]


def argv(server: Server) -> tuple[str, ...]:
    return started_as(server.process.pid).argv


def test_a_proved_copy_goes_on_behind_the_donor(
    pool: Servers, donor: Server, staging: Path, came: Fetched
) -> None:
    """While it is proved the server of this host runs on, on its own files, with the same options."""
    here = pool.start("--log-slave-updates")
    before = here.value("@@gtid_binlog_pos")
    found = prove(staging, argv(here), came.position, ACCOUNTS)
    assert isinstance(found, Proved), found
    assert (found.gtid, found.server_version) == (
        came.position.gtid,
        came.server_version.removesuffix("-log"),
    )
    assert set(found.logged_in) == {each.user for each in ACCOUNTS}
    assert here.value("@@gtid_binlog_pos") == before
    assert not {path.name for path in staging.iterdir()} & {"s", "pid", "log", "bin.000001", "relay.index"}
    donor.run("INSERT INTO shop.orders (what) VALUES ('after the copy')")
    here.kill()
    shutil.rmtree(here.directory / "data")
    staging.rename(here.directory / "data")
    here.restart()
    here.replicate_from(donor)
    here.wait_for_rows("SELECT 1 FROM shop.orders WHERE what = 'after the copy'")
    sums = [
        server.connect().query("CHECKSUM TABLE shop.orders EXTENDED")[0]["Checksum"]
        for server in (donor, here)
    ]
    assert sums[0] == sums[1]


def test_a_server_that_runs_tells_how_it_is_started(tmp_path: Path, donor: Server) -> None:
    host = conf_of(tmp_path, donor, Socket()).hosts["db2"]
    assert f"--datadir={donor.directory}/data" in server_of(host)
    stopped = replace(host, mysql_port=1, mysql_cnf="/etc/mysql/my.cnf")
    assert server_of(stopped)[1:] == ("--defaults-file=/etc/mysql/my.cnf",)


@pytest.mark.parametrize(
    ("accounts", "words"),
    [
        ([Login("nobody_has_it")], ("nobody_has_it", "no account")),
        ([Login(AGENT.user, "another")], (AGENT.user, "password")),
    ],
)
def test_a_copy_that_lets_mmm_not_in_is_none(
    donor: Server, staging: Path, came: Fetched, accounts: list[Login], words: tuple[str, ...]
) -> None:
    found = prove(staging, argv(donor), came.position, accounts)
    assert isinstance(found, Failed)
    assert found.cause is Cause.STATE
    assert all(word in found.text for word in words), found.text
    assert not staging.exists()


def test_a_copy_that_is_further_than_was_promised_is_none(
    donor: Server, staging: Path, came: Fetched
) -> None:
    first = prove(staging, argv(donor), came.position, ())
    assert isinstance(first, Proved), first
    found = prove(staging, argv(donor), Position(None, "0-1-1"), ())
    assert isinstance(found, Failed)
    assert found.cause is Cause.STATE
    assert came.position.gtid in found.text


def test_a_copy_that_no_server_starts_on_is_none(donor: Server, staging: Path, came: Fetched) -> None:
    (staging / "ibdata1").write_bytes(os.urandom(1 << 20))
    found = prove(staging, argv(donor), came.position, ())
    assert isinstance(found, Failed)
    assert found.cause is Cause.START
    assert "ended with" in found.text
    assert not staging.exists()
    assert donor.value("1") == "1"
