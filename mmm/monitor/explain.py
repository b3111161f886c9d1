"""What `mmm_control explain` answers: which rule holds a host where it is, and what would change it (SPEC 11.3)."""

from collections.abc import Callable, Iterator

from mmm.monitor import diagnosis, divergence, facts, unheld
from mmm.monitor.facts import Fact
from mmm.monitor.states import RULES, Rule, rule_for
from mmm.monitor.tell import holders
from mmm.monitor.view import View
from mmm.monitor.world import Mode, State, World
from mmm.wire.control import moment

Clock = Callable[[float], float]
"""Turns a monotonic time of the world into wall-clock seconds since 1970."""


def explain(world: World, name: str, now: float, clock: Clock) -> str:
    """Return the explanation of one host, or of all hosts and roles with `all`; several lines."""
    names = world.hosts if name == "all" else (name,)
    lines = [line for host in names for line in _host(View(world, host, now), clock)]
    if name == "all":
        lines += [*_mode(world), *_roles(world)]
    return "".join(f"{line}\n" for line in lines)


def _host(view: View, clock: Clock) -> Iterator[str]:
    host = view.host
    why = f" ({host.rule}): {host.sentence}" if host.rule else ""
    yield f"{view.name}: {host.state} since {moment(clock(host.since))}{why}"
    if found := diagnosis.said(view.world, view.name):
        yield f"    diagnosis: {found}"
    holding = rule_for(view)
    if holding is not None and holding.to is None and holding.name != host.rule:
        yield f"    it stays so by {holding.name}: {holding.sentence.format(v=view)}"
    for check, status in host.checks.items():
        if check == "ping" and view.world.only_ping_lost(view.name):
            yield f"    ping has failed: {status.message}; nothing follows, for its server answers"
        elif status.failed:
            yield f"    {check} has failed: {status.message}, since {moment(clock(status.changed))}"
        elif status.error_since is not None:
            since = moment(clock(status.error_since))
            yield f"    {check} begins to fail: {status.message}, since {since}; it counts after its trap_period"
        elif status.unknown:
            yield f"    {check} does not say: {status.message}; nothing follows from that"
    if divergence.keeps_away(view.world, view.name):
        lost = ", ".join(divergence.lost_masters(view.world, view.name))
        yield f"    it does not replicate from {lost} until that is compared and back in use"
    if host.state is not State.ONLINE:
        yield from _ways_back(view)
    yield from _agent(view)


def _ways_back(view: View) -> Iterator[str]:
    """Say for each rule that leads on from here what is missing for it."""
    state = view.host.state
    if state is State.ADMIN_OFFLINE:
        yield f"    what would change it: mmm_control set_online {view.name}"
        return
    for rule in RULES:
        of_others = facts.FLAPPING in rule.when and not view.host.flapping
        if state in rule.sources and rule.to in _BETTER.get(state, ()) and not of_others:
            missing = [_missing(fact, view) for fact in rule.when if not fact.holds(view)]
            wanting = f"missing: {'; '.join(missing)}" if missing else "nothing is missing"
            yield f"    {rule.to} by {rule.name} ({_when(rule)}): {wanting}"
    if state is State.AWAITING_RECOVERY:
        yield f"    or by the admin: mmm_control set_online {view.name}"


_BETTER = {
    State.HARD_OFFLINE: (State.AWAITING_RECOVERY,),
    State.AWAITING_RECOVERY: (State.ONLINE,),
    State.REPLICATION_FAIL: (State.ONLINE, State.AWAITING_RECOVERY),
    State.REPLICATION_DELAY: (State.ONLINE, State.AWAITING_RECOVERY),
}


def _when(rule: Rule) -> str:
    return ", ".join(fact.text for fact in rule.when)


def _missing(fact: Fact, view: View) -> str:
    return fact.missing.format(v=view)


def _agent(view: View) -> Iterator[str]:
    link = view.host.agent
    if link.unreachable:
        yield f"    its agent cannot be reached: {link.silence or 'no answer'}; it gets no new roles"
    if link.refusal:
        yield f"    its agent answered: {link.refusal}; tried again every few seconds"
    if link.killing:
        yield "    kill_host is running for it"


def _mode(world: World) -> Iterator[str]:
    if world.mode is Mode.PASSIVE:
        yield f"mode: PASSIVE: {world.passive_cause} Nothing is sent; set_active, or set_manual, ends it."
    elif world.mode is not Mode.ACTIVE:
        yield f"mode: {world.mode}: roles are not taken from failed hosts; set_active ends it."
    if not world.network_up:
        yield "network: none of the ping_ips answers: no check counts and nothing is sent"


def _roles(world: World) -> Iterator[str]:
    for vip, owner in world.owner.items():
        if owner is None:
            yield f"{vip}: nobody: {unheld.why(world, vip)}"
        elif others := holders(world, vip) - {owner}:
            yield f"{vip}: {owner} is to have it once {', '.join(sorted(others))} has let it go"
