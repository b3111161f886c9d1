"""Recorded decisions of the classic daemons, run against the functions that decide in ours.

`data/` holds the recordings, compressed; MMM_VECTORS names another folder, of plain `*.jsonl` and `configs.json`.
docs/vectors.md says how they are compared.
"""
