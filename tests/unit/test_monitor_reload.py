"""reload: what another conf makes of a monitor's world."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from mmm.config.model import Cluster, Host, Role
from mmm.monitor.apply.apply import apply
from mmm.monitor.command import reload
from mmm.monitor.command.asking import Ask, Heard, LetGo, ReadConf
from mmm.monitor.command.command_result import Result
from mmm.monitor.world.check_results import PingChecked
from mmm.monitor.world.checks import GOOD
from mmm.monitor.world.events import Withdrawn
from mmm.monitor.world.host import State
from mmm.monitor.world.orders import Tell
from mmm.monitor.world.world import Mode, World
from tests.unit.worlds import (
    NOW,
    READER1,
    READER2,
    READER3,
    WRITER,
    answer,
    cluster,
    take_turn,
    with_agent,
    with_host,
    world,
)

QUIET = world()
CONF = QUIET.conf


def with_role(conf: Cluster, name: str, hosts: Iterable[str], ips: Iterable[str] | None = None) -> Cluster:
    role = conf.roles[name]
    new = Role(name, role.mode, tuple(hosts), role.ips if ips is None else tuple(ips))
    return replace(conf, roles={**conf.roles, name: new})


def without_host(conf: Cluster, name: str) -> Cluster:
    hosts = {each: host for each, host in conf.hosts.items() if each != name}
    roles = {role.name: replace(role, hosts=tuple(each for each in role.hosts if each != name))
             for role in conf.roles.values()}  # fmt: skip
    return replace(conf, hosts=hosts, roles=roles)


ADDED = with_role(
    replace(CONF, hosts={**CONF.hosts, "db4": Host("db4", "10.0.0.4", "slave")}),
    "reader", ("db1", "db2", "db3", "db4"),
)  # fmt: skip
FEWER = with_role(CONF, "reader", ("db1", "db2", "db3"), (READER1.ip, READER2.ip))


def reloaded(
    seen: World, conf: Cluster | None, *, command: str = "reload", let_go: bool = True
) -> tuple[Result, list[Ask]]:
    """Have the command carried out; agents do what they are told at once, unless they do not `let_go`."""
    asking = reload.COMMANDS[tuple(command.split())](seen, NOW)
    asked: list[Ask] = []
    try:
        asked.append(next(asking))
        while True:
            match asked[-1]:
                case ReadConf():
                    wrong = () if conf else ("m.conf:1: wrong; mend it",)
                    heard = Heard(seen, NOW, conf=conf, errors=wrong)
                case LetGo(vips):
                    seen = (
                        told(apply(seen, Withdrawn(vips), NOW), NOW)
                        if let_go
                        else apply(seen, Withdrawn(vips), NOW)
                    )
                    heard = Heard(seen, NOW)
                case other:
                    raise AssertionError(other)
            asked.append(asking.send(heard))
    except StopIteration as ended:
        return ended.value, asked


def told(seen: World, now: float) -> World:
    """A turn is taken, and all agents do what it orders."""
    seen, orders = take_turn(seen, now)
    for order in orders:
        if isinstance(order, Tell):
            seen = answer(seen, order, now=now)
    return seen


def test_a_conf_with_errors_changes_nothing() -> None:
    result, _ = reloaded(QUIET, None)
    assert (result.world, result.answer.code) == (QUIET, "conf_unusable")
    assert str(result.answer).count("\n") == 0
    assert "m.conf:1: wrong; mend it" in str(result.answer)


def test_an_unchanged_conf_is_nothing_to_take() -> None:
    result, _ = reloaded(QUIET, cluster())
    assert (result.world, result.answer.code, result.entry) == (QUIET, "same_conf", None)


def test_a_new_host_waits_to_be_set_online() -> None:
    result, _ = reloaded(QUIET, ADDED)
    after = result.world
    assert result.answer.code == "reloaded"
    assert list(after.hosts) == ["db1", "db2", "db3", "db4"]
    assert after.hosts["db4"].state is State.AWAITING_RECOVERY
    assert after.owner == QUIET.owner
    assert after.hosts["db1"] is QUIET.hosts["db1"]
    assert result.entry is not None
    assert result.entry.code == "reloaded"
    assert "db4" in told(after, NOW).hosts


def test_a_dry_run_says_the_same_and_changes_nothing() -> None:
    result, asked = reloaded(QUIET, FEWER, command="reload --dry-run")
    assert (result.world, result.answer.code, asked) == (QUIET, "reload_dry_run", [ReadConf()])
    assert result.answer.fields["going"] == (READER3,)
    refusal, _ = reloaded(QUIET, without_host(CONF, "db3"), command="reload --dry-run")
    assert refusal.answer.code == "conf_refused"


def test_a_vip_that_goes_is_unbound_before_the_conf_is_taken() -> None:
    result, asked = reloaded(QUIET, FEWER)
    assert asked == [ReadConf(), LetGo(frozenset({READER3}))]
    assert result.answer.code == "reloaded"
    assert READER3 not in result.world.owner
    assert not any(READER3 in host.agent.may_hold for host in result.world.hosts.values())


def test_while_a_vip_goes_nobody_is_given_it() -> None:
    going = apply(QUIET, Withdrawn(frozenset({READER3})), NOW)
    after = told(told(going, NOW), NOW + 1)
    assert after.owner[READER3] is None
    assert after.holders(READER3) == frozenset()


def test_a_vip_that_is_not_let_go_keeps_the_conf_as_it_was() -> None:
    result, _ = reloaded(QUIET, FEWER, let_go=False)
    assert (result.answer.code, result.world.conf) == ("not_let_go", CONF)
    assert result.answer.fields["hosts"] == ("db3",)
    assert told(result.world, NOW).owner[READER3] is not None


def test_a_role_leaves_hosts_that_are_none_of_its_any_more() -> None:
    result, _ = reloaded(QUIET, with_role(CONF, "reader", ("db3",)))
    after = told(told(result.world, NOW), NOW + 1)
    assert {after.owner[vip] for vip in (READER1, READER2, READER3)} == {"db3"}
    assert after.owner[WRITER] == "db1"


def refusals(seen: World, conf: Cluster) -> list[str]:
    result, _ = reloaded(seen, conf)
    assert result.world is seen
    assert result.answer.code == "conf_refused"
    return [why.code for why in result.answer.fields["why"]]


def test_a_host_that_may_hold_a_vip_or_is_rebuilt_does_not_go() -> None:
    assert refusals(QUIET, without_host(CONF, "db3")) == ["holds"]
    idle = with_host(QUIET.with_owner({READER3: "db1"}), "db3", state=State.ADMIN_OFFLINE)
    assert refusals(idle, without_host(CONF, "db3")) == ["holds"], "it has not confirmed that it let go"
    gone, _ = reloaded(with_agent(idle, "db3", may_hold=frozenset()), without_host(CONF, "db3"))
    assert list(gone.world.hosts) == ["db1", "db2"]


def test_a_conf_that_leaves_a_held_role_nowhere_is_refused() -> None:
    offline = with_host(QUIET.with_owner({READER3: "db1"}), "db3", state=State.ADMIN_OFFLINE)
    assert refusals(offline, with_role(CONF, "reader", ("db3",))) == ["nowhere"]
    nobody = QUIET.with_owner(dict.fromkeys((READER1, READER2, READER3)))
    nobody = with_host(nobody, "db3", state=State.ADMIN_OFFLINE)
    result, _ = reloaded(nobody, with_role(CONF, "reader", ("db3",)))
    assert result.answer.code == "reloaded", "nobody holds it now either"


@pytest.mark.parametrize(("seen", "code"), [
    (replace(QUIET, mode=Mode.PASSIVE), "passive"),
    (replace(QUIET, network_up=False), "cut_off"),
])  # fmt: skip
def test_a_vip_does_not_go_while_no_orders_are_given(seen: World, code: str) -> None:
    assert refusals(seen, FEWER) == [code]
    assert reloaded(seen, ADDED)[0].answer.code == "reloaded"


def test_what_leases_rest_on_is_refused_with_all_the_rest() -> None:
    result, _ = reloaded(QUIET, replace(ADDED, vip_lease=7.0))
    assert (result.world, result.answer.code) == (QUIET, "conf_refused")
    assert [why.code for why in result.answer.fields["why"]] == ["lease_not_by_reload"]


def test_the_end_of_a_check_of_a_host_that_is_gone_changes_nothing() -> None:
    assert apply(QUIET, PingChecked("db9", GOOD), NOW) is QUIET
