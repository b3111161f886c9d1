"""What shows who gives an order, in the last parameters of requests and fields of replies: no sockets.

request   …|LEAD:NUMBER.ADDRESS.NONCE             the monitor that speaks; agents of MMM 2.x ignore it
reply     …|FOLLOWS:ADDRESS|WHY:other_monitor     refused, for the agent obeys the monitor there
…|STRANGER:ADDRESS                      obeyed, and another monitor was refused lately
"""

import re
from dataclasses import replace

from mmm.lead import Lead
from mmm.wire.agent import CLEAR_BAD_ROLES, CLIENTS, PING, PREPARE, SET_STATUS, Reply, Request

OTHER_MONITOR = "other_monitor"
"""Why an order is refused by an agent that obeys another monitor."""
ORDERS = frozenset({SET_STATUS, CLEAR_BAD_ROLES, PREPARE, CLIENTS})
"""What only the monitor that an agent follows may send."""
FREE = "FREE"
"""A parameter of PING: the monitor ends, and the agent may follow another at once."""

_ADDRESS = r"[A-Za-z0-9_.:%\[\]-]{1,80}"
_LEAD = re.compile(rf"LEAD:([0-9]{{1,15}})\.({_ADDRESS})\.([A-Za-z0-9-]{{1,40}})")
_FOLLOWS = re.compile(rf"FOLLOWS:({_ADDRESS})")
_STRANGER = re.compile(rf"STRANGER:({_ADDRESS})")


def lead_field(lead: Lead) -> str:
    """Return the parameter that names the monitor which speaks."""
    return f"LEAD:{lead.number}.{lead.address}.{lead.nonce}"


def signed_by(lead: Lead, request: Request) -> Request:
    """Return the request with the name of the monitor that speaks, where it is an order or ends the following."""
    if request.command in ORDERS or is_free(request):
        return replace(request, params=(*request.params, lead_field(lead)))
    return request


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
