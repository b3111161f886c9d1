"""The lease that an earlier agent of this host was given, as far as the kernel knows it (rule 11.1)."""

import logging
import math

from mmm.agent.decide.plan import Facts
from mmm.config.model import Vip
from mmm.network.vips import Interface, InterfaceError

log = logging.getLogger(__name__)


def found_leases(interface: Interface, known: Facts, longest: float) -> dict[Vip, float]:
    """Return for how many seconds each VIP stays bound that stands on this host, and is used; see `found_lease`.

    The writer's is cut down where it has to be; others are only renewed. Raises InterfaceError.
    """
    bound = interface.bound([vip.ip for vip in known.vips])
    return {
        vip: found_lease(interface, vip, longest) if vip.role == known.writer else interface.left(vip.ip)
        for vip in known.vips
        if any(bound.get(vip.ip, ()))
    }


def found_lease(interface: Interface, vip: Vip, longest: float) -> float:
    """Return for how many seconds the VIP may stay bound by an earlier lease: infinite for good, 0 where it is not.

    That is no longer than `longest`, the `vip_lease` of this agent's conf: the monitor, which has the same conf, counts
    no more for a host that it does not hear. The kernel is told so where it has more, as after a conf with longer
    leases; where it does not do it, the watch over the lease unbinds the VIP. Raises InterfaceError where the kernel
    does not tell.
    """
    left = interface.left(vip.ip)
    if not longest < left < math.inf:
        return left
    log.warning(
        "start: %s was bound on %s for %.0f s more, longer than vip_lease %g in this agent's conf: cut down to that",
        vip, interface.name, left, longest,
    )  # fmt: skip
    try:
        interface.bind(vip.ip, math.floor(longest))
    except InterfaceError as error:
        log.error("start: %s: %s; it is unbound in %g s unless the monitor renews it", vip, error, longest)
    return longest
