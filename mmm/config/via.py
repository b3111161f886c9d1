"""What a conf has to say beside `vip_via`: how clients come to who holds a role."""

from mmm.config.kinds import words
from mmm.config.settings import World, each_of
from mmm.config.tree import Fault


def ways(world: World) -> None:
    """Demand what a role needs whose IPs are not bound: ports that are asked, a lease, nothing that rests on ARP."""
    for name, settings in world["role"].items():
        setting = settings.get("vip_via")
        _script(world, name)
        if setting is None or setting.value == "arp" or world.letter not in "AM":
            continue
        if setting.value == "health":
            _health(world, name)
        if name == world.value("top", "", "active_master_role"):
            _writer(world, name, setting.value)


def _health(world: World, role: str) -> None:
    settings = world["role"][role]
    setting, hosts = settings["vip_via"], tuple(each_of(settings.get("hosts"))) or world.servers
    without = tuple(host for host in hosts if not world.value("host", host, "health_port"))
    if without:
        has = "has" if len(without) == 1 else "have"
        world.wrong(setting.source, Fault("via_without_port", {"role": role, "hosts": without, "has": has}))
    elif not world.value("top", "", "health_from"):
        world.warn(setting.source, Fault("via_asked_by_nobody", {"role": role}))


def _script(world: World, role: str) -> None:
    """Demand a program that can be called, and warn of one that is not."""
    setting = world["role"][role].get("vip_script")
    if setting is None or not setting.value:
        return
    if world.value("role", role, "vip_via") != "script":
        world.warn(setting.source, Fault("script_unused", {"role": role}))
    elif not words(setting.value):
        world.wrong(setting.source, Fault("script_no_words"))


def _writer(world: World, role: str, via: str) -> None:
    """Demand of the active master role that its lease ends, and that no host is taken to be off for its silence."""
    setting = world["role"][role]["vip_via"]
    lease = world.value("top", "", "vip_lease")
    if lease is not None and not lease:
        world.wrong(setting.source, Fault("via_without_lease", {"role": role, "via": via}))
    silent = world["monitor"].get("", {}).get("dead_when_silent")
    if silent and silent.value:
        world.wrong(silent.source, Fault("via_is_silent", {"role": role, "via": via}))
