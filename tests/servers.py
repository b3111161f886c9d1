"""Real servers on loopback for tests: small, quick to start, killed at the end.

`Servers` runs this machine's MariaDB, or another kind of server: `kind("mysql:9.7")`. Every server has a copy of one
empty datadir. Root without a password from 127.0.0.1 is the administrator; nothing of the set-up is in the binary log.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import pymysql
import pytest

from mmm.mysql.session.connection import Address, Connection, connect
from mmm.mysql.session.errors import MysqlError
from mmm.sandbox.cluster import directory as templates
from mmm.sandbox.machines.machine import SandboxError
from mmm.sandbox.machines.servers import Server as Kind
from mmm.sandbox.machines.servers import find
from tests.ports import keep_port

START_LIMIT = 60.0
WAIT_LIMIT = 20.0
MARIADB = "mariadb"
OTHERS = ("mariadb:11.8", "mariadb:10.5", "mysql:9.7")
"""The servers beside this machine's own: fetched, not installed."""
OPTIONS: Mapping[str, object] = {
    "user": "root",
    "bind-address": "127.0.0.1",
    "skip-name-resolve": "ON",
    "innodb-flush-log-at-trx-commit": 0,
    "innodb-buffer-pool-size": "16M",
    "key-buffer-size": "64K",
    "max-connections": 60,
    "log-bin": "bin",
    "relay-log": "relay",
    "sync-binlog": 0,
}
SET_UP = """\
SET SESSION sql_log_bin=0;
CREATE USER IF NOT EXISTS 'root'@'127.0.0.1' IDENTIFIED BY '';
GRANT ALL ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;
CREATE DATABASE IF NOT EXISTS test;
"""
MISSING: dict[str, str] = {}
"""The servers that could not be had in this run, with the reason: listed at the end of it."""

Client: TypeAlias = "pymysql.connections.Connection[pymysql.cursors.Cursor]"


def kind(name: str) -> Kind:
    """Return the kind of server, fetched if need be; a test that needs one that cannot be had is skipped, loudly."""
    if name not in MISSING:
        try:
            return find(name)
        except SandboxError as error:
            if name == MARIADB:
                raise
            MISSING[name] = str(error)
    pytest.skip(f"NO SERVER: {MISSING[name]}")


def own_series() -> str:
    """Return the series of this machine's own server, as `10.11`."""
    return ".".join(kind(MARIADB).version.split(".")[:2])


def other_series() -> list[str]:
    """Return the names of the MariaDBs of other series than this machine's own, which have their own programs.

    None where there is no server at all: this is asked for while tests are collected, which also goes on there.
    """
    with suppress(SandboxError):
        own = own_series()
        return [name for name in OTHERS if name.startswith(MARIADB) and own not in name]
    return []


@dataclass
class Server:
    """One running server."""

    kind: Kind
    directory: Path
    port: int
    process: subprocess.Popen[bytes]
    options: tuple[str, ...]

    def address(self, user: str = "root", password: str = "") -> Address:
        return Address("127.0.0.1", self.port, user, password)

    def connect(self, user: str = "root", password: str = "", timeout: float = 10.0) -> Connection:
        return connect(self.address(user, password), timeout)

    def run(self, *statements: str) -> None:
        """Run statements as root on a connection of their own."""
        with self.connect() as connection:
            for statement in statements:
                connection.execute(statement)

    def value(self, expression: str) -> str:
        with self.connect() as connection:
            return str(connection.query(f"SELECT {expression} AS value")[0]["value"])

    def client(
        self, user: str = "root", password: str = ""
    ) -> "pymysql.connections.Connection[pymysql.cursors.Cursor]":
        """Return a session like an application's: what a test may block, leave open or see ended."""
        return pymysql.connect(
            host="127.0.0.1", port=self.port, user=user, password=password, autocommit=True
        )

    def wait_for_rows(self, sql: str, *args: object) -> None:
        """Ask again and again until there is a row; raises TimeoutError after a while without one."""
        deadline, nap = time.monotonic() + WAIT_LIMIT, 0.005
        with self.connect() as connection:
            while not connection.query(sql, args):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"no row in time: {sql} {args}")
                time.sleep(nap)
                nap = min(
                    nap * 2, 0.15
                )  # InnoDB renews innodb_trx only for those who ask less than every 0.1 s

    def replicate_from(
        self, source: "Server", how: str = "MASTER_USE_GTID=slave_pos, MASTER_USER='root'"
    ) -> None:
        """Follow a source (MariaDB) and return once that one sends its binary log."""
        dumps = "FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'"
        before = int(source.value(f"(SELECT COUNT(*) {dumps})"))
        self.run(
            f"CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={source.port}, MASTER_CONNECT_RETRY=1, {how}",
            "START SLAVE",
        )
        source.wait_for_rows(f"SELECT COUNT(*) AS senders {dumps} HAVING senders > {before}")

    def purge_logs(self) -> None:
        """Remove all binary logs but the newest."""
        with self.connect() as connection:
            newest = connection.query(connection.flavour.binlog_status)[0]["File"]
            connection.execute(f"PURGE BINARY LOGS TO '{newest}'")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Keep the process from running for a while."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitpid(self.process.pid, os.WUNTRACED)  # until then it may still answer
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def restart(self) -> None:
        """Start again after `kill`, on the same port and files."""
        self.process = _start(self.kind, self.directory, self.port, self.options)


@dataclass
class Servers:
    """Starts servers below `directory` and kills them all at the end."""

    directory: Path
    kind: Kind = field(default_factory=lambda: find(MARIADB))
    running: list[Server] = field(default_factory=list)
    _ports: ExitStack = field(default_factory=ExitStack)
    """Keeps the ports of those servers, also while they start or are down."""
    _lent: int = 0

    def start(self, *options: str) -> Server:
        """Return a new server that accepts connections; server_id counts from 1."""
        return self._started(self._data(), options)

    def start_anew(self, *options: str) -> Server:
        """Return a new MariaDB that makes InnoDB's files itself, by these options, and has none of its tables."""
        home = self._data()
        for path in (home / "data").glob("*/*.ibd"):
            path.unlink()
            path.with_suffix(".frm").unlink()
        for path in (path for each in ("ib*", "undo*") for path in (home / "data").glob(each)):
            path.unlink()
        return self._started(home, options)

    def _data(self) -> Path:
        home = self.directory / f"server{len(self.running) + 1}"
        shutil.copytree(self.kind.template(templates() / ".templates"), home / "data")
        return home

    def _started(self, home: Path, options: tuple[str, ...]) -> Server:
        server_id = len(self.running) + 1
        kept, port = keep_port()
        self._ports.enter_context(kept)
        chosen = (f"--server-id={server_id}", *options)
        server = Server(self.kind, home, port, _start(self.kind, home, port, chosen), chosen)
        self.running.append(server)
        return server

    @contextmanager
    def lent(self) -> Iterator["Servers"]:
        """Lend a pool of its own servers, which are killed and removed at the end."""
        self._lent += 1
        pool = Servers(self.directory / f"lent{self._lent}", self.kind)
        try:
            yield pool
        finally:
            pool.stop()
            shutil.rmtree(pool.directory, ignore_errors=True)

    def pair(self) -> tuple[Server, Server]:
        """Return two new masters that replicate from each other by GTID."""
        one, two = self.start(), self.start()
        two.replicate_from(one)
        one.replicate_from(two)
        return one, two

    def stop(self) -> None:
        """Kill all and remove their data: gigabytes in a whole run. The error logs stay."""
        for server in self.running:
            server.kill()
            shutil.rmtree(server.directory / "data", ignore_errors=True)
        self.running.clear()
        self._ports.close()


def _start(kind: Kind, home: Path, port: int, options: tuple[str, ...]) -> subprocess.Popen[bytes]:
    set_up = home / "set_up.sql"
    set_up.write_text(SET_UP)
    places = {"datadir": home / "data", "socket": home / "s", "pid-file": home / "pid", "init-file": set_up}
    places["tmpdir"] = home  # in a common one a server removes what it takes for its own of an earlier run
    # A MySQL that is killed as its applier begins leaves a file beside which none begins any more.
    for left in home.glob("SQL_LOAD-*"):
        left.unlink()
    settings = {**kind.settings, **OPTIONS, **places, "port": port}
    argv = [
        str(kind.binary),
        "--no-defaults",
        *(f"--{name}={value}" for name, value in settings.items()),
        *options,
    ]
    with (home / "error.log").open("ab") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    deadline = time.monotonic() + START_LIMIT
    while process.poll() is None and time.monotonic() < deadline:
        try:
            connect(Address("127.0.0.1", port, "root"), 1.0).close()
        except MysqlError as error:
            if error.server_alive:
                return process
            time.sleep(0.02)
        else:
            return process
    process.kill()
    process.wait()
    raise RuntimeError((home / "error.log").read_text()[-2000:])
