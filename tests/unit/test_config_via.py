"""`vip_via`: how clients come to who holds a role, and what a conf has to say besides."""

import pytest

from mmm.config.agreement import IPS, alike, digests
from mmm.config.load import Cluster, ConfError, Memory, Program, check, read
from mmm.config.model import Vip
from mmm.config.reload import changes, refused
from tests.unit.test_config_dialect2 import COMMON, MONITOR

PORT = "health_from 10.0.0.0/24\n<host default>\n health_port 9991\n</host>\n"
VIA = "    vip_via health\n"


def conf(
    top: str = PORT, writer: str = "", reader: str = "", program: Program = "MONITOR", monitor: str = MONITOR
) -> Cluster:
    text = COMMON.replace("    ips 10.0.0.80\n", f"    ips 10.0.0.80\n{writer}")
    text = text.replace("    ips 10.0.0.90", f"{reader}    ips 10.0.0.90")
    port = "    health_port 9991\n" if "health_port" in top else ""
    text = text.replace("<host default>\n", f"<host default>\n{port}")
    own = "" if program == "MONITOR" else "this db1\n"
    rest = monitor if program == "MONITOR" else ""
    files = Memory({"m.conf": own + top.split("<host", maxsplit=1)[0] + text + rest})
    return check(read(files, "m"), program, "", lambda _: "")


def faults(**more: str) -> list[str]:
    with pytest.raises(ConfError) as raised:
        conf(**more)  # type: ignore[arg-type]
    return [problem.fault.code for problem in raised.value.problems]


def test_ips_are_bound_where_nothing_else_is_said() -> None:
    cluster = conf()
    assert cluster.bound_vips == cluster.vips
    assert conf(writer=VIA).bound_vips == (Vip("reader", "10.0.0.90"), Vip("reader", "10.0.0.91"))


def test_a_role_that_is_asked_for_needs_a_port_on_each_host_and_somebody_who_may_ask() -> None:
    assert faults(top="", writer=VIA) == ["via_without_port"]
    assert faults(top="", reader=VIA) == ["via_without_port"]
    nobody = conf(PORT.removeprefix("health_from 10.0.0.0/24\n"), VIA)
    assert [each.fault.code for each in nobody.warnings] == ["via_asked_by_nobody"]


def test_what_keeps_two_hosts_from_writing_is_demanded() -> None:
    assert faults(top="vip_lease 0\n" + PORT, writer=VIA) == ["via_without_lease"]
    assert conf("vip_lease 0\n" + PORT, reader=VIA).vip_lease == 0
    silent = MONITOR.replace("</monitor>", "    dead_when_silent 1\n</monitor>", 1)
    assert faults(writer=VIA, monitor=silent) == ["via_is_silent"]


def test_an_agent_and_a_monitor_that_differ_in_it_tell_each_other() -> None:
    bound, asked = conf(program="AGENT"), conf(writer=VIA)
    assert digests(bound)[IPS] != digests(asked)[IPS]
    assert digests(conf(program="AGENT", writer=VIA))[IPS] == digests(asked)[IPS]
    assert alike(conf(reader=VIA))["roles"] != alike(conf())["roles"]


def test_the_way_of_a_role_changes_by_reload_but_for_the_writers() -> None:
    assert not refused(changes(conf(), conf(reader=VIA)))
    (fault,) = refused(changes(conf(), conf(writer=VIA)))
    assert fault.code == "lease_not_by_reload"


def test_a_program_that_moves_an_address_is_named_and_can_be_called() -> None:
    moved = "    vip_via script\n    vip_script "
    assert conf(writer=f"{moved}/usr/local/sbin/move --fast\n").scripts == {
        Vip("writer", "10.0.0.80"): "/usr/local/sbin/move --fast"
    }
    assert faults(writer="    vip_via script\n") == ["key_missing"]
    assert faults(writer=f"{moved}/bin/move 'x\n") == ["script_no_words"]
    assert faults(top="vip_lease 0\n", writer=f"{moved}/bin/move\n") == ["via_without_lease"]
    (warning,) = conf(writer="    vip_script /bin/move\n").warnings
    assert warning.fault.code == "script_unused"
