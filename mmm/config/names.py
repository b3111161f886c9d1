"""Words that all of the conf has in common."""

from typing import Literal

CHECK_NAMES = ("ping", "mysql", "rep_threads", "rep_backlog")

Program = Literal["AGENT", "MONITOR", "CONTROL", "TOOLS", "REJOIN"]
