"""Whose word counts, and for how long: the rules that monitor and agents share."""
