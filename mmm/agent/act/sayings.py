"""The log lines of what the agent's core decides."""

import logging
from math import inf

from mmm.agent.decide.actions import Assigned, LeaseOver, Outdone, RenewedByPromises
from mmm.wire.status import Status

log = logging.getLogger(__name__)


def say(host: str, what: Assigned | LeaseOver | Outdone | RenewedByPromises) -> None:
    """Log it."""
    match what:
        case Assigned(before, after):
            log.info("status: %s: %s -> %s", host, _shown(before), _shown(after))
        case LeaseOver(vips, heard):
            log.critical(
                "%s: the lease of %s is over: not renewed by the monitor, which %s, nor by promises;"
                " setting read_only, ending clients",
                host,
                ", ".join(map(str, vips)),
                _when(heard),
            )
        case Outdone(vips, said):
            log.critical(
                "%s: gives up %s though its lease is not over, for another host has it: %s; setting read_only,"
                " ending clients. Was this machine paused?",
                host,
                ", ".join(map(str, vips)),
                said,
            )
        case RenewedByPromises(heard, rivals):
            log.warning(
                "%s: the monitor %s: the lease is renewed by promises of %s",
                host,
                _when(heard),
                ", ".join(rivals) or "nobody, for there is no other host",
            )


def _when(heard: float) -> str:
    """Return when the monitor was heard, that many seconds ago; infinite is never by this agent."""
    return "was not heard since the agent started" if heard == inf else f"was heard {heard:.1f} s ago"


def _shown(status: Status) -> str:
    roles = ", ".join(sorted(map(str, status.vips))) or "no roles"
    return f"{status.state}, {roles}, active master {status.master or 'none'}"
