"""The modes of mmm_restore and mmm_clone, as MMM 2.x has them, and what speaks against each here. Pure."""

from collections.abc import Iterator
from enum import StrEnum

from mmm.tools.rejoin import checks
from mmm.tools.rejoin.checks import NOTHING_TO_DO, Refusal
from mmm.tools.rejoin.look import Look, ServerLook


class Mode(StrEnum):
    """What was backed up, and what this host is to be: SRC-DEST."""

    DATA_ONLY = "data-only"
    """The files alone; no server is touched."""
    SINGLE_SINGLE = "single-single"
    SLAVE_SINGLE = "slave-single"
    MASTER_SINGLE = "master-single"
    """The server runs on the data, and replicates from nobody."""
    MASTER_SLAVE = "master-slave"
    SLAVE_SLAVE = "slave-slave"
    """It follows the active master."""

    @property
    def follows(self) -> bool:
        """Tell whether the host replicates afterwards."""
        return self in {Mode.MASTER_SLAVE, Mode.SLAVE_SLAVE}


_WITHOUT_MASTER = "no_active_master"


def refusals(look: Look, mode: Mode) -> tuple[Refusal, ...]:
    """Return what speaks against a restore over this host's data; the active master's are never touched."""
    if mode.follows:
        return tuple(each for each in checks.refusals(look) if each.code != NOTHING_TO_DO)
    found = tuple(each for each in checks.of_the_host(look) if each.code != _WITHOUT_MASTER)
    return found or tuple(_of_the_server(look))


def _of_the_server(look: Look) -> Iterator[Refusal]:
    server = look.server
    if not isinstance(server, ServerLook):
        return
    about = {"host": look.host, "master": look.master or "the active master"}
    if server.writable:
        yield Refusal("writable", about)
    if server.replicas:
        names = " and ".join(look.ips.get(ip, ip) for ip in server.replicas)
        yield Refusal("has_replicas", {**about, "replicas": names})
