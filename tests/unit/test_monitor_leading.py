"""What a monitor of several tells of the lead, and what it takes and refuses (rule 14.2)."""

import json
from dataclasses import replace
from typing import Any

from mmm.monitor.apply.apply import apply
from mmm.monitor.command import dispatch, leading
from mmm.monitor.command.command_result import Result
from mmm.monitor.decide import reconcile
from mmm.monitor.report import answers, concerns, raised
from mmm.monitor.report.document import document
from mmm.monitor.report.health import health
from mmm.monitor.world.events import Led
from mmm.monitor.world.leadership import HandOver, Leadership, Place, TakeLead
from mmm.monitor.world.link import Kind, Token
from mmm.monitor.world.world import World
from mmm.wire.control import decode_show
from tests.unit.worlds import CLOCK, NOW, cluster, show, world

OWN, OTHER, THIRD = "10.0.0.6", "10.0.0.8", "10.0.0.9"


def of_several(**now: Any) -> World:
    one = cluster()
    assert one.monitor is not None
    conf = replace(
        one,
        monitor=replace(one.monitor, ip=OWN),
        monitors=(OWN, OTHER, THIRD),
        voters=("db1", "db2", "db3"),
        lead_lease=10.0,
    )
    leadership = Leadership(since=1_000_000.0, **now)
    return replace(world(), conf=conf, leadership=leadership)


LEADS = {"place": Place.LEADS, "leader": OWN, "kept_by": ("db1", "db2", "db3"), "others": (OTHER, THIRD)}
FOLLOWS = {"place": Place.STANDS_BY, "leader": OTHER, "kept_by": ("db1", "db2")}


def asked(of: World, *words: str) -> dict[str, Any]:
    text = answers.answer(of, ["json", *words], NOW, CLOCK)
    assert text is not None
    return dict(json.loads(text))


def ordered(of: World, *words: str) -> Result:
    command = dispatch.ordered(words)
    assert command is not None
    try:
        next(command(of, NOW))
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    raise AssertionError


def codes(of: World) -> set[str]:
    return {warned.code for warned in concerns.found(of, NOW, CLOCK)}


def test_show_says_who_leads_kept_by_whom_and_who_stands_by() -> None:
    since = CLOCK.local(1_000_000.0)
    lines = show(of_several(**LEADS)).splitlines()
    assert lines[0] == f"# {OWN} leads since {since}, kept by db1, db2, db3; {OTHER}, {THIRD} stand by"
    assert show(of_several(**FOLLOWS)).splitlines()[0] == (
        f"# {OTHER} leads, kept by db1, db2; {OWN}, this one, stands by"
    )
    nobody = of_several(place=Place.STANDS_BY, missing=("db2", "db3"))
    assert show(nobody).splitlines()[0] == (
        f"# No monitor leads; {OWN}, this one, stands by; 2 of 3 voters are missing: db2, db3"
    )
    assert not show(world()).startswith("#")


def test_what_show_says_of_the_lead_can_be_read_back() -> None:
    for now in (LEADS, FOLLOWS, {"place": Place.STANDS_BY}, {"place": Place.TAKES}):
        text = show(of_several(**now))
        assert f"# {decode_show(text).lead}" == text.splitlines()[0]


def test_monitors_has_a_line_for_each_and_programs_are_told_the_same() -> None:
    of = of_several(**{**LEADS, "others": (OTHER,), "missing": ("db3",)})
    text = answers.answer(of, ["monitors"], NOW, CLOCK)
    assert text is not None
    assert text.splitlines() == [
        f"{OWN} (this one): leads since {CLOCK.local(1_000_000.0)}, kept by db1, db2, db3",
        f"{OTHER}: stands by",
        f"{THIRD}: does not answer",
        "1 of 3 voters is missing: db3",
    ]
    told = asked(of, "monitors")
    assert [(each["ip"], each["leads"], each["answers"]) for each in told["monitors"]] == [
        (OWN, True, True),
        (OTHER, False, True),
        (THIRD, False, False),
    ]
    assert document(of, NOW, CLOCK, ())["monitor"]["lead"] == told
    assert document(world(), NOW, CLOCK, ())["monitor"]["lead"] is None


def test_leads_is_refused_by_all_but_the_leader_and_names_that() -> None:
    assert asked(of_several(**LEADS), "leads")["ok"]
    refused = asked(of_several(**FOLLOWS), "leads")
    assert (refused["ok"], refused["code"], refused["fields"]["leader"]) == (False, "stands_by", OTHER)
    assert asked(of_several(place=Place.STANDS_BY), "leads")["fields"]["leader"] is None
    assert not asked(of_several(place=Place.TAKES), "leads")["ok"]
    assert asked(world(), "leads")["ok"]


def test_a_leader_that_wakes_after_its_lead_has_ended_does_not_say_that_it_leads() -> None:
    """Voters may follow another one by now: Keepalived would leave its address here, or bring it back."""
    assert asked(of_several(**LEADS, until=NOW), "leads")["ok"]
    late = asked(of_several(**LEADS, until=NOW - 0.1), "leads")
    assert (late["ok"], late["code"], late["fields"]["leader"]) == (False, "stands_by", None)


def test_a_standby_takes_no_order_but_the_one_to_lead() -> None:
    for words in (("set_offline", "db1"), ("move_role", "writer", "db2"), ("set_passive",), ("hand_over",)):
        verdict = leading.refused(of_several(**FOLLOWS), words)
        assert verdict is not None
        assert (verdict.code, verdict.fields["leader"]) == ("stands_by", OTHER)
        assert leading.refused(of_several(**LEADS), words) is None
        assert leading.refused(world(), words) is None
    for words in (("take_lead", "--force"), ("reload",)):
        assert leading.refused(of_several(**FOLLOWS), words) is None


def test_a_token_of_a_host_that_a_reload_has_taken_away_is_nothing() -> None:
    of = of_several(**LEADS)
    led = Led(replace(of.leadership, missing=("db3",)), {"gone": Token("t", NOW), "db1": Token("u", NOW)})
    after = apply(of, led, NOW)
    assert after.hosts["db1"].agent.orders.token == Token("u", NOW)


def test_the_lead_is_handed_to_a_monitor_that_stands_by() -> None:
    assert ordered(of_several(**LEADS), "hand_over").world.leadership.asked == HandOver()
    alone = ordered(of_several(place=Place.LEADS, leader=OWN), "hand_over")
    assert alone.answer.code == "no_other_monitor"
    assert alone.world.leadership.asked is None
    assert ordered(world(), "hand_over").answer.code == "one_monitor"


def test_the_lead_is_handed_to_the_monitor_that_is_named_or_it_is_said_why_not() -> None:
    handed = ordered(of_several(**LEADS), "hand_over", THIRD)
    assert handed.world.leadership.asked == HandOver(THIRD)
    assert handed.text == f"OK: The monitor at {OWN} gives up the lead, for {THIRD} to take it."
    assert THIRD in handed.text
    assert OTHER not in handed.text
    away = of_several(**{**LEADS, "others": (OTHER,)})
    for target, code in (("10.9.9.9", "unknown_monitor"), (OWN, "leads_already"), (THIRD, "monitor_away")):
        refused = ordered(away, "hand_over", target)
        assert (refused.answer.code, refused.world.leadership.asked) == (code, None)
        assert target in refused.text


def test_a_standby_is_told_to_take_the_lead() -> None:
    of = of_several(**FOLLOWS)
    told = ordered(of, "take_lead", "--force").world.leadership.asked
    assert isinstance(told, TakeLead)
    assert NOW + 2 * of.conf.lead_lease < told.until < NOW + 60
    assert ordered(of_several(**LEADS), "take_lead", "--force").answer.code == "leads_already"
    assert dispatch.ordered(["take_lead"]) is None


def test_it_is_warned_of_a_cluster_that_nobody_leads_or_could_lead_next() -> None:
    ours = {"no_leader", "no_successor", "monitor_silent"}
    assert not codes(of_several(**LEADS)) & ours
    assert codes(of_several(**{**LEADS, "others": (OTHER,)})) & ours == {"monitor_silent"}
    assert not codes(of_several(**{**LEADS, "missing": ("db3",)})) & ours
    assert codes(of_several(**{**LEADS, "missing": ("db2", "db3")})) & ours == {"no_successor"}
    for silent, said in (((), "all 3 voters answer"), (("db2",), "1 of 3 voters is missing: db2")):
        nobody = of_several(place=Place.STANDS_BY, missing=silent)
        (warned,) = (each for each in concerns.found(nobody, NOW, CLOCK) if each.code in ours)
        assert warned.code == "no_leader"
        assert str(warned) == f"no monitor leads, so nothing fails over: this one stands by; {said}"
    assert not codes(of_several(**FOLLOWS)) & ours


def test_what_one_says_of_the_cluster_that_does_not_lead_is_never_ok() -> None:
    """It was OK, of states from when it had led or started."""
    for now, code, said in (
        (
            FOLLOWS,
            "stands_by",
            f"its states are of when it led or started: ask the one at {OTHER}, which leads",
        ),
        ({"place": Place.TAKES}, "takes_lead", "this monitor is about to take the lead"),
    ):
        of = of_several(**now)
        found = health(of, NOW, CLOCK)
        assert (found.status, [each.code for each in found.reasons]) == ("WARNING", [code])
        assert str(found).startswith("MMM WARNING: this monitor ")
        assert said in str(found)
        assert said in show(of)
    assert health(of_several(**LEADS), NOW, CLOCK).status == "OK"


def test_that_one_stands_by_is_no_news_for_the_history() -> None:
    for now in (FOLLOWS, {"place": Place.TAKES}):
        of = of_several(**now)
        known, _ = raised.looked(raised.Raised(), of, concerns.found(of, NOW, CLOCK), NOW)
        assert raised.looked(known, of, concerns.found(of, NOW, CLOCK), NOW + 60)[1] == ()


def test_an_agent_that_cannot_tell_old_orders_from_new_ones_is_told_nothing_by_a_monitor_that_is_not_sure() -> (
    None
):
    for until, told in ((NOW + 1, True), (NOW, False)):
        of = of_several(**LEADS, sure_until=until)
        for name in of.hosts:
            link = of.hosts[name].agent
            about = replace(link.about, kind=Kind.MMM2, heard=True)
            of = of.with_agent(name, replace(link, about=about).due())
        assert reconcile.is_due(of, "db1", NOW) is told
