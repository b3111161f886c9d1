"""Names that all of the conf code shares."""

from typing import Literal

CHECK_NAMES = ("ping", "mysql", "rep_threads", "rep_backlog")

Program = Literal["AGENT", "MONITOR", "CONTROL", "TOOLS", "REJOIN"]
