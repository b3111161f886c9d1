"""Promises between agents: one refuses the writer role for a while, because another has it (rule 11.1)."""

import re
from typing import NamedTuple

from mmm.wire.agent import PROMISE, RELEASE, Reply, Request, WireError

_SECONDS = re.compile(r"[0-9]{1,6}")
_LEFT = "LEFT:"
_LEFT_SECONDS = re.compile(r"[0-9]{1,6}\.[0-9]{3}")


class AskedPromise(NamedTuple):
    """The question for a promise: that the writer role is refused for `length` seconds, for `holder` has it."""

    holder: str
    length: float
    token: str = ""
    """When it was asked, on the holder's clock: the name by which the promise is given back. Empty: it is not."""


def promise(host: str, asked: AskedPromise) -> Request:
    """Return the request that `host` refuses the writer role."""
    token = (asked.token,) if asked.token else ()
    return Request(PROMISE, host, (asked.holder, f"{asked.length:.0f}", *token))


def asked_promise(request: Request) -> AskedPromise:
    """Return what is asked with PROMISE; raises WireError."""
    if len(request.params) < 2 or not _SECONDS.fullmatch(request.params[1]):
        raise WireError(f"{PROMISE} needs a holder and a number of seconds")
    token = request.params[2] if len(request.params) > 2 else ""
    return AskedPromise(request.params[0], float(request.params[1]), token)


def release(host: str, holder: str, token: str) -> Request:
    """Return the request that gives back to `host` the promises that `holder` asked for up to the token's moment."""
    return Request(RELEASE, host, (holder, token))


def released(request: Request) -> tuple[str, str]:
    """Return the holder that gives promises back, and the token up to whose moment; raises WireError."""
    if len(request.params) < 2:
        raise WireError(f"{RELEASE} needs a holder and a token")
    return request.params[0], request.params[1]


def left_field(seconds: float) -> str:
    """Return the field of an ERROR that tells for how many seconds the role is refused yet."""
    return f"{_LEFT}{seconds:.3f}"


def left_in(reply: Reply) -> float | None:
    """Return for how many seconds the agent that answers ERROR refuses the role yet, None where it does not say so."""
    said = next((field.removeprefix(_LEFT) for field in reply.fields if field.startswith(_LEFT)), "")
    return float(said) if not reply.ok and _LEFT_SECONDS.fullmatch(said) else None
