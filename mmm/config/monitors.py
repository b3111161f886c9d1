"""What a conf says of more than one monitor: what must hold, the defaults, which of them is here (rule 14.2)."""

from collections.abc import Collection
from typing import Any

from mmm.config.addresses import is_loopback, is_no_machine
from mmm.config.names import NEED_MONITORS, WITNESS
from mmm.config.settings import World, each_of
from mmm.config.tree import Fault

MOST_VOTERS = 7
"""Voters where the conf names none: more cost a round of questions more and survive hardly more."""


def monitors(world: World) -> None:
    """Demand monitors that are machines, each once, and voters and a lease of the lead that go with them."""
    top = world["top"].get("", {})
    listed = top.get("monitors")
    for key in NEED_MONITORS:
        setting = top.get(key)
        if setting and setting.source and not listed:
            world.wrong(setting.source, Fault("without_monitors", {"key": key}))
    for setting in (listed, top.get("voters")):
        names = each_of(setting)
        for name in dict.fromkeys(names):
            if setting and names.count(name) > 1:
                world.wrong(setting.source, Fault("listed_twice", {"name": name}))
    _addresses(world)
    lead, vip = top.get("lead_lease"), world.value("top", "", "vip_lease")
    if listed and vip == 0:
        world.wrong(top["vip_lease"].source, Fault("monitors_without_lease"))
    if lead and lead.value and vip and lead.value > vip:
        world.wrong(lead.source, Fault("lead_lease_too_long", {"lead": lead.value, "vip": vip}))


def _addresses(world: World) -> None:
    """Refuse a monitor at a virtual IP, and one whose own address is not listed."""
    listed = world["top"].get("", {}).get("monitors")
    vips = {ip: name for name, role in world["role"].items() for ip in each_of(role.get("ips"))}
    own = world["monitor"].get("", {}).get("ip")
    for owner, setting in (("monitors", listed), ("the monitor", own)):
        for ip in each_of(setting):
            if setting and ip in vips:
                about = {"ip": ip, "owner": owner, "role": vips[ip]}
                world.wrong(setting.source, Fault("monitor_at_vip", about))
    for ip in each_of(listed):
        if listed and ip not in vips and (is_no_machine(ip) or is_loopback(ip)):
            world.wrong(listed.source, Fault("no_monitors_address", {"ip": ip}))
    if listed and listed.value and own and own.source and own.value and own.value not in listed.value:
        about = {"ip": own.value, "monitors": listed.value}
        world.wrong(own.source, Fault("monitor_not_listed", about))


def fill_in(world: World, top: dict[str, Any]) -> None:
    """Put in the defaults of what is asked for only where there are `monitors`."""
    if not top.get("monitors"):
        return
    top["voters"] = top.get("voters") or default_voters(world)
    top["lead_lease"] = top.get("lead_lease") or top["vip_lease"]


def default_voters(world: World) -> tuple[str, ...]:
    """Return the hosts that vote where the conf names none: the masters first, the witnesses last."""
    ranks = {"master": 0, WITNESS: 2}
    by_mode = sorted(world["host"], key=lambda name: ranks.get(world.value("host", name, "mode"), 1))
    return tuple(by_mode[:MOST_VOTERS])


def of_machine(listed: tuple[str, ...], own: Collection[str]) -> Fault | str:
    """Return which of the monitors is that of a machine with the addresses `own`, or why there is not one."""
    here = tuple(ip for ip in listed if ip in own)
    if len(here) == 1:
        return here[0]
    if here:
        return Fault("monitor_here_twice", {"here": here})
    others = tuple(ip for ip in own if not ip.startswith("127.") and ip != "::1")
    return Fault("monitor_not_here", {"monitors": listed, "own": others})
