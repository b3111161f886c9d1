"""What becomes of an order to rebuild a host, as its agent answers and tells later."""

from dataclasses import replace

from mmm.monitor.world.attempt import Attempt, Step
from mmm.monitor.world.events import Answered, RejoinAnswered
from mmm.monitor.world.host import HostWorld, State
from mmm.monitor.world.world import World
from mmm.wire.job import Kind, Result
from mmm.wire.rejoin import NOT_ALLOWED
from mmm.wire.why import UNKNOWN_COMMAND

_LASTING = frozenset({NOT_ALLOWED, UNKNOWN_COMMAND})


def ordered(world: World, event: RejoinAnswered, now: float) -> World:
    """Return the world once an agent has answered the order to rebuild its host, or has not."""
    host = world.hosts[event.host]
    again = host.attempt is not None and host.attempt.again
    attempt = Attempt(Step.BEGUN, now, again=again)
    if not event.begun:
        step = Step.NOT_ALLOWED if event.why in _LASTING else Step.REFUSED
        attempt = Attempt(step, now, "; ".join(event.lines), event.reasons, again)
    return world.with_host(event.host, replace(host, attempt=attempt))


def told_of(host: HostWorld, event: Answered, now: float) -> HostWorld:
    """Return the host as its agent tells of jobs: of one that is open, and of the last one that has ended.

    An end that this monitor has not heard of counts from now on, whoever has begun the job. That of a host in use was
    before the monitor started: it has helped, and what fails later is another matter. A restore or a new host's copy
    is no attempt to have the host join.
    """
    ended = event.ended
    if ended is None or ended.name == host.ended_job:
        return replace(host, job=event.job)
    if ended.kind != Kind.REJOIN:
        return replace(host, job=event.job, ended_job=ended.name)
    step = Step.DONE if ended.result is Result.DONE else Step.FAILED
    attempt = None if host.state is State.ONLINE else Attempt(step, now)
    return replace(host, job=event.job, ended_job=ended.name, attempt=attempt)
