"""What a round of questions to the voters changes (rule 14.2)."""

from dataclasses import replace

from mmm.monitor.world.events import Led
from mmm.monitor.world.world import World


def led(world: World, event: Led) -> World:
    """Return the world after it, in which agents may be sent the tokens of the event."""
    asked = None if event.done else world.leadership.asked
    leadership = replace(event.leadership, asked=asked)
    if not event.tokens and leadership == world.leadership:
        return world
    world = replace(world, leadership=leadership)
    for name, token in event.tokens.items():
        if name not in world.hosts:  # another conf has been taken since
            continue
        link = world.hosts[name].agent
        world = world.with_agent(name, replace(link, orders=replace(link.orders, token=token)))
    return world
