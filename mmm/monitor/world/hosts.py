"""The hosts and the owners of a world, with answers that every turn needs for each host worked out only once.

They are values like any mapping in a world: nobody changes one that is in use. A thousand hosts would otherwise be
walked through for each of a thousand hosts.
"""

from collections.abc import Mapping

from mmm.config.model import Vip
from mmm.monitor.world.host import HostWorld

_NOBODY: frozenset[str] = frozenset()
_NOTHING: frozenset[Vip] = frozenset()


class Hosts(dict[str, HostWorld]):
    """What is known of each host, in conf order."""

    __slots__ = ("_holders",)

    def __init__(self, hosts: Mapping[str, HostWorld]) -> None:
        super().__init__(hosts)
        self._holders: dict[Vip, frozenset[str]] | None = None

    def with_host(self, name: str, host: HostWorld) -> "Hosts":
        """Return these with one of them changed."""
        changed = Hosts(self)
        changed[name] = host
        if host.agent.may_hold == self[name].agent.may_hold:
            changed._holders = self._holders
        return changed

    def holders(self, vip: Vip) -> frozenset[str]:
        """Return the hosts that may have the VIP bound."""
        if self._holders is None:
            found: dict[Vip, set[str]] = {}
            for name, host in self.items():
                for held in host.agent.may_hold:
                    found.setdefault(held, set()).add(name)
            self._holders = {held: frozenset(names) for held, names in found.items()}
        return self._holders.get(vip, _NOBODY)


class Owners(dict[Vip, str | None]):
    """Every configured VIP in conf order, with the host that it is assigned to."""

    __slots__ = ("_vips",)

    def __init__(self, owners: Mapping[Vip, str | None]) -> None:
        super().__init__(owners)
        self._vips: dict[str, frozenset[Vip]] | None = None

    def vips_of(self, name: str) -> frozenset[Vip]:
        """Return the VIPs assigned to the host."""
        if self._vips is None:
            found: dict[str, list[Vip]] = {}
            for vip, owner in self.items():
                if owner is not None:
                    found.setdefault(owner, []).append(vip)
            self._vips = {owner: frozenset(vips) for owner, vips in found.items()}
        return self._vips.get(name, _NOTHING)
