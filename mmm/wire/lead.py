"""What tells who gives an order, in the last parameters of requests and the last fields of replies: no sockets.

request   …|LEAD:NUMBER.ADDRESS.NONCE             the monitor that speaks; agents of MMM 2.x ignore it
reply     …|FOLLOWS:ADDRESS|WHY:other_monitor     refused, for the agent obeys the monitor there
reply     …|STRANGER:ADDRESS                      obeyed, and another monitor was refused lately
request   …|CONF:KEY=DIGEST,…                     what leases rest on in the sender's conf
reply     …|DIFFERS:KEY,…                         the agent's conf has something else there
reply     …|SHARED:DIGEST                         of all that has to be the same in the conf of each daemon
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from mmm.lease.lead import Lead
from mmm.wire.agent import AHEAD, CLEAR_BAD_ROLES, CLIENTS, PING, PREPARE, SET_STATUS, Reply, Request
from mmm.wire.rejoin import REJOIN

OTHER_MONITOR = "other_monitor"
"""Why an order is refused by an agent that obeys another monitor."""
ORDERS = frozenset({SET_STATUS, CLEAR_BAD_ROLES, PREPARE, CLIENTS, REJOIN, AHEAD})
"""What only the monitor that an agent follows may send."""
AUTH = "auth"
"""Why a request is refused that does not show that it comes from a daemon of the cluster."""
STALE = "stale_signature"
"""Why one is refused that was signed with a token from before this start of the agent, or too long ago."""
FREE = "FREE"
"""A parameter of PING: the monitor ends, and the agent may follow another at once."""

CONF = "conf"
"""Why what would prolong a lease is refused: the confs differ in what leases rest on."""

_CONF = re.compile(r"CONF:([a-z_]{1,20}=[0-9a-f]{4,64}(?:,[a-z_]{1,20}=[0-9a-f]{4,64}){0,9})")
_DIFFERS = re.compile(r"DIFFERS:([a-z_]{1,20}(?:,[a-z_]{1,20}){0,9})")
_SHARED = re.compile(r"SHARED:([0-9a-f]{4,64})")
_ADDRESS = r"[A-Za-z0-9_.:%\[\]-]{1,80}"
_LEAD = re.compile(rf"LEAD:([0-9]{{1,15}})\.({_ADDRESS})\.([A-Za-z0-9-]{{1,40}})")
_FOLLOWS = re.compile(rf"FOLLOWS:({_ADDRESS})")
_STRANGER = re.compile(rf"STRANGER:({_ADDRESS})")


def lead_field(lead: Lead) -> str:
    """Return the parameter that names the monitor which speaks."""
    return f"LEAD:{lead.number}.{lead.address}.{lead.nonce}"


def signed_by(lead: Lead, request: Request, digests: Mapping[str, str] | None = None) -> Request:
    """Return the request with the name of the monitor that speaks, where it is an order or ends the following.

    `digests` are those of the conf, see `with_conf`.
    """
    if request.command not in ORDERS and not is_free(request):
        return request
    request = with_conf(request, digests) if digests and request.command == SET_STATUS else request
    return replace(request, params=(*request.params, lead_field(lead)))


def with_conf(request: Request, digests: Mapping[str, str]) -> Request:
    """Return the request with the digests of what leases rest on in the conf of who sends it."""
    said = ",".join(f"{key}={digest}" for key, digest in digests.items())
    return replace(request, params=(*request.params, f"CONF:{said}"))


def conf_of(request: Request) -> Mapping[str, str]:
    """Return the digests in a request, none where it has none."""
    found = next((match for param in request.params if (match := _CONF.fullmatch(param))), None)
    pairs = (part.partition("=") for part in found[1].split(",")) if found else ()
    return {key: digest for key, _, digest in pairs}


def differs_field(keys: Iterable[str]) -> str:
    """Return the field that names the keys in which the confs differ."""
    return f"DIFFERS:{','.join(keys)}"


def differs(reply: Reply) -> tuple[str, ...]:
    """Return the keys in which the agent's conf differs from that of who asked, by its reply."""
    said = _first(_DIFFERS, reply)
    return tuple(said.split(",")) if said else ()


def shared_field(digest: str) -> str:
    """Return the field with the digest of what has to be the same in all confs."""
    return f"SHARED:{digest}"


def shared_in(reply: Reply) -> str:
    """Return that digest of the agent's conf, empty where the reply has none."""
    return _first(_SHARED, reply)


def is_free(request: Request) -> bool:
    """Tell whether the request says that its monitor ends."""
    return request.command == PING and FREE in request.params


def lead_of(request: Request) -> Lead | None:
    """Return the monitor that a request comes from, None where it does not say: a classic one, or no monitor."""
    found = (match for param in request.params if (match := _LEAD.fullmatch(param)))
    match = next(found, None)
    return None if match is None else Lead(int(match[1]), match[2], match[3])


def follows_field(lead: Lead) -> str:
    """Return the field of a refusal that names the monitor which is followed."""
    return f"FOLLOWS:{lead.address}"


def followed(reply: Reply) -> str:
    """Return the address of the monitor that the agent follows instead, empty where it does not say so."""
    return _first(_FOLLOWS, reply)


def stranger_field(address: str) -> str:
    """Return the field that names another monitor which was refused."""
    return f"STRANGER:{address}"


def stranger(reply: Reply) -> str:
    """Return the address of another monitor that the agent has refused lately, empty where there was none."""
    return _first(_STRANGER, reply)


def _first(pattern: re.Pattern[str], reply: Reply) -> str:
    return next((match[1] for field in reply.fields if (match := pattern.fullmatch(field))), "")
