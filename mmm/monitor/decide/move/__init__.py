"""The planned move, phase by phase. Pure."""
