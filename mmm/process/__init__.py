"""Daemonizing, angel, pid file, lock, logging set-up, TLS contexts."""
