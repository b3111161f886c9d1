"""`mmm_control health` as a Nagios plugin: one line, and an exit status that says how bad it is."""

import sys

from mmm.control.json_answer import values_of

HEALTH = "health"
STATUS = {"OK": 0, "WARNING": 1, "CRITICAL": 2}
UNKNOWN = 3


def status_of(answer: str) -> int:
    """Return the exit status for the monitor's answer, as text or as JSON; UNKNOWN for one that is neither."""
    if answer.startswith("{"):
        return STATUS.get(str((values_of(answer) or {}).get("status")), UNKNOWN)
    words = answer.split(None, 2)
    return STATUS.get(words[1].rstrip(":"), UNKNOWN) if words[:1] == ["MMM"] and len(words) > 1 else UNKNOWN


def with_fault(answer: str, fault: str) -> str:
    """Return the monitor's answer, as text or as JSON, with what is wrong with the conf: nothing is OK by that.

    The next start of the monitor would fail. Any other answer is returned as it is.
    """
    said = f"the conf has errors: {fault}"
    if (values := values_of(answer)) is not None:
        import json  # noqa: PLC0415 - text is ready sooner

        reason = {
            "code": "conf_broken",
            "level": "WARNING",
            "hosts": [],
            "fields": {"fault": fault},
            "text": said,
        }
        values["status"] = "WARNING" if values.get("status") == "OK" else values.get("status")
        values["reasons"] = [*(values.get("reasons") or ()), reason]
        return json.dumps(values)
    told, bar, figures = answer.rstrip("\n").partition(" |")
    if not told.startswith("MMM "):
        return answer
    return f"{told.replace('MMM OK:', 'MMM WARNING:', 1)}; {said}{bar}{figures}\n"


def unknown(why: str, form: str) -> int:
    """Print why the health is not known, and return the exit status that says so."""
    import json  # noqa: PLC0415

    if form == "json":
        print(json.dumps({"status": "UNKNOWN", "why": why}))
    else:
        sys.stdout.write(
            f"MMM UNKNOWN: {why}\n" if form == "text" else f"status: UNKNOWN\nwhy: {json.dumps(why)}\n"
        )
    sys.stdout.flush()
    return UNKNOWN
