"""mmm_web: what the monitor says, as a page, JSON, changes as they happen, and metrics for Prometheus; read-only."""
