"""What must hold between the settings of a conf; one function per rule (rules 2, 10.33)."""

import re
from collections.abc import Callable, Iterable

from mmm.config.addresses import addresses, pinged
from mmm.config.key import Key, Section
from mmm.config.keys import SECTIONS
from mmm.config.kinds import did_you_mean, sample, suggestion, words
from mmm.config.monitors import monitors
from mmm.config.names import WITNESS_KEYS, without_gone_cipher
from mmm.config.settings import (
    Setting,
    Settings,
    World,
    each_of,
)
from mmm.config.tree import Fault, Problem
from mmm.config.via import ways
from mmm.config.witnesses import witnesses

PROGRAMS = {
    "AGENT": "mmm_agentd",
    "MONITOR": "mmm_mond",
    "CONTROL": "mmm_control",
    "TOOLS": "a tool",
    "REJOIN": "mmm_rejoin",
}


def apply_rules(world: World) -> None:
    """Add to the world's problems and warnings all that breaks a rule."""
    for rule in RULES:
        rule(world)


def required_sections(world: World) -> None:
    """Demand the sections that the program needs."""
    for section in SECTIONS.values():
        learned = section.name == "role" and world.lacks_roles
        if world.letter in section.required and not world[section.name] and not learned:
            tag = world.title(section.name, "NAME" if section.named else "")
            default = section.named and world.tree.values(section.name, "default")
            code = "section_missing_beside_default" if default else "section_missing"
            if section.name == "role" and world.tree.dialect == 1 and world.program != "MONITOR":
                code = "roles_of_monitor_missing"  # MMM 1.x had them in the monitor's file alone
            about = {"section": section.name, "tag": tag, "program": PROGRAMS[world.program]}
            world.wrong(None, Fault(code, about))


def required_keys(world: World) -> None:
    """Demand the keys that the program needs, and those that another value makes necessary."""
    for section in SECTIONS.values():
        for key in section.keys:
            missing = [name for name in world[section.name] if _is_missing(world, section, key, name)]
            if missing:
                _missing(world, section, key, missing)


def _is_missing(world: World, section: Section, key: Key, name: str) -> bool:
    if key.name in world[section.name][name]:
        return False
    if section.name == "host" and world.is_witness(name) and key.name not in WITNESS_KEYS:
        return False
    if world.tree.dialect == 1 and key.old_default is not None:
        return key.name == "active_master_role" and _is_writer_unknown(world, key)
    if section.name == "monitor" and key.name == "ip" and world.value("top", "", "monitors"):
        return False  # each finds its own
    if key.needed_if:
        other, wanted = key.needed_if
        value = world.value(section.name, name, other)
        return (("1" if value else "0") if isinstance(value, bool) else value) == wanted
    return world.letter in key.required


def _is_writer_unknown(world: World, key: Key) -> bool:
    """Tell whether a conf of the 1.x dialect needs to name the active master role: none of its roles is `writer`.

    An agent's without any roles learns them.
    """
    needed = world.letter in key.required and (bool(world["role"]) or world.program == "MONITOR")
    return needed and "writer" not in world["role"]


def _missing(world: World, section: Section, key: Key, names: list[str]) -> None:
    where, written = world.spelling(section, key)
    about = {"key": written, "sentence": f"{written} {sample(key)}"}
    if section.name == "top":
        program = PROGRAMS[world.program]
        world.wrong(None, Fault("global_key_missing", about | {"program": program}))
        return
    code = "add_to_it" if len(names) == 1 else "add_to_each"
    if where == "top":
        code = "add_outside"
    elif section.template and len(names) > 1 and world.tree.dialect == 2:
        code = "add_to_each_or_default"
    fields = about | {
        "section": section.name,
        "names": tuple(names),
        "titles": tuple(world.title(section.name, name) for name in names),
        "has": "has" if len(names) == 1 else "have",
        "because": f" with {' '.join(key.needed_if)}" if key.needed_if else "",
        "todo": Fault(code, about | {"section": section.name}),
    }
    file, line = world.places.get((section.name, names[0]), (world.tree.file, 0))
    world.tree.problems.append(Problem(file, line, Fault("key_missing", fields)))


def references(world: World) -> None:
    """Demand that names of hosts, roles and copy methods are ones that exist."""
    for section in SECTIONS.values():
        for settings in world[section.name].values():
            for key in section.keys:
                setting = settings.get(key.name)
                if setting and setting.value and not _may_dangle(world, key):
                    _reference(world, key, setting)


def _may_dangle(world: World, key: Key) -> bool:
    """Tell whether the files of this program need not hold what the key names."""
    if key.name == "this":
        return world.program == "TOOLS"
    if key.kind == "role":
        return world.tree.dialect == 1 and world.program != "MONITOR" and not world["role"]
    return key.kind == "copy method" and world.program != "TOOLS" and not world["copy_method"]


def _reference(world: World, key: Key, setting: Setting) -> None:
    kinds = {"host": "host", "hosts": "host", "role": "role", "copy method": "copy_method"}
    kind = kinds.get(key.kind)
    if kind is None:
        return
    names = setting.value if isinstance(setting.value, tuple) else (setting.value,)
    for name in names:
        if name not in world[kind]:
            if _may_be_misnamed(world, kind, name):
                continue
            add = Fault("add_or_correct", {"tag": world.title(kind, name)})
            todo = did_you_mean(suggestion(name, world[kind]), add)
            written = setting.source.key if setting.source else key.name
            about = {"key": written, "kind": kind, "name": name, "todo": todo}
            world.wrong(setting.source, Fault("no_such_reference", about))


def _may_be_misnamed(world: World, kind: str, name: str) -> bool:
    """Tell whether what is referred to is a section whose name is wrong or missing: that is said once, there."""
    faults = [each.fault for each in world.tree.problems if each.fault.fields.get("kind") == kind]
    if any(fault.code == "name_missing" for fault in faults):
        return True
    bad = [fault.fields["name"] for fault in faults if fault.code == "bad_name"]
    return bool(suggestion(name, bad))


def overwritten(world: World) -> None:
    """Warn of a key that is written twice in a section of one file, as in one that was copied and not renamed."""
    for block, first, second in world.tree.overwritten:
        of = f"of {world.title(block.type, block.name)}" if block.line else "outside of sections"
        world.warn(second, Fault("overwritten", {"key": second.key, "of": of, "line": first.line}))


def peers(world: World) -> None:
    """Refuse a host as its own peer, and warn of a master whose peer is a slave."""
    for name, settings in world["host"].items():
        peer = settings.get("peer")
        if not peer:
            continue
        if peer.value == name:
            world.wrong(peer.source, Fault("own_peer", {"name": name}))
        elif [world.value("host", each, "mode") for each in (name, str(peer.value))] == ["master", "slave"]:
            world.warn(peer.source, Fault("peer_is_slave", {"name": name, "peer": peer.value}))


def roles(world: World) -> None:
    """Demand one IP of exclusive roles, `prefer` among the hosts, an exclusive active master role."""
    active = world.value("top", "", "active_master_role")
    for name, settings in world["role"].items():
        mode, ips, hosts, prefer = (settings.get(key) for key in ("mode", "ips", "hosts", "prefer"))
        exclusive = mode is not None and mode.value == "exclusive"
        if exclusive and ips and ips.value and len(ips.value) != 1:
            world.wrong(ips.source, Fault("several_ips", {"name": name, "number": len(ips.value)}))
        if mode and mode.value == "balanced" and name == active:
            world.wrong(mode.source, Fault("balanced_writer", {"name": name}))
        strange = prefer and hosts and hosts.value and prefer.value not in hosts.value
        if prefer and hosts and strange and prefer.value in world.servers:
            written = hosts.source.key if hosts.source else "hosts"
            about = {"host": prefer.value, "key": written, "name": name}
            world.wrong(prefer.source, Fault("prefer_not_a_host", about))
        if prefer and mode and mode.value == "balanced":
            world.warn(prefer.source, Fault("prefer_unused", {"name": name}))
        _twice(world, hosts)


def _twice(world: World, hosts: Setting | None) -> None:
    names = (hosts.value or ()) if hosts else ()
    for name in dict.fromkeys(names):
        if hosts and names.count(name) > 1:
            world.wrong(hosts.source, Fault("listed_twice", {"name": name}))


def slave_writers(world: World) -> None:
    """Warn of a slave among those who may be the active master."""
    active = world.value("top", "", "active_master_role")
    hosts = world["role"].get(active, {}).get("hosts") if active else None
    for name in each_of(hosts):
        if hosts and world.value("host", name, "mode") == "slave":
            world.warn(hosts.source, Fault("slave_may_write", {"name": name, "role": active}))


def writer_hosts(world: World) -> None:
    """Warn an agent that does not know the hosts of the active master role: it promises nothing, and asks nobody."""
    role, leases = (world.value("top", "", key) for key in ("active_master_role", "vip_lease"))
    role = role or "writer"
    settings = world["role"].get(role, {})
    if world.program == "AGENT" and leases and (ips := settings.get("ips")) and "hosts" not in settings:
        key = "servers" if world.tree.dialect == 1 else "hosts"
        world.warn(ips.source, Fault("writer_hosts_missing", {"role": role, "key": key}))


def block_port(world: World) -> None:
    """Warn of a written command that keeps clients from another port than that of this host's server."""
    port = world.value("host", world.value("top", "", "this") or "", "mysql_port")
    for key in ("iptables_block_cmd", "iptables_unblock_cmd"):
        setting = world["top"].get("", {}).get(key)
        if port is None or setting is None or setting.source is None:
            continue
        ports = re.findall(r"--d(?:estination-)?ports?[ =]+([0-9,:]+)", setting.value)
        if ports and not any(_covers(each, port) for each in ports):
            world.warn(setting.source, Fault("other_port", {"key": key, "ports": tuple(ports), "port": port}))


def _covers(ports: str, port: int) -> bool:
    """Tell whether `port` is in a list such as iptables takes: 3306,3400:3500."""
    for each in ports.split(","):
        first, _, last = each.partition(":")
        if first.isdigit() and int(first) <= port <= int(last if last.isdigit() else first):
            return True
    return False


def agent_port(world: World) -> None:
    """Demand that agent and server of this host do not listen at the same port; of other hosts it is warned."""
    said: set[Setting] = set()
    this = world.value("top", "", "this")
    for name in world.servers:
        setting, port = world["host"][name].get("agent_port"), world.value("host", name, "mysql_port")
        if setting and port and port == setting.value and world.program != "CONTROL" and setting not in said:
            said.add(setting)  # a value of the default section is that of many
            fault = Fault("agent_port_taken", {"name": name, "port": port})
            (world.wrong if world.program == "AGENT" and name == this else world.warn)(setting.source, fault)


def health_port(world: World) -> None:
    """Demand a health port that neither agent nor server listens at, and one somewhere where it is said who may ask."""
    for name, settings in world["host"].items():
        setting = settings.get("health_port")
        for other in ("agent_port", "mysql_port"):
            if setting and setting.value == world.value("host", name, other):
                about = {"name": name, "port": setting.value, "other": other}
                world.wrong(setting.source, Fault("health_port_taken", about))
    if not any("health_port" in settings for settings in world["host"].values()):
        for key in ("health_from", "health_plain"):
            setting = world["top"].get("", {}).get(key)
            if setting and setting.value:
                world.warn(setting.source, Fault("no_health_port", {"key": key}))


def leases(world: World) -> None:
    """Demand a lease that the kernel can count, or none."""
    setting = world["top"].get("", {}).get("vip_lease")
    length = setting.value if setting else 0
    if isinstance(length, float) and length and (length < 1 or length != int(length)):
        world.wrong(setting.source if setting else None, Fault("not_whole_lease", {"length": length}))


def tls_files(world: World) -> None:
    """Demand that the files of TLS are there and readable."""
    settings = world["socket"].get("", {})
    if world.program == "TOOLS" or world.value("socket", "", "type") != "ssl":
        return
    _see_readable(world, settings, ("cert_file", "key_file", "ca_file"))


def _see_readable(world: World, settings: Settings, keys: Iterable[str]) -> None:
    for name in keys:
        setting = settings.get(name)
        if setting and setting.value:
            reason = world.unreadable(setting.value)
            if reason:
                about = {"key": name, "path": setting.value, "why": reason}
                world.wrong(setting.source, Fault("file_of_tls", about))


_ON_THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1"})


def notified(world: World) -> None:
    """Demand one receiver of each `<notify>` section, and a webhook that can be posted to."""
    for name, settings in world["notify"].items():
        given = [key for key in ("command", "mail_to", "webhook") if key in settings]
        if len(given) != 1:
            file, line = world.places["notify", name]
            about = {"tag": world.title("notify", name), "keys": " and ".join(given)}
            fault = Fault("several_receivers" if given else "no_receiver", about)
            world.tree.problems.append(Problem(file, line, fault))
        webhook = settings.get("webhook")
        if webhook and not re.match(r"https?://[^/\s]+\S*$", webhook.value or ""):
            world.wrong(webhook.source, Fault("webhook_no_url"))
        command = settings.get("command")
        if command and not words(command.value or ""):
            world.wrong(command.source, Fault("command_no_words"))
        host = settings["smtp_host"].value
        if "smtp_user" in settings and settings["smtp_tls"].value == "no" and host not in _ON_THIS_MACHINE:
            world.warn(settings["smtp_user"].source, Fault("smtp_in_clear", {"host": host}))


def server_tls(world: World) -> None:
    """Demand of the TLS to servers what its mode needs, files that are readable, and nothing without effect."""
    if world.letter not in "AM":
        return
    for name in world.servers:
        settings = world["host"][name]
        mode = settings["mysql_ssl_mode"]
        ca, cert, key = (settings.get(f"mysql_ssl_{what}") for what in ("ca", "cert", "key"))
        if mode.value in {"verify_ca", "verify_identity"} and not ca:
            world.wrong(mode.source, Fault("no_ca", {"name": name, "mode": mode.value}))
        if mode.value == "required" and ca:
            world.wrong(ca.source, Fault("ca_unused"))
        for one, other, missing in ((cert, key, "mysql_ssl_key"), (key, cert, "mysql_ssl_cert")):
            if one and not other:
                world.wrong(one.source, Fault("no_other_half", {"name": name, "key": missing}))
        if mode.value != "disabled":
            _see_readable(world, settings, ("mysql_ssl_ca", "mysql_ssl_cert", "mysql_ssl_key"))


def gone_ciphers(world: World) -> None:
    """Warn of copy methods that name a cipher which OpenSSH has no more: it is left out."""
    if world.program != "TOOLS":
        return
    for settings in world["copy_method"].values():
        for key in ("backup_command", "restore_command", "incremental_command"):
            setting = settings.get(key)
            if setting and (left := without_gone_cipher(setting.value)) != setting.value:
                written = setting.source.key if setting.source else key
                world.warn(setting.source, Fault("cipher_gone", {"key": written, "left": left}))


def paths(world: World) -> None:
    """Warn of paths that do not begin at the root: daemons leave the folder they are started in."""
    said: set[Setting] = set()
    for section in SECTIONS.values():
        for settings in world[section.name].values():
            for key in section.keys:
                setting = settings.get(key.name)
                if key.kind == "path" and setting and setting.value and not setting.value.startswith("/"):
                    if setting not in said:  # a value of a default section is that of many
                        world.warn(
                            setting.source, Fault("relative_path", {"key": key.name, "path": setting.value})
                        )
                    said.add(setting)


def old_gaps(world: World) -> None:
    """Warn of what a conf of the 1.x dialect may lack."""
    if world.tree.dialect == 2:
        return
    if world.program == "MONITOR" and "ping_ips" not in world["monitor"].get("", {}):
        world.warn(None, Fault("no_ping_ips"))
    if world.lacks_roles:
        world.warn(None, Fault("roles_by_order"))
    if world.program == "AGENT" and any(
        "replication_user" not in world["host"][name] for name in world.servers
    ):
        world.warn(None, Fault("no_replication_user"))


RULES: tuple[Callable[[World], None], ...] = (
    required_sections,
    required_keys,
    references,
    overwritten,
    peers,
    roles,
    slave_writers,
    writer_hosts,
    addresses,
    pinged,
    block_port,
    agent_port,
    health_port,
    ways,
    leases,
    monitors,
    witnesses,
    tls_files,
    server_tls,
    notified,
    gone_ciphers,
    paths,
    old_gaps,
)
