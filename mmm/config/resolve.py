"""Host names in place of addresses: resolved once, when the conf is read, with a warning."""

import re
from collections.abc import Callable

from mmm.config.files import BLANKS
from mmm.config.kinds import UnfitError
from mmm.config.tree import Fault

Resolve = Callable[[str], tuple[str, ...]]
"""Returns the IPv4 addresses of a name, none when it is not known."""

_LABEL = "[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?"
_HOST_NAME = re.compile(rf"(?=.*[A-Za-z]){_LABEL}(\.{_LABEL})*\.?")


def is_host_name(text: str) -> bool:
    """Tell whether a text can be the name of a machine."""
    return _HOST_NAME.fullmatch(text) is not None


def resolved(key: str, text: str, resolve: Resolve) -> tuple[str, tuple[Fault, ...]]:
    """Return a list of addresses as it is written, with addresses for names, and a warning for each of these.

    Raises UnfitError for a name that does not stand for one address.
    """
    items, said = [], []
    for item in text.split(","):
        name = item.strip(BLANKS)
        if not is_host_name(name):
            items.append(item)
            continue
        address = _one(key, name, resolve(name))
        items.append(address)
        said.append(Fault("name_resolved", {"key": key, "name": name, "address": address}))
    return ", ".join(part.strip(BLANKS) for part in items) if said else text, tuple(said)


def look_up(name: str) -> tuple[str, ...]:
    """Return the IPv4 addresses that this system knows for a name."""
    import socket  # noqa: PLC0415  (most confs have no names, and programs start faster without)

    try:
        found = socket.getaddrinfo(name, None, socket.AF_INET, socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return tuple(dict.fromkeys(str(each[4][0]) for each in found))


def _one(key: str, name: str, found: tuple[str, ...]) -> str:
    about = {"key": key, "name": name}
    if not found:
        raise UnfitError("unknown_host_name", about)
    if len(found) > 1:
        raise UnfitError("several_addresses", about | {"number": len(found), "addresses": " or ".join(found)})
    if found[0].startswith("127."):
        raise UnfitError("name_of_loopback", about | {"address": found[0]})
    return found[0]
