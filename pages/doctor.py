"""docs/doctor.md, made from the table of codes: `python -m pages.doctor > docs/doctor.md`."""

import re
from collections.abc import Iterator

from mmm.doctor.codes import CODES, Code, Level
from mmm.doctor.look import FULL, LOW
from mmm.doctor.rules import CLOCKS, TOPICS

HEAD = """\
# The doctor

This page is made from the table in `mmm/doctor/codes.py` (`python -m pages.doctor`).

    mmm_control doctor              # monitor host: the whole cluster
    mmm_agentd --doctor             # a MySQL host: this host, and from it the masters

Run it before the first start, after every change of the conf, of accounts, of my.cnf or of a firewall, and before an
upgrade. It changes nothing. `mmm_control doctor` needs neither the monitor nor the agents: it looks at everything that
can be seen from the monitor host by itself, and asks the agents that run for what only they can see. It must be able
to read the monitor's conf, and ping needs root.

One line for each finding: OK, WARNING or ERROR, the host, a code, what was found, and what to do.

    ERROR    db2      grant_missing: the agent account lacks PROCESS at its own server - run there: GRANT PROCESS …

Exit status: 0 all is OK, 1 there are warnings, 2 there are errors, 3 the conf cannot be used. `--format json` and
`--format yaml` of `mmm_control doctor` have `level`, `host`, `code`, `text`, `todo` and `fields` of each.

The monitor asks the agents by itself every five minutes. When something is wrong that the next failover would meet,
`show` has one line:

    # Warning: the doctor finds 2 errors that the next failover would meet: run mmm_control doctor

Certificates that end within 30 days have a line each.

What is looked at for each host:

"""


def _share(limit: tuple[float, int]) -> str:
    share, most = limit
    return f"{share * 100:g} % (at most {most} MB)"


TAIL = f"""
Clocks may be {CLOCKS:g} s apart. A disk is low with less than {_share(LOW)} free, and full with less than
{_share(FULL)}; looked at are those with data, binary logs, relay logs, logs, pid files, and the monitor's
status file. Of a host whose agent is a Perl one only that is seen which can be seen from the monitor. Files of MMM 1.x
are not compared between the hosts.
"""


def page() -> str:
    """Return the page."""
    return HEAD + "".join(_lines()) + TAIL


def _lines() -> Iterator[str]:
    yield from (f"- {what}\n" for what in TOPICS)
    for level, title in ((Level.ERROR, "Errors"), (Level.WARNING, "Warnings"), (Level.OK, "Worth knowing")):
        yield f"\n## {title}\n\n| code | what is found | what to do |\n|---|---|---|\n"
        yield from (
            _row(name, code) for name, code in CODES.items() if code.level is level and name != "fine"
        )
    yield "\nThe next failover or move would meet these: "
    yield ", ".join(f"`{name}`" for name, code in CODES.items() if code.failover) + ".\n"


def _row(name: str, code: Code) -> str:
    return f"| `{name}` | {_shown(code.says)} | {_shown(code.todo)} |\n"


def _shown(text: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: f"*{match[1].upper()}*", text).replace("|", "\\|")


if __name__ == "__main__":
    print(page(), end="")
