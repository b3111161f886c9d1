"""The command confirm_dead: the admin vouches that a host is off, and all that waits for it goes on (rule 11.1).

It is what a kill_host that succeeded would be. The active master's VIP is asked for on the wire before another host
binds it, so that a host which has it after all is noticed where it can be.
"""

import re
from dataclasses import replace

from mmm.lease.rules import NOTHING
from mmm.monitor.assess import second_opinion
from mmm.monitor.command.command_result import Result, error
from mmm.monitor.world.host import State
from mmm.monitor.world.world import World

SOMEBODY = "somebody"
_WHO = re.compile(r"[\w.@()-]{1,64}")


def run(world: World, host: str, who: str, life: str) -> Result:
    """Return what the command does to a host of the conf; `life` says what of it answers, empty: nothing does."""
    who = who if _WHO.fullmatch(who) else SOMEBODY
    if refusal := _refusal(world, host, life):
        return error(world, f"'{host}' does not count as off: {refusal}")
    link = world.hosts[host].agent
    held = ", ".join(map(str, sorted(link.may_hold)))
    waited = f"nothing waits any more for it to let {held} go" if held else "nothing waited for it"
    return Result(
        _without(world, host),
        f"OK: '{host}' counts as off now; {waited}. See 'mmm_control show'.",
        entry=f"{host}: confirmed dead by {who}: {waited}",
    )


def _refusal(world: World, host: str, life: str) -> str:
    if life:
        return f"{life}. Switch it off, or mend what is wrong there: its agent's word ends any wait."
    if not world.network_up:
        return "the monitor reaches none of its ping_ips: it is cut off itself."
    if not world.is_dead(host):
        return f"its checks have not failed: see 'mmm_control checks {host}'. If it is off, try again in some seconds."
    if others := second_opinion.reached_by(world, host):
        return f"{', '.join(others)} reach its server: only the monitor is cut off from it."
    if world.hosts[host].state is State.ONLINE:
        return "the other hosts are asked whether they reach it. Try again in some seconds."
    return ""


def _without(world: World, host: str) -> World:
    """Return the world in which nothing may be bound on the host, and nobody has to be told there."""
    link = world.hosts[host].agent
    world = replace(world, unsure=world.unsure | (world.master_vips & link.may_hold))
    if world.last_master == host:
        world = replace(world, failed_over=None)
    return world.with_agent(
        host,
        replace(
            world.hosts[host].agent,
            kill_unless_told=False,
            may_hold=frozenset(),
            given=NOTHING,
            told=None,
            clear=True,
            overtaken=link.sent is not None,
        ),
    )
