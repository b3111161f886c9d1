"""What `show` and `checks` tell, as values: the text is made of them, and JSON (rule 5)."""

from mmm.config.names import CHECK_NAMES
from mmm.monitor.command.texts import Verdict, unknown_host
from mmm.monitor.report import concerns, leading
from mmm.monitor.report.clock import Clock
from mmm.monitor.world.checks import Finding
from mmm.monitor.world.world import Mode, World
from mmm.wire import control as wire


def of_show(world: World, now: float, clock: Clock) -> wire.Show:
    """Return what `show` tells: the roles that agents have confirmed, and what stands in the way.

    In passive mode nothing is sent that could be confirmed; roles that were set by hand show where they will be.
    """
    hosts = tuple(_host(world, name) for name in world.hosts)
    passive = str(world.passive_cause or "") if world.mode is Mode.PASSIVE else None
    preferences = tuple(
        wire.Preference(role.name, role.prefer, world.owner[role.vips[0]] or "")
        for role in world.conf.roles.values()
        if role.prefer and role.mode == "exclusive"
    )
    warnings = tuple(map(str, concerns.found(world, now, clock)))
    told = leading.lead(world, clock)
    reached = tuple(
        wire.Reached(role.name, role.vip_via) for role in world.conf.roles.values() if role.vip_via != "arp"
    )
    return wire.Show(hosts, passive, warnings, preferences, str(told) if told else "", reached)


def of_checks(
    world: World, host: str, check: str, clock: Clock
) -> Verdict | list[tuple[wire.CheckLine, Finding]]:
    """Return the lines of `checks`, each with what the check has found; `all` stands for every host or check."""
    if check != "all" and check not in CHECK_NAMES:
        return Verdict("unknown_check", {"check": check, "known": CHECK_NAMES})
    if host != "all" and host not in world.hosts:
        return unknown_host(world, host)
    names = tuple(world.hosts) if host == "all" else (host,)
    kinds = CHECK_NAMES if check == "all" else (check,)
    lines = []
    for name in names:
        for kind in kinds:
            status = world.hosts[name].checks[kind]
            changed, finding = clock.said(status.changed), status.finding
            lines.append((wire.CheckLine(name, kind, changed, str(finding)), finding))
    return lines


def _host(world: World, name: str) -> wire.ShowHost:
    host, conf = world.hosts[name], world.conf.hosts[name]
    told = frozenset(host.agent.told.vips if host.agent.told is not None else ())
    if world.mode is Mode.PASSIVE:
        told = frozenset(vip for vip in told if world.owner.get(vip) in (None, name)) | world.vips_of(name)
    return wire.ShowHost(name, conf.ip, conf.mode, str(host.state), tuple(told))
