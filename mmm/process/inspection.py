"""What a conf means on the machine it is on, looked at by `--check` and before a start."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from mmm.config.model import Cluster


@dataclass(frozen=True, slots=True)
class Inspection:
    """`errors` keep the daemon from starting, `warnings` do not; each is one line that says what to do.

    `absent` are those of the errors that end once this machine has an address which it has not yet.
    """

    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()

    @property
    def may_pass(self) -> bool:
        """Tell whether there are errors, and the machine alone may end all of them."""
        return bool(self.errors) and set(self.errors) <= set(self.absent)


Inspect = Callable[[Cluster], Inspection]


def not_here(conf: Cluster, what: str, ip: str, own: Collection[str]) -> str:
    """Return what is wrong when `ip`, at which `what` is to listen, is not among this machine's own addresses.

    Empty when it is, and when nothing is known of them.
    """
    if ip in own or not own or ip.startswith(("0.", "127.")):
        return ""
    here = [
        f"{each}, which is {host.name}" for each in own for host in conf.agents.values() if host.ip == each
    ]
    shown = ", ".join(here or [each for each in own if not each.startswith("127.") and ":" not in each])
    return f"{what} is {ip}, which is no address of this machine ({shown})"
