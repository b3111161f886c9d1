"""The possible outcomes of a row that a client tried to write."""

ACKNOWLEDGED, UNKNOWN, REFUSED = "acknowledged", "unknown", "refused"

# Server errors after which it may have been done all the same: shutdown, interrupted, connection killed.
_OPEN_ENDED = frozenset({1053, 1317, 1927, 2006, 2013, 2014, 2055})


def of_error(error: Exception, *, committing: bool) -> str:
    """Return the outcome when this error came; `committing`: what would do it was being sent, or had been."""
    number = error.args[0] if error.args and isinstance(error.args[0], int) else -1
    return UNKNOWN if committing and (number in _OPEN_ENDED or number < 0) else REFUSED
