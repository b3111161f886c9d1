"""The doctor's findings, one per line, or as JSON and YAML. Pure."""

from collections.abc import Iterable
from typing import Any

from mmm.doctor.codes import Level
from mmm.doctor.picture import Finding


def text(found: Iterable[Finding]) -> str:
    """Return the lines, and at the end how many of each there are."""
    found = tuple(found)
    width = max((len(finding.host or "monitor") for finding in found), default=0)
    lines = [
        f"{finding.level:<7}  {finding.host or 'monitor':<{width}}  {_said(finding)}" for finding in found
    ]
    errors, warnings = (sum(each.level is level for each in found) for level in (Level.ERROR, Level.WARNING))
    lines.append(f"{_number(errors, 'error')}, {_number(warnings, 'warning')}")
    return "".join(f"{line}\n" for line in lines)


def encoded(found: Iterable[Finding]) -> dict[str, Any]:
    """Return the same for JSON and YAML."""
    return {
        "findings": [
            {
                "level": str(finding.level),
                "host": finding.host or None,
                "code": finding.code,
                "text": finding.says,
                "todo": finding.todo,
                "fields": dict(finding.fields),
            }
            for finding in found
        ]
    }


def _said(finding: Finding) -> str:
    if finding.code == "fine":
        return finding.says
    todo = f": {finding.todo}" if finding.todo else ""
    return f"{finding.code}: {finding.says}{todo and ' -' + todo.removeprefix(':')}"


def _number(count: int, what: str) -> str:
    return f"{count or 'no'} {what}{'s' * (count != 1)}"
