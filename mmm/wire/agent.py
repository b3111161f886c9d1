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
from dataclasses import dataclass

from mmm.config.model import Vip
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
"""Says that the active master role is about to come, so that all is at hand for it; agents of MMM 2.x answer ERROR."""
PROMISE = "PROMISE"
RELEASE = "RELEASE"
"""Gives promises back: the host that they were given to has given the writer role up."""
HELD = "HELD"
"""Asks to refuse the writer role, for its holder leaves the VIP for good: `mmm.wire.held`."""
REACHABLE = "REACHABLE"
"""Asks whether this host reaches another one; agents of MMM 2.x answer ERROR to it: no opinion."""

AHEAD = "AHEAD"
"""Has the next writer's agent get a dead server's binary log in advance: `mmm.wire.ahead`."""

NOTES = "NOTES"
"""Asks what the agent sees of its server that the monitor may not; agents of MMM 2.x answer ERROR to it."""
DOCTOR = "DOCTOR"
"""Asks for a look at this host and from it at others, see `mmm.doctor`; agents of MMM 2.x answer ERROR to it."""

WATCH = "WATCH"
"""Is answered when the server's process has ended, or after a while; agents of MMM 2.x are not asked."""

ABSENT = "ABSENT"
"""Asks whether nothing answers this host's ARP for another host and a VIP; agents of MMM 2.x answer ERROR to it."""


NO_LEASE = "-"
"""The token in the answers of an agent whose conf has no leases; one of MMM 2.x gives no token at all."""

_UNSAYABLE = re.compile(r"[|\r\n\0\ud800-\udfff]")
_VIP = re.compile(r"([^(),|\s]+)\(([^(),|\s]+)\)")
_TOKEN = re.compile(r"T:([A-Za-z0-9.-]{1,80})")
_WHY = re.compile(r"WHY:([a-z][a-z0-9_]{0,39})")
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

    @property
    def said(self) -> str:
        """Return what stands behind OK or ERROR, for people; the whole text where that is all."""
        return self.text.partition(": ")[2] or self.text


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


def is_sayable(text: str) -> bool:
    """Tell whether `text` can be a field of a line as it is."""
    return not _UNSAYABLE.search(text)


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


def _vip(text: str) -> Vip:
    match = _VIP.fullmatch(text)
    if match is None:
        raise WireError(f"{text[:60]!r} is not ROLE(IP)")
    return Vip(match[1], match[2])


def _line(fields: tuple[str, ...]) -> bytes:
    for part in fields:
        if _UNSAYABLE.search(part):
            raise WireError(f"{part[:60]!r} holds a character that ends a field or a line, or an invalid one")
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
