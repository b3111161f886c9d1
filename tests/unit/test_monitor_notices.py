"""Who is told what, when, and in which words."""

from dataclasses import replace

import pytest

from mmm.config.model import Notify
from mmm.monitor.decide.turn import Assigned
from mmm.monitor.report import history, notices
from mmm.monitor.report.history import Entry, Ledger
from mmm.monitor.report.notices import Held, Message
from mmm.monitor.states.table import Change
from mmm.monitor.world.happened import Happened, Why
from mmm.monitor.world.host import State
from tests.unit.worlds import CLOCK, WRITER, because, world

ALL = Notify("all")


def changed(host: str, before: State, after: State, rule: str = "host_failed") -> Entry:
    return Ledger().changed(Change(host, before, after, because(rule, "no answer")), 5.0)


def moved(target: str | None = None) -> Entry:
    entry = Ledger().assigned(world(), Assigned(WRITER, "db1", target), Why("admin"), 1.0, 1.0)
    assert entry is not None
    return entry


LEFT = changed("db1", State.ONLINE, State.HARD_OFFLINE)
WAITS = changed("db1", State.HARD_OFFLINE, State.AWAITING_RECOVERY, "back")
BACK = changed("db1", State.AWAITING_RECOVERY, State.ONLINE, "calm")
RAISED = history.entry(
    5.0,
    Happened("warned", {"warning": "disk_low", "host": "db1", "level": "WARNING", "said": "db1: 95 % full"}),
)
OVER = history.entry(
    5.0,
    Happened(
        "warning_over", {"warning": "disk_low", "host": "db1", "level": "WARNING", "said": "db1: 95 % full"}
    ),
)
OTHER = changed("db2", State.ONLINE, State.REPLICATION_FAIL, "replication_failed")


def told(notify: Notify, *news: tuple[Entry, float]) -> list[Entry]:
    """What waits to be told after the changes, each at its time."""
    waiting: tuple[Held, ...] = ()
    for entry, at in news:
        waiting = notices.with_news(waiting, [entry], notify, at, entry.at)
    return [held.entry for held in waiting]


def read_at_once(notify: Notify, now: float, *moments: float) -> tuple[Held, ...]:
    """What waits once a host's way out of use and back is read in one go, of which each part happened at its moment."""
    news = [replace(entry, at=at) for entry, at in zip((LEFT, WAITS, BACK), moments, strict=True)]
    return notices.with_news((), news, notify, now, now)


@pytest.mark.parametrize(
    ("events", "wanted"),
    [
        (("*",), [LEFT, WAITS, BACK, OTHER, RAISED, moved()]),
        (("state",), [LEFT, WAITS, BACK, OTHER]),
        (("state.*OFFLINE", "moved"), [LEFT, moved()]),
        (("replication_failed",), [OTHER]),
        (("admin",), [moved()]),
        (("warned.disk_*",), [RAISED]),
        (("nothing",), []),
    ],
    ids=str,
)
def test_events_are_asked_for_by_event_state_and_rule(events: tuple[str, ...], wanted: list[Entry]) -> None:
    notify = Notify("some", events=events)
    assert told(notify, *((entry, 1.0) for entry in (LEFT, WAITS, BACK, OTHER, RAISED, moved()))) == wanted


def test_what_heals_at_once_is_not_told() -> None:
    notify = Notify("patient", after=30.0)
    assert told(notify, (LEFT, 1.0), (WAITS, 5.0), (OTHER, 6.0), (BACK, 20.0)) == [OTHER]
    assert told(notify, (LEFT, 1.0), (WAITS, 5.0), (BACK, 40.0)) == [LEFT, WAITS, BACK]
    assert told(notify, (BACK, 20.0)) == [BACK], "the way out of use is told already"
    assert told(ALL, (LEFT, 1.0), (BACK, 1.0)) == [LEFT, BACK]
    assert told(notify, (RAISED, 1.0), (OTHER, 2.0), (OVER, 20.0)) == [OTHER]
    assert told(notify, (RAISED, 1.0), (OVER, 40.0)) == [RAISED, OVER]


@pytest.mark.parametrize(("back", "healed"), [(14.0, True), (16.0, False)])
def test_what_others_have_told_to_be_over_was_short_or_not(back: float, *, healed: bool) -> None:
    """This monitor led when the host went out of use; it leads again."""
    kept = Notify("some", events=("state.HARD_OFFLINE", "state.REPLICATION_FAIL"), after=10)
    times = ((OTHER, 3.0), (LEFT, 5.0), (WAITS, 13.0), (BACK, back))
    joined = tuple(
        replace(entry, at=at, epoch=1, number=number) for number, (entry, at) in enumerate(times, 1)
    )
    nowhere = replace(RAISED, epoch=2, number=9)
    left = (joined[1], nowhere)
    assert notices.without_healed(left, joined, kept) == ((nowhere,) if healed else left)


def test_what_is_read_late_counts_from_when_it_happened() -> None:
    """A slow receiver keeps the next changes waiting: an outage of a minute is none that healed at once."""
    notify = Notify("patient", after=30.0)
    waiting = read_at_once(notify, 80.0, 10.0, 70.0, 75.0)
    assert [(held.entry.event, held.since) for held in waiting] == [
        (LEFT.event, 10.0),
        (WAITS.event, 70.0),
        (BACK.event, 75.0),
    ]
    assert notices.due(waiting, notify, 80.0) == 1, "it has been so for long enough"
    assert read_at_once(notify, 80.0, 10.0, 12.0, 14.0) == ()
    set_back = read_at_once(notify, 80.0, 70.0, 12.0, 14.0)
    assert len(set_back) == 3, "the clock was set: nobody knows how long it was"


def test_what_is_told_has_been_so_for_long_enough_and_keeps_its_order() -> None:
    notify = Notify("patient", after=30.0)
    waiting = (Held(LEFT, 1.0), Held(OTHER, 20.0))
    assert [notices.due(waiting, notify, now) for now in (30.0, 31.0, 49.0, 50.0)] == [0, 1, 1, 2]


def test_a_command_is_run_for_each_of_few_and_a_flood_is_one_message() -> None:
    command, mail = Notify("run", command="/bin/true"), Notify("mail", mail_to=("a@b",))
    few, many = (LEFT, WAITS), (LEFT,) * 100
    assert notices.messages(few, 0, command) == (Message((LEFT,)), Message((WAITS,)))
    assert notices.messages(few, 0, mail) == (Message(few),)
    assert notices.messages(many, 7, command) == (Message(many, 7),)
    flood = Message(many, 7)
    assert notices.subject(flood) == "MMM: 107 changes: db1: ONLINE -> HARD_OFFLINE, …"
    said = notices.text(flood, CLOCK)
    assert (said.count("db1: ONLINE"), "and 50 more" in said, said.startswith("7 changes")) == (
        50,
        True,
        True,
    )
    assert notices.environment(flood, "")["MMM_EVENT"] == "several"


def test_what_a_command_is_told() -> None:
    state = notices.environment(Message((LEFT,)), "C1")
    assert {name: state[f"MMM_{name}"] for name in ("EVENT", "HOST", "FROM", "TO", "RULE", "CLUSTER")} == {
        "EVENT": "state",
        "HOST": "db1",
        "FROM": "ONLINE",
        "TO": "HARD_OFFLINE",
        "RULE": "host_failed",
        "CLUSTER": "C1",
    }
    assert state["MMM_SENTENCE"] == "db1: ONLINE -> HARD_OFFLINE: host_failed: no answer"
    move = notices.environment(Message((moved(),)), "")
    assert (move["MMM_ROLE"], move["MMM_VIP"], move["MMM_FROM"], move["MMM_RULE"]) == (
        "writer",
        WRITER.ip,
        "db1",
        "admin",
    )
    values = {"host": "db1", "taker": "db2", "most": None}
    entry = history.entry(1.0, Happened("loss", {"said": "lost"}))
    lost = notices.environment(Message((Entry(1.0, entry.text, event=entry.event, loss=values),)), "")
    assert (lost["MMM_HOST"], lost["MMM_TO"], lost["MMM_LOST"]) == ("db1", "db2", "unknown")


def test_what_a_command_is_told_of_a_warning() -> None:
    said = notices.environment(Message((RAISED,)), "")
    assert {name: said[f"MMM_{name}"] for name in ("EVENT", "HOST", "WARNING", "SENTENCE")} == {
        "EVENT": "warned",
        "HOST": "db1",
        "WARNING": "disk_low",
        "SENTENCE": "WARNING: db1: 95 % full",
    }


def test_an_event_that_there_is_not_is_named() -> None:
    assert notices.unknown(Notify("some", events=("state.OFLINE", "state.*", "host_failed", "m*"))) == (
        "state.OFLINE",
    )
