"""reload by a monitor that was just started, that gives no orders, or whose cluster is in trouble."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from mmm.config.model import Check, Cluster, Host, Role, Vip
from mmm.monitor.command import reload
from mmm.monitor.command.asking import Heard, LetGo, ReadConf
from mmm.monitor.command.command_result import Result
from mmm.monitor.decide import new_conf
from mmm.monitor.decide.startup import start
from mmm.monitor.world.host import State
from mmm.monitor.world.leadership import Leadership, Place
from mmm.monitor.world.link import ErrorReply
from mmm.monitor.world.move import Move
from mmm.monitor.world.world import Mode, World
from tests.unit.test_monitor_leading import FOLLOWS, LEADS, OTHER, of_several
from tests.unit.test_monitor_reload import refusals, reloaded, told, with_role
from tests.unit.test_monitor_startup import found
from tests.unit.worlds import (
    NOW,
    READER1,
    READER2,
    READER3,
    WRITER,
    checks,
    cluster,
    unreachable,
    with_agent,
    with_host,
    world,
)

MODES = ("active", "manual", "wait", "passive")
NO_LEADER = replace(of_several(**FOLLOWS), leadership=Leadership(Place.STANDS_BY))
TAKES = replace(of_several(**FOLLOWS), leadership=Leadership(Place.TAKES))


def just_started(mode: str) -> World:
    """Return the world of a monitor that has found a healthy cluster, and ordered nothing yet."""
    hosts = {
        "db1": found("ONLINE", "ONLINE", WRITER, READER1, writable=True),
        "db2": found("ONLINE", "ONLINE", READER2, source="10.0.0.1"),
        "db3": found("ONLINE", "ONLINE", READER3, source="10.0.0.1"),
    }
    began = start(cluster(mode=mode), dict.fromkeys(hosts, checks()), hosts, NOW).world
    assert {began.owner[vip] for vip in (READER1, READER2, READER3)} == {"db1", "db2", "db3"}
    assert not any(host.agent.told for host in began.hosts.values())
    return began


def with_ping(conf: Cluster) -> Cluster:
    return replace(conf, checks={**conf.checks, "ping": Check("ping", check_period=1)})


def fewer(conf: Cluster) -> Cluster:
    return with_role(conf, "reader", conf.roles["reader"].hosts, (READER1.ip, READER2.ip))


def under_another_role(conf: Cluster, *vips: Vip) -> Cluster:
    """Return the conf in which these VIPs of the readers are of the role `app`."""
    ips = tuple(vip.ip for vip in vips)
    left = tuple(ip for ip in conf.roles["reader"].ips if ip not in ips)
    roles = {**with_role(conf, "reader", conf.roles["reader"].hosts, left).roles}
    roles["app"] = Role("app", "balanced", conf.roles["reader"].hosts, ips)
    return replace(conf, roles=roles)


@pytest.mark.parametrize("mode", MODES)
def test_what_moves_no_role_is_taken_before_any_host_has_confirmed_an_order(mode: str) -> None:
    """It was refused: nobody could take roles that stay where they are."""
    began = just_started(mode)
    after = reloaded(began, with_ping(began.conf))[0]
    assert (after.answer.code, after.world.owner) == ("reloaded", began.owner)
    other_order = with_role(began.conf, "reader", ("db3", "db2", "db1"))
    assert reloaded(began, other_order)[0].answer.code == "reloaded"


@pytest.mark.parametrize("mode", ["active", "manual"])
def test_a_role_leaves_a_host_before_the_others_have_confirmed_that_they_are_online(mode: str) -> None:
    began = just_started(mode)
    result, _ = reloaded(began, with_role(began.conf, "reader", ("db2", "db3")))
    assert result.answer.code == "reloaded"
    after = told(told(told(result.world, NOW), NOW), NOW + 1)
    assert after.owner[READER1] in {"db2", "db3"}


def test_in_passive_mode_a_role_does_not_leave_a_host_and_the_reason_is_that() -> None:
    began = just_started("passive")
    assert refusals(began, with_role(began.conf, "reader", ("db2", "db3"))) == ["passive"]


def test_in_manual_mode_a_role_whose_host_has_failed_is_no_reason_against_anything_else() -> None:
    """Nobody could take the role, which nobody was to take."""
    conf = with_role(cluster(), "reader", ("db3",))
    dead = {READER1: "db3", READER2: "db3", READER3: "db3", WRITER: "db1"}
    seen = with_host(world(dead, conf=conf, mode=Mode.MANUAL), "db3", state=State.HARD_OFFLINE)
    seen = with_host(seen, "db3", checks=checks(ping=NOW, mysql=NOW))
    assert reloaded(seen, with_ping(conf))[0].answer.code == "reloaded"
    more = with_role(conf, "reader", ("db3", "db2"))
    assert reloaded(seen, more)[0].answer.code == "reloaded"


@pytest.mark.parametrize("hindered", [
    lambda seen: with_host(seen, "db3", state=State.ADMIN_OFFLINE),
    lambda seen: with_host(seen, "db3", checks=checks(ping=NOW - 99, mysql=NOW - 99)),
    lambda seen: unreachable(seen, "db3"),
    lambda seen: with_agent(seen, "db3", told=None, failure=ErrorReply("ERROR: no", None)),
    lambda seen: with_agent(seen, "db3", halting=True),
])  # fmt: skip
def test_a_role_that_has_to_move_where_nobody_can_take_it_is_refused(
    hindered: Callable[[World], World],
) -> None:
    seen = hindered(just_started("active"))
    assert refusals(seen, with_role(seen.conf, "reader", ("db3",))) == ["nowhere"]


@pytest.mark.parametrize("seen", [
    of_several(**FOLLOWS), NO_LEADER, TAKES,
    replace(just_started("active"), leadership=Leadership(Place.STANDS_BY)),
])  # fmt: skip
def test_a_monitor_that_does_not_lead_takes_a_conf_at_once(seen: World) -> None:
    """What it knows of roles is old, and nobody would unbind anything for it: it was refused as a rule."""
    conf = fewer(seen.conf)
    dry, _ = reloaded(seen, conf, command="reload --dry-run")
    assert (dry.answer.code, dry.answer.fields["going"]) == ("reload_dry_run", ())
    result, asked = reloaded(seen, conf)
    assert (result.answer.code, asked) == ("reloaded", [ReadConf()])
    assert READER3 not in result.world.owner
    assert result.world.leadership == seen.leadership


@pytest.mark.parametrize("now", [
    lambda seen: replace(seen, move=Move(READER1, "db1", "db2")),
    lambda seen: replace(seen, mode=Mode.PASSIVE),
    lambda seen: replace(seen, network_up=False),
    lambda seen: with_host(seen, "db3", state=State.HARD_OFFLINE),
])  # fmt: skip
def test_nothing_that_a_standby_believes_of_roles_is_a_reason(now: Callable[[World], World]) -> None:
    seen = now(of_several(**FOLLOWS))
    for conf in (fewer(seen.conf), with_role(seen.conf, "reader", ("db3",))):
        after = reloaded(seen, conf)[0]
        assert after.answer.code == "reloaded"
        assert {vip: host for vip, host in seen.owner.items() if vip in conf.vips} == after.world.owner


@pytest.mark.parametrize("at", [FOLLOWS, LEADS])
def test_hosts_and_what_leases_rest_on_are_refused_by_a_standby_as_by_the_leader(
    at: dict[str, object],
) -> None:
    seen = of_several(**at)
    more = replace(seen.conf, hosts={**seen.conf.hosts, "db4": Host("db4", "10.0.0.4", "slave")})
    assert refusals(seen, more) == ["several"]
    assert refusals(seen, replace(seen.conf, lead_lease=5.0)) == ["lease_not_by_reload"]


def carried_on(seen: World, then: World, conf: Cluster) -> Result:
    """Have a reload carried out that finds another world once VIPs were to be unbound."""
    asking = reload.run(seen, NOW)
    next(asking)
    assert isinstance(asking.send(Heard(seen, NOW, conf=conf)), LetGo)
    try:
        asking.send(Heard(then, NOW))
    except StopIteration as ended:
        return ended.value  # type: ignore[no-any-return]
    raise AssertionError


def test_a_monitor_that_leads_no_more_takes_the_conf_though_a_vip_was_not_let_go() -> None:
    seen = of_several(**LEADS)
    conf = fewer(seen.conf)
    assert carried_on(seen, seen, conf).answer.code == "not_let_go"
    lost = replace(seen, leadership=Leadership(Place.STANDS_BY, leader=OTHER), going=frozenset({READER3}))
    result = carried_on(seen, lost, conf)
    assert (result.answer.code, result.world.conf, result.world.going) == ("reloaded", conf, frozenset())


def test_a_vip_that_goes_to_another_role_is_said_to_be_away_until_the_agents_know() -> None:
    seen = world()
    conf = under_another_role(seen.conf, READER2, READER3)
    app = [(vip, Vip("app", vip.ip)) for vip in (READER2, READER3)]
    for command, code in (("reload --dry-run", "reload_dry_run"), ("reload", "reloaded")):
        answer = reloaded(seen, conf, command=command)[0].answer
        assert (answer.code, list(answer.fields["renamed"])) == (code, app)
        assert f"{READER2} becomes app({READER2.ip}): no host has it until its agent" in str(answer)
    assert reloaded(seen, fewer(seen.conf))[0].answer.fields["renamed"] == ()
    assert new_conf.renamed(of_several(**FOLLOWS), conf) == ()
