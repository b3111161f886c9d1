"""How fast a stream may go: a token bucket (RFC 2697 has the idea). Pure."""


class Bucket:
    """Lets `rate` bytes a second through, and at once what a tenth of a second brings; 0: no limit."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._full_at = 0.0
        """When all that was taken has been earned back."""

    def wait(self, now: float, count: int) -> float:
        """Take `count` bytes; returns the seconds to wait before they may go."""
        if not self._rate:
            return 0.0
        self._full_at = max(self._full_at, now) + count / self._rate
        return max(0.0, self._full_at - now - 0.1)

    def forget(self) -> None:
        """Owe nothing for what was taken."""
        self._full_at = 0.0
