"""Keeps new clients out while writes are denied: `blocking_type soft`, by commands of the conf (rule 10.13).

A rule of the packet filter outlasts an agent that is killed meanwhile, and keeps out whoever logs in: clients, the
monitor, and slaves. So a file below /run says that it may stand, and the next agent takes it away.
"""

import logging
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mmm.agent.act import promise_file
from mmm.agent.act.step_error import StepError
from mmm.config.model import Cluster
from mmm.process.child import run

COMMAND_LIMIT = 5.0
"""Seconds that iptables_block_cmd and iptables_unblock_cmd may take."""
_BY_STATE, _BY_SYN = "-m state --state NEW", "--syn"
_DEFAULT = re.compile(rf"iptables -A INPUT -p tcp --dport \d+ {_BY_STATE} -j REJECT")

log = logging.getLogger(__name__)


def can_block(conf: Cluster) -> bool:
    """Tell whether `blocking_type soft` is wanted and can be had; says once what is missing for it."""
    if conf.blocking_type != "soft":
        return False
    for key, command in zip(("iptables_block_cmd", "iptables_unblock_cmd"), commands(conf), strict=True):
        if not _can_run(command):
            log.warning(
                "blocking_type soft: %s (%r) cannot be run, so writes are denied as with hard:"
                " install its program, or write `blocking_type hard`",
                key,
                command,
            )
            return False
    return True


def commands(conf: Cluster) -> tuple[str, str]:
    """Return what keeps new clients out and what lets them in: by SYN where the conf has the default of the classic.

    With its rule the kernel begins to track connections, and takes the next packet of each session that is open for a
    new one: the rule rejects it, and the client and the agent wait until they send it again, 0.2 s. So it is on every
    host where nothing else tracks connections.
    """
    block, unblock = conf.iptables_block_cmd, conf.iptables_unblock_cmd
    if _DEFAULT.fullmatch(block) and unblock == block.replace(" -A ", " -D "):
        return block.replace(_BY_STATE, _BY_SYN), unblock.replace(_BY_STATE, _BY_SYN)
    return block, unblock


def _can_run(command: str) -> bool:
    try:
        words = shlex.split(command)
    except ValueError:
        return False
    return bool(words) and shutil.which(words[0]) is not None


@contextmanager
def blocked(conf: Cluster) -> Iterator[None]:
    """Keep new clients out meanwhile. A command that fails is logged, for denying writes must go on."""
    let_in(conf)
    mark, (block, unblock) = _mark(conf), commands(conf)
    _warn_of("noting that clients are kept out", lambda: promise_file.store(mark, promise_file.boot()))
    _warn_of("iptables_block_cmd", lambda: _run(block))
    try:
        yield
    finally:
        if _warn_of("iptables_unblock_cmd", lambda: _run(unblock)):
            _forget(mark)


def let_in(conf: Cluster) -> None:
    """Let clients in again if an agent has kept them out and could not; tried once, a failure is logged."""
    mark = _mark(conf)
    noted = promise_file.load(mark)
    if not noted:
        return
    if noted == promise_file.boot():
        log.warning(
            "new clients are still kept out since an earlier change was broken off: letting them in again"
        )
        _warn_of("iptables_unblock_cmd", lambda: _run(commands(conf)[1]))
    _forget(mark)


def _mark(conf: Cluster) -> Path | None:
    """Return the file that stands while clients are kept out; None without a folder for it."""
    pid_path = conf.here.pid_path
    return Path(f"{pid_path}.blocked") if pid_path else None


def _forget(mark: Path | None) -> None:
    if mark is not None:
        with suppress(OSError):
            mark.unlink(missing_ok=True)


def _run(command: str) -> None:
    status, said = run(shlex.split(command), COMMAND_LIMIT)
    if status is None:
        raise StepError(f"no end within {COMMAND_LIMIT:g} s: killed")
    if status:
        raise StepError(f"exit status {status}: {' '.join(said.split())[:200]}")


def _warn_of(what: str, call: Callable[[], None]) -> bool:
    """Return whether it went well; a failure is logged."""
    try:
        call()
    except (OSError, ValueError, StepError) as error:
        log.error("%s failed: %s", what, error)
        return False
    return True
