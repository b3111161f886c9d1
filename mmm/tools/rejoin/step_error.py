"""Why a step of a rejoin could not be done."""


class StepError(Exception):
    """The text says what could not be done, where and why."""
