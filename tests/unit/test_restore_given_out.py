"""A host that is put back to an earlier moment, and follows nobody, uses no number of MariaDB's a second time."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from mmm.gtid import mariadb
from mmm.mysql.server.replication import history
from mmm.tools.program import load_conf
from mmm.tools.rejoin import numbers
from mmm.tools.restore.given_out import given_out, newest, newest_in
from tests.servers import MARIADB, Server, Servers
from tests.unit.backing_up import machine
from tests.unit.test_rejoin_steps import answers, by_script, wait
from tests.unit.test_tools_restore import restore
from tests.unit.test_tools_until import insert, shop_of


def number(server: Server) -> int:
    """Return the number of what was written last."""
    return mariadb.parse(server.value("@@gtid_binlog_pos"))[0].sequence


def test_of_each_domain_the_newest_counts_whoever_has_written_it() -> None:
    found = newest(mariadb.parse("0-1-7,0-2-9,5-1-2,0-3-8"))
    assert mariadb.text(found) == "0-2-9,5-1-2"


@pytest.mark.mysql
def test_what_is_written_after_a_restore_has_numbers_above_all_that_were_given_out(tmp_path: Path) -> None:
    with shop_of(MARIADB, tmp_path) as shop:
        by_script(shop.server)
        insert(shop.server, "three")
        good = shop.last()
        shop.keep()
        for what in range(5):
            insert(shop.server, f"later {what}")
        last = shop.last()
        ran = restore(shop.host, "--until", good, "--src-dir", str(shop.made))
        assert ran.status == 0, ran
        assert f"db2 goes on above {last}, which was given out already" in ran.out
        wait(lambda: answers(shop.server))
        assert shop.server.value("@@gtid_slave_pos") == good
        insert(shop.server, "other")
        assert number(shop.server) > mariadb.parse(last)[0].sequence
        rows = shop.server.connect().query("SELECT what FROM shop.o ORDER BY id")
        assert [row["what"] for row in rows] == ["one", "two", "three", "other"]


@pytest.mark.mysql
def test_what_a_dead_server_a_log_and_other_hosts_tell_all_counts(
    server_pool: Servers, tmp_path: Path
) -> None:
    """Here the dead one has written most in domain 0, another host in domain 1, and a log that was kept in domain 2."""
    with server_pool.lent() as pool:
        own, other = pool.start(), pool.start()
        conf = load_conf(machine(tmp_path, own).conf, None)
        machine(tmp_path, other)
        db1 = replace(conf.hosts["db1"], ip="127.0.0.1", mysql_port=other.port)
        conf = replace(conf, hosts={**conf.hosts, "db1": db1})
        with other.connect() as session:
            for domain, number in ((2, 700), (1, 800)):
                session.execute(f"SET SESSION gtid_domain_id={domain}")
                session.execute(f"SET SESSION gtid_seq_no={number}")
                session.execute("CREATE DATABASE IF NOT EXISTS shop")
        (tmp_path / "kept").mkdir()
        shutil.copy(Path(other.value("@@log_bin_basename")).with_suffix(".000001"), tmp_path / "kept")
        with own.connect() as session:
            session.execute("FLUSH BINARY LOGS")
            session.execute("SET SESSION gtid_seq_no=900")
            session.execute("CREATE DATABASE more")
        datadir = own.directory / "data"
        alive = given_out(conf, datadir, ())
        own.kill()
        assert given_out(conf, datadir, ()) == alive
        assert {(gtid.domain, gtid.sequence) for gtid in alive} == {(0, 900), (1, 800), (2, 700)}
        other.kill()
        assert {gtid.sequence for gtid in given_out(conf, datadir, ())} == {900}
        found = given_out(conf, datadir, (tmp_path / "kept",))
        assert {(gtid.domain, gtid.sequence) for gtid in found} == {(0, 900), (1, 800), (2, 700)}


def test_a_folder_without_logs_and_files_that_are_none_tell_nothing(tmp_path: Path) -> None:
    (tmp_path / "aria_log.00000001").write_bytes(b"something else")
    assert newest_in(tmp_path) == newest_in(tmp_path / "none") == ()


@pytest.mark.mysql
def test_a_server_that_has_the_newest_writes_nothing_and_no_number_is_passed_twice(
    server_pool: Servers,
) -> None:
    with server_pool.lent() as pool, pool.start().connect() as session:
        session.execute("CREATE DATABASE shop")
        has = mariadb.newest_everywhere(history(session))
        assert numbers.go_on_above(session, has) == ()
        given = (mariadb.Gtid(0, 7, has[0].sequence),)
        assert numbers.go_on_above(session, given) == given
        assert numbers.go_on_above(session, given) == ()
        assert mariadb.newest_everywhere(history(session))[0].sequence == has[0].sequence + 1
