"""What an account lacks is read from SHOW GRANTS, and real servers refuse just that."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from mmm.mysql.backup import dump
from mmm.mysql.flavour import Flavour, detect
from mmm.mysql.server.accounts import (
    agent_privileges,
    grants,
    look_at_missing_grant,
    monitor_privileges,
    tools_privileges,
)
from mmm.mysql.server.privileges import (
    Missing,
    Need,
    agent_needs,
    look_at_missing_grants,
    missing_grants,
    monitor_needs,
    replication_needs,
    rewind_needs,
    tools_needs,
)
from mmm.mysql.server.replication import binlog_position
from mmm.mysql.session.connection import OF_THE_SERVER
from tests.servers import MARIADB, Server, Servers, kind
from tests.unit.trio import AGENT, MONITOR, REPLICATION

MARIADB_10_5 = detect("10.5.29-MariaDB", "")
MARIADB_10_11 = detect("10.11.6-MariaDB", "")
MARIADB_11_8 = detect("11.8.2-MariaDB", "")
MYSQL_5_7 = detect("5.7.44", "MySQL")
MYSQL_9_7 = detect("9.7.0", "MySQL")


def lacks(flavour: Flavour, *rows: str) -> set[str]:
    return {missing.privilege for missing in missing_grants(flavour, agent_needs(flavour), rows)}


@pytest.mark.parametrize("flavour", [MARIADB_10_11, MYSQL_9_7])
def test_an_account_of_the_tools_may_dump_and_needs_not_to_for_a_rewind(flavour: Flavour) -> None:
    all_of_them = f"GRANT {', '.join(tools_privileges(flavour))} ON *.* TO `t`@`%`"
    assert missing_grants(flavour, map(Need, dump.NEEDED), [all_of_them]) == ()
    fewer = all_of_them.replace("SHOW VIEW, TRIGGER, EVENT, ", "")
    assert {each.privilege for each in missing_grants(flavour, tools_needs(flavour), [fewer])} == {
        "SHOW VIEW",
        "TRIGGER",
        "EVENT",
    }
    assert missing_grants(flavour, rewind_needs(flavour), [fewer]) == ()


@pytest.mark.parametrize(
    ("flavour", "rows", "expected"),
    [
        (MARIADB_10_11, ["GRANT USAGE ON *.* TO `a`@`%`"], set(agent_privileges(MARIADB_10_11))),
        (MARIADB_10_11, ["GRANT ALL PRIVILEGES ON *.* TO `a`@`%` WITH GRANT OPTION"], set()),
        (MARIADB_10_5, ["GRANT SUPER, PROCESS ON *.* TO `a`@`%`"], set()),
        (MARIADB_10_11, ["GRANT SUPER, PROCESS ON *.* TO `a`@`%`"], {"READ_ONLY ADMIN"}),
        (MARIADB_11_8, ["GRANT SUPER ON *.* TO `a`@`%`"], set(agent_privileges(MARIADB_11_8))),
        (
            MARIADB_10_11,
            [
                "GRANT `r` TO `a`@`%`",
                "GRANT READ_ONLY ADMIN, PROCESS ON *.* TO `a`@`%` IDENTIFIED BY PASSWORD '*B6'",
                "GRANT BINLOG MONITOR, REPLICA MONITOR, CONNECTION ADMIN ON *.* TO `r`",
                "GRANT SELECT, PROCESS ON `REPLICATION SLAVE ADMIN`.* TO `a`@`%`",
                "SET DEFAULT ROLE `r` FOR `a`@`%`",
            ],
            {"REPLICATION SLAVE ADMIN", "REPLICATION MASTER ADMIN", "BINLOG REPLAY"},
        ),
        (MYSQL_5_7, ["GRANT PROCESS, SUPER ON *.* TO 'a'@'%'"], {"SELECT"}),
        (MYSQL_5_7, ["GRANT ALL PRIVILEGES ON *.* TO 'a'@'10.0.0.%'"], set()),
        (
            MYSQL_9_7,
            [
                "GRANT PROCESS, REPLICATION CLIENT ON *.* TO `a`@`%`",
                "GRANT CONNECTION_ADMIN,SYSTEM_USER,SYSTEM_VARIABLES_ADMIN ON *.* TO `a`@`%`",
                "GRANT SELECT (HOST) ON `performance_schema`.`replication_connection_configuration` TO `a`@`%`",
            ],
            {"REPLICATION_SLAVE_ADMIN", "REPLICATION_APPLIER", "INSERT", "UPDATE", "DELETE", "SELECT"},
        ),
        (
            MYSQL_9_7,
            [
                "GRANT PROCESS, SUPER ON *.* TO `a`@`%`",
                "GRANT SYSTEM_USER ON *.* TO `a`@`%`",
                "GRANT SELECT ON `performance_schema`.* TO `a`@`%`",
            ],
            {"INSERT", "UPDATE", "DELETE"},
        ),
    ],
)
def test_what_an_account_lacks(flavour: Flavour, rows: list[str], expected: set[str]) -> None:
    assert lacks(flavour, *rows) == expected


@pytest.mark.parametrize("quote", ["'", '"', "`"])
def test_names_may_be_quoted_in_any_way(quote: str) -> None:
    account = "a`b\"c'd"
    doubled = account.replace(quote, 2 * quote)
    name = f"{quote}{doubled}{quote}@{quote}%{quote}"
    rows = [f"GRANT USAGE ON *.* TO {name}", f"GRANT SELECT ON {quote}shop{quote}.* TO {name}"]
    needs = [Need("SELECT", "shop.orders"), Need("PROCESS")]
    (missing,) = missing_grants(MARIADB_10_11, needs, rows)
    assert missing.privilege == "PROCESS"
    if quote == "`":
        assert missing.account == name


def test_of_rows_that_nobody_can_read_nothing_is_said() -> None:
    assert lacks(MARIADB_10_11, "GRANT USAGE ON *.* TO a@%") == set()


def test_each_comes_with_the_statement_that_gives_it() -> None:
    rows = ["GRANT USAGE ON *.* TO `m`@`10.0.0.%`"]
    assert missing_grants(MARIADB_10_11, monitor_needs(MARIADB_10_11), rows) == (
        Missing("SLAVE MONITOR", "*.*", "`m`@`10.0.0.%`"),
    )
    (missing,) = missing_grants(MYSQL_9_7, [Need("SELECT", "shop.orders")], rows)
    assert missing == Missing("SELECT", "shop.orders", "`m`@`10.0.0.%`", "MySQL")
    assert missing.statement == (
        "SET SESSION sql_log_bin=0; SET GLOBAL super_read_only=0; GRANT SELECT ON shop.orders TO `m`@`10.0.0.%`;"
        " SET GLOBAL super_read_only=@@GLOBAL.read_only; SET SESSION sql_log_bin=1"
    )
    assert replace(missing, family="MariaDB").statement == (
        "SET SESSION sql_log_bin=0; GRANT SELECT ON shop.orders TO `m`@`10.0.0.%`; SET SESSION sql_log_bin=1"
    )


@pytest.fixture(scope="module", params=[MARIADB, "mysql:9.7"])
def guarded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    servers = Servers(tmp_path_factory.mktemp("guarded"), kind(request.param))
    try:
        server = servers.start()
        server.run(*grants(server.kind.flavour, MONITOR, AGENT, REPLICATION))
        yield server
    finally:
        servers.stop()


def missing_of(server: Server) -> tuple[Missing, ...]:
    with server.connect(AGENT.user, AGENT.password) as connection:
        return connection.ask(look_at_missing_grants(connection, agent_needs(connection.flavour)))


@pytest.mark.mysql
def test_the_statements_of_the_docs_give_everything(guarded: Server) -> None:
    for account, needs in ((MONITOR, monitor_needs), (AGENT, agent_needs), (REPLICATION, replication_needs)):
        with guarded.connect(account.user, account.password) as connection:
            assert not connection.ask(look_at_missing_grants(connection, needs(connection.flavour)))


@pytest.mark.mysql
@pytest.mark.parametrize(
    "setting",
    [
        "sql_mode='ANSI_QUOTES'",
        "sql_mode='ANSI'",
        "sql_mode='NO_BACKSLASH_ESCAPES'",
        "sql_quote_show_create=0",
    ],
)
def test_settings_of_the_server_change_nothing(guarded: Server, setting: str) -> None:
    mode, quotes = (guarded.value(f"@@GLOBAL.{name}") for name in ("sql_mode", "sql_quote_show_create"))
    guarded.run(f"SET GLOBAL {setting}")
    try:
        assert missing_of(guarded) == ()
        with guarded.connect() as session:
            row = session.query('SELECT %s AS backslash, "text" AS text, 1 || 0 AS either', ("\\'",))[0]
            assert row == {"backslash": "\\'", "text": "text", "either": "1"}
            session.execute(OF_THE_SERVER)
            assert session.query("SELECT @@sql_mode=@@GLOBAL.sql_mode AS same")[0] == {"same": "1"}
    finally:
        guarded.run(f"SET GLOBAL sql_mode='{mode}', GLOBAL sql_quote_show_create={quotes}")


@pytest.mark.mysql
def test_what_was_revoked_is_named_and_its_statement_gives_it_back(guarded: Server) -> None:
    name = f"'{AGENT.user}'@'%'"
    for need in agent_needs(guarded.kind.flavour):
        guarded.run(f"REVOKE {need.privilege} ON {need.on} FROM {name}")
        found = missing_of(guarded)
        assert [missing.privilege for missing in found] == [need.privilege]
        logged = end_of_log(guarded)
        typed(guarded, found[0].statement)
        assert end_of_log(guarded) == logged, "a replica would have a transaction of its own"
    assert missing_of(guarded) == ()


def typed(server: Server, line: str) -> None:
    """Run a line as a client does that an administrator types it into, on a replica and on a writer, as agents have it.

    One session, a statement up to each `;`.
    """
    lock = server.kind.flavour.write_locks
    for sealed in (1, 0):
        server.run(f"SET GLOBAL {'read_only' if server.kind.flavour.mariadb else 'super_read_only'}={sealed}")
        if not sealed:
            server.run("SET GLOBAL read_only=0")
        server.run(*line.split("; "))
        with server.connect() as root:
            assert {str(value) for value in root.query(lock)[0].values()} == {str(sealed)}, "as it was"


def end_of_log(server: Server) -> object:
    with server.connect() as root:
        return binlog_position(root).place


@pytest.mark.mysql
def test_what_the_monitor_may_not_see_is_granted_out_of_the_log_too(guarded: Server) -> None:
    flavour = guarded.kind.flavour
    (privilege,) = monitor_privileges(flavour)
    guarded.run(f"REVOKE {privilege} ON *.* FROM '{MONITOR.user}'@'%'")
    logged = end_of_log(guarded)
    with guarded.connect(MONITOR.user, MONITOR.password) as connection:
        line = connection.ask(look_at_missing_grant(connection))
    typed(guarded, line)
    assert end_of_log(guarded) == logged
    with guarded.connect(MONITOR.user, MONITOR.password) as connection:
        assert not connection.ask(look_at_missing_grants(connection, monitor_needs(flavour)))


@pytest.mark.mysql
def test_a_role_counts_where_it_is_active(guarded: Server) -> None:
    name, mariadb = f"'{AGENT.user}'@'%'", guarded.kind.flavour.mariadb
    guarded.run(
        f"REVOKE PROCESS ON *.* FROM {name}",
        "CREATE ROLE looks",
        "GRANT PROCESS ON *.* TO looks",
        f"GRANT looks TO {name}",
    )
    assert [missing.privilege for missing in missing_of(guarded)] == ["PROCESS"]
    guarded.run(f"SET DEFAULT ROLE looks {'FOR' if mariadb else 'TO'} {name}")
    assert missing_of(guarded) == ()
