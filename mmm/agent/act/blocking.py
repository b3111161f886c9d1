"""Keeps new clients out while writes are denied: `blocking_type soft`, by commands of the conf (rule 10.13)."""

import logging
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mmm.agent.act.step_error import StepError
from mmm.config.model import Cluster

COMMAND_LIMIT = 5.0
"""Seconds that iptables_block_cmd and iptables_unblock_cmd may take."""

log = logging.getLogger(__name__)


def can_block(conf: Cluster) -> bool:
    """Tell whether `blocking_type soft` is wanted and can be had; says once what is missing for it."""
    if conf.blocking_type != "soft":
        return False
    for key, command in (
        ("iptables_block_cmd", conf.iptables_block_cmd),
        ("iptables_unblock_cmd", conf.iptables_unblock_cmd),
    ):
        if not _can_run(command):
            log.warning(
                "blocking_type soft: %s (%r) cannot be run, so writes are denied as with hard:"
                " install its program, or write `blocking_type hard`",
                key,
                command,
            )
            return False
    return True


def _can_run(command: str) -> bool:
    try:
        words = shlex.split(command)
    except ValueError:
        return False
    return bool(words) and shutil.which(words[0]) is not None


@contextmanager
def blocked(conf: Cluster) -> Iterator[None]:
    """Keep new clients out meanwhile. A command that fails is logged, for denying writes must go on."""
    _command("iptables_block_cmd", conf.iptables_block_cmd)
    try:
        yield
    finally:
        _command("iptables_unblock_cmd", conf.iptables_unblock_cmd)


def _command(key: str, command: str) -> None:
    """Run a command of the conf; a failure is logged, for denying writes must go on."""
    _warn_of(key, lambda: _run(command))


def _run(command: str) -> None:
    result = subprocess.run(
        shlex.split(command),
        check=False,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=COMMAND_LIMIT,
    )
    if result.returncode:
        text = " ".join(result.stderr.decode(errors="replace").split())[:200]
        raise StepError(f"exit status {result.returncode}: {text}")


def _warn_of(key: str, call: Callable[[], None]) -> None:
    try:
        call()
    except (OSError, ValueError, subprocess.SubprocessError, StepError) as error:
        log.error("%s failed: %s", key, error)
