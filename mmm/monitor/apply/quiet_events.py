"""Answers to heartbeats: which of them nothing follows from, so that no turn is due for them at once."""

from dataclasses import replace

from mmm.monitor.apply.events import Answer, Answered, Event
from mmm.monitor.decide import reconcile
from mmm.monitor.world.world import World


def only_heartbeat(before: World, after: World, event: Event, now: float) -> bool:
    """Tell whether the event is no more than an agent's OK to what it knew already, and nothing new is for it to do.

    All that it may change is the system's uptime and what the next order to the same agent needs.
    """
    if not isinstance(event, Answered) or event.answer is not Answer.OK or after.move is not None:
        return False
    old, new = before.hosts[event.host], after.hosts[event.host]
    if old.agent.greeting or old.agent.overtaken or old.agent.sent != old.agent.told:
        return False
    link = new.agent
    heard = replace(
        old.agent, sent=None, last_order=link.last_order, token=link.token, token_at=link.token_at
    )
    alike = replace(old, uptime=new.uptime, last_uptime=new.last_uptime, agent=heard)
    same = alike == new and replace(after, hosts=before.hosts) == before
    return same and not reconcile.is_due(after, event.host, now)
