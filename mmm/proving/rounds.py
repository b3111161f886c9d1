"""The ways in which torture moves the writer: by order, by every fault of the sandbox, and by order in spite of one."""

from collections.abc import Callable
from dataclasses import dataclass

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.trouble.faults import inject


@dataclass(frozen=True, slots=True)
class Round:
    """A way to move the writer: what is done before `move_role`, or instead of it where `planned` is False."""

    name: str
    strike: Callable[[Sandbox, str], None]
    planned: bool = False
    refusable: bool = False
    """`move_role` may be refused: what is broken forbids it, or makes it wait for too long."""
    times: int = 1
    """How often it moves there and back while the clients write."""


def _nothing(_: Sandbox, __: str) -> None:
    pass


def _fault(name: str) -> Callable[[Sandbox, str], None]:
    return lambda sandbox, writer: _said(inject(sandbox, name, writer))


def _on_peer(name: str) -> Callable[[Sandbox, str], None]:
    return lambda sandbox, writer: _said(inject(sandbox, name, peer(sandbox, writer)))


def _on_slave(name: str) -> Callable[[Sandbox, str], None]:
    return lambda sandbox, _: _said(inject(sandbox, name, sandbox.hosts[-1]))


def _on_monitor(name: str) -> Callable[[Sandbox, str], None]:
    return lambda sandbox, _: _said(inject(sandbox, name))


def _said(_: str) -> None:
    """Drop what a fault says of itself."""


ROUNDS = (
    Round("planned", _nothing, planned=True, times=5),
    Round("kill-mysqld", _fault("kill-mysqld")),
    Round("planned with the slave lagging", _on_slave("lag"), planned=True),
    Round("stop-mysqld", _fault("stop-mysqld")),
    Round("planned with the slave stopped", lambda s, _: _stop_sql_thread(s, s.hosts[-1]), planned=True),
    Round("freeze-mysqld", _fault("freeze-mysqld")),
    Round("planned with the agent killed", _fault("kill-agent"), planned=True, refusable=True),
    Round("cut", _fault("cut")),
    Round("planned with the monitor killed", _on_monitor("kill-monitor"), planned=True, refusable=True),
    Round("planned with the peer lagging", _on_peer("lag"), planned=True, refusable=True),
)


def peer(sandbox: Sandbox, writer: str) -> str:
    """Return the other master."""
    return next(name for name in sandbox.layout.masters if name != writer)


def _stop_sql_thread(sandbox: Sandbox, host: str) -> None:
    sandbox.sql(host, f"{sandbox.server.flavour.stop_replica} SQL_THREAD")
