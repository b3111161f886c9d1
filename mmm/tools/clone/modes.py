"""The modes of mmm_clone, as MMM 2.x has them, and what speaks against a clone. Pure."""

from enum import StrEnum

from mmm.config.model import Host
from mmm.tools.rejoin import checks
from mmm.tools.rejoin.checks import NOTHING_TO_DO, Refusal
from mmm.tools.rejoin.look import Look


class CloneMode(StrEnum):
    """What is copied, and what this host is to be: SRC-DEST."""

    MASTER_MASTER = "master-master"
    MASTER_SLAVE = "master-slave"
    SLAVE_SLAVE = "slave-slave"


_NOT_FOR_NEW_HOSTS = frozenset({NOTHING_TO_DO, "no_gtids"})


def mode_of(donor: Host, here: Host) -> CloneMode | None:
    """Return the mode by what the conf says of both; None: MMM has none for that."""
    known = {f"{mode}": mode for mode in CloneMode}
    return known.get(f"{donor.mode}-{here.mode}")


def contradiction(wanted: CloneMode, donor: Host, here: Host) -> str:
    """Return why a mode does not go with the conf, empty where it does."""
    source, _, target = wanted.partition("-")
    for host, mode in ((donor, source), (here, target)):
        if host.mode != mode:
            return f"--clone-mode {wanted}: {host.name} is a {host.mode} in the conf"
    return ""


def refusals(look: Look) -> tuple[Refusal, ...]:
    """Return what speaks against a clone over this host's data; the active master's are never touched."""
    return tuple(each for each in checks.refusals(look) if each.code not in _NOT_FOR_NEW_HOSTS)
