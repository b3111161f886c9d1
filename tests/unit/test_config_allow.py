"""Who may connect, as far as the conf tells."""

import pytest

from mmm.config.allow import allowed, health_allowed, health_sentence, sentence
from mmm.config.load import (
    ConfError,
    Memory,
    Program,
    check,
    read,
)
from mmm.config.model import Cluster

COMMON = """
active_master_role writer
<host default>
    cluster_interface eth0
    pid_path /run/agentd.pid
    bin_path /usr/lib
    replication_user r
    replication_password r
    agent_user a
    agent_password a
    monitor_user m
    monitor_password m
</host>
<host db1>
    ip 10.0.0.4
    mode master
    peer db2
</host>
<host db2>
    ip 10.0.0.5
    mode master
    peer db1
</host>
<role writer>
    hosts db1, db2
    ips 10.0.0.80
    mode exclusive
</role>
"""
MONITOR = """
<monitor>
    ip {ip}
    pid_path /run/mond.pid
    bin_path /usr/lib
    status_path /run/mond.status
    ping_ips 10.0.0.1
</monitor>
"""


def conf(program: Program, *texts: str) -> Cluster:
    files = Memory({"mmm.conf": "\n".join((COMMON, *texts))})
    return check(read(files, "mmm.conf"), program, "", lambda _: "")


def agent(*texts: str) -> Cluster:
    return conf("AGENT", "this db1", *texts)


def test_an_agent_whose_conf_does_not_name_the_monitor_takes_orders_from_everybody_and_says_so() -> None:
    for cluster in (agent(), agent(MONITOR.format(ip="127.0.0.1"))):
        assert allowed(cluster).admits("192.0.2.1")
        assert "everybody" in sentence(cluster)
        assert "allow_from ADDRESS" in sentence(cluster)


@pytest.mark.parametrize("text", ["allow_from 10.0.0.9", MONITOR.format(ip="10.0.0.9")])
def test_an_agent_lets_in_monitor_hosts_and_itself(text: str) -> None:
    who = allowed(agent(text))
    assert all(who.admits(ip) for ip in ("10.0.0.4", "10.0.0.5", "10.0.0.9", "127.0.0.1", "127.1.2.3", "::1"))
    assert not any(who.admits(ip) for ip in ("10.0.0.6", "10.0.0.80", "192.0.2.1", "fd00::1"))
    assert who.admits("10.0.0.6", own="10.0.0.6")


def test_a_monitor_lets_in_hosts_and_itself_wherever_it_listens() -> None:
    for ip in ("10.0.0.9", "127.0.0.1"):
        who = allowed(conf("MONITOR", MONITOR.format(ip=ip)))
        assert who.admits("10.0.0.4")
        assert who.admits("127.0.0.1")
        assert who.admits("10.0.0.9") == (ip == "10.0.0.9")
        assert not who.admits("10.0.0.6")


def test_networks_of_both_families_may_be_named() -> None:
    who = allowed(agent("allow_from 192.0.2.0/24, fd00::/64, 10.0.0.9/32"))
    assert str(who) == "10.0.0.4, 10.0.0.5, 192.0.2.0/24, fd00::/64, 10.0.0.9"
    assert all(who.admits(ip) for ip in ("192.0.2.77", "fd00::9", "10.0.0.9"))
    assert not any(who.admits(ip) for ip in ("192.0.3.1", "fd01::9"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("10.0.0.9/24", "has bits set beyond its prefix"),
        ("monitor.example.org", "is no address or network"),
        ("10.0.0.9/33", "is no address or network"),
    ],
)
def test_what_is_no_network_is_an_error(text: str, said: str) -> None:
    with pytest.raises(ConfError, match=said):
        agent(f"allow_from {text}")


def test_health_is_told_to_load_balancers_which_may_give_no_orders() -> None:
    port = "<host default>\nhealth_port 9991\n</host>"
    cluster = agent("allow_from 10.0.0.9", "health_from 192.0.2.0/24", port)
    assert all(health_allowed(cluster).admits(ip) for ip in ("10.0.0.4", "10.0.0.9", "192.0.2.7"))
    assert not health_allowed(cluster).admits("192.0.3.7")
    assert not allowed(cluster).admits("192.0.2.7")
    assert health_sentence(cluster) == (
        "health port 9991: answers 10.0.0.4, 10.0.0.5, 10.0.0.9, 192.0.2.0/24, and this host itself"
    )
    alone = agent("health_from 192.0.2.7", port)
    assert allowed(alone).admits("198.51.100.1")
    assert not health_allowed(alone).admits("198.51.100.1")
    assert health_allowed(agent(port)).admits("198.51.100.1")
    assert health_sentence(agent("allow_from 10.0.0.9")) == ""


@pytest.mark.parametrize("port", [9989, 3306])
def test_a_health_port_that_is_taken_is_an_error(port: int) -> None:
    with pytest.raises(ConfError, match=f"health_port {port}, which is its (agent|mysql)_port"):
        agent(f"<host default>\nhealth_port {port}\n</host>")


def test_health_from_without_a_health_port_has_no_effect() -> None:
    assert ["health_from has no effect" in str(each) for each in agent("health_from 192.0.2.7").warnings] == [
        True
    ]
