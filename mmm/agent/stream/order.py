"""What the sending process is told by the agent, on its standard input: the passwords in it are for nobody else."""

import json
from dataclasses import asdict, dataclass, field

from mmm.config.model import Host, Socket


@dataclass(frozen=True, slots=True)
class Order:
    """One copy of this host's data."""

    provider: str
    job: str
    here: Host
    to: str
    """The recipient's address, for the log."""
    socket: Socket = field(default_factory=Socket)
    rate: int = 0
    """MB/s at most; 0: no limit."""
    compress: bool = True
    lock: str = ""
    """File that the process holds locked, so that there is one copy at a time; empty: none."""
    stall: float = 60.0
    """Seconds after which a recipient that takes no byte counts as gone."""
    block: float = 2.0
    """Seconds for which the server's commits may wait for the producer."""
    room: int = 256 << 20
    """Bytes that are kept in memory at most, so that commits need not wait for the recipient."""
    path: str = ""
    """PATH of the agent, in which the programs are looked for."""


def encode(order: Order) -> bytes:
    """Return the order as bytes."""
    return json.dumps(asdict(order)).encode()


def decode(data: bytes) -> Order:
    """Return the order that `encode` wrote."""
    values = json.loads(data)
    return Order(**{**values, "here": Host(**values["here"]), "socket": Socket(**values["socket"])})
