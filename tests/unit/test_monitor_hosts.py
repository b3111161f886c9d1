"""What hosts and owners have worked out is what a walk through them finds, whatever was changed before."""

import random
from dataclasses import replace

from mmm.config.model import Vip
from mmm.monitor.world.host import HostWorld
from mmm.monitor.world.hosts import Hosts, Owners

_NAMES = [f"db{number}" for number in range(6)]
_VIPS = [Vip(f"10.0.0.{number}", "reader") for number in range(5)]


def test_holders_after_any_changes() -> None:
    chance = random.Random(7)  # noqa: S311
    hosts = Hosts({name: HostWorld() for name in _NAMES})
    for _ in range(300):
        name = chance.choice(_NAMES)
        host = hosts[name]
        if chance.random() < 0.5:
            held = frozenset(chance.sample(_VIPS, chance.randrange(4)))
            host = replace(host, agent=replace(host.agent, may_hold=held))
        before = {vip: hosts.holders(vip) for vip in _VIPS}
        changed = hosts.with_host(name, replace(host, since=chance.random()))
        for vip in _VIPS:
            assert changed.holders(vip) == {n for n, h in changed.items() if vip in h.agent.may_hold}
            assert hosts.holders(vip) == before[vip]
        assert list(changed) == _NAMES
        hosts = changed


def test_vips_of_each_owner() -> None:
    owners = Owners(dict(zip(_VIPS, ["db1", None, "db2", "db1", None], strict=True)))
    assert owners.vips_of("db1") == {_VIPS[0], _VIPS[3]}
    assert owners.vips_of("db2") == {_VIPS[2]}
    assert owners.vips_of("db9") == frozenset()
