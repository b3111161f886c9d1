"""Servers are recognised by what they say, and told what they understand."""

import pytest

from mmm.mysql.flavour import detect
from mmm.mysql.server.accounts import Account, agent_privileges, grants


@pytest.mark.parametrize(
    ("version", "comment", "family", "number"),
    [
        ("10.5.29-MariaDB-0+deb11u1", "Debian 11", "MariaDB", (10, 5, 29)),
        ("5.5.5-10.11.19-MariaDB-log", "", "MariaDB", (10, 11, 19)),
        ("11.8.6", "MariaDB Server", "MariaDB", (11, 8, 6)),
        ("5.7.44-log", "MySQL Community Server (GPL)", "MySQL", (5, 7, 44)),
        ("8.0.36-0ubuntu0.22.04.1", "(Ubuntu)", "MySQL", (8, 0, 36)),
        ("9.7.4-2", "(Debian)", "MySQL", (9, 7, 4)),
        ("8.4", "", "MySQL", (8, 4, 0)),
        ("garbage", "", "MySQL", (0, 0, 0)),
    ],
)
def test_servers_are_recognised(
    version: str, comment: str, family: str, number: tuple[int, int, int]
) -> None:
    flavour = detect(version, comment)
    assert (flavour.family, flavour.version) == (family, number)


@pytest.mark.parametrize(
    ("version", "replica", "change", "binlog"),
    [
        ("10.11.19-MariaDB", "SHOW ALL SLAVES STATUS", "CHANGE MASTER %s TO", "SHOW MASTER STATUS"),
        ("11.8.6-MariaDB", "SHOW ALL SLAVES STATUS", "CHANGE MASTER %s TO", "SHOW MASTER STATUS"),
        ("5.7.44", "SHOW SLAVE STATUS", "CHANGE MASTER TO", "SHOW MASTER STATUS"),
        ("8.0.21", "SHOW SLAVE STATUS", "CHANGE MASTER TO", "SHOW MASTER STATUS"),
        ("8.0.22", "SHOW REPLICA STATUS", "CHANGE MASTER TO", "SHOW MASTER STATUS"),
        ("8.0.36", "SHOW REPLICA STATUS", "CHANGE REPLICATION SOURCE TO", "SHOW MASTER STATUS"),
        ("8.4.3", "SHOW REPLICA STATUS", "CHANGE REPLICATION SOURCE TO", "SHOW BINARY LOG STATUS"),
        ("9.7.4-2", "SHOW REPLICA STATUS", "CHANGE REPLICATION SOURCE TO", "SHOW BINARY LOG STATUS"),
    ],
)
def test_each_is_told_what_it_understands(version: str, replica: str, change: str, binlog: str) -> None:
    flavour = detect(version, "")
    assert (flavour.replica_status, flavour.change_source, flavour.binlog_status) == (replica, change, binlog)


def test_options_are_spelled_as_the_statement_is() -> None:
    for version in ("10.11.19-MariaDB", "5.7.44", "8.0.22", "8.0.23", "9.7.4"):
        flavour = detect(version, "")
        expected = "SOURCE_" if "SOURCE" in flavour.change_source else "MASTER_"
        assert flavour.option_prefix == expected
        assert all(expected in words for words in (flavour.by_gtid, flavour.by_position))
        assert not flavour.password_exchange or expected in flavour.password_exchange


def test_super_is_granted_only_where_there_is_nothing_smaller() -> None:
    assert "SUPER" in agent_privileges(detect("5.7.44", ""))
    for version in ("10.5.29-MariaDB", "8.0.36", "9.7.4"):
        assert "SUPER" not in agent_privileges(detect(version, ""))


def test_names_and_passwords_cannot_break_out_of_a_grant() -> None:
    accounts = Account("o'brien", "p\\'w"), Account("agent", ""), Account("repl", "", "10.0.0.%")
    text = "\n".join(grants(detect("10.11.19-MariaDB", ""), *accounts))
    assert "'o''brien'@'%' IDENTIFIED BY 'p\\\\''w'" in text
    assert "TO 'repl'@'10.0.0.%'" in text
