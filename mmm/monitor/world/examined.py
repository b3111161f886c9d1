"""What the doctor has found that the next failover would run into, or that ends soon."""

from typing import NamedTuple


class Met(NamedTuple):
    """An error of a host in use; two looks find the same one where all of it is equal."""

    host: str
    code: str
    other: str = ""
    """The other host that it is about; empty if none."""
    about: tuple[str, ...] = ()
    """What else identifies it, apart from figures that may differ at the next look."""


class Ending(NamedTuple):
    """A certificate that ends soon, or has ended."""

    host: str
    """Whose it is; empty: the monitor's."""
    ended: bool
    path: str
    date: str
