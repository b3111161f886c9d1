"""What the end of kill_host changes."""

from dataclasses import replace

from mmm.config.model import Vip
from mmm.lease.rules import NOTHING
from mmm.monitor.world.events import Killed
from mmm.monitor.world.link import Kill
from mmm.monitor.world.world import World


def killed(world: World, event: Killed, now: float) -> World:
    """Return the world after kill_host. Where it succeeded no failover waits for that host (rule 10.18).

    Where it failed, the active master role stays where it may be until its lease has run out (rule 10.14).
    """
    link = world.hosts[event.host].agent
    kept = world.master_vips & link.may_hold if event.failure and world.guarded else frozenset[Vip]()
    if event.failure:
        world = replace(world, unsure=world.unsure | (world.master_vips & link.may_hold - kept))
    if not event.failure and world.last_master == event.host:
        world = replace(world, failed_over=None)
    kill = Kill(failed=now if event.failure and world.guarded else None)
    link = link.emptied(kept, link.given if kept else NOTHING).overtaken()
    return world.with_agent(event.host, replace(link, kill=kill))
