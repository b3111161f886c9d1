"""Values of a conf as people read them."""

from mmm.config.model import Cluster
from mmm.config.names import UNLIMITED

HIDDEN = "********"
"""Stands for every password that is set."""


def shown(value: object) -> str:
    """Return a value as it would be written in a file; empty where it is not set."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if value == float("inf"):
        return UNLIMITED
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return str(value)


def purpose(conf: Cluster) -> str:
    """Return what the agent of this host is there for where the host is a witness; empty where it has a server."""
    if not conf.is_witness:
        return ""
    votes = (
        "it only votes on which monitor leads"
        if conf.this in conf.voters
        else "but no voter: it has no effect"
    )
    return f"{conf.this} is a witness, without server and roles; {votes} (voters: {', '.join(conf.voters)})"
