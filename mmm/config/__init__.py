"""Conf text to one checked, frozen Cluster model: both dialects, one table of keys."""
