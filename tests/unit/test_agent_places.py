"""What a host holds without an address, beside what it has bound: on a real interface, in files of a real agent."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mmm.agent.act.fence import fence
from mmm.agent.act.places import Places
from mmm.agent.act.taken import Taken
from mmm.clock import clock
from mmm.config.model import Cluster, Role
from mmm.network.vips import InterfaceError
from tests.namespaces import addresses, cable, ip, own_network
from tests.unit.worlds import cluster

pytestmark = pytest.mark.netns

NEAR, FAR, WRITER, READER = "near0", "far0", "10.88.0.80", "10.88.0.90"
BOTH = (WRITER, READER)


def conf(folder: Path, via: str = "health") -> Cluster:
    """Return a conf in which the writer's role has no address, and the reader's has."""
    known = cluster()
    here = replace(known.hosts["db1"], cluster_interface=NEAR, pid_path=str(folder / "a.pid"))
    roles = {
        "writer": Role("writer", "exclusive", ("db1", "db2"), (WRITER,), vip_via=via),  # type: ignore[arg-type]
        "reader": Role("reader", "exclusive", ("db1", "db2"), (READER,)),
    }
    return replace(known, program="AGENT", this="db1", hosts={**known.hosts, "db1": here}, roles=roles)


def without_server(known: Cluster) -> Cluster:
    """Return the conf of a host whose server does not run: nobody can write there."""
    here = replace(known.hosts["db1"], ip="127.0.0.1", mysql_port=1)
    return replace(known, hosts={**known.hosts, "db1": here})


@pytest.fixture
def places(tmp_path: Path) -> Iterator[Places]:
    with own_network():
        cable(NEAR, FAR)
        with Places(conf(tmp_path)) as opened:
            yield opened


def test_what_has_no_address_is_held_as_if_it_were_bound_and_no_address_comes(places: Places) -> None:
    for each in BOTH:
        places.bind(each, 60)
    assert addresses(NEAR) == {f"{READER}/32"}
    assert places.bound(BOTH) == dict.fromkeys(BOTH, (32,))
    assert 55 < places.left(WRITER) <= 60
    places.unbind(WRITER)
    assert places.bound(BOTH) == {READER: (32,)}
    places.renew(WRITER, 60)
    assert places.left(WRITER) == 0, "what is not held is not renewed"


def test_what_an_earlier_agent_was_given_is_renewed_by_the_next(places: Places, tmp_path: Path) -> None:
    places.bind(WRITER, 5)
    with Places(conf(tmp_path)) as later:
        for each in BOTH:
            later.renew(each, 60)
        assert 55 < later.left(WRITER) <= 60
        assert later.bound(BOTH) == {WRITER: (32,)}, "what does not stand here does not come by that"


def test_it_outlives_the_agent_and_is_over_when_nobody_renews_it(places: Places, tmp_path: Path) -> None:
    places.bind(WRITER, 60)
    with Places(conf(tmp_path)) as later:
        assert later.bound(BOTH) == {WRITER: (32,)}
        later.bind(WRITER)
        assert later.left(WRITER) == float("inf")
    assert places.overdue() == ()
    file = tmp_path / f"a.pid.holds.{WRITER}"
    boot = file.read_text().split()[0]
    file.write_text(f"{boot} {clock() - 1.0}")
    assert places.bound(BOTH) == {}
    assert places.overdue() == (WRITER,)
    assert places.overdue(late=3.0) == ()
    file.write_text(f"of-another-boot {clock() + 60.0}")
    assert (places.bound(BOTH), places.overdue()) == ({}, ())


def test_what_a_program_has_moved_here_though_it_failed_is_held_by_the_lease_all_the_same(
    tmp_path: Path,
) -> None:
    """The next order finds it here and does nothing; without its end nobody would take it from a host that hangs."""
    program = tmp_path / "move"
    program.write_text(
        f"#!/bin/sh\ncd {tmp_path}\ncase $1 in add) touch here; false;; status) [ -e here ];; esac\n"
    )
    program.chmod(0o755)
    known = conf(tmp_path, "script")
    roles = {**known.roles, "writer": replace(known.roles["writer"], vip_script=str(program))}
    with Places(replace(known, roles=roles)) as places:
        places.renew(WRITER, 60)
        assert places.left(WRITER) == 0, "what is not here is not renewed"
        with pytest.raises(InterfaceError):
            places.bind(WRITER, 60)
        assert places.bound([WRITER]) == {WRITER: (32,)}
        places.renew(WRITER, 60)
        assert 55 < places.left(WRITER) <= 60


def test_an_interface_that_does_not_exist_holds_nobody_up_who_needs_none(
    places: Places, tmp_path: Path
) -> None:
    places.bind(WRITER)
    ip(f"link del {NEAR}")
    assert places.bound(BOTH) == {WRITER: (32,)}
    assert places.elsewhere([WRITER]) == {}
    assert places.bound([]) == {}
    places.unbind_elsewhere(WRITER)


def test_all_that_stands_here_is_told_with_the_interface_s_addresses(places: Places) -> None:
    for each in BOTH:
        places.bind(each)
    assert {WRITER, READER} <= places.bound().keys()


def test_the_fence_succeeds_on_an_interface_that_does_not_exist(tmp_path: Path) -> None:
    """It was tried again each second, and so took the writes of whoever got the role after that."""
    known = without_server(conf(tmp_path))
    with own_network(), Places(known) as places:
        places.bind(WRITER, 60)
        assert fence(known)
        assert places.bound([WRITER]) == {}


def test_the_fence_finds_a_vip_on_an_interface_that_was_renamed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    known = without_server(conf(tmp_path, "arp"))
    with own_network():
        cable(NEAR, FAR)
        ip(f"addr add {WRITER}/32 dev {NEAR}")
        ip(f"link set {NEAR} down")
        ip(f"link set {NEAR} name lan0")
        assert fence(known)
        assert addresses("lan0") == set()
    assert f"{WRITER} is gone from lan0" in caplog.text


def test_what_an_earlier_conf_has_bound_is_found_and_removed_here_but_left_on_other_interfaces(
    places: Places,
) -> None:
    ip(f"addr add {WRITER}/32 dev {NEAR}")
    ip(f"addr add {WRITER}/32 dev {FAR}")
    assert places.elsewhere([WRITER]) == {WRITER: (NEAR,)}
    places.unbind_elsewhere(WRITER)
    assert addresses(NEAR) == set()
    assert addresses(FAR) == {f"{WRITER}/32"}, "a load balancer may want it there"


def test_what_was_held_by_an_earlier_conf_is_forgotten(places: Places, tmp_path: Path) -> None:
    places.bind(WRITER, 60)
    with Places(conf(tmp_path, "arp")) as later:
        assert later.bound(BOTH) == {}
    assert Taken(str(tmp_path / "a.pid")).left(WRITER) == 0
