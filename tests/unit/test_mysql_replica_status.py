"""A replica's status as rows of either spelling tell it."""

import pytest

from mmm.gtid.place import LogPlace
from mmm.mysql.server.log_filters import look_at_log_filters
from mmm.mysql.server.replica_status import parse_status
from tests.servers import MARIADB, Servers


def test_both_spellings_are_read_alike() -> None:
    old = {
        "Slave_IO_Running": "Preparing",
        "Slave_SQL_Running": "Yes",
        "Master_Host": "10.0.0.4",
        "Master_Port": 3306,
        "Seconds_Behind_Master": None,
        "Master_Log_File": "bin.000009",
        "Read_Master_Log_Pos": 400,
        "Relay_Master_Log_File": "bin.000008",
        "Exec_Master_Log_Pos": 900,
        "Last_IO_Errno": 2003,
        "Last_IO_Error": "no\nroute",
    }
    new = {
        name.replace("Slave_", "Replica_").replace("Master", "Source"): value for name, value in old.items()
    }
    status = parse_status(old)
    assert status == parse_status(new)
    assert (status.io_running, status.sql_running, status.seconds_behind) == ("Connecting", True, None)
    assert (status.source_ip, status.last_error, status.all_applied) == ("10.0.0.4", "no route (2003)", False)


def test_places_are_in_the_order_of_the_log() -> None:
    assert LogPlace("bin.1000000", 4).reaches(LogPlace("bin.999999", 500))
    assert not LogPlace("bin.000009", 499).reaches(LogPlace("bin.000009", 500))
    assert LogPlace("", 4).reaches(LogPlace("", 4))
    assert not LogPlace("", 0).reaches(LogPlace("bin.000001", 4))


def test_a_server_that_answers_nonsense_is_read_as_one_that_says_nothing() -> None:
    """A number that is none ended the monitor at its start."""
    status = parse_status(
        {
            "Master_Host": "10.0.0.4",
            "Master_Port": "x",
            "Seconds_Behind_Master": "soon",
            "Master_Log_File": "?",
        }
    )
    assert (status.source_ip, status.source_port, status.seconds_behind) == ("10.0.0.4", 0, None)
    assert LogPlace("bin." + "9" * 5000, 4).reaches(status.read)


def test_filters_are_named_as_in_my_cnf() -> None:
    row = {"Replicate_Ignore_DB": "test,mysql", "Replicate_Wild_Do_Table": "app.%", "Replicate_Do_DB": ""}
    found = (("replicate_ignore_db", "test,mysql"), ("replicate_wild_do_table", "app.%"))
    assert parse_status(row).filters == found


@pytest.mark.mysql
@pytest.mark.parametrize("servers", [MARIADB, "mysql:9.7"], indirect=True)
def test_filters_of_the_binary_log_are_seen(servers: Servers) -> None:
    with servers.start("--binlog-ignore-db=test").connect() as connection:
        assert connection.ask(look_at_log_filters(connection)) == {"binlog_ignore_db": "test"}
