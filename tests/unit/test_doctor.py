"""The doctor's rules: a picture of the cluster in, findings out."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mmm.config.agreement import alike, differing, digests, shared
from mmm.config.load import Cluster, Memory, check, read
from mmm.config.model import Monitor, Via
from mmm.doctor import command, look_monitor, report
from mmm.doctor.codes import CODES, Level
from mmm.doctor.look import (
    HostLook,
    Lack,
    Login,
    LookError,
    MonitorLook,
    Replaced,
    Replica,
    Room,
    Seen,
    Server,
    decoded,
    encoded,
)
from mmm.doctor.machine import room, written_by
from mmm.doctor.picture import Finding, Picture
from mmm.doctor.rules import TOPICS, examine, status, would_fail
from mmm.doctor.servers import to_type
from mmm.mysql.flavour import Flavour, detect
from mmm.mysql.server.replication import replica_status
from mmm.network import own
from pages.doctor import page
from tests.servers import Servers, kind
from tests.unit.test_config_dialect2 import COMMON, MONITOR

HOSTS = ("db1", "db2", "db3")
IPS = {"db1": "10.0.0.1", "db2": "10.0.0.2", "db3": "10.0.0.3"}
SETTINGS = {
    "read_only": "ON",
    "log_bin": "ON",
    "log_slave_updates": "ON",
    "gtid_strict_mode": "ON",
    "binlog_format": "ROW",
    "auto_increment_increment": "2",
}


def conf(text: str = COMMON + MONITOR) -> Cluster:
    return check(read(Memory({"m.conf": text}), "m.conf"), "MONITOR", "", lambda _: "")


def server(name: str, **more: str) -> Server:
    number = name[-1]
    source = "db1" if name != "db1" else "db2"
    settings = {**SETTINGS, "server_id": number, "auto_increment_offset": number, **more}
    return Server(
        "MariaDB", (10, 11, 6), settings, Replica(IPS[source], 3306, "repl", receives=True, applies=True)
    )


def look(name: str) -> HostLook:
    others = [other for other in HOSTS if other != name]
    return HostLook(
        conf=alike(conf()),
        addresses=(IPS[name], "127.0.0.1"),
        listens=("0.0.0.0",),  # noqa: S104
        server=server(name),
        logins=(Login("agent", "mmm_agent", name), Login("replication", "repl", "db1")),
        agents=dict.fromkeys(others, ""),
        pings=dict.fromkeys(others, True),
        room=(Room("/var/log/mysql-mmm", 9000),),
    )


def picture(**more: HostLook) -> Picture:
    looks = {name: more.get(name, look(name)) for name in HOSTS}
    seen = {name: Seen(Login("monitor", "mon", name), server(name), True, look=looks[name]) for name in HOSTS}
    return Picture(conf(), seen, looks, MonitorLook(conf=alike(conf())))


def kept(age: float) -> Replaced:
    return Replaced("/var/lib/mysql.mmm-old-db1-1", 2_481, age)


def codes(seen: Picture) -> dict[str, str]:
    """Return what is wrong, each code with its host."""
    return {finding.code: finding.host for finding in examine(seen) if finding.level is not Level.OK}


def changed(name: str, change: Callable[[HostLook], HostLook]) -> Picture:
    return picture(**{name: change(look(name))})


def with_server(name: str, change: Callable[[Server], Server]) -> Picture:
    return changed(name, lambda seen: replace(seen, server=change(server(name))))


def with_settings(name: str, **settings: str) -> Picture:
    return with_server(name, lambda _: server(name, **settings))


def with_replica(name: str, **more: object) -> Picture:
    def change(old: Server) -> Server:
        assert old.replica
        return replace(old, replica=replace(old.replica, **more))  # type: ignore[arg-type]

    return with_server(name, change)


def test_of_a_healthy_cluster_every_topic_of_every_host_is_fine() -> None:
    found = examine(picture())
    assert {finding.code for finding in found} == {"fine"}
    assert len(found) == len(HOSTS) * len(TOPICS)
    assert status(found) == 0
    assert report.text(found).endswith("no errors, no warnings\n")


@pytest.mark.parametrize(
    ("via", "host", "said"),
    [("arp", "db1", True), ("health", "db1", False), ("script", "db1", False), ("health", "db3", True)],
)
def test_whom_a_load_balancer_finds_is_not_told_to_be_read_only(via: Via, host: str, *, said: bool) -> None:
    """The writer's VIP is bound nowhere then: of a possible master no look tells whether it is the active one."""
    plain = with_settings(host, read_only="OFF")
    roles = {**plain.conf.roles, "writer": replace(plain.conf.roles["writer"], vip_via=via)}
    found = codes(replace(plain, conf=replace(plain.conf, roles=roles)))
    assert found == ({"writable": host} if said else {})


LOST = "Access denied for user 'x' (1045)"


@pytest.mark.parametrize(
    ("code", "host", "seen"),
    [
        (
            "login_refused",
            "db2",
            changed("db2", lambda old: replace(old, logins=(Login("agent", "a", "db2", LOST),))),
        ),
        (
            "server_silent",
            "db2",
            changed(
                "db2", lambda old: replace(old, logins=(Login("agent", "a", "db1", LOST, answered=False),))
            ),
        ),
        (
            "grant_missing",
            "db2",
            changed(
                "db2",
                lambda old: replace(
                    old,
                    logins=(
                        Login("agent", "a", "db2", lacks=(Lack("PROCESS", "GRANT PROCESS ON *.* TO a"),)),
                    ),
                ),
            ),
        ),
        (
            "tools_login_refused",
            "db2",
            changed("db2", lambda old: replace(old, logins=(Login("tools", "t", "db1", LOST),))),
        ),
        (
            "tools_grant_missing",
            "db2",
            changed(
                "db2",
                lambda old: replace(
                    old,
                    logins=(Login("tools", "t", "db2", lacks=(Lack("RELOAD", "GRANT RELOAD ON *.* TO t"),)),),
                ),
            ),
        ),
        ("health_port_silent", "db3", changed("db3", lambda old: replace(old, health="Connection refused"))),
        ("no_tools_programs", "db3", changed("db3", lambda old: replace(old, no_programs=("zstd",)))),
        (
            "conf_differs",
            "db3",
            changed("db3", lambda old: replace(old, conf={**old.conf, "vip_lease": "3"})),
        ),
        (
            "sections_differ",
            "db3",
            changed("db3", lambda old: replace(old, conf={**old.conf, "roles": "0123456789ab"})),
        ),
        ("old_version", "db1", with_server("db1", lambda old: replace(old, version=(10, 3, 1)))),
        (
            "families_differ",
            "db3",
            with_server("db3", lambda old: replace(old, family="MySQL", version=(8, 0, 4))),
        ),
        ("source_is_newer", "db3", with_server("db3", lambda old: replace(old, version=(10, 6, 1)))),
        ("server_ids_equal", "db3", with_settings("db3", server_id="2")),
        ("writable", "db2", with_settings("db2", read_only="OFF")),
        ("no_binary_log", "db2", with_settings("db2", log_bin="OFF")),
        ("no_replicated_log", "db2", with_settings("db2", log_slave_updates="OFF")),
        ("not_row", "db3", with_settings("db3", binlog_format="MIXED")),
        ("gtid_off", "db3", with_settings("db3", gtid_mode="OFF_PERMISSIVE")),
        ("gtid_not_enforced", "db3", with_settings("db3", enforce_gtid_consistency="WARN")),
        ("increments_differ", "db2", with_settings("db2", auto_increment_increment="4")),
        ("offsets_equal", "db2", with_settings("db2", auto_increment_offset="1")),
        (
            "vip_claimed",
            "db2",
            changed("db2", lambda old: replace(old, claimed=(("10.0.0.90", "02:00:00:00:00:99"),))),
        ),
        ("names_resolved", "db3", with_settings("db3", skip_name_resolve="OFF")),
        ("errors_skipped", "db3", with_settings("db3", slave_skip_errors="1062,1032")),
        ("errors_skipped", "db2", with_settings("db2", replica_skip_errors="ALL")),
        (
            "filtered",
            "db2",
            with_server("db2", lambda old: replace(old, filters={"binlog_ignore_db": "mysql"})),
        ),
        ("not_listening", "db2", changed("db2", lambda old: replace(old, listens=("127.0.0.1",)))),
        (
            "replication_unseen",
            "db2",
            with_server("db2", lambda old: replace(old, replica=None, unseen="denied")),
        ),
        ("not_replicating", "db2", with_server("db2", lambda old: replace(old, replica=None))),
        ("not_replicating", "db3", with_replica("db3", source_ip="10.0.0.77")),
        ("replication_stopped", "db3", with_replica("db3", applies=False)),
        ("replication_detached", "db2", with_replica("db2", detached=True, receives=False)),
        ("other_replication_user", "db3", with_replica("db3", user="root")),
        ("replication_without_gtid", "db3", with_replica("db3", uses_gtid=False)),
        ("delayed", "db2", with_replica("db2", delay=3600)),
        ("not_this_host", "db2", changed("db2", lambda old: replace(old, address_here=False))),
        ("no_interface", "db2", changed("db2", lambda old: replace(old, interface_here=False))),
        ("other_interface", "db2", changed("db2", lambda old: replace(old, nearer=("10.0.0.90", "eth1")))),
        ("wrong_interface", "db2", changed("db2", lambda old: replace(old, bound=(("10.0.0.90", "eth1"),)))),
        ("misplaced_vip", "db3", changed("db3", lambda old: replace(old, bound=(("10.0.0.80", "eth0"),)))),
        ("unwritable", "db1", changed("db1", lambda old: replace(old, unwritable=("/run",)))),
        ("disk_low", "db1", changed("db1", lambda old: replace(old, room=(Room("/var/log", 400),)))),
        ("disk_full", "db1", changed("db1", lambda old: replace(old, room=(Room("/var/log", 10),)))),
        (
            "disk_low",
            "db1",
            changed("db1", lambda old: replace(old, room=(Room("/data", 9_000, 1_000_000),))),
        ),
        ("disk_full", "db1", changed("db1", lambda old: replace(old, room=(Room("/data", 400, 1_000_000),)))),
        ("old_data_late", "db1", changed("db1", lambda old: replace(old, replaced=(kept(8.1),)))),
        (
            "no_way_to_agent",
            "db1",
            changed("db1", lambda old: replace(old, agents={"db2": "No route to host", "db3": ""})),
        ),
        ("no_ping_between", "db1", changed("db1", lambda old: replace(old, pings={"db2": False}))),
    ],
)
def test_each_fault_is_named_alone(code: str, host: str, seen: Picture) -> None:
    assert {"source_is_newer": host, **codes(seen)} == {"source_is_newer": host, code: host}
    finding = next(each for each in examine(seen) if each.code == code)
    assert "{" not in finding.says + finding.todo
    assert status([finding]) == (2 if finding.level is Level.ERROR else 1)


MARIADB, MYSQL = detect("10.11.6-MariaDB", ""), detect("8.4.0", "MySQL")


@pytest.mark.parametrize(
    ("flavour", "channel", "start", "undelay"),
    [
        (MARIADB, "", "START SLAVE", "STOP SLAVE; CHANGE MASTER TO MASTER_DELAY=0; START SLAVE"),
        (
            MARIADB,
            "it's",
            "START SLAVE 'it''s'",
            "STOP SLAVE 'it''s'; CHANGE MASTER 'it''s' TO MASTER_DELAY=0; START SLAVE 'it''s'",
        ),
        (
            MYSQL,
            "",
            "START REPLICA",
            "STOP REPLICA; CHANGE REPLICATION SOURCE TO SOURCE_DELAY=0; START REPLICA",
        ),
        (
            MYSQL,
            "c",
            "START REPLICA FOR CHANNEL 'c'",
            (
                "STOP REPLICA FOR CHANNEL 'c'; CHANGE REPLICATION SOURCE TO SOURCE_DELAY=0 FOR CHANNEL 'c';"
                " START REPLICA FOR CHANNEL 'c'"
            ),
        ),
    ],
)
def test_what_to_type_is_in_the_words_of_the_server(
    flavour: Flavour, channel: str, start: str, undelay: str
) -> None:
    assert to_type(flavour, channel) == (start, undelay)
    seen = with_replica("db2", applies=False, delay=3600, start=start, undelay=undelay)
    found = {each.code: each for each in examine(seen)}
    assert found["replication_stopped"].todo.endswith(f"; then {start}")
    assert found["delayed"].todo == f"to end that: {undelay}"


@pytest.mark.mysql
@pytest.mark.parametrize("name", ["mariadb", "mysql:9.7"])
def test_what_the_doctor_names_ends_a_delay_as_it_is_typed(name: str, tmp_path: Path) -> None:
    servers = Servers(tmp_path, kind(name))
    try:
        source, replica = servers.start(), servers.start()
        flavour = replica.kind.flavour
        start, undelay = to_type(flavour, "")
        words = {"HOST": "'127.0.0.1'", "PORT": source.port, "USER": "'root'", "DELAY": 3600}
        options = ", ".join(f"{flavour.option_prefix}{key}={value}" for key, value in words.items())
        replica.run(f"{flavour.change_source.replace(' %s', '')} {options}", start)
        replica.run(*undelay.split("; "))
        with replica.connect() as connection:
            status = replica_status(connection)
        assert status
        assert (status.delay, status.sql_running, status.io_running != "No") == (0, True, True)
    finally:
        servers.stop()


@pytest.mark.parametrize(
    ("days", "age", "end"),
    [
        (7, 0.5, "kept for 6 more days"),
        (7, 5.5, "kept for 1 more day"),
        (7, 7.2, "kept for less than a day"),
        (0, 99.0, "kept for good"),
    ],
)
def test_what_a_rebuild_has_replaced_is_worth_knowing(days: int, age: float, end: str) -> None:
    seen = changed("db1", lambda old: replace(old, replaced=(kept(age),)))
    found = examine(replace(seen, conf=replace(seen.conf, keep_old_data=days)))
    assert [each.says for each in found if each.code == "old_data"] == [
        f"/var/lib/mysql.mmm-old-db1-1 holds 2,481 MB of data that a rebuild has replaced, and is {end}"
    ]
    assert not codes(replace(seen, conf=replace(seen.conf, keep_old_data=days)))


def test_old_data_on_a_host_whose_disk_is_nearly_full_can_go() -> None:
    seen = changed("db1", lambda old: replace(old, replaced=(kept(1.0),), room=(Room("/data", 400),)))
    assert codes(seen) == {"disk_low": "db1", "old_data_fill_disk": "db1"}


def test_what_only_the_monitor_sees_is_named() -> None:
    whole = picture()
    for change, code in (
        ({"ping": False}, "no_ping"),
        ({"apart": -3600.0}, "clock_apart"),
        ({"classic": True, "look": None}, "classic_agent"),
        ({"agent": "Connection refused", "look": None}, "agent_silent"),
    ):
        seen = replace(whole.seen["db2"], **change)
        looks = {name: each for name, each in whole.looks.items() if seen.look or name != "db2"}
        assert codes(replace(whole, seen={**whole.seen, "db2": seen}, looks=looks)) == {code: "db2"}


def test_before_the_start_agents_and_monitor_that_do_not_run_are_warnings() -> None:
    whole = picture()
    seen = {name: replace(each, agent="Connection refused", look=None) for name, each in whole.seen.items()}
    found = examine(Picture(whole.conf, seen, {}, MonitorLook(runs=False, answer="Connection refused")))
    assert {finding.code for finding in found} == {"fine", "agent_not_running", "monitor_not_running"}
    assert status(found) == 1


def test_what_is_wrong_with_the_monitors_machine_is_named() -> None:
    def said(**more: object) -> set[str]:
        machine = replace(picture().monitor or MonitorLook(), **more)  # type: ignore[arg-type]
        return {finding.code for finding in examine(replace(picture(), monitor=machine))} - {"fine"}

    assert said(silent_ips=("10.0.0.254",)) == {"ping_ips_silent"}
    assert said(kill_host="no such file") == {"no_kill_host"}
    assert said(unwritable=("/var/lib",)) == {"unwritable"}
    without = conf("vip_lease 0\n" + COMMON + MONITOR)
    found = examine(replace(picture(), conf=without, monitor=MonitorLook(kill_host="no such file")))
    assert "cannot_kill" in {finding.code for finding in found}


def unreached(name: str, to: str) -> HostLook:
    """A host that does not reach another's server, whatever the account."""
    logins = [Login(account, account, to, LOST, answered=False) for account in ("agent", "replication")]
    return replace(look(name), logins=(Login("agent", "mmm_agent", name), *logins))


def test_a_server_that_nobody_reaches_is_one_line_and_goes_with_its_cause() -> None:
    """Every host fails at it, with every account: the one line that helps is not to be lost among those."""
    down = replace(unreached("db2", "db2"), logins=unreached("db2", "db2").logins[1:])
    everywhere = {"db1": unreached("db1", "db2"), "db2": down, "db3": unreached("db3", "db2")}

    def wrong(seen: Picture) -> list[tuple[str, str]]:
        return [(each.host, each.code) for each in examine(seen) if each.level is Level.ERROR]

    assert wrong(picture(**everywhere)) == [("db2", "server_silent")]
    local = {**everywhere, "db2": replace(down, listens=("127.0.0.1",))}
    assert wrong(picture(**local)) == [("db2", "not_listening")]
    cut_off = {name: everywhere[name] for name in ("db1", "db3")}
    assert wrong(picture(**cut_off)) == [("db1", "server_silent"), ("db3", "server_silent")]


def test_of_the_tools_a_server_that_is_silent_is_not_said_again() -> None:
    silent = Login("tools", "t", "db1", LOST, answered=False)
    assert set(codes(changed("db2", lambda old: replace(old, logins=(silent,))))) <= {"source_is_newer"}


def test_a_vip_on_two_hosts_and_a_writer_are_seen() -> None:
    both = {name: replace(look(name), bound=(("10.0.0.80", "eth0"),)) for name in ("db1", "db2")}
    assert codes(picture(**both)) == {"vip_twice": ""}
    writer = replace(look("db1"), bound=(("10.0.0.80", "eth0"),), server=server("db1", read_only="OFF"))
    assert codes(picture(db1=writer)) == {}


def test_what_is_only_worth_knowing_is_no_warning() -> None:
    found = examine(with_settings("db3", gtid_strict_mode="OFF"))
    assert {finding.code for finding in found} == {"fine", "gtid_not_strict"}
    assert status(found) == 0


LACKS = Lack("SELECT, CREATE", "GRANT SELECT, CREATE ON *.* TO `mmm_agent`@`%`")


def without_statements(**formats: str) -> Picture:
    """Return what is seen where db2's agent may not apply statements, and servers log by these formats."""
    login = Login("agent", "mmm_agent", "db2", statements=(LACKS,))
    looks = {"db2": replace(look("db2"), logins=(login,))}
    for name, logged in formats.items():
        looks[name] = replace(looks.get(name, look(name)), server=server(name, binlog_format=logged))
    return picture(**looks)


def test_that_statements_of_a_lost_writer_are_left_matters_where_it_logs_them() -> None:
    whole = examine(without_statements())
    assert {finding.code for finding in whole} == {"fine", "statements_left"}
    assert LACKS.statement in next(each.todo for each in whole if each.code == "statements_left")
    assert codes(without_statements(db1="MIXED")) == {"not_row": "db1", "statements_left_too": "db2"}
    assert "statements_left_too" not in codes(without_statements(db2="MIXED")), (
        "its own log is not its concern"
    )
    off = replace(without_statements(db1="MIXED"), conf=conf("salvage no\n" + COMMON + MONITOR))
    assert codes(off) == {"not_row": "db1"}


def test_what_the_next_failover_would_meet_is_an_error_of_that_kind() -> None:
    found = [
        Finding("login_refused", "db2"),
        Finding("vip_twice"),
        Finding("delayed", "db2"),
        Finding("no_ping"),
    ]
    assert [finding.code for finding in would_fail(found)] == ["login_refused"]


def test_a_guard_that_is_another_in_a_whole_conf_is_named() -> None:
    unguarded = MONITOR.replace("<monitor>\n", "<monitor>\nsplit_brain_guard no\n")
    there = MonitorLook(conf=alike(conf(COMMON + unguarded)))
    (finding,) = (
        each
        for each in examine(replace(picture(), monitor=there))
        if each.host == "db1" and each.code != "fine"
    )
    assert (finding.code, finding.fields) == (
        "conf_differs",
        {"part": "split_brain_guard", "here": "yes", "there": "no"},
    )
    address_only = "<monitor>\nip 10.0.0.9\n</monitor>\n"
    agents = check(
        read(Memory({"m.conf": "this db1\n" + COMMON + address_only}), "m.conf"), "AGENT", "", lambda _: ""
    )
    assert "split_brain_guard" not in alike(agents)


def test_what_leases_rest_on_is_of_the_list_that_the_doctor_compares() -> None:
    for other in ("vip_lease 3\n" + COMMON, COMMON.replace("10.0.0.80", "10.0.0.81")):
        assert differing(digests(conf()), digests(conf(other + MONITOR)))
        assert differing(alike(conf()), alike(conf(other + MONITOR)))


def test_the_digest_that_agents_answer_with_is_of_what_every_conf_says_alone() -> None:
    agents = check(read(Memory({"m.conf": "this db1\n" + COMMON}), "m.conf"), "AGENT", "", lambda _: "")
    unguarded = MONITOR.replace("<monitor>\n", "<monitor>\nsplit_brain_guard no\n")
    assert shared(agents) == shared(conf()) == shared(conf(COMMON + unguarded)) != ""
    for other in (
        COMMON.replace("10.0.0.90", "10.0.0.95"),
        COMMON + "<host db3>\nmysql_port 3307\n</host>\n",
    ):
        assert shared(conf(other + MONITOR)) != shared(agents)
    assert shared(replace(conf(), dialect=1)) == ""


def test_a_disk_is_looked_at_once_with_all_that_it_holds(tmp_path: Path) -> None:
    settings = {
        "datadir": f"{tmp_path}/",
        "log_bin_basename": f"{tmp_path}/logs/bin",
        "relay_log_basename": "",
    }
    own, *others = room(
        (*written_by(settings), (str(tmp_path / "not/yet"), "pid file"), ("/proc", "nothing"))
    )
    usage = shutil.disk_usage(tmp_path)
    assert (own.path, own.size, own.holds) == (
        str(tmp_path),
        -(-usage.total >> 20),
        "data, binary logs, pid file",
    )
    assert [(other.path, other.holds) for other in others] == [("/proc", "nothing")]


def test_a_look_travels_as_one_field_of_the_wire() -> None:
    sent = replace(look("db1"), block_command="a|b\nc", clock=12.5)
    text = encoded(sent)
    assert not set(text) & set("|\n\r")
    assert text.isascii()
    assert decoded(text) == sent


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"clock": "x"}', '{"bound": [["a"]]}', '{"server": 3}', "3"]
)
def test_what_is_no_look_is_refused(text: str) -> None:
    with pytest.raises(LookError):
        decoded(text)


def test_a_look_of_another_version_is_read_as_far_as_it_is_known() -> None:
    assert decoded('{"news": 1, "address_here": false}') == HostLook(address_here=False)


def test_every_code_can_be_found_and_stands_in_the_page() -> None:
    path = Path(__file__).parents[2] / "docs/doctor.md"
    assert path.read_text() == page(), "run: python -m pages.doctor > docs/doctor.md"
    rules = "".join(each.read_text() for each in (Path(__file__).parents[2] / "mmm/doctor").glob("*rules.py"))
    for name, code in CODES.items():
        assert f'"{name}"' in rules, name
        assert code.todo or name == "fine"
        assert not code.failover or code.level is not Level.OK


def test_json_has_code_level_host_and_what_to_do() -> None:
    (first, *_) = report.encoded([Finding("no_ping", "db2")])["findings"]
    assert first == {
        "level": "WARNING",
        "host": "db2",
        "code": "no_ping",
        "text": "does not answer ping from the monitor",
        "todo": "let ping in from the monitor",
        "fields": {},
    }
    assert report.text([Finding("no_ping", "db2")]).startswith("WARNING  db2  no_ping: does not answer ping")


@pytest.mark.parametrize(("here", "asked"), [("10.0.0.8", "10.0.0.8"), ("10.0.0.9", "")])
def test_of_several_monitors_that_of_this_machine_is_asked(
    monkeypatch: pytest.MonkeyPatch, here: str, asked: str
) -> None:
    several = "monitors 10.0.0.6, 10.0.0.8\n" + COMMON + MONITOR.replace("    ip 127.0.0.1\n", "")
    seen: list[str] = []

    def looked(_: Cluster, monitor: Monitor) -> Picture:
        seen.append(monitor.ip)
        return picture()

    monkeypatch.setattr(own, "own_addresses", lambda: {here: "eth0"})
    monkeypatch.setattr(command, "look_at_cluster", looked)
    command.of_conf(conf(several))
    assert seen == [asked]


def test_a_status_file_without_a_folder_is_found(tmp_path: Path) -> None:
    text = COMMON + MONITOR.replace("/var/lib/m.status", f"{tmp_path}/mmm/m.status")
    monitor = check(read(Memory({"m.conf": text}), "m.conf"), "MONITOR", "", lambda _: "").monitor
    assert monitor is not None
    assert str(tmp_path / "mmm") in look_monitor.unwritable_here(monitor)
    (tmp_path / "mmm").mkdir()
    assert str(tmp_path / "mmm") not in look_monitor.unwritable_here(monitor)
