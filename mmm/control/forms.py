"""The output forms of mmm_control: the monitor's own text, JSON or YAML.

The monitor is asked for JSON. If it does not know that, as a classic one, its text is parsed instead, and has no codes.
"""

from collections.abc import Sequence
from typing import Any, Literal

from mmm.control.json_answer import values_of
from mmm.process import output
from mmm.wire.command import JSON, failed

Form = Literal["text", "json", "yaml"]
FORMS: tuple[Form, ...] = ("text", "json", "yaml")


def question(command: Sequence[str], form: Form) -> list[str]:
    """Return what the monitor is asked for the command to be shown in that form."""
    return list(command) if form == "text" else [JSON, *command]


def render(command: Sequence[str], answer: str, form: Form) -> str:
    """Return the answer to `command` in the form asked for, ending in exactly one line end.

    Raises WireError if an answer cannot be read.
    """
    if form == "text":
        return answer.rstrip("\n") + "\n"
    value = _value(command[0], answer)
    if form == "json":
        import json  # noqa: PLC0415 - text is ready sooner

        return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    import yaml  # noqa: PLC0415 - only those who ask for it pay for it

    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=output.takes_all())
    return text


def is_refused(answer: str) -> bool:
    """Tell whether the monitor refused the command, or did not know it; `answer` is its text, or JSON."""
    values = values_of(answer)
    return failed(answer) if values is None else values.get("ok") is False


def _value(command: str, answer: str) -> Any:
    if (values := values_of(answer)) is not None:
        return values
    from mmm.wire import values as wire  # noqa: PLC0415 - the text needs none of it

    if failed(answer):
        return wire.of_text(answer, ok=False)
    from mmm.wire.control import decode_checks, decode_mode, decode_show  # noqa: PLC0415 - as above

    match command:
        case "show":
            show = decode_show(answer)
            return wire.of_show(show, [{"code": None, "text": text} for text in show.warnings])
        case "checks":
            lines = ((line, line.message.partition(":")) for line in decode_checks(answer))
            found = [wire.of_check(line, said[0].strip(), said[2].strip()) for line, said in lines]
            return {"checks": found}
        case "mode":
            return {"mode": decode_mode(answer)}
    return wire.of_text(answer, ok=True)
