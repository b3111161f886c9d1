"""What the history keeps, and why it happened, as values."""

from typing import ClassVar

from mmm.monitor.world.said import Fields, Said, Texts, listed


def _confirmed_dead(of: Fields) -> str:
    return f"{of['host']}: confirmed dead by {of['who']}: {waited_for(of['held'])}"


def waited_for(held: tuple[object, ...]) -> str:
    """Return what waits no more for a host that counts as off, and may have `held` VIPs."""
    return f"nothing waits any more for it to let {listed(held)} go" if held else "nothing waited for it"


def _absent(of: Fields) -> str:
    silent = f"{of['host']} and " if of["host_too"] else ""
    return f"{of['host']}: nothing answers ARP for {silent}{of['vip']}: it has not got it"


class Happened(Said):
    """Something that the history keeps."""

    __slots__ = ()

    texts: ClassVar[Texts] = {
        "state": "{host}: {before} -> {after}",
        "moved": lambda of: f"{of['vip']}: {of['source'] or 'nobody'} -> {of['target'] or 'nobody'}",
        "stays": "{vip}: stays with {source}",
        "confirmed_dead": _confirmed_dead,
        "absent": _absent,
        "loss": "{said}",
    }


class Why(Said):
    """What a change or a move of a role comes from."""

    __slots__ = ()

    texts: ClassVar[Texts] = {
        "rule": "{rule}: {why}",
        "state": "{host} {state} by {rule}: {why}",
        "admin": "ordered by the admin",
    }
