"""Whether a host has to be looked at again once it has obeyed an order, sooner than its checks would. Pure."""

from mmm.monitor.world.orders import Tell
from mmm.monitor.world.world import World


def is_out_of_date(world: World, order: Tell) -> bool:
    """Tell whether what was last read of a host's replication was changed by an order that it has answered.

    What a new writer has got tells what was lost. A host that was detached from a lost master, and is attached to the
    one that is back, would not be promoted before its next check: until then it is believed to get nothing.
    """
    loss, read = world.loss, world.hosts[order.host].progress.transactions
    if loss is not None and not loss.known and loss.taker == order.host:
        return True
    return read is not None and read.detached and not order.status.detach
