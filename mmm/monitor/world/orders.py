"""What a decision asks the shell to do. Each order ends in exactly one event, in bounded time."""

from dataclasses import dataclass

from mmm.config.model import Vip
from mmm.gtid.place import LogPlace
from mmm.monitor.world.said import Said
from mmm.wire.held import Stay
from mmm.wire.rejoin import Wanted
from mmm.wire.status import LeaseOffer, Status


@dataclass(frozen=True, slots=True)
class Tell:
    """Send SET_STATUS to a host's agent, then CLEAR_BAD_ROLES where `clear`; ends in Answered.

    Where it is to `greet`, there is no token to grant a lease by yet: a PING is sent instead, which brings one.
    """

    host: str
    number: int
    status: Status
    clear: bool = False
    lease: LeaseOffer | None = None
    greet: bool = False
    void: frozenset[Stay] = frozenset()
    """The stays for which it need not refuse the active master role any more."""


@dataclass(frozen=True, slots=True)
class KillHost:
    """Run kill_host_bin with the host and the state of its ping check; ends in Killed."""

    host: str
    pings: bool


@dataclass(frozen=True, slots=True)
class LookForVip:
    """Find out whether anything answers ARP for the VIP that the host may hold; ends in VipLooked.

    With `witnesses` for the host itself too, and they are asked the same: absent is what all agree on.
    """

    host: str
    vip: Vip
    witnesses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AskOthers:
    """Ask the agents of `others` whether they reach the host, all at once; ends in Opinions."""

    host: str
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReadLog:
    """Look what the binary log of a host's server has behind a place; ends in LogRead."""

    host: str
    since: LogPlace


@dataclass(frozen=True, slots=True)
class Rejoin:
    """Have the host's agent rebuild it, for the reason `why`; ends in RejoinAnswered."""

    host: str
    wanted: Wanted
    why: Said


@dataclass(frozen=True, slots=True)
class GetAhead:
    """Have the host's agent get the binary log of the writer `of` in advance, empty: forget it; ends in GotAhead."""

    host: str
    of: str


Order = Tell | KillHost | LookForVip | AskOthers | ReadLog | Rejoin | GetAhead
