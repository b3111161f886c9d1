"""What of another conf a running daemon takes, and what it refuses."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from mmm.config.keys import KEYS
from mmm.config.model import Check, Cluster, Host, Notify
from mmm.config.reload import TAKEN, Taken, changes, refused
from tests.unit.worlds import cluster


def test_every_key_has_one_entry_and_every_entry_is_a_key() -> None:
    entries = {
        section: sorted(key for keys in sorts.values() for key in keys.split())
        for section, sorts in TAKEN.items()
    }
    assert entries == {section: sorted(keys) for section, keys in KEYS.items() if keys}


OLD = cluster()


def host(conf: Cluster, name: str, **values: object) -> Cluster:
    return replace(conf, hosts={**conf.hosts, name: replace(conf.hosts[name], **values)})  # type: ignore[arg-type]


def role(conf: Cluster, name: str, **values: object) -> Cluster:
    return replace(conf, roles={**conf.roles, name: replace(conf.roles[name], **values)})  # type: ignore[arg-type]


def without(hosts: Mapping[str, Host], name: str) -> dict[str, Host]:
    return {each: host for each, host in hosts.items() if each != name}


@pytest.mark.parametrize(("new", "said"), [
    (host(OLD, "db3", monitor_password="secret"), ("<host db3> monitor_password changed",)),
    (replace(OLD, checks={**OLD.checks, "ping": Check("ping", check_period=1)}),
     ("<check ping> check_period: 5 -> 1",)),
    (replace(OLD, hosts={**OLD.hosts, "db4": Host("db4", "10.0.0.4", "slave")}), ("<host db4> added",)),
    (replace(OLD, hosts=without(OLD.hosts, "db3")), ("<host db3> removed",)),
    (replace(OLD, keep_users=("root",), notify={"ops": Notify("ops", webhook="https://x/s3cret")}),
     ("keep_users: not set -> root", "<notify ops> added")),
    (role(OLD, "reader", hosts=("db3",)), ("<role reader> hosts: db1, db2, db3 -> db3",)),
    (role(OLD, "writer", prefer="db1"), ("<role writer> prefer: not set -> db1",)),
    (host(OLD, "db1", cluster_interface="eth1", pid_path="/run/x"),
     ("<host db1> pid_path: not set -> /run/x", "<host db1> cluster_interface: not set -> eth1")),
    (OLD, ()),
])  # fmt: skip
def test_what_is_taken(new: Cluster, said: tuple[str, ...]) -> None:
    found = changes(OLD, new)
    assert tuple(map(str, found)) == said
    assert refused(found) == ()


@pytest.mark.parametrize(("new", "code", "key"), [
    (replace(OLD, vip_lease=5.0), "lease_not_by_reload", "vip_lease"),
    (role(OLD, "writer", hosts=("db1", "db3")), "lease_not_by_reload", "hosts"),
    (role(OLD, "writer", ips=("10.0.0.81",)), "lease_not_by_reload", "ips"),
    (replace(OLD, monitor=replace(OLD.monitor, split_brain_guard=True)),  # type: ignore[type-var]
     "lease_not_by_reload", "split_brain_guard"),
    (host(OLD, "db3", ip="10.0.0.33"), "not_by_reload", "ip"),
    (host(OLD, "db3", agent_port=9990), "not_by_reload", "agent_port"),
    (replace(OLD, auth_key="other"), "not_by_reload", "auth_key"),
    (replace(OLD, monitor=replace(OLD.monitor, port=9987)), "not_by_reload", "port"),  # type: ignore[type-var]
])  # fmt: skip
def test_what_is_refused(new: Cluster, code: str, key: str) -> None:
    (fault,) = refused(changes(OLD, new))
    assert (fault.code, fault.fields["change"].key) == (code, key)
    assert str(fault).startswith(f"{fault.fields['change']}: ")


def test_an_agent_refuses_what_its_own_host_is_at_and_not_what_the_monitor_is_at() -> None:
    old = replace(OLD, program="AGENT", this="db1")
    moved = host(host(old, "db1", cluster_interface="eth1"), "db2", cluster_interface="eth1")
    monitor = replace(old, monitor=replace(old.monitor, port=9987, status_path="/x"))  # type: ignore[type-var]
    assert [str(fault.fields["change"]) for fault in refused(changes(old, moved))] == [
        "<host db1> cluster_interface: not set -> eth1"
    ]
    assert refused(changes(old, monitor)) == ()


def test_no_secret_is_shown() -> None:
    found = changes(OLD, replace(OLD, auth_key="s3cret", notify={"a": Notify("a", webhook="s3cret")}))
    assert found
    assert not any("s3cret" in str(change) or "s3cret" in repr(change) for change in found)
    assert Taken.RESTART in {change.taken for change in found}
