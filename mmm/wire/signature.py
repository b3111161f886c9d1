"""Signatures by `auth_key`, which all daemons of a cluster have in their confs: no sockets.

    request   …|SIG:TOKEN:NONCE:MAC      TOKEN was given by the agent that is asked, lately; NONCE is the sender's
    reply     …|SIG:MAC|…                by the request's MAC: it answers that request and no other

A MAC is HMAC-SHA256. What a signature says of time is the agent's to judge: see `mmm.agent.act.authority`.
"""

import hmac
import re
from dataclasses import replace
from typing import NamedTuple

from mmm.wire.agent import NO_LEASE, Reply, Request, encode_reply, encode_request

_REQUEST = re.compile(r"SIG:([A-Za-z0-9.-]{1,80}):([0-9a-f]{8,32}):([0-9a-f]{64})")
_FRESH = re.compile(r"FRESH:([A-Za-z0-9.-]{1,80})")
_REPLY = re.compile(r"SIG:([0-9a-f]{64})")


class Signature(NamedTuple):
    """The signature of a request."""

    token: str
    nonce: str
    mac: str


def fresh_field(token: str) -> str:
    """Return the field by which an agent that gives no leases gives a token to sign with."""
    return f"FRESH:{token}"


def fresh(reply: Reply) -> str:
    """Return the token that a reply has brought to sign with; empty if it has none."""
    given = (match[1] for field in reply.fields if (match := _FRESH.fullmatch(field)))
    return next(given, "" if reply.token == NO_LEASE else reply.token)


def mac(key: str, *parts: str | bytes) -> str:
    """Return the MAC of the parts, in hex."""
    told = hmac.new(key.encode(), digestmod="sha256")
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        told.update(len(data).to_bytes(4) + data)
    return told.hexdigest()


def sign(key: str, request: Request, token: str, nonce: str) -> Request:
    """Return the request with its signature; `token` is one of the agent's."""
    signed = mac(key, "request", encode_request(request), token, nonce)
    return replace(request, params=(*request.params, f"SIG:{token}:{nonce}:{signed}"))


def signature(request: Request) -> Signature | None:
    """Return the signature that a request carries, None where there is none."""
    match = _REQUEST.fullmatch(request.params[-1]) if request.params else None
    return None if match is None else Signature(*match.groups())


def is_signed(key: str, request: Request) -> bool:
    """Tell whether the request carries a signature that is right."""
    found = signature(request)
    if found is None:
        return False
    bare = replace(request, params=request.params[:-1])
    right = mac(key, "request", encode_request(bare), found.token, found.nonce)
    return hmac.compare_digest(right, found.mac)


def sign_reply(key: str, reply: Reply, request: Request) -> Reply:
    """Return the reply with its signature, as it is where the request has none."""
    found = signature(request)
    if found is None:
        return reply
    signed = mac(key, "reply", found.mac, encode_reply(reply))
    return replace(reply, fields=(*reply.fields, f"SIG:{signed}"))


def verified(key: str, reply: Reply, request: Request) -> Reply | None:
    """Return the reply without its signature, None where that is missing or wrong."""
    asked = signature(request)
    match = _REPLY.fullmatch(reply.fields[-1]) if reply.fields else None
    if asked is None or match is None:
        return None
    bare = replace(reply, fields=reply.fields[:-1])
    right = mac(key, "reply", asked.mac, encode_reply(bare))
    return bare if hmac.compare_digest(right, match[1]) else None
