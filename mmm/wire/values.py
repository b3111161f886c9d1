"""What `show` and `checks` tell, as JSON has it: made of values by the monitor, of its text by mmm_control (rule 5)."""

from collections.abc import Mapping
from typing import Any

from mmm.wire.control import CheckLine, Show

Value = dict[str, Any]


def of_show(
    show: Show,
    warnings: list[Value],
    why: Mapping[str, Any] | None = None,
    lead: Mapping[str, Any] | None = None,
) -> Value:
    """Return the values of `show`; `why` and `lead` are those behind its texts, where they are known.

    These are the cause of passive mode, and which of several monitors leads.
    """
    return {
        **({"lead": lead} if lead else {}),
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
        **(
            {"reached": [{"role": each.role, "vip_via": each.via} for each in show.reached]}
            if show.reached
            else {}
        ),
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
