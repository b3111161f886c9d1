"""What mmm_control answers to questions: the layouts that people's scripts parse, other forms, exit status."""

import json
import re
from pathlib import Path

import pytest
import yaml

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines import sql
from mmm.sandbox.machines.build import program
from tests.clusters import LIMIT, shown

pytestmark = pytest.mark.sandbox

UNLOGGED = "SET SESSION sql_log_bin=0"

CLASSIC_HELP = """\
Valid commands are:
    help                              - show this message
    ping                              - ping monitor
    show                              - show status
    checks [<host>|all [<check>|all]] - show checks status
    set_online <host>                 - set host <host> online
    set_offline <host>                - set host <host> offline
    mode                              - print current mode.
    set_active                        - switch into active mode.
    set_manual                        - switch into manual mode.
    set_passive                       - switch into passive mode.
    move_role [--force] <role> <host> - move exclusive role <role> to host <host>
                                        (Only use --force if you know what you are doing!)
    set_ip <ip> <host>                - set role with ip <ip> to host <host>
"""
LOGS = "/var/log/mysql-mmm"
MOMENT = r"\[last change: \d{4}/\d\d/\d\d \d\d:\d\d:\d\d\]"


def raw(sandbox: Sandbox, sent: bytes) -> str:
    """Return all that the monitor answers to these bytes."""
    monitor = sandbox.layout.cluster.monitor
    assert monitor is not None
    with sandbox.monitor.connect((monitor.ip, monitor.port), LIMIT) as connection:
        connection.sendall(sent)
        connection.shutdown(1)
        with connection.makefile("rb") as stream:
            return stream.read().decode()


def test_help_begins_as_the_classic_says_it(sandbox: Sandbox) -> None:
    done = sandbox.control("help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(CLASSIC_HELP)


def test_the_doctor_finds_nothing_in_a_healthy_cluster_and_names_each_thing_that_is_broken(
    sandbox: Sandbox,
) -> None:
    healthy = sandbox.control("--format", "json", "doctor")
    findings = json.loads(healthy.stdout)["findings"]
    assert [each for each in findings if each["level"] != "OK"] == []
    assert healthy.returncode == 0
    number = sandbox.sql("db3", "SELECT @@global.server_id AS id")[0]["id"]
    password = sandbox.layout.cluster.hosts["db2"].replication_password
    sandbox.machine("monitor").run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", LOGS])
    try:
        sandbox.machine("monitor").run(["dd", "if=/dev/zero", f"of={LOGS}/large", "bs=64k", "count=1"])
        _set_password(sandbox, "another")
        for statement in ("STOP SLAVE", "SET GLOBAL server_id=2", "SET GLOBAL binlog_format=MIXED"):
            sandbox.sql("db3", statement)
        sandbox.sql("db2", "SET GLOBAL auto_increment_offset=1")
        sandbox.sql("db1", "SET GLOBAL auto_increment_increment=3")
        sandbox.sql("db3", "CHANGE MASTER TO MASTER_DELAY=5")
        sql.execute(sandbox.machine("db3"), [UNLOGGED, "REVOKE BINLOG REPLAY ON *.* FROM mmm_tools"])
        broken = sandbox.control("--format", "json", "doctor")
    finally:
        sandbox.machine("monitor").run(["umount", "-l", LOGS])
        sandbox.sql("db3", "CHANGE MASTER TO MASTER_DELAY=0")
        sql.execute(sandbox.machine("db3"), [UNLOGGED, "GRANT BINLOG REPLAY ON *.* TO mmm_tools"])
        sandbox.sql("db1", "SET GLOBAL auto_increment_increment=2")
        sandbox.sql("db2", "SET GLOBAL auto_increment_offset=2")
        for statement in (f"SET GLOBAL server_id={number}", "SET GLOBAL binlog_format=ROW", "START SLAVE"):
            sandbox.sql("db3", statement)
        _set_password(sandbox, password)
    sandbox.wait_until(lambda: "# Warning" not in sandbox.ask("show"), LIMIT, "agents know that it is mended")
    assert broken.returncode == 2
    found = {
        (each["code"], each["host"])
        for each in json.loads(broken.stdout)["findings"]
        if each["level"] != "OK"
    }
    assert found >= {
        ("disk_full", None),
        ("login_refused", "db1"),
        ("login_refused", "db3"),
        ("server_ids_equal", "db3"),
        ("not_row", "db3"),
        ("replication_stopped", "db3"),
        ("increments_differ", "db2"),
        ("offsets_equal", "db2"),
        ("delayed", "db3"),
        ("tools_grant_missing", "db3"),
    }


def _set_password(sandbox: Sandbox, password: str) -> None:
    """Set that of replication at db2 alone."""
    statements = [UNLOGGED, f"ALTER USER 'replication'@'%' IDENTIFIED BY '{password}'"]
    sql.execute(sandbox.machine("db2"), statements)


def test_the_doctor_works_without_the_monitor_and_on_a_host(sandbox: Sandbox) -> None:
    sandbox.init("monitor", "mysql-mmm-monitor", "stop")
    try:
        done = sandbox.control("doctor")
    finally:
        sandbox.init("monitor", "mysql-mmm-monitor", "start")
    assert done.returncode == 1
    assert "monitor_not_running" in done.stdout
    assert "OK       db3      replication: runs" in done.stdout
    host = sandbox.machine("db2").run([program("mmm_agentd"), "--doctor"], check=False)
    assert (host.returncode, host.stdout.splitlines()[-1]) == (0, "no errors, no warnings")


def test_ping(sandbox: Sandbox) -> None:
    done = sandbox.control("ping")
    assert (done.returncode, done.stdout) == (0, "OK: Pinged successfully!\n")


def test_show_names_each_host_with_the_vips_that_are_bound_there(sandbox: Sandbox) -> None:
    def told() -> tuple[int, str]:
        done = sandbox.control("show")
        return done.returncode, done.stdout

    sandbox.wait_until(lambda: told() == (0, shown(sandbox)), LIMIT, "show says what is bound")
    assert "writer(10.77.0.80)" in told()[1].splitlines()[0]


def test_show_says_which_agent_cannot_be_reached(sandbox: Sandbox) -> None:
    assert sandbox.init("db3", "mysql-mmm-agent", "stop").returncode == 0
    warning = "# Warning: agent on host db3 is not reachable\n"
    sandbox.wait_until(lambda: sandbox.ask("show").startswith(warning), LIMIT, "the warning is shown")
    sandbox.start_daemon("db3", "mmm_agentd")
    sandbox.wait_until(lambda: sandbox.ask("show") == shown(sandbox), LIMIT, "the warning is gone")


def good_checks(sandbox: Sandbox, *args: str) -> str:
    """Return what `checks` answers once it says that all is good: on a busy machine a result may have come too late."""
    told = ""

    def good() -> bool:
        nonlocal told
        told = sandbox.control("checks", *args).stdout
        return all("]  OK" in line for line in told.splitlines())

    sandbox.wait_until(good, LIMIT, "all checks are good")
    return told


def test_all_checks_stand_in_columns_in_conf_order(sandbox: Sandbox) -> None:
    told: list[str] = []

    def the_same() -> bool:
        told[:] = good_checks(sandbox), sandbox.control("checks", "all", "all").stdout, good_checks(sandbox)
        return told[0] == told[2]  # no check has changed in between

    sandbox.wait_until(the_same, LIMIT, "the checks stay as they are")
    lines = told[0].splitlines(keepends=True)
    names = [
        (host, check)
        for host in ("db1", "db2", "db3")
        for check in ("ping", "mysql", "rep_threads", "rep_backlog")
    ]
    assert len(lines) == len(names)
    for line, (host, check) in zip(lines, names, strict=True):
        assert re.fullmatch(rf"{host}  {check:<11}  {MOMENT}  OK(: .*)?\n", line), line
    assert told[1] == told[0]


def test_checks_of_a_host_or_a_kind(sandbox: Sandbox) -> None:
    one_host = good_checks(sandbox, "db2")
    assert re.fullmatch(rf"(db2  (ping|mysql|rep_threads|rep_backlog) *  {MOMENT}  OK.*\n){{4}}", one_host)
    one_kind = good_checks(sandbox, "all", "mysql")
    assert re.fullmatch(rf"db1  mysql  {MOMENT}  OK\ndb2  mysql .*\ndb3  mysql .*\n", one_kind)
    single = good_checks(sandbox, "db1", "ping")
    assert re.fullmatch(rf"db1  ping  {MOMENT}  OK\n", single)


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("checks", "db9"), "ERROR: Unknown host name 'db9'!"),
        (("checks", "db1", "disk"), "ERROR: Unknown check 'disk'!"),
        (("set_online", "db9"), "ERROR: Unknown host name 'db9'!"),
        (("set_offline", "db9"), "ERROR: Unknown host name 'db9'!"),
        (("move_role", "writer", "db9"), "ERROR: Unknown host name 'db9'!"),
        (("move_role", "editor", "db1"), "ERROR: Unknown role name 'editor'!"),
        (("set_ip", "10.77.0.80", "db1"), "ERROR: This command is only allowed in passive mode"),
        (("failover_method", "maybe"), "ERROR: Unknown method 'maybe'"),
    ],
)
def test_what_cannot_be_answered_is_an_error(sandbox: Sandbox, args: tuple[str, ...], told: str) -> None:
    done = sandbox.control(*args)
    assert done.returncode == 1
    assert done.stdout.startswith(told)
    sandbox.wait_until(lambda: sandbox.ask("show") == shown(sandbox), LIMIT, "nothing has changed")


@pytest.mark.parametrize(
    "args",
    [
        ("nonsense",),
        ("show", "me", "all"),
        ("",),
    ],
)
def test_an_unknown_command_is_answered_with_help(sandbox: Sandbox, args: tuple[str, ...]) -> None:
    done = sandbox.control(*args)
    assert done.returncode == 1
    assert done.stdout.startswith(f"Invalid command '{' '.join(args)}'\n\n{CLASSIC_HELP}")


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"ping\n", "OK: Pinged successfully!"),
        (b"ping\nmode\nquit\n", "OK: Pinged successfully!ACTIVE"),
        (b"quit\nping\n", ""),
        (b"mode  \n", "ACTIVE"),
        (b"mode\r\n", "ACTIVE"),
    ],
)
def test_lines_are_taken_as_the_classic_takes_them(sandbox: Sandbox, sent: bytes, answer: str) -> None:
    assert raw(sandbox, sent) == answer


def test_a_line_without_an_end_is_answered_and_changes_nothing(sandbox: Sandbox) -> None:
    """The classic hangs its client (rule 10.25)."""
    assert raw(sandbox, b"ping") == "OK: Pinged successfully!"
    assert raw(sandbox, b"set_passive").startswith("ERROR: The command has no line end")
    assert raw(sandbox, b"mode\n") == "ACTIVE"


@pytest.mark.parametrize("sent", [b"  mode\n", b"\n", b"\xff\xfe\n", b"\0\n"])
def test_what_is_no_command_is_answered_and_harms_nobody(sandbox: Sandbox, sent: bytes) -> None:
    assert raw(sandbox, sent + b"ping\nquit\n").startswith("Invalid command '")
    assert raw(sandbox, b"ping\nquit\n") == "OK: Pinged successfully!"


def test_mode_is_a_single_word(sandbox: Sandbox) -> None:
    assert sandbox.control("mode").stdout == "ACTIVE\n"
    assert sandbox.control("failover_method").stdout == "ACTIVE\n"


def test_show_as_json_and_as_yaml_say_what_the_text_says(sandbox: Sandbox) -> None:
    sandbox.wait_until(lambda: sandbox.ask("show") == shown(sandbox), LIMIT, "show says what is bound")
    told = json.loads(sandbox.control("--format", "json", "show").stdout)
    assert yaml.safe_load(sandbox.control("--format", "yaml", "show").stdout) == told
    hosts = {host["name"]: host for host in told["hosts"]}
    assert list(hosts) == ["db1", "db2", "db3"]
    assert {"role": "writer", "ip": "10.77.0.80"} in hosts["db1"]["roles"]
    assert (hosts["db3"]["mode"], hosts["db3"]["state"]) == ("slave", "ONLINE")
    assert (told["passive"], told["warnings"]) == (False, [])


def test_checks_mode_and_errors_as_json(sandbox: Sandbox) -> None:
    good = [("db1", name, "OK") for name in ("ping", "mysql", "rep_threads", "rep_backlog")]

    def told() -> list[tuple[str, str, str]]:
        checks = json.loads(sandbox.control("--format", "json", "checks", "db1").stdout)["checks"]
        return [(check["host"], check["check"], check["result"]) for check in checks]

    sandbox.wait_until(lambda: told() == good, LIMIT, "all checks of db1 are good")
    assert json.loads(sandbox.control("--format", "json", "mode").stdout) == {"mode": "ACTIVE"}
    refused = sandbox.control("--format", "json", "set_online", "db9")
    answer = json.loads(refused.stdout)
    assert (refused.returncode, answer["ok"], answer["code"]) == (1, False, "unknown_host")
    assert answer["fields"] == {"host": "db9", "known": ["db1", "db2", "db3"]}
    done = json.loads(sandbox.control("--format", "json", "set_online", "db3").stdout)
    assert (done["ok"], done["code"], done["fields"]) == (True, "already_online", {})


@pytest.mark.parametrize(
    "args", [(), ("--format", "xml", "show"), ("--loud", "show"), ("--config", "/nowhere.conf", "show")]
)
def test_wrong_usage_and_a_missing_conf_end_with_2(sandbox: Sandbox, args: tuple[str, ...]) -> None:
    done = sandbox.control(*args)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr


def etc(sandbox: Sandbox, name: str) -> Path:
    return sandbox.monitor.etc / name


def test_a_conf_that_everybody_may_read_is_refused(sandbox: Sandbox) -> None:
    path = etc(sandbox, "open.conf")
    path.write_text("include mmm_mon.conf\n")
    path.chmod(0o644)
    try:
        done = sandbox.control("--config", "/etc/mysql-mmm/open.conf", "show")
    finally:
        path.unlink()
    assert (done.returncode, done.stdout) == (2, "")
    assert "/etc/mysql-mmm/open.conf" in done.stderr


def test_a_monitor_that_does_not_run_ends_with_3(sandbox: Sandbox) -> None:
    path = etc(sandbox, "mmm_mon_C9.conf")
    path.write_text("include mmm_mon.conf\n<monitor>\n    port 9987\n</monitor>\n")
    path.chmod(0o600)
    try:
        done = sandbox.control("@C9", "ping")
    finally:
        path.unlink()
    assert (done.returncode, done.stdout) == (3, "")
    assert "10.77.0.2:9987" in done.stderr
    assert done.stderr.count("\n") == 1
