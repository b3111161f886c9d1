"""The control protocol between mmm_control and the monitor (rule 5): encode and decode, no sockets.

The client sends `COMMAND ARG…` LF `quit` LF; the monitor answers each command and closes. Nothing marks
the end of an answer but the end of file. The layouts of `show`, `checks` and `mode` are kept to the blank,
since people's scripts read them; what the builders here write, the readers here read back, also from a
classic monitor.

`json COMMAND…` is answered by values, `status` by one document of all of them (docs/status.schema.json). `follow` is
the one command whose answer does not end: see `mmm.wire.follow`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from mmm.config.model import Vip
from mmm.wire.agent import WireError, decode_vips
from mmm.wire.command import HELP, INVALID, LINE_END

MODES = ("ACTIVE", "MANUAL", "WAIT", "PASSIVE")
"""What `mode` answers, without a line end."""

_CHECK_WIDTH = len("rep_backlog")
_PASSIVE = "# --- Monitor is in PASSIVE MODE ---"
_CAUSE = "# Cause: "
_WARNING = "# Warning: "
_LEAD = re.compile(r"# (\S+ leads[ ,]|\S+, this one, |No monitor leads)")
_LEGACY_HEADER = "Servers status:"
_HOST = re.compile(r"  ([^(),|\s]+)\(([^(),|\s]*)\)(:?) (\w+)/(\w+)\. Roles: (.*)")
_HELD = re.compile(r"# Role (\S+) is assigned to it's preferred host (\S+)\.")
_AWAY = re.compile(
    r"# Role (\S+) has (\S+) configured as it's preferred host(?: but is assigned to (\S+) at the moment)?\."
)
_REACHED = re.compile(r"# Role (\S+) is reached by ([a-z]+), not by ARP\.")
_CHECK = re.compile(r"(\S+) +(\S+) +\[last change: ([^\]\n]*)\]  (.*)")


@dataclass(frozen=True, slots=True)
class ShowHost:
    """One host of `show`: where it is, what it is, what it holds."""

    name: str
    ip: str
    mode: str
    state: str
    vips: tuple[Vip, ...] = ()


@dataclass(frozen=True, slots=True)
class Preference:
    """Where an exclusive role with `prefer` stands; `holder` is empty when nobody holds it."""

    role: str
    host: str
    holder: str = ""


@dataclass(frozen=True, slots=True)
class Reached:
    """How clients come to who holds a role, where MMM binds no IP for it: `via` is a word of `vip_via`."""

    role: str
    via: str


@dataclass(frozen=True, slots=True)
class Show:
    """All that `show` tells.

    `passive` is the cause of passive mode, None in the other modes. `warnings` are sentences
    such as `unreachable()` makes.
    """

    hosts: tuple[ShowHost, ...]
    passive: str | None = None
    warnings: tuple[str, ...] = ()
    preferences: tuple[Preference, ...] = ()
    lead: str = ""
    """Which monitor leads, where there is more than one."""
    reached: tuple[Reached, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckLine:
    """One line of `checks`; `changed` is local time, `YYYY/MM/DD HH:MM:SS`."""

    host: str
    check: str
    changed: str
    message: str


def decode_command(line: bytes) -> tuple[str, ...] | None:
    """Return the words of the command in `line` (with or without line end), `("quit",)` for the last one.

    Returns None for what cannot be a command: nothing, blanks before the first word, or not UTF-8.
    """
    try:
        text = line.rstrip(b"\r\n").decode()
    except UnicodeDecodeError:
        return None
    return tuple(text.split()) if text and not text[0].isspace() else None


def invalid_command(line: bytes) -> str:
    """Return the answer to a line that is no command, or has too few or too many words."""
    return f"{INVALID} '{_one_line(line[:200].decode(errors='replace').rstrip())}'\n\n{HELP}"


def unreachable(host: str) -> str:
    """Return the warning of `show` for a host whose agent does not answer."""
    return f"agent on host {host} is not reachable"


def encode_show(show: Show, dialect: Literal[1, 2] = 2) -> str:
    """Return the answer to `show`: hosts in name order, in the layout of the conf's dialect.

    First which monitor leads, where there are several; then in the order of the classic: passive mode, warnings,
    hosts, then where preferred roles stand, and which roles are reached without a bound IP.
    """
    lines: list[str] = [f"# {_one_line(show.lead)}"] if show.lead else []
    if show.passive is not None:
        first, *more = map(_one_line, show.passive.split("\n"))
        lines += [_PASSIVE, _CAUSE + first, *(f"# {line}" for line in more)]
    lines += [_WARNING + _one_line(warning) for warning in show.warnings]
    if dialect == 1:
        lines.append(_LEGACY_HEADER)
    lines += [_host_line(host, dialect) for host in sorted(show.hosts, key=lambda host: host.name)]
    lines += map(_preference_line, show.preferences)
    lines += (f"# Role {each.role} is reached by {each.via}, not by ARP." for each in show.reached)
    return "".join(f"{line}\n" for line in lines)


def decode_show(text: str) -> Show:
    """Return what an answer to `show` tells, in either layout; raises WireError."""
    passive: list[str] | None = None
    hosts: list[ShowHost] = []
    warnings: list[str] = []
    preferences: list[Preference] = []
    reached: list[Reached] = []
    lead = ""
    for line in text.removesuffix("\n").split("\n"):
        if host := _HOST.fullmatch(line):
            hosts.append(_host(host))
        elif line.startswith(_WARNING):
            warnings.append(line.removeprefix(_WARNING))
        elif preference := _HELD.fullmatch(line) or _AWAY.fullmatch(line):
            role, prefer, *holder = preference.groups()
            preferences.append(Preference(role, prefer, holder[0] or "" if holder else prefer))
        elif way := _REACHED.fullmatch(line):
            reached.append(Reached(*way.groups()))
        elif not lead and _LEAD.match(line):
            lead = line.removeprefix("# ")
        elif line == _PASSIVE:
            passive = []
        elif passive is not None and not hosts and line.startswith("# "):
            passive.append(line.removeprefix("# " if passive else _CAUSE))
        elif line and line != _LEGACY_HEADER:
            raise WireError(f"{line[:80]!r} is no line of an answer to show")
    cause = None if passive is None else "\n".join(passive)
    return Show(tuple(hosts), cause, tuple(warnings), tuple(preferences), lead, tuple(reached))


def encode_checks(lines: Iterable[CheckLine]) -> str:
    """Return the answer to `checks` for `lines`, in their order.

    Hosts are padded to the longest name when there are several, checks when there are several.
    A single line has no line end.
    """
    lines = tuple(lines)
    width = max((len(line.host) for line in lines), default=0)
    check_width = _CHECK_WIDTH if len({line.check for line in lines}) > 1 else 0
    shown = [
        f"{line.host:<{width}}  {line.check:<{check_width}}  [last change: {line.changed}]"
        f"  {_one_line(line.message)}"
        for line in lines
    ]
    return shown[0] if len(shown) == 1 else "".join(f"{line}\n" for line in shown)


def decode_checks(text: str) -> tuple[CheckLine, ...]:
    """Return the lines of an answer to `checks`; raises WireError."""
    return tuple(_check_line(line) for line in text.split("\n") if line)


def decode_mode(text: str) -> str:
    """Return the mode in an answer to `mode`; raises WireError."""
    mode = text.strip()
    if mode not in MODES:
        raise WireError(f"{text[:80]!r} is not one of the modes {', '.join(MODES)}")
    return mode


def _host_line(host: ShowHost, dialect: Literal[1, 2]) -> str:
    vips = sorted(host.vips, key=str)
    if dialect == 2:
        roles = ", ".join(map(str, vips))
        return f"  {host.name}({host.ip}) {host.mode}/{host.state}. Roles: {roles}"
    grouped = groupby(vips, key=lambda vip: vip.role)
    roles = ", ".join(f"{role}({''.join(f'{vip.ip};' for vip in group)})" for role, group in grouped)
    return f"  {host.name}({host.ip}): {host.mode}/{host.state}. Roles: {roles or 'None'}"


def _host(match: re.Match[str]) -> ShowHost:
    name, ip, colon, mode, state, roles = match.groups()
    if not colon:
        return ShowHost(name, ip, mode, state, decode_vips(roles))
    parts = [] if roles == "None" else roles.split(", ")
    return ShowHost(name, ip, mode, state, tuple(vip for part in parts for vip in _grouped_vips(part)))


def _grouped_vips(text: str) -> tuple[Vip, ...]:
    role, bracket, ips = text.removesuffix(")").partition("(")
    if not (role and bracket and ips and text.endswith(")")):
        raise WireError(f"{text[:60]!r} is not ROLE(IP;…)")
    return tuple(Vip(role, ip) for ip in ips.split(";") if ip)


def _preference_line(preference: Preference) -> str:
    role, host, holder = preference.role, preference.host, preference.holder
    if holder == host:
        return f"# Role {role} is assigned to it's preferred host {host}."
    away = f" but is assigned to {holder} at the moment" if holder else ""
    return f"# Role {role} has {host} configured as it's preferred host{away}."


def _check_line(line: str) -> CheckLine:
    match = _CHECK.fullmatch(line)
    if match is None:
        raise WireError(f"{line[:80]!r} is no line of an answer to checks")
    return CheckLine(*match.groups())


def _one_line(text: str) -> str:
    """Return `text` without line ends and without what no UTF-8 can say."""
    return LINE_END.sub(" ", text).encode(errors="backslashreplace").decode()
