"""When a warning comes and goes, as the history has it."""

import asyncio
from pathlib import Path
from unittest.mock import patch

from mmm.monitor.act import warnings_watch
from mmm.monitor.act.journal import Chronicle
from mmm.monitor.report import history, leading, raised
from mmm.monitor.report.raised import STEADY, Raised
from mmm.monitor.world.happened import Happened
from mmm.monitor.world.host import State
from mmm.monitor.world.leadership import Place
from mmm.monitor.world.warnings import Level, Warned
from tests.unit.test_monitor_leading import FOLLOWS, LEADS, of_several
from tests.unit.worlds import CLOCK, NOW, with_host, world

LOW = Warned("disk_low", ("db1",), {"said": "its disk is 95 % full"})
LOWER = Warned("disk_low", ("db1",), {"said": "its disk is 96 % full"})
CODES = ("warned", "warning_over")


def looks(*seen: tuple[float, tuple[Warned, ...]], known: Raised = Raised()) -> list[Happened]:  # noqa: B008
    """What is told of by looks, each so many seconds after the first."""
    told: list[Happened] = []
    for after, found in seen:
        known, happened = raised.looked(known, world(), found, NOW + after)
        told += happened
    return told


def test_a_warning_that_lasts_is_told_of_once_and_so_is_its_end() -> None:
    begin, end = looks(
        (0, (LOW,)), (STEADY - 1, (LOWER,)), (STEADY, (LOWER,)), (60, (LOW,)), (70, ()), (80, ()), (99, ())
    )
    assert (begin.code, end.code) == CODES
    assert str(begin) == "WARNING: db1: its disk is 96 % full"
    assert str(end) == "over: db1: its disk is 96 % full"
    assert {name: begin.fields[name] for name in ("warning", "host", "level")} == {
        "warning": "disk_low",
        "host": "db1",
        "level": "WARNING",
    }


def test_a_warning_that_comes_and_goes_with_every_check_is_no_news() -> None:
    assert looks(*((5.0 * look, (LOW,) if look % 2 else ()) for look in range(20))) == []


def test_a_warning_that_becomes_critical_is_told_of_again() -> None:
    worse = Warned("no_holder", level=Level.CRITICAL, fields={"role": "writer", "ips": "", "why": "none"})
    less = Warned("no_holder", fields=worse.fields)
    told = looks((0, (less,)), (STEADY, (less,)), (20, (worse,)), (20 + STEADY, (worse,)))
    assert sorted(str(each.fields["level"]) for each in told if each.code == "warned") == [
        "CRITICAL",
        "WARNING",
    ]


def test_what_another_entry_of_the_history_says_is_no_news() -> None:
    out = Warned("out_of_use", ("db1",), {"state": "HARD_OFFLINE", "why": "mysql: ERROR"})
    dead = Warned("diagnosis", ("db1",), {"diagnosis": "server_dead", "said": "the server of db1 is dead"})
    gone = with_host(world(), "db1", state=State.HARD_OFFLINE)
    known, _ = raised.looked(Raised(), gone, (out, dead), NOW)
    assert raised.looked(known, gone, (out, dead), NOW + STEADY)[1] == ()
    assert [each.fields["warning"] for each in looks((0, (dead,)), (STEADY, (dead,)))] == ["diagnosis"]


def test_a_monitor_that_is_started_again_tells_nothing_twice() -> None:
    told = [history.entry(1.0, each) for each in looks((0, (LOW,)), (STEADY, (LOW,)))]
    read = history.decode("".join(map(history.encode, told)))
    known = raised.recalled(read)
    assert looks((0, (LOW,)), (STEADY, (LOW,)), known=known) == []
    (over,) = looks((0, ()), (STEADY, ()), known=known)
    assert (over.code, str(over)) == ("warning_over", "over: db1: its disk is 95 % full")
    assert raised.recalled((*read, history.entry(2.0, over))) == Raised()


def test_a_monitor_that_stands_by_does_not_say_that_a_warning_is_over() -> None:
    """It knows of the lead alone; "over" was told by mail at every change of leader."""
    leading, standby = of_several(**LEADS), of_several(**FOLLOWS)
    known = Raised()
    for world_then, after in ((leading, 0.0), (leading, STEADY)):
        known, told = raised.looked(known, world_then, (LOW,), NOW + after)
    assert [each.code for each in told] == ["warned"]
    for after in (20.0, 60.0):
        known, told = raised.looked(known, standby, (), NOW + after)
        assert told == ()
    known, _ = raised.looked(known, leading, (), NOW + 100)
    assert [each.code for each in raised.looked(known, leading, (), NOW + 120)[1]] == ["warning_over"]


def test_a_monitor_that_stands_by_tells_that_nobody_leads_and_the_end_of_that() -> None:
    nobody, followed = of_several(place=Place.STANDS_BY), of_several(**FOLLOWS)
    known, codes = Raised(), []
    for of, after in ((nobody, 0.0), (nobody, STEADY), (followed, 20.0), (followed, 20.0 + STEADY)):
        known, told = raised.looked(known, of, leading.concerns(of), NOW + after)
        codes += [each.code for each in told]
    assert codes == list(CODES)


async def test_one_that_comes_to_lead_goes_on_with_the_warnings_that_were_told_before(tmp_path: Path) -> None:
    """It told them again."""
    chronicle, of = Chronicle(tmp_path / "history", CLOCK), [of_several(**FOLLOWS)]
    known: asyncio.Queue[Raised] = asyncio.Queue()

    def looked(at: Raised, *_: object) -> tuple[Raised, tuple[()]]:
        known.put_nowait(at)
        return at, ()

    with patch.object(raised, "looked", looked):
        task = asyncio.create_task(warnings_watch.watch(lambda: of[0], chronicle, CLOCK, 0.001))
        async with asyncio.timeout(30):
            assert (await known.get()).told == {}
            fields = {"warning": "disk_low", "host": "db1", "level": "WARNING", "said": "low", "fields": {}}
            chronicle.noted(Happened("warned", fields))
            of[0] = of_several(**LEADS)
            while not (told := (await known.get()).told):
                pass
        task.cancel()
    assert told == {("disk_low", ("db1",), "WARNING"): "low"}
