"""The output forms of mmm_control: the monitor's own text, JSON or YAML.

`show`, `checks` and `mode` are read out of the monitor's text, so they work with a classic monitor too; what has values
behind its text is asked for these by `question`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from mmm.wire.command import failed

if TYPE_CHECKING:
    from mmm.wire.control import CheckLine, Show

Form = Literal["text", "json", "yaml"]
FORMS: tuple[Form, ...] = ("text", "json", "yaml")


_HAVE_VALUES = frozenset({"explain", "history", "health"})
WARNINGS = ("json", "warnings")
"""Asks for the warnings of `show`, with their codes; a classic monitor does not know it."""


def question(command: Sequence[str], form: Form) -> list[str]:
    """Return what the monitor is asked for the command to be shown in that form."""
    return ["json", *command] if form != "text" and command[0] in _HAVE_VALUES else list(command)


def render(command: Sequence[str], answer: str, form: Form, warnings: str = "") -> str:
    """Return the answer to `command` in the form asked for, ending in exactly one line end.

    `warnings` is the answer to WARNINGS, for `show`. Raises WireError if an answer cannot be read.
    """
    if form == "text":
        return answer.rstrip("\n") + "\n"
    value = _value(command[0], answer, warnings)
    if form == "json":
        import json  # noqa: PLC0415 - text is ready sooner

        return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    import yaml  # noqa: PLC0415 - only those who ask for it pay for it

    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
    return text


def _value(command: str, answer: str, warnings: str) -> Any:
    if failed(answer):
        return {"ok": False, "message": answer.strip()}
    if command in _HAVE_VALUES:
        return _decoded(answer)
    from mmm.wire.control import decode_checks, decode_mode, decode_show  # noqa: PLC0415 - the text needs none of it

    match command:
        case "show":
            return _show(decode_show(answer), warnings)
        case "checks":
            return {"checks": [_check(line) for line in decode_checks(answer)]}
        case "mode":
            return {"mode": decode_mode(answer)}
    return {"ok": True, "message": answer.strip()}


def _decoded(answer: str) -> Any:
    import json  # noqa: PLC0415 - text is ready sooner

    try:
        return json.loads(answer)
    except ValueError:
        return {"ok": True, "message": answer.strip()}


def _show(show: "Show", warnings: str) -> dict[str, Any]:
    known = _decoded(warnings).get("warnings") if warnings.startswith("{") else None
    return {
        "passive": show.passive is not None,
        "cause": show.passive,
        "warnings": [{"code": None, "text": text} for text in show.warnings] if known is None else known,
        "hosts": [
            {
                "name": host.name,
                "ip": host.ip,
                "mode": host.mode,
                "state": host.state,
                "roles": [{"role": vip.role, "ip": vip.ip} for vip in host.vips],
            }
            for host in show.hosts
        ],
        "preferences": [
            {"role": preference.role, "prefer": preference.host, "holder": preference.holder or None}
            for preference in show.preferences
        ],
    }


def _check(line: "CheckLine") -> dict[str, Any]:
    result, _, message = line.message.partition(":")
    return {
        "host": line.host,
        "check": line.check,
        "last_change": line.changed,
        "result": result.strip(),
        "message": message.strip(),
    }
