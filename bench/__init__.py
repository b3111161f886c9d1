"""Benchmarks: each prints what it measured in the sandbox, in one run on one machine."""
