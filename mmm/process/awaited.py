"""What a conf needs of this machine and what comes late at a boot: its address, and the names that DNS knows (rule 1).

A switch without a carrier, a DHCP server that is slow, a resolver that starts later: the network is "online" before.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import replace

from mmm.config.model import Cluster
from mmm.config.tree import Fault, Problem
from mmm.process.conf_file import UnusableError
from mmm.process.inspection import Inspect

PATIENCE = 50.0
"""Seconds that it is waited for: less than the 60 that systemd gives a start, which ends and begins anew then."""
AGAIN = 1.0
"""Seconds between two looks."""


def awaited(conf: Cluster | None, read: Callable[[], Cluster], inspect: Inspect) -> Cluster:
    """Return the conf once it can be used on this machine; `conf` is the one just read, None without one.

    What may come by itself is waited for PATIENCE seconds, and that is said at once on stderr; a warning of the
    conf that is returned tells how long it took. Raises UnusableError: at once for what stands in the files.
    """
    begun, missed = time.monotonic(), ""
    while True:
        try:
            found = inspected(conf or read(), inspect)
        except UnusableError as error:
            if not error.may_pass or time.monotonic() >= begun + PATIENCE:
                raise
            if not missed:
                print(f"{error}\nwaiting for that, {PATIENCE:g} s at most", file=sys.stderr, flush=True)
            conf, missed = None, "; ".join(error.lines)
        else:
            late = Fault("started_late", {"seconds": round(time.monotonic() - begun), "missed": missed})
            return replace(found, warnings=(*found.warnings, Problem("", 0, late))) if missed else found
        time.sleep(AGAIN)


def inspected(conf: Cluster, inspect: Inspect) -> Cluster:
    """Return the conf; raises UnusableError where it cannot be used on this machine."""
    found = inspect(conf)
    if found.errors:
        raise UnusableError(tuple(f"{conf.path}: {line}" for line in found.errors), may_pass=found.may_pass)
    return conf
