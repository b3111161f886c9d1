"""Whether a host may be rebuilt, and from whom. Pure; what is refused has a code, its sentence is in `texts`.

The active master is never touched, whatever is forced: nothing here can be overruled.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from mmm.gtid.transactions import Executed, Surplus, surplus
from mmm.tools.rejoin.look import Look, ServerLook, Silent

ONLINE = "ONLINE"
NOTHING_TO_DO = "nothing_to_do"
"""The code of the refusal that says that the host is fine."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a host is not rebuilt now."""

    code: str
    about: Mapping[str, str] = field(default_factory=dict)


def refusals(look: Look) -> tuple[Refusal, ...]:
    """Return all that speaks against a rejoin of this host, whoever gives the copy; empty: nothing does."""
    found = of_the_host(look)
    return found or tuple(_of_the_server(look))


def of_the_host(look: Look) -> tuple[Refusal, ...]:
    """Return what speaks against it whatever its server is like: the host may be needed as it is."""
    return tuple(_of_the_host(look))


def _of_the_host(look: Look) -> Iterator[Refusal]:
    host = {"host": look.host, "ip": look.ip}
    if not look.here:
        yield Refusal("not_here", host)
    if look.agent is None:
        yield Refusal("no_agent", host)
        return
    told = look.agent
    held = [vip for vip in (*told.vips, *told.bound) if vip.role == look.writer_role or not look.writer_role]
    if told.master == look.host:
        yield Refusal("active_master", host)
    elif held:
        yield Refusal("has_writer_vip", {**host, "vip": str(held[0])})
    if told.state == ONLINE:
        yield Refusal("online", host)
    if not told.master:
        yield Refusal("no_active_master", host)


def _of_the_server(look: Look) -> Iterator[Refusal]:
    name = look.master
    master = look.others.get(name, Silent("no conf file here names it"))
    if isinstance(master, Silent):
        yield Refusal("master_silent", {"master": name, "why": master.why})
        return
    if not master.writable:
        yield Refusal("master_read_only", {"master": name})
    server = look.server
    if isinstance(server, Silent):
        return
    about = {"host": look.host, "master": name}
    if server.writable:
        yield Refusal("writable", about)
    if replicas := _replicas(look, server):
        yield Refusal("has_replicas", {**about, "replicas": " and ".join(replicas)})
    if server.series != master.series:
        yield Refusal("other_series", {**about, "here": server.series, "there": master.series})
    elif server.executed is None or master.executed is None:
        yield Refusal("no_gtids", about)
    elif not own(look) and server.follows:
        yield Refusal(NOTHING_TO_DO, about)


def _replicas(look: Look, server: ServerLook) -> list[str]:
    """Return who replicates from this host; a session that is left of one that follows another host by now is nobody's.

    The server that was cut off notices late that nobody is at the other end any more. The active master, which
    replicates from every other master, does not count: its agent has it go on in the new log.
    """
    names = [look.ips.get(ip, ip) for ip in server.replicas]
    return [name for name in names if name != look.master and not _follows_nobody_here(look, name)]


def _follows_nobody_here(look: Look, name: str) -> bool:
    found = look.others.get(name)
    return isinstance(found, ServerLook) and found.source_ip != look.ip


def own(look: Look) -> Surplus | None:
    """Return the transactions that this host has and the active master lacks; None: none, or it cannot be told."""
    here, there = look.server, look.others.get(look.master)
    if not isinstance(here, ServerLook) or not isinstance(there, ServerLook):
        return None
    return _more(here.executed, there.executed)


def _more(here: Executed | None, there: Executed | None) -> Surplus | None:
    return surplus(here, there) if here is not None and there is not None else None


def donor(look: Look, wanted: str | None = None) -> str | Refusal:
    """Return who gives the copy: the host that is `wanted`, else a slave that is fit, else the active master.

    A slave as donor must have nothing that the active master lacks: whoever was copied from it would have that, too.
    """
    master = look.master
    if wanted is not None:
        return _unfit(look, wanted) or wanted
    fit = (name for name in look.slaves if name not in {master, look.host} and _unfit(look, name) is None)
    return next(fit, master)


def donor_again(look: Look, before: str) -> str:
    """Return who gives the copy of a job that is gone on with: the one `before`, or another where it is not fit now."""
    if look.master not in look.others or _unfit(look, before) is None:
        return before
    return str(donor(look))


def _unfit(look: Look, name: str) -> Refusal | None:
    about = {"host": look.host, "donor": name, "master": look.master}
    if name == look.host:
        return Refusal("donor_is_here", about)
    found = look.others.get(name)
    if found is None:
        return Refusal("donor_unknown", {**about, "known": ", ".join(look.others)})
    if isinstance(found, Silent):
        return Refusal("donor_silent", {**about, "why": found.why})
    source = look.others[look.master]
    if not isinstance(source, ServerLook) or name == look.master:
        return None
    if found.series != source.series:
        return Refusal("donor_series", {**about, "here": found.series, "there": source.series})
    if more := _more(found.executed, source.executed):
        return Refusal("donor_has_more", {**about, "more": str(more)})
    return None if found.follows else Refusal("donor_stands", about)
