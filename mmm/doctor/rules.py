"""What is wrong in a picture of the cluster. Pure: the same picture, the same findings.

A topic is looked at for each host; where nothing is found and there was something to look at, it is fine.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from mmm.config.agreement import SECTIONS
from mmm.config.model import Cluster, Host
from mmm.doctor.certificate_rules import short_lived
from mmm.doctor.codes import CODES, Level
from mmm.doctor.look import HostLook, Login, MonitorLook, Room, Seen, Server
from mmm.doctor.picture import Finding, Picture
from mmm.doctor.replaced_rules import replaced
from mmm.doctor.salvage_rules import statements_left
from mmm.doctor.settings_rules import out_of_place

CLOCKS = 2.0
"""Seconds by which clocks may be apart."""
_UNREACHED = "server_silent"
_OLDEST = {"MariaDB": (10, 5), "MySQL": (5, 7)}


Rule = Callable[[Picture, str], Iterator[Finding] | None]
"""Returns what is wrong with a host, None where nothing was to be looked at."""


def examine(picture: Picture) -> tuple[Finding, ...]:
    """Return everything that was found, the monitor's machine first, then host by host, with what is fine."""
    found = list(_monitor(picture.monitor, picture.conf)) if picture.monitor else []
    found += _vips_twice(picture)
    for name in picture.conf.agents:
        for what, rule in TOPICS.items():
            lines = rule(picture, name)
            if lines is None:
                continue
            wrong = list(lines)
            found += wrong or [Finding("fine", name, {"what": what})]
    return tuple(_told_once(picture.conf, found))


def _told_once(conf: Cluster, found: Iterable[Finding]) -> Iterator[Finding]:
    """Yield the findings, those without that a server is not reached where it is said why, or said already.

    A server that does not listen on its host's address is reached by nobody. One that its own host does not reach is
    down: that is said once; else once by each host, whatever account it has tried.
    """
    lines = tuple(found)
    closed = {line.host for line in lines if line.code == "not_listening" and _is_shut(conf, line)}
    down = {line.host for line in lines if line.code == _UNREACHED and line.fields["to"] == line.host}
    said: set[tuple[str, str]] = set()
    for line in lines:
        if line.code != _UNREACHED:
            yield line
            continue
        to = line.fields["to"]
        by = to if to in down else line.host
        if to in closed or line.host != by or (by, to) in said:
            continue
        said.add((by, to))
        yield line


def _is_shut(conf: Cluster, line: Finding) -> bool:
    return conf.hosts[line.host].ip in line.fields["ips"].split(", ")


def would_fail(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the errors that the next failover would meet."""
    return tuple(each for each in found if each.level is Level.ERROR and CODES[each.code].failover)


def status(found: Iterable[Finding]) -> int:
    """Return the exit status: 0 all is OK, 1 there are warnings, 2 there are errors."""
    levels = {finding.level for finding in found}
    return 2 if Level.ERROR in levels else 1 if Level.WARNING in levels else 0


def _monitor(look: MonitorLook, conf: Cluster) -> Iterator[Finding]:
    if not look.runs:
        yield Finding("monitor_not_running", fields={"why": look.answer})
    ips = conf.monitor.ping_ips if conf.monitor else ()
    if look.silent_ips and len(look.silent_ips) == len(ips):
        yield Finding("ping_ips_silent")
    else:
        yield from (Finding("ping_ip_silent", fields={"ip": ip}) for ip in look.silent_ips)
    if look.kill_host:
        without = "vip_lease" if not conf.vip_lease else ""
        if conf.monitor and not conf.monitor.split_brain_guard:
            without = without or "split_brain_guard"
        code = "cannot_kill" if without else "no_kill_host"
        yield Finding(code, fields={"why": look.kill_host, **({"what": without} if without else {})})
    yield from _files("", look.unwritable, look.room)
    yield from (Finding(code, fields=about) for code, about in short_lived(look.tls, look.clock))


def _files(host: str, unwritable: Iterable[str], rooms: Iterable[Room]) -> Iterator[Finding]:
    for folder in unwritable:
        yield Finding("unwritable", host, {"folder": folder})
    for room in rooms:
        if room.is_low:
            fields = {"folder": room.path, "free": str(room.free), "holds": room.holds}
            yield Finding("disk_full" if room.is_full else "disk_low", host, fields)


def _vips_twice(picture: Picture) -> Iterator[Finding]:
    holders: dict[str, list[str]] = {}
    for name, look in picture.looks.items():
        for ip in dict(look.bound):
            holders.setdefault(ip, []).append(name)
    for vip in picture.conf.bound_vips:
        hosts = holders.get(vip.ip, [])
        if len(hosts) > 1:
            yield Finding("vip_twice", fields={"vip": vip.ip, "hosts": ", ".join(hosts)})


def _agent(picture: Picture, name: str) -> Iterator[Finding] | None:
    seen = picture.seen.get(name)
    return None if seen is None else _agent_of(picture, name, seen)


def _agent_of(picture: Picture, name: str, seen: Seen) -> Iterator[Finding]:
    if seen.classic:
        yield Finding("classic_agent", name)
        for role in picture.conf.roles.values():
            if role.vip_via != "arp" and name in role.hosts:
                yield Finding("classic_agent_binds", name, {"role": role.name, "via": role.vip_via})
    elif seen.agent:
        code = "agent_silent" if picture.monitor and picture.monitor.runs else "agent_not_running"
        yield Finding(code, name, {"why": seen.agent, "port": str(picture.conf.agents[name].agent_port)})
    if seen.ping is False:
        yield Finding("no_ping", name)
    if abs(seen.apart) > CLOCKS:
        way = "ahead of" if seen.apart > 0 else "behind"
        yield Finding("clock_apart", name, {"seconds": f"{abs(seen.apart):.0f}", "way": way})


def _conf(picture: Picture, name: str) -> Iterator[Finding] | None:
    look = picture.looks.get(name)
    if look is None or picture.monitor is None or not look.conf or not picture.monitor.conf:
        return None
    there = picture.monitor.conf
    parts = {part: here for part, here in look.conf.items() if there.get(part, here) != here}
    return (
        Finding("conf_differs", name, {"part": part, "here": here, "there": there[part]})
        if part not in SECTIONS
        else Finding("sections_differ", name, {"section": SECTIONS[part]})
        for part, here in parts.items()
    )


def _accounts(picture: Picture, name: str) -> Iterator[Finding] | None:
    seen, look = picture.seen.get(name), picture.looks.get(name)
    logins = (*((seen.login,) if seen and seen.login else ()), *(look.logins if look else ()))
    return (finding for login in logins for finding in _login(login, name)) if logins else None


def _login(login: Login, name: str) -> Iterator[Finding]:
    about = {"account": login.account, "to": login.to}
    tools = login.account == "tools"  # which no failover needs; a silent server is said of the other accounts
    if login.problem and (login.answered or not tools):
        refused = "tools_login_refused" if tools else "login_refused"
        yield Finding(refused if login.answered else "server_silent", name, {**about, "why": login.problem})
    for lack in login.lacks:
        more = {"privilege": lack.privilege, "statement": lack.statement}
        yield Finding("tools_grant_missing" if tools else "grant_missing", name, {**about, **more})


def _server(picture: Picture, name: str) -> Iterator[Finding] | None:
    server = picture.server(name)
    return None if server is None else _server_of(picture, name, server)


def _server_of(picture: Picture, name: str, server: Server) -> Iterator[Finding]:
    if server.version[:2] < _OLDEST.get(server.family, (0, 0)):
        yield Finding("old_version", name, {"version": _version(server)})
    yield from _beside_others(picture, name, server)
    settings = server.settings
    if _off(settings, "read_only") and name in picture.looks and not picture.may_write(name):
        yield Finding("writable", name)
    if settings.get("binlog_format", "ROW") != "ROW":
        yield Finding("not_row", name, {"format": settings["binlog_format"]})
    if settings.get("gtid_mode", "ON").upper() != "ON":
        yield Finding("gtid_off", name, {"value": settings["gtid_mode"]})
    if settings.get("enforce_gtid_consistency", "ON").upper() not in {"ON", "1"}:
        yield Finding("gtid_not_enforced", name, {"value": settings["enforce_gtid_consistency"]})
    if _off(settings, "gtid_strict_mode"):
        yield Finding("gtid_not_strict", name)
    yield from out_of_place(name, server)
    if picture.conf.hosts[name] in picture.conf.masters:
        yield from _master(picture, name, server)


def _beside_others(picture: Picture, name: str, server: Server) -> Iterator[Finding]:
    """Compare with one other server for each matter: with many hosts, each with each would be a flood of lines."""
    firsts = picture.firsts
    newest = firsts.newest_master.get(server.family, name)
    there = picture.server(newest)
    if there is not None and there.version[:2] > server.version[:2]:
        fields = {"here": _version(server), "there": _version(there), "other": newest}
        yield Finding("source_is_newer", name, fields)
    before = ((kind, first) for kind, first in firsts.by_family.items() if kind != server.family)
    kind, first = min(before, key=lambda each: firsts.places[each[1]], default=("", name))
    if firsts.places[first] < firsts.places[name]:
        yield Finding("families_differ", name, {"here": server.family, "there": kind, "other": first})
    number = server.settings.get("server_id", "")
    same = firsts.by_number.get(number, name)
    if same != name:
        yield Finding("server_ids_equal", name, {"id": number, "other": same})


def _master(picture: Picture, name: str, server: Server) -> Iterator[Finding]:
    """Look at what counts once the host is the active master."""
    settings = server.settings
    if name in picture.looks and picture.conf.salvage:
        others = {host.name: picture.server(host.name) for host in picture.conf.masters if host.name != name}
        left = statements_left(picture.looks[name].logins, others)
        yield from (Finding(code, name, about) for code, about in left)
    if _off(settings, "log_bin"):
        yield Finding("no_binary_log", name)
    elif _off(settings, "log_slave_updates") or _off(settings, "log_replica_updates"):
        yield Finding("no_replicated_log", name)
    increment = settings.get("auto_increment_increment", "2")
    if increment == "1" and len(picture.conf.masters) > 1:
        yield Finding("increment_too_small", name, {"value": increment})
    for other in picture.conf.masters:
        there = picture.server(other.name)
        if other.name == name or there is None or other.name > name:
            continue
        theirs = there.settings.get("auto_increment_increment", increment)
        if theirs != increment:
            yield Finding(
                "increments_differ", name, {"here": increment, "there": theirs, "other": other.name}
            )
        offset = settings.get("auto_increment_offset", "")
        if offset and offset == there.settings.get("auto_increment_offset"):
            yield Finding("offsets_equal", name, {"value": offset, "other": other.name})


def _off(settings: Mapping[str, str], name: str) -> bool:
    return settings.get(name, "ON").upper() in {"OFF", "0", "FALSE"}


def _version(server: Server) -> str:
    return f"{server.family} {'.'.join(map(str, server.version))}"


def _replication(picture: Picture, name: str) -> Iterator[Finding] | None:
    server = picture.server(name)
    sources = [host for host in picture.conf.masters if host.name != name]
    if server is None or not sources:
        return None
    return _replication_of(picture, name, server, sources)


def _replication_of(picture: Picture, name: str, server: Server, sources: list[Host]) -> Iterator[Finding]:
    if server.unseen:
        yield Finding("replication_unseen", name, {"why": server.unseen})
        return
    replica = server.replica
    source = next((host for host in sources if replica and (replica.source_ip, replica.source_port) == (
        host.ip, host.mysql_port)), None)  # fmt: skip
    if replica is None or source is None:
        now = f"from {replica.source_ip}:{replica.source_port}" if replica else "not at all"
        wanted = " or ".join(host.name for host in sources)
        yield Finding("not_replicating", name, {"wanted": wanted, "now": now})
        return
    if replica.detached:
        yield Finding("replication_detached", name, {"source": source.name})
    elif not (replica.receives and replica.applies):
        about = {"source": source.name, "why": replica.why_stopped, "start": replica.start}
        yield Finding("replication_stopped", name, about)
    wanted = picture.conf.hosts[name].replication_user
    if wanted and replica.user and replica.user != wanted:
        yield Finding("other_replication_user", name, {"now": replica.user, "wanted": wanted})
    if not replica.uses_gtid:
        yield Finding("replication_without_gtid", name)
    if replica.delay:
        yield Finding("delayed", name, {"seconds": str(replica.delay), "undelay": replica.undelay})


def _machine(picture: Picture, name: str) -> Iterator[Finding] | None:
    look = picture.looks.get(name)
    return None if look is None else _machine_of(picture.conf, name, look)


def _machine_of(conf: Cluster, name: str, look: HostLook) -> Iterator[Finding]:
    host = conf.agents[name]
    if not look.address_here:
        here = ", ".join(ip for ip in look.addresses if ":" not in ip and not ip.startswith("127."))
        yield Finding("not_this_host", name, {"ip": host.ip, "here": here})
    if not look.interface_here:
        yield Finding("no_interface", name, {"name": host.cluster_interface})
    elif look.nearer:
        about = dict(zip(("vip", "interface"), look.nearer, strict=True))
        yield Finding("other_interface", name, {"name": host.cluster_interface, **about})
    if look.block_command:
        yield Finding("no_block_command", name, {"name": look.block_command})
    if look.health:
        yield Finding("health_port_silent", name, {"port": str(host.health_port), "why": look.health})
    if look.no_programs:
        yield Finding("no_tools_programs", name, {"programs": " ".join(look.no_programs)})
    yield from _files(name, look.unwritable, look.room)
    yield from (Finding(code, name, about) for code, about in short_lived(look.tls, look.clock))
    yield from (Finding(code, name, about) for code, about in replaced(look, conf.keep_old_data))


def _addresses(picture: Picture, name: str) -> Iterator[Finding] | None:
    look = None if name in picture.conf.witnesses else picture.looks.get(name)
    return None if look is None else _addresses_of(picture.conf, name, look)


def _addresses_of(conf: Cluster, name: str, look: HostLook) -> Iterator[Finding]:
    roles = (role for role in conf.roles.values() if role.vip_via == "arp" and name in role.hosts)
    allowed = {ip for role in roles for ip in role.ips}
    for vip, interface in look.bound:
        wanted = conf.hosts[name].cluster_interface
        if vip not in allowed and conf.program == "MONITOR":
            yield Finding("misplaced_vip", name, {"vip": vip, "interface": interface})
        elif wanted and interface != wanted and look.interface_here:
            yield Finding("wrong_interface", name, {"vip": vip, "interface": interface, "wanted": wanted})
    for vip, mac in look.claimed:
        yield Finding("vip_claimed", name, {"vip": vip, "mac": mac})
    own = (conf.hosts[name].ip, *sorted(allowed))
    closed = [ip for ip in own if look.listens and not _takes(look.listens, ip)]
    if closed:
        yield Finding("not_listening", name, {"ips": ", ".join(closed), "where": ", ".join(look.listens)})


def _takes(listens: Iterable[str], ip: str) -> bool:
    """Tell whether who listens at these addresses takes connections to `ip`; a server at `::` takes IPv4 too."""
    everywhere = {"::"} if ":" in ip else {"::", "0.0.0.0"}  # noqa: S104  (told by the kernel)
    return bool({ip, *everywhere} & set(listens))


def _between(picture: Picture, name: str) -> Iterator[Finding] | None:
    look = picture.looks.get(name)
    return None if look is None or not look.agents else _between_of(picture, name, look)


def _between_of(picture: Picture, name: str, look: HostLook) -> Iterator[Finding]:
    for other, why in look.agents.items():
        down = picture.seen[other].agent if other in picture.seen else ""
        if why and not down and other in picture.conf.hosts:  # who does not run answers nobody: said already
            fields = {"other": other, "why": why, "port": str(picture.conf.hosts[other].agent_port)}
            yield Finding("no_way_to_agent", name, fields)
    for other, answers in look.pings.items():
        if not answers:
            yield Finding("no_ping_between", name, {"other": other})


TOPICS: dict[str, Rule] = {
    "agent: answers, with a clock like the monitor's": _agent,
    "conf: as the monitor's": _conf,
    "accounts: log in, with all grants": _accounts,
    "server: its settings are good for its part": _server,
    "replication: runs": _replication,
    "machine: address, interface, files and disk": _machine,
    "addresses: VIPs in their place, the server listens on them": _addresses,
    "between the hosts: agents and ping are reached": _between,
}
"""What is said of a host where all is well, and who finds what is not."""
