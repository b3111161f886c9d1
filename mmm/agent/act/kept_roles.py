"""The file of what the agent of a conf without roles has learned from orders.

It stands beside what else an agent leaves for its successor, and outlasts a boot: agent and angel know from the start
which VIPs to unbind, to renew and to give up.
"""

from dataclasses import replace
from pathlib import Path

from mmm.agent.act import promise_file
from mmm.agent.act.memory import outlasting_run
from mmm.agent.decide.learned import learned
from mmm.config.model import Cluster
from mmm.config.tree import Fault, Problem
from mmm.wire.agent import WireError, decode_vips


def kept_in(conf: Cluster) -> Path | None:
    """Return the file; None where the agent has no pid file."""
    return outlasting_run(conf.here.pid_path, "roles")


def keep(conf: Cluster) -> None:
    """Keep the VIPs of a conf on the disk; raises OSError."""
    promise_file.store(kept_in(conf), ",".join(map(str, conf.vips)) + "\n", settled=True)


def with_kept(conf: Cluster) -> Cluster:
    """Return a conf with what an earlier start of its agent has learned; that it cannot be read is a warning of it."""
    file = kept_in(conf) if conf.roles_by_order else None
    if file is None:
        return conf
    try:
        return learned(conf, decode_vips(file.read_text("utf-8")))
    except FileNotFoundError:
        return conf
    except (OSError, UnicodeDecodeError, WireError) as error:
        why = (error.strerror if isinstance(error, OSError) else "") or str(error)
        problem = Problem(str(file), 0, Fault("kept_roles_unusable", {"why": why}))
        return replace(conf, warnings=(*conf.warnings, problem))
