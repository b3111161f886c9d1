"""What `show` and `checks` tell, as JSON has it: made of values by the monitor, of its text by mmm_control (rule 5)."""

from collections.abc import Mapping
from typing import Any

from mmm.wire.control import CheckLine, Show

Value = dict[str, Any]


def of_show(show: Show, warnings: list[Value], why: Mapping[str, Any] | None = None) -> Value:
    """Return the values of `show`; `why` are those behind the cause of passive mode, where they are known."""
    return {
        "passive": show.passive is not None,
        "cause": show.passive,
        "why": why,
        "warnings": warnings,
        "hosts": [
            {
                "name": host.name,
                "ip": host.ip,
                "mode": host.mode,
                "state": host.state,
                "roles": [{"role": vip.role, "ip": vip.ip} for vip in sorted(host.vips, key=str)],
            }
            for host in sorted(show.hosts, key=lambda host: host.name)
        ],
        "preferences": [
            {"role": preference.role, "prefer": preference.host, "holder": preference.holder or None}
            for preference in show.preferences
        ],
    }


def of_check(
    line: CheckLine,
    outcome: str,
    message: str,
    code: str | None = None,
    fields: Mapping[str, Any] | None = None,
) -> Value:
    """Return the values of a line of `checks`."""
    return {
        "host": line.host,
        "check": line.check,
        "last_change": line.changed,
        "result": outcome,
        "message": message,
        "code": code,
        "fields": fields or {},
    }


def of_text(answer: str, *, ok: bool) -> Value:
    """Return the values of an answer that has none but its text."""
    return {"ok": ok, "code": None, "fields": {}, "message": answer.strip()}
