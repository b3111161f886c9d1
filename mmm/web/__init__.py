"""mmm_web: what the monitor tells, over HTTP: JSON, a stream of changes, metrics for Prometheus. It only reads."""
