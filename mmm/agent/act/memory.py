"""What an agent leaves behind for its successor.

Below /run, and so gone after a boot: what it has promised, that replication is stopped by order, and that writes are
still to be denied as a lease was over. Below /var/lib: for whose stay it refuses the writer role, and that an agent has
run in this boot. So a /run that was emptied meanwhile, as in a restarted container, is not mistaken for one in which
nothing was promised yet.
"""

import logging
import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from mmm.agent.act import promise_file
from mmm.agent.act.fence_note import FenceNote
from mmm.agent.decide.held_lease import HeldLease, begun

STATE = Path("/var/lib/misc")
"""Where that stands which is to outlast a /run that is emptied; the monitor's status file is there too."""

log = logging.getLogger(__name__)


class Memory:
    """The files of one agent beside its pid file; without a pid file nothing is kept."""

    def __init__(self, pid_path: str) -> None:
        self._promises = _beside(pid_path, "promise")
        self._offline = _beside(pid_path, "offline")
        self.fence = FenceNote(pid_path)
        self._ran = outlasting_run(pid_path, "ran")
        self._stays = outlasting_run(pid_path, "held")

    def lease(self, length: float, now: float, rivals: Collection[str] = ()) -> HeldLease:
        """Return the lease of an agent that starts, with leases of `length` seconds, and note that it has run.

        `rivals` are the other hosts of the active master role.
        """
        kept, ran = promise_file.load(self._promises), promise_file.load(self._ran)
        held = begun(length, promise_file.boot(), now, kept, keeps=self._promises is not None, ran=ran)
        held = held.with_stays(self._stays_kept(), rivals)
        if (seconds := held.lease.booted - now) > 0:
            log.warning(
                "start: nothing is known of what this host has promised before: it refuses the writer role for %.1f s",
                seconds,
            )
        try:
            promise_file.store(self._promises, held.kept(now))
            promise_file.store(self._ran, held.mark(now))
        except OSError as error:
            log.warning("start: %s: %s", error.filename, error.strerror or error)
        return held

    def _stays_kept(self) -> str:
        """Return what an earlier agent wrote of stays; where that is there and cannot be read, what nobody can read."""
        text = promise_file.load(self._stays)
        if (
            not text
            and self._stays is not None
            and os.path.lexists(self._stays)
            and not _is_empty(self._stays)
        ):
            log.error(
                "start: %s cannot be read: the writer role is refused until a monitor has heard the other hosts of it",
                self._stays,
            )
            return "?"
        return text

    def keep_promises(self, held: HeldLease, now: float) -> str:
        """Write down what is promised; returns why that failed, empty when it did not."""
        try:
            promise_file.store(self._promises, held.kept(now))
        except OSError as error:
            return f"the promise cannot be kept in {self._promises}: {error.strerror or error}"
        return ""

    def keep_stays(self, held: HeldLease) -> str:
        """Write down for whom the role is refused, so that a boot leaves it; returns why that failed, or nothing."""
        try:
            promise_file.store(self._stays, held.stays_kept(), settled=True)
        except OSError as error:
            return f"{self._stays} cannot be written: {error.strerror or error}"
        return ""

    def is_offline(self) -> bool:
        """Tell whether replication stood still by order when the agent ended."""
        return bool(promise_file.load(self._offline))

    def keep_offline(self, *, offline: bool) -> None:
        """Note whether replication stands still by order."""
        with suppress(
            OSError
        ):  # then an agent that is started later starts nothing before it is told so again
            promise_file.store(self._offline, "ADMIN_OFFLINE\n" if offline else "")


def _is_empty(file: Path) -> bool:
    """Tell whether a file has nothing in it; a folder, or one that nobody can look at, may have."""
    try:
        return file.is_file() and file.stat().st_size == 0
    except OSError:
        return False


def _beside(pid_path: str, what: str) -> Path | None:
    return Path(f"{pid_path}.{what}") if pid_path else None


def outlasting_run(pid_path: str, what: str) -> Path | None:
    """Return a file where neither a boot nor emptying /run reaches it."""
    file = _beside(pid_path, what)
    below = [Path("/run"), Path("/var/run")]
    return STATE / file.name if file is not None and set(below) & set(file.parents) else file
