"""When a check's results count as a failure (rules 6.3, 10.7, 10.27).

A check has failed once it has been ERROR for its trap period without an OK in between.
One OK makes it good again at once. UNKNOWN changes nothing but the finding.

A server whose process has ended for certain needs no trap: it has failed as soon as nothing answers in its place.
"""

from dataclasses import replace

from mmm.monitor.world.checks import NO_CAUSE, REFUSED, Cause, CheckStatus, Exit, Finding, Outcome

SLACK = 0.01
"""Seconds by which a run may be shorter than the one before."""


def first(
    outcome: Outcome, finding: Finding, now: float, cause: Cause = NO_CAUSE, *, waits: bool = False
) -> CheckStatus:
    """Return the belief after the very first run: an ERROR has failed at once, or `waits` for its trap."""
    wrong, unknown = outcome is Outcome.ERROR, outcome is Outcome.UNKNOWN
    refused = wrong and cause.code == REFUSED
    since, refused_since = (now if wrong else None), (now if refused else None)
    return CheckStatus(wrong and not waits, finding, now, since, unknown, refused, refused_since, cause=cause)


def step(
    status: CheckStatus,
    finding: Finding,
    now: float,
    trap_period: float,
    cause: Cause = NO_CAUSE,
) -> CheckStatus:
    """Return the belief after one more result, seen at `now`: the same object after an OK that says nothing new.

    UNKNOWN and ERROR may have a `cause`.
    """
    if finding.outcome is Outcome.UNKNOWN:
        return replace(status, finding=finding, unknown=True, cause=cause)
    if finding.outcome is Outcome.OK:
        quiet = status.error_since is None and not (status.failed or status.unknown or status.exited)
        if quiet and status.finding == finding:
            return status
        changed = now if status.failed else status.changed
        return CheckStatus(failed=False, finding=finding, changed=changed)
    since = now if status.error_since is None else status.error_since
    certain = status.exited is not None and status.exited.certain
    failed = status.failed or certain or now - since >= trap_period
    changed = now if failed and not status.failed else status.changed
    first, refused = now if status.refused_since is None else status.refused_since, cause.code == REFUSED
    return CheckStatus(
        failed,
        finding,
        changed,
        since,
        refused=refused,
        refused_since=first if refused else None,
        cause=cause,
        exited=status.exited,
    )


def exited(status: CheckStatus, exit_: Exit, now: float) -> CheckStatus:
    """Return the belief once the end of the server's process is told.

    A refusal seen before proves that no other server has taken its place; else the next result tells.
    """
    refused = status.refused and not status.unknown and status.error_since is not None
    failed = status.failed or (refused and exit_.certain)
    changed = now if failed and not status.failed else status.changed
    return replace(status, failed=failed, changed=changed, exited=exit_)


def due(
    status: CheckStatus, started: float, check_period: float, trap_period: float, lasted: float = 0.0
) -> float:
    """Return when the check is to run next: earlier than its period where that is the end of its trap.

    `lasted` is the duration of the previous run. A check that runs into its timeout starts that much before the end of
    the trap, so that its result is in by then. UNKNOWN ends no trap: after it there is nothing to hurry for.
    """
    regular = started + check_period
    if status.failed or status.error_since is None:
        return regular
    early = status.error_since + trap_period - max(0.0, lasted - SLACK)
    if status.unknown and early <= started:
        return regular
    return min(regular, max(early, started))


def excused(status: CheckStatus, now: float) -> CheckStatus:
    """Return the belief without a failure: what it was measured by is gone."""
    return replace(status, failed=False, error_since=None, changed=now if status.failed else status.changed)


def begun_anew(status: CheckStatus) -> CheckStatus:
    """Return the belief without a trap under way: its ERRORs may have come from something else, say the network."""
    return status if status.failed else replace(status, error_since=None, exited=None)
