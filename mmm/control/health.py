"""`mmm_control health` as a Nagios plugin: one line, and an exit status that says how bad it is."""

import sys

HEALTH = "health"
STATUS = {"OK": 0, "WARNING": 1, "CRITICAL": 2}
UNKNOWN = 3


def status_of(answer: str) -> int:
    """Return the exit status for the monitor's answer, as text or as JSON; UNKNOWN for one that is neither."""
    if answer.startswith("{"):
        import json  # noqa: PLC0415 - text is ready sooner

        try:
            return STATUS.get(str(json.loads(answer)["status"]), UNKNOWN)
        except (ValueError, KeyError, TypeError):
            return UNKNOWN
    words = answer.split(None, 2)
    return STATUS.get(words[1].rstrip(":"), UNKNOWN) if words[:1] == ["MMM"] and len(words) > 1 else UNKNOWN


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
