"""The addresses and interfaces of this machine, as reported by the kernel."""

import socket
from dataclasses import replace

from mmm.config.model import Cluster
from mmm.config.monitors import of_machine
from mmm.config.tree import Fault
from mmm.network.addresses import AddressTable


def own_addresses() -> dict[str, str]:
    """Return all addresses of this machine, each with its interface; raises OSError."""
    kernel = AddressTable()
    try:
        names = dict(socket.if_nameindex())
        found = sorted(kernel.of(None), key=lambda bound: bound.index)
        return {bound.ip: names[bound.index] for bound in found if bound.index in names}
    finally:
        kernel.close()


def interfaces() -> frozenset[str]:
    """Return the names of this machine's interfaces; raises OSError."""
    return frozenset(name for _, name in socket.if_nameindex())


def located(conf: Cluster) -> Cluster:
    """Return the conf of a monitor in which that has the address, of all `monitors`, that is this machine's.

    Raises OSError where the kernel does not tell them, or none is.
    """
    if conf.monitor is None or conf.monitor.ip or not conf.monitors:
        return conf
    found = of_machine(conf.monitors, own_addresses())
    if isinstance(found, Fault):
        raise OSError(str(found))
    return replace(conf, monitor=replace(conf.monitor, ip=found))
