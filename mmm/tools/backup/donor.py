"""Whose data are backed up. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from mmm.config.model import Host
from mmm.gtid.transactions import surplus
from mmm.tools.rejoin.look import ServerLook, Silent


class Why(Enum):
    """Why there is no donor."""

    UNKNOWN = "no such host in the conf"
    SILENT = "no server answers"


@dataclass(frozen=True, slots=True)
class Chosen:
    """The host, and what whoever wants the backup should know of it."""

    host: str
    remark: str = ""


@dataclass(frozen=True, slots=True)
class NoDonor:
    """There is none."""

    why: Why
    text: str


def choose(
    hosts: Mapping[str, Host], looks: Mapping[str, ServerLook | Silent], wanted: str | None
) -> Chosen | NoDonor:
    """Return the host that is wanted, else a slave that is fit, else a master that takes no writes, else the writer."""
    if wanted is not None and wanted not in hosts:
        return NoDonor(Why.UNKNOWN, f"--host {wanted}: no such host in the conf; it knows {', '.join(hosts)}")
    if wanted is not None:
        found = looks[wanted]
        if isinstance(found, Silent):
            return NoDonor(Why.SILENT, f"the server of {wanted} does not answer: {found.why}")
        return Chosen(wanted, _remark(wanted, found, _more(looks, found)))
    there = {name: look for name, look in looks.items() if isinstance(look, ServerLook)}
    fit = [
        name for name, look in there.items() if look.follows and not look.writable and not _more(looks, look)
    ]
    ranked = sorted(fit, key=lambda name: hosts[name].mode != "slave")
    ranked += [name for name, look in there.items() if look.writable]
    if ranked:
        return Chosen(ranked[0], _remark(ranked[0], there[ranked[0]], ""))
    why = [f"{name}: {look.why}" for name, look in looks.items() if isinstance(look, Silent)]
    why += [f"{name}: its replication does not run, or it has what the writer lacks" for name in there]
    return NoDonor(Why.SILENT, f"no host is fit to be backed up ({'; '.join(why)}): name one by --host")


def _more(looks: Mapping[str, ServerLook | Silent], look: ServerLook) -> str:
    """Return what it has that the one server which takes writes lacks; empty: nothing, or it cannot be told."""
    writers = [each for each in looks.values() if isinstance(each, ServerLook) and each.writable]
    if look.writable or len(writers) != 1 or look.executed is None or writers[0].executed is None:
        return ""
    return str(surplus(look.executed, writers[0].executed) or "")


def _remark(name: str, look: ServerLook, more: str) -> str:
    if more:
        return f"{name} has {more}, which the host that takes writes lacks: so will the backup"
    if look.writable:
        return (
            f"{name} takes writes: its commits have to wait for a moment, for some 20 ms with mariadb-backup"
        )
    if not look.follows:
        return f"the replication of {name} does not run: the backup has what it had then"
    return ""
