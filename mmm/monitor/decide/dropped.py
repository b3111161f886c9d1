"""What is said at the start of hosts and VIPs that the conf does not have, or not there (rule 6.1)."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from mmm.config.model import Cluster, Vip
from mmm.wire.agent import encode_vips


class Account(Protocol):
    """What somebody says of a host."""

    @property
    def vips(self) -> tuple[Vip, ...]:
        """Return the VIPs that the host has by it."""


Accounts = dict[str, dict[str, Account | None]]
"""By host, what is said of it and by whom; None where that could not be asked."""


def dropped(conf: Cluster, accounts: Accounts) -> tuple[str, ...]:
    """Return a warning for each host, role or IP that is left out, and for each host that may not hold what it has."""
    said = (
        (name, who, each) for name, by in accounts.items() for who, each in by.items() if each is not None
    )
    return tuple(
        f"{name}: {who} {text}: left out" for name, who, each in said for text in _of(conf, name, each)
    )


def under_any_role(conf: Cluster, vips: Iterable[Vip]) -> frozenset[Vip]:
    """Return the conf's VIPs whose addresses these are: an agent may go by a conf that has them under another role."""
    by_ip = {vip.ip: vip for vip in conf.vips}
    return frozenset(by_ip[vip.ip] for vip in vips if vip.ip in by_ip)


def _of(conf: Cluster, name: str, account: Account) -> Iterator[str]:
    if name not in conf.hosts:
        bound = f" with {encode_vips(account.vips)}, which may still be bound there" if account.vips else ""
        yield f"names this host{bound}. It is not configured"
        return
    for vip in account.vips:
        if vip not in conf.vips:
            yield f"names {vip}, which is not configured"
        elif name not in conf.roles[vip.role].hosts:
            yield f"names {vip}, which it may not hold"
