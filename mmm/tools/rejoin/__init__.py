"""Brings a host back whose data have come apart from the active master's: `mmm_rejoin` (docs/rejoin.md)."""
