"""The values of a monitor's answer in JSON. Whatever listens at its port may answer."""

from typing import Any


def values_of(answer: str) -> dict[str, Any] | None:
    """Return the values of an answer; None for text, and for JSON that holds no object."""
    if not answer.startswith("{"):
        return None
    from mmm.wire.json_text import parsed  # noqa: PLC0415 - text is ready sooner

    try:
        values: dict[str, Any] = parsed(answer, finite=False)
    except ValueError:
        return None
    return values
