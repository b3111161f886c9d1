"""What this machine has: its addresses and interfaces, as the kernel tells."""

import socket

from mmm.network.addresses import AddressTable


def own_addresses() -> dict[str, str]:
    """Return all addresses of this machine, each with its interface; raises OSError."""
    kernel = AddressTable()
    try:
        return {bound.ip: name for index, name in socket.if_nameindex() for bound in kernel.of(index)}
    finally:
        kernel.close()


def interfaces() -> frozenset[str]:
    """Return the names of this machine's interfaces; raises OSError."""
    return frozenset(name for _, name in socket.if_nameindex())
