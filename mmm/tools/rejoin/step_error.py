"""Why a step of a rejoin could not be done."""


class StepError(Exception):
    """The text says what could not be done, where and why."""


class LeadsNowhereError(StepError):
    """However often the step is tried, it cannot be done with the data that the host has by now."""


class NotRewoundError(StepError):
    """A rewind did not do: a copy has to be made. `clean`: nothing was undone."""

    def __init__(self, why: str, *, clean: bool = False) -> None:
        super().__init__(why)
        self.clean = clean
