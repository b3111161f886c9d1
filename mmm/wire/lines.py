"""What both line protocols have in common."""

MAX_LINE = 64 * 1024
"""Longest line, in bytes, that either side accepts; a thousand VIPs fit."""


class WireError(ValueError):
    """A line that is not of this protocol; its text says what is wrong with it."""
