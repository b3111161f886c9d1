"""The addresses and interfaces of this machine, as reported by the kernel."""

import socket

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
