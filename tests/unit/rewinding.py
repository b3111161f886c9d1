"""A server whose last transactions are undone, or not, and what its tables have before and after."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

from mmm.gtid.transactions import Executed
from mmm.tools.rewind.proof import Limits, Proof, prove
from mmm.tools.rewind.undo import NotUndoneError, undo
from mmm.tools.rewind.unfit import UnfitError
from tests.servers import Server, Servers
from tests.unit.saving import has, program_of

SAFE = ("--innodb-flush-log-at-trx-commit=1", "--binlog-format=ROW", "--log-slave-updates=1")
"""With another flush RESET MASTER waits up to a second for InnoDB."""
State = dict[str, str]


@dataclass
class Rewound:
    """A server that is used again and again; `begin` cleans it."""

    server: Server
    before: State | None = None
    there: Executed | None = None

    def begin(self, *statements: str) -> None:
        """Have statements be what everybody has."""
        self.server.run(
            "SET GLOBAL log_bin_compress=0",
            "DROP DATABASE IF EXISTS shop",
            "RESET MASTER",
            "SET GLOBAL gtid_slave_pos=''",
            "CREATE DATABASE shop",
            "USE shop",
            *statements,
        )
        self.before, self.there = self.state(), has(self.server)

    def alone(self, *statements: str) -> None:
        """Have statements be what this server has alone."""
        self.server.run("USE shop", *statements)

    def proved(self, megabytes: int = 64) -> Proof:
        assert self.there is not None
        with self.server.connect() as session:
            return prove(session, self.there, "db2", Limits(megabytes, program_of(self.server)))

    def undone(self) -> str:
        """Undo it; returns why not, the code of what is not fit, and nothing where it is undone."""
        try:
            proof = self.proved()
            with self.server.connect() as session:
                undo(session, proof, self.server.directory / "kept")
        except UnfitError as unfit:
            return unfit.code
        except NotUndoneError as error:
            return "not_undone" if error.clean else str(error)
        finally:
            shutil.rmtree(self.server.directory / "kept", ignore_errors=True)
        return ""

    def state(self) -> State:
        """Return the checksum of each table."""
        with self.server.connect() as session:
            names = session.query(
                "SELECT TABLE_NAME AS name FROM information_schema.TABLES WHERE TABLE_SCHEMA='shop'"
            )
            tables: Sequence[str] = [str(row["name"]) for row in names]
            found = {name: session.query(f"CHECKSUM TABLE shop.`{name}` EXTENDED")[0] for name in tables}
        return {name: str(row["Checksum"]) for name, row in found.items()}


@pytest.fixture(scope="module")
def rewound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rewound]:
    """Give a server that is safe to rewind, one for all tests of a file."""
    pool = Servers(tmp_path_factory.mktemp("rewind"))
    try:
        yield Rewound(pool.start(*SAFE))
    finally:
        pool.stop()
