"""Why no host holds a VIP. Pure."""

from mmm.config.model import Vip
from mmm.monitor.assess import promotion
from mmm.monitor.decide.vacancy import Reason, unfit, vacancy
from mmm.monitor.world.said import listed
from mmm.monitor.world.world import Mode, World


def is_due(world: World, vip: Vip) -> bool:
    """Tell whether a host can take the VIP, so that the next turn gives it to one."""
    return world.mode is not Mode.PASSIVE and bool(promotion.eligible(world, world.conf.roles[vip.role]))


def why(world: World, vip: Vip) -> str:
    """Return why no host holds the VIP."""
    vacant = vacancy(world) if vip.role == world.conf.active_master_role else None
    if vacant is not None and not is_due(world, vip):
        return f"no host can take it: {vacant.text}" if vacant.code is Reason.NO_HOST else vacant.text
    if is_due(world, vip):
        return "it is assigned at the next turn"
    return "passive mode" if world.mode is Mode.PASSIVE else f"no host can take it: {no_host(world, vip)}"


def no_host(world: World, vip: Vip) -> str:
    """Return what each host of the VIP's role is, none of which can take it."""
    return listed(unfit(world, world.conf.roles[vip.role]))
