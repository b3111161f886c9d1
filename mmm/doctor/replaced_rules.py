"""What is said of the data that rebuilds of a host have replaced. Pure."""

from collections.abc import Iterator, Mapping

from mmm.doctor.look import HostLook

LATE = 1.0
"""Days after which old data that ought to be removed are found to be there still: the agent looks once an hour."""


def replaced(look: HostLook, days: int) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield a code and its fields for each folder; `days`: how long they are kept, 0: for good."""
    disk_low = any(each.is_low for each in look.room)
    for each in look.replaced:
        left = days - each.age
        fields = {"folder": each.path, "size": f"{each.size:,}", "days": str(days), "left": _said(left, days)}
        if days and left < -LATE:
            yield "old_data_late", fields
        else:
            yield "old_data_fill_disk" if disk_low else "old_data", fields


def _said(left: float, days: int) -> str:
    if not days:
        return "for good"
    whole = max(0, int(left))
    return f"for {whole} more day{'s' if whole > 1 else ''}" if whole else "for less than a day"
