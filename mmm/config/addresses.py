"""Addresses that cannot be right: used twice, no machine's, or useless for their purpose."""

from mmm.config.settings import Setting, World, each_of
from mmm.config.tree import Fault

_FIRST_MULTICAST = 224


def addresses(world: World) -> None:
    """Refuse an address that is used twice or cannot be that of a machine."""
    used: dict[str, str] = {}
    for_trying = _for_trying(world)
    for kind, key in (("host", "ip"), ("role", "ips")):
        for name, settings in world[kind].items():
            setting = settings.get(key)
            for ip in each_of(setting):
                owner = f"{kind} {name}"
                if ip in used:
                    about = {"ip": ip, "owner": owner, "other": used[ip]}
                    world.wrong(setting.source if setting else None, Fault("address_used_twice", about))
                if is_no_machine(ip):
                    world.wrong(setting.source if setting else None, Fault("no_machine", {"ip": ip}))
                elif is_loopback(ip):
                    _loopback(world, setting, Fault("loopback", {"ip": ip, "owner": owner}), for_trying)
                used.setdefault(ip, owner)


def is_no_machine(ip: str) -> bool:
    """Tell whether an address cannot be that of a machine; IPv6: the loopback one neither."""
    if ":" not in ip:
        return ip == "0.0.0.0" or int(ip.partition(".")[0]) >= _FIRST_MULTICAST  # noqa: S104  (it is refused)
    from ipaddress import IPv6Address  # noqa: PLC0415  (few confs have any, and programs start faster without)

    address = IPv6Address(ip)
    return address.is_unspecified or address.is_loopback or address.is_multicast


def pinged(world: World) -> None:
    """Refuse ping_ips that answer whatever becomes of the monitor's network, and warn of those that may not."""
    setting = world["monitor"].get("", {}).get("ping_ips")
    if world.program != "MONITOR" or not setting:
        return
    hosts = {world.value("host", name, "ip"): name for name in world["host"]}
    vips = {ip: name for name, role in world["role"].items() for ip in each_of(role.get("ips"))}
    own, for_trying = world.value("monitor", "", "ip"), _for_trying(world)
    for ip in each_of(setting):
        if is_loopback(ip):
            _loopback(world, setting, Fault("loopback", {"ip": ip, "owner": "ping_ips"}), for_trying)
        elif ip == own:
            world.wrong(setting.source, Fault("pings_itself", {"ip": ip}))
        elif ip in vips:
            world.wrong(setting.source, Fault("pings_vip", {"ip": ip, "role": vips[ip]}))
        elif ip in hosts:
            world.warn(setting.source, Fault("pings_host", {"ip": ip, "host": hosts[ip]}))


def _for_trying(world: World) -> bool:
    """Tell whether the whole cluster is on one machine's loopback, as in a test."""
    ips = [world.value("host", name, "ip") for name in world["host"]]
    return all(ip and is_loopback(ip) for ip in ips)


def _loopback(world: World, setting: Setting | None, fault: Fault, for_trying: bool) -> None:  # noqa: FBT001
    if not (for_trying or world.program == "CONTROL"):
        world.wrong(setting.source if setting else None, fault)


def is_loopback(ip: str) -> bool:
    """Tell whether an IPv4 address is one that every machine has itself."""
    return ip.startswith("127.")
