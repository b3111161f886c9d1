"""Brings a copy of a backup up to a moment, by the binary logs that were kept (docs/backups.md). Edge."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmm.process.binlog_program import ProgramError, find
from mmm.tools.fetch.values import Cause, FailedError
from mmm.tools.kept.shelf import Kept
from mmm.tools.until.goal import Goal, UntilError
from mmm.tools.until.logs import archives, files_in, plan_of
from mmm.tools.until.plan import Plan
from mmm.tools.until.replaying import Replaying

MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Bringing:
    """A backup, and up to where it is brought."""

    kept: Kept
    goal: Goal
    logs: Path
    """A folder with files of a binary log."""
    program: str = ""
    """What prints the logs; empty: as it is found."""

    @property
    def plan(self) -> Plan:
        """Return what is to be applied: the logs are read for it. Raises UntilError, OSError."""
        return plan_of((self.logs,), self.kept.facts, self.goal)[1]

    def bring(self, staging: Path, argv: Sequence[str], say: Callable[[str], None]) -> str:
        """Apply it to a copy by a server that is started by `argv`; returns what the data have then.

        Raises UntilError, FailedError, OSError.
        """
        mariadb, plan = self.kept.facts.family == "MariaDB", self.plan
        try:
            program = find(self.program, os.environ.get("PATH", ""), mariadb=mariadb)
        except ProgramError as error:
            raise FailedError(Cause.HERE, str(error)) from error
        say(f"  behind it {said(plan)} …")
        prepared = Replaying(self.logs, plan, program, mariadb).on(staging, argv)
        if prepared:
            names = ", ".join(prepared)
            say(
                f"  XA transactions that are prepared then: {names} (XA RECOVER): XA COMMIT or XA ROLLBACK each"
            )
        return plan.position


def chosen(kept: Kept, goal: Goal, logs: Path | None, program: str = "") -> tuple[Bringing, Plan]:
    """Return how the backup is brought to the goal, by the logs in a folder, None: by those beside it.

    Raises UntilError with what speaks against it, OSError.
    """
    facts = kept.facts
    if not facts.of_ours:
        raise UntilError(
            "copy_method", f"{kept.path} was made by a copy method: its place by GTID is not known"
        )
    folders = (
        [logs] if logs is not None and files_in(logs) else archives(logs or kept.path.parent, facts.host)
    )
    folder, plan = plan_of(folders, facts, goal)
    return Bringing(kept, goal, folder, program), plan


def see_mode(goal: Goal, *, follows: bool) -> None:
    """Raise UntilError where the host would follow the active master afterwards."""
    if follows:
        text = f"{goal.option}: a host that follows gets all that came later, too: take --mode single-single"
        raise UntilError("follows", text)


def said(plan: Plan) -> str:
    """Return what is applied: `3 transactions (0-1-4 to 0-1-6 of 2026-11-29 14:02:58, 0.1 MB of the log)`."""
    if not plan.count:
        return "0 transactions"
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(plan.when))
    many = "transaction" if plan.count == 1 else "transactions"
    which = plan.last if plan.count == 1 else f"{plan.first} to {plan.last}"
    return f"{plan.count:,} {many} ({which} of {at}, {plan.size / MEGABYTE:,.1f} MB of the log)"
