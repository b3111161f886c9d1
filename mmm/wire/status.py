"""What an agent is to be, and what it says it is: SET_STATUS with its lease, and both questions (rules 4, 7)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from mmm.config.model import Vip
from mmm.lease.rules import FOREVER
from mmm.wire.agent import SET_STATUS, Reply, Request, WireError, decode_vips, encode_vips, sayable
from mmm.wire.caught_up import catch_up_field, ordered_catch_up
from mmm.wire.held import Stay, void_field
from mmm.wire.salvaged import ordered_salvage, salvage_field

FORCE = "FORCE"
"""A parameter of SET_STATUS behind the three that MMM 2.x knows: writes are to be allowed whatever is missing."""
DETACH = "DETACH"
"""Another such parameter: the other master was lost, and the active master is not to replicate what it has."""
ATTACH = "ATTACH"
"""Its end for a host without the role: it is to replicate again, though nobody is active master."""
PROBE = "PROBE"
"""Another one, with `stop` or `say`: before the writer's VIP is bound it is asked whether somebody has it."""
PROBE_STOP, PROBE_SAY = f"{PROBE}:stop", f"{PROBE}:say"
LEAVING = "LEAVING"
"""A field of an answer: the agent is being stopped, and its host holds the active master role by a lease that ends.

The next order is to grant the role for good; then the VIP stays after the agent.
"""
HALTING = "HALTING"
"""Another one, in its place: the roles are to go elsewhere, as the whole machine is being shut down or rebooted.

Or the agent is, and the host holds a role without an address, for which the agent answers load balancers.
"""
HAND_OVER_LIMIT = 12.0
"""Seconds that others have to take the roles of a machine that goes down; the angel ends the worker after 20.

The next order after the one by which it lets go of the last role says that its server is needed no more.
"""
WITHOUT = "WITHOUT"
"""A field of an ERROR for another conf: all of the order was done but for the active master role.

The host does not hold that, and its server is read_only.
"""
_BOUND = "BOUND:"
_LEASE = re.compile(r"LEASE:(forever|[0-9]{1,6}):([A-Za-z0-9.-]{1,80})")
_TOOK = re.compile(r"TOOK:([^|]{1,2000})")
_PART = re.compile(r"([^=,]{1,100})=([0-9]{1,7}\.[0-9])")


@dataclass(frozen=True, slots=True)
class LeaseOffer:
    """The fourth parameter of SET_STATUS: a lease of `length` seconds, or FOREVER, from the token's moment on."""

    length: float
    token: str


@dataclass(frozen=True, slots=True)
class Status:
    """What SET_STATUS orders and GET_AGENT_STATUS repeats; `master` is empty when there is none."""

    state: str
    vips: tuple[Vip, ...] = ()
    master: str = ""
    force: bool = False
    """The writer role is to be taken though not everything may be there (rule 10.10)."""
    detach: bool = False
    """The active master is not to replicate from the other master, which was lost and is not compared yet (10.16)."""
    attach: bool = False
    """Nobody is active master, and the host is to replicate again from the one that wrote last (10.16)."""
    probe: str = ""
    """The writer's last host has not confirmed that it let go: somebody may have its VIP (10.19).

    PROBE_STOP: then it is not bound, PROBE_SAY: it is said, and bound.
    """
    salvage: str = ""
    """The host whose binary log may have what is to be here before writes are allowed (10.10); empty: none."""
    catch_up: tuple[str, ...] = ()
    """The hosts to follow first, in order, up to what they have: they may have more of the lost writer's (10.10)."""


@dataclass(frozen=True, slots=True)
class SystemStatus:
    """What GET_SYSTEM_STATUS saw on the system itself; `source_ip` is empty without replication."""

    writable: bool
    vips: tuple[Vip, ...] = ()
    source_ip: str = ""


def set_status(
    host: str, status: Status, lease: LeaseOffer | None = None, void: Iterable[Stay] | None = None
) -> Request:
    """Return the request that makes `status` the agent's, with the lease for it, and the stays that are `void`."""
    more = [FORCE] * status.force + [DETACH] * status.detach + [ATTACH] * status.attach
    more += [status.probe] * bool(status.probe)
    more += [salvage_field(status.salvage)] if status.salvage else []
    more += [catch_up_field(status.catch_up)] if status.catch_up else []
    if lease is not None:
        length = "forever" if lease.length == FOREVER else f"{lease.length:.0f}"
        more = [f"LEASE:{length}:{lease.token}", *more, *([] if void is None else [void_field(void)])]
    return Request(SET_STATUS, host, (*_status_fields(status), *more))


def ordered_status(request: Request) -> Status:
    """Return what a SET_STATUS request orders, unknown extra parameters ignored; raises WireError."""
    more = request.params[3:]
    probe = next((each for each in (PROBE_STOP, PROBE_SAY) if each in more), "")
    return replace(
        _status(request.params, "SET_STATUS"),
        force=FORCE in more,
        detach=DETACH in more,
        attach=ATTACH in more,
        probe=probe,
        salvage=ordered_salvage(request),
        catch_up=ordered_catch_up(request),
    )


def granted(request: Request) -> LeaseOffer | None:
    """Return the lease in a SET_STATUS request, None where there is none, as from a classic monitor."""
    found = (match for each in request.params[3:] if (match := _LEASE.fullmatch(each)))
    match = next(found, None)
    if match is None:
        return None
    return LeaseOffer(FOREVER if match[1] == "forever" else float(match[1]), match[2])


def took_fields(parts: Iterable[tuple[str, float]]) -> tuple[str, ...]:
    """Return the reply field that tells how many seconds each part of a change took, none where nothing was done."""
    said = ",".join(f"{re.sub('[=,|]', ' ', sayable(name))}={1000 * seconds:.1f}" for name, seconds in parts)
    return (f"TOOK:{said}",) if said else ()


def took_in(reply: Reply) -> tuple[tuple[str, float], ...]:
    """Return the parts of a change and the seconds that each took, as far as the reply tells."""
    said = next((match[1] for field in reply.fields if (match := _TOOK.fullmatch(field))), "")
    parts = (_PART.fullmatch(part) for part in said.split(","))
    return tuple((part[1], float(part[2]) / 1000) for part in parts if part)


def bound_field(ips: Iterable[str]) -> str:
    """Return the reply field that names the VIPs which stand on a host after an order that was not carried out."""
    return f"{_BOUND}{','.join(sorted(ips))}"


def bound_in(reply: Reply) -> frozenset[str] | None:
    """Return the VIPs that stand on the host of an agent which answers ERROR, None where it does not say so."""
    said = next((field for field in reply.fields if field.startswith(_BOUND)), None)
    return None if said is None or reply.ok else frozenset(filter(None, said[len(_BOUND) :].split(",")))


def is_leaving(reply: Reply) -> bool:
    """Tell whether the agent that answered is being stopped and leaves the active master role to its host."""
    return LEAVING in reply.fields


def is_halting(reply: Reply) -> bool:
    """Tell whether the machine of the agent that answered is being shut down or rebooted."""
    return HALTING in reply.fields


def is_without(reply: Reply) -> bool:
    """Tell whether the agent that refused an order for its conf has done the rest, and is without the role."""
    return not reply.ok and WITHOUT in reply.fields


def agent_status_fields(status: Status) -> tuple[str, ...]:
    """Return the reply fields that tell the status last set."""
    return _status_fields(status)


def agent_status(reply: Reply) -> Status:
    """Return the status in the reply to GET_AGENT_STATUS; raises WireError."""
    return _status(reply.fields, "GET_AGENT_STATUS answer")


def system_status_fields(status: SystemStatus) -> tuple[str, ...]:
    """Return the reply fields that tell what was seen on the system."""
    return ("1" if status.writable else "", encode_vips(status.vips), status.source_ip)


def system_status(reply: Reply) -> SystemStatus:
    """Return what the reply to GET_SYSTEM_STATUS saw; raises WireError."""
    if len(reply.fields) < 3:
        raise WireError(f"GET_SYSTEM_STATUS answer has {len(reply.fields)} fields instead of 3")
    writable, vips, source_ip = reply.fields[:3]
    return SystemStatus(writable == "1", decode_vips(vips), source_ip)


def _status_fields(status: Status) -> tuple[str, ...]:
    return (status.state, encode_vips(status.vips), status.master)


def _status(fields: tuple[str, ...], what: str) -> Status:
    if len(fields) < 3:
        raise WireError(f"{what} has {len(fields)} fields instead of 3: state, roles, active master")
    state, vips, master = fields[:3]
    return Status(state, decode_vips(vips), master)
