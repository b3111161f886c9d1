"""Whether the server on this host listens where it is to be reached: at a VIP that it does not, all are refused."""

from collections.abc import Collection

from mmm.network.socket_table import listening, takes


def deaf_at(ip: str, port: int) -> str:
    """Return why nothing takes connections to `ip`, empty where something does, or where that cannot be told.

    Where nothing listens on the port at all the server is dead, or does not run on this host.
    """
    try:
        addresses = listening(port)
    except OSError:
        return ""
    return not_listening(port, [ip], addresses) if addresses and not takes(addresses, ip) else ""


def not_listening(port: int, deaf: Collection[str], addresses: Collection[str]) -> str:
    """Return what to say of a server that listens at `addresses` only, and should at others."""
    only = ", ".join(sorted(addresses))
    where = ", ".join(deaf)
    return f"its server does not listen on {where}: port {port} is open at {only} only; see bind-address in my.cnf"
