"""What `mmm_control explain` answers: which rule holds a host where it is, and what would change it (rule 11.3).

The values come first; the text is made of them.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from mmm.monitor.assess import diagnosis, divergence
from mmm.monitor.command.in_use import refusal
from mmm.monitor.decide import auto_rejoin, unheld
from mmm.monitor.decide.reconcile import holders
from mmm.monitor.report import leading
from mmm.monitor.report.clock import Clock
from mmm.monitor.states import conditions
from mmm.monitor.states.host_view import View
from mmm.monitor.states.table import RULES, Rule, missing, rule_for, said
from mmm.monitor.world.checks import Outcome
from mmm.monitor.world.host import State
from mmm.monitor.world.rebuilt import rebuilt
from mmm.monitor.world.said import encoded
from mmm.monitor.world.world import Mode, World


def explained(world: World, name: str, now: float, clock: Clock) -> dict[str, Any]:
    """Return the explanation of one host, or of all hosts and roles with `all`, as JSON has it."""
    names = world.hosts if name == "all" else (name,)
    found: dict[str, Any] = {"hosts": [_host(View(world, host, now), clock) for host in names]}
    if name == "all":
        passive = world.passive_cause if world.mode is Mode.PASSIVE else None
        found |= {
            "mode": str(world.mode),
            "cause": passive and str(passive),
            "why": passive and encoded(passive),
        }
        found["lead"] = leading.encoded(world, clock)
        found["network_up"] = world.network_up
        found["hosts_silent"] = world.hosts_silent
        found["roles"] = list(_roles(world))
        found["reached"] = list(_reached(world))
    return found


def explain(world: World, name: str, now: float, clock: Clock) -> str:
    """Return the same in words, several lines."""
    found = explained(world, name, now, clock)
    lines = [line for host in found["hosts"] for line in _host_lines(host)]
    if name == "all":
        lines += [*_lead_lines(found), *_mode_lines(found), *map(_role_line, found["roles"])]
        lines += map(_way_line, found["reached"])
    return "".join(f"{line}\n" for line in lines)


def _host(view: View, clock: Clock) -> dict[str, Any]:
    host, link = view.host, view.host.agent
    found = None if host.being_rebuilt else diagnosis.said(view.world, view.name)
    holding = rule_for(view)
    kept = holding is not None and holding.to is None and holding.name != host.rule
    return {
        "host": view.name,
        "state": str(host.state),
        "since": clock.said(host.since),
        "rule": host.rule,
        "sentence": "" if host.why is None else str(host.why),
        "why": host.why and encoded(host.why),
        "diagnosis": None if found is None else {"code": found.code, "text": str(found)},
        "kept_by": _kept_by(holding, view) if kept and holding else None,
        "checks": list(_checks(view, clock)),
        "job": None if host.job is None else encoded(rebuilt(view.name, host.job)),
        "auto_rejoin": _auto_rejoin(view),
        "suspended": list(divergence.lost_masters(view.world, view.name))
        if divergence.keeps_away(view.world, view.name)
        else [],
        "ways": list(_ways(view)),
        "set_online": _set_online(view),
        "agent": {
            "unreachable": (link.silence or "no answer") if link.unreachable else None,
            "error": link.refusal or None,
            "kill_host": link.kill.running,
        },
    }


def _auto_rejoin(view: View) -> dict[str, Any] | None:
    """Return why the host is rebuilt by itself, and what speaks against doing so now; None: it does not need it."""
    why = auto_rejoin.needed(view.world, view.name)
    if why is None:
        return None
    against = auto_rejoin.kept(view.world, view.name, view.now)
    return {"why": encoded(why), "kept": against and encoded(against)}


def _kept_by(rule: Rule, view: View) -> dict[str, Any]:
    why = encoded(said(rule, view))
    return {"rule": why.pop("code"), **why}


def _checks(view: View, clock: Clock) -> Iterator[dict[str, Any]]:
    for check, status in view.host.checks.items():
        since = status.changed
        if check == "ping" and view.world.only_ping_lost(view.name):
            kind = "ignored"
        elif status.failed:
            kind = "failed"
        elif status.error_since is not None:
            kind, since = "failing", status.error_since
        elif status.unknown:
            kind = "unknown"
        else:
            continue
        found = status.finding
        message = found.detail if found.outcome is Outcome.UNKNOWN else str(found)
        said = {"check": check, "result": kind, "message": message, "since": clock.said(since)}
        yield {**said, "finding": encoded(found)}


def _ways(view: View) -> Iterator[dict[str, Any]]:
    """Yield the rules that would lead on from here, with what is missing for each; none before a job is over."""
    state = view.host.state
    if view.host.job is not None:
        return
    for rule in RULES:
        if state in rule.sources and rule.to in _BETTER.get(state, ()) and _may_apply(rule, view):
            lacking = [encoded(missing(fact, view)) for fact in rule.when if not fact.holds(view)]
            yield {"to": str(rule.to), "rule": rule.name, "missing": lacking}


_BETTER = {
    State.HARD_OFFLINE: (State.AWAITING_RECOVERY,),
    State.AWAITING_RECOVERY: (State.ONLINE,),
    State.REPLICATION_FAIL: (State.ONLINE,),
    State.REPLICATION_DELAY: (State.ONLINE,),
}


def _may_apply(rule: Rule, view: View) -> bool:
    """Tell whether the rule can come to fit: what has to hold for it is not ruled out by conf and cluster."""
    when = set(rule.when)
    if view.host.flapping != (conditions.FLAPPING in when) and view.host.state is State.AWAITING_RECOVERY:
        return False
    if conditions.NOBODY_ELSE in when and not conditions.NOBODY_ELSE.holds(view):
        return False
    if conditions.REPLICATION_EXCUSED in when and view.peer_online:
        return False
    if conditions.REBUILT in when and auto_rejoin.needed(view.world, view.name) is None:
        return False
    return not ({conditions.WAITED, conditions.CALM} & when and view.monitor.auto_set_online <= 0)


def _set_online(view: View) -> dict[str, Any] | None:
    """Return whether set_online would be taken, where it is for the admin to decide; else why it would be refused."""
    if view.host.state not in (State.ADMIN_OFFLINE, State.AWAITING_RECOVERY):
        return None
    answer = refusal(view.world, view.now, view.name)
    return {
        "command": f"mmm_control set_online {view.name}",
        "refused": None if answer is None else answer.sentence,
        "code": None if answer is None else answer.code,
    }


def _host_lines(host: Mapping[str, Any]) -> Iterator[str]:
    why = f" ({host['rule']}): {host['sentence']}" if host["rule"] else ""
    yield f"{host['host']}: {host['state']} since {host['since']}{why}"
    if found := host["diagnosis"]:
        yield f"    diagnosis: {found['code']}: {found['text']}"
    if kept := host["kept_by"]:
        yield f"    kept {host['state']} ({kept['rule']}): {kept['text']}"
    if again := host["auto_rejoin"]:
        but = f", but {again['kept']['text']}" if again["kept"] else ": its agent is ordered to"
        yield f"    would be rebuilt by itself{but}"
    told = _told(host["why"])
    for check in host["checks"]:
        yield f"    {_check_line(check, told=told.get(check['check']) == check['finding'])}"
    if host["suspended"]:
        lost = ", ".join(host["suspended"])
        yield f"    replication from {lost} is suspended until that is compared and back in use"
    for way in host["ways"]:
        lacking = "; ".join(each["text"] for each in way["missing"])
        when = f"; missing: {lacking}" if lacking else ", were it not kept" if kept else " now"
        yield f"    would become {way['to']} by {way['rule']}{when}"
    yield from _set_online_lines(host)
    yield from _agent_lines(host["agent"])


def _told(why: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what the host's own line says that checks have found, by check."""
    failing = why["fields"].get("failing") if why else None
    return {told["check"]: told["finding"] for told in failing["fields"].get("checks", ())} if failing else {}


def _check_line(check: Mapping[str, Any], *, told: bool) -> str:
    """Return what there is to say of a check; its message only where the host's own line has not `told` it."""
    message = f": {check['message']}" if check["message"] and not told else ""
    name, since = check["check"], check["since"]
    match check["result"]:
        case "ignored":
            return f"{name} has failed{message}; ignored, because its server answers"
        case "failed":
            return f"{name} has failed since {since}{message}"
        case "failing":
            return f"{name} began to fail at {since}{message}; it counts after its trap_period"
        case _:
            return f"{name}: unknown{message}; no action taken"


def _set_online_lines(host: Mapping[str, Any]) -> Iterator[str]:
    order = host["set_online"]
    if order is None:
        return
    if order["refused"]:
        yield f"    set_online is refused now: {order['refused']}"
    else:
        yield f"    the admin brings it back with: {order['command']}"


def _agent_lines(agent: Mapping[str, Any]) -> Iterator[str]:
    if agent["unreachable"]:
        yield f"    its agent cannot be reached: {agent['unreachable']}; it gets no new roles"
    if agent["error"]:
        yield f"    its agent answered: {agent['error']}; retried every few seconds"
    if agent["kill_host"]:
        yield "    kill_host is running for it"


def _lead_lines(found: Mapping[str, Any]) -> Iterator[str]:
    told = found["lead"]
    if told and not told["leads"]:
        yield f"monitor: {told['text']}: this one changes nothing"


def _mode_lines(found: Mapping[str, Any]) -> Iterator[str]:
    mode = found["mode"]
    if mode == Mode.PASSIVE:
        cause = f"{found['cause']} " if found["cause"] else ""
        yield f"mode: PASSIVE: {cause}Nothing is sent; set_active, or set_manual, ends it."
    elif mode != Mode.ACTIVE:
        yield f"mode: {mode}: roles are not taken from failed hosts; set_active ends it."
    if not found["network_up"]:
        why = "all hosts fell silent at once" if found["hosts_silent"] else "none of the ping_ips answers"
        yield f"network: {why}: no check counts and nothing is sent"


def _roles(world: World) -> Iterator[dict[str, Any]]:
    """Yield the IPs that are not simply held by their host."""
    for vip, owner in world.owner.items():
        others = sorted(holders(world, vip) - {owner}) if owner is not None else []
        if owner is None or others:
            why = unheld.why(world, vip) if owner is None else None
            told = why and encoded(why)
            yield {"role": vip.role, "ip": vip.ip, "holder": owner, "waits_for": others, "why": told}


def _role_line(role: Mapping[str, Any]) -> str:
    vip = f"{role['role']}({role['ip']})"
    if role["holder"] is None:
        return f"{vip}: nobody: {role['why']['text']}"
    return f"{vip}: {role['holder']} gets it once {', '.join(role['waits_for'])} has released it"


def _reached(world: World) -> Iterator[dict[str, Any]]:
    """Yield the roles whose IPs are not bound, with the hosts that are asked who holds them."""
    hosts = world.conf.hosts
    for role in world.conf.roles.values():
        if role.vip_via != "arp":
            ports = {name: hosts[name].health_port for name in role.hosts}
            yield {
                "role": role.name,
                "vip_via": role.vip_via,
                "vip_script": role.vip_script or None,
                "health_ports": ports,
            }


def _way_line(way: Mapping[str, Any]) -> str:
    if script := way["vip_script"]:
        return f"{way['role']}: its IPs are moved by {script} (vip_via {way['vip_via']})"
    asked = ", ".join(f"{host}:{port}" for host, port in way["health_ports"].items())
    return f"{way['role']}: no IP is bound (vip_via {way['vip_via']}): /{way['role']} tells at {asked} who holds it"
