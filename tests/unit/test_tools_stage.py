"""A server that is started on a copy shows that it is one: it has what was promised, lets MMM in, and ends in order."""

import asyncio
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from mmm.config.model import Socket
from mmm.mysql.backup.mariadb_backup import Position
from mmm.mysql.server.accounts import grants
from mmm.process.started_as import started_as
from mmm.tools.fetch.private import running, scratch_of
from mmm.tools.fetch.stage import Login, Proved, prove, server_of
from mmm.tools.fetch.values import Cause, Failed, Fetched
from tests.servers import Server, Servers, kind, other_series
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
        "CREATE EVENT shop.`pur``ge` ON SCHEDULE EVERY 1 HOUR DO DELETE FROM shop.orders",
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


@pytest.mark.parametrize("follows", [True, False])
def test_a_copy_that_is_to_replicate_runs_no_events(
    donor: Server, staging: Path, came: Fetched, *, follows: bool
) -> None:
    found = prove(staging, argv(donor), came.position, ACCOUNTS, follows=follows)
    assert isinstance(found, Proved), found
    with running(staging, argv(donor)) as private, private.connect() as session:
        rows = session.query("SELECT name, definer, status FROM mysql.event")
    status = "SLAVESIDE_DISABLED" if follows else "ENABLED"
    assert [tuple(row.values()) for row in rows] == [("pur`ge", "root@127.0.0.1", status)]


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


def test_a_copy_of_a_slave_that_logs_only_its_own_goes_on_behind_all_it_has(
    pool: Servers, donor: Server, tmp_path: Path
) -> None:
    slave = pool.start()
    make_tools_user(slave)
    slave.replicate_from(donor)
    slave.value(f"MASTER_GTID_WAIT('{donor.value('@@gtid_binlog_pos')}', 60)")

    async def fetched() -> tuple[Path, Fetched | Failed]:
        async with donor_of(tmp_path, slave) as copying:
            return copying.staging, await copying.fetch()

    staging, came = asyncio.run(fetched())
    assert isinstance(came, Fetched), came
    found = prove(staging, argv(slave), came.position, ())
    assert isinstance(found, Proved), found
    assert found.gtid == slave.value("@@gtid_slave_pos") == donor.value("@@gtid_binlog_pos")


def test_a_copy_that_names_no_gtid_is_none(pool: Servers, staging: Path, donor: Server) -> None:
    found = prove(staging, argv(donor), Position(None, ""), ())
    assert isinstance(found, Failed)
    assert found.cause is Cause.STATE


def test_a_copy_that_no_server_starts_on_is_none(donor: Server, staging: Path, came: Fetched) -> None:
    (staging / "ibdata1").write_bytes(os.urandom(1 << 20))
    found = prove(staging, argv(donor), came.position, ())
    assert isinstance(found, Failed)
    assert found.cause is Cause.START
    assert "ended with" in found.text
    assert not staging.exists()
    assert donor.value("1") == "1"


@pytest.fixture(scope="module", params=other_series())
def another(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    pool = Servers(tmp_path_factory.mktemp("another"), kind(request.param))
    server = pool.start("--log-slave-updates")
    make_tools_user(server)
    server.run(
        "CREATE DATABASE shop", "CREATE TABLE shop.orders (what INT)", "INSERT INTO shop.orders VALUES (7)"
    )
    yield server
    pool.stop()


KILLED = """
import os, signal, sys
from pathlib import Path
from mmm.tools.fetch.private import running, scratch_of
with running(Path(sys.argv[1]), sys.argv[2:]):
    print((scratch_of(Path(sys.argv[1])) / "pid").read_text(), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_tool_that_was_killed_leaves_nothing_that_the_next_one_does_not_remove(
    donor: Server, staging: Path, came: Fetched, tmp_path: Path
) -> None:
    common = tmp_path / "tmp"
    common.mkdir()
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, str(staging), *argv(donor)],
        env={**os.environ, "TMPDIR": str(common), "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == -signal.SIGKILL
    left = scratch_of(staging)
    assert left.is_dir()
    assert list(common.iterdir()) == []
    wait_gone(int(ended.stdout))
    assert isinstance(prove(staging, argv(donor), came.position, ACCOUNTS), Proved)
    assert not left.exists()


def wait_gone(pid: int) -> None:
    """Wait until a server has ended, as it does once its parent has."""
    with suppress(ProcessLookupError):
        fd = os.pidfd_open(pid)
        try:
            assert select.select([fd], [], [], 60)[0], f"{pid} runs on"
        finally:
            os.close(fd)


async def test_another_series_is_copied_by_its_own_program_alone(
    another: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files have other names; the program of this machine would copy them without a word."""
    async with donor_of(tmp_path, another) as copying:
        refused = await copying.fetch()
        assert isinstance(refused, Failed)
        assert refused.cause is Cause.REFUSED
        assert ".".join(another.kind.version.split(".")[:2]) in refused.text
        monkeypatch.setenv("PATH", f"{another.kind.binary.parent}:{os.environ['PATH']}")
        came = await copying.fetch()
    assert isinstance(came, Fetched), came
    assert came.server_version == another.value("VERSION()")
    found = await asyncio.to_thread(prove, copying.staging, argv(another), came.position, [])
    assert isinstance(found, Proved), found
    assert found.gtid == another.value("@@gtid_binlog_pos")
