"""What a monitor that stands by learns from the one that leads, and goes on with once it does."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mmm.config.allow import Allowed
from mmm.config.model import Vip
from mmm.lease.lead import Lead
from mmm.lease.record import NOTHING, Record
from mmm.monitor.act import status_file
from mmm.monitor.act.admission import Admission
from mmm.monitor.act.control_port import Lack, control_server
from mmm.monitor.act.inheritance import Inheritance
from mmm.monitor.act.journal import Chronicle
from mmm.monitor.act.other_monitors import OtherMonitors
from mmm.monitor.act.saving import Saving
from mmm.monitor.apply.apply import apply
from mmm.monitor.decide import leading, startup
from mmm.monitor.decide.found import Found, Stored
from mmm.monitor.report import changes
from mmm.monitor.report.clock import Clock
from mmm.monitor.report.handed_on import HandedOn
from mmm.monitor.report.history import KEPT, Entry, joined
from mmm.monitor.world.events import Answer, Answered
from mmm.monitor.world.happened import Happened
from mmm.monitor.world.host import Flaps, State
from mmm.monitor.world.leadership import Leadership, Place
from mmm.monitor.world.link import KillStep, Ordered
from mmm.monitor.world.orders import KillHost
from mmm.monitor.world.world import Mode, World
from mmm.wire import memory
from mmm.wire.follow import BEGINNING, Position
from mmm.wire.memory import Flapped, Memory
from mmm.wire.status import Status, SystemStatus
from mmm.wire.voting import epoch_text
from tests.unit.worlds import CLOCK, NOW, READER1, WRITER, checks, cluster, take_turn, world

STANDBY, LEADER = "127.0.0.1", "127.0.0.2"
EPOCH, NEXT = Lead(3, f"{LEADER}:9988", "a1"), Lead(4, f"{STANDBY}:9988", "b2")


class Monitor:
    """One monitor's world, file, history, and what it has learned."""

    def __init__(
        self, folder: Path, place: Place, at: float, lead: Lead | None = None, port: int = 0
    ) -> None:
        one = cluster()
        assert one.monitor is not None
        conf = replace(one, monitor=replace(one.monitor, ip=STANDBY, port=port), monitors=(STANDBY, LEADER))
        self.world: World = replace(
            world({WRITER: "db1", READER1: "db3"}), conf=conf, leadership=Leadership(place, leader=LEADER)
        )
        self.lead = lead
        self.path = folder / "mmm_mond.status"
        self.chronicle = Chronicle(folder / "history", Clock(lambda _: at, CLOCK.local))
        found = {} if lead is None else {"db1": Stored("ONLINE", epoch=epoch_text(lead))}
        self.saving = Saving(self.path, lambda: self.world, found)
        others = OtherMonitors(conf)
        self.told: dict[str, Position] = {}
        self.inheritance = Inheritance(
            others, lambda: self.world, lambda: self.lead, self.saving, self.chronicle, lambda: self.told
        )

    def note(self, number: int) -> None:
        self.chronicle.noted(Happened("rejoin_taken_back", {"host": f"db{number}", "donor": "db1"}))


def learning(tmp_path: Path, leader: Monitor, do: Callable[[Monitor], Awaitable[None]]) -> Monitor:
    """Return a monitor that stands by, after what it is to `do` while that one answers at its control port."""

    async def command(words: Sequence[str], _: Lack) -> str | None:
        behind = memory.asked(words)
        return None if behind is None else leader.inheritance.answer(behind, time.monotonic())

    async def run() -> Monitor:
        server = control_server(command, Allowed(), Admission(leader.world.conf))
        async with asyncio.timeout(30), server.listen(LEADER, 0, None) as port:
            (tmp_path / "standby").mkdir()
            standby = Monitor(tmp_path / "standby", Place.STANDS_BY, 2000.0, port=port)
            await do(standby)
            return standby

    return asyncio.run(run())


@pytest.fixture
def leader(tmp_path: Path) -> Monitor:
    (tmp_path / "leader").mkdir()
    made = Monitor(tmp_path / "leader", Place.LEADS, 1000.0, EPOCH)
    host = replace(made.world.hosts["db2"], flaps=Flaps(time.monotonic() - 60, 4, too_many=True))
    made.world = made.world.with_host("db2", host)
    made.note(1)
    return made


def test_a_standby_has_the_leaders_file_its_flapping_and_its_history(tmp_path: Path, leader: Monitor) -> None:
    async def learn(standby: Monitor) -> None:
        await standby.inheritance.learn()
        leader.note(2)
        await standby.inheritance.learn()
        await standby.saving.record()

    standby = learning(tmp_path, leader, learn)
    assert standby.path.read_text() == leader.saving.text
    assert {line.epoch for line in status_file.decode(leader.saving.text)[0].values()} == {epoch_text(EPOCH)}
    flaps = standby.inheritance.flaps(Record(epoch=EPOCH), time.monotonic())
    assert {name: (each.count, each.too_many) for name, each in flaps.items()} == {"db2": (4, True)}
    assert 60 <= time.monotonic() - flaps["db2"].since < 90
    assert standby.inheritance.flaps(Record(epoch=NEXT), time.monotonic()) == {}, "of another leader"

    known = leader.chronicle.newest
    standby.lead = NEXT
    standby.inheritance.taken(epoch_text(NEXT))
    standby.note(3)
    assert [each.event["fields"]["host"] for each in standby.chronicle.entries if each.event] == [
        "db1",
        "db2",
        "db3",
    ]
    (news,) = changes.since(standby.chronicle.entries, known)
    assert news.position == Position(2000, 3), "who has followed the one before misses nothing"
    again = Chronicle(tmp_path / "standby" / "history", CLOCK)
    assert again.entries == standby.chronicle.entries, "it is in the file"
    assert standby.saving.text == status_file.with_epoch(status_file.encode(standby.world), epoch_text(NEXT))


def test_a_standby_that_comes_to_lead_knows_what_the_leader_has_not_told(
    tmp_path: Path, leader: Monitor
) -> None:
    async def learn(standby: Monitor) -> None:
        leader.told = {"chat": leader.chronicle.newest, "mail": BEGINNING}
        for number in (2, 3):
            leader.note(number)
        await standby.inheritance.learn()

    standby = learning(tmp_path, leader, learn)
    handed: list[HandedOn] = []
    standby.chronicle.heir = handed.append
    standby.inheritance.taken(epoch_text(NEXT))
    (one,) = handed
    left = {name: one.left(name, ()) for name in ("chat", "mail", "new")}
    assert left == {"chat": leader.chronicle.entries[1:], "mail": leader.chronicle.entries, "new": ()}


def test_what_was_copied_long_before_it_leads_is_of_nobody(tmp_path: Path, leader: Monitor) -> None:
    """It was cut off, and the leader went on by the same epoch."""
    leader.world = replace(leader.world, left_out=frozenset({("reader", "db1")}))

    async def learn(standby: Monitor) -> None:
        await standby.inheritance.learn()

    standby, now = learning(tmp_path, leader, learn), time.monotonic()
    standby.world = replace(standby.world, conf=replace(standby.world.conf, lead_lease=30.0))
    of = {seconds: standby.inheritance.stored(now + seconds) for seconds in (35.0, 60.0)}
    assert of[35.0]["db1"].epoch == epoch_text(EPOCH)
    assert of[60.0]["db1"].epoch == ""
    assert of[60.0]["db1"].left_out == {"reader"}, "what an admin has ordered counts as it was"


def test_a_copy_from_before_its_start_is_of_nobody_where_it_has_learned_nothing_since(tmp_path: Path) -> None:
    """It was stopped for a week, and is started because the other one has died."""
    other = Monitor(tmp_path, Place.STANDS_BY, 2000.0, EPOCH)
    assert other.inheritance.stored(time.monotonic())["db1"].epoch == ""
    own = Lead(5, f"{STANDBY}:9988", "e5")
    led = Monitor(tmp_path, Place.STANDS_BY, 2000.0, own)
    assert led.inheritance.stored(time.monotonic())["db1"].epoch == epoch_text(own)


def test_who_leads_again_while_nobody_else_did_knows_of_its_own_flapping(leader: Monitor) -> None:
    assert not leader.inheritance.flaps(Record(epoch=EPOCH), time.monotonic()), "it has not led yet"
    leader.inheritance.taken(epoch_text(EPOCH))
    assert leader.inheritance.flaps(Record(epoch=EPOCH), time.monotonic()).keys() == {"db2"}
    assert not leader.inheritance.flaps(Record(epoch=NEXT), time.monotonic()), "another one has led since"


def test_the_history_of_another_leader_is_learned_from_its_begin(tmp_path: Path, leader: Monitor) -> None:
    async def learn(standby: Monitor) -> None:
        await standby.inheritance.learn()
        leader.lead = Lead(9, f"{LEADER}:9988", "c3")
        leader.chronicle = Chronicle(tmp_path / "other", Clock(lambda _: 500.0, CLOCK.local))
        leader.inheritance = Inheritance(
            OtherMonitors(leader.world.conf),
            lambda: leader.world,
            lambda: leader.lead,
            leader.saving,
            leader.chronicle,
        )
        leader.note(7)
        await standby.inheritance.learn()
        standby.inheritance.taken(epoch_text(NEXT))

    standby = learning(tmp_path, leader, learn)
    assert [each.event["fields"]["host"] for each in standby.chronicle.entries if each.event] == ["db7"]


def test_a_leader_in_passive_mode_that_has_written_nothing_takes_nothing_from_a_standbys_file(
    tmp_path: Path, leader: Monitor
) -> None:
    leader.world = replace(leader.world, mode=Mode.PASSIVE)

    async def learn(standby: Monitor) -> None:
        standby.world = replace(standby.world, left_out=frozenset({("reader", "db1")}))
        await standby.saving.record()
        await standby.inheritance.learn()
        await standby.saving.record()

    standby = learning(tmp_path, leader, learn)
    assert leader.saving.text == ""
    assert status_file.read(standby.path)[0]["db1"].left_out == {"reader"}


def test_who_does_not_lead_tells_nothing_and_who_leads_asks_nobody(tmp_path: Path, leader: Monitor) -> None:
    leader.world = replace(leader.world, leadership=Leadership(Place.STANDS_BY))
    assert memory.decoded(leader.inheritance.answer(BEGINNING, 0.0)) is None

    async def learn(standby: Monitor) -> None:
        standby.lead = NEXT
        await standby.inheritance.learn()

    leader.world = replace(leader.world, leadership=Leadership(Place.LEADS))
    standby = learning(tmp_path, leader, learn)
    assert standby.saving.text == status_file.encode(standby.world)


@pytest.mark.parametrize(
    "line",
    ["", "Invalid command", memory.STANDS_BY, "[]", "{}", '{"epoch": "", "status": "", "flaps": [], "history": []}',
     '{"epoch": "", "status": "", "flaps": {"db1": [1]}, "history": []}',
     '{"epoch": "", "status": "", "flaps": {}, "history": [], "told": []}'],
)  # fmt: skip
def test_an_answer_that_tells_nothing_is_none(line: str) -> None:
    assert memory.decoded(line) is None


def test_what_is_asked_and_answered_can_be_read_back() -> None:
    assert memory.asked(memory.words(Position(5, 7))) == Position(5, 7)
    assert memory.asked(["memory", "x"]) is None
    assert memory.asked(["show"]) is None
    flapped, told = {"db1": Flapped(1.5, 2, too_many=False)}, {"chat": Position(5, 7)}
    said = Memory("3.a.b", "db1|ONLINE|\n", flapped, ("{}",), told)
    assert memory.decoded(memory.encoded(said)) == said
    older = '{"epoch": "3.a.b", "status": "", "flaps": {}, "history": []}'
    assert memory.decoded(older) == Memory("3.a.b", "", {}, ())


# --- what is believed of a host whose agent is silent


def remembered(line: Stored, found: Found, *, record: Record | None = None) -> Found:
    record = Record(epoch=EPOCH) if record is None else record
    return leading.remembered(cluster(), {"db3": found}, record, {"db3": line})["db3"]


LINE = Stored("ONLINE", (READER1, WRITER), epoch=epoch_text(EPOCH), used=True)
SILENT = Found(Stored(""))


def test_a_silent_host_keeps_its_state_and_the_vips_of_balanced_roles() -> None:
    stored = remembered(LINE, SILENT).stored
    assert stored is not None
    assert (stored.state, stored.vips, stored.used) == ("ONLINE", (READER1,), True)


@pytest.mark.parametrize(
    ("line", "found", "record"),
    [
        (replace(LINE, epoch=""), SILENT, Record(epoch=EPOCH)),
        (LINE, SILENT, Record(epoch=NEXT)),
        (LINE, SILENT, NOTHING),
        (LINE, Found(Stored(""), agent=Status("AWAITING_RECOVERY"), system=SystemStatus(False)), Record(epoch=EPOCH)),
    ],
    ids=["not known of whom", "another one led since", "nobody has led", "it says itself what it has"],
)  # fmt: skip
def test_what_may_be_out_of_date_is_not_believed(line: Stored, found: Found, record: Record) -> None:
    assert remembered(line, found, record=record) == found


def test_who_is_offline_is_told_by_the_record_alone() -> None:
    stored = remembered(replace(LINE, state="ADMIN_OFFLINE"), SILENT).stored
    assert stored is not None
    assert stored.state == ""
    offline = remembered(LINE, Found(Stored("ADMIN_OFFLINE"))).stored
    assert offline is not None
    assert offline.state == "ADMIN_OFFLINE"


@pytest.mark.parametrize(
    ("vips", "says", "step"),
    [
        ((), None, KillStep.NONE),
        ((WRITER,), None, KillStep.OWED),
        ((), (), KillStep.NONE),
        ((), (READER1,), KillStep.OWED),
        ((WRITER,), (), KillStep.OWED),
    ],
)
def test_a_failed_host_is_not_killed_again_because_another_monitor_leads(
    vips: tuple[Vip, ...], says: tuple[Vip, ...] | None, step: KillStep
) -> None:
    """`vips` are what the monitor before knew it to have, `says` what its agent says, None: nothing."""
    conf, record = replace(cluster(), vip_lease=10.0), Record(epoch=EPOCH)
    line = Stored("HARD_OFFLINE", vips, epoch=epoch_text(EPOCH), used=True)
    stored = leading.believed(conf, record, {"db1": line})
    found = {name: Found(stored[name]) for name in conf.hosts}
    if says is not None:
        told, seen = Status("HARD_OFFLINE", says), SystemStatus(writable=False, vips=says)
        found["db1"] = replace(found["db1"], agent=told, system=seen, uptime=1000.0)
    found = dict(leading.remembered(conf, found, record, {"db1": line}))
    checked = {name: checks(mysql=NOW - 100) if name == "db1" else checks() for name in conf.hosts}
    host = startup.start(conf, checked, found, NOW, stored=stored).world.hosts["db1"]
    assert (host.state, host.agent.kill.step) == (State.HARD_OFFLINE, step)
    assert host.agent.may_hold == {WRITER, *(says or ())}, "of the active master role the record decides"


def begun_with_silent_db1(vips: tuple[Vip, ...], held: frozenset[str] = frozenset()) -> World:
    """Return the world of a monitor that has come to lead: db2 is the writer, nothing of db1 answers.

    `vips` are what the monitor before knew db1 to have, `held` who may hold the writer role for good by the record.
    """
    one = cluster(split_brain_guard=True)
    conf = replace(one, vip_lease=10.0, monitors=(STANDBY, LEADER))
    record = Record(epoch=EPOCH, held=held)
    line = Stored("HARD_OFFLINE", vips, epoch=epoch_text(EPOCH), used=True)
    stored = leading.believed(conf, record, {"db1": line})
    told = {
        name: Found(
            stored[name], Status("ONLINE", has, "db2"), SystemStatus(writable=bool(has), vips=has), 1000.0
        )
        for name, has in (("db2", (WRITER,)), ("db3", ()))
    }
    found = leading.remembered(conf, {"db1": Found(stored["db1"]), **told}, record, {"db1": line})
    dead = {"ping": NOW - 100, "mysql": NOW - 100}
    checked = {name: checks(**dead if name == "db1" else {}) for name in conf.hosts}
    begun = startup.start(conf, checked, found, NOW, stored=stored).world
    return replace(begun, leadership=Leadership(Place.LEADS, sure_until=NOW + 100), network_up=True)


@pytest.mark.parametrize(
    ("vips", "held", "kills"),
    [((), frozenset(), False), ((READER1,), frozenset(), True), ((), {"db1"}, True)],
    ids=["it had let go", "it had a reader's VIP", "it may hold the writer for good"],
)
def test_kill_host_runs_again_for_a_silent_host_only_for_what_it_may_have(
    vips: tuple[Vip, ...], held: frozenset[str], *, kills: bool
) -> None:
    begun = begun_with_silent_db1(vips, held)
    assert begun.hosts["db1"].state is State.HARD_OFFLINE
    assert WRITER in begun.hosts["db1"].agent.may_hold, "until a lease from now on is over"
    after, orders = take_turn(begun)
    assert (KillHost("db1", pings=False) in orders) is kills
    if not kills:
        _, orders = take_turn(after.kill_unless_told("db1"))
        assert KillHost("db1", pings=False) in orders, "it has lost roles since"


def test_a_host_that_was_spared_and_has_answered_since_is_killed_for_what_it_was_given() -> None:
    begun = begun_with_silent_db1(())
    link = begun.hosts["db1"].agent
    assert link.kill.spared
    assert not link.stayed("a.1", frozenset({WRITER})).kill.spared, (
        "another host shows that its VIP stays there"
    )
    ordered = Ordered(Status("ONLINE", (READER1,)), NOW, new=frozenset({READER1}))
    link = replace(link, orders=replace(link.orders, in_flight=ordered, number=7))
    begun = begun.with_agent("db1", link)
    event = Answered("db1", 7, Answer.OK, uptime=1000.0, token="a.1")
    assert not apply(begun, event, NOW).hosts["db1"].agent.kill.spared


# --- two histories


def happened(tmp_path: Path, at: float, *numbers: int) -> Chronicle:
    chronicle = Chronicle(tmp_path / f"history{at}", Clock(lambda _: at, CLOCK.local))
    for number in numbers:
        chronicle.noted(Happened("rejoin_taken_back", {"host": f"db{number}", "donor": "db1"}))
    return chronicle


def test_what_is_older_stays_before_and_what_came_since_comes_behind(tmp_path: Path) -> None:
    early, copied, late = (
        happened(tmp_path, at, number).entries for number, at in enumerate((10.0, 20.0, 30.0))
    )
    both = joined(early + late, copied, 25)
    assert [each.at for each in both] == [10.0, 20.0, 30.0]
    assert [each.position for each in both] == sorted(each.position for each in both)
    assert both[-1].position == Position(25, 2)
    assert joined((*early, *copied), copied, 25) == (*early, *copied), "nothing twice"


def at(moment: float, epoch: int, number: int) -> Entry:
    return Entry(moment, f"{epoch}-{number}", epoch=epoch, number=number)


@pytest.mark.parametrize("skew", [0.0, 5.0, -5.0])
def test_what_a_leader_did_before_it_died_is_there_again_once_it_leads(skew: float) -> None:
    copied = (at(10, 1, 1), at(11, 1, 2), at(14, 20, 3), at(30, 20, 4))
    own = (at(10, 1, 1), at(11, 1, 2), at(12 + skew, 1, 3), at(12.5 + skew, 1, 4))
    both = joined(own, copied, 31)
    assert [each.text for each in both] == ["1-1", "1-2", "1-3", "1-4", "20-3", "20-4"]
    assert [each.position for each in both] == sorted({each.position for each in both})


def test_the_time_in_which_a_monitor_led_that_nobody_copied_from_is_kept() -> None:
    copied = (at(10, 1, 1), at(50, 30, 2))
    both = joined((at(20, 15, 1), at(21, 15, 2)), copied, 51)
    assert [each.text for each in both] == ["1-1", "15-1", "15-2", "30-2"]


def test_nothing_goes_before_what_came_earlier() -> None:
    copied = (at(10, 1, 1), at(50, 1, 2), at(60, 1, 3))
    both = joined((at(20, 15, 1), at(70, 15, 2)), copied, 71)
    assert [each.text for each in both] == ["1-1", "1-2", "1-3", "15-2"], (
        "the last holder of a VIP is the last one"
    )
    assert both[-1].position == Position(71, 4)


def test_what_only_this_monitor_knows_of_is_left_to_tell_where_the_history_has_it_now(tmp_path: Path) -> None:
    copied = (at(10, 1, 1), at(14, 20, 3), at(30, 20, 4))
    own = (at(10, 1, 1), at(12, 1, 2), at(20, 25, 1), at(40, 25, 2))
    handed = HandedOn(own, copied, {"chat": Position(20, 3)}, joined(own, copied, 26))
    left = [(each.text, each.position) for each in handed.left("chat", own)]
    assert left == [
        ("1-2", Position(1, 2)),
        ("20-4", Position(20, 4)),
        ("25-2", Position(26, 5)),
        ("25-1", Position(25, 1)),
    ], "the last one has no place among what came since"
    assert handed.left("mail", own[:1]) == (), (
        "the one before knew it, and nothing is known of what it has told"
    )


def test_what_is_older_than_all_that_the_one_before_has_kept_it_has_known() -> None:
    copied = tuple(at(10.0 + number, 5, number) for number in range(2, KEPT + 2))
    own = (at(10, 4, 1), at(11, 5, 1))
    assert HandedOn(own, copied, {"chat": Position(5, KEPT + 1)}, copied).left("chat", own) == ()
