"""What is saved can be read, and run again: the same rows come of it, on every kind of server, for every type."""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from mmm.binlog.stored_rows import rows_of
from mmm.process.binlog_program import lines_of, printed
from mmm.tools.saved import rows
from mmm.tools.saved.exact import whole
from mmm.tools.saved.extras import Extra
from mmm.tools.saved.outcome import Saved, TableCount
from mmm.tools.saved.printed import Row, items
from mmm.tools.saved.save import SaveError, verify
from mmm.tools.saved.values import Cell, literal
from tests.servers import MARIADB, Server, Servers
from tests.unit.saving import GTIDS, KINDS, found, has, home, program_of, saved

pytestmark = pytest.mark.mysql

NUMBERS = {
    "ti": ("TINYINT", "-128"), "tu": ("TINYINT UNSIGNED", "255"), "su": ("SMALLINT UNSIGNED", "65535"),
    "mi": ("MEDIUMINT", "-8388608"), "mu": ("MEDIUMINT UNSIGNED", "16777215"), "iu": ("INT UNSIGNED", "4294967295"),
    "bi": ("BIGINT", "-9223372036854775808"), "bu": ("BIGINT UNSIGNED", "18446744073709551615"),
    "de": ("DECIMAL(30,10)", "-12345678901234567890.0123456789"), "fl": ("FLOAT", "52.52001"),
    "dou": ("DOUBLE", "1e100"), "b1": ("BIT(1)", "b'1'"), "b9": ("BIT(9)", "b'100000001'"), "ye": ("YEAR", "2026"),
    "y0": ("YEAR", "0"),
}  # fmt: skip
TIMES = {
    "da": ("DATE", "'0001-12-31'"), "t0": ("TIME", "'-838:59:59'"), "t6": ("TIME(6)", "'-00:00:01.500000'"),
    "d0": ("DATETIME", "'9999-12-31 23:59:59'"), "d3": ("DATETIME(3)", "'2026-11-29 04:05:06.123'"),
    "ts": ("TIMESTAMP NULL", "'2026-11-29 04:05:06'"), "t9": ("TIMESTAMP(6) NULL", "'1970-01-01 03:00:01.000001'"),
}  # fmt: skip
STRINGS = {
    "ch": ("CHAR(10)", "'é''\\\\ \"x'"), "vc": ("VARCHAR(300)", "'line\\nnext\\t\\0\\r\\Z ''q'' \\\\x0a \\\\ end\\\\'"),
    "la": ("VARCHAR(50) CHARACTER SET latin1", "'é€'"), "bn": ("BINARY(5)", "X'0001ff2700'"),
    "vb": ("VARBINARY(20)", "X'00275c0a0dff'"), "te": ("TEXT", "'€ text 😀 /* INT meta=0 nullable=1 is_null=0 */'"),
    "bl": ("BLOB", "X'ff00275c0a1a80'"), "en": ("ENUM('a','b''x')", "'b''x'"), "se": ("SET('x','y','z')", "'x,z'"),
    "js": ("JSON", "'{\"a\": [1, \"x\\\\\\\\n\\\\u0007\"]}'"), "uc": ("VARCHAR(20) CHARACTER SET ucs2", "'AB\u4141'"),
}  # fmt: skip
TYPES = {**NUMBERS, **TIMES, **STRINGS}
OF_MARIADB = {"ge": ("POINT", "ST_GeomFromText('POINT(1 2)')"), "ip": ("INET6", "'2001:db8::'")}
UUID = {"uu": ("UUID", "'123e4567-e89b-12d3-a456-426655440000'")}


@dataclass
class Pair:
    """Two servers with the same data; the first is to have transactions of its own."""

    one: Server
    two: Server
    folder: Path

    def save(self, *statements: str, asks: bool = True) -> Saved:
        """Have the first run statements, and save what came of it."""
        there = has(self.one)
        self.one.run("SET NAMES utf8mb4, time_zone='+03:00', sql_mode=''", "USE shop", *statements)
        with self.one.connect() as here, self.two.connect() as other:
            extras = found(self.one, there)
            servers = {"here": here, "there": other} if asks else {}
            return saved(self.one, extras, self.folder, **servers)

    def text(self, done: Saved, name: str = "transactions.sql") -> str:
        assert done.folder is not None
        return (done.folder / name).read_text("utf-8")

    def printed(self, log: Path, wanted: Mapping[int, Extra]) -> list[Row]:
        """Return the rows that the program prints of a log."""
        mariadb = self.one.kind.flavour.mariadb
        program = program_of(self.one)
        arguments = ("-vv", "--base64-output=decode-rows", str(log))
        with lines_of(program, arguments, 60.0, mariadb=mariadb) as lines:
            return [item for _, item in items(lines, wanted, mariadb=mariadb) if isinstance(item, Row)]

    def apply(self, done: Saved, *more: str) -> None:
        """Run what was saved on the other server."""
        client = self.two.kind.client()
        assert client is not None
        assert done.folder is not None
        argv = [
            str(client),
            "--no-defaults",
            "--host=127.0.0.1",
            f"--port={self.two.port}",
            "--user=root",
            *more,
        ]
        ran = subprocess.run(
            argv, input=(done.folder / "transactions.sql").read_bytes(), capture_output=True, check=False
        )
        assert ran.returncode == 0, ran.stderr.decode()

    def checksums(self, *tables: str) -> list[list[str | None]]:
        return [[self._checksum(server, table) for table in tables] for server in (self.one, self.two)]

    def _checksum(self, server: Server, table: str) -> str | None:
        with server.connect() as connection:
            return connection.query(f"CHECKSUM TABLE shop.{table} EXTENDED")[0]["Checksum"]


def pair(servers: Servers, folder: Path, *statements: str, options: tuple[str, ...] = ()) -> Pair:
    more = (
        ("--binlog-annotate-row-events=ON",)
        if servers.kind.flavour.mariadb
        else (*GTIDS, "--binlog-rows-query-log-events=ON")
    )
    both = [
        servers.start("--binlog-format=ROW", "--innodb-flush-log-at-trx-commit=2", *more, *options)
        for _ in range(2)
    ]
    for server in both:
        server.run(
            "SET NAMES utf8mb4, time_zone='+03:00', sql_mode=''",
            "CREATE DATABASE shop CHARACTER SET utf8mb4",
            "USE shop",
            "CREATE TABLE o (id INT PRIMARY KEY, c VARCHAR(50), d DECIMAL(9,2))",
            "INSERT INTO o VALUES (1,'base',1), (2,'base',2), (3,'base',3), (4,'base',4)",
            *statements,
        )
    return Pair(both[0], both[1], folder / "saved")


def types(servers: Servers) -> dict[str, tuple[str, str]]:
    if not servers.kind.flavour.mariadb:
        return TYPES
    return {**TYPES, **OF_MARIADB, **(UUID if servers.kind.flavour.version >= (10, 7, 0) else {})}


@pytest.mark.parametrize("servers", KINDS, indirect=True)
def test_all_types_come_out_as_they_went_in(servers: Servers, tmp_path: Path) -> None:
    columns = types(servers)
    names = ", ".join(columns)
    kinds = ", ".join(f"{name} {each[0]}" for name, each in columns.items())
    values = ", ".join(each[1] for each in columns.values())
    generated = "vg VARCHAR(40) AS (CONCAT(vc,'!')) VIRTUAL, sg INT AS (ti+1) STORED"
    both = pair(
        servers,
        tmp_path,
        f"CREATE TABLE w (id INT PRIMARY KEY, {kinds}, {generated})",
        f"CREATE TABLE bare ({kinds}, n INT)",
        f"INSERT INTO w (id, {names}) VALUES (1, {values}), (2, {values}), (3, {values})",  # noqa: S608
        f"INSERT INTO bare ({names}, n) VALUES ({values}, 1), ({values}, 2), ({values}, 2)",  # noqa: S608
        "INSERT INTO bare (n) VALUES (3), (4)",
    )
    done = both.save(
        f"INSERT INTO w (id, {names}) VALUES (10, {values})",  # noqa: S608
        "INSERT INTO w (id) VALUES (11)",
        *(f"UPDATE w SET {name}=NULL WHERE id=1" for name in columns),  # noqa: S608
        *(f"UPDATE w SET {name}={each[1]} WHERE id=11" for name, each in columns.items()),  # noqa: S608
        "DELETE FROM w WHERE id=2",
        "DELETE FROM bare WHERE n=2 LIMIT 1",
        "UPDATE bare SET n=30, te='x' WHERE n IN (1, 3)",
        "DELETE FROM bare WHERE n=4",
        f"INSERT INTO bare ({names}, n) VALUES ({values}, 5)",  # noqa: S608
    )
    assert done.unprinted == 0
    both.apply(done)
    one, two = both.checksums("w", "bare")
    assert one == two
    assert None not in one


@pytest.mark.parametrize("servers", KINDS, indirect=True)
def test_stored_values_are_read_as_the_program_prints_them(servers: Servers, tmp_path: Path) -> None:
    columns = {name: each for name, each in types(servers).items() if name not in {"fl", "js", "ge"}}
    kinds = ", ".join(f"{name} {each[0]}" for name, each in columns.items())
    values = ", ".join(each[1] for each in columns.values())
    both = pair(servers, tmp_path, f"CREATE TABLE w (id INT PRIMARY KEY, {kinds})")
    server = both.one
    before = has(server)
    server.run(
        "SET NAMES utf8mb4, time_zone='+03:00', sql_mode=''",
        f"INSERT INTO shop.w VALUES (1, {values})",  # noqa: S608
        "INSERT INTO shop.w (id) VALUES (2), (3)",
        *(f"UPDATE shop.w SET {name}={each[1]} WHERE id=2" for name, each in columns.items()),  # noqa: S608
        "UPDATE shop.w SET de=-0.5, t6='-00:00:00.000001', t0='12:00:00', d3='1000-01-01' WHERE id=3",
        "UPDATE shop.w SET de=99999999999999999999.9999999999, t6='838:59:59', dou=-0.1, d3=0, da=0, ts=0",
    )
    extras = found(server, before)
    [part] = extras.parts
    data = part.path.read_bytes()
    shown = both.printed(part.path, {extra.begin: extra for extra in extras.transactions})
    stored = [
        row for extra in extras.transactions for row in rows_of(data[extra.begin : extra.end], checksums=True)
    ]
    assert len(shown) == len(stored) > len(columns)
    for one, other in zip(shown, map(whole, stored), strict=True):
        assert (one.change, one.schema, one.table) == (other.change, other.schema, other.table)
        for image, read in ((one.old, other.old), (one.new, other.new)):
            assert image.keys() == read.keys()
            for at, cell in image.items():
                assert same(cell, read[at]), (at, cell, read[at])


@pytest.mark.parametrize("servers", ["mariadb:11.8"], indirect=True)
def test_the_log_of_a_host_that_came_apart_is_read_though_its_numbers_do_not_rise(
    servers: Servers, tmp_path: Path
) -> None:
    """By itself the program stops at the first transaction of another server with a lower number than the last."""
    both = pair(servers, tmp_path)
    before = has(both.one)
    done = both.save(
        "SET gtid_seq_no=1000",
        "INSERT INTO o VALUES (10,'own',1)",
        "SET server_id=77, gtid_seq_no=900",
        "INSERT INTO o VALUES (11,'of the peer',1)",
    )
    assert done.count == 2
    both.apply(done)
    one, two = both.checksums("o")
    assert one == two
    [part] = found(both.one, before).parts
    text = printed(program_of(both.one), part.path.read_bytes(), 60.0, mariadb=True)
    assert [text.count(f"gtid_seq_no={number}".encode()) for number in (1000, 900)] == [1, 1]


def same(shown: Cell, read: Cell) -> bool:
    if shown.doubtful:  # what the program prints has lost it
        return read.value is not None
    if shown.kind == "DOUBLE" and shown.value is not None and read.value is not None:
        return float(shown.value) == float(read.value)
    return literal(shown, None) == literal(read, None)


@pytest.mark.parametrize("servers", KINDS, indirect=True)
def test_a_float_comes_out_with_all_its_digits(servers: Servers, tmp_path: Path) -> None:
    numbers = (
        "16777215",
        "0.1",
        "1.17549435e-38",
        "-3.40282347e38",
        "52.5200081",
        "1e-45",
        "0",
        "123456.789",
    )
    both = pair(servers, tmp_path, "CREATE TABLE f (id INT AUTO_INCREMENT PRIMARY KEY, x FLOAT, t TEXT)")
    done = both.save(
        "INSERT INTO f (x) VALUES (1.5)",
        f"INSERT INTO f (x, t) VALUES {', '.join(f'({number}, NULL)' for number in numbers)}",  # noqa: S608
        "UPDATE f SET x=x/3, t='more'",
    )
    both.apply(done)
    one, two = both.checksums("f")
    assert one == two


@pytest.mark.parametrize("servers", ["mysql:9.7"], indirect=True)
def test_rows_with_places_on_a_map_come_out_though_the_program_cannot_print_them(
    servers: Servers, tmp_path: Path
) -> None:
    place = "ST_GeomFromText('POINT(1 2)')"
    both = pair(
        servers,
        tmp_path,
        "CREATE TABLE p (id INT PRIMARY KEY, g POINT, c VARCHAR(9), d DECIMAL(9,2), t DATETIME(3))",
        "CREATE TABLE j (id INT PRIMARY KEY, g POINT, j JSON)",
        f"INSERT INTO p VALUES (1, {place}, 'a', 1.5, '2026-11-29 04:05:06.123'), (2, {place}, 'b', -2.5, NULL)",  # noqa: S608
    )
    done = both.save(
        f"INSERT INTO p VALUES (3, {place}, 'c', 3, NOW(3)), (4, NULL, 'd', NULL, NULL), (5, {place}, 'e', 0, NULL)",  # noqa: S608
        "UPDATE p SET c='z', g=ST_GeomFromText('POINT(3 4)') WHERE id<4",
        "DELETE FROM p WHERE id=4",
    )
    assert done.unprinted == 0
    assert done.tables == (TableCount("shop.p", 3, 3, 1, 5, 0, 0),)
    both.apply(done)
    one, two = both.checksums("p")
    assert one == two
    lost = both.save(
        f"INSERT INTO j VALUES (1, {place}, '{{}}'), (2, {place}, '{{}}')",  # noqa: S608
        "INSERT INTO o VALUES (9,'x',9)",
    )
    assert (lost.unprinted, lost.rows) == (2, "INSERT shop.j 2, INSERT shop.o 1")
    both.apply(lost)


@pytest.mark.parametrize("servers", KINDS, indirect=True)
def test_what_is_said_is_what_was_done(servers: Servers, tmp_path: Path) -> None:
    both = pair(servers, tmp_path)
    done = both.save(
        "INSERT INTO o VALUES (5,'it''s',NULL)",
        "update o set c='changed', d=NULL where id=1",
        "DELETE FROM o WHERE id=2",
    )
    lines = both.text(done).splitlines()
    assert "-- said as: update o set c='changed', d=NULL where id=1" in lines
    assert "INSERT INTO `shop`.`o` (`id`, `c`, `d`) VALUES (5, 'it''s', NULL);" in lines
    assert (
        "UPDATE `shop`.`o` SET `c`='changed', `d`=NULL WHERE `id`=1 LIMIT 1; -- `c` was 'base'; `d` was 1.00"
        in lines
    )
    assert "DELETE FROM `shop`.`o` WHERE `id`=2 LIMIT 1; -- was `id`=2, `c`='base', `d`=2.00" in lines
    assert sum(line.startswith("-- transaction ") for line in lines) == 3
    both.apply(done)
    one, two = both.checksums("o")
    assert one == two


@pytest.mark.parametrize("servers", [MARIADB, "mysql:9.7"], indirect=True)
def test_statements_and_ddl_run_again_under_what_they_were_said(servers: Servers, tmp_path: Path) -> None:
    both = pair(servers, tmp_path)
    done = both.save(
        "CREATE TABLE new (id INT AUTO_INCREMENT PRIMARY KEY, t TIMESTAMP NULL, c VARCHAR(50)) -- new; table",
        "INSERT INTO new (c) VALUES ('row'), ('next')",
        "SET binlog_format=STATEMENT, sql_mode='ANSI_QUOTES', @x='it''s'",
        'INSERT INTO "new" (t, c) VALUES (FROM_UNIXTIME(0), @x)',
        "INSERT INTO \"new\" (t, c) VALUES (NOW(), CONCAT('a;', 'b'))",
        "SET binlog_format=ROW, sql_mode=''",
        "ALTER TABLE o DROP COLUMN d, ADD COLUMN e INT FIRST",
        "UPDATE o SET e=id, c='after' WHERE id=1",
        "CREATE PROCEDURE p() BEGIN SELECT ';'; SELECT '$$'; END",
        "CREATE USER someone",
    )
    both.apply(done)
    one, two = both.checksums("new", "o")
    assert one == two
    assert None not in one
    assert both.two.value("(SELECT COUNT(*) FROM mysql.user WHERE user='someone')") == "1"
    assert done.statements == 6


@pytest.mark.parametrize("servers", [MARIADB, "mariadb:10.5"], indirect=True)
def test_a_log_whose_numbers_go_back_is_read(servers: Servers, tmp_path: Path) -> None:
    both = pair(servers, tmp_path)
    done = both.save(
        "INSERT INTO o VALUES (5,'own',5)",
        "SET SESSION server_id=3, gtid_seq_no=4",
        "INSERT INTO o VALUES (6,'of another',6)",
    )
    assert (done.count, done.names.split(" ")[-1]) == (2, "0-3-4")
    both.apply(done)
    one, two = both.checksums("o")
    assert one == two


@pytest.mark.parametrize("servers", [MARIADB, "mysql:9.7"], indirect=True)
def test_xa_transactions_and_several_tables_at_once_come_out_too(servers: Servers, tmp_path: Path) -> None:
    both = pair(servers, tmp_path, "CREATE TABLE p (id INT PRIMARY KEY, a INT, b INT, UNIQUE (a, b))")
    done = both.save(
        "XA START 'x'",
        "INSERT INTO o VALUES (5,'xa',5)",
        "XA END 'x'",
        "XA PREPARE 'x'",
        "XA COMMIT 'x'",
        "BEGIN",
        "INSERT INTO p VALUES (1,1,1),(2,2,2)",
        "UPDATE o, p SET o.c='joined', p.a=9 WHERE o.id=p.id",
        "COMMIT",
    )
    both.apply(done)
    one, two = both.checksums("o", "p")
    assert one == two


@pytest.mark.parametrize(
    ("key", "kind_of", "value"),
    [
        ("a", "VARCHAR(20)", "'it''s'"),
        ("a", "VARBINARY(20)", "X'00ff27'"),
        ("a", "BIGINT UNSIGNED", "18446744073709551615"),
        ("a", "DATETIME(3)", "'2026-11-29 04:05:06.123'"),
        ("a", "TIMESTAMP(2)", "'2026-11-29 04:05:06.12'"),
        ("a", "DECIMAL(9,2)", "1.50"),
        ("a", "ENUM('a','b''x')", "'b''x'"),
        ("a", "BIT(9)", "b'000000101'"),
        ("a", "INET6", "'2001:db8::1'"),
        ("a, n", "CHAR(9)", "'two'"),
    ],
)
def test_rows_are_found_by_whatever_key_they_have(
    servers: Servers, tmp_path: Path, key: str, kind_of: str, value: str
) -> None:
    both = pair(
        servers,
        tmp_path,
        f"CREATE TABLE k (a {kind_of} NOT NULL, n INT NOT NULL, b INT, UNIQUE ({key}))",
        f"INSERT INTO k VALUES ({value}, 1, 1)",  # noqa: S608
    )
    done = both.save("UPDATE k SET b=2")
    assert done.tables == (TableCount("shop.k", 0, 1, 0, 1, 0, 0),)
    assert "on db2 as before" in both.text(done, "rows.sql")
    both.two.run("UPDATE shop.k SET b=3")
    again = both.save("UPDATE k SET b=4")
    assert again.tables[0].changed == 1
    both.two.run("DELETE FROM shop.k")
    gone = both.save("UPDATE k SET b=5")
    assert "gone on db2 since" in both.text(gone, "rows.sql")
    both.apply(done)
    assert both.one.value("(SELECT b FROM shop.k)") == "5"


def test_letters_of_another_case_are_the_same_row_where_the_server_says_so(
    servers: Servers, tmp_path: Path
) -> None:
    both = pair(
        servers, tmp_path, "CREATE TABLE k (a VARCHAR(9) PRIMARY KEY, b INT)", "INSERT INTO k VALUES ('x',1)"
    )
    both.two.run("UPDATE shop.k SET a='X'")
    done = both.save("UPDATE k SET b=2 WHERE a='x'", "INSERT INTO k VALUES ('y',1)")
    assert [table.changed for table in done.tables] == [1]
    assert "db2 now: `a`='X', `b`=1: changed on db2 since" in both.text(done, "rows.sql")


@pytest.mark.parametrize("servers", [MARIADB, "mysql:9.7"], indirect=True)
def test_what_was_loaded_from_a_file_is_saved_with_it(servers: Servers, tmp_path: Path) -> None:
    both = pair(servers, tmp_path, options=("--secure-file-priv=", "--local-infile=1"))
    lines = tmp_path / "lines"
    lines.write_text("21\tone\t1\n22\ttwo\t2\n")
    tmp_path.chmod(0o755)
    done = both.save(
        "SET binlog_format=STATEMENT", f"LOAD DATA INFILE '{lines}' INTO TABLE o", "DELETE FROM o WHERE id=1"
    )
    assert done.folder is not None
    assert done.statements == 2
    [kept] = (done.folder / "loads").iterdir()
    assert kept.read_text() == lines.read_text()
    assert (kept.stat().st_mode & 0o077, str(kept) in both.text(done)) == (0, True)
    verify(done.folder)
    both.apply(done, "--local-infile=1")
    one, two = both.checksums("o")
    assert one == two
    kept.write_text("other")
    with pytest.raises(SaveError, match="loads"):
        verify(done.folder)


def test_rows_from_before_a_change_of_their_table_have_the_names_of_then(
    servers: Servers, tmp_path: Path
) -> None:
    both = pair(servers, tmp_path)
    done = both.save(
        "UPDATE o SET c='early' WHERE id=1",
        "ALTER TABLE o DROP COLUMN c, ADD COLUMN f INT",
        "UPDATE o SET f=7 WHERE id=2",
        "ALTER TABLE o ADD COLUMN g INT FIRST",
        "UPDATE o SET f=8 WHERE id=3",
        "DROP TABLE o",
    )
    text = both.text(done)
    assert "UPDATE `shop`.`o` SET `c`='early' WHERE `id`=1" in text
    assert "-- UPDATE `shop`.`o` SET @1=2" in text


def test_a_dead_server_leaves_numbers_for_names_where_nobody_else_knows_them(
    servers: Servers, tmp_path: Path
) -> None:
    both = pair(servers, tmp_path)
    there, where = has(both.one), home(both.one)
    both.one.run("INSERT INTO shop.o VALUES (9,'x',9)", "UPDATE shop.o SET c='y' WHERE id=9")
    extras = found(both.one, there)
    both.one.kill()
    assert where
    alone = saved(both.one, extras, tmp_path / "alone")
    assert "-- UPDATE `shop`.`o` SET @1=9, @2='y'" in both.text(alone)
    assert not alone.compared
    with both.two.connect() as other:
        done = saved(both.one, extras, tmp_path / "asked", there=other)
    assert "UPDATE `shop`.`o` SET `c`='y' WHERE `id`=9" in both.text(done)
    both.apply(done)
    assert both.two.value("(SELECT c FROM shop.o WHERE id=9)") == "y"


@pytest.mark.parametrize(
    "more",
    [
        "",
        ", s TIMESTAMP(6) AS ROW START, e TIMESTAMP(6) AS ROW END, PERIOD FOR SYSTEM_TIME (s, e)",
    ],
    ids=["hidden", "named"],
)
def test_a_table_that_keeps_its_history_gets_what_people_did(
    servers: Servers, tmp_path: Path, more: str
) -> None:
    both = pair(
        servers,
        tmp_path,
        f"CREATE TABLE v (id INT PRIMARY KEY, c INT{more}) WITH SYSTEM VERSIONING",
        "INSERT INTO v (id, c) VALUES (1,1),(2,2)",
    )
    done = both.save(
        "UPDATE v SET c=9 WHERE id=1", "DELETE FROM v WHERE id=2", "INSERT INTO v (id, c) VALUES (3,3)"
    )
    both.apply(done)
    for server in (both.one, both.two):
        assert server.value("(SELECT GROUP_CONCAT(id,':',c ORDER BY id) FROM shop.v)") == "1:9,3:3"
    assert done.tables == (TableCount("shop.v", 1, 1, 1, 3, 0, 0),)


@pytest.mark.parametrize(
    ("servers", "table", "values"),
    [
        (MARIADB, "a INT, t TEXT, UNIQUE (t, id)", "1, 'long'"),
        (MARIADB, "a INT, t TEXT COMPRESSED, v VARCHAR(500) COMPRESSED", "1, REPEAT('abc', 200), 'short'"),
        ("mariadb:11.8", "a INT, v VECTOR(3)", "1, VEC_FromText('[1,2.5,3]')"),
        ("mysql:9.7", "a INT, t VARCHAR(20), KEY ((LOWER(t)))", "1, 'X'"),
        ("mysql:9.7", "a INT, v VECTOR(3)", "1, TO_VECTOR('[1,2.5,3]')"),
    ],
    indirect=["servers"],
)
def test_what_servers_add_to_a_row_is_not_in_the_way(
    servers: Servers, tmp_path: Path, table: str, values: str
) -> None:
    both = pair(
        servers,
        tmp_path,
        f"CREATE TABLE k (id INT PRIMARY KEY, {table})",
        f"INSERT INTO k VALUES (1, {values})",  # noqa: S608
    )
    done = both.save(f"INSERT INTO k VALUES (2, {values})", "UPDATE k SET a=a+1")  # noqa: S608
    assert done.tables == (TableCount("shop.k", 1, 2, 0, 2, 0, 0),)
    both.apply(done)
    one, two = both.checksums("k")
    assert one == two


@pytest.mark.parametrize(
    ("servers", "options"),
    [
        (MARIADB, ("--log-bin-compress=ON", "--log-bin-compress-min-len=10")),
        (MARIADB, ("--binlog-row-image=MINIMAL",)),
        (MARIADB, ("--binlog-row-image=NOBLOB",)),
        (MARIADB, ("--binlog-checksum=NONE",)),
        ("mysql:9.7", ("--binlog-transaction-compression=ON",)),
        ("mysql:9.7", ("--binlog-row-image=MINIMAL",)),
    ],
    indirect=["servers"],
)
def test_however_the_log_is_written(servers: Servers, tmp_path: Path, options: tuple[str, ...]) -> None:
    both = pair(servers, tmp_path, options=options)
    done = both.save(
        "INSERT INTO o VALUES (5,REPEAT('x',40),5),(6,'line\\nline',6)",
        r"INSERT INTO o VALUES (7,'\\x0a and \n, long enough for both',7),(8,'\n and \\x0a and \\x0a',8)",
        "UPDATE o SET c='changed' WHERE id<3",
        "FLUSH BINARY LOGS",
        "DELETE FROM o WHERE id=3",
        "SET binlog_format=STATEMENT",
        "UPDATE o SET d=d+1 WHERE c IN ('changed', 'a long statement, which is compressed')",
    )
    assert done.count == 5
    both.apply(done)
    one, two = both.checksums("o")
    assert one == two


@pytest.mark.parametrize("servers", KINDS, indirect=True)
def test_each_row_is_listed_with_what_the_other_has(servers: Servers, tmp_path: Path) -> None:
    columns = types(servers)
    kinds = ", ".join(f"{name} {each[0]}" for name, each in columns.items())
    row = f"INSERT INTO w (id, {', '.join(columns)}) VALUES (7, {', '.join(each[1] for each in columns.values())})"  # noqa: S608
    both = pair(
        servers, tmp_path, f"CREATE TABLE w (id INT PRIMARY KEY, {kinds})", "CREATE TABLE bare (a INT)", row
    )
    both.two.run(
        "SET time_zone='+03:00'",
        "UPDATE shop.o SET c='other' WHERE id=2",
        "DELETE FROM shop.o WHERE id=3",
        "INSERT INTO shop.o VALUES (6,'six',6)",
    )
    done = both.save(
        "UPDATE o SET c='mine'",
        "INSERT INTO o VALUES (5,'five',5),(6,'six',6)",
        "UPDATE o SET d=50 WHERE id=5",
        "UPDATE w SET id=8",
        "INSERT INTO bare VALUES (1)",
    )
    assert done.compared
    assert done.tables == (
        TableCount("shop.o", 2, 5, 0, 6, 2, 0),
        TableCount("shop.w", 0, 1, 0, 2, 0, 0),
        TableCount("shop.bare", 1, 0, 0, 0, 0, 1),
    )
    assert done.rows == (
        "INSERT shop.o 2, UPDATE shop.o 5, UPDATE shop.w 1, INSERT shop.bare 1; "
        "2 of these rows have changed on db2 since"
    )
    lines = both.text(done, "rows.sql").splitlines()
    assert lines[lines.index("-- `id`=1: on db2 as before") + 1].startswith(
        "UPDATE `shop`.`o` SET `c`='mine'"
    )
    assert lines[lines.index("-- `id`=2: db2 now: `c`='other': changed on db2 since") + 1].startswith(
        "-- UPDATE "
    )
    assert lines[lines.index("-- `id`=3: gone on db2 since") + 1].startswith("-- UPDATE ")
    assert lines[lines.index("-- `id`=5: not on db2") + 1].startswith("INSERT INTO `shop`.`o` ")
    assert "-- `id`=6: db2 has the same" in lines
    assert lines[lines.index("-- `id`=7: on db2 as before") + 1].startswith("DELETE FROM `shop`.`w` ")


@pytest.mark.parametrize("servers", [MARIADB, "mysql:9.7"], indirect=True)
def test_what_the_log_does_not_have_of_before_may_have_changed(servers: Servers, tmp_path: Path) -> None:
    """With MINIMAL the log has the key of a row that was changed or removed, and nothing else of before."""
    both = pair(
        servers,
        tmp_path,
        "CREATE TABLE m (id INT PRIMARY KEY, c VARCHAR(9), d INT, g INT AS (id+1) STORED)",
        "INSERT INTO m (id, c, d) VALUES (1,'a',1), (2,'b',2)",
        options=("--binlog-row-image=MINIMAL",),
    )
    both.two.run(
        "UPDATE shop.o SET c='other' WHERE id=2",
        "UPDATE shop.o SET d=9 WHERE id=3",
        "DELETE FROM shop.o WHERE id=4",
    )
    done = both.save(
        "UPDATE o SET c='mine' WHERE id<3",
        "DELETE FROM o WHERE id=3",
        "UPDATE o SET c='mine' WHERE id=4",
        "INSERT INTO o VALUES (5,'five',5)",
        "UPDATE o SET id=6 WHERE id=5",
        "UPDATE m SET c='x' WHERE id=1",
        "UPDATE m SET id=5 WHERE id=1",
        "UPDATE m SET id=7, c='whole', d=7 WHERE id=2",
    )
    assert done.tables == (
        TableCount("shop.o", 1, 4, 1, 6, 1, 0, 3),
        TableCount("shop.m", 0, 3, 0, 2, 0, 2, 1),
    )
    assert done.rows.endswith(
        "; 1 of these rows has changed on db2 since; 4 of these rows may have changed on db2 since"
    )
    lines = both.text(done, "rows.sql").splitlines()
    for row, begins in {
        "`id`=2: db2 now: `c`='other': what it was before is not in the log": "-- UPDATE ",
        "`id`=3: db2 now: `id`=3, `c`='base', `d`=9.00: what it was before is not in the log": "-- DELETE ",
        "`id`=4: gone on db2 since": "-- UPDATE ",
        "`id`=6: not on db2": "INSERT INTO `shop`.`o` (`id`, `c`, `d`) VALUES (6, 'five', 5.00);",
        "`id`=7: not on db2": "INSERT INTO `shop`.`m` (`id`, `c`, `d`) VALUES (7, 'whole', 7);",
    }.items():
        assert lines[lines.index(f"-- {row}") + 1].startswith(begins)
    assert "-- 2 of these cannot be followed by a key: see transactions.sql" in lines
    assert not any(line.startswith(("UPDATE", "DELETE")) for line in lines)
    assert "may have changed on db2 since: what they were" in both.text(done, "summary.txt")


@pytest.mark.parametrize("servers", KINDS, indirect=True)
@pytest.mark.parametrize("image", ["FULL", "NOBLOB"])
def test_a_row_with_a_generated_column_is_as_before_where_the_rest_is(
    servers: Servers, tmp_path: Path, image: str
) -> None:
    both = pair(
        servers,
        tmp_path,
        "CREATE TABLE g (id INT PRIMARY KEY, c INT, t TEXT, v INT AS (c+1) VIRTUAL, s INT AS (c+2) STORED)",
        "INSERT INTO g (id, c, t) VALUES (1, 1, 'text')",
        options=(f"--binlog-row-image={image}",),
    )
    done = both.save("UPDATE g SET c=2")
    unlogged = int(image == "NOBLOB")
    assert done.tables == (TableCount("shop.g", 0, 1, 0, 1, 0, 0, unlogged),)
    assert both.text(done, "rows.sql").count(": on db2 as before") == 1 - unlogged


LABELS = ",".join(f"'l{number}'" for number in range(64))
EXACTLY = {
    "INET6": ("'::ffff:192.0.2.1'", "'2001:db8:0:1:1:1:1:1'", "'::192.0.2.1'"),
    f"SET({LABELS})": ("18446744073709551615", "9223372036854775809", "'l0'"),
    r"ENUM('a\\\\b','c\\\\n','x\\n','it''s\\\\')": ("1", "2", "3", "4"),
    r"SET('a\\\\b','c')": ("1", "3"),
    "BIT(64)": ("b'1'", "18446744073709551615"),
    "BIGINT UNSIGNED ZEROFILL": ("7", "18446744073709551615"),
    "DECIMAL(9,2) ZEROFILL": ("1.5", "1234567.89"),
}


@pytest.mark.parametrize(
    ("servers", "of"),
    [(MARIADB, "INET6"), *((kind, of) for kind in (MARIADB, "mysql:9.7") for of in EXACTLY if of != "INET6")],
    indirect=["servers"],
)
def test_a_value_is_the_same_however_the_server_spells_it(servers: Servers, tmp_path: Path, of: str) -> None:
    values = EXACTLY[of]
    rows = ", ".join(f"({value}, 1)" for value in values)
    both = pair(
        servers,
        tmp_path,
        f"CREATE TABLE k (a {of} NOT NULL, n INT, PRIMARY KEY (a))",
        f"CREATE TABLE r (id INT AUTO_INCREMENT PRIMARY KEY, a {of}, n INT)",
        f"INSERT INTO k VALUES {rows}",  # noqa: S608
        f"INSERT INTO r (a, n) VALUES {rows}",  # noqa: S608
    )
    done = both.save("UPDATE k SET n=2", "UPDATE r SET n=2", f"INSERT INTO r (a) VALUES ({values[0]})")  # noqa: S608
    count = len(values)
    assert done.compared
    assert done.tables == (
        TableCount("shop.k", 0, count, 0, count, 0, 0),
        TableCount("shop.r", 1, count, 0, count + 1, 0, 0),
    )
    assert both.text(done, "rows.sql").count(": on db2 as before") == 2 * count
    both.apply(done)
    one, two = both.checksums("k", "r")
    assert one == two


@pytest.mark.parametrize("servers", [MARIADB, "mysql:9.7"], indirect=True)
@pytest.mark.parametrize("charset", ["latin1", "cp1251", "gbk", "ucs2", "utf8mb4"])
@pytest.mark.parametrize("of", ["VARCHAR(20)", "CHAR(20)", "TEXT"])
def test_a_row_without_a_key_is_found_by_its_very_letters(
    servers: Servers, tmp_path: Path, charset: str, of: str
) -> None:
    both = pair(
        servers,
        tmp_path,
        f"CREATE TABLE n (c {of} CHARACTER SET {charset}, d INT)",
        "INSERT INTO n VALUES ('a',1), ('A',1), ('A ',1), ('a\\n\\Z',1), ('A\\n\\Z',1)",
    )
    done = both.save(
        f"DELETE FROM n WHERE BINARY c=CONVERT('A' USING {charset})",  # noqa: S608
        "UPDATE n SET d=2 WHERE c='A\\n\\Z'",
    )
    both.apply(done)
    one, two = both.checksums("n")
    assert one == two


@pytest.mark.parametrize(("limit", "least"), [("MOST", 3), ("ROOM", 1500)])
def test_rows_that_are_too_many_are_counted_and_are_in_the_other_file(
    servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, least: int
) -> None:
    both = pair(servers, tmp_path)
    monkeypatch.setattr(rows, limit, least)
    done = both.save(
        "INSERT INTO o VALUES (5,'a',5),(6,'b',6),(7,'c',7),(8,'d',8),(9,'e',9),(10,'f',10)",
        "UPDATE o SET d=1",
    )
    [table] = done.tables
    assert (table.inserted, table.updated) == (6, 9)
    assert 0 < table.rows < 6
    assert table.unfollowed > 0
    assert f"{table.unfollowed} of these cannot be followed" in both.text(done, "rows.sql")
    both.apply(done)
    one, two = both.checksums("o")
    assert one == two


def test_a_master_that_cannot_be_asked_is_no_reason_not_to_save(servers: Servers, tmp_path: Path) -> None:
    both = pair(servers, tmp_path)
    there = has(both.one)
    both.one.run("INSERT INTO shop.o VALUES (5,'five',5)")
    extras = found(both.one, there)
    with both.one.connect() as here, both.two.connect() as other:
        both.two.kill()
        done = saved(both.one, extras, tmp_path / "saved", here=here, there=other)
    assert (done.count, done.compared, done.rows) == (1, False, "INSERT shop.o 1")
    assert "could not be asked" in both.text(done, "rows.sql")
    assert "were not compared" in both.text(done, "summary.txt")
