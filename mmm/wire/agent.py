r"""The line protocol between monitor and agent (rule 4): encode and decode, no sockets.

    request   COMMAND|VERSION|HOST|param|param…\n       VERSION is 1, HOST the agent's own name
    reply     TEXT|field|…|WHY:CODE|T:TOKEN|UP:SECONDS\n   TEXT begins with OK or ERROR; the classic has no T:TOKEN,
                                                        no WHY:CODE, and in answer to SET_STATUS no
                                                        TOOK:NAME=MS,NAME=MS

Nothing is decided by the words of TEXT: an ERROR carries a code, see `mmm.wire.why`.

Empty fields are kept, trailing ones too. What one side encodes the other side decodes to an equal value;
what cannot be said on the wire (a line end or `|` inside a field) cannot be encoded.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from mmm.config.model import Vip
from mmm.lease.rules import FOREVER
from mmm.wire import lines

VERSION = 1
MAX_LINE = lines.MAX_LINE

PING = "PING"
SET_STATUS = "SET_STATUS"
GET_AGENT_STATUS = "GET_AGENT_STATUS"
GET_SYSTEM_STATUS = "GET_SYSTEM_STATUS"
CLEAR_BAD_ROLES = "CLEAR_BAD_ROLES"
CLIENTS = "CLIENTS"
"""Asks about the clients that a move would end; agents of MMM 2.x answer ERROR to it.

A parameter names the monitor's MySQL user, whose sessions are no clients: most agents' confs do not.
"""
PREPARE = "PREPARE"
"""Says that the active master role is about to come, so that what it takes is at hand; the same is true of it."""
FORCE = "FORCE"
"""A parameter of SET_STATUS behind the three that MMM 2.x knows: writes are to be allowed whatever is missing."""
DETACH = "DETACH"
"""Another such parameter: the other master was lost, the active master is not to take what that one has by itself."""
PROBE = "PROBE"
"""Another one, with `stop` or `say`: before the writer's VIP is bound it is asked whether somebody has it."""
PROMISE = "PROMISE"
RELEASE = "RELEASE"
"""Gives promises back: the host that they were given to has given the writer role up."""
REACHABLE = "REACHABLE"
"""Asks whether this host reaches another one; agents of MMM 2.x answer ERROR to it: no opinion."""

NOTES = "NOTES"
"""Asks what the agent sees of its server that the monitor may not; agents of MMM 2.x answer ERROR to it."""
EVENTS, DISK_FULL = "events", "disk_full"
"""Codes of notes: a MySQL event is ENABLED; threads wait for space on a disk."""
DOCTOR = "DOCTOR"
"""Asks for a look at this host and from it at others, see `mmm.doctor`; agents of MMM 2.x answer ERROR to it."""
LEAVING = "LEAVING"
"""A field of an answer: the agent is being stopped, and its host holds the active master role by a lease that ends.

The next order is to grant the role for good; then the VIP stays after the agent.
"""

ABSENT = "ABSENT"
"""Asks whether nothing answers this host's ARP for another host and a VIP; agents of MMM 2.x answer ERROR to it."""

PROBE_STOP, PROBE_SAY = f"{PROBE}:stop", f"{PROBE}:say"

_CLIENTS_FIELDS = 9
NO_LEASE = "-"
"""The token in the answers of an agent whose conf has no leases; one of MMM 2.x gives no token at all."""

_UNSAYABLE = re.compile(r"[|\r\n\0\ud800-\udfff]")
_VIP = re.compile(r"([^(),|\s]+)\(([^(),|\s]+)\)")
_TOKEN = re.compile(r"T:([A-Za-z0-9.-]{1,80})")
_WHY = re.compile(r"WHY:([a-z][a-z0-9_]{0,39})")
_LEASE = re.compile(r"LEASE:(forever|[0-9]{1,6}):([A-Za-z0-9.-]{1,80})")
_TOOK = re.compile(r"TOOK:([^|]{1,2000})")
_PART = re.compile(r"([^=,]{1,100})=([0-9]{1,7}\.[0-9])")
_NOTE = re.compile(r"([a-z][a-z0-9_]{0,39})=([0-9]{1,9})")
_SECONDS = re.compile(r"[0-9]{1,6}")
_UPTIME = re.compile(r"UP:([0-9]{1,15}(?:\.[0-9]{1,9})?)")


WireError = lines.WireError


@dataclass(frozen=True, slots=True)
class Request:
    """One order or question to an agent."""

    command: str
    host: str
    params: tuple[str, ...] = ()
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Reply:
    """An agent's answer; `uptime` is the age of its system in seconds, `token` empty where it gives none."""

    text: str
    fields: tuple[str, ...] = ()
    uptime: float = 0.0
    token: str = ""
    why: str = ""
    """The code of an ERROR, as the agent says it: `mmm.wire.why.why` knows those of agents that say none too."""

    @property
    def ok(self) -> bool:
        """Tell whether the agent did what it was asked (rule 10.24: only OK is success)."""
        return self.text.startswith("OK")


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
    """The active master is not to replicate from the other master: that one was lost and is not compared (10.16)."""
    probe: str = ""
    """The writer's last host has not confirmed that it let go: somebody may have its VIP (10.19).

    PROBE_STOP: then it is not bound, PROBE_SAY: it is said, and bound.
    """


@dataclass(frozen=True, slots=True)
class Note:
    """Something that an agent sees of its server; `seconds` is for how long, 0 where that is not known."""

    code: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Clients:
    """The client sessions of a server, as its agent would treat them when the writer role goes."""

    at_rest: int
    """Would be ended at once."""
    writing: int
    """Would get a grace."""
    oldest: float = 0.0
    """Seconds that the oldest of these has been at its transaction."""
    who: str = ""
    """That session, in words."""
    idle: int = 0
    """Sessions without a statement that hold a transaction open which has changed rows, or locks some."""
    idle_for: float = 0.0
    """Seconds that the one of these which has rested longest has been without a statement."""
    idle_who: str = ""
    """That session, in words."""
    waiting: int = 0
    """Sessions that wait for a lock."""
    waited: float = 0.0
    """Seconds that the first of these has waited."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How a host reaches another one (rule 11.2); None where that cannot be told."""

    mysql: bool
    """Its server let the agent in, or turned it away with an answer."""
    agent: bool
    ping: bool | None = None
    replicates: bool | None = None
    """The IO thread of this host's replica is connected to it; None where it replicates from another."""


@dataclass(frozen=True, slots=True)
class SystemStatus:
    """What GET_SYSTEM_STATUS saw on the system itself; `source_ip` is empty without replication."""

    writable: bool
    vips: tuple[Vip, ...] = ()
    source_ip: str = ""


def encode_request(request: Request) -> bytes:
    """Return the request as a line with its LF; raises WireError for what cannot be said."""
    return _line((request.command, str(request.version), request.host, *request.params))


def decode_request(line: bytes) -> Request:
    """Return the request in `line` (with or without LF); raises WireError."""
    command, *rest = _fields(line)
    if len(rest) < 2:
        raise WireError(f"too few fields in {_shown(line)}: COMMAND|VERSION|HOST expected")
    version, host, *params = rest
    if not (version.isascii() and version.isdigit() and len(version) < 10):
        raise WireError(f"version {version[:20]!r} is not a number")
    return Request(command, host, tuple(params), int(version))


def encode_reply(reply: Reply) -> bytes:
    """Return the reply as a line with its LF; raises WireError for what cannot be said."""
    why = (f"WHY:{reply.why}",) if reply.why else ()
    token = (f"T:{reply.token}",) if reply.token else ()
    return _line((reply.text, *reply.fields, *why, *token, f"UP:{reply.uptime:.2f}"))


def decode_reply(line: bytes) -> Reply:
    """Return the reply in `line`; raises WireError for anything but a complete answer."""
    text, *rest = _fields(line)
    if not text.startswith(("OK", "ERROR")):
        raise WireError(f"answer {_shown(line)} begins with neither OK nor ERROR")
    uptime = _UPTIME.fullmatch(rest[-1]) if rest else None
    if uptime is None:
        raise WireError(f"answer {_shown(line)} does not end with UP:SECONDS")
    fields = rest[:-1]
    token = _TOKEN.fullmatch(fields[-1]) if fields else None
    if token is not None:
        fields.pop()
    why = _WHY.fullmatch(fields[-1]) if fields else None
    if why is not None:
        fields.pop()
    return Reply(text, tuple(fields), float(uptime[1]), token[1] if token else "", why[1] if why else "")


def sayable(text: str) -> str:
    """Return `text` fit for a field of a line: what would break the line becomes a blank."""
    return _UNSAYABLE.sub(" ", text)


def encode_vips(vips: Iterable[Vip]) -> str:
    """Return `writer(10.0.0.80),reader(10.0.0.90)`, sorted."""
    return ",".join(sorted(map(str, vips)))


def decode_vips(text: str) -> tuple[Vip, ...]:
    """Return the virtual IPs in `text`, in its order, each once; raises WireError."""
    if not text.strip():
        return ()
    return tuple(dict.fromkeys(_vip(part.strip()) for part in text.split(",")))


def set_status(host: str, status: Status, lease: LeaseOffer | None = None) -> Request:
    """Return the request that makes `status` the agent's, with the lease for it."""
    more = [FORCE] * status.force + [DETACH] * status.detach + [status.probe] * bool(status.probe)
    if lease is not None:
        length = "forever" if lease.length == FOREVER else f"{lease.length:.0f}"
        more = [f"LEASE:{length}:{lease.token}", *more]
    return Request(SET_STATUS, host, (*_status_fields(status), *more))


def ordered_status(request: Request) -> Status:
    """Return what a SET_STATUS request orders, unknown extra parameters ignored; raises WireError."""
    more = request.params[3:]
    probe = next((each for each in (PROBE_STOP, PROBE_SAY) if each in more), "")
    return replace(
        _status(request.params, "SET_STATUS"), force=FORCE in more, detach=DETACH in more, probe=probe
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


def took(reply: Reply) -> tuple[tuple[str, float], ...]:
    """Return the parts of a change and the seconds that each took, as far as the reply tells."""
    said = next((match[1] for field in reply.fields if (match := _TOOK.fullmatch(field))), "")
    parts = (_PART.fullmatch(part) for part in said.split(","))
    return tuple((part[1], float(part[2]) / 1000) for part in parts if part)


def is_leaving(reply: Reply) -> bool:
    """Tell whether the agent that answered is being stopped and leaves the active master role to its host."""
    return LEAVING in reply.fields


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


def reachable(host: str, other: str) -> Request:
    """Return the request that asks `host` whether it reaches `other`."""
    return Request(REACHABLE, host, (other,))


def asked_reachable(request: Request) -> str:
    """Return the host that is asked about; raises WireError."""
    if not request.params:
        raise WireError(f"{REACHABLE} needs the name of a host")
    return request.params[0]


def absent(host: str, other: str, ip: str) -> Request:
    """Return the request that asks `host` whether nothing answers ARP for `other` and for the VIP `ip`."""
    return Request(ABSENT, host, (other, ip))


def asked_absent(request: Request) -> tuple[str, str]:
    """Return the host and the VIP that are asked about; raises WireError."""
    if len(request.params) < 2:
        raise WireError(f"{ABSENT} needs the name of a host and a VIP")
    return request.params[0], request.params[1]


def absent_fields(*, nobody: bool) -> tuple[str, ...]:
    """Return the reply field that tells whether nobody has answered."""
    return (str(int(nobody)),)


def is_absent(reply: Reply) -> bool:
    """Tell whether the reply to ABSENT says that nobody has answered."""
    return reply.ok and reply.fields[:1] == ("1",)


def reach_fields(reach: Reach) -> tuple[str, ...]:
    """Return the reply fields that tell of it: ping, agent, mysql, replication, each 1, 0 or empty."""
    known = (reach.ping, reach.agent, reach.mysql, reach.replicates)
    return tuple("" if each is None else str(int(each)) for each in known)


def reach(reply: Reply) -> Reach:
    """Return what the reply to REACHABLE tells; raises WireError."""
    try:
        ping, agent, mysql, replicates = (_REACH[field] for field in reply.fields[:4])
    except (KeyError, ValueError) as error:
        raise WireError(
            f"{REACHABLE} answer {reply.fields!r:.80} is not ping, agent, mysql, replication"
        ) from error
    return Reach(bool(mysql), bool(agent), ping, replicates)


_REACH = {"": None, "0": False, "1": True}


def looked_fields(look: str) -> tuple[str, ...]:
    """Return the reply field with a look, a text without line ends and `|`."""
    return (look,)


def looked(reply: Reply) -> str:
    """Return the look in the reply to DOCTOR; raises WireError."""
    if not reply.fields:
        raise WireError(f"{DOCTOR} answer without a look")
    return reply.fields[0]


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


def notes_fields(notes: Iterable[Note]) -> tuple[str, ...]:
    """Return the reply fields that tell of them."""
    return tuple(f"{note.code}={note.seconds:.0f}" for note in notes)


def notes(reply: Reply) -> tuple[Note, ...]:
    """Return what the reply to NOTES tells, as far as it can be read."""
    found = (_NOTE.fullmatch(field) for field in reply.fields)
    return tuple(Note(match[1], float(match[2])) for match in found if match)


def ask_clients(host: str, monitor_user: str) -> Request:
    """Return the request that asks about clients other than the monitor's own user."""
    return Request(CLIENTS, host, ("" if _UNSAYABLE.search(monitor_user) else monitor_user,))


def clients_fields(clients: Clients) -> tuple[str, ...]:
    """Return the reply fields that tell of the clients."""
    known = (str(clients.at_rest), str(clients.writing), f"{clients.oldest:.1f}", sayable(clients.who))
    idle = (str(clients.idle), f"{clients.idle_for:.1f}", sayable(clients.idle_who))
    return (*known, *idle, str(clients.waiting), f"{clients.waited:.1f}")


def clients(reply: Reply) -> Clients:
    """Return what the reply to CLIENTS tells; raises WireError."""
    try:
        at_rest, writing, oldest, who = reply.fields[:4]
        known = Clients(_count(at_rest), _count(writing), _whole(oldest), who)
        if len(reply.fields) < _CLIENTS_FIELDS:  # of an older agent
            return known
        idle, idle_for, idle_who, waiting, waited = reply.fields[4:_CLIENTS_FIELDS]
        known = replace(known, idle=_count(idle), idle_for=_whole(idle_for), idle_who=idle_who)
        return replace(known, waiting=_count(waiting), waited=_whole(waited))
    except ValueError as error:
        raise WireError(
            f"CLIENTS answer {reply.fields!r:.80} is not at rest, writing, oldest, who"
        ) from error


def _whole(text: str) -> float:
    return float(_count(text.partition(".")[0]))


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ValueError(text)
    return int(text)


def _status_fields(status: Status) -> tuple[str, ...]:
    return (status.state, encode_vips(status.vips), status.master)


def _status(fields: tuple[str, ...], what: str) -> Status:
    if len(fields) < 3:
        raise WireError(f"{what} has {len(fields)} fields instead of 3: state, roles, active master")
    state, vips, master = fields[:3]
    return Status(state, decode_vips(vips), master)


def _vip(text: str) -> Vip:
    match = _VIP.fullmatch(text)
    if match is None:
        raise WireError(f"{text[:60]!r} is not ROLE(IP)")
    return Vip(match[1], match[2])


def _line(fields: tuple[str, ...]) -> bytes:
    for part in fields:
        if _UNSAYABLE.search(part):
            raise WireError(f"{part[:60]!r} holds a character that ends a field or a line, or is none")
    line = "|".join(fields).encode() + b"\n"
    if len(line) > MAX_LINE:
        raise WireError(f"a line of {len(line)} bytes is longer than {MAX_LINE}")
    return line


def _fields(line: bytes) -> list[str]:
    try:
        text = line.removesuffix(b"\n").decode()
    except UnicodeDecodeError:
        raise WireError(f"{_shown(line)} is not UTF-8") from None
    if "\n" in text:
        raise WireError(f"{_shown(line)} is more than one line")
    return text.split("|")


def _shown(line: bytes) -> str:
    return repr(line[:80].decode("ascii", "backslashreplace"))
