"""What the doctor sees, as frozen values that travel as JSON. Pure.

A look is made at the edge (`look_host`, `look_monitor`); `rules` says what is wrong with it. Unknown keys of another
version are left out, and what it does not tell has its default.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from mmm.wire.json_text import parsed
from mmm.wire.typed import built


class LookError(ValueError):
    """A text that is no look."""


@dataclass(frozen=True, slots=True)
class Lack:
    """A privilege that an account lacks, and the statement that gives it."""

    privilege: str
    statement: str


@dataclass(frozen=True, slots=True)
class Login:
    """How an account of MMM got on at a server: `problem` is empty where it was let in."""

    account: str
    """monitor, agent, replication or tools."""
    user: str
    to: str
    """The host of the server."""
    problem: str = ""
    answered: bool = True
    """The server answered, if only to turn it away."""
    lacks: tuple[Lack, ...] = ()
    statements: tuple[Lack, ...] = ()
    """What an agent's own lacks to apply statements of another server's binary log, in one."""


@dataclass(frozen=True, slots=True)
class Replica:
    """Where a server replicates from."""

    source_ip: str
    source_port: int
    user: str
    receives: bool
    applies: bool
    error: str = ""
    uses_gtid: bool = True
    delay: int = 0
    detached: bool = False
    start: str = "START REPLICA, or START SLAVE"
    """What starts it again, in the words of its server; an agent that does not tell may have either kind."""
    undelay: str = "stop replication, set MASTER_DELAY or SOURCE_DELAY to 0, start it"
    """What an administrator types to have it stay behind no more, likewise."""

    @property
    def why_stopped(self) -> str:
        """Return why it does not run, in words."""
        threads = (("IO", self.receives), ("SQL", self.applies))
        stopped = [f"the {thread} thread is stopped" for thread, runs in threads if not runs]
        return self.error or " and ".join(stopped)


@dataclass(frozen=True, slots=True)
class Server:
    """A server by what it says of itself."""

    family: str
    version: tuple[int, int, int]
    settings: Mapping[str, str] = field(default_factory=dict)
    replica: Replica | None = None
    unseen: str = ""
    """Why its replication is not known, empty where it is."""
    filters: Mapping[str, str] = field(default_factory=dict)
    """What replication and binary log leave out, by the setting's name; the log's where the account may see it."""


LOW, FULL = (0.05, 10_240), (0.01, 500)
"""A disk is low, or full, when less than this share of it is free, and less than this number of megabytes."""


@dataclass(frozen=True, slots=True)
class Room:
    """The space of a folder's disk that others than root may use, in megabytes."""

    path: str
    free: int
    size: int = 10_000
    """Where an older agent does not tell: of a disk of that size 500 MB are low."""
    holds: str = ""
    """What is written there."""

    @property
    def is_low(self) -> bool:
        """Tell whether it is time to make room."""
        return self.free < _least(self.size, LOW)

    @property
    def is_full(self) -> bool:
        """Tell whether there is next to nothing left."""
        return self.free < _least(self.size, FULL)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that this machine makes TLS connections with."""

    key: str
    """The key of the conf that names its file."""
    path: str
    ends: int
    """The last second at which it is good, since 1970."""
    date: str
    """The day of that."""


@dataclass(frozen=True, slots=True)
class Tls:
    """The files of `<socket> type ssl`; of a CA's what has signed the certificate of this machine counts."""

    certificates: tuple[Certificate, ...] = ()
    unusable: str = ""
    """Why a daemon could not be started with them; empty where it could."""


@dataclass(frozen=True, slots=True)
class Replaced:
    """A folder with what a rebuild of the host has replaced: megabytes, as far as they were counted in time; days."""

    path: str
    size: int
    age: float


def _least(size: int, limit: tuple[float, int]) -> float:
    share, most = limit
    return min(size * share, most)


@dataclass(frozen=True, slots=True)
class HostLook:
    """A host with a server, looked at from itself."""

    conf: Mapping[str, str] = field(default_factory=dict)
    """What has to be alike on all hosts, see `mmm.config.agreement`."""
    clock: float = 0.0
    """Seconds since 1970."""
    addresses: tuple[str, ...] = ()
    """Of this machine."""
    address_here: bool = True
    interface_here: bool = True
    nearer: tuple[str, ...] = ()
    """A virtual IP that is not of the network of cluster_interface, and the interface that is on its network."""
    bound: tuple[tuple[str, str], ...] = ()
    """The cluster's VIPs on this machine, each with its interface."""
    claimed: tuple[tuple[str, str], ...] = ()
    """Those that another machine was heard to have too, each with the MAC of that."""
    listens: tuple[str, ...] = ()
    """Where something listens on the server's port; empty where nothing does, or nobody can tell."""
    block_command: str = ""
    """The program that keeps clients out and is not there; empty where it is, or is not needed."""
    unwritable: tuple[str, ...] = ()
    room: tuple[Room, ...] = ()
    tls: Tls = field(default_factory=Tls)
    replaced: tuple[Replaced, ...] = ()
    """What is kept of earlier data, the oldest first."""
    server: Server | None = None
    logins: tuple[Login, ...] = ()
    """Of the agent here, of the agent and of replication at the possible masters, of the tools at all servers."""
    no_programs: tuple[str, ...] = ()
    """What a copy by mariadb-backup takes and is not here, where the conf names a user for the tools."""
    health: str = ""
    """Why the health port of this host does not answer though its agent does; empty where there is none."""
    agents: Mapping[str, str] = field(default_factory=dict)
    """Why another host's agent did not answer, by host; empty where it did."""
    pings: Mapping[str, bool] = field(default_factory=dict)
    """Whether another host answers ping; hosts are left out where this machine cannot ask."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A host as the monitor's machine sees it."""

    login: Login | None = None
    """None where it has no server, as a witness."""
    server: Server | None = None
    ping: bool | None = None
    agent: str = ""
    """Why its agent did not answer; empty where it did."""
    classic: bool = False
    """Its agent is a Perl one: it cannot be asked."""
    look: HostLook | None = None
    """What the agent told."""
    apart: float = 0.0
    """Seconds by which its clock is ahead of the monitor's machine."""


@dataclass(frozen=True, slots=True)
class MonitorLook:
    """The monitor's own machine."""

    conf: Mapping[str, str] = field(default_factory=dict)
    runs: bool = True
    """mmm_mond answers at its control port."""
    answer: str = ""
    """Why it does not."""
    silent_ips: tuple[str, ...] = ()
    """The ping_ips that do not answer."""
    kill_host: str = ""
    """Why kill_host_bin cannot be run; empty where it can."""
    unwritable: tuple[str, ...] = ()
    room: tuple[Room, ...] = ()
    tls: Tls = field(default_factory=Tls)
    clock: float = 0.0
    """Seconds since 1970."""


def encoded(look: HostLook) -> str:
    """Return a look as JSON in one line that fits into a field of the wire: ASCII without `|`."""
    return json.dumps(dataclasses.asdict(look), separators=(",", ":")).replace("|", "\\u007c")


def decoded(text: str) -> HostLook:
    """Return the look in a JSON text; raises LookError."""
    try:
        return built(HostLook, parsed(text))
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise LookError(f"{text[:60]!r} is no look: {error}") from error
