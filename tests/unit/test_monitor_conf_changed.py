"""A monitor that died starts with other hosts in the active master role, and does not reach those that had it."""

from dataclasses import replace

import pytest

from mmm.agent.decide.held_lease import begun
from mmm.config.model import Cluster, Vip
from mmm.lease.rules import FOREVER
from mmm.monitor.act import status_file
from mmm.monitor.apply.apply import apply
from mmm.monitor.decide.found import Found, Stored
from mmm.monitor.decide.startup import Started, start
from mmm.monitor.world.events import Answer, Answered, Killed
from mmm.monitor.world.orders import KillHost, Tell
from mmm.monitor.world.world import Mode
from mmm.wire.status import LeaseOffer, Status, SystemStatus
from tests.unit.worlds import NOW, WRITER, answer, checks, cluster, show, take_turn

LENGTH = 10.0
BOOT = "0123456789ab"


def conf_of(*writers: str) -> Cluster:
    """The conf of a cluster whose active master is one of these."""
    conf = replace(cluster(readers=0, split_brain_guard=True, failover_block=0), vip_lease=LENGTH)
    one, two = writers
    hosts = {name: replace(host, mode="slave", peer=None) for name, host in conf.hosts.items()}
    for name, peer in ((one, two), (two, one)):
        hosts[name] = replace(hosts[name], mode="master", peer=peer)
    return replace(
        conf, hosts=hosts, roles={**conf.roles, "writer": replace(conf.roles["writer"], hosts=writers)}
    )


OLD, NEW = conf_of("db1", "db2"), conf_of("db1", "db3")


def stored(by: Cluster) -> dict[str, Stored]:
    """What the file says of a cluster in which db1 is the active master, by a monitor with that conf."""
    granted = Found(
        Stored("ONLINE", (WRITER,), "finite", LENGTH),
        Status("ONLINE", (WRITER,), "db1"),
        SystemStatus(writable=True, vips=(WRITER,)),
        500.0,
    )
    others = Found(Stored("ONLINE"), Status("ONLINE", (), "db1"), SystemStatus(writable=False), 500.0)
    found = {"db1": granted, "db2": others, "db3": others}
    started = start(by, dict.fromkeys(by.hosts, checks()), found, NOW)
    return dict(status_file.decode(status_file.encode(started.world))[0])


def without_db1_and_db2(conf: Cluster, lines: dict[str, Stored]) -> Started:
    """A monitor starts that reaches db3 alone."""
    well = Found(lines["db3"], Status("ONLINE", (), "db1"), SystemStatus(writable=False), 500.0)
    found = {name: well if name == "db3" else Found(lines.get(name)) for name in conf.hosts}
    dead = checks(ping=NOW, mysql=NOW)
    seen = {name: checks() if name == "db3" else dead for name in conf.hosts}
    return start(conf, seen, found, NOW, stored=lines)


def seconds_with_two_holders(lines: dict[str, Stored]) -> tuple[int, str]:
    """Return for how long db1 and db3 hold the role together, and what show says at the end.

    db1 is not reached, and holds the role as long as db2 promises it; db3 does what the monitor orders.
    """
    first, seen = begun(LENGTH, BOOT, NOW - 100.0), without_db1_and_db2(NEW, lines).world
    holder = first.obeyed(first.grant(LeaseOffer(LENGTH, first.token(NOW))), NOW, role=True)
    db2 = db3 = begun(LENGTH, BOOT, NOW - 100.0)
    both = 0
    for now in (NOW + second for second in range(40)):
        db2, refused = db2.promise("db1", LENGTH, "", now)
        assert not refused
        holder = holder.renewed(now, now)
        seen, orders = take_turn(seen, now)
        for order in orders:
            if isinstance(order, KillHost):
                seen = apply(seen, Killed(order.host, "it exits 1"), now)
                continue
            if not isinstance(order, Tell):
                seen = answer(seen, order, now=now)
                continue
            if order.host != "db3":
                seen = apply(seen, Answered(order.host, order.number, Answer.SILENT), now)
                continue
            if order.lease is not None:
                role = WRITER in order.status.vips
                db3 = db3.obeyed(db3.grant(order.lease), now, role=role)
            done = Answered("db3", order.number, Answer.OK, "", 500.0 + now - NOW, db3.token(now))
            seen = apply(seen, done, now)
        both += holder.left(now) > 0 and db3.left(now) > 0
    return both, show(seen, now)


def test_a_holder_whose_promises_come_from_hosts_of_another_conf_is_waited_for() -> None:
    """db2 promises db1 to refuse the role, and db3, which may get it by the new conf, has promised nothing."""
    lines = stored(OLD)
    both, said = seconds_with_two_holders(lines)
    assert both == 0
    assert f"{WRITER} waits for db1, which may still have it: its lease has no end" in said
    unknown = {name: replace(line, hosts="") for name, line in lines.items()}
    assert seconds_with_two_holders(unknown)[0] > 20, "that is what the record of the hosts is for"


@pytest.mark.parametrize(("by", "until"), [(NEW, NOW + LENGTH), (OLD, FOREVER)])
def test_a_lease_has_an_end_only_by_the_hosts_that_this_conf_has_too(by: Cluster, until: float) -> None:
    assert without_db1_and_db2(NEW, stored(by)).world.hosts["db1"].agent.given.until == until


def test_a_monitor_whose_conf_lacks_the_host_that_may_have_the_role_gives_no_orders() -> None:
    hosts = {name: host for name, host in NEW.hosts.items() if name != "db1"}
    writer = replace(NEW.roles["writer"], hosts=("db3", "db2"))
    lacks = replace(NEW, hosts=hosts, roles={"writer": writer})
    began = without_db1_and_db2(lacks, stored(OLD))
    assert (began.world.mode, began.conflict and began.conflict.fields["host"]) == (Mode.PASSIVE, "db1")
    other = replace(NEW, roles={"writer": replace(NEW.roles["writer"], ips=("10.0.0.81",))})
    assert Vip("writer", "10.0.0.81") in other.vips
    assert without_db1_and_db2(other, stored(OLD)).world.mode is Mode.PASSIVE
    free = {name: replace(line, lease="") for name, line in stored(OLD).items()}
    assert without_db1_and_db2(lacks, free).world.mode is Mode.ACTIVE
