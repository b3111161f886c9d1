"""What became of a request to an agent, and the event that this is."""

from dataclasses import dataclass, replace

from mmm.monitor.world.events import Answer, Answered
from mmm.monitor.world.orders import Tell
from mmm.wire import lead
from mmm.wire.agent import Reply
from mmm.wire.caught_up import caught_up_in
from mmm.wire.held import held_in
from mmm.wire.job import ended_in, job_in
from mmm.wire.promises import left_in
from mmm.wire.salvaged import salvaged_in
from mmm.wire.status import bound_in, is_halting, is_leaving, is_without
from mmm.wire.why import refusal_to_follow, why


@dataclass(frozen=True, slots=True)
class Spoken:
    """What became of a request: the reply where there was one, else why not."""

    answer: Answer
    text: str
    reply: Reply | None = None
    closed: bool = False
    """The host's system said that no agent listens."""


def of_reply(reply: Reply) -> Spoken:
    """Return what became of a request that was answered."""
    return Spoken(Answer.OK if reply.ok else Answer.ERROR, reply.text, reply)


def with_clearing(told: Spoken, clearing: Spoken) -> Spoken:
    """Return what became of a SET_STATUS that was obeyed and of the CLEAR_BAD_ROLES after it, as of one order.

    What the first answer says besides is in it. Where the second request was not answered, or never arrived, the order
    has no answer: it must not be taken for one that never arrived, for what it granted is granted.
    """
    if told.reply is None:
        return clearing
    if clearing.reply is None:
        return replace(told, answer=Answer.SILENT, text=clearing.text, closed=clearing.closed)
    fields = (*told.reply.fields, *clearing.reply.fields)
    return replace(clearing, reply=replace(clearing.reply, fields=fields))


def answered(order: Tell, spoken: Spoken) -> Answered:
    """Return the event that an order has come to."""
    reply, event = (
        spoken.reply,
        Answered(order.host, order.number, spoken.answer, spoken.text, closed=spoken.closed),
    )
    if reply is None:
        return event
    follows = lead.followed(reply) if reply.why == lead.OTHER_MONITOR else ""
    return replace(
        event,
        uptime=reply.uptime,
        token=reply.token,
        why=why(reply),
        refuses_to_follow=refusal_to_follow(reply),
        leaving=is_leaving(reply),
        halting=is_halting(reply),
        without=is_without(reply),
        salvaged=salvaged_in(reply),
        caught_up=caught_up_in(reply),
        follows=follows,
        stranger=lead.stranger(reply),
        differs=lead.differs(reply),
        shared=lead.shared_in(reply),
        job=job_in(reply),
        ended=ended_in(reply),
        bound=bound_in(reply),
        promised_for=left_in(reply),
        stays=held_in(reply),
    )
