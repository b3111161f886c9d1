"""The addresses and interfaces of this machine, as reported by the kernel."""

import ipaddress
import socket
from collections.abc import Iterable, Mapping
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


def kernel_name(name: str) -> str:
    """Return the name by which the kernel lists an interface, which may be called by an altname; itself if none is."""
    try:
        return socket.if_indextoname(socket.if_nametoindex(name))
    except OSError:
        return name


def own_networks() -> dict[str, tuple[str, ...]]:
    """Return the networks that each interface of this machine is on, as ADDRESS/LENGTH; raises OSError."""
    kernel = AddressTable()
    try:
        names, found = dict(socket.if_nameindex()), kernel.of(None)
    finally:
        kernel.close()
    on: dict[str, tuple[str, ...]] = {}
    for bound in found:
        name = names.get(bound.index, "")
        on[name] = (*on.get(name, ()), f"{bound.ip}/{bound.prefixlen}")
    return on


def nearer(name: str, ips: Iterable[str], networks: Mapping[str, Iterable[str]]) -> tuple[str, str]:
    """Return the first of `ips` that is in no network of the interface `name` but in one of another, and that one.

    Both are empty where there is none. A single address, as a virtual IP is bound, is no network. Pure.
    """
    on = {each: tuple(map(ipaddress.ip_network, _parted(of))) for each, of in networks.items()}
    for ip in ips:
        address = ipaddress.ip_address(ip)
        if not any(address in network for network in on.get(name, ())):
            others = sorted(each for each, of in on.items() if any(address in network for network in of))
            if others:
                return ip, others[0]
    return "", ""


def _parted(of: Iterable[str]) -> Iterable[str]:
    """Yield the networks among addresses with their lengths."""
    for text in of:
        network = ipaddress.ip_network(text, strict=False)
        if network.num_addresses > 1:
            yield str(network)


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
