"""What the monitor believes of a host's checks, as frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from mmm.config.model import Cluster
from mmm.monitor.world.said import Fields, Said, Texts


class Outcome(StrEnum):
    """What one run of a check found."""

    OK = "OK"
    ERROR = "ERROR"
    UNKNOWN = "UNKNOWN"


def _threads_stopped(of: Fields) -> str:
    stopped = [f"{thread} thread is not running{_because(error)}" for thread, error in of["stopped"]]
    return ", ".join(stopped)


def _connecting(of: Fields) -> str:
    return f"IO thread is connecting to {of['source']}{_because(of['error'])}"


def _because(error: str) -> str:
    return f" ({' '.join(error.split())[:200]})" if error else ""


@dataclass(frozen=True, slots=True)
class Finding(Said):
    """What one run of a check has found: the outcome, and why."""

    outcome: Outcome = Outcome.OK

    texts: ClassVar[Texts] = {
        "good": "",
        "not_checked": "not checked yet",
        "error": "{text}",
        "no_echo": "{ip} did not answer in {seconds:g} s",
        "not_configured": "replication is not configured",
        "detached": "detached from {source}, which was lost, until that is back in use",
        "threads_stopped": _threads_stopped,
        "refused_by_source": lambda of: f"{of['source']} refuses the IO thread{_because(of['error'])}",
        "connecting": _connecting,
        "connecting_for_long": (
            lambda of: f"{_connecting(of)}, for {of['seconds']:.0f} s, limit {of['limit']:g} s"
        ),
        "semi_sync": "{state}",
        "no_backlog": "Backlog is null: replication does not run, or is not connected to its source",
        "behind": "{seconds} s behind",
        "too_far_behind": "{seconds} s behind, limit {limit:g}",
    }

    @property
    def detail(self) -> str:
        """Return why, without the outcome; empty where there is nothing to say."""
        return Said.__str__(self)

    def __str__(self) -> str:
        return ": ".join(filter(None, (self.outcome, self.detail)))


GOOD = Finding("good")
NOT_CHECKED = Finding("not_checked", outcome=Outcome.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a check is not OK, where that is to be told apart; else all is empty.

    UNKNOWN: what kept it from looking. ERROR: what no waiting mends.
    """

    code: str = ""
    """UNKNOWN: the server's error, as mmm.mysql.session.errors.ErrorKind has it, or `internal`.

    ERROR: `refused_by_source`, `source_lacks_log` (SOURCE_LACKS_LOG), `rows_differ`.
    """
    number: int = 0
    """The server's error number."""
    grant: str = ""
    """The statement that grants the monitor's account the missing privilege."""


NO_CAUSE = Cause()
SOURCE_LACKS_LOG = "source_lacks_log"
"""The cause of a replica's ERROR because its source has no binary log of what it asks for."""
REFUSED = "refused"
"""The code of an ERROR because the host's system answered that no server listens."""
SATURATED = "saturated"
"""The code of an UNKNOWN because the server has no connection left to give."""


@dataclass(frozen=True, slots=True)
class Exit:
    """The process of a server has ended, as its agent told at a moment."""

    pid: int
    at: float
    certain: bool
    """Nobody is waited for who may start the server again (`server_exit failover`)."""


@dataclass(frozen=True, slots=True)
class CheckStatus:
    """What the monitor believes of one check of one host."""

    failed: bool = False
    finding: Finding = NOT_CHECKED
    """What the newest run has found."""
    changed: float = 0.0
    """When `failed` last changed."""
    error_since: float | None = None
    """When the trap started: the first ERROR without an OK since."""
    unknown: bool = False
    """The newest result was UNKNOWN (said once)."""
    refused: bool = False
    """The newest ERROR was the refusal of a connection: the host's system lives."""
    refused_since: float | None = None
    """Since when every ERROR has been a refusal; None where the newest was not."""
    cause: Cause = NO_CAUSE
    """Why the newest result was UNKNOWN or ERROR."""
    exited: Exit | None = None
    """Of the mysql check: the process of the server has ended, and the server has not answered since."""

    @property
    def saturated(self) -> bool:
        """Tell whether the newest result was that the server has no connection left to give."""
        return self.unknown and self.cause.code == SATURATED


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
