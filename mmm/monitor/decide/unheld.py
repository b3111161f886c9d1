"""Why no host holds a VIP, as a value and in words. Pure."""

from typing import ClassVar

from mmm.config.model import Vip
from mmm.monitor.assess import promotion
from mmm.monitor.decide.vacancy import Reason, unfit, vacancy
from mmm.monitor.world.said import Said, Texts, listed
from mmm.monitor.world.world import Mode, World


class Unheld(Said):
    """Why no host holds a VIP, where that is not all told by the vacancy of its role."""

    __slots__ = ()

    texts: ClassVar[Texts] = {
        "due": "it is assigned at the next turn",
        "passive": "passive mode",
        "vacant": "no host can take it: {vacancy}",
        "no_host": lambda of: f"no host can take it: {listed(of['unfit'])}",
        "unfit": lambda of: listed(of["unfit"]),
    }


def is_due(world: World, vip: Vip) -> bool:
    """Tell whether a host can take the VIP, so that the next turn gives it to one."""
    return world.mode is not Mode.PASSIVE and bool(promotion.eligible(world, world.conf.roles[vip.role]))


def why(world: World, vip: Vip) -> Said:
    """Return why no host holds the VIP."""
    if is_due(world, vip):
        return Unheld("due")
    vacant = vacancy(world) if vip.role == world.conf.active_master_role else None
    if vacant is not None:
        return Unheld("vacant", {"vacancy": vacant}) if vacant.code is Reason.NO_HOST else vacant
    if world.mode is Mode.PASSIVE:
        return Unheld("passive")
    return Unheld("no_host", {"unfit": unfit(world, world.conf.roles[vip.role])})


def no_host(world: World, vip: Vip) -> Unheld:
    """Return what each host of the VIP's role is, none of which can take it."""
    return Unheld("unfit", {"unfit": unfit(world, world.conf.roles[vip.role])})
