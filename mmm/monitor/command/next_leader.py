"""What `hand_over` is answered after: that another monitor leads, or that none has taken the lead (rule 14.2)."""

from typing import NamedTuple

from mmm.monitor.command.texts import Verdict
from mmm.monitor.world.leadership import HandOver, Place
from mmm.monitor.world.world import World


class NextLeader(NamedTuple):
    """Another monitor is to lead, the one at the address `target` where that is given."""

    target: str = ""


def came_of(world: World, awaited: NextLeader) -> Verdict | None:
    """Return the answer once it is known which monitor leads now, None before."""
    now, own = world.leadership, world.conf.monitor.ip if world.conf.monitor else ""
    if isinstance(now.asked, HandOver):
        return None
    about = {"own": own, "monitor": awaited.target, "leader": now.leader}
    if now.place is Place.LEADS:
        return Verdict("not_handed_over", about)
    if now.place is Place.TAKES or now.leader in ("", own):
        return None
    right = awaited.target in ("", now.leader)
    return Verdict("handed_over" if right else "handed_to_another", about)
