"""The table of host states, its conditions, and what they look at. Pure."""
