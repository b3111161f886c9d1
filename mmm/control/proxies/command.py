"""`mmm_control proxy NAME`: prints the configuration of a proxy for the cluster of the conf; no monitor is asked."""

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from mmm.config import load as config
from mmm.control.proxies.haproxy import haproxy
from mmm.control.proxies.keepalived import keepalived
from mmm.control.proxies.others import maxscale, mysqlrouter, proxysql
from mmm.control.proxies.plan import LAG, NoPlanError, Plan, plan
from mmm.wire.command import PROXIES

MAKERS: Mapping[str, Callable[[Plan], str]] = {
    "haproxy": haproxy,
    "proxysql": proxysql,
    "maxscale": maxscale,
    "mysqlrouter": mysqlrouter,
}
OK, USAGE = 0, 2


def run(words: list[str], path: str | None, cluster: str | None) -> int:
    """Print what the words behind `proxy` ask for; returns the exit status."""
    lag, names = _lag(words)
    name = names[0] if len(names) == 1 else ""
    if name not in PROXIES:
        return _fail(f"proxy takes one of {', '.join(PROXIES)}, not {' '.join(names)[:40]!r}")
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", lag):
        return _fail(f"--lag is a number of seconds by which a host may be behind, not {lag[:40]!r}")
    try:
        conf = config.load(Path(path) if path else None, "MONITOR", cluster=cluster, name="mmm_mon")
        make = MAKERS.get(name)
        text = make(plan(conf, float(lag))) if make else keepalived(conf, cluster)
        print(text, end="", flush=True)
    except config.ConfError as error:
        return _fail(*error.errors)
    except NoPlanError as error:
        return _fail(str(error))
    return OK


def _lag(words: list[str]) -> tuple[str, list[str]]:
    """Return what is given for --lag, wherever it stands, and the other words."""
    if "--lag" not in words:
        return str(LAG), words
    at = words.index("--lag")
    return "".join(words[at + 1 : at + 2]), words[:at] + words[at + 2 :]


def _fail(*lines: str) -> int:
    for line in lines:
        print(f"mmm_control: {line}", file=sys.stderr)
    return USAGE
