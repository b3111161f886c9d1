"""What a server says of semi-synchronous replication: commits wait until a replica has received them. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SemiSync:
    """How far a server is a semi-sync source or replica; None: it cannot be one, MySQL's plugin is not loaded."""

    source: bool | None = None
    replica: bool | None = None
    waits: bool = False
    """Its commits wait for replicas: it has not fallen back to asynchronous replication."""
    clients: int = 0
    """Replicas that acknowledge to it."""
    needed: int = 1
    """Acknowledgements that a commit waits for."""
    patience: float = 0.0
    """Seconds without acknowledgement before it falls back; 0 where it also does so when replicas leave."""
    acknowledges: bool = False
    """As a replica it is connected to a semi-sync source."""

    @property
    def on(self) -> bool:
        """Tell whether semi-sync is configured here."""
        return bool(self.source or self.replica)


def said(state: SemiSync | None) -> str:
    """Return it as people read it, empty where semi-sync is not configured."""
    if state is None or not state.on:
        return ""
    if not state.source:
        return "semi-sync replica" + ("" if state.acknowledges else ", does not acknowledge")
    if not state.waits:
        return "semi-sync source, fallen back to asynchronous replication"
    return f"semi-sync source, {state.clients} replica{' acknowledges' if state.clients == 1 else 's acknowledge'}"
