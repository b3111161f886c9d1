"""Reading the recordings."""

import json
import lzma
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from mmm.config.model import Check, Cluster, Host, Monitor, Role
from mmm.config.names import CHECK_NAMES

Json = dict[str, Any]

DATA = Path(__file__).parent / "data"


def elsewhere() -> str | None:
    """Return the folder of recordings that are used in place of the kept ones."""
    return os.environ.get("MMM_VECTORS")


def _text(name: str) -> str:
    if folder := elsewhere():
        return Path(folder, name).read_text(encoding="utf-8")
    return lzma.decompress((DATA / f"{name}.xz").read_bytes()).decode()


def vectors(family: str) -> Iterator[Json]:
    """Return the recordings of a family in their order."""
    for line in _text(f"{family}.jsonl").splitlines():
        yield json.loads(line)


@cache
def configs() -> dict[str, Cluster]:
    """Return the named configurations that recordings refer to."""
    return {name: cluster(text) for name, text in json.loads(_text("configs.json")).items()}


def cluster(recorded: Json) -> Cluster:
    """Return a recorded configuration as the model."""
    monitor = dict(recorded.get("monitor", {}))
    if "careful_startup" in monitor:
        monitor["careful_startup"] = bool(monitor["careful_startup"])
    return Cluster(
        program="MONITOR",
        dialect=2,
        path=Path("recorded.conf"),
        files=(),
        hosts={
            name: Host(name, host["ip"], host["mode"], host.get("peer"))
            for name, host in recorded["hosts"].items()
        },
        roles={
            name: Role(name, role["mode"], tuple(role["hosts"]), tuple(role["ips"]), role.get("prefer"))
            for name, role in recorded["roles"].items()
        },
        checks={name: Check(name) for name in CHECK_NAMES},
        monitor=Monitor(ip="127.0.0.1", split_brain_guard=False, **monitor),  # nor asks it other hosts
        active_master_role=recorded["active_master_role"],
        vip_lease=0.0,  # the classic has none
    )
