"""More than one monitor in the conf: what is taken, what is refused, and which of them a machine's is."""

from dataclasses import replace

import pytest

from mmm.config.agreement import VOTERS, digests
from mmm.config.allow import allowed
from mmm.config.effective import fingerprint
from mmm.config.load import Cluster, ConfError, Memory, Program, check, read
from mmm.config.monitors import of_machine
from mmm.config.tree import Fault
from tests.unit.test_config_dialect2 import COMMON, MONITOR

SEVERAL = MONITOR.replace("    ip 127.0.0.1\n", "")
MONITORS = "monitors 10.0.0.6, fd00:0::8\n"


def conf(text: str = "", program: Program = "MONITOR", monitor: str = SEVERAL) -> Cluster:
    files = Memory({"m.conf": text + COMMON + monitor})
    return check(read(files, "m"), program, "", lambda _: "")


def faults(text: str, monitor: str = SEVERAL) -> list[str]:
    with pytest.raises(ConfError) as raised:
        conf(text, monitor=monitor)
    return [problem.fault.code for problem in raised.value.problems]


def test_without_the_line_there_is_one_monitor_and_nothing_of_it() -> None:
    cluster = conf(monitor=MONITOR)
    assert (cluster.monitors, cluster.voters, cluster.lead_lease) == ((), (), 0.0)
    assert VOTERS not in digests(cluster)


def test_all_hosts_vote_masters_first_for_as_long_as_a_lease_of_the_vips() -> None:
    cluster = conf(MONITORS)
    assert cluster.monitors == ("10.0.0.6", "fd00::8")
    assert cluster.voters == ("db1", "db2", "db3")
    assert cluster.lead_lease == cluster.vip_lease == 10.0
    slaves = "".join(f"<host s{n}>\n ip 10.0.1.{n}\n mode slave\n</host>\n" for n in range(1, 8))
    assert conf(MONITORS + slaves).voters == ("db1", "db2", "s1", "s2", "s3", "s4", "s5")


def test_agents_and_control_ports_let_in_all_monitors_and_nobody_else_for_that() -> None:
    for cluster in (conf("this db1\n" + MONITORS, "AGENT"), conf(MONITORS)):
        who = allowed(cluster)
        assert all(who.admits(ip) for ip in ("10.0.0.6", "fd00::8", "10.0.0.1"))
        assert not who.admits("10.0.0.7")


def test_confs_in_which_other_hosts_vote_or_leads_last_longer_are_told_apart() -> None:
    texts = ("", "voters db1, db2\n", "lead_lease 5\n", "vip_lease 20\n", "lead_lease 5\nvip_lease 20\n")
    assert len({digests(conf(MONITORS + text))[VOTERS] for text in texts}) == len(texts)
    same = conf(MONITORS + "voters db3, db2, db1\nlead_lease 10\n")
    assert digests(same)[VOTERS] == digests(conf(MONITORS))[VOTERS]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("voters db1\n", "without_monitors"),
        ("lead_lease 5\n", "without_monitors"),
        ("monitors 10.0.0.6, 10.0.0.6\n", "listed_twice"),
        (MONITORS + "voters db1, db1\n", "listed_twice"),
        (MONITORS + "voters db9\n", "no_such_reference"),
        ("monitors 10.0.0.80, 10.0.0.6\n", "monitor_at_vip"),
        ("monitors 127.0.0.1, 10.0.0.6\n", "no_monitors_address"),
        ("monitors ::1, 10.0.0.6\n", "no_monitors_address"),
        ("monitors 0.0.0.0, 10.0.0.6\n", "no_monitors_address"),
        (MONITORS + "vip_lease 0\n", "monitors_without_lease"),
        (MONITORS + "lead_lease 11\n", "lead_lease_too_long"),
        (MONITORS + "lead_lease 0.5\n", "not_seconds"),
    ],
)
def test_what_cannot_be_is_refused(text: str, code: str) -> None:
    assert faults(text, SEVERAL if "monitors" in text else MONITOR) == [code]


def test_the_only_monitor_cannot_be_at_a_virtual_ip_either() -> None:
    assert faults("", MONITOR.replace("127.0.0.1", "10.0.0.80")) == ["monitor_at_vip"]
    on_a_host = conf("", monitor=MONITOR.replace("127.0.0.1", "10.0.0.1")).monitor
    assert on_a_host is not None
    assert on_a_host.ip == "10.0.0.1"


def test_a_monitor_whose_written_address_is_not_listed_is_refused() -> None:
    for ip in ("127.0.0.1", "10.0.0.7"):
        assert faults(MONITORS, MONITOR.replace("127.0.0.1", ip)) == ["monitor_not_listed"]
    own = conf(MONITORS, monitor=MONITOR.replace("127.0.0.1", "10.0.0.6")).monitor
    assert own is not None
    assert own.ip == "10.0.0.6"


def test_a_monitor_finds_its_address_on_its_machine() -> None:
    listed = ("10.0.0.6", "fd00::8")
    assert of_machine(listed, {"127.0.0.1": "lo", "fd00::8": "eth0", "10.0.0.8": "eth0"}) == "fd00::8"
    nowhere = of_machine(listed, {"127.0.0.1": "lo", "10.0.0.7": "eth0"})
    assert isinstance(nowhere, Fault)
    assert nowhere.code == "monitor_not_here"
    assert nowhere.fields["own"] == ("10.0.0.7",)
    both = of_machine(listed, {"10.0.0.6": "eth0", "fd00::8": "eth0"})
    assert isinstance(both, Fault)
    assert both.code == "monitor_here_twice"


def test_two_monitors_can_see_that_their_confs_say_the_same_and_passwords_do_not_show() -> None:
    here = conf(MONITORS)
    read = fingerprint(here)
    assert here.monitor is not None
    assert fingerprint(replace(here, monitor=replace(here.monitor, ip="10.0.0.6"))) == read
    assert fingerprint(conf(MONITORS, "CONTROL")) == read, "mmm_web reads it for the monitor"
    assert fingerprint(conf(f"# by hand\n{MONITORS}<web>\nport 1234\n</web>\n")) == read
    hosts = {name: replace(host, monitor_password="guessed") for name, host in here.hosts.items()}
    assert fingerprint(replace(here, hosts=hosts)) == read
    assert fingerprint(here) is read, "it is worked out once"
    assert fingerprint(conf(f"vip_lease 12\n{MONITORS}")) != read
    assert (
        fingerprint(conf(MONITORS, monitor=SEVERAL.replace("<monitor>", "<monitor>\nflap_count 9"))) != read
    )
