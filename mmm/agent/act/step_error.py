"""Why a step was not done."""

from mmm.wire.why import LEASE_OVER, NOT_DONE


class StepError(Exception):
    """A step was not done; the text says why, in one line, and `code` is one of `mmm.wire.why`."""

    def __init__(self, text: str, code: str = NOT_DONE) -> None:
        super().__init__(text)
        self.code = code


class LeaseOverError(StepError):
    """The kernel cannot be told to keep the VIP: hardly anything is left of the order's lease."""

    def __init__(self) -> None:
        super().__init__("the lease of the order has run out meanwhile; it is ordered again", LEASE_OVER)
