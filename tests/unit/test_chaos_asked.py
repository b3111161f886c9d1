"""Chaos with a writer that has no address: when a host certainly held the role, and the cluster that is broken."""

from pathlib import Path

from mmm.config.load import Memory, check, read
from mmm.config.model import Cluster, Via
from mmm.proving.chaos.asked import Spans
from mmm.proving.chaos.command import Wanted
from mmm.proving.chaos.history import Held
from mmm.proving.chaos.run import CONF, reached
from mmm.sandbox.machines.vip_script import write_program


def test_a_host_held_the_role_from_the_end_of_the_first_look_to_the_beginning_of_the_last() -> None:
    spans = Spans()
    for begun in (1.0, 2.0, 3.0):
        spans.seen("db1", begun, begun + 0.5)
    spans.seen("db2", 3.1, 3.2)
    assert set(spans.all()) == {Held("db1", 1.5, 3.0), Held("db2", 3.2, 3.2)}


def test_a_look_that_does_not_see_it_or_gets_no_answer_ends_the_time() -> None:
    spans = Spans()
    spans.seen("db1", 1.0, 1.1)
    spans.seen("db1", 2.0, 2.1)
    spans.unseen("db1")
    spans.unseen("db2")
    spans.seen("db1", 9.0, 9.1)
    spans.seen("db1", 9.5, 9.6)
    assert spans.all() == (Held("db1", 1.1, 2.0), Held("db1", 9.1, 9.5))


def conf(via: Via, program: Path) -> Cluster:
    files = Memory(reached(CONF, via, program).files())
    return check(read(files, "mmm_mon"), "MONITOR", "", lambda _: "")


def test_the_cluster_of_a_run_has_a_writer_that_is_reached_as_wanted(tmp_path: Path) -> None:
    program = write_program(tmp_path / "new" / "move")
    asked, moved, bound = (conf(via, program) for via in ("health", "script", "arp"))
    assert {vip.role for vip in asked.asked_vips} == {"writer"}
    assert all(host.health_port for host in asked.hosts.values())
    assert set(moved.scripts.values()) == {str(program)}
    assert bound.bound_vips == bound.vips
    assert {each.vip_lease for each in (asked, moved, bound)} == {3}


def test_the_command_that_does_the_same_again_says_how_the_writer_is_reached() -> None:
    assert "--via health" in Wanted(1, 60, via="health").command
    assert "--via" not in Wanted(1, 60).command
