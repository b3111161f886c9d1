"""What the monitor's own look at the agents comes to in show."""

from mmm.doctor.picture import Finding
from mmm.monitor.apply.apply import apply
from mmm.monitor.assess import checkup
from mmm.monitor.world.events import Examined
from mmm.monitor.world.host import State
from mmm.monitor.world.warnings import text
from mmm.monitor.world.world import World
from tests.unit.worlds import (
    with_host,
    world,
)

LACKS = Finding(
    "grant_missing", "db2", {"account": "agent", "privilege": "PROCESS", "to": "db2", "statement": "GRANT"}
)
SILENT = Finding("server_silent", "db2", {"account": "agent", "to": "db1", "why": "refused"})
SMALL = Finding("clock_apart", "db2", {"seconds": "9", "way": "behind"})


def all_online() -> World:
    made = world()
    for name in made.hosts:
        made = with_host(made, name, state=State.ONLINE)
    return made


def said(seen: World) -> list[str]:
    return [text(warned) for warned in checkup.warned(seen)]


def examined(seen: World, *found: Finding) -> World:
    return apply(seen, Examined(checkup.errors(seen, found)), 0.0)


def test_what_is_found_twice_is_one_line_and_goes_with_its_cause() -> None:
    once = examined(all_online(), LACKS, SMALL)
    assert said(once) == []
    twice = examined(once, LACKS, SILENT, SMALL)
    assert said(twice) == [
        "the doctor finds 1 error that the next failover would meet: run mmm_control doctor"
    ]
    assert said(examined(twice, LACKS, SILENT)) == [
        "the doctor finds 2 errors that the next failover would meet: run mmm_control doctor"
    ]
    assert said(examined(twice)) == []


def test_a_host_that_is_not_in_use_is_not_held_against_the_next_failover() -> None:
    seen = all_online()
    out = with_host(seen, "db1", state=State.HARD_OFFLINE)
    assert checkup.errors(seen, [SILENT])
    assert not checkup.errors(out, [SILENT])
    assert checkup.errors(out, [LACKS])


def test_a_look_that_found_something_is_repeated_soon() -> None:
    seen = all_online()
    assert checkup.next_look(seen) > 5 * checkup.next_look(examined(seen, LACKS))


def test_an_error_is_the_same_though_its_figures_change() -> None:
    full = [
        Finding("disk_full", "", {"folder": "/var/log", "free": free, "holds": "logs"}) for free in ("9", "8")
    ]
    seen = all_online()
    for each in full:
        seen = examined(seen, each)
    assert "1 error" in "".join(said(seen))


def test_a_writer_whose_agent_does_not_reach_the_others_is_named() -> None:
    apart = Finding("no_way_to_agent", "db1", {"other": "db2", "why": "timed out", "port": "9989"})
    seen = all_online()
    vip = seen.conf.master_vip
    assert vip
    seen = seen.with_owner({vip: "db1"})
    first, second = said(examined(examined(seen, apart), apart))
    assert first.startswith("the agent of db1, which holds the writer role, does not reach that of db2: ")
    assert first.endswith("open TCP 9989 between the hosts, both ways")
    assert "1 error" in second
    assert len(said(examined(examined(seen.with_owner({vip: "db2"}), apart), apart))) == 1
