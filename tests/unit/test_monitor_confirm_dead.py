"""A host that is off by the admin's word, and what is said of a wait for one that cannot be told (rule 11.1)."""

import asyncio
import json
import socket
from dataclasses import replace

import pytest

from mmm.config.model import Host
from mmm.lease.rules import FOREVER, NOTHING, Outstanding
from mmm.monitor.act.agents import Agents
from mmm.monitor.act.sign_of_life import sign_of_life
from mmm.monitor.apply.apply import apply
from mmm.monitor.command import command_result
from mmm.monitor.command.asking import LookForLife, Ping
from mmm.monitor.command.command_result import Result
from mmm.monitor.command.sign import Sign
from mmm.monitor.report import answers
from mmm.monitor.world.events import Killed
from mmm.monitor.world.host import Opinion, State
from mmm.monitor.world.link import (
    Kill,
    KillStep,
    Kind,
    Token,
)
from mmm.monitor.world.orders import KillHost, Tell
from mmm.monitor.world.world import World
from mmm.network.icmp import Pinger
from mmm.wire.status import PROBE_STOP
from tests import commanding
from tests.ports import kept_port
from tests.unit.test_monitor_leases import CONF, LENGTH, cut_off, quiet, rest
from tests.unit.worlds import (
    CLOCK,
    NOW,
    WRITER,
    checks,
    settle,
    show,
    take_turn,
    unreachable,
    with_agent,
    with_host,
    world,
)

BEGUN = NOW + 3.0


def endless() -> World:
    """Return the world in which db1, the writer, is dead with a lease that has no end, and kill_host is missing."""
    before = cut_off(with_agent(quiet(), "db1", given=Outstanding(FOREVER, FOREVER)), "db1", BEGUN)
    before, orders = take_turn(before, BEGUN)
    assert any(isinstance(order, KillHost) for order in orders)
    return rest(apply(before, Killed("db1", "no such program"), BEGUN), BEGUN, ("db1",))[0]


def confirmed(
    before: World, *, host: str = "db1", who: str = "root(alice)", sign: Sign | None = None
) -> Result:
    done = commanding.run(before, ["confirm_dead", host, who], BEGUN + 60, sign=sign)
    assert done is not None
    return done


def test_a_host_that_is_off_by_the_admins_word_is_waited_for_no_more() -> None:
    before = endless()
    _, orders = rest(before, BEGUN + 1000)
    assert not any(WRITER in order.status.vips for order in orders)
    done = confirmed(before)
    assert done.text == (
        f"OK: 'db1' counts as off now; nothing waits any more for it to let {WRITER} go. See 'mmm_control show'."
    )
    said = f"db1: confirmed dead by root(alice): nothing waits any more for it to let {WRITER} go"
    assert str(done.entry) == said
    link = done.world.hosts["db1"].agent
    assert (link.may_hold, link.given, link.kill.step) == (frozenset(), NOTHING, KillStep.NONE)
    after, orders = rest(done.world, BEGUN + 60)
    (taken,) = (order for order in orders if WRITER in order.status.vips and not order.greet)
    assert (taken.host, taken.status.probe) == ("db2", PROBE_STOP), "who is wrong is noticed where it can be"
    assert after.hosts["db2"].agent.may_hold == {WRITER}


def test_who_said_it_is_kept_where_it_is_a_name() -> None:
    assert "by somebody" in str(confirmed(endless(), who="a|b").entry)
    without = commanding.run(endless(), ["confirm_dead", "db1"], BEGUN, pinged=True)
    assert without is not None
    assert "by somebody" in str(without.entry)


def test_a_failover_block_does_not_wait_for_a_host_that_is_off() -> None:
    blocked = replace(endless(), last_master="db1", failed_over=BEGUN)
    assert confirmed(blocked).world.failed_over is None


def test_a_host_that_nothing_waits_for_may_be_off_too() -> None:
    off = with_host(cut_off(quiet(), "db2", BEGUN), "db2", state=State.HARD_OFFLINE)
    done = confirmed(off, host="db2", who="root")
    assert str(done.entry) == "db2: confirmed dead by root: nothing waited for it"


@pytest.mark.parametrize(
    ("before", "sign", "why"),
    [
        (endless(), Sign("agent"), "its agent answers. Switch it off"),
        (replace(endless(), network_up=False), None, "the monitor reaches none of its ping_ips"),
        (quiet(), None, "its checks have not failed"),
        (
            with_host(endless(), "db1", opinion=Opinion(BEGUN, known=True, reached=("db2",))),
            None,
            "db2 reach its server",
        ),
        (with_host(endless(), "db1", state=State.ONLINE), None, "the other hosts are being asked"),
    ],
    ids=["answers", "network", "good", "reached", "undecided"],
)
def test_a_host_that_may_live_does_not_count_as_off(before: World, sign: Sign | None, why: str) -> None:
    done = confirmed(before, sign=sign)
    assert done.text.startswith(f"ERROR: 'db1' does not count as off: {why}")
    assert (done.world, done.entry) == (before, None)


def test_only_confirm_dead_looks_for_life_and_only_at_hosts_of_the_conf() -> None:
    asks = {
        words: commanding.asked(quiet(), words.split(), NOW)[0]
        for words in ("confirm_dead db1 root", "confirm_dead db9 root", "set_offline db1", "set_online db9")
    }
    assert list(asks.values()) == [[LookForLife("db1")], [], [Ping("db1")], []]
    assert confirmed(quiet(), host="db9").text.startswith("ERROR: Unknown host name 'db9'!")
    assert commanding.run(quiet(), ["confirm_dead"], NOW, pinged=True) is None


def test_a_move_that_waits_for_ever_is_answered_at_once_with_what_ends_it() -> None:
    before = with_agent(endless(), "db2", token=Token("boot.1", BEGUN + 60))
    forced = commanding.run(before, ["move_role", "--force", "writer", "db2"], BEGUN + 60, pinged=True)
    assert forced is not None
    assert forced.awaits is not None
    assert str(command_result.outcome(forced.world, forced.awaits)) == (
        f"ERROR: ordered, and will be done as soon as possible: {WRITER} waits for db1, which may still have it: its"
        " lease has no end. The wait ends at once when the agent of db1 answers, kill_host succeeds, or you vouch that"
        " db1 is off: 'mmm_control confirm_dead db1'"
    )
    killing = with_agent(forced.world, "db1", step=KillStep.RUNNING)
    assert command_result.outcome(killing, forced.awaits) is None, "kill_host may succeed"
    ends = with_agent(forced.world, "db1", given=Outstanding(BEGUN + 65, BEGUN + 65))
    assert command_result.outcome(ends, forced.awaits) is None, "it is done in some seconds"


def test_a_move_in_manual_mode_whose_old_holder_is_dead_is_answered_at_once_too() -> None:
    before = replace(endless(), mode=endless().mode.MANUAL).with_owner({WRITER: "db1"})
    before, _ = settle(with_agent(before, "db1", kill=Kill(failed=BEGUN)), BEGUN + 60)
    moved = commanding.run(before, ["move_role", "writer", "db2"], BEGUN + 60, pinged=True)
    assert moved is not None
    assert moved.awaits is not None
    world_then, orders = take_turn(moved.world, BEGUN + 60)
    for order in orders:
        if isinstance(order, KillHost):
            world_then = apply(world_then, Killed("db1", "no such program"), BEGUN + 60)
    said = command_result.outcome(world_then, moved.awaits)
    assert said is not None
    assert said.code == "waits_endless"
    assert "'mmm_control confirm_dead db1'" in str(said)
    assert confirmed(world_then).text.startswith("OK: ")


def test_show_says_how_long_a_wait_lasts_and_what_ends_it() -> None:
    before = endless()
    assert "its lease has no end. The wait ends at once when" in show(before, BEGUN)
    ends = with_agent(before, "db1", given=Outstanding(BEGUN + LENGTH, BEGUN + LENGTH))
    assert "which may still have it: for another 9 s. The wait ends" in show(ends, BEGUN + 2)
    assert "'mmm_control confirm_dead db1'" in show(ends, BEGUN + 2)
    perl = with_agent(before, "db1", kind=Kind.UNLEASED)
    assert "its agent is a Perl one, which never gives it up by itself. The wait" in show(perl, BEGUN)


def test_who_waits_for_an_agent_alone_is_told_to_start_it() -> None:
    lives = with_host(endless(), "db1", checks=checks(), opinion=None, state=State.AWAITING_RECOVERY)
    lives = unreachable(lives, "db1")
    assert "when the agent of db1 answers: start it" in show(lives, BEGUN)
    assert "confirm_dead" not in show(lives, BEGUN)


def test_a_vip_without_a_lease_waits_too_where_the_guard_is_on() -> None:
    bare = replace(CONF, vip_lease=0.0)
    before, _ = rest(cut_off(world({WRITER: "db1"}, conf=bare), "db1", BEGUN), BEGUN)
    before, _ = rest(apply(before, Killed("db1", "no such program"), BEGUN), BEGUN)
    assert "its VIP has no lease (vip_lease is 0). The wait ends" in show(before, BEGUN)
    after, orders = take_turn(confirmed(before).world, BEGUN + 60)
    assert any(isinstance(order, Tell) and WRITER in order.status.vips for order in orders)
    assert after.owner[WRITER] == "db2"


def test_a_command_for_an_agent_that_does_not_answer_names_the_way_out_of_a_dead_host() -> None:
    refused = commanding.run(endless(), ["set_online", "db1"], BEGUN, pinged=False)
    assert refused is not None
    failing = with_host(replace(endless(), hosts=endless().hosts), "db1", state=State.REPLICATION_FAIL)
    offline = commanding.run(failing, ["set_offline", "db1"], BEGUN, pinged=False)
    assert offline is not None
    assert offline.text.endswith("If it is off: 'mmm_control confirm_dead db1'.")
    healthy = commanding.run(quiet(), ["set_offline", "db1"], BEGUN, pinged=False)
    assert healthy is not None
    assert "confirm_dead" not in healthy.text


def looked_at(host: Host) -> Sign | None:
    class Deaf(Pinger):
        async def ping(self, *_: object) -> float | None:
            return None

    return asyncio.run(sign_of_life(host, Agents(), Deaf()))


def test_what_answers_of_a_host_is_named() -> None:
    with kept_port() as port:
        with socket.create_server(("127.0.0.1", port)):
            lives = looked_at(Host("db1", "127.0.0.1", "master", agent_port=1, mysql_port=port))
            assert str(lives) == f"its system takes connections at 127.0.0.1:{port}"
        refuses = looked_at(Host("db1", "127.0.0.1", "master", agent_port=1, mysql_port=port))
    assert str(refuses) == f"its system refuses connections at 127.0.0.1:{port}"


def test_what_is_waited_for_is_a_value_for_programs() -> None:
    asked = answers.answer(endless(), ["json", "show"], BEGUN, CLOCK)
    assert asked is not None
    waits = next(each for each in json.loads(asked)["warnings"] if each["code"] == "role_waits")["fields"][
        "said"
    ]
    assert (waits["code"], waits["fields"]) == ("endless", {"vip": str(WRITER), "host": "db1", "dead": True})
    assert waits["text"] in show(endless(), BEGUN)
