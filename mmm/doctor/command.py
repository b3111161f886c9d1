"""`mmm_control doctor` and `mmm_agentd --doctor`: look, say what was found, return the exit status."""

import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from mmm.config import load as config
from mmm.config.model import Cluster
from mmm.config.shown import purpose
from mmm.doctor import report
from mmm.doctor.look_host import look_host, look_witness
from mmm.doctor.look_monitor import look_at_cluster
from mmm.doctor.picture import Finding, Picture
from mmm.doctor.rules import examine, status
from mmm.network.own import located
from mmm.process import output
from mmm.process.tls import TlsError

CANNOT = 3
"""Exit status where the conf cannot be read, or files of TLS cannot be used."""


def of_cluster(path: str | None, cluster: str | None, form: str) -> int:
    """Look at the cluster of the monitor's conf file and print what is found; returns the exit status."""
    try:
        conf = config.load(Path(path) if path else None, "MONITOR", cluster=cluster, name="mmm_mon")
    except config.ConfError as error:
        return _cannot(error.errors)
    return of_conf(conf, form)


def of_conf(conf: Cluster, form: str = "text") -> int:
    """Look at a cluster by the monitor's conf and print what is found; returns the exit status."""
    with suppress(OSError):  # on another machine than a monitor's the rest can be looked at all the same
        conf = located(conf)
    if conf.monitor is None:
        return _cannot((f"{conf.path} names no monitor",))
    try:
        found = examine(look_at_cluster(conf, conf.monitor))
    except TlsError as error:
        return _cannot((str(error),))
    return _say(found, form)


def of_host(conf: Cluster) -> int:
    """Look at this host and print what is found; returns the exit status."""
    try:
        look = (look_witness if conf.is_witness else look_host)(conf)
        found = examine(Picture(conf, looks={conf.this: look}))
    except TlsError as error:
        return _cannot((str(error),))
    if conf.is_witness:
        print(purpose(conf))
    return _say(found, "text")


def _say(found: tuple[Finding, ...], form: str) -> int:
    if form == "json":
        print(json.dumps(report.encoded(found), indent=2, ensure_ascii=False))
    elif form == "yaml":
        import yaml  # noqa: PLC0415 - only those who ask for it pay for it

        print(
            yaml.safe_dump(report.encoded(found), sort_keys=False, allow_unicode=output.takes_all()), end=""
        )
    else:
        print(report.text(found), end="")
    sys.stdout.flush()
    return status(found)


def _cannot(lines: Sequence[str]) -> int:
    for line in lines:
        print(line, file=sys.stderr)
    return CANNOT
