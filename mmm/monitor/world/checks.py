"""What the monitor believes of a host's checks, as frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from mmm.config.model import Cluster


class Outcome(StrEnum):
    """What one run of a check found."""

    OK = "OK"
    ERROR = "ERROR"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a check is not OK, where that is to be told apart; else all is empty.

    UNKNOWN: what kept it from looking. ERROR: what no waiting mends.
    """

    code: str = ""
    """UNKNOWN: the server's error, as mmm.mysql.session.errors.ErrorKind has it, or `internal`.

    ERROR: `refused_by_source`, `source_lacks_log`.
    """
    number: int = 0
    """The server's error number."""
    grant: str = ""
    """The statement that gives the monitor's account the privilege which it lacks."""


NO_CAUSE = Cause()


@dataclass(frozen=True, slots=True)
class CheckStatus:
    """What the monitor believes of one check of one host."""

    failed: bool = False
    message: str = "UNKNOWN: not checked yet"
    changed: float = 0.0
    """When `failed` last changed."""
    error_since: float | None = None
    """When the trap started: the first ERROR without an OK since."""
    unknown: bool = False
    """The newest result was UNKNOWN (said once)."""
    refused: bool = False
    """The newest ERROR was the refusal of a connection: the host's system lives."""
    refused_since: float | None = None
    """The first refusal since which every ERROR was one; None where the newest was none."""
    saturated: bool = False
    """The newest result was that the server has no connection left to give."""
    cause: Cause = NO_CAUSE
    """Why the newest result was UNKNOWN or ERROR."""


def silent(checks: Mapping[str, CheckStatus], conf: Cluster) -> bool:
    """Tell whether nothing reaches the host of these checks, so that its agent cannot be told anything.

    That is so when ping has failed and nothing answered when the server was asked next (rule 10.9); with
    ping_alone_kills, when ping has failed.
    """
    ping, mysql = checks["ping"], checks["mysql"]
    if not ping.failed:
        return False
    if conf.monitor is not None and conf.monitor.ping_alone_kills:
        return True
    check = conf.checks["mysql"]
    asked_next = ping.changed + check.check_period + check.timeout
    return mysql.error_since is not None and mysql.error_since <= asked_next and not mysql.refused


def dead(checks: Mapping[str, CheckStatus], conf: Cluster) -> bool:
    """Tell whether the host of these checks has failed: its server, or all of it."""
    return checks["mysql"].failed or silent(checks, conf)
