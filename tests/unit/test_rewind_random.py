"""Whatever a server has done alone: where it is undone, its tables are as they were, bit for bit.

`make rewind` tries many more than the tests do. A seed that fails is named, and MMM_REWIND_SEED tries that one alone.
"""

import os
import random
import time
from dataclasses import dataclass, field

import pytest

from mmm.mysql.session.connection import MysqlError
from tests.unit.rewinding import Rewound, rewound

__all__ = ["rewound"]

pytestmark = pytest.mark.mysql

SECONDS = float(os.environ.get("MMM_REWIND_SECONDS", "8"))
SEED = os.environ.get("MMM_REWIND_SEED")
MADE = (
    "CREATE TABLE plain (id INT PRIMARY KEY, c VARCHAR(20), n INT NULL)",
    "CREATE TABLE bare (c VARCHAR(20), n INT NULL)",
    """CREATE TABLE wide (id INT AUTO_INCREMENT PRIMARY KEY, c VARCHAR(20) CHARSET latin1, n DECIMAL(12,3), b BLOB,
    j JSON, e ENUM('a','b'), d DATETIME(6), v INT AS (n+1) VIRTUAL, UNIQUE KEY (c, n))""",
    "CREATE TABLE parent (id INT PRIMARY KEY, c VARCHAR(20), n INT)",
    """CREATE TABLE child (id INT AUTO_INCREMENT PRIMARY KEY, n INT, c VARCHAR(20),
    FOREIGN KEY (n) REFERENCES parent (id) ON DELETE CASCADE ON UPDATE SET NULL)""",
    "CREATE TABLE strict_child (id INT PRIMARY KEY, n INT, c VARCHAR(20), FOREIGN KEY (n) REFERENCES parent (id))",
    "CREATE TABLE aria (id INT PRIMARY KEY, c VARCHAR(20), n INT) ENGINE=Aria",
    "CREATE TABLE notes (what VARCHAR(40))",
    "CREATE TRIGGER told AFTER UPDATE ON plain FOR EACH ROW INSERT INTO notes VALUES (CONCAT(OLD.c, NEW.c))",
    "INSERT INTO plain SELECT seq, CONCAT('p', seq), seq FROM seq_1_to_20",
    "INSERT INTO bare SELECT CONCAT('b', seq % 3), seq % 2 FROM seq_1_to_12",
    """INSERT INTO wide (c, n, b, j, e, d) SELECT CONCAT('w', seq), seq/7, REPEAT('x', seq*50), '{}', 'a', NOW(6)
    FROM seq_1_to_10""",
    "INSERT INTO parent SELECT seq, 'p', seq FROM seq_1_to_9",
    "INSERT INTO child (n, c) SELECT seq % 9 + 1, 'c' FROM seq_1_to_15",
    "INSERT INTO strict_child SELECT seq, seq % 3 + 1, 'c' FROM seq_1_to_6",
)
TABLES = ("plain", "plain", "plain", "bare", "wide", "wide", "parent", "child", "strict_child")
RARE = (
    "TRUNCATE bare",
    "ALTER TABLE plain ADD COLUMN extra INT DEFAULT 3",
    "CREATE TABLE IF NOT EXISTS more (id INT)",
    "CREATE OR REPLACE TABLE more AS SELECT * FROM plain",
    "INSERT INTO aria VALUES (RAND()*1000000, 'x', 1)",
    "SET SESSION binlog_format=STATEMENT",
    "SET SESSION binlog_format=MIXED",
    "SET SESSION binlog_row_image=MINIMAL",
    "SET SESSION binlog_row_image=NOBLOB",
    "SET SESSION foreign_key_checks=0",
    "SET SESSION unique_checks=0",
    "ANALYZE TABLE plain",
    "DROP TABLE IF EXISTS more",
    "DELETE FROM parent WHERE id IN (4, 5)",
    "UPDATE parent SET id=id+100 WHERE id=6",
)


@dataclass
class Author:
    """Thinks statements up."""

    chance: random.Random
    left: int = 30
    xa: int = 0
    written: list[str] = field(default_factory=list)

    def statements(self) -> list[str]:
        """Return what a server does alone; about half of them are rows alone."""
        rare = self.chance.choice((0.0, 0.0, 0.03, 0.1))
        while len(self.written) < self.left:
            if self.chance.random() < rare:
                self._rare()
            elif self.chance.random() < 0.3:
                self._transaction()
            else:
                self.written.append(self._rows())
        return self.written

    def _rare(self) -> None:
        if self.chance.random() < 0.2:
            self.xa += 1
            name, end = f"'x{self.xa}'", self.chance.choice(("COMMIT", "ROLLBACK"))
            one_phase = end == "COMMIT" and self.chance.random() < 0.3
            self.written += [f"XA START {name}", self._rows(), f"XA END {name}"]
            self.written += (
                [f"XA COMMIT {name} ONE PHASE"] if one_phase else [f"XA PREPARE {name}", f"XA {end} {name}"]
            )
        else:
            self.written.append(self.chance.choice(RARE))

    def _transaction(self) -> None:
        self.written.append("START TRANSACTION")
        for number in range(self.chance.randint(1, 5)):
            self.written.append(self._rows())
            if self.chance.random() < 0.2:
                self.written += [f"SAVEPOINT s{number}", self._rows(), f"ROLLBACK TO s{number}"]
        self.written.append(self.chance.choice(("COMMIT", "COMMIT", "ROLLBACK")))

    def _rows(self) -> str:
        table, number = self.chance.choice(TABLES), self.chance.randint(1, 9)
        ignore = self.chance.choice(("", "", "IGNORE "))
        match self.chance.randint(0, 6):
            case 0 | 1:
                return f"INSERT {ignore}INTO {self._new(table)}"
            case 2:
                return f"REPLACE INTO {self._new(table)}"
            case 3:
                return f"DELETE FROM {table} WHERE n={number} LIMIT {self.chance.randint(1, 3)}"  # noqa: S608
            case 4:
                limit = self.chance.randint(1, 4)
                return f"UPDATE {ignore}{table} SET c=CONCAT(LEFT(c, 10), {number}) WHERE n>={number} LIMIT {limit}"  # noqa: S608
            case 5:
                return f"UPDATE {ignore}{table} SET n=n-1 WHERE n IS NULL OR n>{number}"  # noqa: S608
        return (
            f"UPDATE plain JOIN wide ON plain.n=wide.id SET plain.c='j', wide.b=REPEAT('z', {number * 300})"  # noqa: S608
        )

    def _new(self, table: str) -> str:
        number = self.chance.randint(1, 40)
        if table == "wide":
            values = f"'ü{number}', {number}, REPEAT('é', {number * 9}), NULL, 'b', NOW(6)"
            return f"wide (c, n, b, j, e, d) VALUES ({values})"
        if table == "bare":
            return f"bare VALUES ('b{number % 3}', NULL), ('b{number % 3}', {number % 2})"
        if table == "child":
            return f"child (n, c) VALUES ({number % 9 + 1}, 'k')"
        return f"{table} (id, c, n) VALUES ({number}, 'i{number}', {number % 9 + 1})"


def tried(rewound: Rewound, seed: int) -> str:
    """Have a server do what the seed says, and see that it is undone exactly or not at all; returns why not."""
    rewound.begin(*MADE)
    with rewound.server.connect() as session:
        session.execute("USE shop")
        for statement in Author(random.Random(seed)).statements():  # noqa: S311
            try:
                session.execute(statement)
            except MysqlError as error:  # a key that is there already, say
                if not error.server_alive:
                    raise
    after = rewound.state()
    why = rewound.undone()
    assert rewound.state() == (after if why else rewound.before), f"MMM_REWIND_SEED={seed}: {why}"
    return why


def test_what_is_undone_is_undone_exactly(rewound: Rewound) -> None:
    if SEED is not None:
        tried(rewound, int(SEED))
        return
    end = time.monotonic() + SECONDS
    seed, came = 0, dict[str, int]()
    while time.monotonic() < end or not came.get("") or len(came) < 2:
        why = tried(rewound, seed)
        came[why] = came.get(why, 0) + 1
        seed += 1
    print(f"{seed} histories: {came}")
