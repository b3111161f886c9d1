"""What settings of a server are out of place for this cluster, whatever its role. Pure."""

from collections.abc import Iterator

from mmm.doctor.look import Server
from mmm.doctor.picture import Finding


def out_of_place(name: str, server: Server) -> Iterator[Finding]:
    """Yield what would make hosts look dead, or differ, without anybody being told."""
    settings = server.settings
    if settings.get("skip_name_resolve", "ON").upper() in {"OFF", "0"}:
        yield Finding("names_resolved", name)
    key = "replica_skip_errors" if "replica_skip_errors" in settings else "slave_skip_errors"
    if (skipped := settings.get(key, "")).upper() not in {"", "OFF", "0"}:
        yield Finding("errors_skipped", name, {"name": key, "value": skipped})
    if server.filters:
        told = ", ".join(f"{key}={value}" for key, value in sorted(server.filters.items()))
        yield Finding("filtered", name, {"filters": told})
