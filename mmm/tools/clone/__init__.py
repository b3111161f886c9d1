"""Makes this machine a host of the cluster, with a copy of another host's data: `mmm_clone` (docs/backups.md)."""
