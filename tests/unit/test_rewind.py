"""What a server alone has is undone exactly, or with a reason not at all: each kind of change on a real server."""

from pathlib import Path
from typing import Any

import pytest

from mmm.gtid.mariadb import History
from mmm.mysql.server.accounts import Account, tools_grants
from mmm.mysql.server.replication import history
from mmm.tools.rewind import undo as undoing
from mmm.tools.rewind.proof import Limits, prove
from mmm.tools.rewind.texts import sentence
from mmm.tools.rewind.unfit import UnfitError
from tests.servers import Servers, kind
from tests.unit.rewinding import SAFE, Rewound, rewound
from tests.unit.saving import build, has

__all__ = ["rewound"]

pytestmark = pytest.mark.mysql

T = "CREATE TABLE t (id INT PRIMARY KEY, c VARCHAR(20))"
ROWS = "INSERT INTO t VALUES (1, 'a'), (2, 'b')"
CHILD = "CREATE TABLE u (id INT, FOREIGN KEY (id) REFERENCES t (id)"
CHANGES = ("INSERT INTO t VALUES (3, 'c')", "UPDATE t SET c='z' WHERE id=1", "DELETE FROM t WHERE id=2")
GENERATED = (
    "CREATE TABLE t (id INT, v INT AS (id+1) VIRTUAL, s INT AS (id+2) STORED, i INT INVISIBLE DEFAULT 7"
)
TYPES = """CREATE TABLE t (a TINYINT, b SMALLINT UNSIGNED, c MEDIUMINT, d BIGINT UNSIGNED, e DECIMAL(30,10), f FLOAT,
    g DOUBLE, h BIT(11), i DATE, j TIME(3), k DATETIME(6), l TIMESTAMP(2) NULL, m YEAR, n CHAR(10) CHARSET latin1,
    o VARCHAR(300), p BINARY(5), q VARBINARY(10), r TINYBLOB, s LONGTEXT, u ENUM('a','ö'), v SET('x','y','z'), w JSON,
    x GEOMETRY, y INET6, z UUID, ab TEXT COMPRESSED, ac VARCHAR(100) COMPRESSED) CHARSET utf8mb4"""
VALUES = r"""INSERT INTO t VALUES (-1, 65535, -5, 18446744073709551615, 12345678901234567890.0123456789, 1.1, 1e100,
    b'10101010101', '2024-02-29', '-12:30:00.123', '2024-01-01 00:00:00.123456', '2024-01-01 00:00:00.12', 2024, 'ä',
    '𝄞ß', 'a\0b', '\0\1', 'x\0', REPEAT('k', 70000), 'ö', 'x,z', '{"a":[1,2]}', ST_GeomFromText('POINT(1 2)'), '::1',
    '123e4567-e89b-12d3-a456-426655440000', REPEAT('m', 2000), REPEAT('n', 90))"""
OTHER_VALUES = """UPDATE t SET a=5, d=7, e=1, f=2.5, g=3, h=1, i=NULL, j=NULL, k=NOW(6), l=NULL, m=NULL, n=NULL, o='',
    p='', r=NULL, s='s', u='a', v='y', w=NULL, x=NULL, y='::2', z=NULL, ab='', ac=NULL WHERE a=-1"""
LONGER = "UPDATE t SET c=CONCAT(i, 'x', c) WHERE id=i"
BIG = (
    "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, c VARCHAR(200))",
    "INSERT INTO t (c) SELECT REPEAT('y', 150) FROM seq_1_to_4000",
    "CREATE TABLE u LIKE t",
    "INSERT INTO u SELECT * FROM t",
)

REFUSED_SINCE_11 = {"types": "not_undone", "generated": "stored_column", "generated_no_key": "stored_column"}
"""What is left to a full copy there: stored generated columns are not logged, and the program stops at GEOMETRY and at
COMPRESSED columns."""
UNDONE = {
    "rows": ((T, ROWS), CHANGES),
    "no_primary_key": (
        ("CREATE TABLE t (c VARCHAR(20))", "INSERT INTO t VALUES ('a'), ('a'), ('b')"),
        ("INSERT INTO t VALUES ('a'), (NULL)", "UPDATE t SET c='z' WHERE c='a' LIMIT 1", "DELETE FROM t LIMIT 1"),
    ),
    "types": ((TYPES, VALUES), (OTHER_VALUES, VALUES, "INSERT INTO t SELECT * FROM t", "DELETE FROM t LIMIT 2")),
    "generated": (
        (f"{GENERATED}, PRIMARY KEY (id), KEY (v))", "INSERT INTO t (id) VALUES (1), (2)"),
        ("INSERT INTO t (id, i) VALUES (3, 1)", "UPDATE t SET id=9, i=3 WHERE id=1", "DELETE FROM t WHERE id=2"),
    ),
    "generated_no_key": (
        (f"{GENERATED})", "INSERT INTO t (id) VALUES (1), (2)"),
        ("UPDATE t SET id=9 WHERE id=1", "DELETE FROM t WHERE id=2"),
    ),
    "partitions": ((f"{T} PARTITION BY HASH (id) PARTITIONS 3", ROWS), CHANGES),
    "periods": (
        (
            "CREATE TABLE t (id INT, a DATE, b DATE, PERIOD FOR p (a, b))",
            "INSERT INTO t VALUES (1, '2020-01-01', '2021-01-01')",
        ),
        ("DELETE FROM t FOR PORTION OF p FROM '2020-03-01' TO '2020-04-01'",),
    ),
    "triggers": (
        (
            T,
            ROWS,
            "CREATE TABLE u (id INT)",
            "CREATE TRIGGER x AFTER INSERT ON t FOR EACH ROW INSERT INTO u VALUES (NEW.id)",
            "CREATE TRIGGER y AFTER DELETE ON t FOR EACH ROW DELETE FROM u WHERE id=OLD.id",
        ),
        CHANGES,
    ),
    "unique_keys": (
        ("CREATE TABLE t (id INT PRIMARY KEY, u INT UNIQUE)", "INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)"),
        (
            "UPDATE t SET u=u+10",
            "UPDATE t SET id=id+1 ORDER BY id DESC",
            "REPLACE INTO t VALUES (2, 13)",
            "INSERT INTO t VALUES (3, 50) ON DUPLICATE KEY UPDATE u=99",
        ),
    ),
    "checks": (
        ("CREATE TABLE t (c INT CHECK (c>0))", "SET check_constraint_checks=0", "INSERT INTO t VALUES (-1)"),
        ("DELETE FROM t",),
    ),
    "long_statements": (
        BIG,
        (
            "UPDATE t SET c=CONCAT('z', id)",
            "UPDATE t JOIN u USING (id) SET t.c='q', u.c=CONCAT('r', id)",
            "DELETE t, u FROM t JOIN u USING (id) WHERE id%2",
            "INSERT INTO t (c) SELECT REPEAT('x', 150) FROM seq_1_to_3000",
        ),
    ),
    "many_short_statements": (
        (T, "INSERT INTO t SELECT seq, seq FROM seq_1_to_9000"),
        (f"BEGIN NOT ATOMIC START TRANSACTION; FOR i IN 1..9000 DO {LONGER}; END FOR; COMMIT; END",),
    ),
    "foreign_keys_that_refuse": (
        (T, ROWS, f"{CHILD})", "INSERT INTO u VALUES (1)"),
        ("DELETE FROM u", "DELETE FROM t", "INSERT INTO t VALUES (5, '')", "INSERT INTO u VALUES (5)"),
    ),
    "foreign_keys_off": (
        (T, ROWS, f"{CHILD})", "INSERT INTO u VALUES (1)"),
        ("SET foreign_key_checks=0", "DELETE FROM t", "INSERT INTO u VALUES (77)"),
    ),
    "parents_that_stay": (
        (T, ROWS, f"{CHILD} ON DELETE CASCADE ON UPDATE CASCADE)", "INSERT INTO u VALUES (1)"),
        ("UPDATE t SET c='q'", "INSERT INTO t VALUES (5, '')", "INSERT INTO u VALUES (5)", "DELETE FROM u"),
    ),
    "orphans_of_a_parent": (
        (T, f"{CHILD} ON DELETE CASCADE)", "SET foreign_key_checks=0", "INSERT INTO u VALUES (8)"),
        ("INSERT INTO t VALUES (8, '')",),
    ),
    "savepoints": (
        (T,),
        ("BEGIN", "INSERT INTO t VALUES (1, '')", "SAVEPOINT a", "INSERT INTO t VALUES (2, '')", "ROLLBACK TO a",
         "SAVEPOINT b", "INSERT INTO t VALUES (3, '')", "COMMIT"),
    ),
    "compressed_log": (
        ("CREATE TABLE t (id INT PRIMARY KEY, c TEXT)", "INSERT INTO t VALUES (1, REPEAT('a', 1500))",
         "SET GLOBAL log_bin_compress=1"),
        ("UPDATE t SET c=REPEAT('b', 1500)", "INSERT INTO t VALUES (2, REPEAT('c', 1500))", "DELETE FROM t LIMIT 1"),
    ),
    "domains": (
        (T, "SET SESSION gtid_domain_id=7", "INSERT INTO t VALUES (1, '')"),
        ("INSERT INTO t VALUES (3, '')", "SET SESSION gtid_domain_id=7", "INSERT INTO t VALUES (4, '')",
         "SET SESSION gtid_domain_id=9", "INSERT INTO t VALUES (5, '')"),
    ),
    "files": (
        (T, ROWS),
        ("UPDATE t SET c='2'", "FLUSH BINARY LOGS", "UPDATE t SET c='3'", "FLUSH BINARY LOGS", "UPDATE t SET c='4'"),
    ),
    "one_phase_xa": ((T,), ("XA START 'a'", "INSERT INTO t VALUES (1, '')", "XA END 'a'", "XA COMMIT 'a' ONE PHASE")),
    "temporary_tables": (
        (T,),
        ("CREATE TEMPORARY TABLE s (id INT)", "INSERT INTO s VALUES (1)", "INSERT INTO t SELECT id, '' FROM s",
         "DROP TEMPORARY TABLE s"),
    ),
}  # fmt: skip

FIRST = "INSERT INTO t VALUES (3, 'c')"
PAST = "SET SESSION timestamp=UNIX_TIMESTAMP()-100"
NOT_UNDONE = {
    "create": ("statement", (T,), (FIRST, "CREATE TABLE u (id INT)")),
    "create_select": ("statement", (T,), (FIRST, "CREATE TABLE u SELECT * FROM t")),
    "alter": ("statement", (T,), (FIRST, "ALTER TABLE t ADD d INT")),
    "drop": ("statement", (T,), (FIRST, "DROP TABLE t")),
    "truncate": ("statement", (T, ROWS), ("TRUNCATE t",)),
    "grant": ("statement", (T,), (FIRST, "CREATE USER IF NOT EXISTS somebody")),
    "statement_format": ("statement", (T,), ("SET SESSION binlog_format=STATEMENT", FIRST)),
    "mixed_format": ("statement", (T,), ("SET SESSION binlog_format=MIXED", FIRST)),
    "xa": ("xa", (T,), ("XA START 'a'", FIRST, "XA END 'a'", "XA PREPARE 'a'", "XA COMMIT 'a'")),
    "minimal": ("row_image", (T, ROWS), ("SET SESSION binlog_row_image=MINIMAL", "UPDATE t SET c=2")),
    "noblob": (
        "row_image",
        ("CREATE TABLE t (id INT PRIMARY KEY, b BLOB, c INT)", "INSERT INTO t VALUES (1, 'x', 1)"),
        ("SET SESSION binlog_row_image=NOBLOB", "UPDATE t SET c=2"),
    ),
    "stored_column": (
        "stored_column",
        ("CREATE TABLE t (id INT PRIMARY KEY, s INT AS (id+1) STORED)", "INSERT INTO t (id) VALUES (1), (2)"),
        ("SET SESSION binlog_row_image=MINIMAL", "UPDATE t SET id=5 WHERE id=1", "DELETE FROM t WHERE id=2"),
    ),
    "delete_cascade": ("cascade", (T, ROWS, f"{CHILD} ON DELETE CASCADE)"), ("DELETE FROM t",)),
    "delete_set_null": ("cascade", (T, ROWS, f"{CHILD} ON DELETE SET NULL)"), ("DELETE FROM t",)),
    "update_cascade": ("cascade", (T, ROWS, f"{CHILD} ON UPDATE CASCADE)"), ("UPDATE t SET id=7 WHERE id=1",)),
    "myisam": ("engine", (f"{T} ENGINE=MyISAM",), (FIRST,)),
    "aria": ("engine", (f"{T} ENGINE=Aria",), (FIRST,)),
    "sequence": ("table_kind", ("CREATE SEQUENCE t",), ("SELECT NEXTVAL(t)",)),
    "versioned": ("table_kind", (f"{T} WITH SYSTEM VERSIONING", ROWS), CHANGES),
    "dropped_past_the_log": ("table_gone", (T,), (FIRST, "SET sql_log_bin=0", "DROP TABLE t")),
    "altered_past_the_log": ("altered", (T,), (PAST, FIRST, "SET sql_log_bin=0", "ALTER TABLE t MODIFY c VARCHAR(30)")),
    "column_more": ("columns", (T,), (FIRST, "SET sql_log_bin=0", "ALTER TABLE t ADD d INT")),
    "changed_past_the_log": ("not_undone", (T,), (*CHANGES, FIRST.replace("3", "4"), "SET sql_log_bin=0",
                             "DELETE FROM t WHERE id=3")),
    "nothing": ("nothing", (T,), ()),
}  # fmt: skip


@pytest.mark.parametrize("name", UNDONE)
def test_rows_are_as_they_were_and_the_log_begins_there(rewound: Rewound, name: str) -> None:
    before, alone = UNDONE[name]
    rewound.begin(*before)
    logged = rewound.server.value("@@gtid_binlog_state")
    rewound.alone(*alone)
    changed = rewound.state()
    assert changed != rewound.before
    if int(rewound.server.kind.version.split(".")[0]) >= 11 and (code := REFUSED_SINCE_11.get(name)):
        assert (rewound.undone(), rewound.state()) == (code, changed)
        return
    assert rewound.undone() == ""
    assert rewound.state() == rewound.before
    assert rewound.server.value("@@gtid_binlog_state") == logged
    assert rewound.server.value("@@gtid_slave_pos") == rewound.server.value("@@gtid_binlog_pos")


@pytest.mark.parametrize("name", NOT_UNDONE)
def test_what_is_not_known_to_be_undone_exactly_is_left_as_it_is(rewound: Rewound, name: str) -> None:
    code, before, alone = NOT_UNDONE[name]
    rewound.begin(*before)
    rewound.alone(*alone)
    state, logged = rewound.state(), rewound.server.value("@@gtid_binlog_state")
    assert rewound.undone() == code
    assert (rewound.state(), rewound.server.value("@@gtid_binlog_state")) == (state, logged)


@pytest.mark.parametrize(
    ("name", "value", "usual"),
    [("slave_exec_mode", "IDEMPOTENT", "STRICT"), ("slave_run_triggers_for_rbr", "YES", "NO")],
)
def test_settings_that_change_what_rows_do_are_a_reason_not_to(
    rewound: Rewound, name: str, value: str, usual: str
) -> None:
    rewound.begin(T, ROWS)
    rewound.alone(*CHANGES)
    rewound.server.run(f"SET GLOBAL {name}='{value}'")
    try:
        assert rewound.undone() == "setting"
    finally:
        rewound.server.run(f"SET GLOBAL {name}='{usual}'")


def test_no_more_of_the_log_is_undone_than_the_conf_allows(rewound: Rewound) -> None:
    rewound.begin(T, ROWS)
    rewound.alone("INSERT INTO t SELECT seq, REPEAT('x', 20) FROM seq_10_to_50000")
    with pytest.raises(UnfitError) as refused:
        rewound.proved(megabytes=1)
    assert (
        sentence(refused.value)
        == "1.3 MB of the binary log follow the first of them, and rewind_limit is 1 MB"
    )


def test_what_came_from_others_in_between_is_undone_too_and_comes_again(rewound: Rewound) -> None:
    rewound.begin(T, ROWS)
    rewound.alone(FIRST, "SET SESSION server_id=2", "INSERT INTO t VALUES (9, 'theirs')")
    with rewound.server.connect() as session:
        theirs = next(gtid for gtid in history(session).logged if gtid.server == 2)
    assert isinstance(rewound.there, History)
    rewound.there = History((), (*rewound.there.logged, theirs))
    assert rewound.proved().count == 2
    assert rewound.undone() == ""
    assert rewound.state() == rewound.before


def test_a_log_that_does_not_go_on_behind_what_everybody_has_is_not_undone(rewound: Rewound) -> None:
    rewound.begin(T, ROWS)
    rewound.alone("SET SESSION gtid_seq_no=50", FIRST)
    assert rewound.undone() == "place"


def test_a_server_whose_data_were_copied_goes_on_from_the_place_of_the_copy(rewound: Rewound) -> None:
    rewound.begin(T, ROWS)
    at = rewound.server.value("@@gtid_binlog_pos")
    rewound.server.run("RESET MASTER", f"SET GLOBAL gtid_slave_pos='{at}'")
    rewound.alone(f"SET SESSION gtid_seq_no={int(at.rpartition('-')[2]) + 1}", FIRST)
    assert rewound.undone() == ""
    assert rewound.state() == rewound.before
    assert (rewound.server.value("@@gtid_binlog_state"), rewound.server.value("@@gtid_slave_pos")) == ("", at)


def test_the_tools_account_may_do_it_and_sees_the_foreign_keys(rewound: Rewound) -> None:
    tools = Account("mmm_tools", "t't")
    rewound.server.run("CREATE OR REPLACE USER 'mmm_tools'@'%'")
    rewound.begin(T)
    rewound.alone(FIRST)
    assert rewound.there is not None
    with rewound.server.connect(tools.user) as session, pytest.raises(UnfitError) as refused:
        prove(session, rewound.there, "db2", Limits(64))
    assert refused.value.code == "grants"
    rewound.server.run(*tools_grants(rewound.server.kind.flavour, tools))
    rewound.begin("CREATE TABLE `p-ä` (id INT PRIMARY KEY)", "CREATE TABLE u (id INT, FOREIGN KEY (id) REFERENCES"
                  " `p-ä` (id) ON DELETE CASCADE)", "INSERT INTO `p-ä` VALUES (1)")  # fmt: skip
    rewound.alone("INSERT INTO `p-ä` VALUES (2)")
    with rewound.server.connect(tools.user, tools.password) as session:
        proof = prove(session, rewound.there, "db2", Limits(64))
        undoing.undo(session, proof, rewound.server.directory / "kept-by-tools")
    assert rewound.state() == rewound.before
    rewound.alone("DELETE FROM `p-ä`")
    with rewound.server.connect(tools.user, tools.password) as session, pytest.raises(UnfitError) as refused:
        prove(session, rewound.there, "db2", Limits(64))
    assert refused.value.code == "cascade"


def test_the_old_log_is_kept_as_it_was(rewound: Rewound, tmp_path_factory: pytest.TempPathFactory) -> None:
    rewound.begin(T, ROWS)
    rewound.alone(*CHANGES, "FLUSH BINARY LOGS")
    proof = rewound.proved()
    logs = {path.name: path.read_bytes() for path in proof.files[:-1]}
    kept = rewound.server.directory / "old-log"
    with rewound.server.connect() as session:
        undoing.undo(session, proof, kept)
    assert {name: (kept / name).read_bytes() for name in logs} == logs


def test_somebody_who_writes_meanwhile_is_noticed_and_nothing_is_undone(rewound: Rewound) -> None:
    rewound.begin(T, ROWS)
    rewound.alone(*CHANGES)
    proof = rewound.proved()
    rewound.alone("INSERT INTO t VALUES (77, 'late')")
    state = rewound.state()
    with (
        rewound.server.connect() as session,
        pytest.raises(undoing.NotUndoneError, match="somebody has written") as error,
    ):
        undoing.undo(session, proof, rewound.server.directory / "kept-late")
    assert error.value.clean
    assert rewound.state() == state


class Died(BaseException):
    """The program ended here."""


def test_whoever_dies_before_the_commit_has_changed_nothing(
    rewound: Rewound, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewound.begin(T, ROWS)
    rewound.alone(*CHANGES)
    proof, state = rewound.proved(), rewound.state()

    def dies(*_: Any, **__: Any) -> None:
        raise Died

    monkeypatch.setattr(undoing, "_see_same_end", dies)
    with rewound.server.connect() as session, pytest.raises(Died):
        undoing.undo(session, proof, rewound.server.directory / "kept-died")
    assert rewound.state() == state
    monkeypatch.undo()
    assert rewound.undone() == ""
    assert rewound.state() == rewound.before


def test_a_server_that_crashed_is_not_rewound_unless_its_log_and_its_data_agree(tmp_path: Path) -> None:
    pool = Servers(tmp_path)
    try:
        for flush, code in (("0", "crashed"), ("1", "")):
            server = pool.start("--binlog-format=ROW", "--log-slave-updates=1", "--sync-binlog=1",
                                f"--innodb-flush-log-at-trx-commit={flush}")  # fmt: skip
            crashed = Rewound(server)
            crashed.begin(T, ROWS)
            crashed.alone(*CHANGES)
            server.kill()
            server.restart()
            crashed.alone("INSERT INTO t VALUES (30, 'after')")
            assert crashed.undone() == code
    finally:
        pool.stop()


@pytest.mark.parametrize("name", ["mariadb:11.8", "mariadb:10.5"])
def test_other_versions_are_rewound(tmp_path: Path, name: str) -> None:
    pool = Servers(tmp_path, kind(name))
    try:
        other = Rewound(pool.start(*SAFE))
        for case in ("rows", "no_primary_key", "files", "compressed_log", "long_statements"):
            before, alone = UNDONE[case]
            other.begin(*before)
            other.alone(*alone)
            assert other.undone() == ""
            assert other.state() == other.before
    finally:
        pool.stop()


def test_mysql_has_no_program_for_it(tmp_path: Path) -> None:
    pool = Servers(tmp_path, kind("mysql:9.7"))
    try:
        server = build(pool)
        with server.connect() as session, pytest.raises(UnfitError) as refused:
            prove(session, has(server), "db2", Limits(64))
        assert sentence(refused.value).startswith("MySQL 9.7")
    finally:
        pool.stop()
